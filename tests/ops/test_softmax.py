"""Softmax: ranks, widths, input scales, beta, and the ends of its tables."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.errors import UnsupportedOp
from kanji_np.ops.softmax import (
    MOST_CLASSES,
    MOST_CLASSES_ARM,
    MOST_ROWS_Q7,
    SOFTMAX,
    Pow2SoftmaxInts,
    SoftmaxAttrs,
    ints_of,
)
from kanji_np.types import Numerics, QParams

ATTRS, SOFT = SoftmaxAttrs(), SoftmaxAttrs(0.3)
OUTPUT = QParams(1 / 256, -128)


class TestSoftmax(Conformance):
    op = SOFTMAX
    drawn = random_cases(
        st.builds(SoftmaxAttrs, st.just(1.0) | st.floats(0.05, 4)),
        draw.shapes,
        qparams=st.tuples(draw.qparams) | st.just(()),
    )
    networks = (
        ((kj.Softmax(),), (10,)),
        ((kj.Dense(MOST_CLASSES_ARM + 1), kj.Softmax(), kj.Dense(3)), (12,)),
        ((kj.Softmax(0.5), kj.Conv2D(2, 1), kj.Softmax()), (4, 3, 5)),
    )
    legacy_networks = (
        ((kj.Softmax(),), (10,)),
        ((kj.Conv2D(7, 1), kj.Softmax()), (3, 3, 2)),
    )
    cases = (
        Case(ATTRS, (1,), batch=1),
        Case(ATTRS, (2,), batch=5),
        Case(ATTRS, (3,), batch=17),
        Case(ATTRS, (5, 10), batch=3),
        Case(ATTRS, (4, 3, 33)),
        Case(SOFT, (2, 1, 3, 2)),
        Case(SoftmaxAttrs(7.5), (3, 16), qparams=(QParams(0.02, 20),)),
        Case(ATTRS, (2, MOST_CLASSES_ARM)),
        Case(ATTRS, (2, MOST_CLASSES_ARM + 1)),
    )
    refusals = (
        Refusal(ATTRS, (MOST_CLASSES + 1,), f"at most {MOST_CLASSES}, got"),
        Refusal(ATTRS, (1, MOST_CLASSES + 1), f"at most {MOST_CLASSES}, got"),
    )

    def unsupported(self, case):
        legacy = case.is_legacy and case.attrs.beta != 1
        return "arm_softmax_q7 has a beta of 1 only" if legacy else None

    def bound(self, case, x, y):
        """Half a step of 1/256, and a hundredth for exp and reciprocal in Q0.31; of
        base 2 it is another function."""
        return 1.0 if case.target.numerics.softmax == "pow2" else 0.51 / 256


@pytest.mark.parametrize("bits", range(-16, 25))
def test_every_input_scale_is_near_the_smooth_function(bits):
    x = np.random.default_rng(0).integers(-128, 128, (20, 10)).astype(np.int8)
    scale = 2.0**-bits
    ints = ints_of(ATTRS, (QParams(scale),), OUTPUT, Numerics())
    y = SOFTMAX.run_int(ATTRS, ints, (x,))
    np.testing.assert_array_equal(y, SOFTMAX.forward_int(ATTRS, ints, (x,)))
    real = SOFTMAX.forward_float(ATTRS, None, (x * scale,))
    assert np.abs((y + 128.0) / 256 - real.clip(0, 255 / 256)).max() <= 0.51 / 256


@pytest.mark.parametrize("beta", [2.0**-12, 0.01, 300.0])
@pytest.mark.parametrize("scale", [2.0**-30, 2.0**-8, 4.0])
def test_beta_is_a_factor_of_the_scale(beta, scale):
    x = np.random.default_rng(0).integers(-128, 128, (9, 4, 7)).astype(np.int8)
    attrs = SoftmaxAttrs(beta)
    for numerics in (Numerics(), Numerics(softmax="table")):
        ints = ints_of(attrs, (QParams(scale),), OUTPUT, numerics)
        y = SOFTMAX.run_int(attrs, ints, (x,))
        real = SOFTMAX.forward_float(attrs, None, (x * scale,))
        assert np.abs((y + 128.0) / 256 - real.clip(0, 255 / 256)).max() <= 0.51 / 256


def test_equal_inputs_get_equal_shares_in_the_longest_row_that_is_arms():
    """256 / 511 rounds to 1, and 256 / 512, of which a little is missing, to 0."""
    ints = ints_of(ATTRS, (QParams(1.0),), OUTPUT, Numerics())
    for extra, share in ((0, 1), (1, 0), (MOST_CLASSES - MOST_CLASSES_ARM, 0)):
        for value in (-128, 0, 127):
            x = np.full((1, MOST_CLASSES_ARM + extra), value, np.int8)
            for forward in (SOFTMAX.forward_int, SOFTMAX.run_int):
                assert set(forward(ATTRS, ints, (x,)).ravel()) == {share - 128}


def test_the_softmax_of_base_two_ends_a_network():
    with pytest.raises(UnsupportedOp) as caught:
        kj.Sequential(
            [kj.Dense(3), kj.Softmax(), kj.Dense(2)], (4,), target="cmsis-nn-q7"
        )
    assert str(caught.value) == (
        "layer 'softmax1': cmsis-nn-q7's softmax must be the last layer: it is of base "
        "2, whatever the scale of its input"
    )


def test_rows_of_the_legacy_api_are_counted_in_16_bits():
    for rows in (MOST_ROWS_Q7, MOST_ROWS_Q7 + 1):
        layers, shape = [kj.Softmax()], (rows, 2)
        if rows <= MOST_ROWS_Q7:
            kj.Sequential(layers, shape, target="cmsis-nn-q7")
            continue
        with pytest.raises(
            UnsupportedOp, match="takes 65,535 rows at most, got 65,536"
        ):
            kj.Sequential(layers, shape, target="cmsis-nn-q7")


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
