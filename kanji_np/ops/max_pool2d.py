"""2-D max pooling.

    Y[n,y,x,c] = clamp(max over i,j of X[n, y*sh+i-top, x*sw+j-left, c], low, high)

over the cells of the window that lie in the image. X (N,H,W,C), Y (N,OH,OW,C); input
and output share one scale. No accumulator. The gradient goes to the first cell, in row
order, that holds the maximum.

Source: CMSIS-NN v7.0.0 `arm_max_pool_s8`; TFLite `MAX_POOL_2D` int8. Legacy: CMSIS
5.9.0 `arm_maxpool_q7_HWC`, which has no range to clamp to.
"""

from __future__ import annotations

import numpy as np

from kanji_np.loops import pooling as fast
from kanji_np.ops.attributes import Pool2DAttrs
from kanji_np.ops.op import Fast, Op
from kanji_np.targets.cmsis_nn import pooling as s8
from kanji_np.targets.cmsis_nn_q7 import pooling as q7
from kanji_np.types import (
    Arrays,
    ClampInts,
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
) -> ClampInts:
    return ClampInts()


def forward_int(attrs: Pool2DAttrs, ints: ClampInts, xs: Arrays) -> np.ndarray:
    """int8 (N,H,W,C) -> int8 (N,OH,OW,C)."""
    return np.clip(forward_float(attrs, None, xs), ints.act_min, ints.act_max)


def forward_float(attrs: Pool2DAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Any dtype (N,H,W,C) -> same dtype (N,OH,OW,C)."""
    (x,) = xs
    g = attrs.over(x.shape[1:])
    y = np.empty((len(x), *g.out, x.shape[3]), x.dtype)
    for (oy, ox), place in g.places():
        y[:, oy, ox] = x[place].max(axis=(1, 2))
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
    gx = np.zeros(x.shape, gy.dtype)
    for (oy, ox), place in attrs.over(x.shape[1:]).places():
        window = x[place]
        n, rows, columns, channels = window.shape
        cells = window.reshape(n, -1, channels)  # (N,KH,KW,C) -> (N,KH*KW,C)
        number = np.arange(rows * columns)[:, None]
        is_first = number == cells.argmax(axis=1, keepdims=True)
        gx[place] += np.where(is_first, gy[:, oy, ox, None], 0).reshape(window.shape)
    return (gx,), None


def lower_cmsis_nn(
    attrs: Pool2DAttrs,
    ints: ClampInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g, limits = attrs.over(x.shape), (ints.act_min, ints.act_max)
    return (s8.maximum(x.shape, y.shape, g, limits),)


def lower_cmsis_nn_q7(
    attrs: Pool2DAttrs,
    ints: ClampInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    return (q7.maximum(x.shape, y.shape, attrs.over(x.shape), target),)


MAX_POOL2D = Op(
    name="max_pool2d",
    short_name="pool",
    attrs=Pool2DAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    ints=ints_of,
    fast=Fast(
        fast.max_pool_int,
        fast.max_pool_float,
        fast.max_pool_vjp,
        fast.max_pool_train,
    ),
)
