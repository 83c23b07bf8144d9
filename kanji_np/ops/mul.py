"""Product of two tensors of one shape, element by element, with a fused activation.

    Y = clamp(rescale((X_1 + offset_1) * (X_2 + offset_2), multiplier, shift)
              + output_offset, low, high)

Inputs and output have scales and zero points of their own; the factor is s_1 s_2 / s_y.

Accumulator: the product is at most 255^2 < 2^16. The factor must be less than 2^14, for
two reasons. CMSIS-NN shifts the product to the left before it multiplies, by up to 14
bits, or 15 on MVE cores in a library built to round once, and keeps it in int32. And a
library of v7.0.0 built to round once overflows for results from 2^30 on.

Source: CMSIS-NN v7.0.0 `arm_elementwise_mul_s8`; TFLite `MUL` int8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.fixedpoint import ROUNDINGS, rescale
from kanji_np.loops import elementwise as fast
from kanji_np.ops.attributes import Attributes, attribute, fused_activation
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import activation_bounds, activation_range, output_factor
from kanji_np.targets.arm import HEADER
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

MOST_SHIFT = 14


@dataclass(frozen=True)
class MulAttrs(Attributes):
    """Product of two tensors of one shape, element by element; see `ops.mul`.

    The output has their shape.

    Parameters
    ----------
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    """

    activation: str = attribute(fused_activation, "linear")


@dataclass(frozen=True)
class MulInts:
    """The integers of the call; `rounding` as in `Numerics.rounding`."""

    input_1_offset: int
    input_2_offset: int
    output_offset: int
    output_mult: int
    output_shift: int
    act_min: int = -128
    act_max: int = 127
    rounding: str = "double"


def infer(attrs: MulAttrs, shapes: Shapes) -> Shape:
    first, second = shapes
    if first != second:
        raise ShapeError(f"both inputs must have one shape, got {first} and {second}")
    return first


def ints_of(
    attrs: MulAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> MulInts:
    """As TFLite's `MUL` makes them; RangeError if `y` is too fine for the inputs."""
    first, second = xs
    return MulInts(
        -first.zero_point,
        -second.zero_point,
        y.zero_point,
        *output_factor(first.scale * second.scale, MOST_SHIFT, y),
        *activation_range(attrs.activation, y),
        numerics.rounding,
    )


def forward_int(
    attrs: MulAttrs, ints: MulInts, xs: Arrays, y_range: np.ndarray | None = None
) -> np.ndarray:
    """Two int8 (N, ...) -> int8 (N, ...), one element at a time."""
    x_1, x_2 = xs
    q = np.empty(x_1.shape, np.int64)
    rounding = ROUNDINGS[ints.rounding]
    for i, (a, b) in enumerate(zip(x_1.flat, x_2.flat, strict=True)):
        product = (int(a) + ints.input_1_offset) * (int(b) + ints.input_2_offset)
        q.flat[i] = rescale(product, ints.output_mult, ints.output_shift, rounding)
    if y_range is not None:
        y_range[:] = min(y_range[0], q.min()), max(y_range[1], q.max())
    y = np.clip(q + ints.output_offset, ints.act_min, ints.act_max)
    return y.astype(np.int8)


def forward_float(attrs: MulAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Two floating (N, ...) -> same dtype (N, ...)."""
    x_1, x_2 = xs
    return np.clip(x_1 * x_2, *activation_bounds(attrs.activation))


def vjp(
    attrs: MulAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX_1 = gY * X_2 and gX_2 = gY * X_1, real values, where Y was not clamped."""
    x_1, x_2 = saved.real_x(gy.dtype)
    gx = saved.passed(gy * x_2), saved.passed(gy * x_1)
    return tuple(g if n else None for g, n in zip(gx, needs_gx, strict=True)), None


def lower(
    attrs: MulAttrs,
    ints: MulInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    call = KernelCall(
        function="arm_elementwise_mul_s8",
        header=HEADER,
        arguments=(
            InputPtr(),
            InputPtr(index=1),
            ints.input_1_offset,
            ints.input_2_offset,
            OutputPtr(),
            ints.output_offset,
            ints.output_mult,
            ints.output_shift,
            ints.act_min,
            ints.act_max,
            y.size,
        ),
    )
    return (call,)


MUL = Op(
    name="mul",
    attrs=MulAttrs,
    layer="Multiply",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower},
    ints=ints_of,
    inputs=2,
    tracks_output=True,
    fast=Fast(fast.mul_int, fast.mul_float, fast.mul_vjp),
)
