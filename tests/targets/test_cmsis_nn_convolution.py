"""CMSIS-NN's convolution: scratch memory, and rows that MVE cores compute wrongly."""

import numpy as np
import pytest

from ccore import driver
from kanji_np.errors import UnsupportedOp
from kanji_np.targets import target_spec
from kanji_np.targets.cmsis_nn.convolution import (
    check_kernel,
    grouped_call,
    scratch_bytes,
)
from kanji_np.types import LinearInts
from kanji_np.window import Window


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("core", ["c", "dsp", "mve"])
def test_scratch_is_what_the_library_asks_for(core, bits):
    rng, target = np.random.default_rng(0), target_spec("cmsis-nn", core=core)
    calls, reserved = [], []
    while len(calls) < 400:
        high, wide, channels, filters = rng.integers(1, 9, 4).tolist()
        kernel, stride, dilation = (
            tuple(rng.integers(1, end, 2).tolist()) for end in (4, 4, 3)
        )
        if rng.random() < 0.4:  # one row of pixels
            high, kernel = 1, (1, kernel[1])
        shape = (high, wide, channels)
        g = Window(kernel, stride, dilation, "same").over(shape)
        try:
            check_kernel("", bits, shape, g, target)
        except UnsupportedOp:
            continue
        reserved.append(scratch_bytes(shape, g, bits, target))
        call = driver.convolve_wrapper_s8_get_buffer_size(
            (1, *shape),
            (filters, *kernel, channels),
            (1, *g.out, filters),
            core=core,
            stride=stride,
            padding=g.pad,
            dilation=dilation,
        )
        calls.append(call if bits == 8 else driver.int4(call))
    answers = driver.build_runner(driver.BUILDS[0]).run(calls)
    asked = [answer.status for answer in answers]
    if (core, bits) == ("mve", 4):  # v7.0.0 asks for some rows of pixels as for int8
        more = [(a, r) for a, r in zip(asked, reserved, strict=True) if a != r]
        assert len(more) > 10 and all(a == 0 < r for a, r in more)
    else:
        assert asked == reserved


@pytest.mark.parametrize("core", ["c", "dsp", "mve"])
@pytest.mark.parametrize(
    ("shape", "kernel"), [((5, 6, 8), (3, 3)), ((5, 6, 6), (1, 1)), ((1, 9, 8), (1, 3))]
)
def test_scratch_of_groups_is_what_the_general_kernel_asks_for(shape, kernel, core):
    g = Window(kernel, padding="same").over(shape)
    weight, four = np.ones((4, *kernel, shape[2] // 2), np.int8), np.ones(4, np.int32)
    call = grouped_call(
        LinearInts(weight, four, four, four),
        g,
        weight_bits=8,
        x_shape=shape,
        y_shape=(*g.out, 4),
        target=target_spec("cmsis-nn", core=core),
    )
    asked = driver.convolve_wrapper_s8_get_buffer_size(
        (1, *shape), weight.shape, (1, *g.out, 4), core=core, padding=g.pad
    )
    (answer,) = driver.build_runner(driver.BUILDS[0]).run([asked])
    assert answer.status == call.scratch_bytes > 0


@pytest.mark.parametrize(
    ("shape", "kernel", "padding", "size"),
    [
        ((1, 12, 16), (1, 5), "valid", 80),  # 8 windows, four at a time: it wants none
        ((1, 11, 16), (1, 5), "valid", 4 * 80),  # 7
        ((1, 8, 3), (1, 3), "same", 64),  # of any number of channels
        ((2, 12, 16), (1, 5), "valid", 4 * 80),  # two rows
    ],
)
def test_scratch_of_a_row_in_4_0_0(shape, kernel, padding, size):
    """v4.0.0 asks for nothing for its rows of pixels, and else for four windows.

    It is given what 7.0.0 asks for, which is never less.
    """
    v4 = target_spec("cmsis-nn", core="mve", version="4.0.0")
    g = Window(kernel, padding=padding).over(shape)
    check_kernel("", 8, shape, g, v4)
    assert scratch_bytes(shape, g, 8, v4) == size


@pytest.mark.parametrize(
    ("shape", "kernel", "padding", "said"),
    [
        ((1, 8, 3), (1, 1), ((1, 0), (0, 0)), "one row of output, and no padding"),
        ((1, 6, 3), (1, 3), ((0, 0), (4, 0)), "windows that touch the input"),
        ((1, 6, 3), (1, 3), ((0, 0), (0, 4)), "windows that touch the input"),
    ],
)
def test_rows_that_4_0_0_computes_wrongly(shape, kernel, padding, said):
    v4 = target_spec("cmsis-nn", core="mve", version="4.0.0")
    g = Window(kernel, padding=padding).over(shape)
    with pytest.raises(
        UnsupportedOp, match=f"takes one row of pixels only with {said}"
    ):
        check_kernel("f", 8, shape, g, v4)


def test_int4_weights_have_the_memory_that_v7_0_0_asks_the_int8_function_for():
    mve = target_spec("cmsis-nn", core="mve")
    g = Window((1, 3), padding="same").over((1, 24, 4))
    assert scratch_bytes((1, 24, 4), g, 4, mve) == 16
    assert scratch_bytes((1, 24, 4), g, 8, mve) == 16
