"""Global average pooling.

    Y[n,c] = clamp(divide(sum over y,x of X[n,y,x,c], H*W), low, high)

X (N,H,W,C), Y (N,C); input and output share one scale.

The target decides how it is divided: to the nearest integer, halves away from zero;
toward zero; or toward zero twice, the sum of each row by the number of columns and then
the sum of those by the number of rows.

Accumulator: |sum| <= 128 * H * W, inside int32 for any image that fits a device.

Source: CMSIS-NN v7.0.0 `arm_avgpool_s8` with a window as large as the image; Keras
`GlobalAveragePooling2D`; TFLite `AVERAGE_POOL_2D` int8 (not `MEAN`, whose output has a
scale of its own). Legacy: CMSIS 5.9.0 `arm_avepool_q7_HWC`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.fixedpoint import average, clamp
from kanji_np.loops import pooling as fast
from kanji_np.ops.attributes import Attributes
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
from kanji_np.window import Geometry, Window, check_image


@dataclass(frozen=True)
class GlobalAvgPool2DAttrs(Attributes):
    """(H,W,C) -> (C,), the average of every channel; see `ops.global_avg_pool2d`."""


def infer(attrs: GlobalAvgPool2DAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    check_image(shape)
    return shape[2:]


def ints_of(
    attrs: GlobalAvgPool2DAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> AvgPoolInts:
    return AvgPoolInts(divide=numerics.average)


def forward_int(
    attrs: GlobalAvgPool2DAttrs, ints: AvgPoolInts, xs: Arrays
) -> np.ndarray:
    """int8 (N,H,W,C) -> int8 (N,C), one channel at a time."""
    (x,) = xs
    y = np.empty((len(x), x.shape[3]), np.int8)
    for n, c in np.ndindex(y.shape):
        mean = average(x[n, :, :, c].tolist(), ints.divide)
        y[n, c] = clamp(mean, ints.act_min, ints.act_max)
    return y


def forward_float(attrs: GlobalAvgPool2DAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N,H,W,C) -> same dtype (N,C)."""
    (x,) = xs
    return x.mean(axis=(1, 2))


def vjp(
    attrs: GlobalAvgPool2DAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY / (H * W), at every cell."""
    (x,) = saved.x
    _, height, width, _ = x.shape
    g = (gy / (height * width))[:, None, None]  # (N,C) -> (N,1,1,C)
    return (np.broadcast_to(g, x.shape).copy(),), None


def _whole(shape: Shape) -> Geometry:
    """One window over an input (H, W, C)."""
    height, width, _ = shape
    return Window((height, width)).over(shape)


def lower_cmsis_nn(
    attrs: GlobalAvgPool2DAttrs,
    ints: AvgPoolInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    limits = ints.act_min, ints.act_max
    return (s8.average(x.shape, (1, 1, *y.shape), _whole(x.shape), limits, target),)


def lower_cmsis_nn_q7(
    attrs: GlobalAvgPool2DAttrs,
    ints: AvgPoolInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    return (q7.average(x.shape, (1, 1, *y.shape), _whole(x.shape), target),)


GLOBAL_AVG_POOL2D = Op(
    name="global_avg_pool2d",
    short_name="pool",
    attrs=GlobalAvgPool2DAttrs,
    layer="GlobalAvgPool2D",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    ints=ints_of,
    fast=Fast(fast.global_avg_pool_int),
)
