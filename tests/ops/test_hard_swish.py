"""Hard swish: scales at which its two bends lie far apart and close together."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, TableConformance, random_cases

import kanji_np as kj
from kanji_np.errors import RangeError
from kanji_np.ops.hard_swish import HARD_SWISH, HardSwishAttrs
from kanji_np.types import Numerics, QParams

PLAIN = HardSwishAttrs()


def case(shape, batch, x, y):
    return Case(PLAIN, shape, batch, qparams=(QParams(*x),), y_qparams=QParams(*y))


def branch(target, scheme):
    """What goes in is read again."""
    x = kj.Input((5, 5, 3))
    y = kj.Conv2D(3, 3, padding="same")(x)
    z = kj.Conv2D(3, 1)(kj.HardSwish()(y))
    out = kj.Concatenate()(y, z) if target.library == "cmsis-nn" else z
    return kj.Model(x, out, target, scheme=scheme)


class TestHardSwish(TableConformance):
    op = HARD_SWISH
    drawn = random_cases(
        st.just(PLAIN),
        draw.shapes,
        qparams=st.tuples(draw.qparams),
        y_qparams=draw.qparams,
    )
    networks = (((kj.Conv2D(3, 3), kj.HardSwish(), kj.Conv2D(2, 1)), (6, 5, 3)),)
    branches = (branch,)
    cases = (
        case((1,), 1, (2**-5,), (2**-5,)),
        case((5, 4, 3), 2, (2**-4,), (2**-4,)),
        case((33,), 17, (0.05, -20), (0.03, -100)),
        case((300,), 2, (0.07, 5), (0.07, -123)),
        case((300,), 2, (0.01, 0), (0.004, -60)),
        case((7, 4), 2, (0.9, -128), (0.9, -128)),
        case((64,), 2, (0.1, 3), (0.1 / 127, -128)),  # the finest output there is
        case((64,), 2, (1e-6, 127), (1.0, 3)),
        case((64,), 2, (2.0**-60,), (2.0**-7,)),
    )

    def bound(self, case, xs, y):
        """Half a step at the end; before it, of 2^exponent steps, half a one when X is
        rescaled, one that is cut off, and what 15 bits of a multiplier lose."""
        (x,), y_scale = case.inputs, case.y_qparams.scale
        finer = 2.0 ** min(np.frexp(x.scale / 128 / y_scale)[1], 0)
        return (0.5 + 1.6 * finer) * y_scale + 2.0**-14 * np.abs(xs[0])

    def smooth_incoming(self, case, y):
        gy = super().smooth_incoming(case, y)
        gy[(np.abs(y) < 1e-3) | (np.abs(y - 3) < 1e-3)] = 0
        return gy


def test_an_output_finer_than_the_input_by_seven_bits_is_refused():
    x = (QParams(0.1),)
    with pytest.raises(RangeError, match="0.00078 is too fine for this input"):
        HARD_SWISH.ints(PLAIN, x, QParams(7.8e-4), Numerics())
