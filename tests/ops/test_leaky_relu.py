"""Leaky ReLU: slopes from 0 to 1, scales far apart."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, TableConformance, random_cases

import kanji_np as kj
from kanji_np.errors import OptionError, RangeError
from kanji_np.ops.leaky_relu import LEAKY_RELU, LeakyReluAttrs
from kanji_np.types import Numerics, QParams


def case(slope, shape, batch, x, y):
    attrs = LeakyReluAttrs(slope)
    return Case(attrs, shape, batch, qparams=(QParams(*x),), y_qparams=QParams(*y))


class TestLeakyRelu(TableConformance):
    op = LEAKY_RELU
    drawn = random_cases(
        st.builds(LeakyReluAttrs, st.floats(0, 1)),
        draw.shapes,
        qparams=st.tuples(draw.qparams),
        y_qparams=draw.qparams,
    )
    networks = (
        ((kj.Conv2D(3, 3), kj.LeakyReLU(0.1), kj.Conv2D(2, 1)), (6, 5, 3)),
        ((kj.Dense(7), kj.LeakyReLU(0.01), kj.Dense(2)), (9,)),
    )
    cases = (
        case(0.3, (1,), 1, (2**-5,), (2**-5,)),
        case(0.125, (5, 4, 3), 2, (2**-5,), (2**-6,)),
        case(0.01, (33,), 17, (0.05, -20), (0.03, -100)),
        case(0.2, (300,), 2, (0.07, 5), (0.02, -90)),
        case(0.0, (7, 4), 2, (0.07, 5), (0.07, -128)),
        case(1.0, (300,), 2, (0.01, 0), (0.02, 60)),
        case(0.1, (64,), 2, (1e-6, -128), (1.0, 3)),
        case(0.1, (64,), 2, (1.0, 3), (2.0**-21, 3)),  # the finest output there is
    )

    def bound(self, case, xs, y):
        """Half a step, and before it half a step of 2^shift of its size where there are
        two. XNNPACK's factors have 8 bits behind the point."""
        (x,), y_scale = case.inputs, case.y_qparams.scale
        shift = min(np.frexp(x.scale / y_scale)[1], 0)
        step = (0.5 + 2.0 ** (shift - 1) + 1e-4) * y_scale
        if case.target.numerics.kernels == "xnnpack":
            step += np.abs(xs[0] / x.scale) * y_scale / 512
        return step

    def smooth_incoming(self, case, y):
        gy = super().smooth_incoming(case, y)
        gy[np.abs(y) < 1e-4] = 0
        return gy


def test_a_slope_is_not_negative():
    with pytest.raises(OptionError, match="negative_slope must be a finite number in"):
        LeakyReluAttrs(-0.1)


def test_an_output_that_is_too_fine_is_refused():
    attrs = LeakyReluAttrs()
    with pytest.raises(RangeError, match="is too fine for this input"):
        LEAKY_RELU.ints(attrs, (QParams(1.0),), QParams(2.0**-23), Numerics())
