"""What becomes of the operators of a `.tflite` file: the table, a row for each.

A row is a function that makes layers of one operator by calling the `Builder`. It looks
at every option that the operator has: what it does not know, it refuses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from kanji_np.errors import ShapeError, UnsupportedOp
from kanji_np.formats.builder import Builder, Imported
from kanji_np.formats.files import naming
from kanji_np.formats.source import SourceNet, SourceOp
from kanji_np.formats.tflite.constants import FOLDS, fold
from kanji_np.formats.tflite.elementwise import (
    activation,
    binary,
    leaky_relu,
    limited,
    relu_n1_to_1,
    unary,
)
from kanji_np.formats.tflite.ends import begin, dequantize, quantize
from kanji_np.formats.tflite.making import Call, Making, Row, qparams_of
from kanji_np.formats.tflite.moves import (
    concatenation,
    pad,
    reshape,
    resize_nearest_neighbor,
    slice_,
    split,
    split_v,
    strided_slice,
    tile,
    transpose,
)
from kanji_np.formats.tflite.weights import (
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
    transpose_conv,
)
from kanji_np.layers import Symbol
from kanji_np.ops.add import AddAttrs
from kanji_np.ops.attributes import Pool2DAttrs
from kanji_np.ops.hard_swish import HardSwishAttrs
from kanji_np.ops.maximum import MaximumAttrs
from kanji_np.ops.mean import MeanAttrs
from kanji_np.ops.minimum import MinimumAttrs
from kanji_np.ops.mul import MulAttrs
from kanji_np.ops.sigmoid import SigmoidAttrs
from kanji_np.ops.softmax import SoftmaxAttrs
from kanji_np.ops.sub import SubAttrs
from kanji_np.ops.tanh import TanhAttrs


def convert(net: SourceNet, builder: Builder) -> Imported:
    """Make the layers of a network.

    Raises
    ------
    UnsupportedOp, ShapeError, FileFormatError, RangeError, AccumulatorOverflow
        The message names the operator and its first output.
    """
    making = Making(net, builder)
    done = begin(making)
    for op in net.ops:
        if op is not done:
            with naming(op):
                convert_one(making, op)
    imported = builder.finish(making.symbol(making.output), flat_row=True)
    if imported.network.is_calibrated:
        imported.network.freeze()  # integers of a file can be such that sums overflow
    return imported


def convert_one(making: Making, op: SourceOp) -> None:
    """Fold an operator of constants, or make layers of it."""
    tensors = [making.tensors[number] for number in op.inputs if number >= 0]
    is_constant = all(tensor.data is not None for tensor in tensors)
    if op.kind in FOLDS and (is_constant or op.kind == "SHAPE"):
        (number,) = op.outputs
        making.tensors[number] = fold(op, tensors, making.tensors[number])
    elif op.kind in ROWS:
        _make(making, op)
    else:
        raise UnsupportedOp(f"is not supported; these are: {', '.join(sorted(ROWS))}")


def _make(making: Making, op: SourceOp) -> None:
    """RELU_N1_TO_1, which no operator here fuses, is made behind it."""
    field = "fused_activation_function"
    if op.options.get(field) != "RELU_N1_TO_1":
        ROWS[op.kind](Call(making, op))
        return
    plain = replace(op, options={**op.options, field: "NONE"})
    ROWS[op.kind](Call(making, plain))
    call = Call(making, op)
    call.give(limited(call, making.symbol(op.outputs[0])))


def _pool(name: str) -> Row:
    def row(call: Call) -> None:
        call.count(1, 1)
        attrs = Pool2DAttrs(
            pool_size=(call.option("filter_height"), call.option("filter_width")),
            strides=call.pair("stride_{}"),
            padding=call.padding(),
            ceil_mode=False,
        )
        call.keeps_scale()
        x, attrs = _over_padding(call, attrs)
        call.give(call.clamped(call.layer(name, attrs, [x]), call.fused()))

    return row


def _over_padding(call: Call, attrs: Pool2DAttrs) -> tuple[Symbol, Pool2DAttrs]:
    """What a pool lies over; padding with the lowest value becomes that of a max
    pool."""
    padded = call.making.padded(call.op.inputs[0])
    is_one = call.op.kind == "MAX_POOL_2D" and attrs.padding == "valid"
    if padded is not None and padded.filler == "lowest" and is_one:
        own = replace(attrs, padding=padded.padding)
        with suppress(ShapeError):  # of a window that lies in the padding
            own.over(call.shape(padded.x))
            return padded.x, own
    return call.x(), attrs


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


def reduce_max(call: Call) -> None:
    """Along axes that lie side by side: a max pool over an image of which they are the
    width."""
    call.count(2, 2)
    call.keeps_scale()
    x = call.x()
    shape = call.shape(x)
    axes = sorted({call.axis(x, axis) for axis in call.integers(1)})
    first, behind = min(axes, default=0), max(axes, default=-1) + 1
    if not axes or axes != [*range(first, behind)]:
        raise UnsupportedOp(
            f"along axes {axes} of {shape} is not supported; along axes that lie side "
            "by side it is"
        )
    count = math.prod(shape[first:behind])
    image = math.prod(shape[:first]), count, math.prod(shape[behind:])
    attrs = Pool2DAttrs((1, count), (1, 1), "valid", ceil_mode=False)
    y = call.layer("max_pool2d", attrs, [call.shaped(x, image)])
    kept = (1,) * len(axes) if call.option("keep_dims") else ()
    call.give(call.shaped(y, (*shape[:first], *kept, *shape[behind:]) or (1,)))


def softmax(call: Call) -> None:
    call.count(1, 1)
    attrs = SoftmaxAttrs(call.option("beta"))
    call.give(call.layer("softmax", attrs, [call.x()], qparams_of(call.output)))


#: What becomes of each operator.
ROWS: Mapping[str, Row] = {
    "ADD": binary("add", AddAttrs),
    "AVERAGE_POOL_2D": _pool("avg_pool2d"),
    "CONCATENATION": concatenation,
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "DEQUANTIZE": dequantize,
    "EXPAND_DIMS": reshape,
    "FULLY_CONNECTED": fully_connected,
    "HARD_SWISH": unary("hard_swish", HardSwishAttrs()),
    "LEAKY_RELU": leaky_relu,
    "LOGISTIC": unary("sigmoid", SigmoidAttrs()),
    "MAX_POOL_2D": _pool("max_pool2d"),
    "MAXIMUM": binary("maximum", MaximumAttrs, has_activation=False),
    "MEAN": mean,
    "MINIMUM": binary("minimum", MinimumAttrs, has_activation=False),
    "MUL": binary("mul", MulAttrs),
    "PAD": pad,
    "QUANTIZE": quantize,
    "PADV2": pad,
    "REDUCE_MAX": reduce_max,
    "RELU": activation("relu"),
    "RELU6": activation("relu6"),
    "RELU_N1_TO_1": relu_n1_to_1,
    "RESHAPE": reshape,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest_neighbor,
    "SLICE": slice_,
    "SOFTMAX": softmax,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "SQUEEZE": reshape,
    "STRIDED_SLICE": strided_slice,
    "SUB": binary("sub", SubAttrs),
    "TANH": unary("tanh", TanhAttrs()),
    "TILE": tile,
    "TRANSPOSE": transpose,
    "TRANSPOSE_CONV": transpose_conv,
}
