"""What becomes of the operators of a `.tflite` file: the table, a row for each.

A row is a function that makes layers of one operator by calling the `Builder`. It looks
at every option that the operator has: what it does not know, it refuses.

Layouts are TensorFlow Lite's, and nearly ours: tensors are (N,H,W,C), weights of
convolutions (Cout,KH,KW,Cin), of fully connected layers (Cout,Cin); those of depthwise
ones are (1,KH,KW,Cout) there and (Cout,KH,KW) here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.formats.builder import Builder, Imported, IntWeights
from kanji_np.formats.source import SourceNet, SourceOp, SourceTensor
from kanji_np.formats.tflite.constants import FOLDS, dequantized, fold
from kanji_np.formats.tflite.making import (
    Call,
    Linear,
    Making,
    Padded,
    Padding,
    naming,
    qparams_of,
)
from kanji_np.layers import Symbol
from kanji_np.ops.add import AddAttrs
from kanji_np.ops.attributes import Attributes, Pool2DAttrs
from kanji_np.ops.concatenate import ConcatenateAttrs
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.dense import DenseAttrs
from kanji_np.ops.depthwise_conv2d import DepthwiseConv2DAttrs
from kanji_np.ops.hard_swish import HardSwishAttrs
from kanji_np.ops.leaky_relu import LeakyReluAttrs
from kanji_np.ops.maximum import MaximumAttrs
from kanji_np.ops.mean import MeanAttrs
from kanji_np.ops.minimum import MinimumAttrs
from kanji_np.ops.mul import MulAttrs
from kanji_np.ops.pairs import blocks
from kanji_np.ops.requantize import RequantizeAttrs
from kanji_np.ops.rescaling import RescalingAttrs
from kanji_np.ops.resize_nearest import ResizeNearestAttrs
from kanji_np.ops.sigmoid import SigmoidAttrs
from kanji_np.ops.slice import SliceAttrs
from kanji_np.ops.softmax import SoftmaxAttrs
from kanji_np.ops.sub import SubAttrs
from kanji_np.ops.tanh import TanhAttrs
from kanji_np.ops.transpose import TransposeAttrs
from kanji_np.ops.transpose_conv2d import TransposeConv2DAttrs
from kanji_np.ops.with_constant import ACTIVATED, OperandConstants, WithConstantAttrs
from kanji_np.types import LinearParams, QParams, Shape
from kanji_np.window import Pair

Row = Callable[[Call], None]


def convert(net: SourceNet, builder: Builder) -> Imported:
    """Make the layers of a network.

    Raises
    ------
    UnsupportedOp, ShapeError, OptionError, RangeError, AccumulatorOverflow
        The message names the operator and its first output.
    """
    making = Making(net, builder)
    done = begin(making)
    for op in net.ops:
        if op is not done:
            with naming(op):
                convert_one(making, op)
    imported = builder.finish(making.symbol(making.output))
    if imported.network.is_calibrated:
        imported.network.freeze()  # integers of a file can be such that sums overflow
    return imported


def begin(making: Making) -> SourceOp | None:
    """Make the input; an operator that quantizes it, if it is done with it."""
    tensor = making.tensors[making.input]
    readers = [op for op in making.net.ops if making.input in op.inputs]
    if [op.kind for op in readers] == ["QUANTIZE"] and tensor.dtype != "int8":
        (op,) = readers
        with naming(op):
            quantized_input(Call(making, op))
        return op
    symbol = making.builder.input(making.sample(tensor), qparams_of(tensor))
    making.put(making.input, symbol)
    return None


def quantized_input(call: Call) -> None:
    """Of float32 the network takes int8 in its place; of uint8 it takes images."""
    call.count(1, 1)
    tensor, wanted = call.tensor(), qparams_of(call.output)
    shape = call.making.sample(tensor)
    if tensor.dtype == "float32":
        call.builder.drop(str(call.op), "the network takes int8 in place of float32")
        call.give(call.builder.input(shape, wanted))
        return
    known = qparams_of(as_int8(tensor))
    assert known is not None  # it is int8
    attrs = RescalingAttrs(
        scale=(known.scale,),
        offset=(-known.scale * (known.zero_point + 128),),
        output_scale=known.scale,
        output_zero_point=known.zero_point,
    )
    image = call.builder.input(shape)
    x = call.layer("rescaling", attrs, [image], known)
    if known != wanted:
        x = call.layer("requantize", RequantizeAttrs(), [x], wanted)
    call.give(x)


def convert_one(making: Making, op: SourceOp) -> None:
    """Fold an operator of constants, or make layers of it."""
    tensors = [making.tensors[number] for number in op.inputs if number >= 0]
    is_constant = all(tensor.data is not None for tensor in tensors)
    if op.kind in FOLDS and (is_constant or op.kind == "SHAPE"):
        (number,) = op.outputs
        making.tensors[number] = fold(op, tensors, making.tensors[number])
    elif op.kind in ROWS:
        ROWS[op.kind](Call(making, op))
    else:
        raise UnsupportedOp(f"is not supported; these are: {', '.join(sorted(ROWS))}")


def _pair(call: Call, name: str) -> Pair:
    """(height, width) of options like "stride_h" and "stride_w"."""
    return call.option(name.format("h")), call.option(name.format("w"))


def _padding(call: Call) -> str:
    word: str = call.option("padding")
    if word not in ("SAME", "VALID"):
        raise OptionError(f"its padding must be SAME or VALID, got {word}")
    return word.lower()


def _window(call: Call) -> tuple[Symbol, str | Padding]:
    """What the windows of a convolution lie over, and its padding."""
    padding: str | Padding = _padding(call)
    padded = call.making.padded(call.op.inputs[0])
    if padded is None or padding == "same":
        return call.x(), padding
    return padded.x, padded.padding


def _weight(call: Call, rank: int) -> SourceTensor:
    """The weight of an operator that multiplies by one."""
    call.count(2, 3)
    call.values(1)
    weight = call.tensor(1)
    if len(weight.shape) != rank:
        raise OptionError(
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


def conv_2d(call: Call) -> None:
    weight = _weight(call, 4)
    filters, height, width, channels = weight.shape
    x, padding = _window(call)
    if call.shape(x)[-1] != channels:
        raise UnsupportedOp(
            f"the weight {shown(weight.name)} {weight.shape} is of a convolution in "
            f"groups, as the input has {call.shape(x)[-1]} channels; one group, or a "
            "depthwise convolution, is supported"
        )
    attrs = Conv2DAttrs(
        filters=filters,
        kernel=(height, width),
        stride=_pair(call, "stride_{}"),
        dilation=_pair(call, "dilation_{}_factor"),
        padding=padding,
        activation=call.fused(),
        weight_bits=_bits(weight),
    )
    params = _params(call, 0, lambda w: w)
    call.making.wait(Linear(call, "conv2d", attrs, x, params, _notes(call)))


def depthwise_conv_2d(call: Call) -> None:
    weight = _weight(call, 4)
    first, height, width, filters = weight.shape
    x, padding = _window(call)
    channels = call.shape(x)[-1]
    multiplier = call.option("depth_multiplier")
    # TensorFlow Lite goes by the shapes, and some files have 0.
    if first != 1 or filters % channels or multiplier not in (0, filters // channels):
        raise OptionError(
            f"the weight {shown(weight.name)} {weight.shape} and the depth multiplier "
            f"{multiplier} do not fit an input of {channels} channels"
        )
    attrs = DepthwiseConv2DAttrs(
        kernel=(height, width),
        stride=_pair(call, "stride_{}"),
        dilation=_pair(call, "dilation_{}_factor"),
        padding=padding,
        depth_multiplier=filters // channels,
        activation=call.fused(),
        weight_bits=_bits(weight),
    )
    # (1,KH,KW,Cout) -> (Cout,KH,KW)
    params = _params(call, 3, lambda w: w[0].transpose(2, 0, 1))
    linear = Linear(call, "depthwise_conv2d", attrs, x, params, _notes(call))
    call.making.wait(linear)


def transpose_conv(call: Call) -> None:
    """The size of the output is an input, and the padding follows from it."""
    call.count(3, 4)
    sizes, stride = call.integers(0), _pair(call, "stride_{}")
    if len(sizes) != 4 or min(*sizes, *stride) < 1:
        raise OptionError(f"makes {sizes} with strides {stride}; all are 1 or more")
    _, weight_number, x_number, *bias = call.op.inputs
    inputs = (x_number, weight_number, *bias)  # in the order of other convolutions
    call = replace(call, op=replace(call.op, inputs=inputs))
    filters, *kernel, _ = _weight(call, 4).shape
    x, padding = call.x(), _padding(call)
    attrs = TransposeConv2DAttrs(
        filters=filters,
        kernel=(kernel[0], kernel[1]),
        stride=stride,
        padding=padding,
        activation=call.fused(),
    )
    if attrs.scatter(call.shape(x)).out != tuple(sizes[1:3]):
        sides, more = [], []
        for axis in (0, 1):
            before, after = _cut(
                call.shape(x)[axis],
                sizes[axis + 1],
                kernel[axis],
                stride[axis],
                padding == "same",
            )
            sides.append((before, max(after, 0)))
            more.append(max(-after, 0))
        attrs = replace(
            attrs, padding=(sides[0], sides[1]), output_padding=(more[0], more[1])
        )
    params = _params(call, 0, lambda w: w)
    call.making.wait(Linear(call, "transpose_conv2d", attrs, x, params, _notes(call)))


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
        raise OptionError(f"its input of {size} values is not made of rows of {depth}")
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
            call.give(call.shaped(_made(linear), wanted))
        return
    if not call.option("keep_num_dims"):
        wanted = (rows, units)
    call.give(call.shaped(_rows(call, x, rows), wanted))


def _made(linear: Linear) -> Symbol:
    """The layer without what may follow, whatever the shape of its output."""
    output = qparams_of(linear.call.output)
    return linear.call.layer(
        linear.name, linear.attrs, [linear.x], output, linear.params, linear.notes
    )


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
    return _made(Linear(call, "conv2d", attrs, image, params, notes))


def _pool(name: str) -> Row:
    def row(call: Call) -> None:
        call.count(1, 1)
        attrs = Pool2DAttrs(
            pool_size=(call.option("filter_height"), call.option("filter_width")),
            strides=_pair(call, "stride_{}"),
            padding=_padding(call),
            ceil_mode=False,
        )
        call.keeps_scale()
        call.give(call.clamped(call.layer(name, attrs, [call.x()]), call.fused()))

    return row


def _binary(name: str, kind: type, *, has_activation: bool = True) -> Row:
    """An operator on two tensors, one of which may be a constant in float32."""

    def row(call: Call) -> None:
        call.count(2, 2)
        if (call.is_constant(0) or call.is_constant(1)) and _is_affine(call):
            return
        if not has_activation:  # minimum and maximum
            _check_one_scale(call)
        output = qparams_of(call.output)
        if call.is_constant(0) or call.is_constant(1):
            call.give(_with_constant(call, name, output))
            return
        attrs = kind(call.fused()) if has_activation else kind()
        call.give(call.layer(name, attrs, [call.x(0), call.x(1)], output))

    return row


def _with_constant(call: Call, name: str, output: QParams | None) -> Symbol:
    """An operator on a tensor and a constant of int8."""
    index = 0 if call.is_constant(0) else 1
    x = call.x(1 - index)
    tensor, shape = call.tensor(index), call.shape(x)
    qparams, values = qparams_of(tensor), call.values(index)
    if qparams is None:
        raise UnsupportedOp(
            f"of float32 and a constant {values.shape} is not supported; ADD, SUB and "
            "MUL are, with one number, or one for each channel"
        )
    if any(length != 1 for length in values.shape[: -len(shape)]):
        raise OptionError(f"its inputs {values.shape} and {shape} do not fit")
    part = values.reshape(values.shape[-len(shape) :] or (1,))
    if blocks(shape, part.shape) is None:
        part = _in_full(part, shape)
    attrs = WithConstantAttrs(
        name,
        part.shape,
        call.fused() if name in ACTIVATED else "linear",
        qparams.scale,
        qparams.zero_point,
        constant_first=index == 0,
    )
    real = (part.astype(np.float64) - qparams.zero_point) * qparams.scale
    constants = OperandConstants(real.astype(np.float32))
    return call.layer("with_constant", attrs, [x], output, constants=constants)


def _in_full(part: np.ndarray, shape: Shape) -> np.ndarray:
    """A constant in the shape of what stands beside it."""
    try:
        return np.broadcast_to(part, shape)
    except ValueError:
        raise OptionError(f"its inputs {part.shape} and {shape} do not fit") from None


def resize_nearest_neighbor(call: Call) -> None:
    call.count(2, 2)
    call.keeps_scale()
    size = call.integers(1)
    if len(size) != 2:
        raise OptionError(f"makes images of {size}; it takes height and width")
    attrs = ResizeNearestAttrs(
        (size[0], size[1]),
        bool(call.option("align_corners")),
        bool(call.option("half_pixel_centers")),
    )
    call.give(call.layer("resize_nearest", attrs, [call.x()]))


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
        raise OptionError(f"{shown(call.tensor(constant).name)} is not finite")
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
        call.give(call.shaped(_made(layer), shape))


def _activation(name: str) -> Row:
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


def _unary(name: str, attrs: Attributes) -> Row:
    """A function of each element."""

    def row(call: Call) -> None:
        call.count(1, 1)
        call.give(call.layer(name, attrs, [call.x()], qparams_of(call.output)))

    return row


def leaky_relu(call: Call) -> None:
    _unary("leaky_relu", LeakyReluAttrs(call.option("alpha")))(call)


def quantize(call: Call) -> None:
    """From int8 to int8; at the end also to uint8, of which the network gives int8."""
    call.count(1, 1)
    x, output = call.x(), call.output
    if qparams_of(call.tensor()) is None:
        raise UnsupportedOp("of float32 is supported right behind the input")
    if call.op.outputs[0] == call.making.output and output.dtype == "uint8":
        output = as_int8(output)
        call.builder.drop(str(call.op), "the network gives int8 in place of uint8")
    wanted = qparams_of(output)
    if wanted != qparams_of(call.tensor()):
        x = call.layer("requantize", RequantizeAttrs(), [x], wanted)
    call.give(x)


def as_int8(tensor: SourceTensor) -> SourceTensor:
    """A tensor of uint8 as one of int8, whose integers are smaller by 128."""
    found = tensor.quantization
    if tensor.dtype != "uint8" or found is None:
        raise UnsupportedOp(
            f"tensor {shown(tensor.name)} is {tensor.dtype}"
            f"{' without a scale' if tensor.dtype == 'uint8' else ''}; float32, and "
            "uint8 or int8 with a scale, are supported"
        )
    moved = replace(found, zero_points=found.zero_points - 128)
    return replace(tensor, dtype="int8", quantization=moved)


def reshape(call: Call) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the output's shape says what they do."""
    x = call.x()
    call.keeps_scale()
    y = call.shaped(x, _new_shape(call, math.prod(call.shape(x))))
    if y is x:
        call.builder.drop(str(call.op), "the shape of a sample stays as it is")
    call.give(y)


def _new_shape(call: Call, size: int) -> Shape:
    """The shape of the output, with the size that the file leaves open."""
    shape = call.making.sample(call.output)
    known = math.prod(length for length in shape if length != -1)
    if shape.count(-1) == 1 and size % known == 0:
        return tuple(size // known if length == -1 else length for length in shape)
    if call.output.shape[:1] == (-1,) and known != size and size % known == 0:
        return (size // known, *shape)  # rows that the file counts with the batch
    if known != size or -1 in shape:
        raise OptionError(f"makes {call.output.shape} of {size} values")
    return shape


def softmax(call: Call) -> None:
    call.count(1, 1)
    if call.option("beta") != 1:
        raise UnsupportedOp(f"a beta of {call.option('beta'):g} is not supported; 1 is")
    x = call.x()
    *outer, classes = call.shape(x)
    if any(length != 1 for length in outer):
        raise UnsupportedOp(
            f"of several rows, {call.shape(x)}, is not supported; of one it is"
        )
    flat = call.shaped(x, (classes,))
    y = call.layer("softmax", SoftmaxAttrs(), [flat], qparams_of(call.output))
    call.making.put(call.op.outputs[0], y)  # flat, whatever the file has


def _check_one_scale(call: Call) -> None:
    """UnsupportedOp unless all inputs have the scale of the output."""
    output = qparams_of(call.output)
    for index in range(len(call.op.inputs)):
        if qparams_of(call.tensor(index)) != output:
            raise UnsupportedOp(
                f"its input {index} has another scale than the output; TensorFlow Lite "
                "takes inputs of the output's scale only"
            )


def concatenation(call: Call) -> None:
    """Along any axis: the axes from it on are one for as long."""
    count = len(call.op.inputs)
    call.count(1, MOST_PARTS)
    if call.fused() != "linear":
        raise UnsupportedOp("a fused activation is not supported")
    xs, output = [call.x(index) for index in range(count)], qparams_of(call.output)
    _check_one_scale(call)
    axis = call.axis(xs[0], call.option("axis"))
    if any(len(call.shape(x)) != len(call.shape(xs[0])) for x in xs):
        raise OptionError("its inputs differ in how many axes they have")
    if count == 1:
        call.give(xs[0])
        return
    outer = call.shape(xs[0])[:axis]
    parts = [call.shaped(x, (*outer, math.prod(call.shape(x)[axis:]))) for x in xs]
    y = call.layer("concatenate", ConcatenateAttrs(), parts, output)
    total = sum(call.shape(x)[axis] for x in xs)
    inner = call.shape(xs[0])[axis + 1 :]
    call.give(call.shaped(y, (*outer, total, *inner)))


MOST_PARTS = 64


def pad(call: Call) -> None:
    """PAD and PADV2 with zeros, which convolutions that follow do themselves."""
    call.count(2, 2 if call.op.kind == "PAD" else 3)
    call.keeps_scale()
    x, shape = call.x(), call.tensor().shape
    rows = call.integers(1, (len(shape), 2))
    if call.has(2):
        _check_zero(call)
    axes = len(call.shape(x))
    batch, sides = rows[: len(rows) - axes], rows[len(rows) - axes :]
    if any(map(any, batch)) or axes not in (2, 3) or any(sides[-1]):
        raise UnsupportedOp(
            f"padding {rows} of {shape} is not supported; that of height and width is"
        )
    if any(each < 0 for pair in sides for each in pair):
        raise OptionError(f"its padding {rows} must not be negative")
    if axes == 2:  # (T,C) as an image of one column
        length, channels = call.shape(x)
        image = call.shaped(x, (length, 1, channels))
        padded = Padded(call, image, (tuple(sides[0]), (0, 0)))
        y = padded.make()
        call.give(call.shaped(y, (call.shape(y)[0], channels)))
        return
    call.making.pad(Padded(call, x, (tuple(sides[0]), tuple(sides[1]))))


def _check_zero(call: Call) -> None:
    """UnsupportedOp unless PADV2 pads with what stands for zero."""
    values, qparams = call.values(2), qparams_of(call.tensor())
    zero = 0 if qparams is None else qparams.zero_point
    if values.size != 1 or values.item() != zero:
        raise UnsupportedOp(
            f"padding with {shown(values.tolist())} is not supported; with {zero}, "
            "which stands for zero, it is"
        )


def mean(call: Call) -> None:
    call.count(2, 2)
    x = call.x()
    axes = sorted({call.axis(x, axis) + 1 for axis in call.integers(1)})
    keeps = bool(call.option("keep_dims"))
    # At least one axis of a sample has to stay.
    keeps_here = keeps or len(axes) == len(call.shape(x))
    attrs = MeanAttrs(tuple(axes), keeps_here)
    y = call.layer("mean", attrs, [x], qparams_of(call.output))
    call.give(y if keeps == keeps_here else call.shaped(y, (1,)))


def transpose(call: Call) -> None:
    call.count(2, 2)
    call.keeps_scale()
    x, order = call.x(), call.integers(1)
    outer = len(call.tensor().shape) - len(call.shape(x))
    if order[:outer] != list(range(outer)):
        raise UnsupportedOp(f"to {order} moves the batch, which is not supported")
    attrs = TransposeAttrs(tuple(axis - outer + 1 for axis in order[outer:]))
    call.give(call.layer("transpose", attrs, [x]))


def _sliced(call: Call, x: Symbol, ranges: Sequence[range]) -> Symbol:
    """Of each axis of an input in the file a range; of the batch all."""
    shape = call.shape(x)
    outer = len(ranges) - len(shape)
    if any(r.start != 0 or len(r) != 1 for r in ranges[:outer]):
        raise UnsupportedOp("takes a part of the batch; of other axes it is supported")
    inner = ranges[outer:]
    if [*inner] == [*map(range, shape)]:
        return x
    if not all(map(len, inner)):
        raise OptionError(f"takes nothing of {shape}")
    attrs = SliceAttrs(
        tuple(r.start for r in inner),
        tuple(r[-1] + 1 for r in inner),
        tuple(r.step for r in inner),
    )
    return call.layer("slice", attrs, [x])


def _sizes(call: Call, x: Symbol, index: int = 0) -> list[int]:
    """The sizes of an input in the file, 1 for the batch."""
    outer = len(call.tensor(index).shape) - len(call.shape(x))
    return [1] * outer + [*call.shape(x)]


def strided_slice(call: Call) -> None:
    call.count(4, 4)
    call.keeps_scale()
    x = call.x()
    sizes = _sizes(call, x)
    parts = [call.integers(index) for index in (1, 2, 3)]
    for name in ("ellipsis_mask", "new_axis_mask", "offset"):
        if call.option(name):
            raise UnsupportedOp(f"with {name} is not supported")
    if len({*map(len, parts)}) != 1 or len(parts[0]) > len(sizes):
        raise OptionError(f"has begin, end and strides {parts} of {len(sizes)} axes")
    ranges, kept = [*map(range, sizes)], []
    for axis, size in enumerate(sizes):
        is_dropped = bool(call.option("shrink_axis_mask") >> axis & 1)
        if axis < len(parts[0]):
            begin, end, stride = (part[axis] for part in parts)
            ranges[axis] = _range(call, axis, size, begin, end, stride, is_dropped)
        if not is_dropped:
            kept.append(axis)
    y = _sliced(call, x, ranges)
    outer = len(sizes) - len(call.shape(x))
    shape = tuple(len(ranges[axis]) for axis in kept if axis >= outer)
    call.give(call.shaped(y, shape or (1,)))


def _range(
    call: Call, axis: int, size: int, begin: int, end: int, stride: int, is_one: bool
) -> range:
    """The indices of one axis, as TensorFlow counts them."""
    if stride < 1:
        raise UnsupportedOp(f"with a stride of {stride} is not supported; from 1 it is")
    if is_one:
        if not -size <= begin < size:
            raise OptionError(f"takes element {begin} of {size}")
        return range(begin % size, begin % size + 1)
    first = None if call.option("begin_mask") >> axis & 1 else begin
    last = None if call.option("end_mask") >> axis & 1 else end
    return range(size)[first:last:stride]


def slice_(call: Call) -> None:
    call.count(3, 3)
    call.keeps_scale()
    x = call.x()
    sizes, begins, counts = _sizes(call, x), call.integers(1), call.integers(2)
    if not len(sizes) == len(begins) == len(counts):
        raise OptionError(f"has begin {begins} and size {counts} of {len(sizes)} axes")
    ranges = []
    for size, begin, count in zip(sizes, begins, counts, strict=True):
        end = size if count == -1 else begin + count
        if not 0 <= begin < end <= size:
            raise OptionError(f"takes {begin} to {end} of {size}")
        ranges.append(range(begin, end))
    call.give(_sliced(call, x, ranges))


def split(call: Call) -> None:
    """Into equal parts."""
    x = call.x(1)
    axis, count = _split_axis(call, x, 1, 0), call.option("num_splits")
    size = _sizes(call, x, 1)[axis]
    if count != len(call.op.outputs) or size % count:
        raise OptionError(
            f"splits {size} into {count} parts and has {len(call.op.outputs)} outputs"
        )
    _split(call, x, 1, axis, [size // count] * count)


def split_v(call: Call) -> None:
    """Into parts of given sizes."""
    x, sizes = call.x(), call.integers(1)
    axis = _split_axis(call, x, 0, 2)
    size = _sizes(call, x)[axis]
    if sizes.count(-1) == 1:
        rest = size - sum(each for each in sizes if each != -1)
        sizes = [rest if each == -1 else each for each in sizes]
    if sum(sizes) != size or min(sizes) < 1 or len(sizes) != len(call.op.outputs):
        raise OptionError(
            f"splits {size} into {sizes} and has {len(call.op.outputs)} outputs"
        )
    _split(call, x, 0, axis, sizes)


def _split_axis(call: Call, x: Symbol, index: int, place: int) -> int:
    """The axis in the file, from 0."""
    axes, rank = call.integers(place), len(call.tensor(index).shape)
    if len(axes) != 1:
        raise OptionError(f"splits along axes {axes}; it takes one")
    call.axis(x, axes[0], index)
    return int(axes[0]) % rank


def _split(call: Call, x: Symbol, index: int, axis: int, sizes: Sequence[int]) -> None:
    first, ranges = 0, [*map(range, _sizes(call, x, index))]
    for number, size in enumerate(sizes):
        tensor = call.making.tensors[call.op.outputs[number]]
        if qparams_of(tensor) != qparams_of(call.tensor(index)):
            raise UnsupportedOp("changes the scale; one that keeps it is supported")
        ranges[axis] = range(first, first + size)
        call.give(_sliced(call, x, ranges), number)
        first += size


def dequantize(call: Call) -> None:
    """At the end: the network gives the integers."""
    call.count(1, 1)
    if call.op.outputs[0] != call.making.output:
        raise UnsupportedOp("is supported at the end of a network, and of constants")
    x = call.x()
    qparams_of(call.tensor())
    call.builder.drop(str(call.op), "the network gives int8")
    call.give(x)


#: What becomes of each operator.
ROWS: Mapping[str, Row] = {
    "ADD": _binary("add", AddAttrs),
    "AVERAGE_POOL_2D": _pool("avg_pool2d"),
    "CONCATENATION": concatenation,
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "DEQUANTIZE": dequantize,
    "EXPAND_DIMS": reshape,
    "FULLY_CONNECTED": fully_connected,
    "HARD_SWISH": _unary("hard_swish", HardSwishAttrs()),
    "LEAKY_RELU": leaky_relu,
    "LOGISTIC": _unary("sigmoid", SigmoidAttrs()),
    "MAX_POOL_2D": _pool("max_pool2d"),
    "MAXIMUM": _binary("maximum", MaximumAttrs, has_activation=False),
    "MEAN": mean,
    "MINIMUM": _binary("minimum", MinimumAttrs, has_activation=False),
    "MUL": _binary("mul", MulAttrs),
    "PAD": pad,
    "QUANTIZE": quantize,
    "PADV2": pad,
    "RELU": _activation("relu"),
    "RELU6": _activation("relu6"),
    "RESHAPE": reshape,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest_neighbor,
    "SLICE": slice_,
    "SOFTMAX": softmax,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "SQUEEZE": reshape,
    "STRIDED_SLICE": strided_slice,
    "SUB": _binary("sub", SubAttrs),
    "TANH": _unary("tanh", TanhAttrs()),
    "TRANSPOSE": transpose,
    "TRANSPOSE_CONV": transpose_conv,
}
