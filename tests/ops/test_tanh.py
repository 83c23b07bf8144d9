"""Hyperbolic tangent: scales from fine to coarse, zero points."""

import draw
import hypothesis.strategies as st
from conformance import Case, TableConformance, random_cases

import kanji_np as kj
from kanji_np.ops.tanh import TANH, TanhAttrs
from kanji_np.types import QParams

PLAIN = TanhAttrs()


class TestTanh(TableConformance):
    op = TANH
    drawn = random_cases(
        st.just(PLAIN), draw.shapes, qparams=st.tuples(draw.qparams) | st.just(())
    )
    networks = (
        ((kj.Dense(7), kj.Tanh(), kj.Dense(3)), (9,)),
        ((kj.Tanh(),), (4, 5, 3)),
    )
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

    def bound(self, case, xs, y):
        """Half a step, and what fixed point loses."""
        return 0.501 / 128
