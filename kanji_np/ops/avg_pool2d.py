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

import math

import numpy as np

from kanji_np.fixedpoint import average, clamp
from kanji_np.loops import pooling as fast
from kanji_np.ops.attributes import Pool2DAttrs
from kanji_np.ops.op import Fast, Op
from kanji_np.targets.cmsis_nn import pooling as s8
from kanji_np.targets.cmsis_nn_q7 import pooling as q7
from kanji_np.types import (
    Arrays,
    AvgPoolInts,
    Gradients,
    KernelCall,
    Numerics,
    QParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)


def infer(attrs: Pool2DAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    return *attrs.over(shape).out, shape[2]


def ints_of(
    attrs: Pool2DAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> AvgPoolInts:
    return AvgPoolInts(divide=numerics.average)


def forward_int(attrs: Pool2DAttrs, ints: AvgPoolInts, xs: Arrays) -> np.ndarray:
    """int8 (N,H,W,C) -> int8 (N,OH,OW,C), one window and channel at a time."""
    (x,) = xs
    g = attrs.over(x.shape[1:])
    y = np.empty((len(x), *g.out, x.shape[3]), np.int8)
    for (oy, ox), place in g.places():
        for n, c in np.ndindex(len(x), x.shape[3]):
            mean = average(x[place][n, :, :, c].tolist(), ints.divide)
            y[n, oy, ox, c] = clamp(mean, ints.act_min, ints.act_max)
    return y


def forward_float(attrs: Pool2DAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N,H,W,C) -> same dtype (N,OH,OW,C)."""
    (x,) = xs
    g = attrs.over(x.shape[1:])
    y = np.empty((len(x), *g.out, x.shape[3]), x.dtype)
    for (oy, ox), place in g.places():
        y[:, oy, ox] = x[place].mean(axis=(1, 2))
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
    gx = np.zeros(x.shape, gy.dtype)
    for (oy, ox), place in attrs.over(x.shape[1:]).places():
        cells = math.prod(gx[place].shape[1:3])
        gx[place] += gy[:, oy, ox, None, None] / cells
    return (gx,), None


def lower_cmsis_nn(
    attrs: Pool2DAttrs,
    ints: AvgPoolInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g, limits = attrs.over(x.shape), (ints.act_min, ints.act_max)
    return (s8.average(x.shape, y.shape, g, limits, target),)


def lower_cmsis_nn_q7(
    attrs: Pool2DAttrs,
    ints: AvgPoolInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    return (q7.average(x.shape, y.shape, attrs.over(x.shape), target),)


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
    fast=Fast(fast.avg_pool_int, fast.avg_pool_float, fast.avg_pool_vjp),
)
