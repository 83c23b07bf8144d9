"""Means: axes of all kinds, scales and zero points, TFLite's multiplier."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, JoinConformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.errors import OptionError, RangeError
from kanji_np.ops.mean import MEAN, MeanAttrs, MeanInts, averaging, ints_of
from kanji_np.targets import target_spec
from kanji_np.types import Numerics, QParams

GLOBAL = MeanAttrs()
KEPT = MeanAttrs((1, 2), True)


def mean(attrs, shape, x, y, batch=2):
    return Case(attrs, shape, batch, qparams=(QParams(*x),), y_qparams=QParams(*y))


def pooled(target, scheme):
    """As Keras's networks end, and a mean over channels."""
    x = kj.Input((9, 8, 3))
    y = kj.Conv2D(18, 3, activation="relu")(x)
    weights = kj.Mean(3, keepdims=True)(y)
    y = kj.Concatenate()(y, weights)
    return kj.Model(x, kj.Dense(3)(kj.Mean()(y)), target, scheme=scheme)


class TestMean(JoinConformance):
    op = MEAN
    drawn = random_cases(
        st.builds(
            MeanAttrs,
            st.sampled_from(((1,), (2,), (3,), (1, 2), (2, 3), (1, 2, 3))),
            st.booleans(),
        ),
        draw.shapes,
        qparams=st.tuples(draw.qparams),
        y_qparams=draw.qparams,
    )
    branches = (pooled,)
    cases = (
        mean(MeanAttrs((1,), True), (1,), (2**-5,), (2**-5,), batch=1),
        mean(GLOBAL, (5, 4, 3), (2**-5,), (2**-6,)),
        mean(KEPT, (3, 3, 17), (0.03, -128), (0.011, -128), batch=5),
        mean(GLOBAL, (8, 8, 5), (0.1, 77), (0.1, 77)),
        mean(MeanAttrs(1), (7, 33), (0.02, -20), (0.015, 33), batch=17),
        mean(MeanAttrs(3), (2, 3, 4), (2**-3, 5), (2**-9, -128)),
        mean(MeanAttrs((1, 2, 3), True), (2, 3, 4), (2**-3, 5), (2.0, 0)),
        mean(MeanAttrs(2), (2, 3, 4), (2**-40, 5), (0.9, 7)),  # a factor of 0
    )
    refusals = (
        Refusal(GLOBAL, (4,), r"neighbouring ones of the axes 1 \.\. 1 of"),
        Refusal(MeanAttrs((1, 3)), (4, 4, 2), r"neighbouring ones .*, got \(1, 3\)"),
        Refusal(MeanAttrs((1, 2, 3)), (4, 4, 2), r"nothing is left; keepdims=True"),
        Refusal(GLOBAL, (3000, 3000, 1), "takes 8,388,608 values at most"),
    )

    def bound(self, case, x, y):
        """Half a step, half of one of 2^shift of its size before it, and what a whole
        multiplier takes off the mean."""
        ints = self.ints(case)
        count = int(np.prod(case.shape)) // max(y.size // case.batch, 1)
        multiplier, shift = averaging(ints, count)
        lost = np.abs(y).max() / max(multiplier, 1)
        rounding = 0.5 + (2.0 ** (shift - 1) if shift < 1 else 0.5)
        return (rounding + 1e-4) * case.y_qparams.scale + lost

    def limits(self, case):
        return -128, 127

    def output_range(self, case):
        return -np.inf, np.inf


def test_the_multiplier_contains_the_number_of_values():
    ints = MeanInts(0, 2**30, 1, 0)  # a factor of 1
    assert averaging(ints, 1) == (2**30, 1)
    assert averaging(ints, 49) == (2**35 // 49, -4)
    assert averaging(ints, 64) == (2**30, -5)
    tiny = MeanInts(0, 2**31 - 1, -30, 0)  # shifts stay above -32
    assert averaging(tiny, 49) == ((2**31 - 1) * 2 // 49, -31)


def test_the_finest_output_stays_in_int32_and_a_finer_one_is_refused():
    x = QParams(1.0, -128)
    ints = ints_of(GLOBAL, (x,), QParams(2**-21 * 1.0001), Numerics())
    _, shift = averaging(ints, 3)
    assert 3 * 255 << shift < 2**31
    y = MEAN.run_int(GLOBAL, ints, (np.full((1, 1, 3, 1), 127, np.int8),))
    assert y.tolist() == [[127]]
    with pytest.raises(RangeError, match="too fine"):
        ints_of(GLOBAL, (x,), QParams(2**-22), Numerics())


def test_xnnpack_rounds_once_in_float32_and_halves_to_even():
    qparams = QParams(0.5, 3), QParams(0.5, -10)
    xnnpack = target_spec("xnnpack").numerics_of("mean")
    ints = ints_of(GLOBAL, qparams[:1], qparams[1], xnnpack)
    x = np.full((1, 8, 8, 3), 3, np.int8)
    x[0, 0, :4] += np.int8([-8, 8, -7])  # sums of -32, 32 and -28 above zero
    for forward in (MEAN.run_int, MEAN.forward_int):
        assert forward(GLOBAL, ints, (x,)).tolist() == [[-10, -10, -10]]
    twice = ints_of(GLOBAL, qparams[:1], qparams[1], Numerics())
    assert MEAN.run_int(GLOBAL, twice, (x,)).tolist() == [[-11, -9, -10]]


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        (0, "axis must be"),
        ((1, 1), "axis must be different axes"),
        ((), "axis must be"),
        ("hw", "axis must be"),
        (9, "axis must be 1 to 8 ints in 1 .. 8"),
    ],
)
def test_no_axis(axis, said):
    with pytest.raises(OptionError, match=said):
        kj.Mean(axis)


def test_axes_come_in_any_order():
    assert MeanAttrs([2, 1]) == GLOBAL
