"""Sums become int8 by vectors, as `fixedpoint.rescale` says one by one."""

import numpy as np
import pytest
from numba import njit

from kanji_np.fixedpoint import ROUNDINGS, rescale
from kanji_np.loops.requantize import (
    empty_range,
    fold_extremes,
    new_extremes,
    requantization,
    requantize_pixels,
    requantize_rows,
)
from kanji_np.loops.simd import LANES
from kanji_np.quantize import POW2_MULTIPLIER
from kanji_np.types import LinearInts

ROWS = 40
MULTIPLIERS = (2**30, 2**30 + 1, 2**31 - 1, 3 * 2**29)

FLOATING = ("float32", "float64")

#: Lowest and highest shift, and the multiplier, None: any.
SCALES = {
    "one power of two": (-9, -9, POW2_MULTIPLIER),
    "the largest power of two": (0, 0, POW2_MULTIPLIER),
    "the smallest power of two": (-30, -30, POW2_MULTIPLIER),
    "powers of two": (-30, 0, POW2_MULTIPLIER),
    "powers of two to the left": (-2, 8, POW2_MULTIPLIER),
    "any": (-31, 8, None),
    "usual": (-12, -4, None),
}


def layer(channels, scales, rounding, rng):
    low, high, multiplier = SCALES[scales]
    shift = rng.integers(low, high + 1, channels)
    shift[0], shift[-1] = low, high
    drawn = rng.integers(2**30, 2**31, channels)
    drawn[: len(MULTIPLIERS)] = MULTIPLIERS[:channels]
    if multiplier is not None:
        drawn[:] = multiplier
    if rounding in FLOATING:
        drawn = (drawn + 0.4).astype(rounding).astype(np.float64)
        drawn = np.minimum(drawn, 2**31 - 2**7)
    else:
        drawn = drawn.astype(np.int32)
    return LinearInts(
        weight=np.zeros((channels, 1), np.int8),
        bias=rng.integers(-(2**20), 2**20, channels).astype(np.int32),
        multiplier=drawn,
        shift=shift.astype(np.int32),
        output_offset=-5,
        act_min=-120,
        act_max=101,
        rounding=rounding,
    )


def sums_of(ints, rng):
    """(ROWS, channels): int32 to both ends, ties, and sums whose outputs are int8."""
    channels = len(ints.bias)
    # The output and its offset fit int32 too.
    limit = (2**31 - 1 - 128) >> np.maximum(ints.shift.astype(np.int64), 0)
    scale = ints.multiplier * 2.0 ** (ints.shift - 31.0)
    near = rng.uniform(-130, 130, (ROWS, channels)) / scale
    ties = (rng.integers(-130, 130, (ROWS, channels)) + 0.5) / scale
    anything = rng.uniform(-1, 1, (ROWS, channels)) * limit
    values = np.where(rng.random((ROWS, channels)) < 0.4, near, anything)
    values = np.where(rng.random((ROWS, channels)) < 0.3, ties, values)
    values[0], values[1], values[2], values[3] = limit, -limit, 0, -1
    return np.rint(np.clip(values, -limit, limit)).astype(np.int64)


def expected_of(sums, ints):
    rounding = ROUNDINGS[ints.rounding]
    q = [
        [
            rescale.py_func(int(v), m.item(), int(s), rounding)
            for v, m, s in zip(row, ints.multiplier, ints.shift, strict=True)
        ]
        for row in sums
    ]
    q = np.array(q)
    y = np.clip(q + ints.output_offset, ints.act_min, ints.act_max)
    return y.astype(np.int8), [q.min(), q.max()]


@njit
def _rows(acc, lanes, channels, r, y, y_range):
    spare, extremes = np.empty(acc.size, np.int8), new_extremes()
    flat = y.reshape(-1)
    rows, outputs = y.shape
    requantize_rows(acc, rows, lanes, 0, channels, r, flat, 0, outputs, spare, extremes)
    fold_extremes(extremes, y_range)


@njit
def _pixels(acc, channels, r, y, y_range):
    extremes = new_extremes()
    requantize_pixels(acc, channels, r, y.reshape(-1), 0, extremes)
    fold_extremes(extremes, y_range)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("channels", [1, 5, 16, 23, 32])
def test_vectors_are_rescaled_as_single_sums_are(channels, scales, rounding):
    rng = np.random.default_rng(channels)
    ints = layer(channels, scales, rounding, rng)
    sums = sums_of(ints, rng)
    expected, seen = expected_of(sums, ints)
    lanes = -(-channels // LANES) * LANES
    places = np.minimum(np.arange(lanes), channels - 1)
    acc = (sums - ints.bias).astype(np.uint64).astype(np.uint32).view(np.int32)

    y, y_range = np.empty((ROWS, channels), np.int8), empty_range()
    blocks = np.ascontiguousarray(acc[:, places]).ravel()
    _rows(blocks, lanes, channels, requantization(ints, ints.bias), y, y_range)
    np.testing.assert_array_equal(y, expected)
    assert y_range.tolist() == seen

    for pixels in (1, 3, ROWS):
        y, y_range = np.empty((pixels, channels), np.int8), empty_range()
        r = requantization(ints, ints.bias, ROWS)
        _pixels(acc[:pixels].ravel(), channels, r, y, y_range)
        np.testing.assert_array_equal(y, expected[:pixels])
        assert y_range.tolist() == expected_of(sums[:pixels], ints)[1]
