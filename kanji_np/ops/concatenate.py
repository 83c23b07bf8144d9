"""Concatenation along the channels: (..., C_1), (..., C_2), ... -> (..., C).

A part whose scale and zero point are the output's is copied. Any other is brought to
them,

    Y = clamp(round((X + input_offset) * multiplier * 2^(shift - 31)) + output_offset)

rounded once, halves up, on the chip: the kernel is this project's own. Runtimes take
parts of one scale only, so a `.tflite` file has a `QUANTIZE` before the others. They
are rounded as it is: twice, and by XNNPACK once, with a multiplier of 8 bits behind the
point (`ops.requantize`).

Accumulator: int64 on the device, for one product of 8 and 31 bits.

Source: CMSIS-NN v7.0.0 `arm_concatenation_s8_x`; ccore `kanji_requantize_s8`; TFLite
`CONCATENATION` and `QUANTIZE` int8.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kanji_np.errors import RangeError, ShapeError
from kanji_np.fixedpoint import ROUNDINGS, rescale
from kanji_np.loops import elementwise as fast
from kanji_np.ops import table
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import multiplier_and_shift
from kanji_np.targets import kanji_nn
from kanji_np.targets.arm import HEADER, check_extents
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

MOST_SHIFT = 30


@dataclass(frozen=True)
class ConcatenateAttrs(Attributes):
    """Tensors side by side along their channels; see `ops.concatenate`.

    (H,W,C1), (H,W,C2), ... -> (H,W,C1+C2+...); the other lengths must be equal.
    """


@dataclass(frozen=True)
class Rescaling:
    """How a part is brought to the scale of the output."""

    input_offset: int
    multiplier: int
    shift: int
    rounding: str = field(default="single", repr=False)  # digests have the target


@dataclass(frozen=True)
class ConcatenateInts:
    """For each part how it is rescaled, None where it is copied; the zero point of the
    output."""

    parts: tuple[Rescaling | None, ...]
    output_offset: int


def infer(attrs: ConcatenateAttrs, shapes: Shapes) -> Shape:
    first = shapes[0][:-1]
    if any(shape[:-1] != first for shape in shapes):
        raise ShapeError(
            "concatenate: all inputs must have one shape but for their channels, got "
            + ", ".join(map(str, shapes))
        )
    return *first, sum(shape[-1] for shape in shapes)


def ints_of(
    attrs: ConcatenateAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> ConcatenateInts:
    parts = tuple(_rescaling(part, y, numerics) for part in xs)
    return ConcatenateInts(parts, y.zero_point)


def _rescaling(x: QParams, y: QParams, numerics: Numerics) -> Rescaling | None:
    if x == y:
        return None
    factor = table.ratio(x, y)
    if numerics.kernels == "xnnpack" and table.has_8_bits(factor):
        return Rescaling(-x.zero_point, table.multiplier_of_8_bits(factor), 23)
    is_runtime = numerics.kernels in ("tflm", "litert", "xnnpack")
    multiplier, shift = multiplier_and_shift(x.scale / y.scale)
    if shift > (table.MOST_SHIFT if is_runtime else MOST_SHIFT):
        raise RangeError(
            f"concatenate: an output scale of {y.scale:.4g} is too fine for an input "
            f"of scale {x.scale:.4g}"
        )
    rounding = "double" if is_runtime else "single"
    return Rescaling(-x.zero_point, multiplier, shift, rounding)


def forward_int(
    attrs: ConcatenateAttrs,
    ints: ConcatenateInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N, ..., C_1), (N, ..., C_2), ... -> int8 (N, ..., C), one element at a
    time."""
    parts = []
    for x, how in zip(xs, ints.parts, strict=True):
        q = x.astype(np.int64) - ints.output_offset
        if how is not None:
            for at, value in np.ndenumerate(x):
                v = int(value) + how.input_offset
                rounding = ROUNDINGS[how.rounding]
                q[at] = rescale(v, how.multiplier, how.shift, rounding)
        parts.append(q)
    q = np.concatenate(parts, axis=-1)
    if y_range is not None:
        y_range[:] = min(y_range[0], q.min()), max(y_range[1], q.max())
    return np.clip(q + ints.output_offset, -128, 127).astype(np.int8)


def forward_float(attrs: ConcatenateAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N, ..., C_1), (N, ..., C_2), ... -> same dtype (N, ..., C)."""
    return np.concatenate(xs, axis=-1)


def vjp(
    attrs: ConcatenateAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """Each part its channels of gY, where Y was not clamped."""
    ends = np.cumsum([x.shape[-1] for x in saved.x])[:-1]
    gx = np.split(saved.passed(gy), ends, axis=-1)
    return tuple(g if n else None for g, n in zip(gx, needs_gx, strict=True)), None


def lower(
    attrs: ConcatenateAttrs,
    ints: ConcatenateInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    calls, first, channels = [], 0, y.shape[-1]
    for index, (part, how) in enumerate(zip(xs, ints.parts, strict=True)):
        pointer, own = InputPtr(index=index), part.shape[-1]
        if how is None:
            calls.append(_copy(pointer, part.shape, channels, first))
        else:
            calls.append(
                kanji_nn.call(
                    "kanji_requantize_s8",
                    pointer,
                    part.size // own,
                    own,
                    how.input_offset,
                    how.multiplier,
                    how.shift,
                    ints.output_offset,
                    OutputPtr(),
                    channels,
                    first,
                )
            )
        first += own
    return tuple(calls)


def _copy(pointer: InputPtr, shape: Shape, channels: int, first: int) -> KernelCall:
    check_extents("arm_concatenation_s8_x", *shape, channels)
    extents = (*reversed(shape), 1, 1, 1)[:4]
    return KernelCall(
        function="arm_concatenation_s8_x",
        header=HEADER,
        arguments=(pointer, *extents, OutputPtr(), channels, first),
        status=None,
    )


CONCATENATE = Op(
    name="concatenate",
    attrs=ConcatenateAttrs,
    layer="Concatenate",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower},
    ints=ints_of,
    inputs=None,
    tracks_output=True,
    fast=Fast(
        fast.concatenate_int,
        fast.concatenate_float,
        fast.concatenate_vjp,
    ),
)
