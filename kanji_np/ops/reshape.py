"""Reshape: the same bytes under another shape of the same size.

No code on the device, no accumulator, no scale of its own. Source: Keras `Reshape`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.ops import flatten
from kanji_np.ops.attributes import Attributes, attribute, sample_shape
from kanji_np.ops.op import Op
from kanji_np.types import Shape


@dataclass(frozen=True)
class ReshapeAttrs(Attributes):
    """The new shape of one sample."""

    shape: Shape = attribute(sample_shape, called="target_shape")


def infer(attrs: ReshapeAttrs, shape: Shape) -> Shape:
    if math.prod(attrs.shape) != math.prod(shape):
        raise ShapeError(
            f"reshape: {attrs.shape} has {math.prod(attrs.shape)} elements, the input "
            f"{shape} has {math.prod(shape)}"
        )
    return attrs.shape


def forward_int(attrs: ReshapeAttrs, ints: None, x: np.ndarray) -> np.ndarray:
    """Any dtype (N, ...) -> same dtype (N, *shape)."""
    return x.reshape(len(x), *infer(attrs, x.shape[1:]))


RESHAPE = Op(
    name="reshape",
    attrs=ReshapeAttrs,
    infer=infer,
    forward_int=forward_int,
    definition=forward_int,
    forward_float=lambda attrs, params, x: forward_int(attrs, None, x),
    vjp=flatten.vjp,
    cost=flatten.cost,
    lowerings={"cmsis-nn": flatten.lower, "cmsis-nn-q7": flatten.lower},
    output_qparams=lambda attrs, x, numerics: x,
)
