"""A network of a file while layers are made of it.

`Net` knows what each tensor of the file is by now, a constant or a `View` of one of our
tensors, and who reads it. What a layer fuses is found by looking ahead: `Net.tail`
takes the operators that follow one and can become part of its layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.builder import Builder, IntWeights
from kanji_np.formats.onnx.folding import BATCH, Constant
from kanji_np.formats.onnx.layout import Arranger, View
from kanji_np.formats.onnx.linear import Linear
from kanji_np.formats.onnx.pointwise import (
    AFFINE,
    FUSED,
    LIMITS,
    NO_LIMITS,
    NOTHING,
    Affine,
    Clamped,
    Limits,
    clamped_by,
    image_of,
    vector,
)
from kanji_np.formats.onnx.quantized import qparams
from kanji_np.formats.source import SourceNet, SourceOp
from kanji_np.layers import Symbol
from kanji_np.ops import OPS
from kanji_np.ops.attributes import MOST_CHANNELS
from kanji_np.ops.op import Constants
from kanji_np.types import LinearParams, QParams

Value = View | Constant

#: They change no real value: only shapes, and where elements lie.
STILL = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}


@dataclass
class Tail:
    """An operator, and what follows it and becomes part of its layer.

    Parameters
    ----------
    ops : list of SourceOp
        The operator itself first.
    number : int
        Of the tensor at the end.
    linear : Linear or None
        The weights, with what was folded.
    activation : str
        As layers name it.
    output : QParams or None
        What the integers at the end mean, where the file says it.
    after : Affine or None
        What is still to be computed of the layer's output.
    notes : list of str
    """

    ops: list[SourceOp]
    number: int
    linear: Linear | None = None
    activation: str = "linear"
    output: QParams | None = None
    after: Affine | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """As the table of layers names it."""
        return " + ".join(op.kind for op in self.ops)

    def take(self, op: SourceOp, how: str) -> None:
        """Make an operator part of the layer."""
        self.ops.append(op)
        self.notes.append(f"{op.kind} {how}")

    def fold(self, affine: Affine, like: View) -> bool:
        """Make ``k y + b`` part of the weights, if it is the same for each channel."""
        if self.linear is None:
            return False
        channels = len(self.linear.bias)
        k, b = (vector(each, like, channels) for each in affine)
        if k is None or b is None:
            return False
        self.linear = self.linear.scaled(k, b)
        return True

    def clamp(self, limits: Limits, like: View) -> bool:
        """Make limits the activation, if the layer can have them."""
        if limits in FUSED:
            self.activation = FUSED[limits]
            return True
        if limits == NO_LIMITS:
            return True
        before, activation, after = clamped_by(limits, len(like.axes))
        if not self.fold(before, like):
            return False
        self.activation, self.after = activation, after
        return True


def plain(name: str) -> Any:
    """The attributes of one of our operators that needs to be told nothing."""
    return OPS[name].attrs()


class Net:
    """The state of a conversion.

    Parameters
    ----------
    source : SourceNet
    builder : Builder
    """

    def __init__(self, source: SourceNet, builder: Builder) -> None:
        self.source, self.builder = source, builder
        self.arranger = Arranger(builder)
        self.values: dict[int, Value] = {
            number: Constant(tensor.data)
            for number, tensor in enumerate(source.tensors)
            if tensor.data is not None
        }
        self.done: set[int] = set()  # outputs of operators that others have fused
        self.folded = 0  # elements of constants that were computed
        self.rescaled: set[int] = set()  # tensors that have not the scale of the file
        self.betas: dict[int, float] = {}  # of products that a softmax is to take
        self._readers: dict[int, list[SourceOp]] = {}
        for op in source.ops:
            for number in op.inputs:
                self._readers.setdefault(number, []).append(op)

    # What operators read.

    @staticmethod
    def refusal(op: SourceOp, why: str) -> UnsupportedOp:
        """The error of an operator that cannot be mapped."""
        return UnsupportedOp(f"{op}: {why}")

    def name(self, number: int) -> str:
        """Of a tensor, as messages have it."""
        return shown(self.source.tensors[number].name)

    def has(self, op: SourceOp, place: int) -> bool:
        """Whether an input is there."""
        return place < len(op.inputs) and op.inputs[place] >= 0

    def value(self, op: SourceOp, place: int) -> Value | None:
        """An input that must be there; None where it is yet to be computed."""
        if not self.has(op, place):
            raise FileFormatError(f"{op} lacks input {place}")
        return self.values.get(op.inputs[place])

    def view(self, op: SourceOp, place: int = 0) -> View:
        """An input that depends on the network's."""
        value = self.value(op, place)
        if not isinstance(value, View):
            name = self.name(op.inputs[place])
            raise self.refusal(op, f"its input {name} must not be a constant")
        return value

    def constant(self, op: SourceOp, place: int) -> Constant:
        """An input that must be known."""
        value = self.value(op, place)
        if not isinstance(value, Constant):
            name = self.name(op.inputs[place])
            raise self.refusal(op, f"its input {name} must be a constant")
        return value

    def given(self, op: SourceOp, place: int) -> Constant | None:
        """An input that must be known if it is there at all."""
        return self.constant(op, place) if self.has(op, place) else None

    def known(self, op: SourceOp, first: int = 0) -> list[np.ndarray | None]:
        """The values of all inputs, None for those left out and before `first`."""
        constants = [self.given(op, place) for place in range(first, len(op.inputs))]
        return [None] * first + [None if c is None else c.real() for c in constants]

    def readers(self, number: int) -> list[SourceOp]:
        """The operators that read a tensor."""
        return self._readers.get(number, [])

    def is_read(self, number: int) -> bool:
        """Whether a tensor is there, and anything needs it."""
        return number >= 0 and bool(
            self.readers(number) or number in self.source.outputs
        )

    def only_reader(self, number: int) -> SourceOp | None:
        """The operator that alone reads a tensor, None where there are others."""
        readers = self.readers(number)
        is_output = number in self.source.outputs
        return readers[0] if len(readers) == 1 and not is_output else None

    @property
    def batch(self) -> Any:
        """The number of samples, `BATCH` where it is open."""
        shape = self.source.tensors[self.source.inputs[0]].shape
        return BATCH if shape[0] == -1 else shape[0]

    def axis(self, op: SourceOp, axis: int, rank: int) -> int:
        """An axis of a sample, of one of a tensor of `rank` axes with the batch."""
        if not -rank <= axis < rank:
            raise FileFormatError(f"{op}: a tensor of {rank} axes has no axis {axis}")
        if axis % rank == 0:
            raise self.refusal(op, "it works along the batch, not on every sample")
        return axis % rank - 1

    # What follows operators.

    def tail(
        self,
        op: SourceOp,
        number: int,
        like: View,
        *,
        linear: Linear | None = None,
        fuses: bool = True,
    ) -> Tail:
        """Take the operators that become part of one layer.

        Parameters
        ----------
        op : SourceOp
        number : int
            Of its output.
        like : View
            Where the elements of the output lie; its symbol is not looked at.
        linear : Linear or None
            The layer's weights, where it has any. Their output channels are our last
            axis.
        fuses : bool
            Whether the layer can have an activation.
        """
        tail = Tail([op], number, linear)
        while tail.after is None and tail.output is None:
            follower = self.only_reader(tail.number)
            if follower is None or not self._takes(tail, follower, like, fuses):
                break
            self.done.add(follower.outputs[0])
            tail.number = follower.outputs[0]
        if tail.after is None and tail.output is None:
            tail.output = self._quantized_later(tail.number)
        return tail

    def _quantized_later(self, number: int) -> QParams | None:
        """What a QuantizeLinear says of a tensor under another shape."""
        follower = self.only_reader(number)
        while follower is not None and follower.inputs[0] == number:
            if follower.kind == "QuantizeLinear":
                return qparams(self, follower)
            if follower.kind not in STILL or follower.outputs[0] < 0:
                break
            number = follower.outputs[0]
            follower = self.only_reader(number)
        return None

    def _takes(self, tail: Tail, op: SourceOp, like: View, fuses: bool) -> bool:
        """Make an operator part of a tail, if it can be."""
        if any(number >= 0 for number in op.outputs[1:]):
            return False
        if op.kind == "QuantizeLinear":
            tail.output = qparams(self, op)
            return True
        if op.kind in NOTHING:
            NOTHING[op.kind](self, op)
            self.builder.drop(str(op), "the output is the input")
            return True
        if tail.activation != "linear":
            return False
        if tail.linear is not None and op.kind in AFFINE:
            place = op.inputs.index(tail.number)
            affine = AFFINE[op.kind](self, op, place, like)
            if affine is None or not tail.fold(affine, like):
                return False
            tail.take(op, "folded")
            return True
        if not fuses or op.kind not in LIMITS:
            return False
        if not tail.clamp(LIMITS[op.kind](self, op), like):
            return False
        tail.take(op, "fused")
        return True

    def passed(
        self, op: SourceOp, why: str = "the output is the input", place: int = 0
    ) -> None:
        """No layer: the output is the input, or a later layer computes it."""
        self.values[op.outputs[0]] = self.view(op, place)
        self.builder.drop(str(op), why)

    # Layers.

    def layer(
        self,
        name: str,
        attrs: Any,
        inputs: Sequence[Symbol],
        tail: Tail,
        params: LinearParams | IntWeights | None = None,
        constants: Constants | None = None,
    ) -> Symbol:
        """A layer with what its tail says, at the scale that follows it."""
        symbol = self.builder.layer(
            name,
            attrs,
            inputs,
            source=tail.source,
            params=params,
            output=tail.output if OPS[name].tracks_output else None,
            constants=constants,
            notes=tail.notes,
            name=tail.ops[0].name,
        )
        return self.requantized(symbol, tail.output)

    def requantized(self, symbol: Symbol, wanted: QParams | None) -> Symbol:
        """The same real values at the scale that a QuantizeLinear asks for."""
        if wanted is None or self.builder.qparams(symbol) == wanted:
            return symbol
        return self.builder.layer(
            "requantize",
            plain("requantize"),
            [symbol],
            source="QuantizeLinear",
            output=wanted,
        )

    def with_weights(
        self, op: SourceOp, like: View, linear: Linear, make: Callable[[Tail], Symbol]
    ) -> None:
        """A layer with weights, and what follows it.

        Parameters
        ----------
        op : SourceOp
        like : View
            Where the elements of its output lie.
        linear : Linear
            Its output channels are our last axis.
        make : Tail -> Symbol
            The layer.
        """
        tail = self.tail(op, op.outputs[0], like, linear=linear)
        self._end(tail, like.of(make(tail)))

    def _end(self, tail: Tail, view: View) -> None:
        """Compute what is left to compute, and give the last tensor its view."""
        while tail.after is not None:
            view, tail = self._cells(tail.ops[-1], tail.number, view, tail.after)
        self.values[tail.number] = view

    def affine(self, op: SourceOp, view: View, affine: Affine) -> None:
        """``k x + b`` by constants."""
        view, tail = self._cells(op, op.outputs[0], view, affine)
        self._end(tail, view)

    def clamp(self, op: SourceOp, view: View, how: Clamped) -> None:
        """An activation between two ``k x + b``."""
        view, tail = self._cells(op, op.outputs[0], view, how.before, how)
        self._end(tail, view)

    def _cells(
        self,
        op: SourceOp,
        number: int,
        view: View,
        affine: Affine,
        how: Clamped | None = None,
    ) -> tuple[View, Tail]:
        """``k x + b`` as a depthwise convolution of one cell, and what follows: an
        activation that is given, or operators."""
        ours = self.builder.shape(view.symbol)
        arrays = affine if how is None else (*affine, *how.after)
        image = image_of(view, ours, arrays)
        if image[2] > MOST_CHANNELS:
            raise self.refusal(
                op, f"its constants are of {image[2]} values; {MOST_CHANNELS} at most"
            )
        k, b = (vector(each, view, image[2]) for each in affine)
        if k is None or b is None:
            raise self.refusal(op, "its constants differ along axes that do not fit")
        linear = self._of_cells(k, b, view.symbol)
        if how is None:
            tail = self.tail(op, number, view, linear=linear)
        else:
            tail = Tail([op], number, linear, how.activation, after=how.after)
        assert tail.linear is not None
        symbol = self.layer(
            "depthwise_conv2d",
            OPS["depthwise_conv2d"].attrs((1, 1), activation=tail.activation),
            [self.arranger.shaped(view.symbol, image, tail.source)],
            tail,
            tail.linear.params,
        )
        return view.of(self.arranger.shaped(symbol, ours, tail.source)), tail

    def _of_cells(self, k: np.ndarray, b: np.ndarray, x: Symbol) -> Linear:
        """The weights of ``k x + b``: integers where the scale of x is known."""
        q = self.builder.qparams(x)
        if q is None:
            return Linear(k.reshape(-1, 1, 1), b)
        ones = Linear(
            np.full((len(k), 1, 1), 127, np.int8),
            np.zeros(len(k), np.int64),
            np.full(len(k), 1 / 127),
        )
        return replace(ones, x_scale=q.scale).scaled(k, b)

    def unary(self, op: SourceOp, view: View, name: str, attrs: Any = None) -> None:
        """A layer that computes each element alone."""
        tail = self.tail(op, op.outputs[0], view, fuses=False)
        attrs = plain(name) if attrs is None else attrs
        self.values[tail.number] = view.of(self.layer(name, attrs, [view.symbol], tail))
