"""Sum of two tensors, with a fused activation.

    v_k = rescale((X_k + offset_k) * 2^20, multiplier_k, shift_k)        k = 1, 2
    Y = clamp(rescale(v_1 + v_2, multiplier, shift) + output_offset, low, high)

Both have one shape, or one is broadcast (`ops.pairs`). Inputs and output have scales
and zero points of their own: a residual connection needs no common one. The factors are
s_k / (2 max(s_1, s_2)) and 2 max(s_1, s_2) / (2^20 s_y).

Accumulator: |X_k + offset_k| <= 255 and the factors of the inputs are 1/2 at most, so
|v_1 + v_2| < 2^28. The factor of the output must be less than 1: nothing is shifted to
the left, and what comes out is no larger than what went in.

XNNPACK brings both to the scale of the output at once and rounds once, halves up, where
both s_k / s_y are 2^-10 to 2^8. M_k is s_k / s_y, with 21 bits for the larger of both:

    Y = clamp((sum of (X_k - zero point) * M_k + half >> shift) + zero point, low, high)

Source: CMSIS-NN v7.0.0 `arm_elementwise_add_s8`; TFLite `ADD` int8; XNNPACK `qs8-vadd`.
Broadcast: ccore `kanji_add_s8`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kanji_np.fixedpoint import ROUNDINGS, rescale
from kanji_np.loops import elementwise as fast
from kanji_np.loops.broadcast import gathered, spread
from kanji_np.ops import pairs
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
    Specs,
    TargetSpec,
    TensorSpec,
)

LEFT_SHIFT = 20
XNNPACK_BITS = 21
XNNPACK_LEAST, XNNPACK_MOST = 2.0**-10, 2.0**8


@dataclass(frozen=True)
class AddAttrs(Attributes):
    """Sum of two tensors; see `ops.add`.

    Both have one shape, or one has extents of 1: (1,1,C) beside (H,W,C).

    Parameters
    ----------
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    """

    activation: str = attribute(fused_activation, "linear")


@dataclass(frozen=True)
class AddInts:
    """The integers of the call; `rounding` as in `Numerics.rounding`."""

    input_2_sign: ClassVar[int] = 1
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


@dataclass(frozen=True)
class XnnpackAddInts:
    """The same as XNNPACK computes it; multipliers have the sign of their input."""

    input_1_offset: int
    input_1_mult: int
    input_2_offset: int
    input_2_mult: int
    output_offset: int
    output_shift: int
    act_min: int
    act_max: int


def ints_of(
    attrs: Any, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> AddInts | XnnpackAddInts:
    """As TFLite's `ADD` makes them; RangeError if `y` is too fine for the inputs."""
    if numerics.kernels == "xnnpack":
        ints = xnnpack_ints(attrs, xs, y)
        if ints is not None:
            return ints
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


def xnnpack_ints(
    attrs: Any, xs: tuple[QParams, ...], y: QParams
) -> XnnpackAddInts | None:
    """None where XNNPACK leaves it to TFLite's kernel."""
    first, second = xs
    factors = [np.float32(x.scale) / np.float32(y.scale) for x in xs]
    if not all(XNNPACK_LEAST <= factor < XNNPACK_MOST for factor in factors):
        return None
    shift = XNNPACK_BITS - int(np.frexp(max(factors))[1])
    first_mult, second_mult = (int(np.rint(np.ldexp(f, shift))) for f in factors)
    return XnnpackAddInts(
        -first.zero_point,
        first_mult,
        -second.zero_point,
        second_mult,
        y.zero_point,
        shift,
        *activation_range(attrs.activation, y, "xnnpack"),
    )


def forward_int(
    attrs: Any,
    ints: AddInts | XnnpackAddInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """Two int8 (N, ...) -> int8 (N, ...), one element at a time."""
    if isinstance(ints, XnnpackAddInts):
        return xnnpack_forward(ints, xs, y_range)
    x_1, x_2 = spread(xs)
    q = np.empty(x_1.shape, np.int64)
    rounding = ROUNDINGS[ints.rounding]
    for i, (a, b) in enumerate(zip(x_1.flat, x_2.flat, strict=True)):
        v_1 = (int(a) + ints.input_1_offset) << ints.left_shift
        v_2 = (int(b) + ints.input_2_offset) << ints.left_shift
        total = rescale(v_1, ints.input_1_mult, ints.input_1_shift, rounding)
        total += ints.input_2_sign * rescale(
            v_2, ints.input_2_mult, ints.input_2_shift, rounding
        )
        q.flat[i] = rescale(total, ints.output_mult, ints.output_shift, rounding)
    return pairs.output(q, ints, y_range)


def xnnpack_forward(
    ints: XnnpackAddInts, xs: Arrays, y_range: np.ndarray | None
) -> np.ndarray:
    x_1, x_2 = (x.astype(np.int64) for x in spread(xs))
    total = (x_1 + ints.input_1_offset) * ints.input_1_mult
    total += (x_2 + ints.input_2_offset) * ints.input_2_mult
    half = 1 << (ints.output_shift - 1)
    return pairs.output((total + half) >> ints.output_shift, ints, y_range)


def run_int(
    attrs: Any,
    ints: AddInts | XnnpackAddInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """`forward_int`, fast."""
    if isinstance(ints, XnnpackAddInts):
        return xnnpack_forward(ints, xs, y_range)
    return fast.add_int(attrs, ints, xs, y_range)


def forward_float(attrs: AddAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Two floating (N, ...) -> same dtype (N, ...)."""
    x_1, x_2 = spread(xs)
    return np.clip(x_1 + x_2, *activation_bounds(attrs.activation))


def vjp(
    attrs: AddAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX_1 = gX_2 = gY where Y was not clamped, summed up where X_k is broadcast."""
    g = saved.passed(gy)
    each = zip(saved.x, needs_gx, strict=True)
    return tuple(gathered(g, x) if needed else None for x, needed in each), None


@dataclass(frozen=True)
class KernelParams:
    """`kanji_add_params`, in its order."""

    input_1_sign: int
    input_1_offset: int
    input_1_mult: int
    input_1_shift: int
    input_2_sign: int
    input_2_offset: int
    input_2_mult: int
    input_2_shift: int
    left_shift: int
    out_offset: int
    out_mult: int
    out_shift: int
    out_activation_min: int
    out_activation_max: int
    rounds_once: int


def lower(
    attrs: Any,
    ints: AddInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    first, second = xs
    if first.shape == second.shape and ints.input_2_sign == 1:
        return (_of_one_shape(ints, y),)
    ordered = pairs.order(xs)
    whole, part, _ = ordered
    operands = (
        (1, ints.input_1_offset, ints.input_1_mult, ints.input_1_shift),
        (
            ints.input_2_sign,
            ints.input_2_offset,
            ints.input_2_mult,
            ints.input_2_shift,
        ),
    )
    params = KernelParams(
        *operands[whole],
        *operands[part],
        ints.left_shift,
        ints.output_offset,
        ints.output_mult,
        ints.output_shift,
        ints.act_min,
        ints.act_max,
        int(ints.rounding == "single"),
    )
    struct = pairs.struct("kanji_add_params", "params", params)
    return (pairs.call("kanji_add_s8", struct, ordered),)


def _of_one_shape(ints: AddInts, y: TensorSpec) -> KernelCall:
    return KernelCall(
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


ADD = Op(
    name="add",
    attrs=AddAttrs,
    layer="Add",
    infer=pairs.infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower},
    ints=ints_of,
    inputs=2,
    tracks_output=True,
    fast=Fast(run_int, fast.add_float, fast.add_vjp),
)
