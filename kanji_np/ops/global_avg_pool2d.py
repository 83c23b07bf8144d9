"""Global average pooling: (N,H,W,C) -> (N,C), one window as large as the image.

Formula, divisions and accumulator are those of `avg_pool2d`; input and output share one
scale.

Source: CMSIS-NN v7.0.0 `arm_avgpool_s8`; Keras `GlobalAveragePooling2D`; TFLite
`AVERAGE_POOL_2D` int8 (not `MEAN`, whose output has a scale of its own).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kanji_np.ops import avg_pool2d
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.avg_pool2d import AvgPoolInts
from kanji_np.ops.op import (
    Arrays,
    Fast,
    Gradients,
    Lowering,
    Op,
    Shapes,
    Specs,
)
from kanji_np.ops.pooling import Pool2DAttrs
from kanji_np.ops.pooling import infer as infer_pool
from kanji_np.types import (
    KernelCall,
    Numerics,
    QParams,
    Saved,
    Shape,
    TargetSpec,
    TensorSpec,
)
from kanji_np.window import check_image


@dataclass(frozen=True)
class GlobalAvgPool2DAttrs(Attributes):
    """(H,W,C) -> (C,), the average of every channel; see `ops.global_avg_pool2d`."""


def _pool(shape: Shape) -> Pool2DAttrs:
    """One window over an input (H, W, C)."""
    return Pool2DAttrs((shape[0], shape[1]), (1, 1))


def infer(attrs: GlobalAvgPool2DAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    check_image(shape)
    return infer_pool(_pool(shape), shapes)[2:]


def ints_of(
    attrs: GlobalAvgPool2DAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> AvgPoolInts:
    return AvgPoolInts(divide=numerics.average)


def fast_int(attrs: GlobalAvgPool2DAttrs, ints: AvgPoolInts, xs: Arrays) -> np.ndarray:
    """int8 (N,H,W,C) -> int8 (N,C)."""
    (x,) = xs
    return avg_pool2d.fast_int(_pool(x.shape[1:]), ints, xs)[:, 0, 0]


def forward_int(
    attrs: GlobalAvgPool2DAttrs, ints: AvgPoolInts, xs: Arrays
) -> np.ndarray:
    """`forward_int` as the formula says it."""
    (x,) = xs
    return avg_pool2d.forward_int(_pool(x.shape[1:]), ints, xs)[:, 0, 0]


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


def _as_pool(lower: Lowering) -> Lowering:
    """The lowering of an average pool, for (C,) instead of (1, 1, C)."""

    def lower_global(
        attrs: GlobalAvgPool2DAttrs,
        ints: AvgPoolInts,
        xs: Specs,
        y: TensorSpec,
        target: TargetSpec,
    ) -> tuple[KernelCall, ...]:
        (x,) = xs
        pooled = replace(y, shape=(1, 1, *y.shape))
        return lower(_pool(x.shape), ints, xs, pooled, target)

    return lower_global


GLOBAL_AVG_POOL2D = Op(
    name="global_avg_pool2d",
    short_name="pool",
    attrs=GlobalAvgPool2DAttrs,
    layer="GlobalAvgPool2D",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={
        "cmsis-nn": _as_pool(avg_pool2d.lower_cmsis_nn),
        "cmsis-nn-q7": _as_pool(avg_pool2d.lower_cmsis_nn_q7),
    },
    ints=ints_of,
    fast=Fast(fast_int),
)
