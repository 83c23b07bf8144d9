"""Around exact sums: how they become int8, and the range of it before clamping.

Sums of int8 products are formed in int32, or exactly in float32 (see `products`). Then
bias, requantization and activation range follow in one pass over a block of rows that
is still in the cache: ``y = clamp(rescale(acc + bias, multiplier, shift) +
output_offset, low, high)``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kanji_np.fixedpoint import (
    DOUBLE,
    FLOAT32,
    FLOAT64,
    ROUNDINGS,
    SINGLE,
    clamp,
    rescale,
    rescale_floating,
)
from kanji_np.jit import nb, njit
from kanji_np.loops.simd import (
    LANES,
    address,
    in_float32,
    in_float64,
    once,
    once_pow2,
    twice,
    twice_pow2,
)
from kanji_np.quantize import POW2_MULTIPLIER
from kanji_np.types import LinearInts

Bounds = tuple[float, float]

int32, int64 = nb.int32, nb.int64


class Requantization(NamedTuple):
    """What turns sums into int8, as compiled loops take it.

    Parameters
    ----------
    bias, multiplier, shift : int32 (Cout or more,)
        Whole vectors of them are read, which may reach past the channels.
    factor : float64, as many
        Stand in place of multipliers and shifts, which are 0, where the rounding
        multiplies by a floating factor.
    rounding : int
        As in `fixedpoint.rescale`.
    is_pow2 : bool
        Every scale is 2^-1 or a smaller power of two, for which there is a fast way.
    offset, low, high : int
        Output offset and activation range.
    """

    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    factor: np.ndarray
    rounding: int
    is_pow2: bool
    offset: int
    low: int
    high: int


def requantization(
    ints: LinearInts, bias: np.ndarray, repeats: int = 1
) -> Requantization:
    """`Requantization` of a layer with int32 (Cout,) biases, `repeats` times in a row.

    What a vector holds beyond the channels repeats the last one.
    """
    length = repeats * len(bias)
    # The places of a row: 0 1 2 0 1 2 ... 2 2 2
    places = np.minimum(np.arange(-(-length // (2 * LANES)) * 2 * LANES), length - 1)
    places %= len(bias)
    rounding = ROUNDINGS[ints.rounding]
    multiplier, shift = ints.multiplier[places], ints.shift[places]
    factor = np.zeros(len(places))
    if rounding in (FLOAT32, FLOAT64):
        factor = np.ldexp(multiplier, shift - 31)
        multiplier, shift = np.zeros_like(shift), np.zeros_like(shift)
    return Requantization(
        bias[places],
        multiplier,
        shift,
        factor,
        rounding,
        _is_pow2(ints),
        ints.output_offset,
        ints.act_min,
        ints.act_max,
    )


def empty_range() -> np.ndarray:
    """A `y_range` that has seen nothing yet, int64 (2,)."""
    return np.array([2**31 - 1, -(2**31)], np.int64)


def empty_ranges(count: int) -> np.ndarray:
    """A `y_range` for each share of a batch, int64 (count, 2)."""
    return np.tile(empty_range(), (count, 1))


def widen(y_range: np.ndarray, ranges: np.ndarray) -> None:
    """Lower and raise `y_range` to hold all of `ranges`, int64 (n, 2)."""
    y_range[0] = min(y_range[0], ranges[:, 0].min())
    y_range[1] = max(y_range[1], ranges[:, 1].max())


def _is_pow2(ints: LinearInts) -> bool:
    """Whether every channel scales by 2^-n, n >= 1.

    Multiplier 2^30 with shift 1 - n is the scale 2^-n; the doubling multiply then only
    halves, and 32-bit arithmetic is enough.
    """
    shift = ints.shift
    same = (ints.multiplier == POW2_MULTIPLIER).all()
    return bool(same and (shift >= -30).all() and (shift <= 0).all())


@njit(cache=True, forceinline=True)
def requantize_rows(
    acc, rows, lanes, first, channels, r, y, y_at, stride, spare, extremes
):
    """Requantize ``acc[:rows, :channels]`` into the flat `y`.

    Parameters
    ----------
    acc : int32 (rows * lanes,), flat
        Sums of products; `lanes` is a multiple of 16. Those beyond the channels repeat
        the last one.
    first, channels : int
        Which channels of `r`.
    r : Requantization
    y : int8, flat
        Row n goes to ``y[y_at + n * stride:]``.
    spare : int8 (>= rows * lanes,)
        To work in.
    extremes : int32 (32,)
        See `new_extremes`.
    """
    if channels == lanes:
        _by_vectors(acc, rows, lanes, first, r, y, y_at, stride, extremes)
    else:
        _by_vectors(acc, rows, lanes, first, r, spare, 0, lanes, extremes)
        for row in range(rows):
            for c in range(channels):
                y[y_at + row * stride + c] = spare[row * lanes + c]


@njit(cache=True)
def requantize_pixels(acc, channels, r, y, y_at, extremes):
    """Requantize the sums of neighbouring pixels; `r` is as long as `acc` or longer.

    See `requantize_rows`.
    """
    count = acc.shape[0]
    if channels % LANES == 0:
        pixels = count // channels
        _by_vectors(acc, pixels, channels, 0, r, y, y_at, channels, extremes)
        return
    if count < LANES:
        _one_by_one(acc, r, y, y_at, extremes)
        return
    whole = count // LANES * LANES
    _by_vectors(acc, 1, whole, 0, r, y, y_at, 0, extremes)
    if whole < count:  # the last whole vector, part of it once more
        last = count - LANES
        _by_vectors(acc[last:], 1, LANES, last, r, y, y_at + last, 0, extremes)


@njit(cache=True, forceinline=True)
def _by_vectors(acc, rows, lanes, first, r, y, y_at, stride, extremes):
    """Whole vectors at a time."""
    a, b = address(acc, 0), address(r.bias, first)
    m, s = address(r.multiplier, first), address(r.shift, first)
    f = address(r.factor, first)
    c, e = address(y, y_at), address(extremes, 0)
    vectors = lanes // LANES
    offset, low, high = int32(r.offset), int32(r.low), int32(r.high)
    up = int32(r.rounding == SINGLE)
    if r.rounding == FLOAT32:
        in_float32(a, rows, vectors, b, f, s, up, offset, low, high, c, stride, e)
    elif r.rounding == FLOAT64:
        in_float64(a, rows, vectors, b, f, s, up, offset, low, high, c, stride, e)
    elif r.rounding == DOUBLE:
        if r.is_pow2:
            twice_pow2(a, rows, vectors, b, m, s, up, offset, low, high, c, stride, e)
        else:
            twice(a, rows, vectors, b, m, s, up, offset, low, high, c, stride, e)
    elif r.is_pow2:
        once_pow2(a, rows, vectors, b, m, s, up, offset, low, high, c, stride, e)
    else:
        once(a, rows, vectors, b, m, s, up, offset, low, high, c, stride, e)


@njit(cache=True)
def _one_by_one(acc, r, y, y_at, extremes):
    """Fewer sums than a vector has."""
    smallest, largest = extremes[0], extremes[LANES]
    for k in range(acc.shape[0]):
        v = int32(acc[k] + r.bias[k])
        if r.rounding >= FLOAT32:
            q = int32(rescale_floating(v, r.factor[k], r.rounding))
        else:
            q = int32(rescale(v, r.multiplier[k], r.shift[k], r.rounding))
        smallest = min(smallest, q)
        largest = max(largest, q)
        y[y_at + k] = clamp(q + r.offset, r.low, r.high)
    extremes[0], extremes[LANES] = smallest, largest


@njit(cache=True)
def add_bias(sums, bias, low, high, y):
    """The same of floating sums: ``y = clamp(sums + bias, low, high)``; NaN stays."""
    for k in range(y.shape[0]):
        value = sums[k] + bias[k]
        if value < low:
            value = low
        if value > high:
            value = high
        y[k] = value


@njit(cache=True)
def new_extremes():
    """16 smallest and 16 largest values of nothing, int32 (32,)."""
    extremes = np.empty(2 * LANES, np.int32)
    for k in range(LANES):
        extremes[k] = 2**31 - 1
        extremes[LANES + k] = -(2**31)
    return extremes


@njit(cache=True)
def fold_extremes(extremes, y_range):
    """Lower and raise `y_range` to hold `extremes`."""
    for k in range(LANES):
        y_range[0] = min(y_range[0], int64(extremes[k]))
        y_range[1] = max(y_range[1], int64(extremes[LANES + k]))
