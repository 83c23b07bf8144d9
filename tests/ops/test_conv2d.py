"""Convolution: kernels, strides, dilations, paddings, channels, and long sums."""

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
from conformance.suite import check_emitted_c

import kanji_np as kj
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.layers import make_layer
from kanji_np.model import Sequential
from kanji_np.ops.conv2d import CONV2D, Conv2DAttrs
from kanji_np.ops.op import attrs_text
from kanji_np.targets import target_spec
from kanji_np.types import LinearParams

ONE = (1, 1)


def conv(filters, kernel, stride=ONE, dilation=ONE, padding="same", relu=False, bits=8):
    activation = "relu" if relu else "linear"
    return Conv2DAttrs(filters, kernel, stride, dilation, padding, activation, bits)


def grouped(groups, *args, **more):
    return replace(conv(*args, **more), groups=groups)


def drawn_in_groups(groups):
    """Random cases of so many groups, with few channels each if there are several."""
    each = draw.channels if groups == 1 else draw.few
    channels = each.map(lambda n: n * groups)
    return random_cases(
        st.builds(
            Conv2DAttrs,
            channels,
            kernel=draw.pairs,
            stride=draw.pairs,
            dilation=draw.dilations,
            padding=draw.paddings,
            activation=draw.activations,
            weight_bits=draw.weight_bits,
            groups=st.just(groups),
        ),
        st.tuples(draw.sides, draw.sides, channels),
        scaling=draw.scalings,
    )


#: Why MVE cores take no int4 weights in a library built for single rounding.
ROUNDS_TWICE = "rounds some outputs twice where the library is built to round once"
#: 1x1 windows that lie in the padding after the input, with none before it.
BEYOND = conv(3, (1, 1), (2, 2), padding=((0, 1), (0, 0)))


class TestConv2D(LinearConformance):
    op = CONV2D
    drawn = draw.groups.flatmap(drawn_in_groups)
    examples = 60
    networks = (
        (
            (
                kj.Conv2D(17, (1, 7), padding="same"),
                kj.Conv2D(33, 3, strides=2, padding="same", activation="relu"),
                kj.Conv2D(3, (3, 2), dilation_rate=(1, 3), padding=((2, 0), (1, 3))),
                kj.Conv2D(65, 1, activation="relu"),
                kj.Conv2D(1, 5, padding="same"),
            ),
            (9, 11, 3),
        ),
        (
            (
                kj.Conv2D(200, 1, strides=(2, 1)),
                kj.Conv2D(3, 3, padding="same"),
                kj.Conv2D(4, (2, 2), dilation_rate=2),
            ),
            (8, 5, 1),
        ),
        ((kj.Conv2D(1, 1),), (1, 1, 1)),
    )
    cases = (
        # channels around the vector width, kernels, batches around the blocks of images
        Case(conv(1, (1, 1)), (1, 1, 1), batch=1),
        Case(conv(3, (3, 3), relu=True), (5, 4, 3), batch=1),
        Case(conv(17, (1, 7)), (3, 9, 1), batch=5),
        Case(conv(33, (3, 3)), (6, 7, 17), batch=17, scaling="channels"),
        Case(conv(64, (5, 5), relu=True), (7, 6, 3), batch=2),
        Case(conv(65, (1, 1)), (4, 9, 33), batch=5, scaling="channels"),
        Case(conv(1, (5, 5)), (9, 17, 64), batch=2),
        Case(conv(16, (3, 3)), (8, 8, 65), batch=2, scaling="channels"),
        Case(conv(32, (7, 1), relu=True), (11, 3, 2), batch=5),
        Case(replace(conv(17, (3, 3)), activation="relu6"), (5, 6, 3)),
        Case(replace(conv(3, (1, 1)), activation="relu6"), (3, 3, 2), batch=3),
        # strides, also larger than the kernel, and other than each other
        Case(conv(3, (3, 3), (2, 2)), (8, 9, 3)),
        Case(conv(5, (2, 3), (3, 1)), (10, 5, 4), scaling="channels"),
        Case(conv(2, (1, 1), (3, 4)), (7, 9, 3), batch=3),
        # strides along an axis of one cell, and past the end of another
        Case(conv(4, (1, 1), (1, 2)), (2, 1, 3), batch=3),
        Case(conv(4, (1, 1), (2, 1)), (1, 5, 3), scaling="channels"),
        Case(replace(BEYOND, stride=(2, 1)), (2, 3, 3)),
        # dilations
        Case(conv(4, (3, 3), dilation=(2, 2)), (9, 9, 3)),
        Case(conv(17, (3, 2), (2, 1), (1, 3), relu=True), (9, 10, 2), batch=3),
        Case(conv(3, (3, 1), dilation=(3, 2)), (9, 5, 3), scaling="channels"),
        # padding
        Case(conv(4, (3, 5), padding="valid"), (6, 8, 3)),
        Case(conv(4, (3, 3), (2, 2), padding=((0, 1), (2, 3))), (5, 6, 3)),
        Case(conv(3, (2, 2), padding=((3, 0), (0, 4))), (3, 2, 2), scaling="channels"),
        Case(conv(2, (1, 1), (2, 2), padding=((1, 1), (1, 1))), (4, 4, 3), batch=3),
        # windows that do not reach the end of the input
        Case(conv(3, (2, 2), (4, 4), padding="valid"), (9, 12, 2)),
        # sums beyond 2^24: several rows, one row, and one cell longer than the limit
        Case(conv(3, (3, 3)), (4, 5, 200), scaling="extreme"),
        Case(conv(3, (1, 1)), (2, 9, 1025), scaling="extreme"),
        Case(conv(4, (1, 7)), (2, 8, 200), scaling="extreme"),
        Case(conv(17, (2, 2), dilation=(1, 2)), (3, 4, 1100), scaling="extreme"),
        Case(conv(4, (3, 3), dilation=(2, 2)), (5, 5, 400), scaling="extreme"),
        Case(conv(33, (5, 5)), (5, 5, 41), scaling="extreme"),
        Case(conv(3, (3, 3)), (4, 5, 200)),
        # one row of pixels, which MVE cores treat on their own
        Case(conv(5, (1, 3)), (1, 9, 4)),
        Case(conv(5, (1, 4), (1, 2)), (1, 9, 2), scaling="channels"),
        Case(conv(5, (1, 9)), (1, 4, 4)),
        Case(conv(5, (1, 3), (1, 2), padding="valid"), (1, 8, 2)),
        Case(conv(5, (1, 5), (1, 2)), (1, 9, 2)),
        Case(conv(5, (1, 5), (1, 2)), (1, 10, 2)),
        Case(conv(5, (1, 3), padding=((0, 1), (1, 1))), (1, 9, 4)),
        Case(BEYOND, (4, 4, 3)),
        Case(replace(BEYOND, stride=(3, 3)), (4, 4, 3)),
        # int4: filters that begin in the middle of a byte, an odd number of weights
        Case(conv(1, (1, 1), bits=4), (1, 1, 1), batch=1),
        Case(conv(3, (3, 3), bits=4), (6, 7, 3), batch=3, scaling="channels"),
        Case(conv(4, (5, 5), relu=True, bits=4), (7, 6, 4)),
        Case(conv(5, (3, 2), (2, 1), (1, 3), bits=4), (9, 10, 2), scaling="channels"),
        Case(conv(7, (1, 1), bits=4), (4, 5, 17), scaling="channels"),
        Case(conv(7, (1, 1), (2, 2), bits=4), (5, 5, 6)),
        Case(conv(3, (3, 3), bits=4), (4, 5, 200), scaling="extreme"),
        Case(conv(5, (1, 3), bits=4), (1, 9, 4)),
        Case(conv(5, (1, 5), (1, 2), bits=4), (1, 9, 2)),
        Case(conv(5, (1, 4), (1, 4), bits=4), (1, 9, 3)),
        Case(conv(5, (1, 9), bits=4), (1, 4, 4)),
        Case(replace(BEYOND, weight_bits=4), (4, 4, 3)),
        # groups: of one channel, of one filter, as many as there are channels, 1x1, in
        # one row, with filters around the vector width, with long sums
        Case(grouped(2, 4, (1, 1)), (1, 1, 2), batch=1),
        Case(grouped(2, 6, (3, 3), relu=True), (5, 4, 4), batch=1),
        Case(grouped(3, 3, (2, 3), (2, 1)), (6, 7, 9), scaling="channels"),
        Case(grouped(5, 10, (3, 3), dilation=(2, 1)), (7, 6, 5), batch=3),
        Case(grouped(2, 34, (3, 3)), (6, 7, 34), batch=5, scaling="channels"),
        Case(grouped(3, 99, (1, 1), relu=True), (4, 5, 24), batch=3),
        Case(grouped(4, 8, (1, 1), (2, 2)), (5, 5, 8), scaling="channels"),
        Case(grouped(4, 12, (1, 3)), (1, 9, 8)),
        Case(grouped(2, 4, (1, 3), padding=((0, 1), (1, 1))), (1, 9, 4)),
        Case(grouped(2, 8, (3, 3)), (4, 5, 400), scaling="extreme"),
        Case(grouped(2, 4, (2, 2), padding=((3, 0), (0, 4))), (3, 2, 4)),
        Case(replace(BEYOND, filters=4, groups=2), (4, 4, 2), scaling="channels"),
        Case(grouped(2, 4, (3, 3), bits=4), (4, 5, 6)),
        # what the legacy API has functions of their own for
        Case(conv(6, (1, 1)), (5, 4, 8), batch=3),
        Case(conv(6, (3, 3), (2, 2), padding=((1, 1), (1, 1))), (7, 7, 4)),
        Case(conv(6, (3, 5)), (7, 8, 4)),
        Case(conv(6, (3, 3)), (7, 7, 3)),
        # shifts far to the left
        Case(conv(6, (1, 1)), (2, 2, 1), batch=1, scaling="extreme"),
    )
    refusals = (
        Refusal(conv(2, (3, 3)), (8,), r"\(H, W, C\).* got \(8,\)"),
        Refusal(
            conv(2, (3, 5), padding="valid"), (4, 4, 1), "window of 5 .* the width 4"
        ),
        Refusal(
            conv(2, (3, 1), dilation=(3, 1), padding=((1, 1), (0, 0))),
            (4, 4, 1),
            r"window of 7 .* height 4 with padding 1\+1",
        ),
        Refusal(grouped(2, 2, (1, 1)), (4, 4, 3), "2 groups must divide .* got 3"),
    )

    legacy_networks = (
        (
            (
                kj.Conv2D(8, 3, padding="same", activation="relu"),
                kj.Conv2D(6, 5, padding="same"),
                kj.Conv2D(12, 1, activation="relu"),
                kj.Conv2D(4, 1),
                kj.Conv2D(6, 3, strides=2, padding="same"),
                kj.Conv2D(4, 3, padding="same"),
            ),
            (10, 10, 3),
        ),
        (
            (
                kj.Conv2D(4, (3, 2), strides=(2, 1), padding=((3, 0), (0, 2))),
                kj.Conv2D(8, (1, 3), padding="same", activation="relu"),
                kj.Conv2D(6, 1, strides=2),
                kj.Conv2D(3, 2, strides=2, padding="same"),
            ),
            (9, 11, 5),
        ),
    )

    int4_networks = (
        (
            (
                kj.Conv2D(17, (1, 7), padding="same", weight_bits=4),
                kj.Conv2D(4, 3, 2, "same", activation="relu", weight_bits=4),
                kj.Conv2D(3, (3, 2), dilation_rate=(1, 2), weight_bits=4),
                kj.Conv2D(65, 1, activation="relu", weight_bits=4),
                kj.Conv2D(1, 1, weight_bits=4),
            ),
            (9, 11, 3),
        ),
    )

    def without_int4(self, target):
        if target == TARGETS[1]:
            return ROUNDS_TWICE
        return super().without_int4(target)

    def unsupported(self, case):
        attrs, shape = case.attrs, case.shape
        if attrs.groups > 1:
            return self.without_groups(case)
        if attrs.weight_bits == 4 and case.target == TARGETS[1]:
            return ROUNDS_TWICE
        if case.is_legacy and attrs.dilation != ONE and attrs.weight_bits == 8:
            return "cmsis-nn-q7 has no dilated convolution"
        if not case.is_legacy:
            if attrs.kernel == (1, 1) and attrs.padding == BEYOND.padding:
                if attrs.stride[0] == 2:
                    return "reads beyond the input where the windows of a 1x1 kernel"
            if case.target.core == "mve" and shape[0] == attrs.kernel[0] == 1:
                return self.wrong_row(case)
        return super().unsupported(case)

    def without_groups(self, case):
        """Why a target does not take a convolution in groups."""
        attrs = case.attrs
        if case.is_legacy and attrs.weight_bits == 8 and attrs.dilation == ONE:
            return "cmsis-nn-q7 has no convolution in groups; take one group, or the"
        if case.is_legacy and attrs.weight_bits == 8:
            return "cmsis-nn-q7 has no dilated convolution"
        if attrs.weight_bits == 4 and not case.is_legacy:
            return "arm_convolve_wrapper_s4 has no groups; take weight_bits=8, or one"
        if case.target.version == "4.0.0":
            return r"4\.0\.0 has no convolution in groups; take version 7\.0\.0, or one"
        return super().unsupported(case)

    def wrong_row(self, case):
        """Why MVE cores do not take one row of pixels."""
        attrs, newest = case.attrs, case.target.version == "7.0.0"
        return {
            ((1, 3), "valid", 8): "as much padding after .* got 0 before, -1 after",
            ((1, 3), ((0, 1), (1, 1)), 8): "one row of output, and no padding above",
            ((1, 9), "same", 4): "a window that does not reach into the padding",
            ((1, 4), "same", 4): "an even number of channels",
            ((1, 4), "same", 8): newest and "leaves it by one cell; got stride 2",
            ((1, 5), "same", 8): newest and "leaves it by one cell; got stride 2",
        }.get((attrs.kernel, attrs.padding, attrs.weight_bits)) or None

    def unpadded(self, case):
        shape = unpadded_shape(case.attrs.window, case.shape)
        return replace(case.attrs, padding="valid"), shape

    @pytest.mark.parametrize("core", ["c", "dsp", "mve"])
    def test_emitted_c_in_groups(self, tmp_path, core):
        layers = [
            kj.Conv2D(12, 3, padding="same", activation="relu", groups=3),
            kj.Conv2D(8, 1, groups=4),
            kj.Conv2D(34, 3, 2, "same", groups=2, batch_norm=True),
            kj.Conv2D(3, 1),
        ]
        target = target_spec("cmsis-nn", core=core)
        net = Sequential(layers, (5, 7, 3), target, scheme="asymmetric")
        check_emitted_c(net, tmp_path)


def test_a_convolution_in_groups_is_one_for_each_group():
    rng, attrs = np.random.default_rng(0), grouped(3, 12, (3, 2), (2, 1))
    x = rng.standard_normal((2, 6, 5, 9))
    params = LinearParams(rng.standard_normal((12, 3, 2, 3)), rng.standard_normal(12))
    alone = replace(attrs, filters=4, groups=1)
    expected = [
        CONV2D.forward_float(alone, LinearParams(weight, bias), (part,))
        for weight, bias, part in zip(
            np.split(params.weight, 3),
            np.split(params.bias, 3),
            np.split(x, 3, axis=3),
            strict=True,
        )
    ]
    y = CONV2D.forward_float(attrs, params, (x,))
    np.testing.assert_allclose(y, np.concatenate(expected, axis=3), rtol=1e-12)


def test_groups_that_do_not_fit():
    with pytest.raises(OptionError, match="groups must be a divisor of filters, got 2"):
        kj.Conv2D(5, 3, groups=2)
    wide = Sequential([kj.Conv2D(2, 3, groups=2)], (3, 3, 7280), target_spec("tflm"))
    wider = [make_layer(x.op, x.attrs) for x in wide.layers]
    with pytest.raises(UnsupportedOp, match="of all groups at most, got 65538"):
        Sequential(wider, (3, 3, 7282))


def test_model_files_say_groups_where_there_are_several(tmp_path):
    """Files of networks without groups are those of before, and so are digests."""
    plain, several = conv(4, (3, 3)), grouped(2, 4, (3, 3))
    assert "groups" not in attrs_text(plain) and "groups=2" in attrs_text(several)
    net = Sequential([make_layer(CONV2D, a) for a in (several, plain)], (5, 4, 4))
    net.save(tmp_path / "net.npz")
    again = kj.load(tmp_path / "net.npz")
    assert [layer.attrs.groups for layer in again.layers] == [2, 1]
    assert again.freeze().digest() == net.freeze().digest()
