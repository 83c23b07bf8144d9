"""A network while it is made of the operators of a `.tflite` file.

`Making` knows what each tensor of the file has become, and `Call` is one operator as
its row in `operators` sees it.

The first axis of a tensor in the file is the batch, which tensors here do not have. In
a file for one sample a tensor may also do without it, as the rows of a matrix do that a
fully connected layer is applied to.

Two things wait until it is known what reads them. A layer with weights may take in what
follows: an activation, or in float32 a factor and an offset for each channel. Padding
may become that of the convolutions and pools that read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.builder import Builder, IntWeights
from kanji_np.formats.files import naming
from kanji_np.formats.source import SourceNet, SourceOp, SourceTensor
from kanji_np.layers import Symbol
from kanji_np.ops.flatten import FlattenAttrs
from kanji_np.ops.pad import PadAttrs
from kanji_np.ops.relu import ReluAttrs
from kanji_np.ops.relu6 import Relu6Attrs
from kanji_np.ops.reshape import ReshapeAttrs
from kanji_np.types import LinearParams, QParams, Shape
from kanji_np.window import Pair

Padding = tuple[Pair, Pair]
#: What an image is padded with.
Filler = Literal["zero", "lowest"]

#: The activations that operators fuse, as ours are called.
ACTIVATIONS = {"NONE": "linear", "RELU": "relu", "RELU6": "relu6"}
#: Activations as layers of their own.
CLAMPS = {"relu": ReluAttrs(), "relu6": Relu6Attrs()}


def qparams_of(tensor: SourceTensor) -> QParams | None:
    """Scale and zero point of a tensor that is computed; None of float32."""
    if tensor.dtype == "float32":
        return None
    quantization = tensor.quantization
    if tensor.dtype != "int8" or quantization is None:
        more = " without a scale" if tensor.dtype == "int8" else ""
        raise UnsupportedOp(
            f"tensor {shown(tensor.name)} is {tensor.dtype}{more}; float32, and int8 "
            "with a scale, are supported"
        )
    if quantization.per_channel:
        raise UnsupportedOp(
            f"tensor {shown(tensor.name)} has a scale for each channel; one that is "
            "computed has one"
        )
    return QParams(float(quantization.scales[0]), int(quantization.zero_points[0]))


class Making:
    """What the tensors of a file have become.

    Attributes
    ----------
    tensors : list of SourceTensor
        Those of the file; what is computed of constants alone becomes a constant.
    readers : list of int
        How many inputs of operators each tensor is, the network's output counting, too.
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
        self.tensors = list(net.tensors)
        self.readers = [0] * len(net.tensors)
        for number in (*(i for op in net.ops for i in op.inputs), self.output):
            if number >= 0:
                self.readers[number] += 1
        shape = self.tensors[self.input].shape
        self.batch = shape[0] if len(shape) > 1 else 1
        self._symbols: dict[int, Symbol] = {}
        self._linear: dict[int, Linear] = {}
        self._padded: dict[int, Padded] = {}

    def symbol(self, number: int) -> Symbol:
        """What a tensor has become, with nothing left to wait for."""
        if number in self._linear:
            self._linear.pop(number).make()
        if number not in self._symbols and number in self._padded:
            padded = self._padded[number]
            padded.call.give(padded.make())
        if number not in self._symbols:
            name = shown(self.tensors[number].name)
            raise UnsupportedOp(f"tensor {name} does not depend on the network's input")
        return self._symbols[number]

    def put(self, number: int, symbol: Symbol) -> None:
        """A tensor has become this."""
        self._symbols[number] = symbol

    def wait(self, linear: Linear) -> None:
        """Make a layer, or wait if only one operator reads it."""
        number = linear.call.op.outputs[0]
        if self.readers[number] == 1 and number != self.output:
            self._linear[number] = linear
        else:
            linear.make()

    def take(self, number: int) -> Linear | None:
        """A layer that waits; whoever takes it sees to it."""
        return self._linear.pop(number, None)

    def pad(self, padded: Padded) -> None:
        """Wait for what reads an image with padding."""
        self._padded[padded.call.op.outputs[0]] = padded

    def padded(self, number: int) -> Padded | None:
        """Padding that waits, or None."""
        return self._padded.get(number)

    def sample(self, tensor: SourceTensor) -> Shape:
        """The shape of one sample, as the file has it; -1 where it is open."""
        shape = tensor.shape
        is_batched = len(shape) > 1 and shape[0] in (self.batch, 1, -1)
        if self.batch > 1 and not is_batched:
            raise UnsupportedOp(
                f"tensor {shown(tensor.name)} has the shape {shape}, which does not "
                f"begin with the batch, {self.batch}"
            )
        return (shape[1:] if is_batched else shape) or (1,)

    def fits(self, tensor: SourceTensor, found: Shape) -> bool:
        """Whether the file agrees with a shape of one sample."""
        inner = self.sample(tensor)
        if len(found) == len(inner) + 1 and tensor.shape[:1] == (-1,):
            found = found[1:]  # rows that the file counts with the batch
        return len(found) == len(inner) and all(
            theirs in (-1, own) for theirs, own in zip(inner, found, strict=True)
        )


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

    def fused(self) -> str:
        """The fused activation, as ours are called."""
        word = self.option("fused_activation_function")
        if word not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise UnsupportedOp(
                f"the fused activation {word} is not supported; {known} are"
            )
        return ACTIVATIONS[word]

    def pair(self, name: str) -> Pair:
        """(height, width) of options like "stride_h" and "stride_w"."""
        return self.option(name.format("h")), self.option(name.format("w"))

    def padding(self) -> str:
        """The option in our words."""
        word: str = self.option("padding")
        if word not in ("SAME", "VALID"):
            raise FileFormatError(f"its padding must be SAME or VALID, got {word}")
        return word.lower()

    def count(self, least: int, most: int) -> None:
        """FileFormatError unless there are so many inputs, and one output."""
        found = len(self.op.inputs)
        if not least <= found <= most or len(self.op.outputs) != 1:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise FileFormatError(
                f"has {found} inputs and {len(self.op.outputs)} outputs; it takes "
                f"{wanted} and gives 1"
            )

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.op.inputs) and self.op.inputs[index] >= 0

    def tensor(self, index: int = 0) -> SourceTensor:
        """An input as the file has it."""
        if not self.has(index):
            raise FileFormatError(f"its input {index} is missing")
        return self.making.tensors[self.op.inputs[index]]

    @property
    def output(self) -> SourceTensor:
        return self.making.tensors[self.op.outputs[0]]

    def is_constant(self, index: int) -> bool:
        return self.tensor(index).data is not None

    def x(self, index: int = 0) -> Symbol:
        """An input that is computed."""
        if self.is_constant(index):
            raise UnsupportedOp(
                f"its input {index}, {shown(self.tensor(index).name)}, is a constant; "
                "one that is computed is supported"
            )
        return self.making.symbol(self.op.inputs[index])

    def values(self, index: int) -> np.ndarray:
        """An input that is a constant."""
        tensor = self.tensor(index)
        if tensor.data is None:
            raise UnsupportedOp(
                f"its input {index}, {shown(tensor.name)}, is computed; a constant is "
                "supported"
            )
        return tensor.data

    def integers(self, index: int, shape: Shape | None = None) -> list[Any]:
        """An input that is a constant of int32 or int64, as lists.

        Parameters
        ----------
        shape : tuple of int, optional
            What it must have; by default any of one axis, or of none.
        """
        values, name = self.values(index), shown(self.tensor(index).name)
        if values.dtype not in (np.int32, np.int64):
            raise FileFormatError(f"{name} must be int32 or int64, got {values.dtype}")
        if shape is None and values.ndim < 2:
            return [*map(int, values.reshape(-1))]
        if values.shape != shape:
            raise FileFormatError(f"{name} must have shape {shape}, got {values.shape}")
        return list(values.tolist())

    def shape(self, symbol: Symbol) -> Shape:
        return self.builder.shape(symbol)

    def axis(self, x: Symbol, axis: int, index: int = 0) -> int:
        """An axis of an input in the file as one of a sample, from 0."""
        rank = len(self.tensor(index).shape)
        if not -rank <= axis < rank:
            raise FileFormatError(f"has axis {axis} of a tensor with {rank}")
        inner = axis % rank - (rank - len(self.shape(x)))
        if inner < 0:
            raise UnsupportedOp(
                f"along axis {axis}, the batch, is not supported; along another it is"
            )
        return inner

    def layer(
        self,
        name: str,
        attrs: Any,
        inputs: Sequence[Symbol],
        output: QParams | None = None,
        params: LinearParams | IntWeights | None = None,
        notes: Sequence[str] = (),
        constants: Any = None,
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
            constants=constants,
        )

    def shaped(self, symbol: Symbol, shape: Shape) -> Symbol:
        """The same values under another shape."""
        if self.shape(symbol) == shape:
            return symbol
        if shape == (math.prod(self.shape(symbol)),):
            return self.layer("flatten", FlattenAttrs(), [symbol])
        return self.layer("reshape", ReshapeAttrs(shape), [symbol])

    def clamped(self, symbol: Symbol, activation: str) -> Symbol:
        """An activation that the layer before does not fuse; it changes no scale."""
        if activation == "linear":
            return symbol
        return self.layer(activation, CLAMPS[activation], [symbol])

    def keeps_scale(self) -> None:
        """UnsupportedOp unless the first input and the output have one scale."""
        given, wanted = qparams_of(self.tensor()), qparams_of(self.output)
        if given != wanted:
            raise UnsupportedOp(
                f"changes the scale from {given} to {wanted}; one that keeps it is "
                "supported"
            )

    def give(self, symbol: Symbol, index: int = 0) -> None:
        """What the output has become; it must have the file's shape."""
        number = self.op.outputs[index]
        tensor, found = self.making.tensors[number], self.shape(symbol)
        if not self.making.fits(tensor, found):
            raise FileFormatError(
                f"its output has the shape {tensor.shape} in the file; from its inputs "
                f"follows {found} for one sample"
            )
        self.making.put(number, symbol)


@dataclass(frozen=True, eq=False)
class Linear:
    """A layer with weights that waits for what may be fused into it.

    Parameters
    ----------
    call : Call
        The last operator that it stands for, whose output it gives.
    name : str
        Key of `ops.OPS`.
    notes : tuple of str
        What is fused.
    """

    call: Call
    name: str
    attrs: Any
    x: Symbol
    params: LinearParams | IntWeights
    notes: tuple[str, ...] = ()

    def make(self) -> None:
        """Make it, and give it as the operator's output."""
        with naming(self.call.op):
            self.call.give(self.layer())

    def layer(self) -> Symbol:
        """Make it, whatever shape the operator's output has."""
        output = qparams_of(self.call.output)
        return self.call.layer(
            self.name, self.attrs, [self.x], output, self.params, self.notes
        )

    def activated(self, call: Call, activation: str) -> Linear:
        """The same with an activation, which is the operator that follows."""
        attrs = replace(self.attrs, activation=activation)
        notes = (*self.notes, f"{call.op.kind} fused")
        return replace(self, call=call, attrs=attrs, notes=notes)

    def with_activation(self, activation: str) -> Linear:
        """The same with an activation that an operator fuses."""
        return replace(self, attrs=replace(self.attrs, activation=activation))

    def scaled(self, call: Call, factor: np.ndarray, offset: np.ndarray) -> Linear:
        """The same of float32 with a factor and an offset for each output channel."""
        assert isinstance(self.params, LinearParams)
        weight, bias = self.params.weight, self.params.bias
        each = factor.reshape(-1, *[1] * (weight.ndim - 1))  # (C,) -> (C,1,...)
        params = LinearParams(
            (weight * each).astype(np.float32),
            (bias * factor + offset).astype(np.float32),
        )
        notes = (*self.notes, f"{call.op.kind} folded")
        return replace(self, call=call, params=params, notes=notes)


@dataclass(frozen=True, eq=False)
class Padded:
    """Padding that waits for what reads it."""

    call: Call
    x: Symbol
    padding: Padding
    filler: Filler

    def make(self) -> Symbol:
        """A layer of its own."""
        with naming(self.call.op):
            check_zeros(self.call, self.filler)
            return self.call.layer("pad", PadAttrs(self.padding), [self.x])


def check_zeros(call: Call, filler: Filler) -> None:
    """UnsupportedOp unless a layer of its own can pad so."""
    if filler != "zero":
        raise UnsupportedOp(
            "padding with the lowest value is supported of height and width in front "
            "of MAX_POOL_2D with padding VALID, and windows that reach into the image"
        )


#: Makes layers of an operator.
Row = Callable[[Call], None]
