"""Rows of operators on each element: sums and products, activations, functions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.tflite.making import Call, Linear, Row, qparams_of
from kanji_np.layers import Symbol
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.depthwise_conv2d import DepthwiseConv2DAttrs
from kanji_np.ops.leaky_relu import LeakyReluAttrs
from kanji_np.ops.pairs import blocks
from kanji_np.ops.requantize import RequantizeAttrs
from kanji_np.ops.with_constant import ACTIVATED, OperandConstants, WithConstantAttrs
from kanji_np.quantize import activation_limit
from kanji_np.types import LinearParams, QParams, Shape


def binary(name: str, kind: type, *, has_activation: bool = True) -> Row:
    """An operator on two tensors, one of which may be a constant."""

    def row(call: Call) -> None:
        call.count(2, 2)
        if (call.is_constant(0) or call.is_constant(1)) and _is_affine(call):
            return
        if not has_activation:  # minimum and maximum
            check_one_scale(call)
        output = qparams_of(call.output)
        if call.is_constant(0) or call.is_constant(1):
            call.give(_with_constant(call, name, output))
            return
        attrs = kind(call.fused()) if has_activation else kind()
        call.give(call.layer(name, attrs, [call.x(0), call.x(1)], output))

    return row


def _with_constant(call: Call, name: str, output: QParams | None) -> Symbol:
    """An operator on a tensor and a constant, which is broadcast or in full."""
    index = 0 if call.is_constant(0) else 1
    x = call.x(1 - index)
    tensor, shape = call.tensor(index), call.shape(x)
    qparams, values = qparams_of(tensor), call.values(index)
    if any(length != 1 for length in values.shape[: -len(shape)]):
        raise FileFormatError(f"its inputs {values.shape} and {shape} do not fit")
    part = values.reshape(values.shape[-len(shape) :] or (1,))
    if blocks(shape, part.shape) is None:
        part = _in_full(part, shape)
    attrs = WithConstantAttrs(
        name,
        part.shape,
        call.fused() if name in ACTIVATED else "linear",
        constant_first=index == 0,
    )
    if qparams is None:
        constants = OperandConstants(part.astype(np.float32))
    else:
        attrs, constants = _at_scale(attrs, part, qparams)
    return call.layer("with_constant", attrs, [x], output, constants=constants)


def _at_scale(
    attrs: WithConstantAttrs, values: np.ndarray, qparams: QParams
) -> tuple[WithConstantAttrs, OperandConstants]:
    """With a constant of these integers."""
    attrs = replace(
        attrs,
        constant_scale=qparams.scale,
        constant_zero_point=qparams.zero_point,
    )
    real = (values.astype(np.float64) - qparams.zero_point) * qparams.scale
    return attrs, OperandConstants(real.astype(np.float32))


def limited(call: Call, x: Symbol) -> Symbol:
    """RELU_N1_TO_1: clamped to -1 .. 1, which changes no scale."""
    qparams = qparams_of(call.output)
    for name, limit in (("maximum", -1.0), ("minimum", 1.0)):
        attrs = WithConstantAttrs(name, (1,))
        values = np.full(1, limit, np.float32)
        constants = OperandConstants(values)
        if qparams is not None:
            kernels = call.builder.target.numerics.kernels
            integer = activation_limit(limit, qparams, kernels)
            values = np.full(1, np.clip(integer, -128, 127))
            attrs, constants = _at_scale(attrs, values, qparams)
        x = call.layer("with_constant", attrs, [x], qparams, constants=constants)
    return x


def relu_n1_to_1(call: Call) -> None:
    call.count(1, 1)
    call.keeps_scale()
    call.give(limited(call, call.x()))


def _in_full(part: np.ndarray, shape: Shape) -> np.ndarray:
    """A constant in the shape of what stands beside it."""
    try:
        return np.broadcast_to(part, shape)
    except ValueError:
        raise FileFormatError(
            f"its inputs {part.shape} and {shape} do not fit"
        ) from None


def check_one_scale(call: Call) -> None:
    """UnsupportedOp unless all inputs have the scale of the output."""
    output = qparams_of(call.output)
    for index in range(len(call.op.inputs)):
        if qparams_of(call.tensor(index)) != output:
            raise UnsupportedOp(
                f"its input {index} has another scale than the output; TensorFlow Lite "
                "takes inputs of the output's scale only"
            )


def _is_affine(call: Call) -> bool:
    """Make a factor or an offset for each channel of an operator on float32, and a
    constant; False if it is none."""
    constant = 0 if call.is_constant(0) else 1
    x, values = call.tensor(1 - constant), call.values(constant)
    channels = x.shape[-1] if x.shape else 1
    is_last = values.size == 1 or values.shape[-1:] == (values.size,) == (channels,)
    is_float = x.dtype == "float32" and values.dtype == np.float32
    if call.op.kind not in ("ADD", "SUB", "MUL") or not is_float or not is_last:
        return False
    if not np.isfinite(values).all():
        raise FileFormatError(f"{shown(call.tensor(constant).name)} is not finite")
    each = np.broadcast_to(values.reshape(-1), channels).astype(np.float32)
    one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    if call.op.kind == "MUL":
        factor, offset = each, zero
    elif call.op.kind == "ADD":
        factor, offset = one, each
    else:  # SUB: the constant is taken away, or what is computed is
        factor, offset = (one, -each) if constant == 1 else (-one, each)
    _affine(call, 1 - constant, factor, offset)
    return True


def _affine(call: Call, index: int, factor: np.ndarray, offset: np.ndarray) -> None:
    """A factor and an offset for each channel: in the layer before, or a depthwise
    convolution of one cell."""
    linear = call.making.take(call.op.inputs[index])
    if linear is not None and linear.attrs.activation == "linear":
        linear = linear.scaled(call, factor, offset)
        call.making.wait(linear.with_activation(call.fused()))
        return
    if linear is not None:
        linear.make()
    x = call.x(index)
    shape, channels = call.shape(x), len(factor)
    image = shape if len(shape) == 3 else (math.prod(shape) // channels, 1, channels)
    attrs = DepthwiseConv2DAttrs((1, 1), activation=call.fused())
    params = LinearParams(factor.reshape(-1, 1, 1), offset)
    layer = Linear(call, "depthwise_conv2d", attrs, call.shaped(x, image), params)
    if image == shape:
        call.making.wait(layer)
    else:
        call.give(call.shaped(layer.layer(), shape))


def activation(name: str) -> Row:
    """RELU and RELU6: of the layer before, or a layer of their own."""

    def row(call: Call) -> None:
        call.count(1, 1)
        same = qparams_of(call.tensor()) == qparams_of(call.output)
        linear = call.making.take(call.op.inputs[0])
        if linear is not None and same and linear.attrs.activation == "linear":
            call.making.wait(linear.activated(call, name))
            return
        if linear is not None:
            linear.make()
        x, output = call.x(), qparams_of(call.output)
        if same:
            call.give(call.clamped(x, name))
        else:
            attrs = RequantizeAttrs(name)
            call.give(call.layer("requantize", attrs, [x], output))

    return row


def unary(name: str, attrs: Attributes) -> Row:
    """A function of each element."""

    def row(call: Call) -> None:
        call.count(1, 1)
        call.give(call.layer(name, attrs, [call.x()], qparams_of(call.output)))

    return row


def leaky_relu(call: Call) -> None:
    unary("leaky_relu", LeakyReluAttrs(call.option("alpha")))(call)
