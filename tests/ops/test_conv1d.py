"""1-D convolution: kernels, strides, dilations, paddings."""

from dataclasses import replace

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import (
    TARGETS,
    Case,
    LinearConformance,
    Refusal,
    random_cases,
    unpadded_shape,
)

import kanji_np as kj
from kanji_np.errors import OptionError
from kanji_np.ops.conv1d import CONV1D, Conv1DAttrs
from kanji_np.ops.conv2d import CONV2D


def drawn_in_groups(groups):
    """Random cases of so many groups, with few channels each if there are several."""
    each = draw.channels if groups == 1 else draw.few
    channels = each.map(lambda n: n * groups)
    return random_cases(
        st.builds(
            Conv1DAttrs,
            channels,
            kernel=draw.few,
            stride=draw.few,
            dilation=draw.few,
            padding=st.sampled_from(("same", "valid")) | draw.sides_padded,
            activation=draw.activations,
            weight_bits=draw.weight_bits,
            groups=st.just(groups),
        ),
        st.tuples(draw.sides, channels),
        scaling=draw.scalings,
    )


class TestConv1D(LinearConformance):
    op = CONV1D
    drawn = draw.groups.flatmap(drawn_in_groups)
    networks = (
        (
            (
                kj.Conv1D(8, 3, padding="same", activation="relu"),
                kj.Conv1D(5, 3, strides=2, padding="same"),
                kj.Conv1D(4, 3, padding=(1, 1), activation="relu"),
                kj.Conv1D(3, 1),
            ),
            (24, 4),
        ),
    )
    int4_networks = (
        (
            (
                kj.Conv1D(6, 3, padding="same", activation="relu", weight_bits=4),
                kj.Conv1D(5, 4, strides=2, padding="same", weight_bits=4),
                kj.Conv1D(3, 3, dilation_rate=2, weight_bits=4),
            ),
            (24, 4),
        ),
    )
    cases = (
        Case(Conv1DAttrs(1, 1), (1, 1), batch=1),
        Case(Conv1DAttrs(17, 3, padding="same", activation="relu"), (9, 4), batch=5),
        Case(Conv1DAttrs(5, 4, 2, padding="same"), (10, 3), scaling="channels"),
        Case(Conv1DAttrs(33, 3, dilation=2), (9, 16), batch=3),
        Case(Conv1DAttrs(4, 5, 3, padding=(2, 1)), (11, 2)),
        Case(Conv1DAttrs(3, 7), (9, 200), scaling="extreme"),
        Case(Conv1DAttrs(3, 3, padding="same", weight_bits=4), (9, 4)),
        Case(Conv1DAttrs(5, 3, 2), (8, 2)),  # a cell left over
        Case(Conv1DAttrs(6, 3, padding="same", groups=2), (9, 4), batch=3),
        Case(Conv1DAttrs(9, 1, groups=3), (7, 6), scaling="channels"),
    )
    refusals = (
        Refusal(Conv1DAttrs(2, 3), (4, 4, 1), r"input \(T, C\), got \(4, 4, 1\)"),
        Refusal(Conv1DAttrs(2, 5), (4, 1), "window of 5 .* the width 4"),
        Refusal(Conv1DAttrs(2, 3, groups=2), (4, 3), "2 groups must divide .* got 3"),
    )

    def without_int4(self, target):
        if target == TARGETS[1]:
            return "rounds some outputs twice"
        return super().without_int4(target)

    def unsupported(self, case):
        if case.attrs.weight_bits == 4 and case.target == TARGETS[1]:
            return "rounds some outputs twice"
        if case.attrs.groups > 1 and case.is_legacy:
            return "cmsis-nn-q7 has no convolution in groups"
        if case.attrs.groups > 1 and case.target.version == "4.0.0":
            return "has no convolution in groups"
        if case.is_legacy and case.attrs.dilation != 1:
            return "has no dilated convolution"
        if case.target.core == "mve" and case.shape == (8, 2):
            return "as much padding after .* got 0 before, -1 after"
        return super().unsupported(case)

    def unpadded(self, case):
        _, *shape = unpadded_shape(case.attrs.over_row.window, (1, *case.shape))
        return replace(case.attrs, padding="valid"), tuple(shape)


def test_it_is_a_convolution_of_a_row():
    suite = TestConv1D()
    for case in suite.cases:
        (x,), ints = suite.images(case), suite.ints(case)
        over = replace(ints, weight=ints.weight[:, None])
        np.testing.assert_array_equal(
            CONV1D.run_int(case.attrs, ints, (x,)),
            CONV2D.run_int(case.attrs.over_row, over, (x[:, None],))[:, 0],
        )


@pytest.mark.parametrize("padding", ["full", (1,), (1, -1), 3])
def test_no_padding(padding):
    with pytest.raises(OptionError, match="padding must be"):
        kj.Conv1D(3, 3, padding=padding)
