"""2-D max pooling.

    Y[n,y,x,c] = clamp(max over i,j of X[n, y*sh+i-top, x*sw+j-left, c], low, high)

over the cells of the window that lie in the image. X (N,H,W,C), Y (N,OH,OW,C); input
and output share one scale. No accumulator.

The gradient goes to the first cell, in row order, that holds the maximum. The forward
pass of training notes which cell of its window that is, i * KW + j, and the backward
pass adds each gradient there.

Source: CMSIS-NN v7.0.0 `arm_max_pool_s8`; TFLite `MAX_POOL_2D` int8. Legacy: CMSIS
5.9.0 `arm_maxpool_q7_HWC`, which has no range to clamp to.
"""

from __future__ import annotations

import math

import numpy as np

from kanji_np.jit import njit
from kanji_np.loops import buffers
from kanji_np.loops.threads import run
from kanji_np.ops.op import (
    Arrays,
    Fast,
    Gradients,
    Op,
    Specs,
)
from kanji_np.ops.pooling import (
    ClampInts,
    Pool2DAttrs,
    full_range,
    infer,
    new_output,
    window_numbers,
    windows,
)
from kanji_np.targets.cmsis_nn import pooling as s8
from kanji_np.targets.cmsis_nn_q7 import pooling as q7
from kanji_np.types import KernelCall, Saved, TargetSpec, TensorSpec


def fast_int(attrs: Pool2DAttrs, ints: ClampInts, xs: Arrays) -> np.ndarray:
    """int8 (N,H,W,C) -> int8 (N,OH,OW,C)."""
    (x,) = xs
    return _clamped(forward_float(attrs, None, xs), ints)


def forward_int(attrs: Pool2DAttrs, ints: ClampInts, xs: Arrays) -> np.ndarray:
    """`forward_int` as the formula says it, one window at a time."""
    (x,) = xs
    y = new_output(attrs, x)
    for (oy, ox), window in windows(attrs, x, y):
        y[:, oy, ox] = window.max(axis=(1, 2))
    return np.clip(y, ints.act_min, ints.act_max)


def forward_float(attrs: Pool2DAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Any dtype (N,H,W,C) -> same dtype (N,OH,OW,C)."""
    (x,) = xs
    y = new_output(attrs, x)
    x = np.ascontiguousarray(x)
    run(_max_pool, len(x), x, *window_numbers(attrs, x), y)
    return y


def forward_train(
    attrs: Pool2DAttrs, ints: ClampInts | None, xs: Arrays
) -> tuple[np.ndarray, np.ndarray]:
    """Any dtype (N,H,W,C) -> same dtype (N,OH,OW,C), and the number in its window of
    the first cell as large: uint8, or uint32 for windows of more than 256 cells."""
    (x,) = xs
    y = new_output(attrs, x)
    dtype = np.uint8 if math.prod(attrs.pool_size) <= 256 else np.uint32
    cells = buffers.empty(y.shape, dtype)
    x = np.ascontiguousarray(x)
    run(_max_pool_cells, len(x), x, *window_numbers(attrs, x), y, cells)
    return (y if ints is None else _clamped(y, ints)), cells


def _clamped(y: np.ndarray, ints: ClampInts) -> np.ndarray:
    if (ints.act_min, ints.act_max) != (-128, 127):
        np.clip(y, ints.act_min, ints.act_max, out=y)
    return y


def vjp(
    attrs: Pool2DAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY at the first maximum of each window."""
    (x,) = saved.x
    cells = saved.extra
    if cells is None:
        _, cells = forward_train(attrs, None, saved.x)
    gx = buffers.empty(x.shape, gy.dtype)
    numbers = window_numbers(attrs, x)
    run(_max_pool_vjp, len(gx), cells, np.ascontiguousarray(gy), *numbers, gx)
    return (gx,), None


def lower_cmsis_nn(
    attrs: Pool2DAttrs,
    ints: ClampInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g, clamp_to = attrs.window.over(x.shape), (ints.act_min, ints.act_max)
    return (s8.call("arm_max_pool_s8", x.shape, y.shape, g, clamp_to),)


def lower_cmsis_nn_q7(
    attrs: Pool2DAttrs,
    ints: ClampInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g = attrs.window.over(x.shape)
    return (q7.call("arm_maxpool_q7_HWC", x.shape, y.shape, g, target),)


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


MAX_POOL2D = Op(
    name="max_pool2d",
    short_name="pool",
    attrs=Pool2DAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    ints=full_range,
    fast=Fast(fast_int, forward_train=forward_train),
)
