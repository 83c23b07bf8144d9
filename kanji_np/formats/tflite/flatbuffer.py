"""A network as the bytes of a `.tflite` file.

The schema is TensorFlow Lite's, version 3, as the package `tflite` has it. What a file
needs not say is left out: there are no signatures, no metadata, and every tensor
without data shares the empty buffer 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kanji_np.formats.source import Quantization, SourceNet, SourceOp, SourceTensor
from kanji_np.formats.tflite.package import flatbuffers, tflite
from kanji_np.formats.tflite.reader import IDENTIFIER, OPTIONS, VERSION

# Of the data of a tensor in the file [bytes]: what runtimes expect.
ALIGNMENT = 16
# Codes from here on do not fit the older of the two fields for them.
PLACEHOLDER = 127


#: The operators that are written, and the version from which on runtimes have each for
#: int8. Reference: TensorFlow Lite, tools/versioning/op_version.cc.
VERSIONS = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "HARD_SWISH": 1,
    "LEAKY_RELU": 1,
    "LOGISTIC": 2,
    "MAXIMUM": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MINIMUM": 2,
    "MUL": 2,
    "PAD": 2,
    "PADV2": 2,
    "QUANTIZE": 1,
    "RELU": 2,
    "RELU6": 2,
    "RESHAPE": 1,
    "RESIZE_NEAREST_NEIGHBOR": 3,
    "SOFTMAX": 2,
    "STRIDED_SLICE": 2,
    "SUB": 2,
    "TANH": 2,
    "TRANSPOSE": 2,
    "TRANSPOSE_CONV": 4,
}

#: That of a convolution in groups.
GROUPED = 6

#: The schema's enumerations, by the fields that have them.
ENUMS = {
    "padding": tflite.Padding,
    "fused_activation_function": tflite.ActivationFunctionType,
}


def pack(net: SourceNet, description: str) -> bytes:
    """The file of a network.

    Parameters
    ----------
    net : SourceNet
        Its operators are in `VERSIONS`; their options have the schema's names.
    description : str
        Stands in the file for those who look at it.

    Returns
    -------
    bytes
        The same for the same network.
    """
    builder = flatbuffers.Builder(1024)
    data = [tensor.data for tensor in net.tensors if tensor.data is not None]
    buffers = [_buffer(builder, None), *(_buffer(builder, array) for array in data)]
    codes = list(dict.fromkeys(_versioned(net, op) for op in net.ops))
    fields = {
        "version": VERSION,
        "operator_codes": _offsets(builder, [_code(builder, *code) for code in codes]),
        "subgraphs": _offsets(builder, [_subgraph(builder, net, codes)]),
        "description": builder.CreateString(description),
        "buffers": _offsets(builder, buffers),
    }
    builder.Finish(_table(builder, "Model", fields), IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: Any, name: str, fields: Mapping[str, Any]) -> int:
    """A table of the schema; offsets stand for what is written already."""
    _function(name, "Start")(builder)
    for field, value in fields.items():
        _function(name, "Add" + _camel(field))(builder, value)
    offset: int = _function(name, "End")(builder)
    return offset


def _function(table: str, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(tflite, table + name)
    return function


def _camel(name: str) -> str:
    """fused_activation_function as FusedActivationFunction."""
    return "".join(word.capitalize() for word in name.split("_"))


def _offsets(builder: Any, offsets: Sequence[int]) -> int:
    """A vector of what is written already."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    vector: int = builder.EndVector()
    return vector


def _numbers(builder: Any, values: Any, dtype: type) -> int:
    vector: int = builder.CreateNumpyVector(np.asarray(values, dtype).ravel())
    return vector


def _buffer(builder: Any, array: np.ndarray | None) -> int:
    if array is None:
        return _table(builder, "Buffer", {})
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    content = little.reshape(-1).view(np.uint8)
    builder.Prep(ALIGNMENT, content.size)
    return _table(builder, "Buffer", {"data": builder.CreateNumpyVector(content)})


def _versioned(net: SourceNet, op: SourceOp) -> tuple[str, int]:
    """An operator's kind, and the version from which on runtimes have what it does."""
    if op.kind == "CONV_2D":
        x, weight = (net.tensors[number] for number in op.inputs[:2])
        if weight.shape[-1] < x.shape[-1]:
            return op.kind, GROUPED
    return op.kind, VERSIONS[op.kind]


def _code(builder: Any, kind: str, version: int) -> int:
    code = getattr(tflite.BuiltinOperator, kind)
    fields = {
        "deprecated_builtin_code": min(code, PLACEHOLDER),
        "version": version,
        "builtin_code": code,
    }
    return _table(builder, "OperatorCode", fields)


def _subgraph(builder: Any, net: SourceNet, codes: Sequence[tuple[str, int]]) -> int:
    tensors, buffer = [], 0
    for tensor in net.tensors:
        buffer += tensor.data is not None
        tensors.append(
            _tensor(builder, tensor, buffer if tensor.data is not None else 0)
        )
    ops = [_operator(builder, op, codes.index(_versioned(net, op))) for op in net.ops]
    fields = {
        "tensors": _offsets(builder, tensors),
        "inputs": _numbers(builder, net.inputs, np.int32),
        "outputs": _numbers(builder, net.outputs, np.int32),
        "operators": _offsets(builder, ops),
        "name": builder.CreateString("main"),
    }
    return _table(builder, "SubGraph", fields)


def _tensor(builder: Any, tensor: SourceTensor, buffer: int) -> int:
    fields = {
        "shape": _numbers(builder, tensor.shape, np.int32),
        "type": getattr(tflite.TensorType, tensor.dtype.upper()),
        "buffer": buffer,
        "name": builder.CreateString(tensor.name),
    }
    if tensor.quantization is not None:
        fields["quantization"] = _quantization(builder, tensor.quantization)
    return _table(builder, "Tensor", fields)


def _quantization(builder: Any, quantization: Quantization) -> int:
    fields = {
        "scale": _numbers(builder, quantization.scales, np.float32),
        "zero_point": _numbers(builder, quantization.zero_points, np.int64),
        "quantized_dimension": quantization.axis,
    }
    return _table(builder, "QuantizationParameters", fields)


def _operator(builder: Any, op: SourceOp, code: int) -> int:
    fields = {
        "opcode_index": code,
        "inputs": _numbers(builder, op.inputs, np.int32),
        "outputs": _numbers(builder, op.outputs, np.int32),
    }
    table, _ = OPTIONS[op.kind]
    if table != "NONE":
        kind = getattr(tflite.BuiltinOptions, table)
        fields |= {
            "builtin_options_type": kind,
            "builtin_options": _options(builder, table, op.options),
        }
    return _table(builder, "Operator", fields)


def _options(builder: Any, table: str, options: Mapping[str, Any]) -> int:
    fields = {}
    for name, value in options.items():
        if name in ENUMS:
            value = getattr(ENUMS[name], value)
        elif isinstance(value, tuple):
            value = _numbers(builder, value, np.int32)
        fields[name] = value
    return _table(builder, table, fields)
