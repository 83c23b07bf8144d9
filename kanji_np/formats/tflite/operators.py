"""What becomes of the operators of a `.tflite` file: the table, a row for each.

A row is a function that makes layers of one operator by calling the `Builder`. It looks
at every option that the operator has: what it does not know, it refuses.

Layouts are TensorFlow Lite's, and nearly ours: tensors are (N,H,W,C), weights of
convolutions (Cout,KH,KW,Cin), of fully connected layers (Cout,Cin); those of depthwise
ones are (1,KH,KW,Cout) there and (Cout,KH,KW) here.

The first axis of a tensor in the file is the batch, which tensors here do not have. In
a file for one sample a tensor may also do without it, as the rows of a matrix do that a
fully connected layer is applied to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import KanjiError, OptionError, UnsupportedOp
from kanji_np.formats.builder import Builder, Imported, IntWeights
from kanji_np.formats.source import SourceNet, SourceOp, SourceTensor
from kanji_np.layers import Symbol
from kanji_np.ops.add import AddAttrs
from kanji_np.ops.attributes import Pool2DAttrs
from kanji_np.ops.conv2d import Conv2DAttrs
from kanji_np.ops.dense import DenseAttrs
from kanji_np.ops.depthwise_conv2d import DepthwiseConv2DAttrs
from kanji_np.ops.flatten import FlattenAttrs
from kanji_np.ops.relu import ReluAttrs
from kanji_np.ops.relu6 import Relu6Attrs
from kanji_np.ops.reshape import ReshapeAttrs
from kanji_np.ops.softmax import SoftmaxAttrs
from kanji_np.types import LinearParams, QParams, Shape
from kanji_np.window import Pair

#: The activations that operators fuse, as ours are called.
ACTIVATIONS = {"NONE": "linear", "RELU": "relu", "RELU6": "relu6"}
#: What a standing-alone activation is made of.
CLAMPS = {"relu": ReluAttrs(), "relu6": Relu6Attrs()}


def convert(net: SourceNet, builder: Builder) -> Imported:
    """Make the layers of a network.

    Raises
    ------
    UnsupportedOp, ShapeError, OptionError, RangeError, AccumulatorOverflow
        The message names the operator and its first output.
    """
    making = Making(net, builder)
    making.begin()
    for op in net.ops:
        if op.outputs[0] not in making.symbols:
            with _naming(op):
                _row(op)(Call(making, op))
    imported = builder.finish(making.end())
    if imported.network.is_calibrated:
        imported.network.freeze()  # integers of a file can be such that sums overflow
    return imported


@contextmanager
def _naming(op: SourceOp) -> Iterator[None]:
    """Errors that leave this context name the operator."""
    try:
        yield
    except KanjiError as error:
        raise type(error)(f"{op}: {error}") from error


def _row(op: SourceOp) -> Callable[[Call], None]:
    if op.kind not in ROWS:
        raise UnsupportedOp(f"is not supported; these are: {', '.join(sorted(ROWS))}")
    return ROWS[op.kind]


class Making:
    """The network while it is made.

    Attributes
    ----------
    symbols : dict
        What a tensor of the file has become, by its number.
    """

    def __init__(self, net: SourceNet, builder: Builder) -> None:
        for numbers, what in ((net.inputs, "inputs"), (net.outputs, "outputs")):
            if len(numbers) != 1:
                names = ", ".join(shown(net.tensors[i].name) for i in numbers)
                raise UnsupportedOp(
                    f"the file has {len(numbers)} {what} ({names}); a network has one"
                )
        self.net, self.builder = net, builder
        (self.input,), (self.output,) = net.inputs, net.outputs
        self.symbols: dict[int, Symbol] = {}
        shape = net.tensors[self.input].shape
        self.batch = shape[0] if len(shape) > 1 else 1

    def begin(self) -> None:
        """The input."""
        tensor, first = self.net.tensors[self.input], self.input
        readers = [op for op in self.net.ops if self.input in op.inputs]
        if tensor.dtype != "int8" and [op.kind for op in readers] == ["QUANTIZE"]:
            (op,) = readers
            (first,) = op.outputs
            self.builder.drop(
                str(op), f"the network takes its int8, not {tensor.dtype}"
            )
            tensor = self.net.tensors[first]
        symbol = self.builder.input(self.sample(tensor), activation(tensor))
        self.symbols[first] = symbol

    def end(self) -> Symbol:
        """The output."""
        return self.symbols[self.output]

    def sample(self, tensor: SourceTensor) -> Shape:
        """The shape of one sample."""
        shape = tensor.shape
        is_batched = len(shape) > 1 and shape[0] in (self.batch, 1, -1)
        inner = shape[1:] if is_batched else shape
        if -1 in inner or (self.batch > 1 and not is_batched):
            raise UnsupportedOp(
                f"tensor {shown(tensor.name)} has the shape {shape}; one that begins "
                f"with the batch, {self.batch}, and leaves no other size open is "
                "supported"
            )
        return inner or (1,)


def activation(tensor: SourceTensor) -> QParams | None:
    """Scale and zero point of a tensor that is computed; None of float32."""
    if tensor.dtype == "float32":
        return None
    quantization = tensor.quantization
    if tensor.dtype != "int8" or quantization is None:
        of = (
            f"{tensor.dtype} without a scale"
            if tensor.dtype == "int8"
            else tensor.dtype
        )
        raise UnsupportedOp(
            f"tensor {shown(tensor.name)} is {of}; float32, and int8 with a scale, are "
            "supported"
        )
    if quantization.per_channel:
        raise UnsupportedOp(
            f"tensor {shown(tensor.name)} has a scale for each channel, and is computed"
        )
    return QParams(float(quantization.scales[0]), int(quantization.zero_points[0]))


@dataclass(frozen=True)
class Call:
    """One operator of the file, for its row."""

    making: Making
    op: SourceOp

    @property
    def builder(self) -> Builder:
        return self.making.builder

    def option(self, name: str, default: Any = None) -> Any:
        """An option by the schema's name; the default where the schema is older."""
        return self.op.options.get(name, default)

    def activation(self) -> str:
        """The fused activation, as ours are called."""
        word = self.option("fused_activation_function")
        if word not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise UnsupportedOp(
                f"the fused activation {word} is not supported; {known} are"
            )
        return ACTIVATIONS[word]

    def count(self, least: int, most: int) -> None:
        """OptionError unless there are so many inputs, and one output."""
        found = len(self.op.inputs)
        if not least <= found <= most or len(self.op.outputs) != 1:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise OptionError(
                f"has {found} inputs and {len(self.op.outputs)} outputs; it takes "
                f"{wanted} and gives 1"
            )

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.op.inputs) and self.op.inputs[index] >= 0

    def tensor(self, index: int) -> SourceTensor:
        """An input as the file has it."""
        if not self.has(index):
            raise OptionError(f"its input {index} is missing")
        return self.making.net.tensors[self.op.inputs[index]]

    @property
    def output(self) -> SourceTensor:
        return self.making.net.tensors[self.op.outputs[0]]

    def x(self, index: int = 0) -> Symbol:
        """An input that is computed."""
        tensor = self.tensor(index)
        if tensor.data is not None:
            raise UnsupportedOp(
                f"its input {index}, {shown(tensor.name)}, is a constant; one that is "
                "computed is supported"
            )
        return self.making.symbols[self.op.inputs[index]]

    def constant(self, index: int) -> SourceTensor:
        """An input that is a constant."""
        tensor = self.tensor(index)
        if tensor.data is None:
            raise UnsupportedOp(
                f"its input {index}, {shown(tensor.name)}, is computed; a constant is "
                "supported"
            )
        return tensor

    def shape(self, symbol: Symbol) -> Shape:
        return self.builder.shape(symbol)

    def layer(
        self,
        name: str,
        attrs: Any,
        inputs: Sequence[Symbol],
        output: QParams | None = None,
        params: LinearParams | IntWeights | None = None,
        notes: Sequence[str] = (),
    ) -> Symbol:
        """A layer that this operator becomes."""
        return self.builder.layer(
            name,
            attrs,
            inputs,
            source=self.op.kind,
            params=params,
            output=output,
            notes=notes,
        )

    def shaped(self, symbol: Symbol, shape: Shape) -> Symbol:
        """The same values under another shape."""
        if self.shape(symbol) == shape:
            return symbol
        if len(shape) == 1:
            return self.layer("flatten", FlattenAttrs(), [symbol])
        return self.layer("reshape", ReshapeAttrs(shape), [symbol])

    def clamped(self, symbol: Symbol, activation: str) -> Symbol:
        """An activation that the layer before does not fuse; it changes no scale."""
        if activation == "linear":
            return symbol
        return self.layer(activation, CLAMPS[activation], [symbol])

    def give(self, symbol: Symbol, index: int = 0) -> None:
        """What the operator's output has become; it must have the file's shape."""
        number = self.op.outputs[index]
        tensor = self.making.net.tensors[number]
        shape, found = self.making.sample(tensor), self.shape(symbol)
        if shape != found:
            raise OptionError(
                f"its output has the shape {tensor.shape} in the file, and {found} for "
                "one sample follows from its inputs"
            )
        self.making.symbols[number] = symbol


def _pair(call: Call, name: str) -> Pair:
    """(height, width) of options "stride_h" and "stride_w"."""
    return call.option(name.format("h")), call.option(name.format("w"))


def _padding(call: Call) -> str:
    word: str = call.option("padding")
    if word not in ("SAME", "VALID"):
        raise OptionError(f"the padding must be SAME or VALID, got {word}")
    return word.lower()


def _params(
    call: Call,
    weight: SourceTensor,
    axis: int,
    turned: Callable[[np.ndarray], np.ndarray],
) -> LinearParams | IntWeights:
    """Weight and bias of a layer.

    Parameters
    ----------
    weight : SourceTensor
        A constant.
    axis : int
        Of the output channels.
    turned : function
        Brings the weight to the layout of `LinearParams`.
    """
    assert weight.data is not None
    channels = weight.shape[axis]
    values = turned(weight.data)
    is_float = call.tensor(0).dtype == "float32"
    bias = np.zeros(channels, np.float32 if is_float else np.int32)
    if call.has(2):
        tensor = call.constant(2)
        assert tensor.data is not None
        if tensor.dtype != bias.dtype or tensor.data.size != channels:
            raise UnsupportedOp(
                f"the bias {shown(tensor.name)} is {tensor.dtype} {tensor.shape}; "
                f"{bias.dtype} of {channels} is supported"
            )
        bias = tensor.data.reshape(channels).astype(bias.dtype)
    if is_float:
        if weight.dtype != "float32":
            raise UnsupportedOp(
                f"the weight {shown(weight.name)} is {weight.dtype} and what it "
                "multiplies float32, quantized while it runs; networks of float32 or "
                "int8 throughout are supported"
            )
        return LinearParams(values.astype(np.float32), bias)
    return IntWeights(values.astype(np.int8), bias, _weight_scales(weight, axis))


def _weight_scales(weight: SourceTensor, axis: int) -> np.ndarray:
    """A scale for each output channel, float64 (Cout,)."""
    found = weight.quantization
    if weight.dtype not in ("int8", "int4") or found is None:
        raise UnsupportedOp(
            f"the weight {shown(weight.name)} is {weight.dtype}"
            f"{' without a scale' * (found is None)}; int8 or int4 with scales are "
            "supported"
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
    return np.broadcast_to(found.scales, weight.shape[axis]).astype(np.float64)


def _bits(weight: SourceTensor) -> int:
    return 4 if weight.dtype == "int4" else 8


def _check_linear(call: Call, rank: int) -> SourceTensor:
    """The weight of an operator that multiplies by one."""
    call.count(2, 3)
    weight = call.constant(1)
    if len(weight.shape) != rank:
        raise OptionError(
            f"the weight {shown(weight.name)} must have {rank} axes, got {weight.shape}"
        )
    kind = call.option("quantized_bias_type", "FLOAT32")
    if kind not in ("FLOAT32", "INT32"):  # FLOAT32 stands for what is usual
        raise UnsupportedOp(f"a bias of {kind} is not supported; int32 is")
    return weight


def conv_2d(call: Call) -> None:
    weight = _check_linear(call, 4)
    filters, height, width, channels = weight.shape
    x = call.x()
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
        padding=_padding(call),
        activation=call.activation(),
        weight_bits=_bits(weight),
    )
    params = _params(call, weight, 0, lambda w: w)
    call.give(call.layer("conv2d", attrs, [x], activation(call.output), params))


def depthwise_conv_2d(call: Call) -> None:
    weight = _check_linear(call, 4)
    first, height, width, filters = weight.shape
    x = call.x()
    channels = call.shape(x)[-1]
    multiplier = call.option("depth_multiplier")
    # TensorFlow Lite goes by the shapes; older files have 0.
    if first != 1 or filters % channels or multiplier not in (0, filters // channels):
        raise OptionError(
            f"the weight {shown(weight.name)} {weight.shape} and the depth multiplier "
            f"{multiplier} do not fit an input of {channels} channels"
        )
    attrs = DepthwiseConv2DAttrs(
        kernel=(height, width),
        stride=_pair(call, "stride_{}"),
        dilation=_pair(call, "dilation_{}_factor"),
        padding=_padding(call),
        depth_multiplier=filters // channels,
        activation=call.activation(),
        weight_bits=_bits(weight),
    )
    # (1,KH,KW,Cout) -> (Cout,KH,KW)
    params = _params(call, weight, 3, lambda w: w[0].transpose(2, 0, 1))
    y = call.layer("depthwise_conv2d", attrs, [x], activation(call.output), params)
    call.give(y)


def fully_connected(call: Call) -> None:
    """On one row a dense layer; on several a convolution whose kernel is one cell."""
    weight = _check_linear(call, 2)
    units, depth = weight.shape
    if call.option("weights_format") != "DEFAULT":
        raise UnsupportedOp(
            f"weights in the order {call.option('weights_format')} are not supported; "
            "in that of DEFAULT they are"
        )
    x = call.x()
    size = math.prod(call.shape(x))
    if size % depth:
        raise OptionError(f"its input of {size} values is not made of rows of {depth}")
    rows, bits, fused = size // depth, _bits(weight), call.activation()
    params, output = _params(call, weight, 0, lambda w: w), activation(call.output)
    if rows == 1:
        attrs = DenseAttrs(units, fused, bits)
        y = call.layer("dense", attrs, [call.shaped(x, (depth,))], output, params)
    else:
        y = _rows(call, call.shaped(x, (rows, 1, depth)), units, output, params)
    call.give(call.shaped(y, _fully_connected_shape(call, units, rows)))


def _fully_connected_shape(call: Call, units: int, rows: int) -> Shape:
    """Of the output: the input's, but for its last axis, or that of a matrix."""
    if call.option("keep_num_dims"):
        return (*call.making.sample(call.tensor(0))[:-1], units)
    return (units,) if rows == 1 else (rows, units)


def _rows(
    call: Call,
    x: Symbol,
    units: int,
    output: QParams | None,
    params: LinearParams | IntWeights,
) -> Symbol:
    attrs = Conv2DAttrs(units, (1, 1), activation=call.activation())
    # (Cout,Cin) -> (Cout,1,1,Cin)
    weight = params.weight[:, np.newaxis, np.newaxis]
    if isinstance(params, IntWeights):
        params = IntWeights(weight, params.bias, params.scales)
    else:
        params = LinearParams(weight, params.bias)
    return call.layer("conv2d", attrs, [x], output, params, ["rows as pixels"])


def _pool(call: Call, name: str) -> None:
    call.count(1, 1)
    attrs = Pool2DAttrs(
        pool_size=(call.option("filter_height"), call.option("filter_width")),
        strides=_pair(call, "stride_{}"),
        padding=_padding(call),
        ceil_mode=False,
    )
    y = call.layer(name, attrs, [call.x()], activation(call.output))
    call.give(call.clamped(y, call.activation()))


def average_pool_2d(call: Call) -> None:
    _pool(call, "avg_pool2d")


def max_pool_2d(call: Call) -> None:
    _pool(call, "max_pool2d")


def add(call: Call) -> None:
    call.count(2, 2)
    attrs = AddAttrs(call.activation())
    inputs = [call.x(0), call.x(1)]
    call.give(call.layer("add", attrs, inputs, activation(call.output)))


def reshape(call: Call) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the output's shape says what they do."""
    x = call.x()
    if activation(call.tensor(0)) != activation(call.output):
        raise UnsupportedOp("it changes the scale; one that keeps it is supported")
    y = call.shaped(x, call.making.sample(call.output))
    if y is x:
        call.builder.drop(str(call.op), "the shape of a sample stays as it is")
    call.give(y)


def softmax(call: Call) -> None:
    call.count(1, 1)
    if call.option("beta") != 1:
        raise UnsupportedOp(f"a beta of {call.option('beta'):g} is not supported; 1 is")
    x = call.x()
    *outer, classes = call.shape(x)
    if any(length != 1 for length in outer):
        raise UnsupportedOp(
            f"one of several rows, {call.shape(x)}, is not supported; one of a row is"
        )
    flat = call.shaped(x, (classes,))
    y = call.layer("softmax", SoftmaxAttrs(), [flat], activation(call.output))
    call.give(call.shaped(y, call.shape(x)))


def dequantize(call: Call) -> None:
    """At the end: the network gives the integers."""
    call.count(1, 1)
    if call.op.outputs[0] != call.making.output:
        raise UnsupportedOp("is supported at the end of a network, and of constants")
    call.builder.drop(str(call.op), "the network gives int8")
    call.give(call.x())


#: What becomes of each operator.
ROWS: Mapping[str, Callable[[Call], None]] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "FULLY_CONNECTED": fully_connected,
    "AVERAGE_POOL_2D": average_pool_2d,
    "MAX_POOL_2D": max_pool_2d,
    "ADD": add,
    "RESHAPE": reshape,
    "SQUEEZE": reshape,
    "EXPAND_DIMS": reshape,
    "SOFTMAX": softmax,
    "DEQUANTIZE": dequantize,
}
