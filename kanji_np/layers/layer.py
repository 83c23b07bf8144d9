"""What a layer is: an operator with its attributes, where operators meet the tape.

Going forward in int8 a layer runs the operator's `forward_int`, the very integers of
the device, and leaves the operator's `vjp` on the tape. The gradient is taken as if
rounding were not there ("straight through"), and stops at values that were clamped.
Layers that track ranges are in `tracked`, those that multiply by weights in `linear`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from kanji_np.autograd import Tensor, record
from kanji_np.checks import shown
from kanji_np.errors import KanjiError, OptionError, ShapeError
from kanji_np.loops import buffers
from kanji_np.ops import Op
from kanji_np.ops.attributes import argument_name
from kanji_np.quantize import Scheme
from kanji_np.targets import generates_c
from kanji_np.types import (
    Arrays,
    KernelCall,
    Numerics,
    QParams,
    Saved,
    Shape,
    TargetSpec,
    TensorSpec,
)

Forward = Callable[..., np.ndarray]
#: (layer's name, "weight" or "bias", shape) -> float32, what training starts from.
Start = Callable[[str, str, Shape], np.ndarray]


def drawn(rng: np.random.Generator) -> Start:
    """Weights from He's uniform distribution; biases of zero."""

    def start(layer: str, kind: str, shape: Shape) -> np.ndarray:
        if kind == "bias":
            return np.zeros(shape, np.float32)
        limit = math.sqrt(6 / math.prod(shape[1:]))
        return rng.uniform(-limit, limit, shape).astype(np.float32)

    return start


@dataclass(frozen=True)
class Activation:
    """A tensor between layers, of integers or real values.

    Gradients are float32 with respect to the real value in both cases.

    Parameters
    ----------
    tensor : Tensor (N, ...)
        int8 (or a uint8 image), or floating.
    qparams : QParams or None
        None: the values are real.
    """

    tensor: Tensor
    qparams: QParams | None

    def real(self) -> Tensor:
        """The real values as a floating Tensor (N, ...) on the same tape."""
        if self.qparams is None:
            return self.tensor
        return record(self.values(), (self.tensor,), lambda g: (g,), "dequantize")

    def values(self, step: int = 1) -> np.ndarray:
        """The real values, float32.

        Parameters
        ----------
        step : int
            Of every so many samples one is taken.
        """
        data = self.tensor.data[::step]
        if self.qparams is None:
            return data
        zero, scale = map(np.float32, (self.qparams.zero_point, self.qparams.scale))
        values = buffers.empty(data.shape, np.float32)
        np.subtract(data, zero, out=values, dtype=np.float32)
        return np.multiply(values, scale, out=values)


@dataclass(frozen=True)
class Quantization:
    """How a network is quantized: its scheme, and the name of its range trackers."""

    scheme: Scheme
    ranges: str


class Symbol:
    """What a layer gives when it is called: a tensor of a network yet to be made.

    `Input` and layers make it.

    Parameters
    ----------
    layer : Layer or None
        None: an input of the network, of shape `shape`.
    inputs : tuple of Symbol
        What the layer was called on.
    shape : tuple of int or None
        Of an input of the network, without the batch.
    """

    def __init__(
        self,
        layer: Layer | None,
        inputs: tuple[Symbol, ...] = (),
        shape: Shape | None = None,
    ) -> None:
        self.layer = layer
        self.inputs = inputs
        self.shape = shape


def Input(shape: Shape) -> Symbol:  # noqa: N802 - Keras's name
    """The input of a network with branches; see `Model`.

    Parameters
    ----------
    shape : (H, W, C) or (K,)
        Of one sample.

    Returns
    -------
    Symbol
        For layers to be called on.
    """
    return Symbol(None, shape=shape)


class Layer:
    """One operator with its attributes.

    Parameters
    ----------
    op : Op
    attrs : dataclass
        Of the type `op.attrs`.
    name : str or None
        None: the model names it after its operator.
    constants : Constants or None
        What the operator has fixed when the layer is made (the mean of `Normalize`).
    """

    has_parameters = False
    numerics: Numerics  # the operator's on the target, once the layer is built
    scheme: Scheme  # the network's, as far as operator and target allow

    def __init__(
        self, op: Op, attrs: Any, name: str | None = None, constants: Any = None
    ) -> None:
        is_word = isinstance(name, str) and name.isascii() and name.isidentifier()
        if name is not None and not is_word:
            raise OptionError(f"a layer's name must be a C identifier, got {name!r}")
        self.op = op
        self.attrs = attrs
        self.name = name or ""
        if op.constants is not None:
            constants.check(attrs)
        self.constants = constants
        self.is_built = False

    def __call__(self, *inputs: Symbol | Sequence[Symbol]) -> Symbol:
        """The layer's output for one tensor, or for several, also as a list."""
        first = inputs[0] if len(inputs) == 1 else inputs
        symbols: tuple[Any, ...] = (
            (first,) if isinstance(first, Symbol) else tuple(first)
        )
        for symbol in symbols:
            if not isinstance(symbol, Symbol):
                raise OptionError(
                    f"{self!r} is called on what Input or another layer gave, not on "
                    f"{type(symbol).__name__}"
                )
        return Symbol(self, symbols)

    def build(
        self,
        shapes: tuple[Shape, ...],
        target: TargetSpec,
        quantization: Quantization,
        start: Start,
    ) -> tuple[Shape, tuple[KernelCall, ...]]:
        """Take the shapes of its inputs, make the parameters.

        Parameters
        ----------
        shapes : tuple of tuple of int
            Of each input, without the batch.
        target : TargetSpec
        quantization : Quantization
            The network's scheme and kind of range trackers.
        start : (layer's name, "weight" or "bias", shape) -> float32 array
            What training starts from.

        Returns
        -------
        shape : tuple of int
            Of the output.
        calls : tuple of KernelCall
            What the layer becomes, with integers that only have the right shapes. None
            where the target is a runtime, for which no C is generated.

        Raises
        ------
        ShapeError, AccumulatorOverflow, UnsupportedOp
            If the layer does not fit its inputs, int32 or the target.
        OptionError
            If the layer is part of a network already.
        """
        if self.is_built:
            raise OptionError("is part of a network already: make another layer")
        wanted = self.op.inputs
        if len(shapes) != wanted and not (wanted is None and len(shapes) > 1):
            raise ShapeError(
                f"{self.op.name} takes {wanted or 'two or more'} "
                f"input{'s' * (wanted != 1)}, got {len(shapes)}"
            )
        output = self.op.infer(self.attrs, shapes)
        y = TensorSpec(output, "int8", QParams(1.0))
        numerics = target.numerics_of(self.op.name)
        self.numerics = self.op.numerics(self.attrs, numerics)
        self.scheme = self._scheme(quantization.scheme, target)
        ints = self._make(shapes, quantization.ranges, start)
        dtype = "uint8" if self.op.reads_image else "int8"
        xs = tuple(TensorSpec(shape, dtype, QParams(1.0)) for shape in shapes)
        calls: tuple[KernelCall, ...] = ()
        if generates_c(target):
            calls = self.op.lower(self.attrs, ints, xs, y, target)
        self.is_built = True
        return output, calls

    def _scheme(self, scheme: Scheme, target: TargetSpec) -> Scheme:
        """A network's scheme as far as operator and target allow."""
        return scheme

    def _make(self, shapes: tuple[Shape, ...], ranges: str, start: Start) -> Any:
        """Make the parameters; integers of the right shapes to try the target with."""
        one = QParams(1.0)
        return self._ints((one,) * len(shapes), one)

    def named_parameters(self) -> dict[str, Tensor]:
        """What training changes."""
        return {}

    def state(self) -> dict[str, np.ndarray]:
        """What training changes, and all that it tracks; see `Model.state`."""
        return {name: p.data for name, p in self.named_parameters().items()}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take over checked arrays.

        Parameters
        ----------
        state : dict of ndarray
            As `state` gives them.
        """
        for name, parameter in self.named_parameters().items():
            parameter.data = state[name]

    def forget_ranges(self) -> None:
        """Make every range one that is yet to be seen."""

    @property
    def is_calibrated(self) -> bool:
        """Whether everything the layer quantizes has a range."""
        return True

    def frozen(self, *x: QParams | None) -> tuple[Any, QParams]:
        """The integers of the layer as it stands, and the QParams of its output.

        Parameters
        ----------
        *x : QParams or None
            Of each input; None of an image.

        Returns
        -------
        ints : dataclass
            What the operator's `forward_int` takes.
        y : QParams
        """
        y = self.op.output_qparams(self.attrs, x, self.numerics)
        return self._ints(x, y), y

    def _ints(self, x: tuple[QParams | None, ...], y: QParams) -> Any:
        if self.op.ints is None:
            return self.constants
        given = (self.attrs, x, y, self.numerics)
        if self.op.constants is not None:
            return self.op.ints(*given, self.constants)
        return self.op.ints(*given)

    def forward_int(self, *x: Activation, track: bool) -> Activation:
        """The device's integers forward, the straight-through gradient backward.

        Parameters
        ----------
        *x : Activation
            int8 (or a uint8 image) (N, ...).
        track : bool
            Whether the ranges take in this batch, as they do in training.
        """
        ints, y_qparams = self.frozen(*(value.qparams for value in x))
        return self._recorded(x, self.op.run_int, ints, y_qparams)

    def forward_float(self, *x: Activation, track: bool) -> Activation:
        """The smooth function, in float32: fp32 training and its baseline.

        Parameters
        ----------
        *x : Activation
            Floating (or a uint8 image) (N, ...).
        track : bool
            Whether batch normalization takes in this batch.
        """
        return self._recorded(x, self.op.run_float, self.constants, None)

    def _recorded(
        self,
        x: Sequence[Activation],
        forward: Forward,
        ints: Any,
        y_qparams: QParams | None,
    ) -> Activation:
        """The output on the tape; what the vjp needs is kept, and no tensor."""
        op, attrs = self.op, self.attrs
        data, extra = arrays(x), None
        if op.fast.forward_train is not None and any(needs_gradients(x)):
            y, extra = op.fast.forward_train(attrs, ints, data)
        else:
            y = forward(attrs, ints, data)
        saved = self._saved(x, y, (-math.inf, math.inf), extra)
        return Activation(self._on_tape(x, saved), y_qparams)

    def _on_tape(self, x: Sequence[Activation], saved: Saved) -> Tensor:
        """`saved.y` on the tape, of a layer without weights."""
        op, attrs, constants = self.op, self.attrs, self.constants
        needs_gx = needs_gradients(x)

        def vjp(gy: np.ndarray) -> tuple[np.ndarray | None, ...]:
            return op.run_vjp(attrs, constants, saved, gy, needs_gx)[0]

        return record(saved.y, [value.tensor for value in x], vjp, self.name)

    def _saved(
        self,
        x: Sequence[Activation],
        y: np.ndarray,
        bounds: tuple[float, float],
        extra: Any = None,
    ) -> Saved:
        qparams = [value.qparams or QParams(1.0) for value in x]
        scales = tuple(q.scale for q in qparams)
        offsets = tuple(-q.zero_point for q in qparams)
        return Saved(arrays(x), y, scales, offsets, *bounds, extra=extra)

    @property
    def kind(self) -> str:
        """The name of the layer as users write it: "Conv2D"."""
        if self.op.layer is not None:
            return self.op.layer
        words = self.op.name.split("_")  # as the classes of `keras` are called
        named = "".join(word[:1].upper() + word[1:] for word in words)
        return re.sub(r"(?<=\d)d", "D", named)

    @property
    def n_parameters(self) -> int:
        """Weights and biases on the device; batch normalization is folded into them."""
        return 0

    def _attributes_told(self) -> dict[str, Any]:
        """Attributes that are not the defaults, by the names of the arguments."""
        return {
            argument_name(f): value
            for f in fields(self.attrs)
            if (value := getattr(self.attrs, f.name)) != f.default
        }

    def __repr__(self) -> str:
        told = dict(vars(self.constants)) if self.op.constants is not None else {}
        told |= self._attributes_told()
        if self.name:
            told["name"] = self.name
        return f"{self.kind}({', '.join(f'{k}={shown(v)}' for k, v in told.items())})"


def arrays(values: Sequence[Activation]) -> Arrays:
    """The data of activations, as operators take them."""
    return tuple(value.tensor.data for value in values)


def needs_gradients(values: Sequence[Activation]) -> tuple[bool, ...]:
    """Of each activation whether its gradient is asked for."""
    return tuple(value.tensor.requires_grad for value in values)


@contextmanager
def naming(layer: Layer) -> Iterator[None]:
    """Errors of this package that leave this context name the layer."""
    try:
        yield
    except KanjiError as error:
        raise type(error)(f"layer {layer.name!r}: {error}") from error
