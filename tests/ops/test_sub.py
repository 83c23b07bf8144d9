"""Differences: as sums, with operands that change places."""

import draw
import hypothesis.strategies as st
import numpy as np
from conformance import Case, JoinConformance, Refusal, random_joins

import kanji_np as kj
from kanji_np.ops.sub import SUB, SubAttrs, SubInts
from kanji_np.types import Numerics, QParams

LINEAR, RELU, RELU6 = (SubAttrs(a) for a in ("linear", "relu", "relu6"))


def differences(attrs, shape, batch, x_1, x_2, y, other=None):
    qparams = (QParams(*x_1), QParams(*x_2))
    others = (other or shape,)
    return Case(
        attrs, shape, batch, others=others, qparams=qparams, y_qparams=QParams(*y)
    )


def centred(target, scheme):
    """An image less the mean of each channel, and the other way round."""
    x = kj.Input((5, 5, 3))
    y = kj.Conv2D(3, 3, padding="same")(x)
    z = kj.GlobalAvgPool2D()(y)
    first = kj.Subtract(activation="relu")(y, z)
    second = kj.Subtract()(z, kj.Subtract()(first, y))
    return kj.Model(x, second, target, scheme=scheme)


class TestSub(JoinConformance):
    op = SUB
    drawn = random_joins(st.builds(SubAttrs, draw.activations), draw.pairs_of_shapes)
    branches = (centred,)
    cases = (
        differences(LINEAR, (1,), 1, (2**-5,), (2**-5,), (2**-4,)),
        differences(LINEAR, (5, 4, 3), 2, (2**-5,), (2**-7,), (2**-5,)),
        differences(RELU, (3, 3, 17), 5, (2**-3,), (2**-6,), (2**-2,)),
        differences(LINEAR, (7, 5, 3), 17, (0.031, -20), (0.0171, 33), (0.037, 5)),
        differences(RELU6, (9, 1, 4), 3, (0.1, 3), (0.02, -7), (0.024, -128)),
        differences(LINEAR, (3, 4, 5), 2, (0.1, 3), (0.02, -7), (0.1, 0), (5,)),
        differences(LINEAR, (1, 1, 5), 3, (0.03, 3), (0.02, 7), (0.04, 5), (3, 4, 5)),
        differences(RELU, (3, 4, 1), 2, (0.03, 3), (0.02, 7), (0.04, 5), (3, 4, 5)),
    )
    refusals = (Refusal(LINEAR, (4, 4, 2), "one shape, or extents", ((2, 4, 2),)),)

    def bound(self, case, x, y):
        """Half a step, and what rounding the factors and the inputs may take off it."""
        return 0.5001 * case.y_qparams.scale


def test_halves_are_taken_off_after_they_are_rounded():
    """Where a sum with a negative multiplier would be one off: 1/2 becomes 1."""
    ints = SubInts(0, 2**30, 0, 0, 2**30, -30, 0, 2**30, 1)
    x = np.int8([[0]]), np.int8([[2]])  # 2 * 2^20 * 2^-31 is 2^-10, and rounds to 0
    assert SUB.forward_int(LINEAR, ints, x).tolist() == [[0]]
    x = np.int8([[0]]), np.int8([[1]])
    exact = SubInts(0, 2**30, 0, 0, 2**10, 0, 0, 2**30, 1)
    assert SUB.forward_int(LINEAR, exact, x).tolist() == [[-1]]
    assert SUB.run_int(LINEAR, exact, x).tolist() == [[-1]]


def test_a_difference_is_not_the_sum_of_what_is_negated():
    q = QParams(0.1), QParams(0.03, 5)
    ints = SUB.ints(LINEAR, q, QParams(0.1), Numerics())
    assert (ints.input_2_sign, ints.input_2_offset) == (-1, -5)
    assert ints.input_2_mult > 0
