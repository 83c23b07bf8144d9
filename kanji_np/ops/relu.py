"""ReLU as a layer of its own: ``Y = clamp(X, low, high)``, any shape, same scale.

`low` stands for zero; relu6 has a `high`. Fused into the layer before it, where that is
a convolution, a dense layer or a sum, it costs nothing: give that layer
``activation="relu"``. No accumulator.

With zero point 0 it is `arm_relu_q7`, which works in place, on 65,535 bytes at most.
Otherwise it is `arm_max_pool_s8` with a window of one cell, which clamps to any range.

Source: CMSIS-NN v7.0.0 and CMSIS 5.9.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kanji_np.loops import buffers
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import (
    Arrays,
    Fast,
    Gradients,
    Op,
    Shapes,
    Specs,
)
from kanji_np.ops.pooling import ClampInts
from kanji_np.quantize import activation_bounds, activation_range
from kanji_np.targets import arm
from kanji_np.targets.cmsis_nn import pooling
from kanji_np.types import (
    KernelCall,
    Numerics,
    QParams,
    Saved,
    Shape,
    TargetSpec,
    TensorSpec,
)
from kanji_np.window import Window


@dataclass(frozen=True)
class ReluAttrs(Attributes):
    """ReLU as a layer of its own; see `ops.relu`.

    Any shape -> the same.
    """

    activation: ClassVar[str] = "relu"


def infer(attrs: Any, shapes: Shapes) -> Shape:
    (shape,) = shapes
    return shape


def ints_of(
    attrs: Any, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> ClampInts:
    (x,) = xs
    return ClampInts(*activation_range(attrs.activation, x))


def fast_int(attrs: Any, ints: ClampInts, xs: Arrays) -> np.ndarray:
    """int8 -> int8, same shape."""
    (x,) = xs
    limits = np.int8(ints.act_min), np.int8(ints.act_max)
    return np.clip(x, *limits, out=buffers.empty(x.shape, np.int8))


def forward_int(attrs: Any, ints: ClampInts, xs: Arrays) -> np.ndarray:
    """`forward_int`, one element at a time."""
    (x,) = xs
    y = [min(max(v, ints.act_min), ints.act_max) for v in x.ravel().tolist()]
    return np.array(y, np.int8).reshape(x.shape)


def forward_float(attrs: Any, params: None, xs: Arrays) -> np.ndarray:
    (x,) = xs
    low, high = activation_bounds(attrs.activation)
    return np.clip(x, low, high, out=buffers.empty(x.shape, x.dtype))


def vjp(
    attrs: Any, params: None, saved: Saved, gy: np.ndarray, needs_gx: tuple[bool, ...]
) -> tuple[Gradients, None]:
    """gX = gY where X is inside the range."""
    _, high = activation_bounds(attrs.activation)
    (x,), (scale,), (offset,) = saved.x, saved.x_scale, saved.x_offset
    inside = x > -offset
    if not math.isinf(high):
        above = high / scale
        if x.dtype == np.int8:
            above = round(above)
        inside &= x < above - offset
    return (np.where(inside, gy, gy.dtype.type(0)),), None


def lower_cmsis_nn(
    attrs: Any, ints: ClampInts, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    (x,) = xs
    if (ints.act_min, ints.act_max) == (0, 127):
        return (arm.relu(x.size),)
    shape = (math.prod(x.shape[:-1]), x.shape[-1]) if len(x.shape) != 3 else x.shape
    image = (1, *shape)[-3:]
    one_cell, clamp_to = Window((1, 1)).over(image), (ints.act_min, ints.act_max)
    return (pooling.call("arm_max_pool_s8", image, image, one_cell, clamp_to),)


def lower_cmsis_nn_q7(
    attrs: Any, ints: ClampInts, xs: Specs, y: TensorSpec, target: TargetSpec
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
    fast=Fast(fast_int),
)
