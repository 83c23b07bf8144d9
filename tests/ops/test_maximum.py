"""The maximum of two tensors: of one scale, of several, broadcast from either side."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, JoinConformance, Refusal, random_joins

import kanji_np as kj
from kanji_np.ops.maximum import MAXIMUM, MaximumAttrs
from kanji_np.targets import target_spec
from kanji_np.types import QParams

PLAIN = MaximumAttrs()


def picked(shape, batch, x_1, x_2, y, other=None):
    qparams = (QParams(*x_1), QParams(*x_2))
    others = (other or shape,)
    return Case(
        PLAIN, shape, batch, others=others, qparams=qparams, y_qparams=QParams(*y)
    )


def branches(target, scheme):
    """Of two tensors, of one and itself, and of an image and a number a channel."""
    x = kj.Input((5, 5, 3))
    y = kj.Conv2D(3, 3, padding="same")(x)
    first = kj.Maximum()(y, kj.Conv2D(3, 1)(x))
    second = kj.Maximum()(kj.GlobalAvgPool2D()(y), kj.Maximum()(first, first))
    return kj.Model(x, second, target, scheme=scheme)


class TestMaximum(JoinConformance):
    op = MAXIMUM
    drawn = random_joins(st.just(PLAIN), draw.pairs_of_shapes)
    branches = (branches,)
    cases = (
        picked((1,), 1, (2**-5,), (2**-5,), (2**-5,)),
        picked((5, 4, 3), 2, (0.03, 7), (0.03, 7), (0.03, 7)),
        picked((7, 5, 3), 17, (0.031, -20), (0.0171, 33), (0.037, 5)),
        picked((33,), 2, (0.03, 7), (0.03, 8), (0.03, 7)),
        picked((3, 4, 5), 2, (0.03, 7), (0.03, 7), (0.03, 7), (5,)),
        picked((3, 4, 1), 2, (0.03, 3), (0.02, -7), (0.04, 5), (3, 4, 5)),
    )
    refusals = (Refusal(PLAIN, (4, 4, 2), "one shape, or extents", ((2, 4, 2),)),)

    def bound(self, case, x, y):
        """Half a step, and before it half a step of 2^shift of its size where there are
        two."""
        factors = (q.scale / case.y_qparams.scale for q in case.qparams)
        shift = min(np.frexp(max(factors))[1], 0)
        return (0.5 + 2.0 ** (shift - 1) + 1e-4) * case.y_qparams.scale

    def counted_flash(self, constants):
        """The cost knows no scales, and tables are there where these differ."""
        return 0


@pytest.mark.parametrize(
    ("version", "function"),
    [("7.0.0", "arm_maximum_s8"), ("4.0.0", "kanji_maximum_s8")],
)
def test_of_one_scale_and_shape_it_is_the_library_s_where_that_has_it(
    version, function
):
    case = TestMaximum.cases[1]
    target = target_spec("cmsis-nn", version=version)
    suite = TestMaximum()
    ints = MAXIMUM.ints(PLAIN, case.qparams, case.y_qparams, target.numerics)
    xs = tuple(kj.TensorSpec(shape) for shape in case.shapes)
    (call,) = suite.op.lower(PLAIN, ints, xs, kj.TensorSpec(case.shape), target)
    assert (call.function, call.constants) == (function, ())


def test_ties_share_the_gradient():
    x = np.float32([[1, 2, 3]])
    saved = TestMaximum().saved((x, x[:, ::-1].copy()), x, (-9.0, 9.0))
    (g_1, g_2), _ = MAXIMUM.vjp(PLAIN, None, saved, np.ones_like(x), (True, True))
    np.testing.assert_array_equal(g_1 + g_2, [[1, 1, 1]])
    assert g_1[0, 1] == 0.5
