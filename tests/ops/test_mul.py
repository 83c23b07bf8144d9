"""Products: scales and zero points, activations, both roundings, the finest output."""

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, JoinConformance, Refusal, random_joins

import kanji_np as kj
from kanji_np.errors import RangeError
from kanji_np.loops.requantize import empty_range
from kanji_np.ops.add import ADD
from kanji_np.ops.mul import MUL, MulAttrs, ints_of
from kanji_np.types import Numerics, QParams

LINEAR, RELU, RELU6 = (MulAttrs(a) for a in ("linear", "relu", "relu6"))


def products(attrs, shape, batch, x_1, x_2, y, other=None):
    qparams = (QParams(*x_1), QParams(*x_2))
    others = (other or shape,)
    return Case(
        attrs, shape, batch, others=others, qparams=qparams, y_qparams=QParams(*y)
    )


def gated(target, scheme):
    """A tensor times another, and a square."""
    x = kj.Input((6, 7, 5))
    gate = kj.Conv2D(5, 1, activation="relu")(x)
    y = kj.Multiply()(kj.Conv2D(5, 3, padding="same")(x), gate)
    return kj.Model(x, kj.Multiply(activation="relu")(y, y), target, scheme=scheme)


def excited(target, scheme):
    """Squeeze and excite: a gate of each channel."""
    x = kj.Input((6, 6, 5))
    y = kj.Conv2D(5, 3, padding="same")(x)
    gate = kj.Dense(5)(kj.GlobalAvgPool2D()(y))
    return kj.Model(x, kj.Multiply()(gate, y), target, scheme=scheme)


class TestMul(JoinConformance):
    op = MUL
    drawn = random_joins(st.builds(MulAttrs, draw.activations), draw.pairs_of_shapes)
    branches = (gated, excited)
    cases = (
        products(LINEAR, (1,), 1, (2**-5,), (2**-5,), (2**-4,)),
        products(LINEAR, (5, 4, 3), 2, (2**-5,), (2**-7,), (2**-5,)),
        products(RELU, (3, 3, 17), 5, (2**-3,), (2**-6,), (2**-2,)),
        products(LINEAR, (7, 5, 3), 17, (0.031, -20), (0.0171, 33), (0.037, 5)),
        products(RELU, (33,), 2, (0.031, 12), (0.09, -128), (0.35, -128)),
        products(RELU6, (9, 1, 4), 3, (0.1, 3), (0.02, -7), (0.024, -128)),
        products(LINEAR, (65,), 2, (0.01, 0), (0.01, 0), (1e-4, 3)),  # a factor of 1
        products(LINEAR, (4, 4, 4), 2, (0.01, 0), (0.02, 0), (0.9, 0)),  # a few steps
        products(RELU, (3, 4, 5), 2, (0.1, 3), (0.02, -7), (0.1, -128), (1, 1, 5)),
        products(LINEAR, (5,), 3, (0.03, 3), (0.02, -7), (0.04, 5), (3, 4, 5)),
        products(LINEAR, (3, 4, 5), 2, (0.03, 3), (0.02, -7), (0.04, 5), (1,)),
    )
    refusals = (Refusal(LINEAR, (4, 4, 2), "one shape, or extents", ((2, 1, 2),)),)

    def bound(self, case, x, y):
        """Half a step, and before it half a step of 2^shift of its size where there are
        two; products are of 16 bits, so the multiplier's own rounding is small."""
        shift = self.ints(case).output_shift
        rounding = 0.5 + 2.0 ** (shift - 1) if shift < 1 else 0.5
        return (rounding + 1e-4) * case.y_qparams.scale


@pytest.mark.parametrize("rounding", ["double", "single"])
def test_every_product_of_random_scales_is_that_of_the_formula(rounding):
    rng = np.random.default_rng(0)
    x_1, x_2 = np.meshgrid(*[np.arange(-128, 128, 3).astype(np.int8)] * 2)
    for _ in range(40):
        x = tuple(
            QParams(2.0 ** rng.uniform(-12, 4), int(rng.integers(-128, 128)))
            for _ in range(2)
        )
        scale = x[0].scale * x[1].scale * 2.0 ** rng.uniform(-13.9, 20)
        y = QParams(scale, int(rng.integers(-128, 128)))
        ints = ints_of(LINEAR, x, y, Numerics(rounding=rounding))
        fast, slow = empty_range(), empty_range()
        np.testing.assert_array_equal(
            MUL.run_int(LINEAR, ints, (x_1, x_2), y_range=fast),
            MUL.forward_int(LINEAR, ints, (x_1, x_2), y_range=slow),
        )
        assert fast.tolist() == slow.tolist()


def test_the_finest_output_stays_in_int32_and_a_finer_one_is_refused():
    x = (QParams(1.0, -128), QParams(1.0, 127))
    ints = ints_of(LINEAR, x, QParams(2**-14 * 1.0001), Numerics())
    assert (ints.output_shift, 255**2 << ints.output_shift + 1 < 2**31) == (14, True)
    x_1, x_2 = np.int8([[127, 127]]), np.int8([[-128, 127]])
    for forward in (MUL.run_int, MUL.forward_int):
        seen = empty_range()
        y = forward(LINEAR, ints, (x_1, x_2), y_range=seen)
        assert y.ravel().tolist() == [-128, 0]
        assert seen[0] == pytest.approx(-(255**2) * 2**14, rel=2e-4)
    with pytest.raises(RangeError, match="too fine .* must be above 6.104e-05"):
        ints_of(LINEAR, x, QParams(2**-14), Numerics())


@pytest.mark.parametrize("op", [ADD, MUL], ids=["add", "mul"])
def test_what_overflows_float32_is_infinite_without_a_warning(op):
    x = np.float32([[3e38, -3e38]])
    attrs = op.attrs("linear")
    assert op.run_float(attrs, None, (x, np.abs(x))).tolist()[0][0] == np.inf
    attrs = op.attrs("relu6")
    assert op.run_float(attrs, None, (x, np.abs(x))).tolist() == [[6, 0]]
