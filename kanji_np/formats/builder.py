"""Layers from the operators of a file, and the table of what became what.

The tables of operators of each format call `Builder`; it makes layers, gives them the
file's parameters and scales, and assembles the network.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kanji_np.checks import lower_identifier
from kanji_np.design import Design
from kanji_np.errors import FileFormatError, OptionError, ShapeError, UnsupportedOp
from kanji_np.layers import (
    Input,
    Layer,
    LinearLayer,
    Symbol,
    TrackedLayer,
    make_layer,
    naming,
)
from kanji_np.model import Model, assembled
from kanji_np.ops import OPS, Op
from kanji_np.ops.flatten import FlattenAttrs
from kanji_np.ops.rescaling import RescalingAttrs
from kanji_np.ops.reshape import ReshapeAttrs
from kanji_np.quantize import SCHEMES
from kanji_np.ranges import FixedRange, RangeTracker
from kanji_np.targets import LIBRARIES
from kanji_np.types import LinearParams, QParams, Shape, TargetSpec

MOST_NAME = 40  # characters of a layer's name
RESHAPES = ("flatten", "reshape")  # operators that change a shape alone


@dataclass(frozen=True, eq=False)
class IntWeights:
    """Weights as a file of integers has them.

    Parameters
    ----------
    weight : int8 (Cout, ...)
        In the layout of `LinearParams`, -128..127.
    bias : int32 (Cout,)
        At the scale of the sums.
    scales : float64 (Cout,)
        Of the weight; zero points are 0.
    """

    weight: np.ndarray
    bias: np.ndarray
    scales: np.ndarray


@dataclass(frozen=True)
class MappedLayer:
    """A row of the table that `kanji-np import` prints.

    Parameters
    ----------
    source : str
        The operators of the file that the layer stands for: "CONV_2D", "Conv + Relu".
    layer : str
        Name of our layer.
    op : str
        Our operator.
    shape : tuple of int
        Of its output.
    scale : str
        Scale and zero point of its output as the file has them, or "".
    notes : tuple of str
        What was fused, folded or left out: "Relu fused", "batch normalization folded".
    """

    source: str
    layer: str
    op: str
    shape: Shape
    scale: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Imported:
    """A network from elsewhere, and how its layers were made."""

    network: Model
    layers: tuple[MappedLayer, ...]
    dropped: tuple[str, ...]


class Builder:
    """Makes a network layer by layer.

    Parameters
    ----------
    target : TargetSpec
    name : str
        Of the network: a C identifier in lower case.
    scheme : str or None
        None: "asymmetric", or the first that the target's library computes with.
    image_layer : Layer or None
        Comes first, so that the network takes uint8 images: `Rescaling`, which gives
        what the file's network takes.
    """

    def __init__(
        self,
        target: TargetSpec,
        name: str,
        *,
        scheme: str | None = None,
        image_layer: Layer | None = None,
    ) -> None:
        self.target, self.image_layer = target, image_layer
        self.name = lower_identifier("a network's name", name)
        if image_layer is not None and not isinstance(
            image_layer.attrs, RescalingAttrs
        ):
            raise OptionError(f"image_layer must be Rescaling, got {image_layer!r}")
        schemes = LIBRARIES[target.library].schemes
        self.scheme = scheme or (
            "asymmetric" if "asymmetric" in schemes else schemes[0]
        )
        self._tensors: dict[Symbol, _Tensor] = {}
        self._input: Symbol | None = None
        self._made: list[_Made] = []
        self._names: Counter[str] = Counter()
        self._dropped: list[str] = []

    def input(self, shape: Shape, qparams: QParams | None = None) -> Symbol:
        """The network's input, without the batch, channels last.

        `qparams` are the file's; None of a float network: calibration finds them.
        """
        self._input = symbol = Input(shape)
        self._tensors[symbol] = _Tensor(shape, qparams)
        if self.image_layer is not None:
            symbol, qparams = self._image(symbol, self.image_layer, qparams)
            self._tensors[symbol] = _Tensor(shape, qparams)
        return symbol

    def layer(
        self,
        op: str,
        attrs: Any,
        inputs: Sequence[Symbol],
        *,
        source: str,
        params: LinearParams | IntWeights | None = None,
        output: QParams | None = None,
        constants: Any = None,
        notes: Sequence[str] = (),
        name: str | None = None,
    ) -> Symbol:
        """One layer.

        Parameters
        ----------
        op : str
            Key of `ops.OPS`.
        attrs : dataclass
            The operator's attributes, with what is fused.
        inputs : sequence of Symbol
        source : str
            What stands in the table, "CONV_2D".
        params : LinearParams (float32), IntWeights or None
            Of an operator with weights.
        output : QParams or None
            The file's, of an operator that tracks its output; it keeps them. Of another
            operator: what its output must have, or UnsupportedOp.
        constants : Constants or None
        notes : sequence of str
            See `MappedLayer`.
        name : str or None
            The layer's, where the file has a telling one: made a C identifier, and
            numbered if used before.

        Raises
        ------
        UnsupportedOp, ShapeError
            The operator does not take these inputs, or cannot have that output.
        """
        operator, xs = OPS[op], [self._tensors[symbol] for symbol in inputs]
        layer = make_layer(operator, attrs, self._unique(name, operator), constants)
        shape = operator.infer(attrs, tuple(x.shape for x in xs))
        if output is not None and not operator.tracks_output:
            self._check_output(operator, attrs, xs, output)
        known = output or self._passed_on(operator, attrs, xs)
        symbol = layer(*inputs)
        self._tensors[symbol] = _Tensor(shape, known)
        self._made.append(_Made(layer, params, output, tuple(inputs), source, notes))
        return symbol

    def shape(self, symbol: Symbol) -> Shape:
        """The shape of a tensor, without the batch."""
        return self._tensors[symbol].shape

    def qparams(self, symbol: Symbol) -> QParams | None:
        """The scale and zero point of a tensor, as far as the file says them."""
        return self._tensors[symbol].qparams

    def drop(self, source: str, why: str) -> None:
        """Note an operator that nothing is made of: "Dropout", "Identity"."""
        self._dropped.append(f"{source}: {why}")

    def finish(self, output: Symbol, *, flat_row: bool = False) -> Imported:
        """The network, built.

        Parameters
        ----------
        output : Symbol
        flat_row : bool
            A softmax at the end becomes flat where it has a single row: as the loss
            takes it, whatever shape the file has.

        Raises
        ------
        UnsupportedOp, ShapeError, AccumulatorOverflow
            A layer does not fit the target; the message names it.
        """
        assert self._input is not None  # tables begin with it
        output = self._ending(self._not_the_input(output), flat_row)
        said = self._tensors[self._input].qparams
        is_open = said is None and self.image_layer is None
        starts = {made.layer.name: made.params for made in self._made}
        keeps = any(
            made.output is not None or isinstance(made.params, IntWeights)
            for made in self._made
        )
        network = assembled(
            Design(
                inputs=self._input,
                outputs=output,
                target=self.target,
                scheme=self.scheme,
                ranges="fixed" if keeps else "minmax",
                start=lambda layer, kind, shape: _start(starts[layer], kind, shape),
                name=self.name,
                input=said or QParams(2.0**-7),
                input_range=RangeTracker() if is_open else None,
            )
        )
        rows = []
        used = set(network.layers)
        for made in (m for m in self._made if m.layer in used):
            with naming(made.layer):
                self._keep(made)
            rows.append(self._row(made))
        return Imported(network, tuple(rows), tuple(self._dropped))

    def _not_the_input(self, output: Symbol) -> Symbol:
        """The output, of a layer that changes nothing where there is none."""
        if output.layer is not None:
            return output
        attrs, note = ReshapeAttrs(self.shape(output)), "the output is the input"
        return self.layer("reshape", attrs, [output], source="output", notes=(note,))

    def _ending(self, output: Symbol, flat_row: bool) -> Symbol:
        """The output, with what changes its shape behind a softmax put before it.

        As the last layer a softmax is left out of training.
        """
        shape, end = self.shape(output), output
        if flat_row and math.prod(shape) == shape[-1]:
            shape = shape[-1:]
        while end.layer is not None and end.layer.op.name in RESHAPES:
            (end,) = end.inputs
        softmax = end.layer
        if softmax is None or not softmax.op.is_in_loss:
            return output
        before = self.shape(end)
        if shape[-1] != before[-1] or (end is output and shape == before):
            return output
        (made,) = (m for m in self._made if m.layer is softmax)
        x = made.inputs[0]
        if self.shape(x) != shape:
            x = self._shaped(x, shape, made)
        ending = softmax(x)
        self._tensors[ending] = replace(self._tensors.pop(end), shape=shape)
        return ending

    def _shaped(self, x: Symbol, shape: Shape, reader: _Made) -> Symbol:
        """The input of a layer under another shape, in the table before it."""
        is_flat = len(shape) == 1
        op = "flatten" if is_flat else "reshape"
        attrs = FlattenAttrs() if is_flat else ReshapeAttrs(shape)
        shaped = self.layer(op, attrs, [x], source=reader.source)
        self._made.insert(self._made.index(reader), self._made.pop())
        return shaped

    def _image(
        self, symbol: Symbol, given: Layer, wanted: QParams | None
    ) -> tuple[Symbol, QParams]:
        """The output of an image layer, of the scale and zero point that are wanted."""
        attrs = given.attrs
        assert isinstance(attrs, RescalingAttrs)
        if wanted is None:
            ends = attrs.of(np.array([[0.0], [255.0]]))
            scheme = SCHEMES[self.scheme]
            wanted = scheme.activation_qparams(float(ends.min()), float(ends.max()))
        attrs = replace(
            attrs, output_scale=wanted.scale, output_zero_point=wanted.zero_point
        )
        name = self._unique(given.name or None, given.op)
        return make_layer(given.op, attrs, name)(symbol), wanted

    def _keep(self, made: _Made) -> None:
        """Give a built layer the integers and scales of the file."""
        layer = made.layer
        self._check_scales(made)
        if made.output is not None and isinstance(layer, TrackedLayer):
            assert isinstance(layer.output_range, FixedRange)
            layer.output_range.keep(made.output.scale, made.output.zero_point)
        if isinstance(made.params, IntWeights):
            assert isinstance(layer, LinearLayer)
            x = self._tensors[made.inputs[0]].qparams
            if x is None:
                raise UnsupportedOp(
                    f"{made.source} has integer weights, and its input no scale"
                )
            layer.keep(made.params.weight, made.params.bias, made.params.scales, x)

    def _check_scales(self, made: _Made) -> None:
        """UnsupportedOp if the scheme has no such scales or zero points."""
        scheme, scales = SCHEMES[self.scheme], np.zeros(0)
        if isinstance(made.params, IntWeights):
            scales = made.params.scales
        if made.output is not None:
            scales = np.append(scales, made.output.scale)
            if made.output.zero_point and not scheme.asymmetric:
                raise UnsupportedOp(
                    f"scheme {scheme.name} has zero points of 0; the output's is "
                    f"{made.output.zero_point}"
                )
        others = scales[np.frexp(scales)[0] != 0.5]
        if scheme.pow2 and others.size:
            raise UnsupportedOp(
                f"scheme {scheme.name} has scales that are powers of two, not "
                f"{others[0]:.6g}"
            )

    def _row(self, made: _Made) -> MappedLayer:
        symbol = next(s for s in self._tensors if s.layer is made.layer)
        tensor = self._tensors[symbol]
        return MappedLayer(
            source=made.source,
            layer=made.layer.name,
            op=made.layer.op.name,
            shape=tensor.shape,
            scale="" if tensor.qparams is None else str(tensor.qparams),
            notes=tuple(made.notes),
        )

    def _passed_on(self, op: Op, attrs: Any, xs: Sequence[_Tensor]) -> QParams | None:
        """The QParams of the output that follow from the inputs'."""
        if op.tracks_output or any(x.qparams is None for x in xs):
            return None
        qparams = tuple(x.qparams for x in xs)
        return op.output_qparams(attrs, qparams, self.target.numerics)

    def _check_output(
        self, op: Op, attrs: Any, xs: Sequence[_Tensor], wanted: QParams
    ) -> None:
        given = self._passed_on(op, attrs, xs)
        if given is not None and given != wanted:
            raise UnsupportedOp(
                f"{op.name} gives an output of scale {given}, the file has {wanted}"
            )

    def _unique(self, name: str | None, op: Op) -> str:
        """A C identifier that no other layer has."""
        if name is not None:
            name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:MOST_NAME]
        if not name or not name.isidentifier():
            name = op.short_name or op.name
            self._names[name] += 1
            return f"{name}{self._names[name]}"
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}_{self._names[name]}"


@dataclass(frozen=True)
class _Tensor:
    """What is known of a tensor while the network is made."""

    shape: Shape
    qparams: QParams | None


@dataclass(frozen=True, eq=False)
class _Made:
    """A layer and what it is to get once it is built."""

    layer: Layer
    params: LinearParams | IntWeights | None
    output: QParams | None
    inputs: tuple[Symbol, ...]
    source: str
    notes: Sequence[str]


def _start(
    params: LinearParams | IntWeights | None, kind: str, shape: Shape
) -> np.ndarray:
    """What a parameter begins with; an error if the file's has another shape, or holds
    a NaN or an infinity."""
    if not isinstance(params, LinearParams):
        return np.zeros(shape, np.float32)
    values: np.ndarray = getattr(params, kind)
    if values.shape != shape:
        raise ShapeError(f"the {kind} must have shape {shape}, got {values.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise FileFormatError(f"the {kind} holds a value that is not finite in float32")
    return values
