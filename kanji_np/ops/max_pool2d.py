"""2-D max pooling.

    Y[n,y,x,c] = clamp(max over i,j of X[n, y*sh+i-top, x*sw+j-left, c], low, high)

over the cells of the window that lie in the image. X (N,H,W,C), Y (N,OH,OW,C); input
and output share one scale. No accumulator.

The gradient goes to the first cell, in row order, that holds the maximum.

Source: CMSIS-NN v7.0.0 `arm_max_pool_s8`; TFLite `MAX_POOL_2D` int8. Legacy: CMSIS
5.9.0 `arm_maxpool_q7_HWC`, which has no range to clamp to.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from kanji_np.ops.op import Op
from kanji_np.ops.pooling import (
    ClampInts,
    Pool2DAttrs,
    cost,
    full_range,
    infer,
    lower_pool,
    lower_pool_q7,
    new_output,
    window_numbers,
    windows,
)
from kanji_np.types import KernelCall, Saved, TargetSpec, TensorSpec


def forward_int(attrs: Pool2DAttrs, ints: ClampInts, x: np.ndarray) -> np.ndarray:
    """int8 (N,H,W,C) -> int8 (N,OH,OW,C)."""
    y = new_output(attrs, x)
    _max_pool(x, *window_numbers(attrs, x), y)
    if (ints.act_min, ints.act_max) != (-128, 127):
        np.clip(y, ints.act_min, ints.act_max, out=y)
    return y


def definition(attrs: Pool2DAttrs, ints: ClampInts, x: np.ndarray) -> np.ndarray:
    """`forward_int` as the formula says it, one window at a time."""
    y = new_output(attrs, x)
    for (oy, ox), window in windows(attrs, x, y):
        y[:, oy, ox] = window.max(axis=(1, 2))
    return np.clip(y, ints.act_min, ints.act_max)


def forward_float(attrs: Pool2DAttrs, params: None, x: np.ndarray) -> np.ndarray:
    """Floating (N,H,W,C) -> same dtype (N,OH,OW,C)."""
    y = new_output(attrs, x)
    _max_pool(x, *window_numbers(attrs, x), y)
    return y


def vjp(
    attrs: Pool2DAttrs, params: None, saved: Saved, gy: np.ndarray, needs_gx: bool
) -> tuple[np.ndarray | None, None]:
    """gX = gY at the first maximum of each window."""
    gx = np.zeros(saved.x.shape, gy.dtype)
    numbers = window_numbers(attrs, saved.x)
    _max_pool_vjp(saved.x, saved.y, np.ascontiguousarray(gy), *numbers, gx)
    return gx, None


def lower_cmsis_nn(
    attrs: Pool2DAttrs,
    ints: ClampInts,
    x: TensorSpec,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    return (lower_pool("arm_max_pool_s8", attrs, ints, x, y),)


def lower_cmsis_nn_q7(
    attrs: Pool2DAttrs,
    ints: ClampInts,
    x: TensorSpec,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    return (lower_pool_q7("arm_maxpool_q7_HWC", attrs, x, y, target),)


@njit(cache=True, parallel=True)
def _max_pool(x, kernel, stride, pad, y):
    count, height, width, channels = x.shape
    for n in prange(count):
        for oy in range(y.shape[1]):
            top = oy * stride[0] - pad[0]
            for ox in range(y.shape[2]):
                left = ox * stride[1] - pad[1]
                out = y[n, oy, ox]
                first = True
                for iy in range(max(top, 0), min(top + kernel[0], height)):
                    for ix in range(max(left, 0), min(left + kernel[1], width)):
                        cell = x[n, iy, ix]
                        if first:
                            for c in range(channels):
                                out[c] = cell[c]
                            first = False
                        else:
                            for c in range(channels):
                                out[c] = max(out[c], cell[c])


@njit(cache=True, parallel=True)
def _max_pool_vjp(x, y, gy, kernel, stride, pad, gx):
    count, height, width, channels = x.shape
    for n in prange(count):
        left_over = np.empty(channels, gy.dtype)
        zero = gy.dtype.type(0)
        for oy in range(y.shape[1]):
            top = oy * stride[0] - pad[0]
            for ox in range(y.shape[2]):
                left = ox * stride[1] - pad[1]
                largest = y[n, oy, ox]
                for c in range(channels):
                    left_over[c] = gy[n, oy, ox, c]
                for iy in range(max(top, 0), min(top + kernel[0], height)):
                    for ix in range(max(left, 0), min(left + kernel[1], width)):
                        cell = x[n, iy, ix]
                        gradient = gx[n, iy, ix]
                        # All channels side by side: the first hit takes what is left.
                        for c in range(channels):
                            hit = cell[c] == largest[c]
                            gradient[c] += left_over[c] if hit else zero
                            left_over[c] = zero if hit else left_over[c]


MAX_POOL2D = Op(
    name="max_pool2d",
    attrs=Pool2DAttrs,
    infer=infer,
    forward_int=forward_int,
    definition=definition,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    output_qparams=lambda attrs, x, numerics: x,
    ints=full_range,
)
