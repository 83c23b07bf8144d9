"""Flatten: the same bytes."""

import draw
import hypothesis.strategies as st
import numpy as np
from conformance import Case, Conformance, random_cases

import kanji_np as kj
from kanji_np.ops.flatten import FLATTEN, FlattenAttrs


class TestFlatten(Conformance):
    op = FLATTEN
    drawn = random_cases(st.just(FlattenAttrs()), draw.shapes)
    networks = (((kj.ReLU(), kj.Flatten(), kj.Dense(3)), (4, 5, 3)),)
    cases = (
        Case(FlattenAttrs(), (1, 1, 1), batch=1),
        Case(FlattenAttrs(), (5, 4, 3), batch=17),
        Case(FlattenAttrs(), (7,)),
    )

    def bound(self, case, x, y):
        return 0.0

    def test_bytes_stay_in_order_and_no_call_is_made(self, case):
        (x,) = self.images(case)
        assert self.forward_int(case, (x,)).tobytes() == x.tobytes()
        assert self.lowered(case) == ()
        assert np.shares_memory(self.forward_int(case, (x,)), x)
