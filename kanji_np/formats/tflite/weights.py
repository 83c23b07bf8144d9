"""Rows of operators that multiply by weights: convolutions and matrices.

Layouts are TensorFlow Lite's, and nearly ours: weights of convolutions are
(Cout,KH,KW,Cin), of fully connected layers (Cout,Cin); those of depthwise convolutions
are (1,KH,KW,Cout) there and (Cout,KH,KW) here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.builder import IntWeights
from kanji_np.formats.source import SourceTensor
from kanji_np.formats.tflite.constants import dequantized
from kanji_np.formats.tflite.making import Call, Linear, Padding
from kanji_np.layers import Symbol
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.dense import DenseAttrs
from kanji_np.ops.depthwise_conv2d import DepthwiseConv2DAttrs
from kanji_np.ops.transpose_conv2d import TransposeConv2DAttrs
from kanji_np.types import LinearParams, Shape
from kanji_np.window import Pair


def conv_2d(call: Call) -> None:
    """In groups, where the weight has fewer channels than the input.

    Groups of one channel are a depthwise convolution.
    """
    weight = _weight(call, 4)
    filters, height, width, seen = weight.shape
    x, padding = _window(call)
    channels = call.shape(x)[-1]
    groups = channels // seen if seen else 0
    if groups * seen != channels or filters % groups:
        raise FileFormatError(
            f"the weight {shown(weight.name)} {weight.shape} does not fit an input of "
            f"{channels} channels, in groups neither"
        )
    if seen == 1 < groups:
        _depthwise(call, weight, x, padding, 0, lambda w: w[..., 0])
        return
    attrs = Conv2DAttrs(
        filters=filters,
        kernel=(height, width),
        stride=call.pair("stride_{}"),
        dilation=call.pair("dilation_{}_factor"),
        padding=padding,
        activation=call.fused(),
        weight_bits=_bits(weight),
        groups=groups,
    )
    params = _params(call, 0, lambda w: w)
    call.making.wait(Linear(call, "conv2d", attrs, x, params, _notes(call)))


def depthwise_conv_2d(call: Call) -> None:
    weight = _weight(call, 4)
    first, _, _, filters = weight.shape
    x, padding = _window(call)
    channels = call.shape(x)[-1]
    multiplier = call.option("depth_multiplier")
    # TensorFlow Lite goes by the shapes, and some files have 0.
    if first != 1 or filters % channels or multiplier not in (0, filters // channels):
        raise FileFormatError(
            f"the weight {shown(weight.name)} {weight.shape} and the depth multiplier "
            f"{multiplier} do not fit an input of {channels} channels"
        )
    # (1,KH,KW,Cout) -> (Cout,KH,KW)
    _depthwise(call, weight, x, padding, 3, lambda w: w[0].transpose(2, 0, 1))


def _depthwise(
    call: Call,
    weight: SourceTensor,
    x: Symbol,
    padding: str | Padding,
    axis: int,
    turned: Callable[[np.ndarray], np.ndarray],
) -> None:
    """A depthwise convolution; `axis` and `turned` as of `_params`."""
    _, height, width, _ = weight.shape
    attrs = DepthwiseConv2DAttrs(
        kernel=(height, width),
        stride=call.pair("stride_{}"),
        dilation=call.pair("dilation_{}_factor"),
        padding=padding,
        depth_multiplier=weight.shape[axis] // call.shape(x)[-1],
        activation=call.fused(),
        weight_bits=_bits(weight),
    )
    params = _params(call, axis, turned)
    linear = Linear(call, "depthwise_conv2d", attrs, x, params, _notes(call))
    call.making.wait(linear)


def transpose_conv(call: Call) -> None:
    """The size of the output is an input, and the padding follows from it."""
    call.count(3, 4)
    sizes, stride = call.integers(0), call.pair("stride_{}")
    if len(sizes) != 4 or min(*sizes, *stride) < 1:
        raise FileFormatError(f"makes {sizes} with strides {stride}; all are 1 or more")
    _, weight_number, x_number, *bias = call.op.inputs
    inputs = (x_number, weight_number, *bias)  # in the order of other convolutions
    call = replace(call, op=replace(call.op, inputs=inputs))
    filters, *kernel, _ = _weight(call, 4).shape
    x = call.x()
    attrs = TransposeConv2DAttrs(
        filters=filters,
        kernel=(kernel[0], kernel[1]),
        stride=stride,
        padding=call.padding(),
        activation=call.fused(),
    )
    if attrs.scatter(call.shape(x)).out != (sizes[1], sizes[2]):
        attrs = _cut_to(attrs, call.shape(x), (sizes[1], sizes[2]))
    params = _params(call, 0, lambda w: w)
    call.making.wait(Linear(call, "transpose_conv2d", attrs, x, params, _notes(call)))


def _cut_to(
    attrs: TransposeConv2DAttrs, shape: Shape, wanted: Pair
) -> TransposeConv2DAttrs:
    """The same for an output of another size than that which its padding gives."""
    is_same = attrs.padding == "same"
    top, left = (
        _cut(shape[axis], wanted[axis], attrs.kernel[axis], attrs.stride[axis], is_same)
        for axis in (0, 1)
    )
    padding = (top[0], max(top[1], 0)), (left[0], max(left[1], 0))
    more = max(-top[1], 0), max(-left[1], 0)
    return replace(attrs, padding=padding, output_padding=more)


def _cut(
    size: int, wanted: int, kernel: int, stride: int, is_same: bool
) -> tuple[int, int]:
    """Cells that are cut off along one axis, before and after; or less than none."""
    windows = -(-wanted // stride) if is_same else -(-(wanted - kernel + 1) // stride)
    before = max((windows - 1) * stride + kernel - wanted, 0) // 2
    return before, (size - 1) * stride + kernel - before - wanted


def fully_connected(call: Call) -> None:
    """Of one row a dense layer; of several a convolution whose kernel is one cell."""
    weight = _weight(call, 2)
    units, depth = weight.shape
    # `asymmetric_quantize_inputs` is about weights of int8 and inputs of float32.
    if call.option("weights_format") != "DEFAULT":
        raise UnsupportedOp(
            f"weights in the order {call.option('weights_format')} are not supported; "
            "in that of DEFAULT they are"
        )
    x = call.x()
    size = math.prod(call.shape(x))
    if size % depth:
        raise FileFormatError(
            f"its input of {size} values is not made of rows of {depth}"
        )
    rows, shape = size // depth, call.shape(x)
    wanted: Shape = (*shape[:-1], units) if call.option("keep_num_dims") else (units,)
    if rows == 1:
        dense = DenseAttrs(units, call.fused(), _bits(weight))
        params = _params(call, 0, lambda w: w)
        flat = call.shaped(x, (depth,))
        linear = Linear(call, "dense", dense, flat, params, _notes(call))
        if wanted == (units,):
            call.making.wait(linear)
        else:
            call.give(call.shaped(linear.layer(), wanted))
        return
    if not call.option("keep_num_dims"):
        wanted = (rows, units)
    call.give(call.shaped(_rows(call, x, rows), wanted))


def _rows(call: Call, x: Symbol, rows: int) -> Symbol:
    """A fully connected layer on each of several rows."""
    numerics = call.builder.target.numerics_of
    if numerics("dense") != numerics("conv2d") and call.tensor().dtype == "int8":
        raise UnsupportedOp(
            f"on {rows} rows is not supported for {call.builder.target.library}, which "
            "rounds otherwise in convolutions; on one row it is"
        )
    units, depth = call.tensor(1).shape
    attrs = Conv2DAttrs(units, (1, 1), activation=call.fused())
    # (Cout,Cin) -> (Cout,1,1,Cin)
    params = _params(call, 0, lambda w: w[:, np.newaxis, np.newaxis])
    image = call.shaped(x, (rows, 1, depth))
    notes = (*_notes(call), "rows as pixels")
    return Linear(call, "conv2d", attrs, image, params, notes).layer()


def _window(call: Call) -> tuple[Symbol, str | Padding]:
    """What the windows of a convolution lie over, and its padding."""
    padding: str | Padding = call.padding()
    padded = call.making.padded(call.op.inputs[0])
    if padded is None or padding == "same" or padded.filler != "zero":
        return call.x(), padding
    return padded.x, padded.padding


def _weight(call: Call, rank: int) -> SourceTensor:
    """The weight of an operator that multiplies by one."""
    call.count(2, 3)
    call.values(1)
    weight = call.tensor(1)
    if len(weight.shape) != rank:
        raise FileFormatError(
            f"the weight {shown(weight.name)} must have {rank} axes, got {weight.shape}"
        )
    kind = call.option("quantized_bias_type", "FLOAT32")
    if kind not in ("FLOAT32", "INT32"):  # FLOAT32 stands for what is usual
        raise UnsupportedOp(f"a bias of {kind} is not supported; int32 is")
    return weight


def _params(
    call: Call, axis: int, turned: Callable[[np.ndarray], np.ndarray]
) -> LinearParams | IntWeights:
    """Weight and bias of a layer.

    Parameters
    ----------
    axis : int
        Of the output channels in the weight.
    turned : function
        Brings the weight to the layout of `LinearParams`.
    """
    weight, channels = call.tensor(1), call.tensor(1).shape[axis]
    if call.tensor().dtype == "float32":
        values = _real_weight(weight)
        return LinearParams(turned(values), _bias(call, channels, np.float32))
    bias = _bias(call, channels, np.int32)
    return IntWeights(turned(call.values(1)), bias, _weight_scales(weight, axis))


def _real_weight(weight: SourceTensor) -> np.ndarray:
    """What a float32 input is multiplied by.

    Weights of int8 stand for real ones. Runtimes quantize the input while they run, for
    speed alone; here it stays as it is.
    """
    assert weight.data is not None  # `_weight` has looked
    if weight.dtype == "float32":
        return weight.data
    if weight.dtype not in ("int8", "int4"):
        raise UnsupportedOp(
            f"the weight {shown(weight.name)} is {weight.dtype}; float32, and int8 or "
            "int4 with scales, are supported"
        )
    return dequantized(weight)


def _notes(call: Call) -> tuple[str, ...]:
    is_float = call.tensor().dtype == "float32"
    dtype = call.tensor(1).dtype
    return (f"{dtype} weights made real",) if is_float and dtype != "float32" else ()


def _bias(call: Call, channels: int, dtype: type) -> np.ndarray:
    """(Cout,), of zeros where there is none."""
    if not call.has(2):
        return np.zeros(channels, dtype)
    bias, tensor = call.values(2), call.tensor(2)
    if bias.dtype != dtype or bias.size != channels:
        raise UnsupportedOp(
            f"the bias {shown(tensor.name)} is {tensor.dtype} {tensor.shape}; "
            f"{np.dtype(dtype)} of {channels} is supported"
        )
    return bias.reshape(channels)


def _weight_scales(weight: SourceTensor, axis: int) -> np.ndarray:
    """A scale for each output channel, float64 (Cout,)."""
    found = weight.quantization
    if weight.dtype not in ("int8", "int4") or found is None:
        what = " without a scale" if found is None else ""
        raise UnsupportedOp(
            f"the weight {shown(weight.name)} is {weight.dtype}{what}; int8 or int4 "
            "with scales are supported"
        )
    if found.zero_points.any():
        raise UnsupportedOp(
            f"the weight {shown(weight.name)} has a zero point; weights with 0 are "
            "supported"
        )
    if found.per_channel and found.axis != axis:
        raise UnsupportedOp(
            f"the weight {shown(weight.name)} has scales along axis {found.axis}; they "
            f"are supported along axis {axis}, that of its outputs"
        )
    return np.broadcast_to(found.scales, weight.shape[axis])


def _bits(weight: SourceTensor) -> int:
    return 4 if weight.dtype == "int4" else 8
