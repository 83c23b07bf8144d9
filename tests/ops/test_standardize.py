"""Per-image standardization: all scales, flat and extreme images."""

import math

import draw
import hypothesis.strategies as st
import numpy as np
import pytest
from conformance import Case, Conformance, Refusal, random_cases

import kanji_np as kj
from kanji_np.ops.standardize import STANDARDIZE, StandardizeAttrs
from kanji_np.types import Saved


class TestStandardize(Conformance):
    op = STANDARDIZE
    drawn = random_cases(st.builds(StandardizeAttrs, st.integers(0, 7)), draw.images)
    networks = (
        ((kj.Standardize(),), (5, 4, 3)),
        ((kj.Standardize(0),), (3, 3, 1)),
    )
    cases = (
        *(Case(StandardizeAttrs(bits), (5, 4, 3)) for bits in range(8)),
        Case(StandardizeAttrs(), (2, 1, 1), batch=1),
        Case(StandardizeAttrs(), (8, 8, 1), batch=17),
    )
    refusals = (
        Refusal(StandardizeAttrs(), (1024, 1025, 1), "more than 1048576 values"),
        Refusal(StandardizeAttrs(), (48,), r"input \(H, W, C\), got \(48,\)"),
    )

    def bound(self, case, xs, y):
        (x,) = xs
        """Half a step, and what the floor of the square root takes off n deviations."""
        n = math.prod(case.shape)
        deviation = x.std(axis=(1, 2, 3), keepdims=True)
        step = 2.0**-case.attrs.frac_bits
        return 0.5 * step + np.abs(y) / (np.floor(n * deviation) + 1e-9)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_flat_image_is_zero(value):
    x = np.full((2, 4, 4, 3), value, np.uint8)
    for forward in (STANDARDIZE.run_int, STANDARDIZE.forward_int):
        assert not forward(StandardizeAttrs(7), None, (x,)).any()
    assert not STANDARDIZE.forward_float(StandardizeAttrs(), None, (x,)).any()


def test_the_gradient_of_an_almost_flat_image():
    """It is divided by a constant, whatever its deviation."""
    x, gy = np.zeros((1, 3, 1, 1)), np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1)
    x[0, 0] = 0.5  # n deviations below isqrt(n)
    saved = Saved((x,), x, (1.0,), (0,), -np.inf, np.inf)
    (gx,), _ = STANDARDIZE.vjp(StandardizeAttrs(), None, saved, gy, (True,))
    np.testing.assert_allclose(gx, (gy - gy.mean()) * math.sqrt(3), rtol=1e-12)


def test_the_largest_image_fits_int64():
    x = np.zeros((1, 1024, 1024, 1), np.uint8)
    x[0, :512] = 255
    y = STANDARDIZE.run_int(StandardizeAttrs(5), None, (x,))
    assert (y[0, 0, 0, 0], y[0, -1, 0, 0]) == (32, -32)
    x[:] = 0
    x[0, 0, 0, 0] = 255
    y = STANDARDIZE.run_int(StandardizeAttrs(7), None, (x,))
    assert (y[0, 0, 0, 0], y[0, 1, 0, 0]) == (127, 0)
