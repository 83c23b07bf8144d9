"""Sums: scales far apart and the same, zero points, activations, both roundings."""

from dataclasses import replace

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, JoinConformance, Refusal, random_joins

import kanji_np as kj
from kanji_np.errors import RangeError
from kanji_np.loops.requantize import empty_range
from kanji_np.ops.add import ADD, AddAttrs, ints_of
from kanji_np.types import Numerics, QParams

LINEAR, RELU, RELU6 = (AddAttrs(a) for a in ("linear", "relu", "relu6"))


def sums(attrs, shape, batch, x_1, x_2, y, other=None):
    qparams = (QParams(*x_1), QParams(*x_2))
    others = (other or shape,)
    return Case(
        attrs, shape, batch, others=others, qparams=qparams, y_qparams=QParams(*y)
    )


def residual(target, scheme):
    """One tensor read by three layers; sums of the input, of a sum, of one tensor."""
    x = kj.Input((6, 7, 5))
    y = kj.Conv2D(5, 3, padding="same", activation="relu")(x)
    z = kj.Conv2D(5, 3, padding="same")(y)
    first = kj.Add(activation="relu")(x, z)
    second = kj.Add()([first, y])
    out = kj.Add(activation="relu6")(second, second)
    return kj.Model(x, out, target, scheme=scheme)


def broadcast(target, scheme):
    """A sum of each channel, and a number, beside the image, from either side."""
    x = kj.Input((5, 5, 3))
    y = kj.Conv2D(3, 3, padding="same")(x)
    z = kj.GlobalAvgPool2D()(y)
    first = kj.Add(activation="relu")(y, z)
    second = kj.Add()(kj.Dense(1)(z), first)
    return kj.Model(x, second, target, scheme=scheme)


def straight(target, scheme):
    """Input and output are the caller's memory."""
    x = kj.Input((13,))
    return kj.Model(x, kj.Add()(x, x), target, scheme=scheme)


class TestAdd(JoinConformance):
    op = ADD
    drawn = random_joins(st.builds(AddAttrs, draw.activations), draw.pairs_of_shapes)
    branches = (residual, broadcast, straight)
    cases = (
        sums(LINEAR, (1,), 1, (2**-5,), (2**-5,), (2**-4,)),
        sums(LINEAR, (5, 4, 3), 2, (2**-5,), (2**-7,), (2**-5,)),
        sums(RELU, (3, 3, 17), 5, (2**-3,), (2**-6,), (2**-2,)),
        sums(LINEAR, (7, 5, 3), 17, (0.031, -20), (0.0171, 33), (0.037, 5)),
        sums(RELU, (33,), 2, (0.031, 127), (0.09, -128), (0.05, -128)),
        sums(RELU6, (9, 1, 4), 3, (0.1, 3), (0.02, -7), (0.024, -128)),
        sums(RELU6, (64,), 2, (0.004, 0), (0.004, 0), (0.0079, -90)),  # below 6
        sums(LINEAR, (65,), 2, (2**-3, 1), (2**-33, 2), (2**-3, 3)),
        sums(LINEAR, (2, 3, 4), 2, (0.5, 1), (2**-40, 2), (0.7, 3)),  # a factor of 0
        sums(LINEAR, (4, 4, 4), 2, (0.01, 0), (0.02, 0), (0.3, 0)),  # a few steps
        sums(RELU, (3, 4, 5), 2, (0.1, 3), (0.02, -7), (0.1, -128), (5,)),
        sums(LINEAR, (1, 1, 5), 3, (0.03, 3), (0.02, -7), (0.04, 5), (3, 4, 5)),
        sums(LINEAR, (3, 4, 1), 2, (0.03, 3), (0.02, -7), (0.04, 5), (3, 4, 5)),
    )
    refusals = (
        Refusal(LINEAR, (4, 4, 2), "one shape, or extents of 1", ((4, 1, 2),)),
        Refusal(LINEAR, (4, 4), r"got \(4, 4\) and \(16,\)", ((16,),)),
    )

    def bound(self, case, x, y):
        """Half a step, and what rounding the factors and the inputs may take off it."""
        return 0.5001 * case.y_qparams.scale


@pytest.mark.parametrize("rounding", ["double", "single"])
def test_every_sum_of_random_scales_is_that_of_the_formula(rounding):
    rng = np.random.default_rng(0)
    x_1, x_2 = np.meshgrid(*[np.arange(-128, 128, 3).astype(np.int8)] * 2)
    for _ in range(40):
        x = tuple(
            QParams(2.0 ** rng.uniform(-12, 4), int(rng.integers(-128, 128)))
            for _ in range(2)
        )
        largest = max(q.scale for q in x)
        y = QParams(
            largest * 2.0 ** rng.uniform(-18.9, 9), int(rng.integers(-128, 128))
        )
        ints = ints_of(LINEAR, x, y, Numerics(rounding=rounding))
        fast, slow = empty_range(), empty_range()
        np.testing.assert_array_equal(
            ADD.run_int(LINEAR, ints, (x_1, x_2), y_range=fast),
            ADD.forward_int(LINEAR, ints, (x_1, x_2), y_range=slow),
        )
        assert fast.tolist() == slow.tolist()


def test_an_output_finer_than_the_sums_is_refused():
    x = (QParams(0.5), QParams(0.25))
    ints = ints_of(LINEAR, x, QParams(2**-20 * 1.0001), Numerics())
    assert ints.output_shift == 0
    with pytest.raises(RangeError, match="too fine .* must be above 9.537e-07"):
        ints_of(LINEAR, x, QParams(2**-20), Numerics())


def test_the_largest_sums_stay_in_int32_on_the_way():
    """The ends of int8 with every zero point, at the finest output there is."""
    ends = np.array([[-128, -128, 127, 127]], np.int8)
    others = np.array([[-128, 127, -128, 127]], np.int8)
    for zero in (-128, 0, 127):
        x = (QParams(1.0, zero), QParams(1.0, zero))
        ints = ints_of(LINEAR, x, QParams(2**-19 * 1.0001), Numerics())
        seen = empty_range()
        ADD.forward_int(LINEAR, ints, (ends, others), y_range=seen)
        assert np.abs(seen).max() < 2**28
        left_alone = replace(ints, output_mult=2**30, output_shift=1)
        ADD.forward_int(
            LINEAR, left_alone, (ends, others), y_range=seen
        )  # outputs are the sums
        assert np.abs(seen).max() < 2**28
