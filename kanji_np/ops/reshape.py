"""Reshape: the same bytes under another shape of the same size.

No code on the device, no accumulator, no scale of its own. Source: Keras `Reshape`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.ops.attributes import Attributes, attribute, sample_shape
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
class ReshapeAttrs(Attributes):
    """The same values under another shape; see `ops.reshape`.

    Parameters
    ----------
    target_shape : tuple of int
        Of one sample, with as many elements as the input has.
    """

    shape: Shape = attribute(sample_shape, called="target_shape")


def infer(attrs: ReshapeAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if math.prod(attrs.shape) != math.prod(shape):
        raise ShapeError(
            f"reshape: {attrs.shape} has {math.prod(attrs.shape)} elements, the input "
            f"{shape} has {math.prod(shape)}"
        )
    return attrs.shape


def forward_int(attrs: ReshapeAttrs, ints: None, xs: Arrays) -> np.ndarray:
    """Any dtype (N, ...) -> same dtype (N, *shape)."""
    (x,) = xs
    return x.reshape(len(x), *infer(attrs, (x.shape[1:],)))


def vjp(
    attrs: ReshapeAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    (x,) = saved.x
    return (gy.reshape(x.shape),), None


def lower(
    attrs: ReshapeAttrs, ints: None, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    return ()


RESHAPE = Op(
    name="reshape",
    attrs=ReshapeAttrs,
    layer="Reshape",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_int,
    vjp=vjp,
    lowerings={"cmsis-nn": lower, "cmsis-nn-q7": lower},
)
