"""Rescaling: numbers for all channels and for each, scales given and chosen."""

from dataclasses import replace

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.ops.rescaling import RESCALING, RescalingAttrs
from kanji_np.types import Numerics, QParams

numbers = st.floats(-4, 4)


def rescaled(shape):
    several = st.tuples(*[numbers] * shape[-1])
    attrs = st.builds(
        RescalingAttrs,
        numbers.map(lambda x: x / 255) | several,
        numbers | several,
        st.none() | draw.scales,
        draw.zero_points,
    )
    return random_cases(attrs, st.just(shape))


class TestRescaling(Conformance):
    op = RESCALING
    drawn = (draw.images | draw.vectors).flatmap(rescaled)
    networks = (
        ((kj.Rescaling(1 / 255),), (5, 4, 3)),
        ((kj.Rescaling(1 / 127.5, -1.0), kj.Conv2D(2, 3)), (5, 5, 3)),
        ((kj.Rescaling((0.1, 0.2, 0.3), (-1.0, 0.0, 1.0)),), (5, 4, 3)),
        ((kj.Rescaling(0.5, output_scale=0.5),), (7,)),
    )
    cases = (
        Case(RescalingAttrs(1 / 255), (5, 4, 3)),
        Case(RescalingAttrs(1 / 127.5, -1.0), (1, 1, 1), batch=1),
        Case(RescalingAttrs(1.0, 0.0, 1.0, -128), (5, 4, 3), batch=17),
        Case(RescalingAttrs((1.0, 2.0), 3.0), (3, 3, 2)),
        Case(RescalingAttrs(0.017, (-2.1, -2.0, -1.8), 0.02, -10), (4, 4, 3)),
        Case(RescalingAttrs(-0.01, 1.0), (11,), batch=5),
        Case(RescalingAttrs(0.0, 1.0), (3, 3, 2)),
    )
    refusals = (
        Refusal(RescalingAttrs((1.0, 2.0)), (4, 4, 3), "scale must be one number or 3"),
        Refusal(RescalingAttrs(1.0, (1.0, 2.0)), (3,), "offset must be one number or"),
    )

    def unsupported(self, case):
        scale, zero = case.attrs.output_scale, case.attrs.output_zero_point
        if case.is_legacy and scale is not None:
            if zero or np.frexp(scale)[0] != 0.5:
                return "powers of two and no zero points; got output_scale="
        return None

    def bound(self, case, xs, y):
        """Half a step."""
        return 0.5 * self.y_qparams(case).scale

    def test_a_given_scale_and_zero_point_are_the_output_s(self):
        attrs = RescalingAttrs(1 / 255, 0.0, 1 / 255, -128)
        y = RESCALING.output_qparams(attrs, (None,), Numerics())
        assert y == QParams(1 / 255, -128)
        ints = RESCALING.ints(attrs, (None,), y, Numerics())
        assert ints.tables.tolist() == [list(range(-128, 128))]


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        (1 / 255, 0.0, 2.0**-7),
        (1 / 127.5, -1.0, 2.0**-7),
        (1.0, 0.0, 2.0),
        (1.0, -128.0, 1.0),
        ((0.01, 0.1), 0.0, 2.0**-2),
        (0.0, 0.0, 2.0**-7),
    ],
)
def test_the_scale_that_is_chosen_holds_every_grey_level(scale, offset, expected):
    attrs = RescalingAttrs(scale, offset)
    y = RESCALING.output_qparams(attrs, (None,), Numerics())
    assert y == QParams(expected)


def test_the_zero_point_of_a_scale_that_is_chosen_is_zero():
    attrs = replace(RescalingAttrs(1 / 255), output_zero_point=5)
    assert RESCALING.output_qparams(attrs, (None,), Numerics()).zero_point == 0


@pytest.mark.parametrize("target", ["tflm", "litert", "xnnpack"])
def test_a_given_scale_is_a_float32_for_a_runtime(target):
    net = kj.Sequential([kj.Rescaling(0.1, output_scale=0.1)], (3,), target)
    assert net.freeze().output.qparams == QParams(float(np.float32(0.1)))
