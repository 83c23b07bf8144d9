"""2-D average pooling.

    Y[n,y,x,c] = clamp(divide_half_away(sum, count), low, high)

of sum and count of the window's cells that lie in the image: padding counts neither
above nor below the line. X (N,H,W,C), Y (N,OH,OW,C); input and output share one scale.

Accumulator: |sum| <= 128 * KH * KW, far inside int32 for any window that fits a device.

Source: CMSIS-NN v7.0.0 `arm_avgpool_s8`; TFLite `AVERAGE_POOL_2D` int8.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from kanji_np.fixedpoint import clamp, divide_half_away
from kanji_np.ops.op import Op
from kanji_np.ops.pooling import (
    ClampInts,
    Pool2DAttrs,
    cost,
    full_range,
    infer,
    lower_pool,
    new_output,
    window_numbers,
    windows,
)
from kanji_np.types import BufferSize, KernelCall, Saved, TargetSpec, TensorSpec


def forward_int(attrs: Pool2DAttrs, ints: ClampInts, x: np.ndarray) -> np.ndarray:
    """int8 (N,H,W,C) -> int8 (N,OH,OW,C)."""
    y = new_output(attrs, x)
    _avg_pool_int(x, *window_numbers(attrs, x), ints.act_min, ints.act_max, y)
    return y


def definition(attrs: Pool2DAttrs, ints: ClampInts, x: np.ndarray) -> np.ndarray:
    """`forward_int` as the formula says it, one window at a time."""
    y = new_output(attrs, x)
    for (oy, ox), window in windows(attrs, x, y):
        count = window.shape[1] * window.shape[2]
        total = window.sum(axis=(1, 2), dtype=np.int64)
        away = np.sign(total) * ((np.abs(total) + count // 2) // count)
        y[:, oy, ox] = np.clip(away, ints.act_min, ints.act_max)
    return y


def forward_float(attrs: Pool2DAttrs, params: None, x: np.ndarray) -> np.ndarray:
    """Floating (N,H,W,C) -> same dtype (N,OH,OW,C)."""
    y = new_output(attrs, x)
    for (oy, ox), window in windows(attrs, x, y):
        y[:, oy, ox] = window.mean(axis=(1, 2))
    return y


def vjp(
    attrs: Pool2DAttrs, params: None, saved: Saved, gy: np.ndarray, needs_gx: bool
) -> tuple[np.ndarray | None, None]:
    """gX = gY / cells, at every cell of the window."""
    gx = np.zeros(saved.x.shape, gy.dtype)
    for (oy, ox), window in windows(attrs, gx, saved.y):
        window += (gy[:, oy, ox] / (window.shape[1] * window.shape[2]))[:, None, None]
    return gx, None


def lower_cmsis_nn(
    attrs: Pool2DAttrs,
    ints: ClampInts,
    x: TensorSpec,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    channels = x.shape[2]
    # DSP cores keep one int32 sum a channel
    scratch_bytes = 4 * channels if target.core == "dsp" else 0
    size = BufferSize("arm_avgpool_s8_get_buffer_size", (y.shape[1], channels))
    return (lower_pool("arm_avgpool_s8", attrs, ints, x, y, scratch_bytes, size),)


@njit(cache=True, parallel=True)
def _avg_pool_int(x, kernel, stride, pad, low, high, y):
    count, height, width, channels = x.shape
    for n in prange(count):
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
                        for ix in columns:
                            total += x[n, iy, ix, c]
                    y[n, oy, ox, c] = clamp(divide_half_away(total, cells), low, high)


AVG_POOL2D = Op(
    name="avg_pool2d",
    attrs=Pool2DAttrs,
    infer=infer,
    forward_int=forward_int,
    definition=definition,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower_cmsis_nn},
    output_qparams=lambda attrs, x: x,
    ints=full_range,
)
