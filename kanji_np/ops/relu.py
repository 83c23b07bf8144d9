"""ReLU as a layer of its own: ``Y = max(X, 0)``, any shape, same scale, in place.

Fused into the layer before it, where that is a convolution or dense layer, it costs
nothing: give that layer ``activation="relu"``. No accumulator.

Source: `arm_relu_q7` of CMSIS-NN v7.0.0 and CMSIS 5.9.0, 65,535 bytes at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.ops import buffers, cmsis_q7
from kanji_np.ops.op import Op
from kanji_np.types import (
    Cost,
    KernelCall,
    Saved,
    Shape,
    TargetSpec,
    TensorSpec,
)


@dataclass(frozen=True)
class ReluAttrs:
    """Nothing to choose."""


def infer(attrs: ReluAttrs, shape: Shape) -> Shape:
    return shape


def forward_int(attrs: ReluAttrs, ints: None, x: np.ndarray) -> np.ndarray:
    """int8 -> int8, same shape."""
    return np.maximum(x, np.int8(0), out=buffers.empty(x.shape, np.int8))


def definition(attrs: ReluAttrs, ints: None, x: np.ndarray) -> np.ndarray:
    """`forward_int`, one element at a time."""
    y = [v if v > 0 else 0 for v in x.ravel().tolist()]
    return np.array(y, np.int8).reshape(x.shape)


def forward_float(attrs: ReluAttrs, params: None, x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0, out=buffers.empty(x.shape, x.dtype))


def vjp(
    attrs: ReluAttrs, params: None, saved: Saved, gy: np.ndarray, needs_gx: bool
) -> tuple[np.ndarray, None]:
    """gX = gY where Y > 0."""
    return np.where(saved.y > 0, gy, 0), None


def cost(attrs: ReluAttrs, shape: Shape, target: TargetSpec) -> Cost:
    return Cost()


def lower(
    attrs: ReluAttrs, ints: None, x: TensorSpec, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    return (cmsis_q7.relu(x.size),)


RELU = Op(
    name="relu",
    attrs=ReluAttrs,
    infer=infer,
    forward_int=forward_int,
    definition=definition,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower, "cmsis-nn-q7": lower},
    output_qparams=lambda attrs, x, numerics: x,
)
