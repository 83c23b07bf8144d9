"""Small `.tflite` files, written field by field for tests of what reads them.

    x = Tensor((1, 4), "INT8", scale=0.1)
    y = Tensor((1, 4), "INT8", scale=0.1)
    data = file([x, y], [Op("RELU", [0], [1])])

Nothing is checked: a test says what is wrong with a file by writing it so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

DTYPES = {
    "FLOAT32": "<f4", "FLOAT16": "<f2", "INT8": "i1", "UINT8": "u1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "BOOL": "?",
}  # fmt: skip
#: Fields whose numbers the schema gives names.
ENUMS = {
    "padding": tflite.Padding,
    "fused_activation_function": tflite.ActivationFunctionType,
    "type": tflite.TensorType,
    "builtin_options_type": tflite.BuiltinOptions,
}
#: Fields that are tables of their own.
TABLES = {"sparsity": "SparsityParameters"}


@dataclass(frozen=True)
class Tensor:
    """A tensor; `scale` and `zero_point` are one number, or one for each channel.

    `data` is an array of the type, or the bytes themselves. `more` has other fields of
    the schema's Tensor, `quantization` other fields of its QuantizationParameters.
    """

    shape: Sequence[int]
    type: str
    data: Any = None
    scale: Any = None
    zero_point: Any = 0
    axis: int = 0
    name: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    quantization: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Op:
    """An operator with options of the kind that `kind` has, or as `options_kind` says.

    `code` replaces fields of its OperatorCode, `more` has other fields of Operator.
    """

    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Mapping[str, Any] = field(default_factory=dict)
    options_kind: str = ""
    code: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


#: The options of operators whose names do not follow from the operator's.
OPTIONS = {
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions", "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions", "MINIMUM": "MaximumMinimumOptions",
    "MAXIMUM": "MaximumMinimumOptions", "PADV2": "PadV2Options",
    "SPLIT_V": "SplitVOptions", "REDUCE_MAX": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
}  # fmt: skip


def _options_kind(op: Op) -> str:
    if op.options_kind or not op.options:
        return op.options_kind
    words = "".join(word.capitalize() for word in op.kind.split("_"))
    return OPTIONS.get(op.kind, f"{words}Options")


class _Writer(flatbuffers.Builder):
    """A builder that writes tables from mappings of fields, children first."""

    def table(self, kind: str, fields: Mapping[str, Any]) -> int:
        made = {name: self._value(name, value) for name, value in fields.items()}
        getattr(tflite, f"{kind}Start")(self)
        for name, value in made.items():
            camel = "".join(part.capitalize() for part in name.split("_"))
            getattr(tflite, f"{kind}Add{camel}")(self, value)
        return getattr(tflite, f"{kind}End")(self)

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self.CreateNumpyVector(value)
        if name in ENUMS and isinstance(value, str):
            return getattr(ENUMS[name], value)
        if isinstance(value, str):
            return self.CreateString(value)
        if name in TABLES:
            return self.table(TABLES[name], value)
        return value

    def offsets(self, places: Sequence[int]) -> int:
        self.StartVector(4, len(places), 4)
        for place in reversed(places):
            self.PrependUOffsetTRelative(place)
        return self.EndVector()


def _ints(values: Any, dtype: str = "<i4") -> np.ndarray:
    return np.atleast_1d(np.asarray(values, dtype))


def _bytes(tensor: Tensor) -> np.ndarray:
    if isinstance(tensor.data, bytes):
        return np.frombuffer(tensor.data, np.uint8)
    values = np.ascontiguousarray(tensor.data, DTYPES[tensor.type])
    return np.frombuffer(values.tobytes(), np.uint8)


def file(
    tensors: Sequence[Tensor],
    ops: Sequence[Op],
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int] = (-1,),
    *,
    graphs: int = 1,
    model: Mapping[str, Any] | None = None,
    buffers: Sequence[Mapping[str, Any]] = (),
    identifier: bytes = b"TFL3",
) -> bytes:
    """The bytes of a file; -1 as an output stands for the last tensor.

    `model` replaces fields of the schema's Model, `buffers` are more of them, which
    come first.
    """
    w = _Writer(1024)
    places = [w.table("Buffer", each) for each in buffers or [{}]]
    made = []
    for number, tensor in enumerate(tensors):
        at = 0
        if tensor.data is not None:
            at = len(places)
            places.append(w.table("Buffer", {"data": _bytes(tensor)}))
        made.append(_tensor(w, number, tensor, at))
    codes, operators = [], []
    for op in ops:
        codes.append(w.table("OperatorCode", _code(op)))
        operators.append(_operator(w, op, len(codes) - 1))
    ends = [len(tensors) - 1 if each == -1 else each for each in outputs]
    graph = {
        "tensors": w.offsets(made),
        "operators": w.offsets(operators),
        "inputs": _ints(inputs),
        "outputs": _ints(ends),
    }
    fields = {
        "version": 3,
        "operator_codes": w.offsets(codes),
        "subgraphs": w.offsets([w.table("SubGraph", graph)] * graphs),
        "buffers": w.offsets(places),
        **(model or {}),
    }
    w.Finish(w.table("Model", fields), identifier)
    return bytes(w.Output())


def _tensor(w: _Writer, number: int, tensor: Tensor, buffer: int) -> int:
    fields: dict[str, Any] = {
        "shape": _ints(tensor.shape),
        "type": tensor.type,
        "buffer": buffer,
        "name": tensor.name or f"t{number}",
    }
    quantization = dict(tensor.quantization)
    if tensor.scale is not None:
        scale = _ints(tensor.scale, "<f4")
        zero_point = np.broadcast_to(_ints(tensor.zero_point, "<i8"), scale.shape)
        quantization = {
            "scale": scale,
            "zero_point": np.ascontiguousarray(zero_point),
            "quantized_dimension": tensor.axis,
            **quantization,
        }
    if quantization:
        fields["quantization"] = w.table("QuantizationParameters", quantization)
    return w.table("Tensor", {**fields, **tensor.more})


def _code(op: Op) -> Mapping[str, Any]:
    if op.code is not None:
        return op.code
    number = getattr(tflite.BuiltinOperator, op.kind)
    return {
        "deprecated_builtin_code": min(number, 127),
        "builtin_code": number,
        "version": 1,
    }


def _operator(w: _Writer, op: Op, code: int) -> int:
    fields: dict[str, Any] = {
        "opcode_index": code,
        "inputs": _ints(op.inputs),
        "outputs": _ints(op.outputs),
    }
    kind = _options_kind(op)
    if kind:
        fields["builtin_options_type"] = getattr(tflite.BuiltinOptions, kind)
        fields["builtin_options"] = w.table(kind, op.options)
    return w.table("Operator", {**fields, **op.more})
