"""Fully connected layer with bias and an optional fused ReLU or ReLU6.

    acc[n,o] = bias[o] + sum over k of (X[n,k] + input_offset) * W[o,k]
    Y = clamp(rescale(acc, multiplier[o], shift[o]) + output_offset, low, high)

Layouts: X (N,Cin), W (Cout,Cin), Y (N,Cout). CMSIS-NN has a function for one
multiplier and shift, which is taken where all are equal, and from version 7 on one for
a multiplier and shift an output; with int4 weights it has only the former.

Accumulator: |acc| <= 128 * sum|W[o]| + |bias[o]|, checked against int32 when the
integers are made (`quantize.linear_ints`).

Source: CMSIS-NN v7.0.0 `arm_fully_connected_s8`, `_per_channel_s8`, `_s4`; TFLite
`FULLY_CONNECTED` int8. Legacy: CMSIS 5.9.0 `arm_fully_connected_q7_opt`, the same
formula for powers of two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kanji_np.errors import ShapeError, UnsupportedOp
from kanji_np.fixedpoint import ROUNDINGS, clamp, rescale
from kanji_np.jit import njit
from kanji_np.loops import buffers, conv, conv_gradients
from kanji_np.loops.requantize import empty_range, widen
from kanji_np.loops.threads import SHARES
from kanji_np.ops import cmsis_q7
from kanji_np.ops.attributes import (
    Attributes,
    attribute,
    channel_number,
    fused_activation,
    weight_width,
)
from kanji_np.ops.cmsis import (
    FIRST_VERSION,
    HEADER,
    activation_range,
    dims,
    linear_constants,
    no_memory,
    per_channel_quant,
    table,
    weight_bytes,
)
from kanji_np.ops.op import Arrays, Fast, Gradients, Op, Shapes, Specs, Weights
from kanji_np.quantize import activation_bounds
from kanji_np.types import (
    BufferSize,
    Constant,
    ConstPtr,
    Cost,
    InputPtr,
    KernelCall,
    LinearInts,
    LinearParams,
    OutputPtr,
    Saved,
    ScratchPtr,
    Shape,
    Struct,
    TargetSpec,
    TensorSpec,
)
from kanji_np.window import Geometry, Window


@dataclass(frozen=True)
class DenseAttrs(Attributes):
    """Number of outputs; activation "linear", "relu" or "relu6"; width of the weights,
    8 or 4."""

    units: int = attribute(channel_number)
    activation: str = attribute(fused_activation, "linear")
    weight_bits: int = attribute(weight_width, 8)


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


def fast_int(
    attrs: DenseAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N,Cin) -> int8 (N,Cout)."""
    (x,) = xs
    y = _output(attrs, ints.weight, x, np.int8)
    image, kernels = _as_image(x), _as_kernels(ints.weight)
    ranges = conv.forward_int(
        image, replace(ints, weight=kernels), _window(image), _as_image(y)
    )
    if y_range is not None:
        widen(y_range, ranges)
    return y


def forward_int(
    attrs: DenseAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """`forward_int` as the formula says it, one product at a time."""
    (x,) = xs
    y = _output(attrs, ints.weight, x, np.int8)
    seen = empty_range() if y_range is None else y_range
    _definition(
        x, ints.weight, ints.bias, ints.multiplier, ints.shift,
        (ints.input_offset, ints.output_offset, ints.act_min, ints.act_max),
        ROUNDINGS[ints.rounding], y, seen,
    )  # fmt: skip
    return y


def forward_float(attrs: DenseAttrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    """Floating (N,Cin) -> same dtype (N,Cout)."""
    (x,) = xs
    y = _output(attrs, params.weight, x, x.dtype)
    image = _as_image(x)
    kernels = replace(params, weight=_as_kernels(params.weight))
    bounds = activation_bounds(attrs.activation)
    conv.forward_float(image, kernels, _window(image), bounds, _as_image(y))
    return y


def vjp(
    attrs: DenseAttrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    """gW = gY' X, gX = gY W, gb = sum gY; gY counts where Y was not clamped."""
    (x,), (needed,) = saved.x, needs_gx
    image = _as_image(x)
    gx, gparams = conv_gradients.backward(
        replace(params, weight=_as_kernels(params.weight)),
        replace(saved, x=(image,), y=_as_image(saved.y)),
        _window(image),
        _as_image(gy),
        needed,
    )
    gx = gx.reshape(x.shape) if needed else None  # (G,1,N/G,Cin) -> (N,Cin)
    return (gx,), replace(gparams, weight=gparams.weight.reshape(params.weight.shape))


def _output(
    attrs: DenseAttrs, weight: np.ndarray, x: np.ndarray, dtype: Any
) -> np.ndarray:
    """Uninitialized output for a batch `x`; ShapeError if the weights do not fit."""
    expected = (attrs.units, *x.shape[1:])
    if x.ndim != 2 or weight.shape != expected:
        raise ShapeError(
            f"dense: input {x.shape} needs weights {expected}, got {weight.shape}"
        )
    return buffers.empty((len(x), attrs.units), dtype)


def _as_image(x: np.ndarray) -> np.ndarray:
    """(N,C) -> (G,1,N/G,C): a 1x1 convolution over the batch is the same product.

    The loops take the G images side by side.
    """
    count = len(x)
    groups = max(g for g in range(1, SHARES + 1) if count % g == 0)
    return x.reshape(groups, 1, count // groups, x.shape[1])


def _as_kernels(weight: np.ndarray) -> np.ndarray:
    return weight[:, None, None, :]  # (Cout,Cin) -> (Cout,1,1,Cin)


def _window(image: np.ndarray) -> Geometry:
    return Window((1, 1)).over(image.shape[1:])


def cost(attrs: DenseAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    """Cost with one scale for all outputs; a scale an output takes 8 bytes more."""
    (shape,) = shapes
    macs = attrs.units * shape[0]
    # an output: an int8 or int32 bias, and where the target wants it an int32 sum
    per_output = target.numerics.bias_bits // 8 + 4 * _has_kernel_sums(attrs, target)
    weights = weight_bytes(macs, attrs.weight_bits)
    return Cost(macs, weights + per_output * attrs.units)


def channel_scales(attrs: DenseAttrs, target: TargetSpec) -> bool:
    """Whether the target takes a scale for each output."""
    has_function = target.library == "cmsis-nn" and target.version != FIRST_VERSION
    return has_function and attrs.weight_bits == 8


def lower_cmsis_nn(
    attrs: DenseAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    multiplier, shift = int(ints.multiplier[0]), int(ints.shift[0])
    function = f"arm_fully_connected_s{attrs.weight_bits}"
    (inputs,) = x.shape
    constants = linear_constants(ints, "(Cout,Cin)", attrs.weight_bits)
    if (ints.multiplier == multiplier).all() and (ints.shift == shift).all():
        constants = constants[:2]
        quant = Struct(
            "cmsis_nn_per_tensor_quant_params",
            "quant_params",
            (("multiplier", multiplier), ("shift", shift)),
        )
    elif channel_scales(attrs, target):
        function = "arm_fully_connected_per_channel_s8"
        quant = per_channel_quant()
    else:
        raise UnsupportedOp(
            f"{function} takes one scale for all outputs, and {target.library} "
            f"{target.version} has no other for int{attrs.weight_bits} weights"
        )
    context = no_memory()
    if _has_kernel_sums(attrs, target):
        constants += (_kernel_sums(ints),)
        context = table("kernel_sums", 4 * attrs.units)
    filter_dims = dims("filter_dims", inputs, 1, 1, attrs.units)
    buffer_size = BufferSize("arm_fully_connected_s8_get_buffer_size", (filter_dims,))
    call = KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            context,
            Struct(
                "cmsis_nn_fc_params",
                "fc_params",
                (
                    ("input_offset", ints.input_offset),
                    ("filter_offset", 0),
                    ("output_offset", ints.output_offset),
                    ("activation", activation_range(ints.act_min, ints.act_max)),
                ),
            ),
            quant,
            dims("input_dims", 1, 1, 1, inputs),
            InputPtr(),
            filter_dims,
            ConstPtr("weight"),
            dims("bias_dims", 1, 1, 1, attrs.units),
            ConstPtr("bias"),
            dims("output_dims", 1, 1, 1, attrs.units),
            OutputPtr(),
        ),
        constants=constants,
        buffer_size=buffer_size if attrs.weight_bits == 8 else None,
    )
    return (call,)


def _has_kernel_sums(attrs: DenseAttrs, target: TargetSpec) -> bool:
    """Whether the context of the call must hold row sums; the first version's MVE
    kernel sums rows by itself."""
    is_asked = target.library == "cmsis-nn" and target.core == "mve"
    return is_asked and target.version != FIRST_VERSION and attrs.weight_bits == 8


def _kernel_sums(ints: LinearInts) -> Constant:
    """What `arm_vector_sum_s8` would fill the context with, as a table in flash.

    Contents are as version 7's header states them: row sums times the input offset,
    plus the bias. Constant weights make a constant table, so no RAM is spent on it and
    nothing has to run before the first inference.
    """
    sums = ints.weight.sum(axis=1, dtype=np.int64) * ints.input_offset + ints.bias
    return Constant(
        "kernel_sums", "int32_t", sums.astype(np.int32), "offset * row sums + bias"
    )


def lower_cmsis_nn_q7(
    attrs: DenseAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    cmsis_q7.check_attrs(attrs.activation, attrs.weight_bits, target)
    (inputs,) = x.shape
    cmsis_q7.check_extents("arm_fully_connected_q7_opt", inputs, attrs.units)
    call = KernelCall(
        function="arm_fully_connected_q7_opt",
        header=HEADER,
        arguments=(
            InputPtr(),
            ConstPtr("weight"),
            inputs,
            attrs.units,
            ints.bias_shift,
            cmsis_q7.right_shift(ints),
            ConstPtr("bias"),
            OutputPtr(),
            ScratchPtr(),
        ),
        constants=cmsis_q7.linear_constants(
            ints, interleave(ints.weight), "(Cout,Cin), interleaved for the kernel"
        ),
        # the input as int16
        scratch_bytes=2 * inputs if target.core == "dsp" else 0,
        status=cmsis_q7.STATUS,
    )
    return (call, *cmsis_q7.activation_calls(ints, attrs.units))


def interleave(weight: np.ndarray) -> np.ndarray:
    """(Cout,Cin) int8 in the order `arm_fully_connected_q7_opt` reads it, same shape.

    Four rows at a time are read together: from every four of their columns the even
    pairs and then the odd ones, and column by column what is left of them. The rows
    left over stay as they are.
    """
    order = _interleaved(*weight.shape)
    return weight.ravel()[order].reshape(weight.shape)


def deinterleave(weight: np.ndarray) -> np.ndarray:
    """The inverse of `interleave`."""
    plain = np.empty_like(weight)
    plain.ravel()[_interleaved(*weight.shape)] = weight.ravel()
    return plain


def _interleaved(rows: int, columns: int) -> np.ndarray:
    """Index into the plain matrix of each place of the interleaved one, int64."""
    index = np.arange(rows * columns).reshape(rows, columns)
    whole_rows, whole_columns = rows // 4 * 4, columns // 4 * 4
    order = []
    for four in index[:whole_rows].reshape(-1, 4, columns):
        # (4, C) -> (row pair, row, column group, column pair, column of it)
        blocks = four[:, :whole_columns].reshape(2, 2, -1, 2, 2)
        # column by column of a pair: row pair, column pair, row of the pair
        order.append(blocks.transpose(2, 4, 0, 3, 1).ravel())
        order.append(four[:, whole_columns:].T.ravel())
    return np.concatenate([*order, index[whole_rows:].ravel()])


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
    fast=Fast(fast_int),
)
