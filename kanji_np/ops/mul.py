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

from kanji_np.fixedpoint import ROUNDINGS, clamp, rescale
from kanji_np.jit import nb, njit
from kanji_np.loops import buffers
from kanji_np.loops.requantize import empty_range, empty_ranges, widen
from kanji_np.loops.threads import run, shares
from kanji_np.ops.attributes import Attributes, attribute, fused_activation
from kanji_np.ops.elementwise import (
    clipped,
    factor,
    infer,
    output_factor,
    scaled,
)
from kanji_np.ops.op import (
    Arrays,
    Fast,
    Gradients,
    Op,
    Specs,
)
from kanji_np.quantize import activation_range
from kanji_np.targets.arm import HEADER
from kanji_np.types import (
    InputPtr,
    KernelCall,
    Numerics,
    OutputPtr,
    QParams,
    Saved,
    TargetSpec,
    TensorSpec,
)

MOST_SHIFT = 14

int32 = nb.int32


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


def fast_int(
    attrs: MulAttrs,
    ints: MulInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """Two int8 (N, ...) -> int8 (N, ...)."""
    y = buffers.empty(xs[0].shape, np.int8)
    count = len(y)
    x_1, x_2, flat = (np.ascontiguousarray(a).reshape(count, -1) for a in (*xs, y))
    ranges = empty_ranges(shares(count))
    run(
        _mul,
        count,
        x_1,
        x_2,
        (ints.input_1_offset, ints.input_2_offset),
        factor(ints.output_mult, ints.output_shift, ints.rounding),
        (ints.output_offset, ints.act_min, ints.act_max),
        flat,
        ranges,
    )
    if y_range is not None:
        widen(y_range, ranges)
    return y


def forward_int(
    attrs: MulAttrs,
    ints: MulInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """`forward_int` as the formula says it, one element at a time."""
    x_1, x_2 = xs
    y = np.empty(x_1.shape, np.int8)
    seen = empty_range() if y_range is None else y_range
    rounding = ROUNDINGS[ints.rounding]
    for i, (a, b) in enumerate(zip(x_1.flat, x_2.flat, strict=True)):
        product = (int(a) + ints.input_1_offset) * (int(b) + ints.input_2_offset)
        q = rescale(product, ints.output_mult, ints.output_shift, rounding)
        seen[:] = min(seen[0], q), max(seen[1], q)
        y.flat[i] = clamp(q + ints.output_offset, ints.act_min, ints.act_max)
    return y


def forward_float(attrs: MulAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Two floating (N, ...) -> same dtype (N, ...)."""
    return clipped(attrs, np.multiply, *xs)


def vjp(
    attrs: MulAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX_1 = gY * X_2 and gX_2 = gY * X_1, real values, where Y was not clamped."""
    x_1, x_2 = zip(saved.x, saved.x_scale, saved.x_offset, strict=True)
    gx = (
        _gradient(saved, gy, *other) if needed else None
        for needed, other in zip(needs_gx, (x_2, x_1), strict=True)
    )
    return tuple(gx), None


def _gradient(
    saved: Saved, gy: np.ndarray, x: np.ndarray, scale: float, offset: int
) -> np.ndarray:
    """`gy` times a real input, 0 where the output was clamped."""
    g, real = buffers.empty(gy.shape, gy.dtype), gy.dtype.type
    count, limits = len(gy), (saved.low, saved.high)
    y, gy, x, out = (
        np.ascontiguousarray(a).reshape(count, -1) for a in (saved.y, gy, x, g)
    )
    run(_mul_vjp, count, y, gy, *limits, x, real(scale), real(offset), out)
    return g


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


@njit(cache=True, nogil=True)
def _mul(begin, end, edges, x_1, x_2, inputs, f_y, output, y, ranges):
    offset_1, offset_2 = int32(inputs[0]), int32(inputs[1])
    offset, low, high = int32(output[0]), int32(output[1]), int32(output[2])
    for share in range(begin, end):
        smallest, largest = int32(2**31 - 1), int32(-(2**31))
        for n in range(edges[share], edges[share + 1]):
            row_1, row_2, row = x_1[n], x_2[n], y[n]
            for k in range(row.shape[0]):
                product = int32((row_1[k] + offset_1) * (row_2[k] + offset_2))
                q = scaled(product, f_y)
                smallest, largest = min(smallest, q), max(largest, q)
                row[k] = min(max(int32(q + offset), low), high)
        ranges[share] = smallest, largest


@njit(cache=True, nogil=True)
def _mul_vjp(begin, end, edges, y, gy, low, high, x, scale, offset, g):
    real = gy.dtype.type
    for n in range(edges[begin], edges[end]):
        for k in range(y.shape[1]):
            inside = (y[n, k] > low) & (y[n, k] < high)
            value = gy[n, k] * (scale * (real(x[n, k]) + offset))
            g[n, k] = value if inside else real(0)


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
    fast=Fast(fast_int),
)
