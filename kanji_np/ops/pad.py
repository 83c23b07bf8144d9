"""Padding of images with zeros: (N,H,W,C) -> (N,top+H+bottom,left+W+right,C).

Real zeros, so the zero point in integers. Input and output share one scale; no
accumulator. A convolution that pads by itself needs none of this.

Source: CMSIS-NN v7.0.0 `arm_pad_s8`, TFLite `PAD` int8; Keras `ZeroPadding2D`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.loops import images as fast
from kanji_np.ops.attributes import Attributes, attribute, sides
from kanji_np.ops.op import Fast, Op
from kanji_np.targets.arm import HEADER
from kanji_np.targets.cmsis_nn.calls import dims
from kanji_np.types import (
    Arrays,
    Gradients,
    InputPtr,
    KernelCall,
    Numerics,
    OutputPtr,
    QParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)
from kanji_np.window import MOST_CELLS, Pair


@dataclass(frozen=True)
class PadAttrs(Attributes):
    """Zeros around an image; see `ops.pad`.

    (H,W,C) -> (top+H+bottom, left+W+right, C).

    Parameters
    ----------
    padding : int or ((top, bottom), (left, right))
    """

    padding: tuple[Pair, Pair] = attribute(sides, 1)


@dataclass(frozen=True)
class PadInts:
    """The integer that stands for zero."""

    value: int


def infer(attrs: PadAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if len(shape) != 3:
        raise ShapeError(f"pad: expected an input (H, W, C), got {shape}")
    (top, bottom), (left, right) = attrs.padding
    height, width = top + shape[0] + bottom, left + shape[1] + right
    if max(height, width) > MOST_CELLS:
        raise ShapeError(
            f"pad: {height}x{width} is more than {MOST_CELLS} cells a side"
        )
    return height, width, shape[2]


def ints_of(
    attrs: PadAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> PadInts:
    (x,) = xs
    return PadInts(x.zero_point)


def forward_int(attrs: PadAttrs, ints: PadInts, xs: Arrays) -> np.ndarray:
    """int8 (N,H,W,C) -> int8, larger."""
    (x,) = xs
    return np.pad(x, ((0, 0), *attrs.padding, (0, 0)), constant_values=ints.value)


def forward_float(attrs: PadAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N,H,W,C) -> same dtype, larger."""
    (x,) = xs
    return np.pad(x, ((0, 0), *attrs.padding, (0, 0)))


def vjp(
    attrs: PadAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY where X is."""
    (x,), ((top, _), (left, _)) = saved.x, attrs.padding
    _, height, width, _ = x.shape
    gx = gy[:, top : top + height, left : left + width]
    return (np.ascontiguousarray(gx),), None


def lower(
    attrs: PadAttrs, ints: PadInts, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    (x,) = xs
    (top, bottom), (left, right) = attrs.padding
    call = KernelCall(
        function="arm_pad_s8",
        header=HEADER,
        arguments=(
            InputPtr(),
            OutputPtr(),
            ints.value,
            dims("input_size", 1, *x.shape),
            dims("pre_pad", 0, top, left, 0),
            dims("post_pad", 0, bottom, right, 0),
        ),
    )
    return (call,)


PAD = Op(
    name="pad",
    attrs=PadAttrs,
    layer="ZeroPadding2D",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower},
    ints=ints_of,
    fast=Fast(fast.pad_int, fast.pad_float),
)
