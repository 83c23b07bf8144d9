"""Around exact sums: how long they may be, and how they become int8.

Sums of int8 products are formed in int32 where the CPU has an instruction for it, else
in float32, exactly while they stay below 2^24 (see `simd`). Then bias, requantization
and activation range follow in one pass over a block of (rows, channels): ``y =
clamp(rescale(acc + bias, multiplier, shift) + output_offset, low, high)``. Convolution
calls it on a block still in the cache, dense on its whole output.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba import types as nb

from kanji_np.fixedpoint import DOUBLE, SINGLE, clamp, rescale
from kanji_np.ops.simd import LANES, address, once_1, once_2, twice_1, twice_2
from kanji_np.quantize import POW2_MULTIPLIER
from kanji_np.types import LinearInts

NOT_POW2 = -1

int32, int64 = nb.int32, nb.int64


def exact_sum(input_offset: int) -> int:
    """How many products (x + input_offset) * w of int8 x and w float32 adds exactly.

    1024 without a zero point, 512 with the largest one.
    """
    return (1 << 24) // (max(abs(input_offset - 128), abs(input_offset + 127)) * 128)


def empty_range() -> np.ndarray:
    """An `acc_range` that has seen nothing yet, int64 (2,)."""
    return np.array([2**31 - 1, -(2**31)], np.int64)


def widen(acc_range: np.ndarray, ranges: np.ndarray) -> None:
    """Lower and raise `acc_range` to hold all of `ranges`, int64 (n, 2)."""
    acc_range[0] = min(acc_range[0], ranges[:, 0].min())
    acc_range[1] = max(acc_range[1], ranges[:, 1].max())


def common_right_shift(ints: LinearInts) -> int:
    """The right shift that all channels share if they scale by 2^-n, n >= 1, else -1.

    Multiplier 2^30 with shift 1 - n is the scale 2^-n; the doubling multiply then only
    halves, and 32-bit arithmetic is enough.
    """
    shift = int(ints.shift[0])
    same = (ints.multiplier == POW2_MULTIPLIER).all() and (ints.shift == shift).all()
    return -shift if same and -30 <= shift <= 0 else NOT_POW2


@njit(cache=True)
def requantize_block(
    acc, rows, first, channels, bias, multiplier, shift, rounding, right, offset, low,
    high, y, y_at, acc_range,
):  # fmt: skip
    """Requantize ``acc[:rows, :channels]`` into the flat `y`.

    Parameters
    ----------
    acc : int32 (>= rows, >= channels)
        Sums of products.
    rows, first, channels : int
        The block holds `rows` pixels, channels ``first .. first + channels - 1``.
    bias, multiplier, shift : int32 (Cout,)
    rounding : int
        As in `fixedpoint.rescale`.
    right : int
        What `common_right_shift` says of multiplier and shift.
    offset, low, high : int
        Output offset and activation range.
    y : int8, flat
        Row r goes to ``y[y_at + r * Cout + first:]``.
    acc_range : int64 (2,)
        Lowered and raised to hold min and max of the sums with bias.
    """
    stride = bias.shape[0]
    smallest, largest = int32(2**31 - 1), int32(-(2**31))
    if right >= 0 and rounding != DOUBLE:
        half = int32((int64(1) << right) if rounding == SINGLE else 0)
        right = int32(right + 1)
        offset, low, high = int32(offset), int32(low), int32(high)
        for r in range(rows):
            out = y[y_at + r * stride + first : y_at + r * stride + first + channels]
            for c in range(channels):
                v = int32(acc[r, c] + bias[first + c])
                smallest = min(smallest, v)
                largest = max(largest, v)
                q = int32(int32(int32(v + half) >> right) + offset)
                out[c] = min(max(q, low), high)
    elif right >= 0:
        right = int32(right)
        mask = int32((int64(1) << right) - 1)
        half = int32(mask >> 1)
        offset, low, high = int32(offset), int32(low), int32(high)
        for r in range(rows):
            out = y[y_at + r * stride + first : y_at + r * stride + first + channels]
            for c in range(channels):
                v = int32(acc[r, c] + bias[first + c])
                smallest = min(smallest, v)
                largest = max(largest, v)
                d = int32(int32(v >> int32(1)) + int32(v & int32(1)))
                up = int32(int32(d & mask) > int32(half + int32(d < 0)))
                q = int32(int32(int32(d >> right) + up) + offset)
                out[c] = min(max(q, low), high)
    else:
        for r in range(rows):
            for c in range(channels):
                v = int32(acc[r, c] + bias[first + c])
                smallest = min(smallest, v)
                largest = max(largest, v)
                o = first + c
                q = rescale(v, multiplier[o], shift[o], rounding) + offset
                y[y_at + r * stride + o] = clamp(q, low, high)
    acc_range[0] = min(acc_range[0], int64(smallest))
    acc_range[1] = max(acc_range[1], int64(largest))


@njit(cache=True)
def requantize_tile(
    acc, lanes, rows, first, channels, bias, multiplier, shift, rounding, right, offset,
    low, high, y, y_at, acc_range, extremes,
):  # fmt: skip
    """`requantize_block` of the flat `acc`, whole vectors at a time where it can.

    `extremes`, int32 (32,), is what `fold_extremes` adds to the range.
    """
    if right < 0 or channels != lanes:
        requantize_block(
            acc[: rows * lanes].reshape(rows, lanes), rows, first, channels, bias,
            multiplier, shift, rounding, right, offset, low, high, y, y_at, acc_range,
        )  # fmt: skip
        return
    a, b = address(acc, 0), address(bias, first)
    c, e, stride = address(y, y_at + first), address(extremes, 0), bias.shape[0]
    o, lo, hi = int32(offset), int32(low), int32(high)
    if rounding == DOUBLE:
        n, half = int32(right), int32(0)
        if lanes == LANES:
            twice_1(a, rows, b, n, half, o, lo, hi, c, stride, e)
        else:
            twice_2(a, rows, b, n, half, o, lo, hi, c, stride, e)
    else:
        n = int32(right + 1)
        half = int32((int64(1) << right) if rounding == SINGLE else 0)
        if lanes == LANES:
            once_1(a, rows, b, n, half, o, lo, hi, c, stride, e)
        else:
            once_2(a, rows, b, n, half, o, lo, hi, c, stride, e)


@njit(cache=True)
def new_extremes():
    """16 smallest and 16 largest values of nothing, int32 (32,)."""
    extremes = np.empty(2 * LANES, np.int32)
    extremes[:LANES] = 2**31 - 1
    extremes[LANES:] = -(2**31)
    return extremes


@njit(cache=True)
def fold_extremes(extremes, acc_range):
    """Lower and raise `acc_range` to hold `extremes`."""
    acc_range[0] = min(acc_range[0], int64(extremes[:LANES].min()))
    acc_range[1] = max(acc_range[1], int64(extremes[LANES:].max()))
