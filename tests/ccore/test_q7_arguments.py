"""What the kernels of the legacy API refuse, and how."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from . import driver, reference
from .driver import UNTOUCHED, Build, build_runner

ARGUMENT_ERROR, SIZE_MISMATCH = -1, -3
RUNNERS = [Build("gcc", sanitized=True, api="q7", core=core) for core in ("c", "dsp")]

SHIFTS = {"bias_shift": 1, "out_shift": 1}
SQUARE = ("dim", "ch_in", "ch_out", "kernel", "padding", "stride", *SHIFTS, "out")
NONSQUARE = (
    *("dim_x", "dim_y", "ch_in", "ch_out", "kernel_x", "kernel_y"),
    *("padding_x", "padding_y", "stride_x", "stride_y", *SHIFTS, "out_x", "out_y"),
)
POOL = ("dim", "ch", "kernel", "padding", "stride", "out")
CONVOLVE, DEPTHWISE = "arm_convolve_HWC_q7", "arm_depthwise_separable_conv_HWC_q7"
ONE_BY_ONE = "arm_convolve_1x1_HWC_q7_fast_nonsquare"
#: Integer arguments by name, in the order `runner_q7.c` takes them.
NAMES = {
    **dict.fromkeys((f"{CONVOLVE}_{n}" for n in ("basic", "fast", "RGB")), SQUARE),
    **dict.fromkeys(
        (f"{CONVOLVE}_{n}_nonsquare" for n in ("basic", "fast")), NONSQUARE
    ),
    ONE_BY_ONE: NONSQUARE,
    DEPTHWISE: SQUARE,
    f"{DEPTHWISE}_nonsquare": NONSQUARE,
    "arm_fully_connected_q7": ("columns", "rows", *SHIFTS),
    "arm_fully_connected_q7_opt": ("columns", "rows", *SHIFTS),
    "arm_maxpool_q7_HWC": POOL,
    "arm_avepool_q7_HWC": POOL,
    "arm_softmax_q7": ("size",),
    "arm_softmax_with_batch_q7": ("batches", "size"),
}


def convolution(function):
    cin = 3 if "RGB" in function else 4
    kernel = 1 if "1x1" in function else 2
    depthwise = "depthwise" in function
    w_shape = (kernel, kernel, cin) if depthwise else (4, kernel, kernel, cin)
    return driver.convolve_q7(
        function,
        np.ones((3, 3, cin), np.int8),
        np.ones(w_shape, np.int8),
        np.ones(4 if not depthwise else cin, np.int8),
        output_shape=(2, 2, 4),
        **SHIFTS,
    )


def fully_connected(function):
    weight = np.ones((5, 6), np.int8)
    return driver.fully_connected_q7(
        function, weight[0], weight, weight[:, 0].copy(), **SHIFTS
    )


def pool(function):
    x = np.ones((4, 4, 2), np.int8)
    return driver.pool_q7(function, x, kernel=3, output=2, stride=2, padding=0)


CONVOLUTIONS = [convolution(name) for name in NAMES if "conv" in name]
DENSE = [fully_connected(name) for name in NAMES if "connected" in name]
POOLS = [pool(name) for name in NAMES if "pool" in name]
SOFTMAX = driver.softmax_q7(np.ones(5, np.int8))
BATCH = driver.softmax_with_batch_q7(np.ones((2, 5), np.int8))
CALLS = (*CONVOLUTIONS, *DENSE, *POOLS, SOFTMAX, BATCH)
#: Without limits of their own.
GENERAL = [call for call in CONVOLUTIONS if "basic" in call.function]
BASIC = GENERAL[0]

with_argument = functools.partial(reference.with_argument, NAMES)


def with_arguments(call, **ints):
    for name, value in ints.items():
        call = with_argument(call, name, value)
    return call


def assert_refused(calls, status):
    for build in RUNNERS:
        for call, result in zip(calls, build_runner(build).run(calls), strict=True):
            assert result.status == status, call
            assert np.all(result.output == UNTOUCHED), call
            np.testing.assert_array_equal(result.x, call.arrays[0])


def assert_accepted(calls):
    for build in RUNNERS:
        for call, result in zip(calls, build_runner(build).run(calls), strict=True):
            assert result.status == 0, call
            assert not np.any(result.output == UNTOUCHED), call


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.function)
def test_base_calls_are_accepted(call):
    assert len(call.ints) == len(NAMES[call.function])
    assert_accepted([call])


def test_null_is_refused():
    for call in CALLS:
        pointers = 4 if len(call.arrays) == 3 else 2
        status = ARGUMENT_ERROR if pointers == 4 else 0
        calls = [replace(call, null_mask=1 << bit) for bit in range(pointers)]
        assert_refused(calls, status)


def test_zero_is_refused():
    for call in (*GENERAL, *DENSE, *POOLS, SOFTMAX, BATCH):
        names = [
            name
            for name in NAMES[call.function]
            if "padding" not in name and "shift" not in name
        ]
        status = 0 if call in (*POOLS, SOFTMAX, BATCH) else ARGUMENT_ERROR
        assert_refused([with_argument(call, name, 0) for name in names], status)


def test_shifts_out_of_range_are_refused():
    for call in (*CONVOLUTIONS, *DENSE):
        calls = [
            with_argument(call, name, value)
            for name, limit in (("bias_shift", 23), ("out_shift", 30))
            for value in (limit + 1, 32, 65_535)
        ]
        assert_refused(calls, ARGUMENT_ERROR)


def test_too_large_is_refused():
    """Extents beyond int16, and sizes whose product is beyond int32."""
    axes = ("dim", "kernel", "padding", "stride", "out")
    for call in GENERAL:
        names = [n for n in NAMES[call.function] if n.startswith(axes)]
        calls = [with_argument(call, n, v) for n in names for v in (32_768, 65_535)]
        assert_refused(calls, ARGUMENT_ERROR)
    products = [
        with_arguments(BASIC, dim=400, ch_in=16_383),
        with_arguments(BASIC, out=256, ch_out=32_768),
        with_arguments(BASIC, ch_in=16_383, ch_out=32_780),
        with_argument(BASIC, "stride", 32_766),  # the last window ends at 32,768
    ]
    assert_refused(products, ARGUMENT_ERROR)
    assert_accepted([with_argument(BASIC, "stride", 32_765)])
    dense = [with_arguments(call, columns=65_535, rows=65_535) for call in DENSE]
    assert_refused(dense, ARGUMENT_ERROR)


def test_one_product_too_many_is_refused():
    depthwise = [call for call in CONVOLUTIONS if call.function == DEPTHWISE]
    calls = [
        with_argument(BASIC, "ch_in", 16_384),  # 2 * 2 * 16,384
        *(with_argument(call, "kernel", 256) for call in depthwise),
    ]
    assert_refused(calls, ARGUMENT_ERROR)


def test_limits_of_each_convolution_are_a_size_mismatch():
    refused = {
        "RGB": {"ch_in": (1, 2, 4)},
        "fast": {"ch_in": (1, 2, 3, 6), "ch_out": (1, 3)},
        "1x1": {
            **{f"kernel_{axis}": (2, 3) for axis in "xy"},
            **{f"padding_{axis}": (1,) for axis in "xy"},
            **{f"stride_{axis}": (2,) for axis in "xy"},
        },
        "depthwise": {"ch_in": (3, 5), "ch_out": (3, 5)},
    }
    calls = [
        with_argument(call, name, value)
        for call in CONVOLUTIONS
        for part in refused
        if part in call.function
        for name, values in refused[part].items()
        for value in values
    ]
    assert len(calls) > 30
    assert_refused(calls, SIZE_MISMATCH)


def test_fast_refuses_padding_that_the_library_does_not_look_at():
    fast = next(c for c in CONVOLUTIONS if c.function == f"{CONVOLVE}_fast")
    nonsquare = next(c for c in CONVOLUTIONS if "fast_nonsquare" in c.function)
    calls = [
        with_argument(fast, "out", 3),  # the last window ends after the input
        with_argument(fast, "stride", 2),
        with_argument(fast, "stride", 65_535),
        with_argument(fast, "padding", 3),  # more rows of padding than of output
        with_argument(nonsquare, "out_x", 3),
        with_argument(nonsquare, "out_y", 3),
        with_argument(nonsquare, "padding_x", 3),
        with_argument(nonsquare, "padding_y", 3),
    ]
    assert_refused(calls, SIZE_MISMATCH)
    beside = [
        with_argument(fast, "padding", 1),
        with_argument(fast, "padding", 2),
        with_argument(nonsquare, "padding_x", 1),
    ]
    assert_accepted(beside)


@pytest.mark.parametrize("call", POOLS, ids=lambda call: call.function)
def test_pool_refuses_empty_windows_and_what_16_bits_do_not_hold(call):
    calls = [
        with_argument(call, "out", 3),  # a third window would begin at 4
        with_argument(call, "stride", 4),
        with_arguments(call, padding=3, stride=4),
        with_argument(call, "ch", 32_768),
        with_argument(call, "dim", 32_768),
        with_argument(call, "kernel", 32_768),
        with_argument(call, "stride", 32_768),
        with_argument(call, "padding", 32_768),
        with_arguments(call, dim=32_767, ch=3),
    ]
    assert_refused(calls, 0)


def test_average_over_more_than_256_is_refused():
    average = next(call for call in POOLS if "ave" in call.function)
    assert_accepted([with_argument(average, "kernel", 256)])
    assert_refused([with_argument(average, "kernel", 257)], 0)


def test_softmax_of_more_than_int16_counts_is_refused():
    assert_refused([with_argument(x, "size", 32_768) for x in (SOFTMAX, BATCH)], 0)
