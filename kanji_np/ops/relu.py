"""ReLU as a layer of its own: ``Y = clamp(X, low, 127)``, any shape, same scale.

`low` is the zero point, which stands for zero. Fused into the layer before it, where
that is a convolution, a dense layer or a sum, it costs nothing: give that layer
``activation="relu"``. No accumulator.

With zero point 0 it is `arm_relu_q7`, which works in place, on 65,535 bytes at most.
Otherwise it is `arm_max_pool_s8` with a window of one cell, which clamps to any range.

Source: CMSIS-NN v7.0.0 and CMSIS 5.9.0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.loops import elementwise as fast
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import Fast, Op
from kanji_np.targets import arm
from kanji_np.targets.cmsis_nn import pooling
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


@dataclass(frozen=True)
class ReluAttrs(Attributes):
    """ReLU as a layer of its own; see `ops.relu`.

    Any shape -> the same.
    """


def infer(attrs: ReluAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    return shape


def ints_of(
    attrs: ReluAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> ClampInts:
    (x,) = xs
    return ClampInts(x.zero_point, 127)


def forward_int(attrs: ReluAttrs, ints: ClampInts, xs: Arrays) -> np.ndarray:
    """int8 -> int8, same shape."""
    (x,) = xs
    return np.clip(x, ints.act_min, ints.act_max)


def forward_float(attrs: ReluAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating -> same dtype and shape."""
    (x,) = xs
    return np.maximum(x, 0)


def vjp(
    attrs: ReluAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY where X is above zero."""
    (x,), (offset,) = saved.x, saved.x_offset
    return (np.where(x > -offset, gy, 0),), None


def lower_cmsis_nn(
    attrs: ReluAttrs, ints: ClampInts, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    (x,) = xs
    return (pooling.clamped(x.shape, (ints.act_min, ints.act_max)),)


def lower_cmsis_nn_q7(
    attrs: ReluAttrs, ints: ClampInts, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    (x,) = xs
    return (arm.relu(x.size),)


RELU = Op(
    name="relu",
    attrs=ReluAttrs,
    layer="ReLU",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    ints=ints_of,
    fast=Fast(fast.clip_int, fast.relu_float),
)
