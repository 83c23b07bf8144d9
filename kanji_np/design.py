"""What a network is made from: its layers and their order, and what its input means."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kanji_np.checks import number, shown
from kanji_np.errors import OptionError, ShapeError, UnsupportedOp
from kanji_np.layers import Dropout, Layer, Start, Symbol, naming
from kanji_np.ops.attributes import sample_shape
from kanji_np.quantize import FINEST, LARGEST, Scheme
from kanji_np.ranges import RangeTracker
from kanji_np.types import QParams, Shape, TargetSpec, TensorSpec

Wires = tuple[int, ...]
#: Of each tensor that a layer reads the number of the Dropout on its way, or None.
Drops = tuple[int | None, ...]

#: Of a class's name in UTF-8, so that it is a string that every C compiler takes.
MOST_NAME_BYTES = 255


@dataclass(frozen=True)
class Design:
    """What a network is made from; see `Model`.

    `start` says what the parameters of each layer start from. `input` are the QParams
    of an int8 input; it is calibrated where `input_range` has a tracker. `classes` are
    the names of the outputs, or nothing.
    """

    inputs: Symbol
    outputs: Symbol
    target: TargetSpec
    scheme: str
    ranges: str
    start: Start
    name: str
    input: QParams
    input_range: RangeTracker | None = None
    classes: Iterable[str] = ()


@dataclass
class Wiring:
    """The layers of a network, each after those it reads, and what each reads.

    Parameters
    ----------
    layers : list of Layer
    wires : list of tuple of int
        The tensors that each layer reads, numbered as in `Node.inputs`.
    dropouts : list of Dropout
    drops : list of tuple
        Of each wire the Dropout on it, a place in `dropouts`, or None.
    """

    layers: list[Layer] = field(default_factory=list)
    wires: list[Wires] = field(default_factory=list)
    dropouts: list[Dropout] = field(default_factory=list)
    drops: list[Drops] = field(default_factory=list)


def wired(inputs: Symbol, outputs: Symbol) -> Wiring:
    """The layers that `outputs` depends on."""
    for symbol, what in ((inputs, "inputs"), (outputs, "outputs")):
        if not isinstance(symbol, Symbol):
            raise OptionError(
                f"{what} must be what Input or a layer gave, not {symbol!r}"
            )
    if inputs.layer is not None or outputs.layer is None:
        raise OptionError("a network goes from an Input to the output of a layer")
    if isinstance(outputs.layer, Dropout):
        raise OptionError("a network cannot end with Dropout: it drops what is read")
    number: dict[Symbol, int] = {inputs: 0}
    dropout: dict[Symbol, int] = {}
    found = Wiring()
    pending = [outputs]
    while pending:
        symbol = pending[-1]
        if symbol.layer is None and symbol is not inputs:
            raise OptionError(
                "the outputs depend on an Input that is not the network's"
            )
        missing = [x for x in symbol.inputs if x not in number]
        if missing:
            pending.append(missing[0])
            continue
        pending.pop()
        if symbol.layer is None or symbol in number:
            continue
        if isinstance(symbol.layer, Dropout):
            (source,) = _read_by_dropout(symbol.layer, symbol.inputs, dropout)
            number[symbol], dropout[symbol] = number[source], len(found.dropouts)
            found.dropouts.append(symbol.layer)
            continue
        found.wires.append(tuple(number[x] for x in symbol.inputs))
        found.drops.append(tuple(dropout.get(x) for x in symbol.inputs))
        found.layers.append(symbol.layer)
        number[symbol] = len(found.layers)
    return found


def _read_by_dropout(
    layer: Dropout, inputs: tuple[Symbol, ...], dropouts: Container[Symbol]
) -> tuple[Symbol, ...]:
    """What a Dropout reads, checked."""
    with naming(layer):
        if len(inputs) != 1:
            raise ShapeError(f"dropout takes 1 input, got {len(inputs)}")
        if inputs[0] in dropouts:
            raise OptionError("reads another Dropout: make one of both")
    return inputs


def check_goes_on(layer: Layer, target: TargetSpec) -> None:
    """UnsupportedOp if other layers must not read a layer."""
    op = layer.op
    why = op.only_last(op.numerics(layer.attrs, target.numerics_of(op.name)))
    if why is not None:
        raise UnsupportedOp(
            f"{target.library}'s {op.name} must be the last layer: {why}"
        )


def class_names(names: Iterable[str], outputs: Shape) -> tuple[str, ...]:
    """The names of a network's outputs, checked; OptionError if they do not fit."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise OptionError(f"classes must be names, got {shown(names)}")
    found = tuple(names)
    for name in found:
        if not isinstance(name, str) or not _is_short(name):
            raise OptionError(
                f"the name of a class must be text of at most {MOST_NAME_BYTES} bytes "
                f"in UTF-8, got {shown(name)}"
            )
    if found and (len(found),) != outputs:
        raise OptionError(
            f"classes must be a name for each output, {outputs}, or none; got "
            f"{len(found)}"
        )
    return found


def _is_short(name: str) -> bool:
    try:
        return len(name.encode()) <= MOST_NAME_BYTES
    except UnicodeEncodeError:  # half a character
        return False


def name_layers(layers: Sequence[Layer]) -> None:
    """Name the unnamed: conv1, pool1, conv2 ...; OptionError on a name used twice."""
    seen: Counter[str] = Counter()
    for layer in layers:
        short = layer.op.short_name or layer.op.name
        seen[short] += 1
        if not layer.name:
            layer.name = f"{short}{seen[short]}"
    twice = [
        n for n, count in Counter(layer.name for layer in layers).items() if count > 1
    ]
    if twice:
        raise OptionError(f"layer names must be unique; used twice: {', '.join(twice)}")


def input_quantization(
    scheme: Scheme,
    scale: float,
    qparams: QParams | None,
    given: tuple[float, float] | str | None,
) -> tuple[QParams, RangeTracker | None]:
    """What the integers of the input mean, and the tracker that is to find it."""
    scale = number("input_scale", scale, FINEST, LARGEST)
    if math.frexp(scale)[0] != 0.5:
        raise OptionError(
            f"input_scale must be a power of two, got {scale}; input_qparams takes any"
        )
    if qparams is not None and given is not None:
        raise OptionError("input_qparams and input_range exclude each other")
    if qparams is not None:
        if not isinstance(qparams, QParams):
            raise OptionError(f"input_qparams must be QParams, got {shown(qparams)}")
        return qparams, None
    if given is None:
        return QParams(scale), None
    if isinstance(given, str) and given == "data":
        return QParams(scale), RangeTracker()
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise OptionError(
            f'input_range must be (low, high) or "data", got {shown(given)}'
        )
    low, high = (number("input_range", end, -LARGEST, LARGEST) for end in given)
    if low >= high:
        raise OptionError(f"input_range must rise, got {shown(given)}")
    return scheme.activation_qparams(low, high), None


def check_qparams(scheme: Scheme, qparams: QParams | None) -> None:
    """OptionError if a scheme has no such scale or zero point."""
    if qparams is None:
        return
    if scheme.pow2 and math.frexp(qparams.scale)[0] != 0.5:
        raise OptionError(
            f"scheme {scheme.name} has scales that are powers of two; the input's is "
            f"{qparams.scale}"
        )
    if qparams.zero_point and not scheme.asymmetric:
        raise OptionError(
            f"scheme {scheme.name} has zero points of 0; the input's is "
            f"{qparams.zero_point}"
        )


def input_spec(given: Any, first: Layer, qparams: QParams) -> TensorSpec:
    image = first.op.reads_image
    try:
        shape = sample_shape("input_shape", given)
    except OptionError:
        raise ShapeError(
            f"input_shape must be (H, W, C) or (K,), all positive, got {shown(given)}"
        ) from None
    return TensorSpec(shape, "uint8" if image else "int8", None if image else qparams)
