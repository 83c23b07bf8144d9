"""Sigmoid: scales from fine to coarse, zero points, both ends of fixed point."""

import draw
import hypothesis.strategies as st
import pytest
from conformance import Case, TableConformance, random_cases

import kanji_np as kj
from kanji_np.ops.sigmoid import SIGMOID, SigmoidAttrs
from kanji_np.types import Numerics, QParams

PLAIN = SigmoidAttrs()


def gate(target, scheme):
    """Squeeze and excite: a tensor, and a gate made of it."""
    x = kj.Input((6, 7, 5))
    y = kj.Conv2D(5, 3, padding="same")(x)
    return kj.Model(x, kj.Multiply()(y, kj.Sigmoid()(y)), target, scheme=scheme)


class TestSigmoid(TableConformance):
    op = SIGMOID
    drawn = random_cases(
        st.just(PLAIN), draw.shapes, qparams=st.tuples(draw.qparams) | st.just(())
    )
    networks = (((kj.Dense(7), kj.Sigmoid()), (9,)), ((kj.Sigmoid(),), (4, 5, 3)))
    branches = (gate,)
    cases = (
        Case(PLAIN, (1,), batch=1),
        Case(PLAIN, (5, 4, 3)),
        Case(PLAIN, (33,), batch=17),
        Case(PLAIN, (7, 4), qparams=(QParams(0.07, 20),)),
        Case(PLAIN, (300,), qparams=(QParams(0.031, -128),)),
        Case(PLAIN, (300,), qparams=(QParams(0.5, 3),)),
        Case(PLAIN, (64,), qparams=(QParams(1e-6, 127),)),
        Case(PLAIN, (64,), qparams=(QParams(2.0**-60),)),
    )

    def missing(self, target):
        legacy = target.library == "cmsis-nn-q7"
        return "cmsis-nn-q7 has no sigmoid" if legacy else None

    def unsupported(self, case):
        return self.missing(case.target)

    def bound(self, case, xs, y):
        """Half a step, and what fixed point loses."""
        return 0.501 / 256


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(7.9, [-128, 0, 127]), (8.0, [-128, -128, 127])],
)
def test_where_steps_are_large_fixed_point_knows_the_ends_alone(scale, expected):
    """TFLite Micro takes zero for the lower end where a step is 8 or more."""
    ints = SIGMOID.ints(PLAIN, (QParams(scale),), QParams(1 / 256, -128), Numerics())
    assert ints.values[127:130].tolist() == expected
