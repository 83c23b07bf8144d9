"""Depthwise convolution: channels, kernels, strides, dilations, paddings, multipliers.

The library's kernels for it are wrong in corners that its callers do not expect; the
cases that are refused lie just outside those that are not.
"""

from dataclasses import replace

import draw
import hypothesis.strategies as st
from conformance import (
    TARGETS,
    Case,
    LinearConformance,
    Refusal,
    random_cases,
    unpadded_shape,
)

import kanji_np as kj
from kanji_np.ops.depthwise_conv2d import DEPTHWISE_CONV2D, DepthwiseConv2DAttrs

ONE = (1, 1)


def depthwise(
    kernel, stride=ONE, dilation=ONE, padding="same", multiplier=1, relu=False, bits=8
):
    activation = "relu" if relu else "linear"
    return DepthwiseConv2DAttrs(
        kernel, stride, dilation, padding, multiplier, activation, bits
    )


#: 3x3 windows that reach two columns beyond the input.
TOO_FAR_RIGHT = depthwise((3, 3), padding=((0, 2), (0, 2)))
#: Windows that lie in the rows of the padding, one row away from the input.
TOO_FAR_UP = depthwise((2, 3), padding=((3, 0), (1, 1)))
TOO_FAR_DOWN = depthwise((2, 3), padding=((0, 3), (1, 1)))


class TestDepthwiseConv2D(LinearConformance):
    op = DEPTHWISE_CONV2D
    drawn = random_cases(
        st.builds(
            DepthwiseConv2DAttrs,
            kernel=draw.pairs,
            stride=draw.pairs,
            dilation=draw.dilations,
            padding=draw.paddings,
            depth_multiplier=st.sampled_from((1, 1, 2, 3, 5)),
            activation=draw.activations,
            weight_bits=draw.weight_bits,
        ),
        draw.images,
        scaling=draw.scalings,
    )
    examples = 40
    networks = (
        (
            (
                kj.DepthwiseConv2D(3, padding="same", depth_multiplier=3),
                kj.DepthwiseConv2D(3, strides=2, padding="same", activation="relu"),
                kj.DepthwiseConv2D(
                    (3, 2), padding=((2, 0), (1, 3)), dilation_rate=(1, 3)
                ),
                kj.DepthwiseConv2D(1, depth_multiplier=4, activation="relu"),
                kj.DepthwiseConv2D((5, 1), padding="same"),
            ),
            (9, 11, 3),
        ),
        (
            (
                kj.DepthwiseConv2D(3, padding="same", depth_multiplier=17),
                kj.Conv2D(130, 1),
                kj.DepthwiseConv2D(3, padding=((1, 0), (1, 1))),
                kj.DepthwiseConv2D((2, 4), strides=(2, 1)),
            ),
            (8, 5, 1),
        ),
        ((kj.DepthwiseConv2D(1),), (1, 1, 1)),
    )
    cases = (
        # channels around the vector width, kernels, batches around the blocks of images
        Case(depthwise((1, 1)), (1, 1, 1), batch=1),
        Case(depthwise((3, 3), relu=True), (5, 4, 3), batch=1),
        Case(depthwise((1, 7)), (3, 9, 1), batch=5),
        Case(replace(depthwise((3, 3)), activation="relu6"), (5, 6, 5)),
        Case(depthwise((3, 3)), (6, 7, 17), batch=17, scaling="channels"),
        Case(depthwise((5, 5), relu=True), (6, 7, 33), batch=3),
        Case(depthwise((1, 1)), (4, 9, 33), batch=5, scaling="channels"),
        Case(depthwise((3, 3)), (9, 17, 64), batch=2),
        Case(depthwise((7, 1), relu=True), (11, 3, 2), batch=5),
        # rows of one group of windows, of several, of one window a group
        Case(depthwise((3, 3)), (3, 40, 64), batch=1, scaling="channels"),
        Case(depthwise((3, 3)), (3, 131, 2), batch=1),
        Case(depthwise((3, 2)), (3, 3, 300), batch=1, scaling="channels"),
        # strides, also larger than the kernel, and other than each other
        Case(depthwise((3, 3), (2, 2)), (8, 9, 3)),
        Case(depthwise((2, 3), (3, 1)), (10, 5, 4), scaling="channels"),
        Case(depthwise((1, 1), (3, 4)), (7, 9, 3), batch=3),
        Case(depthwise((5, 5), (2, 3), relu=True), (9, 10, 8), scaling="channels"),
        # dilations, alone and with strides that share a factor with them or do not
        Case(depthwise((3, 3), dilation=(2, 2)), (9, 9, 3)),
        Case(depthwise((3, 2), (2, 1), (1, 3), relu=True), (9, 10, 17), batch=3),
        Case(depthwise((3, 3), (2, 2), (2, 2)), (9, 9, 3), scaling="channels"),
        Case(depthwise((2, 3), (3, 4), (2, 3)), (9, 12, 5)),
        # multipliers
        Case(depthwise((3, 3), multiplier=2), (5, 6, 3)),
        Case(depthwise((3, 3), multiplier=3, relu=True), (6, 5, 17), batch=3),
        Case(depthwise((2, 3), (2, 2), multiplier=3), (6, 7, 2), scaling="channels"),
        Case(depthwise((3, 3), dilation=(2, 1), multiplier=4), (6, 6, 3)),
        Case(depthwise((3, 3), multiplier=8), (4, 5, 1), scaling="channels"),
        # one row of one channel, which MVE cores treat as a convolution of its own
        Case(depthwise((1, 3), (1, 4), multiplier=5), (1, 7, 1)),
        Case(depthwise((1, 3), (1, 4), padding="valid", multiplier=5), (1, 7, 1)),
        Case(depthwise((1, 3), (1, 4), padding="valid", multiplier=5), (1, 9, 1)),
        # padding
        Case(depthwise((3, 5), padding="valid"), (6, 8, 3)),
        Case(depthwise((3, 3), (2, 2), padding=((0, 1), (2, 3))), (5, 6, 3)),
        Case(depthwise((1, 1), (2, 2), padding=((1, 1), (1, 1))), (4, 4, 3), batch=3),
        Case(depthwise((3, 3), padding=((0, 2), (0, 1))), (4, 5, 3)),
        Case(depthwise((3, 3), padding=((1, 5), (1, 1))), (4, 5, 3)),
        Case(TOO_FAR_RIGHT, (4, 5, 3)),
        Case(replace(TOO_FAR_RIGHT, padding=((0, 2), (2, 2))), (4, 5, 3)),
        Case(replace(TOO_FAR_RIGHT, depth_multiplier=2), (4, 5, 3)),
        Case(depthwise((2, 3), padding=((2, 2), (4, 4))), (4, 5, 3)),
        Case(TOO_FAR_UP, (4, 5, 3), scaling="channels"),
        Case(TOO_FAR_UP, (4, 5, 3)),
        Case(TOO_FAR_DOWN, (4, 5, 3)),
        # int4: channels that begin in the middle of a byte, an odd number of weights
        Case(depthwise((1, 1), bits=4), (1, 1, 1), batch=1),
        Case(depthwise((3, 3), bits=4), (6, 7, 17), batch=3, scaling="channels"),
        Case(depthwise((5, 4), (2, 1), relu=True, bits=4), (6, 7, 6)),
        Case(depthwise((2, 3), multiplier=3, bits=4), (5, 4, 6), scaling="channels"),
        Case(depthwise((2, 3), multiplier=2, bits=4), (5, 4, 3)),
        Case(depthwise((3, 3), dilation=(2, 1), bits=4), (6, 6, 4)),
        Case(depthwise((3, 3), dilation=(2, 1), bits=4), (6, 6, 3)),
        Case(replace(TOO_FAR_RIGHT, weight_bits=4), (4, 5, 3)),
        Case(replace(TOO_FAR_UP, weight_bits=4), (4, 5, 3)),
        Case(replace(TOO_FAR_DOWN, weight_bits=4), (4, 5, 3)),
        Case(depthwise((5, 5), (2, 1), bits=4), (7, 6, 9), scaling="extreme"),
        # windows that do not reach the end of the input
        Case(depthwise((2, 2), (4, 4), padding="valid"), (9, 12, 2)),
        # the largest sums: few products, many, and beyond 2^24
        Case(depthwise((1, 1)), (2, 2, 1), batch=1, scaling="extreme"),
        Case(depthwise((3, 3), multiplier=2), (4, 5, 20), scaling="extreme"),
        Case(depthwise((5, 5), (2, 1)), (7, 6, 9), scaling="extreme"),
        Case(depthwise((23, 29), padding="valid"), (23, 30, 6), scaling="extreme"),
    )
    refusals = (
        Refusal(depthwise((3, 3)), (8,), r"\(H, W, C\).* got \(8,\)"),
        Refusal(
            depthwise((3, 5), padding="valid"), (4, 4, 1), "window of 5 .* the width 4"
        ),
    )
    legacy_networks = (
        (
            (
                kj.DepthwiseConv2D(3, padding="same", activation="relu"),
                kj.DepthwiseConv2D(5, strides=2, padding="same"),
                kj.Conv2D(12, 1, activation="relu"),
                kj.DepthwiseConv2D(1),
                kj.DepthwiseConv2D(2, padding=((1, 3), (3, 1))),
            ),
            (10, 10, 3),
        ),
        (
            (
                kj.DepthwiseConv2D((3, 2), strides=(2, 1), padding=((3, 0), (0, 2))),
                kj.DepthwiseConv2D((1, 3), padding="same", activation="relu"),
                kj.DepthwiseConv2D(3, strides=2, padding="same"),
            ),
            (9, 11, 5),
        ),
    )

    int4_networks = (
        (
            (
                kj.DepthwiseConv2D(3, padding="same", weight_bits=4),
                kj.DepthwiseConv2D(3, 2, "same", activation="relu", weight_bits=4),
                kj.DepthwiseConv2D((2, 1), weight_bits=4),
            ),
            (9, 11, 5),
        ),
        (
            (
                kj.DepthwiseConv2D(2, dilation_rate=(1, 3), weight_bits=4),
                kj.DepthwiseConv2D(3, 2, "same", 3, activation="relu", weight_bits=4),
                kj.DepthwiseConv2D(1, weight_bits=4),
            ),
            (8, 7, 2),
        ),
    )

    def without_int4(self, target):
        if target.library == "cmsis-nn" and target.core == "mve":
            return "on MVE cores does not give the answers of the others"
        return super().without_int4(target)

    def unsupported(self, case):
        attrs, core = case.attrs, case.target.core
        if attrs.weight_bits == 4:
            return self.wrong_int4(case) or super().unsupported(case)
        if case.is_legacy:
            if attrs.dilation != ONE:
                return "cmsis-nn-q7 has no dilated depthwise"
            if attrs.depth_multiplier > 1:
                return "depth_multiplier 1 only"
            return super().unsupported(case)
        if attrs == TOO_FAR_RIGHT and core != "mve":
            return "more than one column beyond the input, .* got 2"
        if attrs in (TOO_FAR_UP, TOO_FAR_DOWN) and core == "dsp":
            return "on DSP cores writes outside its scratch"
        if case.shape == (1, 9, 1) and case.target == TARGETS[1]:
            return "as much padding after .* got 0 before, -2 after"
        return None

    def wrong_int4(self, case):
        """Why the target does not take int4 weights."""
        attrs = case.attrs
        if case.is_legacy:
            return None
        if case.target.core == "mve":
            return "on MVE cores does not give the answers of the others"
        if attrs.depth_multiplier > 1 or attrs.dilation != ONE:
            channels = case.shape[2]
            if channels % 2:
                return f"an even number of input channels, got {channels}"
        if replace(attrs, weight_bits=8) in (TOO_FAR_UP, TOO_FAR_DOWN):
            return "_s4 writes outside its scratch"
        return None

    def unpadded(self, case):
        shape = unpadded_shape(case.attrs.window, case.shape)
        return replace(case.attrs, padding="valid"), shape
