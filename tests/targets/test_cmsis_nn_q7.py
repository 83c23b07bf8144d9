"""The legacy API: which function takes which shape, scratch memory, weights' order."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from kanji_np.targets import target_spec
from kanji_np.targets.cmsis_nn_q7.convolution import (
    convolution_function,
    depthwise_scratch_bytes,
)
from kanji_np.targets.cmsis_nn_q7.fully_connected import interleave
from kanji_np.window import Window


def same(kernel, stride=(1, 1)):
    return Window(kernel, stride, padding="same")


@pytest.mark.parametrize(
    ("filters", "window", "shape", "kind"),
    [
        (6, same((5, 5)), (8, 8, 3), "HWC_q7_RGB"),
        (6, same((5, 5)), (8, 9, 3), "HWC_q7_basic_nonsquare"),
        (6, same((5, 5)), (8, 8, 4), "HWC_q7_fast"),
        (6, same((5, 3)), (8, 8, 4), "HWC_q7_fast_nonsquare"),
        (5, same((5, 5)), (8, 8, 4), "HWC_q7_basic"),
        (6, same((5, 5)), (8, 8, 6), "HWC_q7_basic"),
        (6, same((1, 1)), (8, 9, 4), "1x1_HWC_q7_fast_nonsquare"),
        (5, same((1, 1)), (8, 8, 4), "HWC_q7_basic"),
        (6, same((1, 1), (2, 2)), (8, 8, 4), "HWC_q7_fast"),
        # "same" pads one cell more after than before, which the fast ones overlook
        (6, same((3, 3), (2, 2)), (8, 8, 4), "HWC_q7_basic"),
        (6, same((3, 3), (2, 2)), (9, 9, 4), "HWC_q7_fast"),
    ],
)
def test_the_fastest_function_that_is_right(filters, window, shape, kind):
    function = convolution_function(shape, filters, window.over(shape))
    assert function == f"arm_convolve_{kind}"


@pytest.mark.parametrize(("core", "expected"), [("c", 0), ("dsp", 9 * 7)])
def test_scratch_memory_of_depthwise_convolution(core, expected):
    target = target_spec("cmsis-nn-q7", core=core)
    assert depthwise_scratch_bytes(9 * 7, target) == expected


def test_the_interleaved_matrix_is_read_in_fours():
    matrix = np.array([[10 * r + c for c in range(6)] for r in range(5)], np.int8)
    fours = [0, 10, 2, 12, 20, 30, 22, 32, 1, 11, 3, 13, 21, 31, 23, 33]
    left_over = [4, 14, 24, 34, 5, 15, 25, 35]
    expected = fours + left_over + [40, 41, 42, 43, 44, 45]
    assert interleave(matrix).ravel().tolist() == expected


@given(st.integers(1, 13), st.integers(1, 13))
def test_interleaving_loses_nothing(rows, columns):
    matrix = np.arange(rows * columns).reshape(rows, columns)
    assert sorted(interleave(matrix).flat) == list(matrix.flat)
