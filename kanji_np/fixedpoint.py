"""The integer arithmetic of the device, one element at a time.

These functions are the definition of every rounding in this package. Each is an
ordinary Python function over int values that Numba compiles for the fast loops;
``requantize.py_func`` runs the same text uncompiled. Products are formed in int64, as C
does with an explicit cast; every result fits int32 where the stated bound holds.

References: TFLite's `MultiplyByQuantizedMultiplier` and CMSIS-NN v7.0.0
`arm_nn_requantize`. Its default build rounds twice, in a doubling high multiply and in
the right shift after it; built with `CMSIS_NN_USE_SINGLE_ROUNDING` it rounds once. For
powers of two the latter is also the legacy q7 API's rounding (CMSIS 5 `NN_ROUND`).

Some kernels of runtimes multiply by a floating factor instead. XNNPACK's do so in
float32, LiteRT's fully connected reference kernel in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kanji_np.jit import nb, njit

INT32_MAX = 2**31 - 1
INT32_MIN = -(2**31)

int64: Any = nb.int64


@njit(cache=True, inline="always")
def clamp(value: int, low: int, high: int) -> int:
    """`value` limited to `low` .. `high`."""
    return min(max(value, low), high)


@njit(cache=True)
def rounding_divide_by_pot(value: int, exponent: int) -> int:
    """``value / 2**exponent`` to the nearest integer, halves away from zero.

    0 <= exponent <= 31.
    """
    mask = (int64(1) << exponent) - 1
    threshold = (mask >> 1) + (1 if value < 0 else 0)
    return (value >> exponent) + (1 if (value & mask) > threshold else 0)


@njit(cache=True)
def requantize(value: int, multiplier: int, shift: int) -> int:
    """``value * multiplier * 2**(shift - 31)``, rounded twice.

    Parameters
    ----------
    value : int
        Accumulator; ``abs(value) * 2**max(shift, 0) < 2**31``.
    multiplier : int
        0 <= multiplier < 2**31, normally 2**30 or more.
    shift : int
        Positive shifts left before, negative right after the multiplication; -31..30.
    """
    left = max(shift, 0)
    right = max(-shift, 0)
    high = ((int64(value) << left) * int64(multiplier) + (int64(1) << 30)) >> 31
    return rounding_divide_by_pot(high, right)


#: How sums are rounded to outputs, as the loops know it.
DOUBLE, SINGLE, TRUNCATE, FLOAT32, FLOAT64 = range(5)
ROUNDINGS = {
    "double": DOUBLE,
    "single": SINGLE,
    "truncate": TRUNCATE,
    "float32": FLOAT32,
    "float64": FLOAT64,
}


@njit(cache=True)
def rescale_floating(value: int, factor: float, rounding: int) -> int:
    """``value * factor``, the product rounded to a floating type and to an integer.

    Parameters
    ----------
    value : int
        ``abs(value * factor) < 2**31 - 2**7``.
    factor : float
        A float32 for FLOAT32.
    rounding : int
        FLOAT32, halves to even; FLOAT64, halves away from zero.
    """
    if rounding == FLOAT32:
        return int64(np.rint(np.float32(value) * np.float32(factor)))
    product = float(value) * factor
    whole = math.trunc(product)
    if abs(product - whole) >= 0.5:
        whole += 1 if product > 0 else -1
    return int64(whole)


@njit(cache=True)
def rescale(value: int, multiplier: int, shift: int, rounding: int) -> int:
    """``value * multiplier * 2**(shift - 31)`` in the rounding of a build.

    Parameters are those of `requantize`, and

    rounding : int
        DOUBLE, as `requantize`; SINGLE, once, halves up; TRUNCATE, down; FLOAT32 and
        FLOAT64, as `rescale_floating`, with a multiplier that need not be an integer.
    """
    if rounding == DOUBLE:
        return requantize(value, multiplier, shift)
    if rounding >= FLOAT32:
        factor = math.ldexp(float(multiplier), shift - 31)
        return rescale_floating(value, factor, rounding)
    product = int64(value) * int64(multiplier)
    if rounding == SINGLE:
        return ((product >> (30 - shift)) + 1) >> 1
    return product >> (31 - shift)


@njit(cache=True)
def divide_toward_zero(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` as C divides; `denominator` > 0."""
    if numerator >= 0:
        return numerator // denominator
    return -(-numerator // denominator)


@njit(cache=True)
def saturating_doubling_high_multiply(a: int, b: int) -> int:
    """``(a * b + 2**30) >> 31``: halves toward plus infinity; -2**31 squared saturates.

    Computed by truncation of the sum with a sign-dependent half, as the portable form
    of the Arm instruction VQRDMULH does; the result is the same.
    """
    if a == b and a == INT32_MIN:
        return int64(INT32_MAX)
    product = int64(a) * int64(b)
    nudge = int64(1) << 30 if product >= 0 else int64(1) - (int64(1) << 30)
    total = product + nudge
    # >> floors; C's division by 2**31 truncates toward zero.
    return total >> 31 if total >= 0 else -((-total) >> 31)


@njit(cache=True)
def divide_half_away(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` to the nearest integer, halves away from zero.

    `denominator` > 0; halves of an odd denominator are cut to an integer first, as the
    library's average pooling does.
    """
    half = denominator // 2
    if numerator > 0:
        return (numerator + half) // denominator
    return -((-numerator + half) // denominator)


#: The exponents of softmax are Q5.26.
EXP_INTEGER_BITS = 5
#: The inputs of `logistic` and `tanh` are Q4.27.
TANH_INTEGER_BITS = 4


@njit(cache=True)
def _shift_left_saturating(value: int, exponent: int) -> int:
    return clamp(value << exponent, INT32_MIN, INT32_MAX)


@njit(cache=True)
def exp_on_negative(a: int, integer_bits: int = EXP_INTEGER_BITS) -> int:
    """exp(a) of a <= 0 with so many integer bits, 4 or 5, as Q0.31.

    gemmlowp `exp_on_negative_values`.
    """
    quarter = int64(1) << (29 - integer_bits)
    a_mod = (a & (quarter - 1)) - quarter
    remainder = a_mod - a
    # polynomial around -1/8 on (-1/4, 0], in Q0.31
    x = (a_mod << integer_bits) + (1 << 28)
    multiply = saturating_doubling_high_multiply
    x2 = multiply(x, x)
    x3 = multiply(x2, x)
    x4 = multiply(x2, x2)
    tail = multiply(rounding_divide_by_pot(x4, 2) + x3, 715827883) + x2
    result = 1895147668 + multiply(1895147668, x + rounding_divide_by_pot(tail, 1))
    # times exp(-2^k) for every bit of what was taken off, from 1/4 up to 16
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for k in range(7):
        if remainder & (quarter << k):
            result = multiply(result, factors[k])
    return INT32_MAX if a == 0 else result


@njit(cache=True)
def _two_over_one_plus(a: int) -> int:
    """2 / (1 + a) of 0 <= a < 1 in Q0.31, as Q2.29; three Newton steps."""
    multiply = saturating_doubling_high_multiply
    half_denominator = (a + INT32_MAX + 1) >> 1
    x = 1515870810 + multiply(half_denominator, -1010580540)
    for _ in range(3):
        correction = (1 << 29) - multiply(half_denominator, x)
        x += _shift_left_saturating(multiply(x, correction), 2)
    return x


@njit(cache=True)
def one_over_one_plus(a: int) -> int:
    """1 / (1 + a), 0 <= a < 1, Q0.31; gemmlowp `one_over_one_plus_x_for_x_in_0_1`."""
    return _shift_left_saturating(_two_over_one_plus(a), 1)


@njit(cache=True)
def logistic(a: int) -> int:
    """1 / (1 + exp(-a)) of a in Q4.27, as Q0.31; gemmlowp `logistic`."""
    if a == 0:
        return int64(1) << 30
    positive = one_over_one_plus(exp_on_negative(-abs(a), TANH_INTEGER_BITS))
    return positive if a > 0 else INT32_MAX - positive


@njit(cache=True)
def tanh(a: int) -> int:
    """tanh(a) of a in Q4.27, as Q0.31; gemmlowp `tanh`."""
    if a == 0:
        return int64(0)
    # exp(-2 |a|): the same bits with one more before the point
    e = exp_on_negative(-abs(a), TANH_INTEGER_BITS + 1)
    positive = _shift_left_saturating(_two_over_one_plus(e) - (1 << 29), 2)
    return positive if a > 0 else -positive


def average(rows: list[list[int]], how: str) -> int:
    """The mean of a window's cells, divided as `Numerics.average` says.

    Parameters
    ----------
    rows : list of rows of cells
    how : "half_away", "toward_zero" or "toward_zero_twice"
        To the nearest integer, halves away from zero; toward zero; or toward zero
        twice: the sum of each row by the number of columns, then the sum of those by
        the number of rows.
    """
    total, columns = sum(map(sum, rows)), len(rows[0])
    if how == "half_away":
        return divide_half_away(total, len(rows) * columns)
    if how == "toward_zero":
        return divide_toward_zero(total, len(rows) * columns)
    means = (divide_toward_zero(sum(row), columns) for row in rows)
    return divide_toward_zero(sum(means), len(rows))
