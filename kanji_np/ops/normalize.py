"""Image normalization by an integer mean and a power-of-two scale.

    Y = clamp((X - mean + half) >> shift, -128, 127),   half = (1 << shift) >> 1

X uint8 (N,H,W,C) or (N,K), Y int8 of the same shape. The mean is one uint8 a channel,
or a whole mean image (H,W,C); of vectors, one in all or one an element. The real value
is (X - mean) / 64, about one standard deviation of a natural image, so Y has the scale
2^(shift - 6). No accumulator.

Source: the input stage of Arm's CIFAR-10 example for CMSIS-NN; mean image: Lai and
Suda, 2018. On the device: ccore `kanji_normalize_u8_s8`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import OptionError, ShapeError
from kanji_np.loops import images as fast
from kanji_np.ops.attributes import Attributes, attribute, right_shift, sample_shape
from kanji_np.ops.op import Constants, Fast, Op
from kanji_np.targets import kanji_nn
from kanji_np.types import (
    Arrays,
    Constant,
    ConstPtr,
    Cost,
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

UNIT_BITS = 6  # 64 grey levels are the real value 1


@dataclass(frozen=True)
class NormalizeAttrs(Attributes):
    """Right shift 0..7, and the shape of the mean: (C,) or (H,W,C), (1,) or (K,)."""

    shift: int = attribute(right_shift)
    mean_shape: Shape = attribute(sample_shape)


@dataclass(frozen=True)
class NormalizeInts(Constants):
    """The mean, uint8 (C,) or (H,W,C), (1,) or (K,)."""

    mean: np.ndarray

    def __post_init__(self) -> None:
        mean = self.mean
        is_bytes = isinstance(mean, np.ndarray) and mean.dtype == np.uint8
        if not is_bytes or mean.ndim not in (1, 3) or not mean.size:
            came = f"{mean.dtype} {mean.shape}" if is_bytes else shown(mean)
            raise OptionError(f"mean must be uint8 (C,) or (H,W,C), got {came}")

    def check(self, attrs: NormalizeAttrs) -> None:
        if self.mean.shape != attrs.mean_shape:
            raise ShapeError(
                f"normalize: the mean must have shape {attrs.mean_shape}, "
                f"got {self.mean.shape}"
            )


def infer(attrs: NormalizeAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    channels = shape[-1:] if len(shape) > 1 else (1,)
    if attrs.mean_shape not in (channels, shape):
        raise ShapeError(
            f"normalize: the mean of an input {shape} must be {channels} or {shape}, "
            f"got {attrs.mean_shape}"
        )
    return shape


def output_qparams(
    attrs: NormalizeAttrs, xs: tuple[QParams | None, ...], numerics: Numerics
) -> QParams:
    return QParams(2.0 ** (attrs.shift - UNIT_BITS))


def forward_int(attrs: NormalizeAttrs, ints: NormalizeInts, xs: Arrays) -> np.ndarray:
    """uint8 (N,...) -> int8 (N,...)."""
    (x,) = xs
    half = (1 << attrs.shift) >> 1
    y = (x.astype(np.int64) - ints.mean + half) >> attrs.shift
    return np.clip(y, -128, 127).astype(np.int8)


def forward_float(attrs: NormalizeAttrs, ints: NormalizeInts, xs: Arrays) -> np.ndarray:
    """uint8 or floating (N,...) -> floating, (x - mean) / 64."""
    (x,) = xs
    kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
    return (x.astype(kind) - ints.mean.astype(kind)) * kind.type(2.0**-UNIT_BITS)


def vjp(
    attrs: NormalizeAttrs,
    ints: NormalizeInts,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY / 64, with respect to grey levels."""
    return (gy * gy.dtype.type(2.0**-UNIT_BITS),), None


def cost(attrs: NormalizeAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    return Cost(0, int(np.prod(attrs.mean_shape)))


def lower(
    attrs: NormalizeAttrs,
    ints: NormalizeInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    per_channel = "(C,)" if len(x.shape) > 1 else "(K,)"
    layout = per_channel if ints.mean.ndim == 1 else "(H,W,C)"
    call = kanji_nn.call(
        "kanji_normalize_u8_s8",
        InputPtr(),
        x.size,
        ConstPtr("mean"),
        ints.mean.size,
        attrs.shift,
        OutputPtr(),
        constants=(Constant("mean", "uint8_t", ints.mean, layout),),
    )
    return (call,)


NORMALIZE = Op(
    name="normalize",
    attrs=NormalizeAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower, "cmsis-nn-q7": lower},
    output_qparams=output_qparams,
    constants=NormalizeInts,
    reads_image=True,
    fast=Fast(fast.normalize_int),
)
