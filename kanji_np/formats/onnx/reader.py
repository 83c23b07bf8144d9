"""An ONNX file as `SourceNet`: read with the `onnx` package, and not believed.

The protocol buffer is parsed; nothing of it is run. Every tensor must have the bytes
that its shape and type ask for before an array is made, data outside the file must lie
in its folder, and operators are put in an order in which each follows those that it
reads from. What the output does not depend on is left out.

Tensors that the file says nothing about but their name have the shape () and the type
"": the table of operators works out shapes itself.

Source: `onnx.proto` of ONNX 1.23, IR version 13.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from kanji_np.checks import line, shown
from kanji_np.errors import FileFormatError, KanjiError, UnsupportedOp
from kanji_np.formats.source import SourceNet, SourceOp, SourceTensor

OLDEST_OPSET, NEWEST_OPSET = 7, 28
OWN_DOMAINS = ("", "ai.onnx")
# Of a file: protocol buffers end there.
MOST_BYTES = 2**31
MOST_AXES = 16
MOST_SIZE = 2**31 - 1


@dataclass(frozen=True)
class Element:
    """A type of elements: how NumPy calls it, and where values lie that are not raw."""

    dtype: str
    field: str


#: By their numbers in `TensorProto.DataType`.
ELEMENTS = {
    1: Element("float32", "float_data"),
    2: Element("uint8", "int32_data"),
    3: Element("int8", "int32_data"),
    6: Element("int32", "int32_data"),
    7: Element("int64", "int64_data"),
    9: Element("bool", "int32_data"),
    11: Element("float64", "double_data"),
}

#: Attributes by their numbers in `AttributeProto.AttributeType`: the field that holds
#: the value.
ATTRIBUTES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
SUBGRAPHS = (5, 10)


def read(path: str | Path) -> SourceNet:
    """The network of an ONNX file.

    Parameters
    ----------
    path : path

    Returns
    -------
    SourceNet

    Raises
    ------
    FileFormatError
        The file is missing, damaged, or contradicts itself.
    UnsupportedOp
        It has what no network here can have: control flow, operators of other domains,
        sparse constants, types of elements that are not known.
    ToolError
        The `onnx` package is not installed.
    """
    path = Path(path)
    return net_of(_parsed(path), path.parent)


def _parsed(path: Path) -> Any:
    """The ModelProto of a file."""
    from kanji_np.formats.onnx.package import DecodeError, ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(_bytes(path))
    except (DecodeError, RecursionError):
        raise FileFormatError("is not an ONNX file, or is truncated") from None
    if not model.HasField("graph"):
        raise FileFormatError("is not an ONNX file: it holds no graph")
    return model


def text(word: str | bytes) -> str:
    """A string of the file: bytes where it is no UTF-8."""
    return word if isinstance(word, str) else word.decode("utf-8", "replace")


def _bytes(path: Path, offset: int = 0, length: int | None = None) -> bytes:
    """Bytes of a regular file; FileFormatError where it does not have them."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise FileFormatError("is not a file")
        wanted = facts.st_size - offset if length is None else length
        if facts.st_size > MOST_BYTES:
            raise FileFormatError(f"has more than {MOST_BYTES:,} bytes")
        if wanted < 0 or offset + wanted > facts.st_size:
            raise FileFormatError(
                f"{offset}+{wanted} bytes are asked of {line(path.name)}, which has "
                f"{facts.st_size}"
            )
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(wanted)
    except FileNotFoundError:
        raise FileFormatError("no such file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, KanjiError):
            raise
        reason = getattr(error, "strerror", None) or "is not a path"
        raise FileFormatError(f"cannot be read: {reason}") from None


def net_of(model: Any, folder: Path) -> SourceNet:
    """The network of a ModelProto, of whose constants some may lie in a folder."""
    graph = model.graph
    if len(graph.sparse_initializer):
        raise UnsupportedOp("sparse constants are not supported: make them dense")
    opset = _opset(model)
    functions = {(text(f.domain), text(f.name)) for f in model.functions}
    tensors = _Tensors()
    for proto in graph.initializer:
        tensors.define(text(proto.name), array_of(proto, folder))
    constants = set(tensors.numbers)
    for info in graph.input:
        if text(info.name) not in constants:
            tensors.define(text(info.name))
        tensors.declare(info)
    for info in (*graph.output, *graph.value_info):
        tensors.declare(info)
    ops = [_op(node, tensors, functions, folder) for node in graph.node]
    names = [text(info.name) for info in graph.input]
    inputs = [name for name in names if name not in constants]
    outputs = [text(info.name) for info in graph.output]
    for name in outputs:
        if name not in tensors.defined:
            raise FileFormatError(f"nothing makes the output {shown(name)}")
    ends = tuple(tensors.numbers[name] for name in outputs)
    return SourceNet(
        "onnx",
        tensors.made(),
        _needed(_sorted(ops, tensors), ends),
        tuple(tensors.numbers[name] for name in inputs),
        ends,
        opset=opset,
    )


def _opset(model: Any) -> int:
    """The version of the operators."""
    versions = {o.version for o in model.opset_import if text(o.domain) in OWN_DOMAINS}
    if len(versions) != 1:
        raise FileFormatError("must name one version of ONNX's operators")
    (version,) = versions
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise UnsupportedOp(
            f"its operators are those of opset {version}; {OLDEST_OPSET} to "
            f"{NEWEST_OPSET} are known"
        )
    return int(version)


class _Tensors:
    """The tensors of a graph by name, while it is read."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.data: dict[str, np.ndarray] = {}
        self.declared: dict[str, tuple[tuple[int, ...], str]] = {}
        self.defined: set[str] = set()

    def number(self, name: str) -> int:
        """Of a tensor that is read or written; -1 of one that is left out."""
        if not name:
            return -1
        return self.numbers.setdefault(name, len(self.numbers))

    def define(self, name: str, data: np.ndarray | None = None) -> int:
        """Something makes the tensor; FileFormatError if something else did."""
        if name and name in self.defined:
            raise FileFormatError(f"the tensor {shown(name)} is made twice")
        self.defined.add(name)
        if data is not None:
            self.data[name] = data
        return self.number(name)

    def declare(self, info: Any) -> None:
        """Take in what the graph says of a tensor's shape and type."""
        name = text(info.name)
        if not info.type.HasField("tensor_type"):
            return
        tensor = info.type.tensor_type
        dims = tensor.shape.dim
        shape = tuple(int(d.dim_value) if d.HasField("dim_value") else -1 for d in dims)
        if any(not -1 <= d <= MOST_SIZE for d in shape) or len(shape) > MOST_AXES:
            raise FileFormatError(
                f"the tensor {shown(name)} cannot have the shape {shown(shape)}"
            )
        known = ELEMENTS.get(tensor.elem_type)
        dtype = known.dtype if known else f"element type {tensor.elem_type}"
        self.declared[name] = shape, dtype

    def made(self) -> tuple[SourceTensor, ...]:
        made = []
        for name in self.numbers:
            data = self.data.get(name)
            if data is not None:
                tensor = SourceTensor(name, data.shape, data.dtype.name, data)
            else:
                tensor = SourceTensor(name, *self.declared.get(name, ((), "")))
            made.append(tensor)
        return tuple(made)


def _op(
    node: Any, tensors: _Tensors, functions: set[tuple[str, str]], folder: Path
) -> SourceOp:
    kind, domain = text(node.op_type), text(node.domain)
    written = [text(name) for name in node.output]
    outputs = tuple(tensors.define(name) if name else -1 for name in written)
    name = text(node.name) or next(filter(None, written), "")
    if not re.fullmatch(r"\w{1,64}", kind, re.ASCII):
        raise FileFormatError(f"no operator can be called {shown(kind)}")
    where = f"{kind} {shown(name)}"
    if (domain, kind) in functions:
        raise UnsupportedOp(
            f"{where} is a function of the file; onnx.inliner writes it out"
        )
    if domain not in OWN_DOMAINS:
        raise UnsupportedOp(
            f"{where} is of the domain {shown(domain)}; only ONNX's own operators "
            "are known"
        )
    inputs = tuple(tensors.number(text(name)) for name in node.input)
    options: dict[str, Any] = {}
    for attribute in node.attribute:
        key = text(attribute.name)
        if key in options:
            raise FileFormatError(f"{where} has {shown(key)} twice")
        options[key] = _value(attribute, where, folder)
    return SourceOp(kind, name, inputs, outputs, options)


def _value(attribute: Any, where: str, folder: Path) -> Any:
    """Of an attribute, as Python and NumPy have it."""
    if attribute.type in SUBGRAPHS:
        raise UnsupportedOp(f"{where} is control flow, which no network here can have")
    field = ATTRIBUTES.get(attribute.type)
    if field is None or attribute.ref_attr_name:
        raise UnsupportedOp(
            f"{where} has the attribute {shown(text(attribute.name))} of a type that "
            "is not known"
        )
    value = getattr(attribute, field)
    if field == "t":
        return array_of(value, folder)
    if field in ("s", "strings"):
        words = [text(word) for word in ([value] if field == "s" else value)]
        return words[0] if field == "s" else tuple(words)
    return value if field in ("f", "i") else tuple(value)


def array_of(proto: Any, folder: Path) -> np.ndarray:
    """The array of a TensorProto, if it has as many values as its shape asks for."""
    what = f"the constant {shown(text(proto.name))}"
    element = ELEMENTS.get(proto.data_type)
    if element is None:
        known = ", ".join(e.dtype for e in ELEMENTS.values())
        raise UnsupportedOp(
            f"{what} is of element type {proto.data_type}; {known} are known"
        )
    shape, dtype = tuple(proto.dims), np.dtype(element.dtype)
    if len(shape) > MOST_AXES or any(d < 0 for d in shape):
        raise FileFormatError(f"{what} cannot have the shape {shown(shape)}")
    count = math.prod(shape)
    if proto.HasField("segment"):
        raise UnsupportedOp(f"{what} is in segments")
    if proto.data_location == proto.EXTERNAL:
        raw = _outside(proto, folder, count * dtype.itemsize, what)
    elif proto.HasField("raw_data"):
        raw = proto.raw_data
    else:
        return _listed(proto, element, shape, what)
    if len(raw) != count * dtype.itemsize:
        raise FileFormatError(
            f"{what} of shape {shown(shape)} needs {count * dtype.itemsize} bytes and "
            f"has {len(raw)}"
        )
    little = np.frombuffer(raw, dtype.newbyteorder("<") if count else dtype, count)
    return little.astype(dtype).reshape(shape)


def _listed(
    proto: Any, element: Element, shape: tuple[int, ...], what: str
) -> np.ndarray:
    """An array whose values stand in the field for its type, one by one."""
    values, count = getattr(proto, element.field), math.prod(shape)
    if len(values) != count:
        raise FileFormatError(
            f"{what} of shape {shown(shape)} needs {count} values and has {len(values)}"
        )
    wide = np.array(values, np.float64 if "float" in element.dtype else np.int64)
    with np.errstate(over="ignore"):
        array = wide.astype(element.dtype)
    if wide.dtype == np.int64 and not np.array_equal(array.astype(np.int64), wide):
        raise FileFormatError(f"{what} has values that {element.dtype} does not have")
    return array.reshape(shape)


def _outside(proto: Any, folder: Path, wanted: int, what: str) -> bytes:
    """The bytes of a constant that lie in another file of the folder."""
    facts = {text(entry.key): text(entry.value) for entry in proto.external_data}
    location = facts.get("location", "")
    parts = {*PurePosixPath(location).parts, *PureWindowsPath(location).parts}
    is_absolute = (
        PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    )
    if not location or "\0" in location or ".." in parts or is_absolute:
        raise FileFormatError(
            f"{what} lies in {shown(location)}, which is no file of the model's folder"
        )
    path = folder / location
    try:
        is_inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        is_inside = False
    if not is_inside:
        raise FileFormatError(
            f"{what} lies in {shown(location)}, which leads out of the model's folder"
        )
    offset, length = (_size(facts, key, what) for key in ("offset", "length"))
    if length is not None and length != wanted:
        raise FileFormatError(f"{what} needs {wanted} bytes and has {length}")
    try:
        return _bytes(path, offset or 0, wanted)
    except FileFormatError as error:
        raise FileFormatError(
            f"{what}, in the file {shown(location)}: {error}"
        ) from None


def _size(facts: Mapping[str, str], key: str, what: str) -> int | None:
    digits = facts.get(key)
    if digits is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", digits):
        raise FileFormatError(f"{what} has the {key} {shown(digits)}, which is no size")
    return int(digits)


def _sorted(ops: Sequence[SourceOp], tensors: _Tensors) -> list[SourceOp]:
    """The operators in the order of the file, but each after those it reads from."""
    names = [*tensors.numbers]
    maker = {number: i for i, op in enumerate(ops) for number in op.outputs}
    waits = []
    readers: dict[int, list[int]] = {}
    for i, op in enumerate(ops):
        sources = set()
        for number in op.inputs:
            if number in maker and number >= 0:
                sources.add(maker[number])
            elif number >= 0 and names[number] not in tensors.defined:
                raise FileFormatError(
                    f"{op.kind} {shown(op.name)} reads {shown(names[number])}, which "
                    "is no input, no constant and no operator's output"
                )
        waits.append(len(sources))
        for source in sources:
            readers.setdefault(source, []).append(i)
    ready = [i for i, count in enumerate(waits) if not count]
    heapify(ready)
    done = []
    while ready:
        i = heappop(ready)
        done.append(ops[i])
        for reader in readers.get(i, ()):
            waits[reader] -= 1
            if not waits[reader]:
                heappush(ready, reader)
    if len(done) < len(ops):
        stuck = next(op for op, count in zip(ops, waits, strict=True) if count)
        raise FileFormatError(
            f"{stuck.kind} {shown(stuck.name)} is part of a circle of operators, or "
            "reads from one"
        )
    return done


def _needed(ops: Sequence[SourceOp], ends: Sequence[int]) -> tuple[SourceOp, ...]:
    """Those that the outputs depend on."""
    wanted = set(ends)
    kept = []
    for op in reversed(ops):
        if wanted & {number for number in op.outputs if number >= 0}:
            wanted.update(op.inputs)
            kept.append(op)
    return tuple(reversed(kept))
