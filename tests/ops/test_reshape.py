"""Reshape: the same bytes."""

import math

import draw
import hypothesis.strategies as st
import numpy as np
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.ops.reshape import RESHAPE, ReshapeAttrs


def reshaped(shape):
    """The extents in another order, or as one."""
    orders = st.permutations(shape).map(tuple) | st.just((math.prod(shape),))
    return random_cases(st.builds(ReshapeAttrs, orders), st.just(shape))


class TestReshape(Conformance):
    op = RESHAPE
    drawn = draw.shapes.flatmap(reshaped)
    networks = (((kj.Reshape((5, 4, 3)), kj.Conv2D(2, 1), kj.Reshape((40,))), (60,)),)
    cases = (
        Case(ReshapeAttrs((1,)), (1, 1, 1), batch=1),
        Case(ReshapeAttrs((10, 6)), (5, 4, 3), batch=17),
        Case(ReshapeAttrs((2, 2, 2)), (8,)),
    )
    refusals = (
        Refusal(ReshapeAttrs((3, 3)), (8,), r"\(3, 3\) has 9 .* input \(8,\) has 8"),
    )

    def bound(self, case, x, y):
        return 0.0

    def test_bytes_stay_in_order_and_no_call_is_made(self, case):
        (x,) = self.images(case)
        assert self.forward_int(case, (x,)).tobytes() == x.tobytes()
        assert self.lowered(case) == ()
        assert np.shares_memory(self.forward_int(case, (x,)), x)
