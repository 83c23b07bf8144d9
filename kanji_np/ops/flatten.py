"""Flatten: (N,H,W,C) -> (N,H*W*C), the same bytes under another shape.

No code on the device, no accumulator, no scale of its own. Source: Keras `Flatten`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import Op
from kanji_np.types import Cost, KernelCall, Saved, Shape, TargetSpec, TensorSpec


@dataclass(frozen=True)
class FlattenAttrs(Attributes):
    """Nothing to choose."""


def infer(attrs: FlattenAttrs, shape: Shape) -> Shape:
    return (math.prod(shape),)


def forward_int(attrs: FlattenAttrs, ints: None, x: np.ndarray) -> np.ndarray:
    """Any dtype (N, ...) -> same dtype (N, K)."""
    return x.reshape(len(x), math.prod(x.shape[1:]))  # (N,H,W,C) -> (N,H*W*C)


def vjp(
    attrs: FlattenAttrs, params: None, saved: Saved, gy: np.ndarray, needs_gx: bool
) -> tuple[np.ndarray, None]:
    return gy.reshape(saved.x.shape), None  # (N,H*W*C) -> (N,H,W,C)


def cost(attrs: FlattenAttrs, shape: Shape, target: TargetSpec) -> Cost:
    return Cost()


def lower(
    attrs: FlattenAttrs, ints: None, x: TensorSpec, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    return ()


FLATTEN = Op(
    name="flatten",
    attrs=FlattenAttrs,
    infer=infer,
    forward_int=forward_int,
    definition=forward_int,
    forward_float=lambda attrs, params, x: forward_int(attrs, None, x),
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower, "cmsis-nn-q7": lower},
    output_qparams=lambda attrs, x, numerics: x,
)
