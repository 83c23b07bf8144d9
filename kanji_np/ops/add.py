"""Sum of two tensors of one shape, with a fused activation.

    v_k = rescale((X_k + offset_k) * 2^20, multiplier_k, shift_k)        k = 1, 2
    Y = clamp(rescale(v_1 + v_2, multiplier, shift) + output_offset, low, high)

Inputs and output have scales and zero points of their own: a residual connection needs
no common one. The factors are s_k / (2 max(s_1, s_2)) and 2 max(s_1, s_2) / (2^20 s_y).

Accumulator: |X_k + offset_k| <= 255 and the factors of the inputs are 1/2 at most, so
|v_1 + v_2| < 2^28. The factor of the output must be less than 1: nothing is shifted to
the left, and what comes out is no larger than what went in.

Source: CMSIS-NN v7.0.0 `arm_elementwise_add_s8`; TFLite `ADD` int8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.fixedpoint import ROUNDINGS, rescale
from kanji_np.loops import elementwise as fast
from kanji_np.ops.attributes import Attributes, attribute, fused_activation
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import (
    activation_bounds,
    activation_range,
    multiplier_and_shift,
    output_factor,
)
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

LEFT_SHIFT = 20


@dataclass(frozen=True)
class AddAttrs(Attributes):
    """Sum of two tensors of one shape; see `ops.add`.

    The output has their shape.

    Parameters
    ----------
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    """

    activation: str = attribute(fused_activation, "linear")


@dataclass(frozen=True)
class AddInts:
    """The integers of the call; `rounding` as in `Numerics.rounding`."""

    input_1_offset: int
    input_1_mult: int
    input_1_shift: int
    input_2_offset: int
    input_2_mult: int
    input_2_shift: int
    output_offset: int
    output_mult: int
    output_shift: int
    left_shift: int = LEFT_SHIFT
    act_min: int = -128
    act_max: int = 127
    rounding: str = "double"


def infer(attrs: AddAttrs, shapes: Shapes) -> Shape:
    first, second = shapes
    if first != second:
        raise ShapeError(f"both inputs must have one shape, got {first} and {second}")
    return first


def ints_of(
    attrs: AddAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> AddInts:
    """As TFLite's `ADD` makes them; RangeError if `y` is too fine for the inputs."""
    first, second = xs
    twice_max = 2 * max(first.scale, second.scale)
    return AddInts(
        -first.zero_point,
        *multiplier_and_shift(first.scale / twice_max),
        -second.zero_point,
        *multiplier_and_shift(second.scale / twice_max),
        y.zero_point,
        *output_factor(twice_max / 2.0**LEFT_SHIFT, 0, y),
        LEFT_SHIFT,
        *activation_range(attrs.activation, y),
        numerics.rounding,
    )


def forward_int(
    attrs: AddAttrs, ints: AddInts, xs: Arrays, y_range: np.ndarray | None = None
) -> np.ndarray:
    """Two int8 (N, ...) -> int8 (N, ...), one element at a time."""
    x_1, x_2 = xs
    q = np.empty(x_1.shape, np.int64)
    rounding = ROUNDINGS[ints.rounding]
    for i, (a, b) in enumerate(zip(x_1.flat, x_2.flat, strict=True)):
        v_1 = (int(a) + ints.input_1_offset) << ints.left_shift
        v_2 = (int(b) + ints.input_2_offset) << ints.left_shift
        total = rescale(v_1, ints.input_1_mult, ints.input_1_shift, rounding)
        total += rescale(v_2, ints.input_2_mult, ints.input_2_shift, rounding)
        q.flat[i] = rescale(total, ints.output_mult, ints.output_shift, rounding)
    if y_range is not None:
        y_range[:] = min(y_range[0], q.min()), max(y_range[1], q.max())
    y = np.clip(q + ints.output_offset, ints.act_min, ints.act_max)
    return y.astype(np.int8)


def forward_float(attrs: AddAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Two floating (N, ...) -> same dtype (N, ...)."""
    x_1, x_2 = xs
    return np.clip(x_1 + x_2, *activation_bounds(attrs.activation))


def vjp(
    attrs: AddAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX_1 = gX_2 = gY where Y was not clamped."""
    gx = saved.passed(gy)
    return tuple(gx if needed else None for needed in needs_gx), None


def lower(
    attrs: AddAttrs,
    ints: AddInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    call = KernelCall(
        function="arm_elementwise_add_s8",
        header=HEADER,
        arguments=(
            InputPtr(),
            InputPtr(index=1),
            ints.input_1_offset,
            ints.input_1_mult,
            ints.input_1_shift,
            ints.input_2_offset,
            ints.input_2_mult,
            ints.input_2_shift,
            ints.left_shift,
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


ADD = Op(
    name="add",
    attrs=AddAttrs,
    layer="Add",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower},
    ints=ints_of,
    inputs=2,
    tracks_output=True,
    fast=Fast(fast.add_int, fast.add_float, fast.add_vjp),
)
