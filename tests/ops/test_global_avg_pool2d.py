"""Global average pooling: images of all shapes, all divisions."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.ops.global_avg_pool2d import GLOBAL_AVG_POOL2D, GlobalAvgPool2DAttrs
from kanji_np.types import AvgPoolInts, QParams

ATTRS = GlobalAvgPool2DAttrs()


class TestGlobalAvgPool2D(Conformance):
    op = GLOBAL_AVG_POOL2D
    drawn = random_cases(
        st.just(ATTRS), draw.images, qparams=st.tuples(draw.qparams) | st.just(())
    )
    networks = (
        ((kj.Conv2D(5, 3), kj.GlobalAvgPool2D(), kj.Dense(3)), (9, 9, 2)),
        ((kj.GlobalAvgPool2D(),), (4, 4, 7)),
    )
    cases = (
        Case(ATTRS, (1, 1, 1), batch=1),
        Case(ATTRS, (8, 8, 17), batch=5),
        Case(ATTRS, (5, 5, 3), batch=17),
        Case(ATTRS, (3, 7, 4), unsupported="square images, windows"),
        Case(ATTRS, (4, 4, 33), qparams=(QParams(0.03, 20),)),
    )
    refusals = (Refusal(ATTRS, (4,), r"\(H, W, C\)"),)

    def unsupported(self, case):
        return case.unsupported if case.is_legacy else None

    def bound(self, case, x, y):
        """Half a step; toward zero a step; twice toward zero two."""
        divide = self.ints(case).divide
        steps = {"half_away": 0.5, "toward_zero": 1.0, "toward_zero_twice": 2.0}
        return steps[divide] * case.x_qparams.scale


@pytest.mark.parametrize(
    ("divide", "expected"),
    [("half_away", [1, -1]), ("toward_zero", [0, 0]), ("toward_zero_twice", [0, 0])],
)
def test_how_it_divides(divide, expected):
    x = np.int8([[[1, -1], [1, -1]], [[0, 0], [0, 0]]])[None]
    y = GLOBAL_AVG_POOL2D.run_int(ATTRS, AvgPoolInts(divide=divide), (x,))
    assert y.tolist() == [expected]
