"""Fully connected layer with bias and an optional fused ReLU or ReLU6.

    acc[n,o] = bias[o] + sum over k of (X[n,k] + input_offset) * W[o,k]
    Y = clamp(rescale(acc, multiplier[o], shift[o]) + output_offset, low, high)

Layouts: X (N,Cin), W (Cout,Cin), Y (N,Cout). CMSIS-NN has a function for one
multiplier and shift, which is taken where all are equal, and from version 7 on one for
a multiplier and shift an output; with int4 weights it has only the former.

Gradients, with gY = 0 where Y was clamped, and X real:

    gW[o,k] = sum over n of gY[n,o] * X[n,k]
    gX[n,k] = sum over o of gY[n,o] * W[o,k]
    gb[o] = sum over n of gY[n,o]

Accumulator: |acc| <= max(127 - z, 128 + z) * sum|W[o]| + |bias[o]| for a zero point
z = -input_offset of X. The factor is 128 where z = 0, and 255 at most.
`quantize.linear_ints` checks the bound against int32 when it makes the integers.

Source: CMSIS-NN v7.0.0 `arm_fully_connected_s8`, `_per_channel_s8`, `_s4`; TFLite
`FULLY_CONNECTED` int8. Legacy: CMSIS 5.9.0 `arm_fully_connected_q7_opt`, the same
formula for powers of two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.fixedpoint import ROUNDINGS, clamp, rescale
from kanji_np.jit import njit
from kanji_np.loops import dense as fast
from kanji_np.ops.attributes import (
    Attributes,
    attribute,
    channel_number,
    fused_activation,
    weight_width,
)
from kanji_np.ops.op import Fast, Op, Weights
from kanji_np.quantize import activation_bounds
from kanji_np.targets import takes_channel_scales
from kanji_np.targets.cmsis_nn import fully_connected as s8
from kanji_np.targets.cmsis_nn_q7 import fully_connected as q7
from kanji_np.targets.cmsis_nn_q7.calls import activation_calls, check_layer
from kanji_np.targets.flash import bias_bytes, weight_bytes
from kanji_np.types import (
    Arrays,
    Cost,
    Gradients,
    KernelCall,
    LinearInts,
    LinearParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
    check_weights,
)


@dataclass(frozen=True)
class DenseAttrs(Attributes):
    """Number of outputs; activation "linear", "relu" or "relu6"; width of the weights,
    8 or 4."""

    units: int = attribute(channel_number)
    activation: str = attribute(fused_activation, "linear")
    weight_bits: int = attribute(weight_width, 8)

    def check(self, x: np.ndarray, weight: np.ndarray) -> None:
        """ShapeError where the weights do not fit a batch."""
        check_weights("dense", x, 2, weight, (self.units, *x.shape[1:]))


def infer(attrs: DenseAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if len(shape) != 1:
        raise ShapeError(
            f"dense: expected a flat input (K,), got {shape}; put Flatten() before it"
        )
    return (attrs.units,)


def weight_shapes(attrs: DenseAttrs, shapes: Shapes) -> tuple[Shape, Shape]:
    (shape,) = shapes
    return (attrs.units, shape[0]), (attrs.units,)


def channel_scales(attrs: DenseAttrs, target: TargetSpec) -> bool:
    """Whether the target takes a scale for each output."""
    if target.library == "cmsis-nn":
        return s8.has_channel_scales(attrs.weight_bits, target)
    return takes_channel_scales(target)


def forward_int(
    attrs: DenseAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N,Cin) -> int8 (N,Cout), one product at a time."""
    (x,) = xs
    attrs.check(x, ints.weight)
    y = np.empty((len(x), attrs.units), np.int8)
    _definition(
        x, ints.weight, ints.bias, ints.multiplier, ints.shift,
        (ints.input_offset, ints.output_offset, ints.act_min, ints.act_max),
        ROUNDINGS[ints.rounding],
        y, np.zeros(2, np.int64) if y_range is None else y_range,
    )  # fmt: skip
    return y


@njit(cache=True)
def _definition(x, weight, bias, multiplier, shift, limits, rounding, y, y_range):
    input_offset, output_offset, low, high = limits
    for n in range(x.shape[0]):
        for o in range(weight.shape[0]):
            total = bias[o]
            for k in range(x.shape[1]):
                total += (x[n, k] + input_offset) * weight[o, k]
            q = rescale(total, multiplier[o], shift[o], rounding)
            y_range[0] = min(y_range[0], q)
            y_range[1] = max(y_range[1], q)
            y[n, o] = clamp(q + output_offset, low, high)


def forward_float(attrs: DenseAttrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    """Floating (N,Cin) -> same dtype (N,Cout)."""
    (x,) = xs
    attrs.check(x, params.weight)
    y = x @ params.weight.T + params.bias  # (N,Cin) @ (Cin,Cout)
    return np.clip(y, *activation_bounds(attrs.activation))


def vjp(
    attrs: DenseAttrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,), (needed,) = saved.real_x(gy.dtype), needs_gx
    gy = saved.passed(gy)
    gx = gy @ params.weight if needed else None  # (N,Cout) @ (Cout,Cin)
    gweight = gy.T @ x  # (Cout,N) @ (N,Cin)
    return (gx,), LinearParams(gweight, gy.sum(axis=0))


def cost(attrs: DenseAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    """Cost with one scale for all outputs; a scale for each takes 8 bytes more."""
    ((inputs,),) = shapes
    macs = attrs.units * inputs
    sums = 4 * _wants_kernel_sums(attrs, target)  # int32
    per_output = bias_bytes(target) + sums
    weights = weight_bytes(macs, attrs.weight_bits)
    return Cost(macs, weights + per_output * attrs.units)


def _wants_kernel_sums(attrs: DenseAttrs, target: TargetSpec) -> bool:
    is_s8 = target.library == "cmsis-nn"
    return is_s8 and s8.wants_kernel_sums(attrs.weight_bits, target)


def lower_cmsis_nn(
    attrs: DenseAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    wants_sums = s8.wants_kernel_sums(attrs.weight_bits, target)
    call = s8.call(
        s8.function_for(ints, attrs.weight_bits, target),
        ints,
        layout="(Cout,Cin)",
        weight_bits=attrs.weight_bits,
        sums=s8.kernel_sums(ints) if wants_sums else None,
    )
    return (call,)


def lower_cmsis_nn_q7(
    attrs: DenseAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    check_layer(attrs.activation, attrs.weight_bits, target)
    scratch_bytes = q7.scratch_bytes(x.size, target)
    call = q7.call("arm_fully_connected_q7_opt", ints, scratch_bytes)
    return (call, *activation_calls(ints, attrs.units))


DENSE = Op(
    name="dense",
    attrs=DenseAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    weights=Weights(weight_shapes, channel_scales),
    tracks_output=True,
    fast=Fast(fast.forward_int, fast.forward_float, fast.vjp),
)
