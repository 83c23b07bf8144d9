"""Flatten: (N,H,W,C) -> (N,H*W*C), the same bytes under another shape.

No code on the device, no accumulator, no scale of its own. Source: Keras `Flatten`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import Op
from kanji_np.types import (
    Arrays,
    Gradients,
    KernelCall,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)


@dataclass(frozen=True)
class FlattenAttrs(Attributes):
    """(H,W,C) -> (H*W*C,); see `ops.flatten`."""


def infer(attrs: FlattenAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    return (math.prod(shape),)


def forward_int(attrs: FlattenAttrs, ints: None, xs: Arrays) -> np.ndarray:
    """Any dtype (N, ...) -> same dtype (N, K)."""
    (x,) = xs
    return x.reshape(len(x), math.prod(x.shape[1:]))  # (N,H,W,C) -> (N,H*W*C)


def vjp(
    attrs: FlattenAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    (x,) = saved.x
    return (gy.reshape(x.shape),), None  # (N,H*W*C) -> (N,H,W,C)


def lower(
    attrs: FlattenAttrs, ints: None, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    return ()


FLATTEN = Op(
    name="flatten",
    attrs=FlattenAttrs,
    layer="Flatten",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_int,
    vjp=vjp,
    lowerings={"cmsis-nn": lower, "cmsis-nn-q7": lower},
)
