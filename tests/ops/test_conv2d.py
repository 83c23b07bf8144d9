"""Convolution: kernels, strides, dilations, paddings, channels, and long sums."""

from dataclasses import replace

from conformance import Case, LinearConformance, Refusal, unpadded_shape

import kanji_np as kj
from kanji_np.ops.conv2d import CONV2D, Conv2DAttrs

ONE = (1, 1)


def conv(filters, kernel, stride=ONE, dilation=ONE, padding="same", relu=False):
    activation = "relu" if relu else "linear"
    return Conv2DAttrs(filters, kernel, stride, dilation, padding, activation)


class TestConv2D(LinearConformance):
    op = CONV2D
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
        # strides, also larger than the kernel, and other than each other
        Case(conv(3, (3, 3), (2, 2)), (8, 9, 3)),
        Case(conv(5, (2, 3), (3, 1)), (10, 5, 4), scaling="channels"),
        Case(conv(2, (1, 1), (3, 4)), (7, 9, 3), batch=3),
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

    def unsupported(self, case):
        if case.is_legacy and case.attrs.dilation != ONE:
            return "cmsis-nn-q7 has no dilated convolution"
        if case.target.core == "mve" and case.attrs.padding == "valid":
            if case.shape[0] == 1:
                return "as much padding after .* got 0 before, -1 after"
        return None

    def unpadded(self, case):
        shape = unpadded_shape(case.attrs.window, case.shape)
        return replace(case.attrs, padding="valid"), shape
