"""Where a network begins and ends, and what changes the scale in between."""

from __future__ import annotations

from dataclasses import replace

from kanji_np.checks import shown
from kanji_np.errors import UnsupportedOp
from kanji_np.formats.files import naming
from kanji_np.formats.source import SourceOp, SourceTensor
from kanji_np.formats.tflite.making import Call, Making, qparams_of
from kanji_np.ops.requantize import RequantizeAttrs
from kanji_np.ops.rescaling import RescalingAttrs
from kanji_np.types import Shape


def begin(making: Making) -> SourceOp | None:
    """Make the input; an operator that quantizes it, if it is done with it."""
    tensor = making.tensors[making.input]
    readers = [op for op in making.net.ops if making.input in op.inputs]
    if [op.kind for op in readers] == ["QUANTIZE"] and tensor.dtype != "int8":
        (op,) = readers
        with naming(op):
            quantized_input(Call(making, op))
        return op
    shape = _input_shape(making, tensor)
    making.put(making.input, making.builder.input(shape, qparams_of(tensor)))
    return None


def _input_shape(making: Making, tensor: SourceTensor) -> Shape:
    """The shape of one sample, with no size left open."""
    shape = making.sample(tensor)
    if -1 in shape:
        raise UnsupportedOp(
            f"the input {shown(tensor.name)} has the shape {tensor.shape}; one that "
            "leaves no size open but the batch is supported"
        )
    return shape


def quantized_input(call: Call) -> None:
    """Of float32 the network takes int8 in its place; of uint8 it takes images."""
    call.count(1, 1)
    tensor, wanted = call.tensor(), qparams_of(call.output)
    shape = _input_shape(call.making, tensor)
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


def dequantize(call: Call) -> None:
    """At the end: the network gives the integers."""
    call.count(1, 1)
    if call.op.outputs[0] != call.making.output:
        raise UnsupportedOp("is supported at the end of a network, and of constants")
    x = call.x()
    if qparams_of(call.tensor()) is None:
        raise UnsupportedOp("of float32 is not supported; of int8 it is")
    call.builder.drop(str(call.op), "the network gives int8")
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
