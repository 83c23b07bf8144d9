"""Max and average pooling, and the mean over axes.

The fast functions of `ops.max_pool2d`, `ops.avg_pool2d` and `ops.global_avg_pool2d`;
arguments are those of the operator's own. `ops.mean` takes `sums_int` and `rescaled`.

A max pool that trains notes which cell of its window is the largest, i * KW + j, and
its backward pass adds each gradient there.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from kanji_np.fixedpoint import (
    clamp,
    divide_half_away,
    divide_toward_zero,
    rescale,
)
from kanji_np.jit import nb, njit
from kanji_np.loops import buffers
from kanji_np.loops.threads import run
from kanji_np.types import Arrays, AvgPoolInts, ClampInts, Gradients, Saved, Shape
from kanji_np.window import Geometry, Pair

int64 = nb.int64

HALF_AWAY, TOWARD_ZERO, TOWARD_ZERO_TWICE = 0, 1, 2
DIVISIONS = {
    "half_away": HALF_AWAY,
    "toward_zero": TOWARD_ZERO,
    "toward_zero_twice": TOWARD_ZERO_TWICE,
}


class Pool(Protocol):
    """The attributes of a pool."""

    def over(self, shape: Shape) -> Geometry: ...


def max_pool_int(attrs: Pool, ints: ClampInts, xs: Arrays) -> np.ndarray:
    return _clamped(max_pool_float(attrs, None, xs), ints)


def max_pool_float(attrs: Pool, params: None, xs: Arrays) -> np.ndarray:
    """Of any dtype."""
    (x,) = xs
    g = attrs.over(x.shape[1:])
    y = _output(x, g)
    run(_max_pool, len(x), np.ascontiguousarray(x), *_numbers(g), y)
    return y


def max_pool_train(
    attrs: Pool, ints: ClampInts | None, xs: Arrays
) -> tuple[np.ndarray, np.ndarray]:
    """Of any dtype, and the number in its window of the first cell as large: uint8, or
    uint32 for windows of more than 256 cells."""
    (x,) = xs
    g = attrs.over(x.shape[1:])
    y = _output(x, g)
    cells = buffers.empty(
        y.shape, np.uint8 if math.prod(g.kernel) <= 256 else np.uint32
    )
    run(_max_pool_cells, len(x), np.ascontiguousarray(x), *_numbers(g), y, cells)
    return (y if ints is None else _clamped(y, ints)), cells


def _clamped(y: np.ndarray, ints: ClampInts) -> np.ndarray:
    if (ints.act_min, ints.act_max) != (-128, 127):
        np.clip(y, ints.act_min, ints.act_max, out=y)
    return y


def max_pool_vjp(
    attrs: Pool,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    (x,) = saved.x
    cells = saved.extra
    if cells is None:
        _, cells = max_pool_train(attrs, None, saved.x)
    gx = buffers.empty(x.shape, gy.dtype)
    numbers = _numbers(attrs.over(x.shape[1:]))
    run(_max_pool_vjp, len(gx), cells, np.ascontiguousarray(gy), *numbers, gx)
    return (gx,), None


def avg_pool_int(attrs: Pool, ints: AvgPoolInts, xs: Arrays) -> np.ndarray:
    (x,) = xs
    g = attrs.over(x.shape[1:])
    return _average(x, _output(x, g), _numbers(g), ints)


def global_avg_pool_int(attrs: Any, ints: AvgPoolInts, xs: Arrays) -> np.ndarray:
    """One window as large as the image."""
    (x,) = xs
    n, height, width, channels = x.shape
    y = buffers.empty((n, 1, 1, channels), x.dtype)
    return _average(x, y, ((height, width), (1, 1), (0, 0)), ints)[:, 0, 0]


def _average(
    x: np.ndarray, y: np.ndarray, numbers: tuple[Pair, Pair, Pair], ints: AvgPoolInts
) -> np.ndarray:
    divide, limits = DIVISIONS[ints.divide], (ints.act_min, ints.act_max)
    run(_avg_pool_int, len(x), x, *numbers, divide, *limits, y)
    return y


def avg_pool_float(attrs: Pool, params: None, xs: Arrays) -> np.ndarray:
    (x,) = xs
    g = attrs.over(x.shape[1:])
    y = _output(x, g)
    for (oy, ox), place in g.places():
        y[:, oy, ox] = x[place].mean(axis=(1, 2))
    return y


def avg_pool_vjp(
    attrs: Pool,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    (x,) = saved.x
    gx = buffers.empty(x.shape, gy.dtype)
    gx[...] = 0
    for (oy, ox), place in attrs.over(x.shape[1:]).places():
        cells = gx[place]
        cells += (gy[:, oy, ox] / math.prod(cells.shape[1:3]))[:, None, None]
    return (gx,), None


def _output(x: np.ndarray, g: Geometry) -> np.ndarray:
    """Uninitialized output for a batch."""
    return buffers.empty((len(x), *g.out, x.shape[3]), x.dtype)


def _numbers(g: Geometry) -> tuple[Pair, Pair, Pair]:
    """Kernel, stride and padding before, as the loops take them."""
    return g.kernel, g.stride, g.pad


# The largest of each column of a row of windows is found first, for whole rows of the
# image at once, and of those columns the largest of each window.


@njit(cache=True, nogil=True)
def _max_pool(begin, end, edges, x, kernel, stride, pad, y):
    _, height, width, channels = x.shape
    for n in range(edges[begin], edges[end]):
        columns = np.empty((width, channels), x.dtype)
        flat = columns.reshape(-1)
        for oy in range(y.shape[1]):
            top = oy * stride[0] - pad[0]
            first = max(top, 0)
            _copy(flat, x[n, first].reshape(-1))
            for iy in range(first + 1, min(top + kernel[0], height)):
                _raise(flat, x[n, iy].reshape(-1))
            for ox in range(y.shape[2]):
                left = ox * stride[1] - pad[1]
                first = max(left, 0)
                out = y[n, oy, ox]
                _copy(out, columns[first])
                for ix in range(first + 1, min(left + kernel[1], width)):
                    _raise(out, columns[ix])


@njit(cache=True)
def _copy(out, values):
    for k in range(out.shape[0]):
        out[k] = values[k]


@njit(cache=True)
def _raise(largest, values):
    """Raise `largest` to `values` where they are larger."""
    for k in range(largest.shape[0]):
        largest[k] = values[k] if values[k] > largest[k] else largest[k]


def sums_int(x: np.ndarray, parts: tuple[int, int, int]) -> np.ndarray:
    """int32 (N,O,I): sums over K of an int8 input that is looked at as (N,O,K,I)."""
    before, _, after = parts
    sums = np.zeros((len(x), before, after), np.int32)
    x = np.ascontiguousarray(x).reshape(len(x), *parts)
    run(_sums, len(x), x, sums)
    return sums


@njit(cache=True, nogil=True)
def _sums(begin, end, edges, x, sums):
    for n in range(edges[begin], edges[end]):
        for o in range(x.shape[1]):
            total = sums[n, o]
            for k in range(x.shape[2]):
                row = x[n, o, k]
                for i in range(row.shape[0]):
                    total[i] += row[i]


@njit(cache=True)
def rescaled(values, multiplier, shift, rounding):
    """`fixedpoint.rescale` of each of many values, int64."""
    q = np.empty(values.shape, np.int64)
    for k in range(values.size):
        q.flat[k] = rescale(int64(values.flat[k]), multiplier, shift, rounding)
    return q


@njit(cache=True, nogil=True)
def _max_pool_cells(begin, end, edges, x, kernel, stride, pad, y, cells):
    """`_max_pool`, and the number in its window of the first cell as large."""
    _, height, width, channels = x.shape
    number = cells.dtype.type
    for n in range(edges[begin], edges[end]):
        columns = np.empty((width, channels), x.dtype)
        column_cells = np.empty((width, channels), cells.dtype)
        flat, flat_cells = columns.reshape(-1), column_cells.reshape(-1)
        for oy in range(y.shape[1]):
            top = oy * stride[0] - pad[0]
            first = max(top, 0)
            _copy(flat, x[n, first].reshape(-1))
            flat_cells[:] = number((first - top) * kernel[1])
            for iy in range(first + 1, min(top + kernel[0], height)):
                row, cell = x[n, iy].reshape(-1), number((iy - top) * kernel[1])
                for k in range(flat.shape[0]):
                    larger = row[k] > flat[k]
                    flat[k] = row[k] if larger else flat[k]
                    flat_cells[k] = cell if larger else flat_cells[k]
            for ox in range(y.shape[2]):
                left = ox * stride[1] - pad[1]
                out, out_cells = y[n, oy, ox], cells[n, oy, ox]
                first = max(left, 0)
                column, of_column = columns[first], column_cells[first]
                for c in range(channels):
                    out[c] = column[c]
                    out_cells[c] = number(of_column[c] + number(first - left))
                for ix in range(first + 1, min(left + kernel[1], width)):
                    column, of_column = columns[ix], column_cells[ix]
                    for c in range(channels):
                        cell = number(of_column[c] + number(ix - left))
                        # A cell as large comes first if it lies in a row above.
                        first_of_equal = column[c] == out[c] and cell < out_cells[c]
                        better = column[c] > out[c] or first_of_equal
                        out[c] = column[c] if better else out[c]
                        out_cells[c] = cell if better else out_cells[c]


@njit(cache=True, nogil=True)
def _max_pool_vjp(begin, end, edges, cells, gy, kernel, stride, pad, gx):
    """Rows of `gx` are zeroed just before the first gradient reaches them."""
    _, height, width, channels = gx.shape
    # Unsigned, for a signed index could count from the end and would be tested for it.
    offsets = np.empty(kernel[0] * kernel[1], np.uint64)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            offsets[i * kernel[1] + j] = (i * width + j) * channels
    for n in range(edges[begin], edges[end]):
        image = gx[n].reshape(-1)
        zeroed = 0
        for oy in range(gy.shape[1]):
            top = oy * stride[0] - pad[0]
            end = min(top + kernel[0], height) * width * channels
            image[zeroed:end] = 0
            zeroed = max(zeroed, end)
            for ox in range(gy.shape[2]):
                left = ox * stride[1] - pad[1]
                # Modulo 2^64 below zero where the window starts in the padding.
                corner = np.uint64((top * width + left) * channels)
                cell, gradient = cells[n, oy, ox], gy[n, oy, ox]
                for c in range(channels):
                    image[corner + offsets[cell[c]] + np.uint64(c)] += gradient[c]
        image[zeroed:] = 0


@njit(cache=True, nogil=True)
def _avg_pool_int(begin, end, edges, x, kernel, stride, pad, divide, low, high, y):
    _, height, width, channels = x.shape
    for n in range(edges[begin], edges[end]):
        for oy in range(y.shape[1]):
            top = oy * stride[0] - pad[0]
            rows = range(max(top, 0), min(top + kernel[0], height))
            for ox in range(y.shape[2]):
                left = ox * stride[1] - pad[1]
                columns = range(max(left, 0), min(left + kernel[1], width))
                cells = len(rows) * len(columns)
                for c in range(channels):
                    total = 0
                    for iy in rows:
                        row = 0
                        for ix in columns:
                            row += x[n, iy, ix, c]
                        if divide == TOWARD_ZERO_TWICE:
                            row = divide_toward_zero(row, len(columns))
                        total += row
                    if divide == HALF_AWAY:
                        mean = divide_half_away(total, cells)
                    elif divide == TOWARD_ZERO:
                        mean = divide_toward_zero(total, cells)
                    else:
                        mean = divide_toward_zero(total, len(rows))
                    y[n, oy, ox, c] = clamp(mean, low, high)
