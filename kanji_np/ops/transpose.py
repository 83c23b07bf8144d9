"""Transpose: the axes of every sample in another order, the same values.

    Y[n, i_1, i_2, ...] = X[n, j_1, j_2, ...],   i_k = j_d for d = dims[k]

Input and output share one scale; no accumulator. No code on the device where the bytes
stay in their order, because only axes of length 1 move.

Source: Keras `Permute`; TFLite `TRANSPOSE` int8. On the device: ccore `kanji_copy_s8`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kanji_np import checks
from kanji_np.errors import OptionError, ShapeError
from kanji_np.ops.attributes import MOST_AXES, Attributes, attribute
from kanji_np.ops.op import Op
from kanji_np.targets import kanji_nn
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


def permutation(name: str, value: Sequence[int]) -> tuple[int, ...]:
    """Each of 1 .. n once."""
    dims = checks.integers(name, value, 1, MOST_AXES, (1, MOST_AXES))
    if sorted(dims) != list(range(1, len(dims) + 1)):
        raise OptionError(
            f"{name} must be the axes 1 .. {len(dims)} in some order, got {dims}",
            arguments=(name,),
        )
    return dims


@dataclass(frozen=True)
class TransposeAttrs(Attributes):
    """The axes of a tensor in another order; see `ops.transpose`.

    ``Permute((3, 1, 2))`` takes (H,W,C) to (C,H,W). It costs nothing where only axes of
    length 1 change their places.

    Parameters
    ----------
    dims : tuple of int
        For each axis of the output which one of the input it is, from 1: 0 would be the
        batch.
    """

    dims: tuple[int, ...] = attribute(permutation)


def infer(attrs: TransposeAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if len(attrs.dims) != len(shape):
        raise ShapeError(
            f"transpose: dims {attrs.dims} has {len(attrs.dims)} axes, the input "
            f"{shape} has {len(shape)}"
        )
    return tuple(shape[d - 1] for d in attrs.dims)


def forward_int(attrs: TransposeAttrs, ints: None, xs: Arrays) -> np.ndarray:
    """Any dtype (N, ...) -> same dtype (N, ...)."""
    (x,) = xs
    infer(attrs, (x.shape[1:],))
    return np.ascontiguousarray(x.transpose(0, *attrs.dims))


def vjp(
    attrs: TransposeAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX is gY with its axes where they were."""
    back = np.argsort((0, *attrs.dims))
    return (np.ascontiguousarray(gy.transpose(*back)),), None


def lower(
    attrs: TransposeAttrs, ints: None, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    (x,) = xs
    steps = kanji_nn.steps_of(x.shape)
    axes = [(x.shape[d - 1], steps[d - 1]) for d in attrs.dims]
    return kanji_nn.copied(x.size, 0, axes)


TRANSPOSE = Op(
    name="transpose",
    attrs=TransposeAttrs,
    layer="Permute",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_int,
    vjp=vjp,
    lowerings={"cmsis-nn": lower, "cmsis-nn-q7": lower},
)
