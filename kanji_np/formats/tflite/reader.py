"""A `.tflite` file as a `SourceNet`: read, checked, and nothing computed.

What is checked here holds for any network: tables, types and sizes, quantization, and
that each operator reads what is there before it. What an operator may be is left to
`operators`.

Reference: TensorFlow Lite's schema, version 3, `schema.fbs`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kanji_np import schema
from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.files import naming
from kanji_np.formats.source import Quantization, SourceNet, SourceOp, SourceTensor
from kanji_np.formats.tflite.package import tflite
from kanji_np.formats.tflite.tables import File, Table, defaults
from kanji_np.ops.attributes import MOST_AXES
from kanji_np.quantize import FINEST, LARGEST
from kanji_np.types import MOST_BYTES, Shape

IDENTIFIER, VERSION = b"TFL3", 3
MOST_FILE_BYTES = 2**28
# Constants are views of the file, but what layers make of them is not. This is how many
# times the bytes of a file may be read as constants of its operators.
MOST_CONSTANTS = 4
MOST_NAME = 60
BUILTIN_CODE = 3  # the number of the field in OperatorCode

#: NumPy's names of the types that have one. 4-bit integers lie two in a byte.
DTYPES = {
    "FLOAT32": "float32", "FLOAT16": "float16", "FLOAT64": "float64",
    "INT4": "int4", "INT8": "int8", "INT16": "int16", "INT32": "int32",
    "INT64": "int64", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32",
    "UINT64": "uint64", "BOOL": "bool",
}  # fmt: skip
#: Fields of tensors that no network here can have, and what they say.
NOT_READ = {
    "is_variable": "keeps its values from one run to the next, which is not supported",
    "sparsity": "is stored as a sparse one, which is not supported",
    "variant_tensors": "stands for several tensors, which is not supported",
}
#: The smallest and the largest zero point. The others have none but 0.
ZERO_POINTS = {"int4": (-8, 7), "int8": (-128, 127), "uint8": (0, 255)}


def _words(kind: str) -> dict[int, str]:
    """The words of an enumeration by their numbers."""
    members = vars(getattr(tflite, kind)).items()
    return {value: name for name, value in members if isinstance(value, int)}


TYPES = _words("TensorType")
KINDS = _words("BuiltinOperator")
OPTION_KINDS = _words("BuiltinOptions")
#: The words that stand for numbers in the fields of options.
WORDS = {
    "padding": _words("Padding"),
    "fused_activation_function": _words("ActivationFunctionType"),
    "weights_format": _words("FullyConnectedOptionsWeightsFormat"),
    "quantized_bias_type": TYPES,
}
_CONV = ("padding", "stride_h", "stride_w", "fused_activation_function")
_DILATION = ("dilation_h_factor", "dilation_w_factor")
_BINARY = ("fused_activation_function", "pot_scale_int16")
#: The options of operators: their kind, their fields. Operators that are not here are
#: not known to `operators` either.
OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": ("Conv2DOptions", (*_CONV, *_DILATION, "quantized_bias_type")),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        (*_CONV, *_DILATION, "depth_multiplier"),
    ),
    "TRANSPOSE_CONV": ("TransposeConvOptions", (*_CONV, "quantized_bias_type")),
    "FULLY_CONNECTED": (
        "FullyConnectedOptions",
        (
            "fused_activation_function", "weights_format", "keep_num_dims",
            "asymmetric_quantize_inputs", "quantized_bias_type",
        ),
    ),
    "AVERAGE_POOL_2D": ("Pool2DOptions", (*_CONV, "filter_height", "filter_width")),
    "MAX_POOL_2D": ("Pool2DOptions", (*_CONV, "filter_height", "filter_width")),
    "ADD": ("AddOptions", _BINARY),
    "SUB": ("SubOptions", _BINARY),
    "MUL": ("MulOptions", ("fused_activation_function",)),
    "MINIMUM": ("MaximumMinimumOptions", ()),
    "MAXIMUM": ("MaximumMinimumOptions", ()),
    "CONCATENATION": ("ConcatenationOptions", ("axis", "fused_activation_function")),
    "SOFTMAX": ("SoftmaxOptions", ("beta",)),
    "RESHAPE": ("ReshapeOptions", ("new_shape",)),
    "SQUEEZE": ("SqueezeOptions", ("squeeze_dims",)),
    "EXPAND_DIMS": ("ExpandDimsOptions", ()),
    "MEAN": ("ReducerOptions", ("keep_dims",)),
    "REDUCE_MAX": ("ReducerOptions", ("keep_dims",)),
    "REDUCE_PROD": ("ReducerOptions", ("keep_dims",)),
    "TILE": ("TileOptions", ()),
    "GATHER": ("GatherOptions", ("axis", "batch_dims")),
    "PAD": ("PadOptions", ()),
    "PADV2": ("PadV2Options", ()),
    "TRANSPOSE": ("TransposeOptions", ()),
    "SLICE": ("SliceOptions", ()),
    "SPLIT": ("SplitOptions", ("num_splits",)),
    "SPLIT_V": ("SplitVOptions", ("num_splits",)),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        (
            "begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask",
            "shrink_axis_mask", "offset",
        ),
    ),
    "RELU": ("NONE", ()),
    "RELU6": ("NONE", ()),
    "RELU_N1_TO_1": ("NONE", ()),
    "LOGISTIC": ("NONE", ()),
    "TANH": ("NONE", ()),
    "LEAKY_RELU": ("LeakyReluOptions", ("alpha",)),
    "HARD_SWISH": ("HardSwishOptions", ()),
    "SHAPE": ("ShapeOptions", ()),
    "PACK": ("PackOptions", ("axis", "values_count")),
    "QUANTIZE": ("QuantizeOptions", ()),
    "DEQUANTIZE": ("DequantizeOptions", ()),
    "RESIZE_NEAREST_NEIGHBOR": (
        "ResizeNearestNeighborOptions",
        ("align_corners", "half_pixel_centers"),
    ),
}  # fmt: skip
VECTORS = ("new_shape", "squeeze_dims")


def read(path: str | Path) -> SourceNet:
    """The network of a file.

    Raises
    ------
    FileFormatError
        It is missing, damaged, or no `.tflite` file.
    UnsupportedOp
        It has what no network here can have, such as operators of its own.
    """
    with schema.opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_FILE_BYTES:
            raise FileFormatError(f"has more than {MOST_FILE_BYTES:,} bytes")
        return parse(file.read(size))


def parse(data: bytes) -> SourceNet:
    """The network of the bytes of a file.

    Raises
    ------
    FileFormatError, UnsupportedOp
        As of `read`.
    """
    if data[4:8] != IDENTIFIER:
        raise FileFormatError(
            "is no .tflite file, or cut off: TFL3 is not at its byte 4"
        )
    file = File(data)
    model = file.root("Model")
    if model.value("version") != VERSION:
        raise FileFormatError(
            f"is of version {model.value('version')} of the format; {VERSION} is read"
        )
    buffers = [_buffer(each, data) for each in model.tables("buffers")]
    kinds = [_kind(code) for code in model.tables("operator_codes")]
    if model.length("subgraphs") != 1:
        raise UnsupportedOp(
            f"has {model.length('subgraphs')} subgraphs; a network has one"
        )
    (graph,) = model.tables("subgraphs")
    tensors = tuple(
        _tensor(number, each, buffers)
        for number, each in enumerate(graph.tables("tensors"))
    )
    ops = tuple(
        _operator(number, each, kinds, tensors)
        for number, each in enumerate(graph.tables("operators"))
    )
    net = SourceNet(
        "tflite",
        tensors,
        ops,
        *(_numbers_of(graph, name, tensors) for name in ("inputs", "outputs")),
    )
    _check_order(net)
    _check_constants(net, len(data))
    return net


def _buffer(table: Table, data: bytes) -> np.ndarray:
    """The bytes of a buffer, uint8 (N,), a view of the file.

    Files too large for offsets of 32 bits keep them behind the tables. An offset of 1
    stands for one that is yet to be written.
    """
    start, size = (
        table.value(name) if table.has(name) else 0 for name in ("offset", "size")
    )
    if not start and not size:
        return table.numbers("data")
    if table.length("data") or start <= 1 or start + size > len(data):
        raise FileFormatError(
            f"a buffer of {size} bytes at {start} does not lie in the file"
        )
    return np.frombuffer(data, np.uint8, size, start)


def _kind(code: Table) -> str:
    """The name of an operator; that of one of the file's own has a colon."""
    # `tflite` gives the former code for the newer one where that is small.
    former = code.value("deprecated_builtin_code")
    number = max(code.int32(BUILTIN_CODE), former)
    if former < 0 or number not in KINDS:
        raise UnsupportedOp(
            f"has an operator of number {number}, which this version of the package "
            "tflite does not know"
        )
    kind = KINDS[number]
    return f"CUSTOM:{code.text('custom_code')}" if kind == "CUSTOM" else kind


def _tensor(number: int, table: Table, buffers: Sequence[np.ndarray]) -> SourceTensor:
    name = table.text("name") or f"tensor {number}"
    where = f"tensor {number} {shown(name, MOST_NAME)}"
    with naming(where):
        for field, what in NOT_READ.items():
            if _is_set(table, field):
                raise UnsupportedOp(f"{where} {what}")
        word = TYPES.get(table.value("type"), f"number {table.value('type')}")
        if word not in DTYPES:
            raise UnsupportedOp(f"is of type {word}, which no network here can have")
        dtype = DTYPES[word]
        shape = _shape(table)
        return SourceTensor(
            name,
            _open_sizes(table, shape),
            dtype,
            _data(table, dtype, shape, buffers),
            _quantization(table, dtype, shape),
        )


def _is_set(table: Table, field: str) -> bool:
    """Whether a field, which older versions of the schema may lack, says something."""
    if not table.has(field):
        return False
    if field == "sparsity":
        return table.table(field) is not None
    return bool(table.length(field) if field[-1] == "s" else table.value(field))


def _shape(table: Table) -> Shape:
    """As the file has it for one sample, or for as many as it is for."""
    if table.length("shape") > MOST_AXES:
        raise FileFormatError(
            f"has {table.length('shape')} axes; at most {MOST_AXES} are read"
        )
    shape = tuple(table.numbers("shape").tolist())
    if any(extent < 1 for extent in shape):
        raise FileFormatError(f"has the shape {shape}; each length must be at least 1")
    if math.prod(shape) > MOST_BYTES:
        raise FileFormatError(
            f"has the shape {shape}; at most {MOST_BYTES:,} elements are read"
        )
    return shape


def _open_sizes(table: Table, shape: Shape) -> Shape:
    """The shape with -1 where the file leaves a size open."""
    count = table.length("shape_signature")
    if not count:
        return shape
    if count != len(shape):
        raise FileFormatError(
            f"has a shape_signature of {count} axes, and {len(shape)}"
        )
    signature = table.numbers("shape_signature").tolist()
    if any(each not in (-1, own) for each, own in zip(signature, shape, strict=True)):
        raise FileFormatError(
            f"has the shape {shape} and the shape_signature {signature}"
        )
    return tuple(signature)


def _data(
    table: Table, dtype: str, shape: Shape, buffers: Sequence[np.ndarray]
) -> np.ndarray | None:
    """The values of a constant; None of what is computed."""
    number = table.value("buffer")
    if number >= len(buffers):
        raise FileFormatError(f"has buffer {number}; the file has {len(buffers)}")
    raw, size = buffers[number], math.prod(shape)
    if not len(raw):
        return None
    is_packed = dtype == "int4"
    expected = -(-size // 2) if is_packed else size * np.dtype(dtype).itemsize
    if len(raw) != expected:
        raise FileFormatError(
            f"has {len(raw)} bytes of data; {dtype} of shape {shape} takes {expected}"
        )
    if is_packed:
        table.file.spend(size)
        return _unpacked(raw)[:size].reshape(shape)
    if dtype == "bool":
        table.file.spend(size)
        return (raw != 0).reshape(shape)
    return raw.view(np.dtype(dtype).newbyteorder("<")).reshape(shape)


def _unpacked(raw: np.ndarray) -> np.ndarray:
    """Integers of 4 bits, the lower ones of a byte first, as int8."""
    pairs = np.stack([raw << 4, raw & 0xF0], axis=1).view(np.int8)  # (N,) -> (N,2)
    return (pairs >> 4).reshape(-1)


def _quantization(table: Table, dtype: str, shape: Shape) -> Quantization | None:
    """None of floats, and of integers that stand for themselves."""
    found = table.table("quantization")
    if found is None or dtype.startswith("float"):
        return None
    if found.value("details_type"):
        raise UnsupportedOp("has quantization of a kind of its own, which is not read")
    count, axis = found.length("scale"), found.value("quantized_dimension")
    if not count:
        if found.length("zero_point") or found.length("min") or found.length("max"):
            raise FileFormatError(
                "has a range or zero points and no scales, so what its integers stand "
                "for is not known"
            )
        return None
    if len(shape) == 1:  # biases may have the axis of the weights
        axis = 0
    if count > 1 and not (0 <= axis < len(shape) and count == shape[axis]):
        raise FileFormatError(
            f"has {count} scales along axis {axis} of the shape {shape}"
        )
    if found.length("zero_point") != count:
        raise FileFormatError(
            f"has {count} scales and {found.length('zero_point')} zero points"
        )
    with np.errstate(invalid="ignore"):  # of what is no number
        scales = found.numbers("scale").astype(np.float64)
    zero_points = found.numbers("zero_point").astype(np.int64)
    if not ((scales >= FINEST) & (scales <= LARGEST)).all() and dtype in ZERO_POINTS:
        wrong = scales[~((scales >= FINEST) & (scales <= LARGEST))][0]
        raise FileFormatError(
            f"has a scale of {wrong:g}; it must be in {FINEST:.0e} .. {LARGEST:.0e}"
        )
    low, high = ZERO_POINTS.get(dtype, (0, 0))
    if zero_points.min() < low or zero_points.max() > high:
        raise FileFormatError(
            f"has a zero point outside {low} .. {high}, the range for {dtype}"
        )
    return Quantization(scales, zero_points, axis if count > 1 else 0)


def _operator(
    number: int, table: Table, kinds: Sequence[str], tensors: Sequence[SourceTensor]
) -> SourceOp:
    code = table.value("opcode_index")
    if code >= len(kinds):
        raise FileFormatError(f"operator {number} has the code {code} of {len(kinds)}")
    kind = kinds[code]
    with naming(f"operator {number} {shown(kind, MOST_NAME)}"):
        inputs = _numbers_of(table, "inputs", tensors, optional=True)
        outputs = _numbers_of(table, "outputs", tensors)
        if not outputs:
            raise FileFormatError("has no output")
        name = tensors[outputs[0]].name.split(";")[0][:MOST_NAME]
        if kind.startswith("CUSTOM:"):
            raise UnsupportedOp(
                f"the operator {shown(kind[7:])} of tensor {name!r} is one of the "
                "file's own; networks here have TensorFlow Lite's"
            )
        for field in ("mutating_variable_inputs", "intermediates"):
            if table.length(field):
                raise UnsupportedOp(f"has {field}, which is not read here")
        return SourceOp(kind, name, inputs, outputs, _options(table, kind))


def _numbers_of(
    table: Table, name: str, tensors: Sequence[SourceTensor], *, optional: bool = False
) -> tuple[int, ...]:
    """Numbers of tensors that are there; -1 if one that is not there is allowed."""
    numbers = tuple(table.numbers(name).tolist())
    least = -1 if optional else 0
    for each in numbers:
        if not least <= each < len(tensors):
            raise FileFormatError(f"{name} has tensor {each}; there are {len(tensors)}")
    return numbers


def _options(table: Table, kind: str) -> Mapping[str, Any]:
    """The options of an operator; the schema's defaults where it has none."""
    found = OPTION_KINDS.get(table.value("builtin_options_type"), "of another kind")
    expected, fields = OPTIONS.get(kind, ("NONE", ()))
    if _is_second_kind(table) or found not in ("NONE", expected):
        if kind not in OPTIONS:  # `operators` says that it does not know it
            return {}
        raise FileFormatError(
            f"has the options {found}; those of {kind} are {expected}"
        )
    if not fields:
        return {}
    options = table.union("builtin_options", expected) if found == expected else None
    options = options or defaults(expected)
    return {name: _option(options, name) for name in fields if options.has(name)}


def _is_second_kind(table: Table) -> bool:
    """Whether options are of the kinds that were added when there was no more room."""
    name = "builtin_options_2_type"
    return table.has(name) and bool(table.value(name))


def _option(options: Table, name: str) -> Any:
    if name in VECTORS:
        if options.length(name) > MOST_AXES:
            raise FileFormatError(f"{name} has {options.length(name)} lengths")
        return tuple(options.numbers(name).tolist())
    value = options.value(name)
    return WORDS[name].get(value, f"number {value}") if name in WORDS else value


def _check_order(net: SourceNet) -> None:
    """FileFormatError unless each operator reads what is there before it."""
    there = {i for i, tensor in enumerate(net.tensors) if tensor.data is not None}
    for number in net.inputs:
        if number in there:
            raise FileFormatError(
                f"{_tensor_text(net, number)} is an input twice, or both "
                "an input and a constant"
            )
        there.add(number)
    later = {number for op in net.ops for number in op.outputs}
    for op in net.ops:
        for number in op.inputs:
            if number >= 0 and number not in there:
                why = "written later" if number in later else "never written"
                raise FileFormatError(
                    f"{op} reads {_tensor_text(net, number)}, which is {why}"
                )
        for number in op.outputs:
            if number in there:
                raise FileFormatError(
                    f"{op} writes {_tensor_text(net, number)}, which is there already"
                )
            there.add(number)
    for number in net.outputs:
        if number not in there:
            raise FileFormatError(
                f"the output {_tensor_text(net, number)} is never written"
            )


def _tensor_text(net: SourceNet, number: int) -> str:
    return f"tensor {number} {shown(net.tensors[number].name, MOST_NAME)}"


def _check_constants(net: SourceNet, size: int) -> None:
    """FileFormatError if operators read far more constants than the file holds."""
    numbers = (number for op in net.ops for number in op.inputs if number >= 0)
    arrays = (net.tensors[number].data for number in numbers)
    read = sum(array.nbytes for array in arrays if array is not None)
    if read > MOST_CONSTANTS * size:
        raise FileFormatError(
            f"its operators read {read:,} bytes of constants; a file of {size:,} bytes "
            f"may have {MOST_CONSTANTS} times as many"
        )
