"""2-D average pooling.

    Y[n,y,x,c] = clamp(divide(sum, count), low, high)

of sum and count of the window's cells that lie in the image: padding counts neither
above nor below the line. X (N,H,W,C), Y (N,OH,OW,C); input and output share one scale.

The target decides how it is divided: to the nearest integer, halves away from zero;
toward zero; or toward zero twice, the sum of each row by the number of columns and then
the sum of those by the number of rows.

Accumulator: |sum| <= 128 * KH * KW, far inside int32 for any window that fits a device.

Source: CMSIS-NN v7.0.0 `arm_avgpool_s8`; TFLite `AVERAGE_POOL_2D` int8. Legacy: CMSIS
5.9.0 `arm_avepool_q7_HWC`, toward zero, on DSP cores twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.fixedpoint import clamp, divide_half_away, divide_toward_zero
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
    infer,
    new_output,
    window_numbers,
    windows,
)
from kanji_np.targets.cmsis_nn import pooling as s8
from kanji_np.targets.cmsis_nn_q7 import pooling as q7
from kanji_np.types import KernelCall, Numerics, QParams, Saved, TargetSpec, TensorSpec

HALF_AWAY, TOWARD_ZERO, TOWARD_ZERO_TWICE = 0, 1, 2
DIVISIONS = {
    "half_away": HALF_AWAY,
    "toward_zero": TOWARD_ZERO,
    "toward_zero_twice": TOWARD_ZERO_TWICE,
}


@dataclass(frozen=True)
class AvgPoolInts(ClampInts):
    """Range the output is clamped to; `divide` as in `Numerics.average`."""

    divide: str = "half_away"


def ints_of(
    attrs: Pool2DAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> AvgPoolInts:
    return AvgPoolInts(divide=numerics.average)


def fast_int(attrs: Pool2DAttrs, ints: AvgPoolInts, xs: Arrays) -> np.ndarray:
    """int8 (N,H,W,C) -> int8 (N,OH,OW,C)."""
    (x,) = xs
    y = new_output(attrs, x)
    divide, numbers = DIVISIONS[ints.divide], window_numbers(attrs, x)
    limits = (ints.act_min, ints.act_max)
    run(_avg_pool_int, len(x), x, *numbers, divide, *limits, y)
    return y


def forward_int(attrs: Pool2DAttrs, ints: AvgPoolInts, xs: Arrays) -> np.ndarray:
    """`forward_int` as the formula says it, one window at a time."""
    (x,) = xs
    y = new_output(attrs, x)
    for (oy, ox), window in windows(attrs, x, y):
        rows, columns = window.shape[1:3]
        total = window.sum(axis=(1, 2), dtype=np.int64)
        if ints.divide == "half_away":
            half = rows * columns // 2
            mean = np.sign(total) * ((np.abs(total) + half) // (rows * columns))
        elif ints.divide == "toward_zero":
            mean = np.trunc(total / (rows * columns))
        else:
            means = np.trunc(window.sum(axis=2, dtype=np.int64) / columns)
            mean = np.trunc(means.sum(axis=1) / rows)
        y[:, oy, ox] = np.clip(mean, ints.act_min, ints.act_max)
    return y


def forward_float(attrs: Pool2DAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N,H,W,C) -> same dtype (N,OH,OW,C)."""
    (x,) = xs
    y = new_output(attrs, x)
    for (oy, ox), window in windows(attrs, x, y):
        y[:, oy, ox] = window.mean(axis=(1, 2))
    return y


def vjp(
    attrs: Pool2DAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY / cells, at every cell of the window."""
    (x,) = saved.x
    gx = buffers.empty(x.shape, gy.dtype)
    gx[...] = 0
    for (oy, ox), window in windows(attrs, gx, saved.y):
        window += (gy[:, oy, ox] / (window.shape[1] * window.shape[2]))[:, None, None]
    return (gx,), None


def lower_cmsis_nn(
    attrs: Pool2DAttrs,
    ints: AvgPoolInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    call = s8.call(
        "arm_avgpool_s8",
        x.shape,
        y.shape,
        attrs.window.over(x.shape),
        (ints.act_min, ints.act_max),
        scratch_bytes=s8.average_scratch_bytes(x.shape[2], target),
        buffer_size=s8.average_buffer_size(y.shape),
    )
    return (call,)


def lower_cmsis_nn_q7(
    attrs: Pool2DAttrs,
    ints: AvgPoolInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g = attrs.window.over(x.shape)
    q7.check_average(g)
    call = q7.call(
        "arm_avepool_q7_HWC",
        x.shape,
        y.shape,
        g,
        target,
        scratch_bytes=q7.average_scratch_bytes(y.shape, target),
    )
    return (call,)


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


AVG_POOL2D = Op(
    name="avg_pool2d",
    short_name="pool",
    attrs=Pool2DAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    ints=ints_of,
    fast=Fast(fast_int),
)
