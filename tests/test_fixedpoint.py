"""Every rounding against its formula in Python's unlimited integers."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kanji_np.fixedpoint import (
    DOUBLE,
    FLOAT32,
    FLOAT64,
    INT32_MAX,
    INT32_MIN,
    SINGLE,
    TRUNCATE,
    clamp,
    divide_half_away,
    divide_toward_zero,
    requantize,
    rescale,
    rounding_divide_by_pot,
    saturating_doubling_high_multiply,
)

int32s = st.integers(INT32_MIN, INT32_MAX)
EDGES = (0, 1, -1, 2**30, -(2**30), 2**30 - 1, INT32_MAX, INT32_MIN)


def both(function):
    """The compiled function and its text run by Python, which must agree."""

    def call(*arguments):
        compiled, plain = function(*arguments), function.py_func(*arguments)
        assert compiled == plain
        return int(compiled)

    return call


def nearest_away(value: Fraction) -> int:
    """The nearest integer, halves away from zero."""
    away = floor(abs(value) + Fraction(1, 2))
    return away if value >= 0 else -away


def nearest_up(value: Fraction) -> int:
    """The nearest integer, halves toward plus infinity."""
    return floor(value + Fraction(1, 2))


@given(int32s, st.integers(0, 31))
@example(INT32_MIN, 31)
@example(INT32_MIN, 0)
@example(INT32_MAX, 31)
@example(-(2**30), 31)
def test_rounding_divide_by_pot(value, exponent):
    expected = nearest_away(Fraction(value, 2**exponent))
    assert both(rounding_divide_by_pot)(value, exponent) == expected


@pytest.mark.parametrize("value", [-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6])
def test_halves_go_away_from_zero(value):
    expected = {1: 1, 3: 2, 5: 3}.get(abs(value), abs(value) // 2)
    signed = expected if value >= 0 else -expected
    assert both(rounding_divide_by_pot)(value, 1) == signed


def double_rounding(v: int, m: int, s: int) -> int:
    """The default build's formula, as written down."""
    left, right = max(s, 0), max(-s, 0)
    d = (v * 2**left * m + 2**30) >> 31
    q = d >> right
    return q + int((d & (2**right - 1)) > ((2**right - 1) >> 1) + (q < 0))


@given(int32s, st.integers(0, INT32_MAX), st.integers(-31, 30))
@example(INT32_MIN, INT32_MAX, -31)
@example(INT32_MAX, INT32_MAX, 0)
@example(INT32_MIN, 2**30, 0)
@example(-1, 2**30, -1)
@example(1, 2**30, 30)
@example(-3, 2**30, -1)
def test_requantize(value, multiplier, shift):
    value >>= max(shift, 0)  # the documented range
    expected = double_rounding(value, multiplier, shift)
    assert both(requantize)(value, multiplier, shift) == expected
    # Two roundings, each of at most half a step of its own size.
    exact = Fraction(value * multiplier * 2**31, 2 ** (62 - shift))
    assert abs(expected - exact) <= Fraction(1, 2) + Fraction(
        1, 2 ** (1 - min(shift, 0))
    )


def test_requantize_rounds_twice():
    # 3 * 2^-2 * (1/2): once rounded 0.375 is 0; 1.5 first becomes 2, and 2/4 becomes 1.
    assert both(requantize)(3, 2**30, -2) == 1
    assert nearest_away(Fraction(3, 8)) == 0


@given(int32s, st.integers(2**30, 2**31 - 1), st.integers(-31, 0))
@example(3, 2**30, 0)
@example(-3, 2**30, 0)
@example(INT32_MIN, 2**30, -30)
def test_rescale_rounds_once_or_not_at_all(value, multiplier, shift):
    exact = Fraction(value * multiplier) / 2 ** (31 - shift)
    half_up = floor(exact + Fraction(1, 2))
    assert both(rescale)(value, multiplier, shift, SINGLE) == half_up
    assert both(rescale)(value, multiplier, shift, TRUNCATE) == floor(exact)
    twice = both(requantize)(value, multiplier, shift)
    assert both(rescale)(value, multiplier, shift, DOUBLE) == twice


@given(int32s, st.integers(0, 30))
def test_single_rounding_by_a_power_of_two_is_the_legacy_shift(value, n):
    legacy = (value + ((1 << n) >> 1)) >> n
    assert both(rescale)(value, 2**30, 1 - n, SINGLE) == legacy


@given(int32s, st.integers(1, 70_000))
def test_divide_toward_zero(numerator, denominator):
    expected = int(Fraction(numerator, denominator))
    assert both(divide_toward_zero)(numerator, denominator) == expected


def exact_high_multiply(a: int, b: int) -> int:
    if a == b == INT32_MIN:
        return INT32_MAX
    return nearest_up(Fraction(2 * a * b, 2**32))


@given(int32s, int32s)
def test_saturating_doubling_high_multiply(a, b):
    result = both(saturating_doubling_high_multiply)(a, b)
    assert result == exact_high_multiply(a, b)
    assert INT32_MIN <= result <= INT32_MAX


@pytest.mark.parametrize("a", EDGES)
@pytest.mark.parametrize("b", EDGES)
def test_saturating_doubling_high_multiply_at_the_edges(a, b):
    assert both(saturating_doubling_high_multiply)(a, b) == exact_high_multiply(a, b)


def test_a_negative_half_of_a_high_multiply_goes_up():
    multiply = both(saturating_doubling_high_multiply)
    assert (multiply(1, 2**30), multiply(-1, 2**30), multiply(-3, 2**30)) == (1, 0, -1)


@given(int32s, st.integers(1, 2**20))
@example(INT32_MIN, 1)
@example(-5, 3)
@example(0, 7)
@example(1, 2)
@example(-1, 2)
@example(6, 4)
@example(-10, 4)
def test_divide_half_away(numerator, denominator):
    """The library's average pooling: C's division, which truncates."""
    half = denominator // 2
    sign = 1 if numerator > 0 else -1
    expected = sign * ((abs(numerator) + half) // denominator)
    assert both(divide_half_away)(numerator, denominator) == expected
    assert expected == nearest_away(Fraction(numerator, denominator))


@given(st.integers(-1000, 1000), st.integers(-128, 127), st.integers(-128, 127))
def test_clamp(value, one, other):
    low, high = sorted((one, other))
    assert both(clamp)(value, low, high) == sorted((low, value, high))[1]


@given(
    st.integers(-(2**31) + 1, 2**31 - 1),
    st.floats(2**30, 2**31 - 2**7),
    st.integers(-31, 0),
)
@example(3, 2.0**30, 0)
@example(-3, 2.0**30, 0)
@example(5, 2.0**30, 0)
@example(2**24 + 1, 2.0**30, 0)
def test_floating_factors_round_once_in_their_type(value, multiplier, shift):
    product = value * (multiplier * 2.0 ** (shift - 31))
    expected = nearest_away(Fraction(product))
    assert both(rescale)(value, multiplier, shift, FLOAT64) == expected

    multiplier = float(np.float32(multiplier))
    factor = np.float32(multiplier * 2.0 ** (shift - 31))
    expected = round(Fraction(float(np.float32(value) * factor)))  # halves to even
    assert both(rescale)(value, multiplier, shift, FLOAT32) == expected
