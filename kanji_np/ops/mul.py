"""Product of two tensors, element by element, with a fused activation.

    Y = clamp(rescale((X_1 + offset_1) * (X_2 + offset_2), multiplier, shift)
              + output_offset, low, high)

Both have one shape, or one is broadcast (`ops.pairs`): a gate of each channel. Inputs
and output have scales and zero points of their own; the factor is s_1 s_2 / s_y.

Accumulator: the product is at most 255^2 < 2^16. The factor must be less than 2^14, for
two reasons. CMSIS-NN shifts the product to the left before it multiplies, by up to 14
bits, or 15 on MVE cores in a library built to round once, and keeps it in int32. And a
library of v7.0.0 built to round once overflows for results from 2^30 on.

XNNPACK multiplies the product, which is exact in float32, by a float32 factor of 2^-16
to 2^8, and rounds halves to even.

Source: CMSIS-NN v7.0.0 `arm_elementwise_mul_s8`; TFLite `MUL` int8. Broadcast: ccore
`kanji_mul_s8`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kanji_np.fixedpoint import ROUNDINGS, rescale
from kanji_np.loops import elementwise as fast
from kanji_np.loops.broadcast import gathered, spread
from kanji_np.ops import pairs
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
    Specs,
    TargetSpec,
    TensorSpec,
)

MOST_SHIFT = 14
XNNPACK_LEAST, XNNPACK_MOST = 2.0**-16, 2.0**8


@dataclass(frozen=True)
class MulAttrs(Attributes):
    """Product of two tensors, element by element; see `ops.mul`.

    Both have one shape, or one has extents of 1: (1,1,C) beside (H,W,C).

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


@dataclass(frozen=True)
class XnnpackMulInts:
    """The same as XNNPACK computes it; `factor` is a float32."""

    input_1_offset: int
    input_2_offset: int
    output_offset: int
    factor: float
    act_min: int
    act_max: int


def ints_of(
    attrs: Any, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> MulInts | XnnpackMulInts:
    """As TFLite's `MUL` makes them; RangeError if `y` is too fine for the inputs."""
    first, second = xs
    if numerics.kernels == "xnnpack":
        scale_1, scale_2, scale_y = (np.float32(q.scale) for q in (first, second, y))
        factor = scale_1 * scale_2 / scale_y
        if XNNPACK_LEAST <= factor < XNNPACK_MOST:
            return XnnpackMulInts(
                -first.zero_point,
                -second.zero_point,
                y.zero_point,
                float(factor),
                *activation_range(attrs.activation, y, "xnnpack"),
            )
    return MulInts(
        -first.zero_point,
        -second.zero_point,
        y.zero_point,
        *output_factor(first.scale * second.scale, MOST_SHIFT, y),
        *activation_range(attrs.activation, y),
        numerics.rounding,
    )


def forward_int(
    attrs: Any,
    ints: MulInts | XnnpackMulInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """Two int8 (N, ...) -> int8 (N, ...), one element at a time."""
    if isinstance(ints, XnnpackMulInts):
        return xnnpack_forward(ints, xs, y_range)
    x_1, x_2 = spread(xs)
    q = np.empty(x_1.shape, np.int64)
    rounding = ROUNDINGS[ints.rounding]
    for i, (a, b) in enumerate(zip(x_1.flat, x_2.flat, strict=True)):
        product = (int(a) + ints.input_1_offset) * (int(b) + ints.input_2_offset)
        q.flat[i] = rescale(product, ints.output_mult, ints.output_shift, rounding)
    return pairs.output(q, ints, y_range)


def xnnpack_forward(
    ints: XnnpackMulInts, xs: Arrays, y_range: np.ndarray | None
) -> np.ndarray:
    x_1, x_2 = (x.astype(np.float32) for x in spread(xs))
    product = (x_1 + np.float32(ints.input_1_offset)) * (
        x_2 + np.float32(ints.input_2_offset)
    )
    q = np.rint(product * np.float32(ints.factor))
    return pairs.output(q.astype(np.int64), ints, y_range)


def run_int(
    attrs: Any,
    ints: MulInts | XnnpackMulInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """`forward_int`, fast."""
    if isinstance(ints, XnnpackMulInts):
        return xnnpack_forward(ints, xs, y_range)
    return fast.mul_int(attrs, ints, xs, y_range)


def forward_float(attrs: MulAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Two floating (N, ...) -> same dtype (N, ...)."""
    x_1, x_2 = spread(xs)
    return np.clip(x_1 * x_2, *activation_bounds(attrs.activation))


def vjp(
    attrs: MulAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX_1 = gY * X_2 and gX_2 = gY * X_1, real values, where Y was not clamped, summed
    up where X_k is broadcast."""
    x_1, x_2 = spread(saved.real_x(gy.dtype))
    gx = (
        gathered(saved.passed(gy * other), x) if needed else None
        for x, other, needed in zip(saved.x, (x_2, x_1), needs_gx, strict=True)
    )
    return tuple(gx), None


@dataclass(frozen=True)
class KernelParams:
    """`kanji_mul_params`, in its order."""

    input_1_offset: int
    input_2_offset: int
    out_offset: int
    out_mult: int
    out_shift: int
    out_activation_min: int
    out_activation_max: int
    rounds_once: int


def lower(
    attrs: MulAttrs,
    ints: MulInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    first, second = xs
    if first.shape == second.shape:
        return (_of_one_shape(ints, y),)
    ordered = pairs.order(xs)
    whole, part, _ = ordered
    offsets = ints.input_1_offset, ints.input_2_offset
    params = KernelParams(
        offsets[whole],
        offsets[part],
        ints.output_offset,
        ints.output_mult,
        ints.output_shift,
        ints.act_min,
        ints.act_max,
        int(ints.rounding == "single"),
    )
    struct = pairs.struct("kanji_mul_params", "params", params)
    return (pairs.call("kanji_mul_s8", struct, ordered),)


def _of_one_shape(ints: MulInts, y: TensorSpec) -> KernelCall:
    return KernelCall(
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


MUL = Op(
    name="mul",
    attrs=MulAttrs,
    layer="Multiply",
    infer=pairs.infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower},
    ints=ints_of,
    inputs=2,
    tracks_output=True,
    fast=Fast(run_int, fast.mul_float, fast.mul_vjp),
)
