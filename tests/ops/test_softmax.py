"""Softmax: widths, input scales, and the ends of its tables."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.ops.softmax import (
    MOST_CLASSES,
    SOFTMAX,
    Pow2SoftmaxInts,
    SoftmaxAttrs,
    ints_of,
)
from kanji_np.types import Numerics, QParams

ATTRS = SoftmaxAttrs()


class TestSoftmax(Conformance):
    op = SOFTMAX
    drawn = random_cases(
        st.just(ATTRS), draw.vectors, qparams=st.tuples(draw.qparams) | st.just(())
    )
    networks = (
        ((kj.Softmax(),), (10,)),
        ((kj.Dense(MOST_CLASSES), kj.Softmax()), (12,)),
    )
    cases = tuple(
        Case(ATTRS, (classes,), batch)
        for classes, batch in (
            (1, 1),
            (2, 5),
            (3, 17),
            (10, 5),
            (33, 2),
            (MOST_CLASSES, 2),
        )
    )
    refusals = (
        Refusal(ATTRS, (2, 2, 2), "flat input"),
        Refusal(ATTRS, (MOST_CLASSES + 1,), f"at most {MOST_CLASSES}, got"),
    )

    def bound(self, case, x, y):
        """Half a step of 1/256, and a hundredth for exp and reciprocal in Q0.31; of
        base 2 it is another function."""
        return 1.0 if case.target.numerics.softmax == "pow2" else 0.51 / 256


@pytest.mark.parametrize("bits", range(-16, 25))
def test_every_input_scale_is_near_the_smooth_function(bits):
    x = np.random.default_rng(0).integers(-128, 128, (20, 10)).astype(np.int8)
    scale = 2.0**-bits
    ints = ints_of(ATTRS, (QParams(scale),), QParams(1 / 256, -128), Numerics())
    y = SOFTMAX.run_int(ATTRS, ints, (x,))
    np.testing.assert_array_equal(y, SOFTMAX.forward_int(ATTRS, ints, (x,)))
    real = SOFTMAX.forward_float(ATTRS, None, (x * scale,))
    assert np.abs((y + 128.0) / 256 - real.clip(0, 255 / 256)).max() <= 0.51 / 256


def test_equal_inputs_over_the_widest_row_get_equal_shares():
    for value in (-128, 0, 127):
        x = np.full((1, MOST_CLASSES), value, np.int8)
        y = SOFTMAX.forward_int(
            ATTRS,
            ints_of(ATTRS, (QParams(1.0),), QParams(1 / 256, -128), Numerics()),
            (x,),
        )
        assert set(y.ravel().tolist()) == {1 - 128}  # 256 / 511 rounds to 1


@pytest.mark.parametrize(
    ("x", "shares"),
    [
        ([0], [127]),  # 2^8 / 1
        ([5, 5], [127, 127]),  # 2^20 / 2^8 >> 5 is 128
        ([10, 10, 10], [85, 85, 85]),
        ([10, 3], [127, 1]),  # 2^20 / (2^7 + 2^1) >> 12
        ([10, 2], [127, 0]),
        ([127, -128], [127, 0]),
    ],
)
def test_shares_of_base_two(x, shares):
    y = SOFTMAX.forward_int(ATTRS, Pow2SoftmaxInts(), (np.array([x], np.int8),))
    assert y.tolist() == [shares]
