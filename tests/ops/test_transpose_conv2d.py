"""Transposed convolution: kernels, strides, paddings, and outputs of every size."""

from dataclasses import replace

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, LinearConformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.ops.transpose_conv2d import TRANSPOSE_CONV2D, TransposeConv2DAttrs
from kanji_np.types import LinearInts, LinearParams


def up(filters, kernel, stride=(1, 1), padding="valid", activation="linear", more=0):
    return TransposeConv2DAttrs(filters, kernel, stride, padding, activation, more)


class TestTransposeConv2D(LinearConformance):
    op = TRANSPOSE_CONV2D
    drawn = random_cases(
        st.builds(
            up,
            draw.channels,
            draw.pairs,
            draw.pairs,
            draw.paddings,
            draw.activations,
            st.sampled_from((0, 0, 1, (2, 0))),
        ),
        draw.images,
        scaling=draw.scalings,
    )
    networks = (
        (
            (
                kj.Conv2D(7, 3, strides=2, padding="same", activation="relu"),
                kj.Conv2DTranspose(5, 4, 2, "same", "relu"),
                kj.Conv2DTranspose(3, (3, 2), (3, 1), ((1, 0), (0, 1)), "relu6"),
                kj.Conv2DTranspose(2, 2, 3, output_padding=1),
            ),
            (6, 5, 3),
        ),
    )
    int4_networks = ()
    cases = (
        Case(up(1, 1), (1, 1, 1), batch=1),
        Case(up(3, 3, activation="relu"), (5, 4, 3), batch=1),
        Case(up(17, 3, 2, "same"), (4, 5, 3), batch=5),
        Case(up(5, 4, 2, "same", "relu6"), (4, 3, 17)),
        Case(up(4, 2, 3), (3, 4, 5), scaling="channels"),  # stride beyond the kernel
        Case(up(33, (3, 2), (1, 3), "same"), (3, 5, 8), batch=3, scaling="channels"),
        Case(up(3, (4, 5), (2, 3), ((1, 3), (4, 0))), (3, 3, 2)),
        Case(up(2, 3, (2, 4), ((2, 0), (0, 2)), more=(3, 1)), (4, 4, 3), batch=9),
        Case(up(3, 3, 2, "same"), (4, 5, 200), scaling="extreme"),
        Case(up(4, 5, 1, "same"), (5, 5, 41), scaling="extreme"),
    )
    refusals = (
        Refusal(up(3, 3), (4, 4), r"\(H, W, C\)"),
        Refusal(up(3, 3, padding=((3, 0), (0, 0))), (4, 4, 1), "must be less than the"),
        Refusal(up(3, 2, padding=((1, 1), (0, 0))), (1, 4, 1), "an output of 0 cells"),
        Refusal(up(3, 2, 32_000), (3, 4, 1), "an output of 96000 cells"),
    )

    def missing(self, target):
        legacy = target.library == "cmsis-nn-q7"
        return "cmsis-nn-q7 has no transpose_conv2d" if legacy else None

    def unsupported(self, case):
        return self.missing(case.target)

    def unpadded(self, case):
        """Nothing is cut off."""
        nothing = ((0, 0), (0, 0))
        return replace(case.attrs, padding=nothing, output_padding=0), case.shape


@pytest.mark.parametrize(
    ("attrs", "size", "out"),
    [
        (up(1, 3, 2, "same"), 5, 10),
        (up(1, 3, 2), 5, 11),
        (up(1, 2, 3), 5, 15),
        (up(1, 3, 2, ((1, 1), (1, 1)), more=1), 5, 10),
    ],
)
def test_outputs_have_the_size_of_keras(attrs, size, out):
    assert TRANSPOSE_CONV2D.infer(attrs, ((size, size, 1),)) == (out, out, 1)


def test_an_input_adds_its_kernel():
    x = np.zeros((1, 2, 2, 1))
    x[0, 0, 1, 0] = 2.0
    weight = np.arange(9.0).reshape(1, 3, 3, 1)
    params = LinearParams(weight, np.ones(1))
    y = TRANSPOSE_CONV2D.run_float(up(1, 3, 2), params, (x,))
    expected = np.ones((5, 5))
    expected[0:3, 2:5] += 2 * weight[0, :, :, 0]
    np.testing.assert_array_equal(y[0, :, :, 0], expected)


def test_same_padding_cuts_the_odd_cell_off_the_end():
    s = up(1, 4, 1, "same").scatter((3, 3, 1))
    assert (s.before, s.out) == ((1, 1), (3, 3))


def test_the_zero_point_adds_nothing():
    ones = np.ones(1, np.int32)
    weight = np.ones((1, 2, 2, 1), np.int8)
    ints = LinearInts(weight, 0 * ones, ones << 30, ones, input_offset=100)
    x = np.full((1, 2, 2, 1), -100, np.int8)
    for forward in (TRANSPOSE_CONV2D.run_int, TRANSPOSE_CONV2D.forward_int):
        assert not forward(up(1, 2, 2), ints, (x,)).any()
