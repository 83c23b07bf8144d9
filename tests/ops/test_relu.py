"""ReLU as a layer of its own."""

import draw
import hypothesis.strategies as st
from conformance import Case, Conformance, random_cases

import kanji_np as kj
from kanji_np.ops.relu import RELU, ReluAttrs
from kanji_np.types import QParams


def above_zero_points(target, scheme):
    """ReLU where zero is no integer zero: on the current API alone."""
    x = kj.Input((5, 5, 3))
    y = kj.ReLU()(kj.Conv2D(3, 1)(x))
    z = kj.ReLU()(kj.GlobalAvgPool2D()(kj.Conv2D(7, 1)(y)))
    scheme = scheme if target.library == "cmsis-nn" else "pow2"
    return kj.Model(x, z, target, scheme=scheme)


class TestRelu(Conformance):
    op = RELU
    drawn = random_cases(
        st.just(ReluAttrs()),
        draw.shapes,
        qparams=st.tuples(draw.qparams) | st.just(()),
    )
    networks = (((kj.ReLU(), kj.Conv2D(3, 1), kj.ReLU()), (4, 5, 3)),)
    branches = (above_zero_points,)
    cases = (
        Case(ReluAttrs(), (1,), batch=1),
        Case(ReluAttrs(), (5, 4, 3)),
        Case(ReluAttrs(), (33,), batch=17),
        Case(ReluAttrs(), (5, 4, 3), qparams=(QParams(0.03, -128),)),
        Case(ReluAttrs(), (7, 4), qparams=(QParams(0.07, 20),)),
        Case(ReluAttrs(), (65535,), batch=1),
        Case(ReluAttrs(), (65536,), 1, unsupported="takes 65535 at most, got 65536"),
    )

    def bound(self, case, x, y):
        return 0.0

    def test_without_a_zero_point_it_works_in_place(self, target_case):
        if self.unsupported(target_case) is None:
            (call,) = self.lowered(target_case)
            in_place = target_case.x_qparams.zero_point == 0
            assert call.in_place == in_place
            assert call.function == ("arm_relu_q7" if in_place else "arm_max_pool_s8")
