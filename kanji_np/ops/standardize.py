"""Per-image standardization: every image to mean 0 and standard deviation 1.

    n = H*W*C, S = sum X, Q = sum X^2
    d = max(isqrt(n*Q - S^2), isqrt(n))              n times the standard deviation
    Y = clamp(divide_half_away((n*X - S) << frac_bits, d), -128, 127)

X uint8 (N,H,W,C), Y int8 of the same shape and scale 2^-frac_bits. isqrt is the floor
of the square root; its lower bound keeps a flat image from dividing by zero.

Accumulator: int64 on the device; n <= 2^20 keeps n*Q below 2^57.

Source: TensorFlow `per_image_standardization`, here in integers; the variant the paper
compares with. On the device: ccore `kanji_standardize_u8_s8`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.fixedpoint import clamp, divide_half_away
from kanji_np.loops import images as fast
from kanji_np.ops.attributes import Attributes, attribute, right_shift
from kanji_np.ops.op import Fast, Op
from kanji_np.targets import kanji_nn
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

MOST_PIXELS = 1 << 20


@dataclass(frozen=True)
class StandardizeAttrs(Attributes):
    """uint8 image -> int8 with mean 0 and deviation 1; see `ops.standardize`.

    uint8 (H,W,C) -> int8 (H,W,C).

    Parameters
    ----------
    frac_bits : int
        0..7, of the output, whose scale is ``2**-frac_bits``; 5 holds 4 deviations.
    """

    frac_bits: int = attribute(right_shift, 5)


def infer(attrs: StandardizeAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if len(shape) != 3:
        raise ShapeError(f"standardize: expected an input (H, W, C), got {shape}")
    if math.prod(shape) > MOST_PIXELS:
        raise ShapeError(
            f"standardize: {shape} has more than {MOST_PIXELS} values an image"
        )
    return shape


def output_qparams(
    attrs: StandardizeAttrs, xs: tuple[QParams | None, ...], numerics: Numerics
) -> QParams:
    return QParams(2.0**-attrs.frac_bits)


def forward_int(attrs: StandardizeAttrs, ints: None, xs: Arrays) -> np.ndarray:
    """uint8 (N,H,W,C) -> int8 (N,H,W,C), one element at a time."""
    (x,) = xs
    y = np.empty(x.shape, np.int8)
    for image, out in zip(x, y, strict=True):
        values = image.ravel().tolist()
        n, total, squares = len(values), sum(values), sum(v * v for v in values)
        d = max(math.isqrt(n * squares - total**2), math.isqrt(n))
        scaled = [(n * v - total) << attrs.frac_bits for v in values]
        out.flat = [clamp(divide_half_away(a, d), -128, 127) for a in scaled]
    return y


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x - mean, what it is divided by, and whether that is the deviation of x."""
    kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
    centred = x.astype(kind) - x.mean(axis=(1, 2, 3), keepdims=True, dtype=kind)
    deviation = np.sqrt((centred**2).mean(axis=(1, 2, 3), keepdims=True))
    least = kind.type(1 / math.sqrt(math.prod(x.shape[1:])))
    return centred, np.maximum(deviation, least), deviation > least


def forward_float(attrs: StandardizeAttrs, params: None, xs: Arrays) -> np.ndarray:
    """uint8 or floating (N,H,W,C) -> floating, (x - mean) / deviation."""
    (x,) = xs
    centred, deviation, _ = _moments(x)
    return centred / deviation


def vjp(
    attrs: StandardizeAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = (gY - mean gY - Y * mean(gY * Y)) / deviation, per grey level; without the
    last term for flat images, which are divided by a constant."""
    (x,) = saved.x
    centred, deviation, varies = _moments(x.astype(gy.dtype))
    y = centred / deviation
    axes = (1, 2, 3)
    mean_gy = gy.mean(axis=axes, keepdims=True)
    mean_gyy = (gy * y).mean(axis=axes, keepdims=True) * varies
    return ((gy - mean_gy - y * mean_gyy) / deviation,), None


def lower(
    attrs: StandardizeAttrs,
    ints: None,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    arguments = (InputPtr(), x.size, attrs.frac_bits, OutputPtr())
    return (kanji_nn.call("kanji_standardize_u8_s8", *arguments),)


STANDARDIZE = Op(
    name="standardize",
    attrs=StandardizeAttrs,
    layer="Standardize",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower, "cmsis-nn-q7": lower},
    output_qparams=output_qparams,
    reads_image=True,
    fast=Fast(fast.standardize_int),
)
