"""Padding: every side, zero points, and where the library has it."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.errors import OptionError
from kanji_np.ops.pad import PAD, PadAttrs, PadInts
from kanji_np.types import QParams


def sides(*cells):
    top, bottom, left, right = cells
    return PadAttrs(((top, bottom), (left, right)))


def padded(target, scheme):
    """Zeros around real zeros that are no integer zeros."""
    x = kj.Input((4, 5, 3))
    y = kj.ZeroPadding2D(((1, 2), (0, 3)))(kj.Conv2D(4, 1, activation="relu")(x))
    return kj.Model(x, kj.Conv2D(2, 3)(kj.ZeroPadding2D()(y)), target, scheme=scheme)


class TestPad(Conformance):
    op = PAD
    drawn = random_cases(
        st.builds(PadAttrs, st.tuples(draw.sides_padded, draw.sides_padded)),
        draw.images,
        qparams=st.tuples(draw.qparams),
    )
    branches = (padded,)
    cases = (
        Case(sides(0, 0, 0, 0), (1, 1, 1), batch=1),
        Case(sides(1, 2, 3, 0), (5, 4, 3)),
        Case(sides(0, 1, 0, 1), (2, 3, 17), 5, qparams=(QParams(0.03, -128),)),
        Case(sides(2, 0, 0, 5), (3, 1, 4), qparams=(QParams(0.1, 77),)),
    )
    refusals = (
        Refusal(sides(1, 1, 1, 1), (4, 4), r"input \(H, W, C\), got \(4, 4\)"),
        Refusal(sides(32_767, 0, 0, 0), (1, 1, 1), "32768x1 is more than 32767 cells"),
    )

    def missing(self, target):
        if target.library == "cmsis-nn-q7":
            return "cmsis-nn-q7 has no pad"
        old = target.version == "4.0.0"
        return "cmsis-nn 4.0.0 has no arm_pad_s8; it came with" if old else None

    def unsupported(self, case):
        return self.missing(case.target) if case.is_legacy else None

    def bound(self, case, x, y):
        return 0.0


def test_the_padding_is_the_zero_point():
    x = np.full((1, 1, 1, 2), 9, np.int8)
    y = PAD.run_int(sides(0, 1, 1, 0), PadInts(-7), (x,))
    assert y.tolist() == [[[[-7, -7], [9, 9]], [[-7, -7], [-7, -7]]]]


@pytest.mark.parametrize("padding", ["same", ((1, -1), (0, 0)), 1.5])
def test_no_padding(padding):
    with pytest.raises(OptionError, match="padding must be"):
        kj.ZeroPadding2D(padding)
