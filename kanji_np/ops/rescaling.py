"""Images of uint8 as real values, ``pixel * scale + offset``, in int8 by a table.

    Y = clamp(round((X * scale + offset) / output scale) + zero point, -128, 127)

X uint8 (N,H,W,C) or (N,K), Y int8 of the same shape. Scale and offset are one number
for all, or one for each channel; a table of 256 bytes for all, or one for each channel,
lies in flash. Halves are rounded to even. No accumulator.

The output's scale and zero point may be given: 1/255 and -128 with a scale of 1/255 are
X - 128, and lose nothing. If they are not, the scale is the finest power of two that
holds what 0 to 255 become, and the zero point is 0.

Source: Keras `Rescaling`. On the device: ccore `kanji_lookup_u8_s8`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kanji_np import checks
from kanji_np.errors import OptionError, ShapeError, UnsupportedOp
from kanji_np.loops import images as fast
from kanji_np.ops.attributes import Attributes, attribute
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import LARGEST, frac_bits, pow2_qparams, stored
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

GREY_LEVELS = 256
MOST_CHANNELS = 1024


def numbers(name: str, value: float | Sequence[float]) -> tuple[float, ...]:
    """One number, or one for each channel."""
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    if not 1 <= len(values) <= MOST_CHANNELS:
        raise OptionError(
            f"{name} must be a number or one for each of at most {MOST_CHANNELS} "
            f"channels, got {len(values)}"
        )
    return tuple(checks.number(name, each, -LARGEST, LARGEST) for each in values)


def positive(name: str, value: float | None) -> float | None:
    """None: chosen from the range."""
    if value is None:
        return None
    try:
        return QParams(checks.number(name, value, 0.0, LARGEST)).scale
    except OptionError:
        raise OptionError(
            f"{name} must be None or a positive number, got {checks.shown(value)}"
        ) from None


def zero_point(name: str, value: int) -> int:
    return checks.integer(name, value, -128, 127)


@dataclass(frozen=True)
class RescalingAttrs(Attributes):
    """uint8 image -> int8 of ``pixel * scale + offset``; see `ops.rescaling`.

    uint8 (H,W,C) or (K,) -> int8 of the same shape.

    Parameters
    ----------
    scale, offset : float, or one for each channel
    output_scale : float or None
        Of the int8 output. None: the finest power of two that holds all values.
    output_zero_point : int
        -128..127; used where `output_scale` is given.
    """

    scale: tuple[float, ...] = attribute(numbers)
    offset: tuple[float, ...] = attribute(numbers, 0.0)
    output_scale: float | None = attribute(positive, None)
    output_zero_point: int = attribute(zero_point, 0)

    @property
    def tables(self) -> int:
        """How many tables there are: one, or one for each channel."""
        return max(len(self.scale), len(self.offset))

    def of(self, grey: np.ndarray) -> np.ndarray:
        """Real values of grey levels, channels last, in their dtype."""
        return grey * np.array(self.scale, grey.dtype) + np.array(
            self.offset, grey.dtype
        )


@dataclass(frozen=True)
class RescalingInts:
    """Outputs by channel and grey level, int8 (1, 256) or (C, 256)."""

    tables: np.ndarray


def infer(attrs: RescalingAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    channels = shape[-1]
    for what, values in (("scale", attrs.scale), ("offset", attrs.offset)):
        if len(values) not in (1, channels):
            raise ShapeError(
                f"rescaling: {what} must be one number or {channels} for an input "
                f"{shape}, got {len(values)}"
            )
    return shape


def output_qparams(
    attrs: RescalingAttrs, xs: tuple[QParams | None, ...], numerics: Numerics
) -> QParams:
    if attrs.output_scale is not None:
        given = QParams(attrs.output_scale, attrs.output_zero_point)
        return stored(given, numerics)
    ends = attrs.of(np.array([[0.0], [GREY_LEVELS - 1.0]]))
    return pow2_qparams(frac_bits(float(np.abs(ends).max())))


def ints_of(
    attrs: RescalingAttrs,
    xs: tuple[QParams | None, ...],
    y: QParams,
    numerics: Numerics,
) -> RescalingInts:
    grey = np.arange(GREY_LEVELS, dtype=np.float64)
    real = attrs.of(np.repeat(grey[:, None], attrs.tables, axis=1))  # (256, C)
    q = np.rint(real / y.scale) + y.zero_point
    return RescalingInts(np.clip(q, -128, 127).astype(np.int8).T.copy())


def forward_int(attrs: RescalingAttrs, ints: RescalingInts, xs: Arrays) -> np.ndarray:
    """uint8 (N,...,C) -> int8 (N,...,C)."""
    (x,) = xs
    channels = np.arange(attrs.tables) % len(ints.tables)
    return ints.tables[channels, x]


def forward_float(attrs: RescalingAttrs, params: None, xs: Arrays) -> np.ndarray:
    """uint8 or floating (N,...,C) -> floating; float32 of uint8."""
    (x,) = xs
    return attrs.of(x if x.dtype.kind == "f" else x.astype(np.float32))


def vjp(
    attrs: RescalingAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY * scale, with respect to grey levels."""
    return (gy * np.array(attrs.scale, gy.dtype),), None


def cost(attrs: RescalingAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    return Cost(0, GREY_LEVELS * attrs.tables)


def lower_cmsis_nn(
    attrs: RescalingAttrs,
    ints: RescalingInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    call = kanji_nn.call(
        "kanji_lookup_u8_s8",
        InputPtr(),
        x.size,
        ConstPtr("tables"),
        attrs.tables,
        OutputPtr(),
        constants=(Constant("tables", "int8_t", ints.tables, "(C,256) by input"),),
    )
    return (call,)


def lower_cmsis_nn_q7(
    attrs: RescalingAttrs,
    ints: RescalingInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    """UnsupportedOp where the output has a zero point, or no power of two."""
    scale = attrs.output_scale
    if scale is not None and (np.frexp(scale)[0] != 0.5 or attrs.output_zero_point):
        raise UnsupportedOp(
            f"{target.library} has scales that are powers of two and no zero points; "
            f"got output_scale={scale:.6g}, output_zero_point="
            f"{attrs.output_zero_point}"
        )
    return lower_cmsis_nn(attrs, ints, xs, y, target)


RESCALING = Op(
    name="rescaling",
    attrs=RescalingAttrs,
    layer="Rescaling",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    ints=ints_of,
    output_qparams=output_qparams,
    reads_image=True,
    short_name="rescaling",
    fast=Fast(fast.rescaling_int),
)
