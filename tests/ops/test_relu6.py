"""ReLU6 as a layer of its own: scales at which 6 is inside int8, and beyond it."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, random_cases

import kanji_np as kj
from kanji_np.ops.relu import RELU
from kanji_np.ops.relu6 import RELU6, Relu6Attrs
from kanji_np.types import Numerics, QParams, Saved

ATTRS = Relu6Attrs()


def clamped(target, scheme):
    x = kj.Input((4, 5, 3))
    y = kj.ReLU6()(kj.Conv2D(3, 1)(kj.ReLU6()(x)))
    z = kj.ReLU()(kj.GlobalAvgPool2D()(kj.Conv2D(7, 1)(y)))
    return kj.Model(x, kj.ReLU6()(z), target, scheme=scheme, input_scale=2**-4)


class TestRelu6(Conformance):
    op = RELU6
    drawn = random_cases(st.just(ATTRS), draw.shapes, qparams=st.tuples(draw.qparams))
    branches = (clamped,)
    cases = (
        Case(ATTRS, (1,), batch=1),
        Case(ATTRS, (5, 4, 3), qparams=(QParams(0.1),)),
        Case(ATTRS, (33,), 17, qparams=(QParams(0.05, -128),)),
        Case(ATTRS, (7, 4), qparams=(QParams(0.07, 20),)),
        Case(ATTRS, (8,), qparams=(QParams(20.0, 3),)),  # 6 is nearer to 0 than to 1
    )

    def missing(self, target):
        legacy = target.library == "cmsis-nn-q7"
        return "no relu6: nothing in it clamps to a range" if legacy else None

    def unsupported(self, case):
        return self.missing(case.target)

    def bound(self, case, x, y):
        """Half a step, where 6 lies between two."""
        return 0.5 * case.x_qparams.scale


@pytest.mark.parametrize("zero_point", [-128, -5, 0, 60])
@pytest.mark.parametrize(("op", "high"), [(RELU, np.inf), (RELU6, 6.0)])
def test_gradients_of_integers_stop_at_the_ends(op, high, zero_point):
    x, attrs = np.arange(-128, 128).astype(np.int8)[None], op.attrs()
    q = QParams(0.05, zero_point)
    y = op.run_int(attrs, op.ints(attrs, (q,), q, Numerics()), (x,))
    saved = Saved((x,), y, (q.scale,), (-zero_point,), -np.inf, np.inf)
    gy = np.full(x.shape, 0.5, np.float32)
    (gx,), _ = op.vjp(attrs, None, saved, gy, (True,))
    real = 0.05 * (x - float(zero_point))
    np.testing.assert_array_equal(
        gx, np.where((real > 0.01) & (real < high - 0.01), 0.5, 0)
    )
    assert gx.dtype == np.float32
