"""The format of model files: a header of JSON, and arrays.

A network is stored as its layers and how they are wired. `snapshot` writes them down,
`design` says what a network is made from again, and `restore` gives it its ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kanji_np import archive, outputs, schema
from kanji_np.checks import integer
from kanji_np.design import Design
from kanji_np.errors import FileFormatError, KanjiError
from kanji_np.layers import (
    EPSILON,
    Dropout,
    Input,
    Layer,
    LinearLayer,
    Statistics,
    Symbol,
    TrackedLayer,
    make_layer,
    naming,
)
from kanji_np.network import Network
from kanji_np.ops import OPS
from kanji_np.ops.op import attrs_from_json, attrs_to_json
from kanji_np.quantize import FINEST, INPUT_SCALE, LARGEST, SCHEMES, KeptInts
from kanji_np.ranges import TRACKERS, RangeTracker, refitted
from kanji_np.targets import target_spec
from kanji_np.types import QParams, TargetSpec

Made = TypeVar("Made", bound=Network)

KIND, FORMAT = "kanji_np model", 2

is_model = archive.is_kind(KIND)

_NUMBERS = schema.number(-3.4e38, 3.4e38)


def _numbers(place: str, value: Any) -> Any:
    """One number, or a list of them."""
    rule = schema.array(_NUMBERS, 1) if isinstance(value, list) else _NUMBERS
    return rule(place, value)


_TRACKER = schema.record(
    {
        "low": _numbers,
        "high": _numbers,
        "momentum": schema.number(0, 1),
        "updates": schema.integer(),
        "scale": _numbers,
        "zero_point": schema.integer(-128, 127),
    },
    optional=("scale", "zero_point"),
)


_LAYER = schema.record(
    {
        "op": schema.one_of(OPS),  # as it is then: programs add operators
        "name": schema.text,
        "attrs": schema.mapping(schema.anything),  # `Attributes` checks them
        "inputs": schema.array(schema.integer(), 1),
        "ranges": schema.mapping(_TRACKER),
        "batch_norm": schema.columns(schema.integer(), schema.flag),
        "epsilon": schema.number(0, LARGEST),
        "drops": schema.array(schema.nullable(schema.integer()), 1),
    },
    optional=("ranges", "batch_norm", "epsilon", "drops"),
)

_DROPOUT = schema.record({"name": schema.text, "rate": schema.number(0, 1)})

#: The header of a model file.
HEADER = schema.record(
    {
        "kind": schema.text,
        "format": schema.version(FORMAT),
        "name": schema.text,
        "target": schema.columns(*[schema.text] * 4),
        "trained_for": schema.columns(*[schema.text] * 4),
        "scheme": schema.one_of(SCHEMES),
        "ranges": schema.one_of(TRACKERS),
        "input_shape": schema.array(schema.integer(1), 1),
        "input_scale": schema.nullable(schema.number(FINEST, LARGEST)),
        "input_zero_point": schema.integer(-128, 127),
        "input_range": _TRACKER,
        "layers": schema.array(_LAYER, 1),
        "classes": schema.array(schema.string, 1),
        "dropouts": schema.array(_DROPOUT, 1),
    },
    optional=(
        "trained_for",
        "input_zero_point",
        "input_range",
        "classes",
        "dropouts",
    ),
)


def write(network: Network, path: str | Path) -> None:
    """Write a network to a file, atomically; OptionError if it is no model's."""
    outputs.check(path, is_model, "a model", "choose another name")
    archive.write(path, *snapshot(network))


def read(
    path: str | Path,
    make: Callable[[dict[str, Any], dict[str, np.ndarray]], Made],
) -> Made:
    """The network that `make` makes of a file's header and arrays.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, altered, or not a model.
    """
    header, arrays = archive.read(path, KIND)
    try:
        header = HEADER("", header)
        network = make(header, arrays)
        archive.check_names(arrays, snapshot(network)[1])
    except KanjiError as error:
        raise FileFormatError(
            f"{path}: not a model this version reads: {error}"
        ) from None
    return network


def snapshot(network: Network) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays that `design` and `restore` make the network from."""
    arrays = {name: p.data for name, p in network.named_parameters()}
    layers = []
    for layer, wires, drops in zip(
        network.layers, network.wiring, network.drops, strict=True
    ):
        entry: dict[str, Any] = {
            "op": layer.op.name,
            "name": layer.name,
            "attrs": attrs_to_json(layer.attrs),
            "inputs": wires,
        }
        if any(d is not None for d in drops):
            entry["drops"] = drops
        for kind, values in constants_of(layer).items():
            arrays[f"{layer.name}/{kind}"] = values
        if isinstance(layer, TrackedLayer):
            entry["ranges"] = {n: t.state() for n, t in layer.trackers().items()}
        norm = layer.norm if isinstance(layer, LinearLayer) else None
        if isinstance(layer, LinearLayer) and layer.kept is not None:
            arrays[f"{layer.name}/bias_residue"] = layer.kept.bias_residue
        if norm is not None:
            entry["batch_norm"] = [norm.updates, norm.is_frozen]
            arrays[f"{layer.name}/moving_mean"] = norm.moving.mean
            arrays[f"{layer.name}/moving_var"] = norm.moving.var
            if norm.moving.epsilon != EPSILON:
                entry["epsilon"] = norm.moving.epsilon
        layers.append(entry)
    qparams = network.input.qparams
    header: dict[str, Any] = {
        "kind": KIND,
        "format": FORMAT,
        "name": network.name,
        "target": _target_columns(network.target),
        "scheme": network.quantization.scheme.name,
        "ranges": network.quantization.ranges,
        "input_shape": network.input.shape,
        "input_scale": qparams.scale if qparams else None,
        "layers": layers,
    }
    if network.trained_for is not None:
        header["trained_for"] = _target_columns(network.trained_for)
    if qparams is not None and qparams.zero_point:
        header["input_zero_point"] = qparams.zero_point
    if network.input_range is not None:
        header["input_range"] = network.input_range.state()
    if network.classes:
        header["classes"] = network.classes
    if network.dropouts:
        header["dropouts"] = [
            {"name": dropout.name, "rate": dropout.rate} for dropout in network.dropouts
        ]
    return header, arrays


def constants_of(layer: Layer) -> dict[str, np.ndarray]:
    """What the layer's operator has fixed, by name."""
    kind = layer.op.constants
    names = [f.name for f in fields(kind)] if kind is not None else []
    return {name: getattr(layer.constants, name) for name in names}


def design(
    header: dict[str, Any],
    arrays: dict[str, np.ndarray],
    target: TargetSpec | None = None,
) -> Design:
    """What a network of a snapshot is made from, by default for its own target."""
    values = [Input(tuple(header["input_shape"]))]
    dropped = _Dropped(header.get("dropouts", ()))
    for i, entry in enumerate(header["layers"]):
        layer = _layer_of(f"layers[{i}]", entry, arrays)
        inputs = [
            values[integer(f"layers[{i}].inputs[{n}]", k, 0, i)]
            for n, k in enumerate(entry["inputs"])
        ]
        if "drops" in entry:
            inputs = dropped.on_the_way(f"layers[{i}].drops", entry["drops"], inputs)
        values.append(layer(*inputs))
    qparams, input_range = _input_of(header)
    return Design(
        inputs=values[0],
        outputs=values[-1],
        target=target or _target_of(header["target"]),
        scheme=header["scheme"],
        ranges=header["ranges"],
        start=lambda layer, kind, shape: archive.stored(
            arrays, f"{layer}/{kind}", shape
        ),
        name=header["name"],
        input=qparams,
        input_range=input_range,
        classes=tuple(header.get("classes", ())),
    )


class _Dropped:
    """What stands behind each Dropout of a header."""

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        self.entries = entries
        self.symbols: dict[int, Symbol] = {}

    def on_the_way(
        self, place: str, drops: Sequence[int | None], inputs: Sequence[Symbol]
    ) -> list[Symbol]:
        """What a layer reads, of its inputs, where it reads some through a Dropout."""
        if len(drops) != len(inputs):
            raise FileFormatError(f"{place}: {len(inputs)} inputs, {len(drops)} drops")
        found = []
        for n, (d, symbol) in enumerate(zip(drops, inputs, strict=True)):
            if d is not None:
                d = integer(f"{place}[{n}]", d, 0, len(self.entries) - 1)
                if d not in self.symbols:
                    layer = Dropout(self.entries[d]["rate"], self.entries[d]["name"])
                    self.symbols[d] = layer(symbol)
                if self.symbols[d].inputs != (symbol,):
                    raise FileFormatError(f"{place}[{n}] reads another tensor, too")
                symbol = self.symbols[d]
            found.append(symbol)
        return found


def _target_columns(target: TargetSpec) -> list[str]:
    return [target.library, target.version, target.core, target.rounding]


def _target_of(columns: Sequence[str]) -> TargetSpec:
    library, version, core, rounding = columns
    return target_spec(library, version=version, core=core, rounding=rounding)


def _input_of(header: dict[str, Any]) -> tuple[QParams, RangeTracker | None]:
    """What the integers of the input stand for, and the tracker that finds it."""
    qparams = QParams(header["input_scale"] or 1.0, header.get("input_zero_point", 0))
    if "input_range" not in header:
        return qparams, None
    tracker = RangeTracker()
    tracker.restore(header["input_range"])
    return qparams, tracker


def _layer_of(place: str, entry: dict[str, Any], arrays: dict[str, Any]) -> Layer:
    """The layer of an entry of a header; errors name its place there."""
    op, name = OPS[entry["op"]], entry["name"]
    try:
        attrs = attrs_from_json(op.attrs, entry["attrs"])
        constants = None
        if op.constants is not None:
            kinds = [f.name for f in fields(op.constants)]
            constants = op.constants(
                **{k: archive.member(arrays, f"{name}/{k}") for k in kinds}
            )
        return make_layer(op, attrs, name, constants, batch_norm="batch_norm" in entry)
    except KanjiError as error:
        raise type(error)(f"{place}: {error}") from None


def with_quantization(
    header: dict[str, Any],
    scheme: str | None,
    ranges: str | None,
    weight_bits: int | None,
) -> dict[str, Any]:
    """A header with other scales; see `Model.with_quantization`."""
    layers = header["layers"]
    if weight_bits is not None:
        layers = [_with_bits(entry, weight_bits) for entry in layers]
    if "input_range" in header:  # to be found anew, as those of the layers
        unknown = {"input_scale": INPUT_SCALE, "input_zero_point": 0}
        header = header | unknown | {"input_range": RangeTracker().state()}
    return header | {
        "scheme": scheme or header["scheme"],
        "ranges": ranges or header["ranges"],
        "layers": layers,
    }


def _with_bits(entry: dict[str, Any], weight_bits: int) -> dict[str, Any]:
    weights = OPS[entry["op"]].weights
    stays = weights is None or weights.keeps_bits
    if stays or "weight_bits" not in entry["attrs"]:
        return entry
    return entry | {"attrs": entry["attrs"] | {"weight_bits": weight_bits}}


def with_ranges_for(
    network: Network, header: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A snapshot with as many ranges of each weight as a network has.

    Fully connected layers have one, or one for each output, as their target takes them.

    Raises
    ------
    UnsupportedOp
        Scales that a file gave would have to become one, and differ.
    """
    layers, arrays = list(header["layers"]), dict(arrays)
    for i, (layer, entry) in enumerate(zip(network.layers, layers, strict=True)):
        if not isinstance(layer, LinearLayer):
            continue
        name = f"{layer.name}/weight_range_theta"
        with naming(layer):
            state, theta = refitted(
                entry["ranges"]["weight_range"],
                arrays.get(name),
                layer.weight_range.low.shape,
            )
        ranges = entry["ranges"] | {"weight_range": state}
        layers[i] = entry | {"ranges": ranges}
        if theta is not None:
            arrays[name] = theta
    return header | {"layers": layers}, arrays


def restore(
    network: Network, header: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Take over weights and ranges that `snapshot` gave of an equal network."""
    mine = [(layer.op.name, layer.name) for layer in network.layers]
    if mine != [(entry["op"], entry["name"]) for entry in header["layers"]]:
        raise FileFormatError("layers: those of the network are others")
    trained_for = header.get("trained_for")
    network.trained_for = None if trained_for is None else _target_of(trained_for)
    for layer in network.layers:
        for kind, values in constants_of(layer).items():
            name = f"{layer.name}/{kind}"
            if not np.array_equal(values, arrays.get(name, ())):
                raise FileFormatError(f"{name} is another one in the file")
    if network.input.qparams is not None:
        qparams, network.input_range = _input_of(header)
        network.input = replace(network.input, qparams=qparams)
    for name, parameter in network.named_parameters():
        parameter.data = archive.stored(arrays, name, parameter.shape)
    for layer, entry in zip(network.layers, header["layers"], strict=True):
        trackers = layer.trackers() if isinstance(layer, TrackedLayer) else {}
        states = entry.get("ranges", {})
        with naming(layer):
            if states.keys() != trackers.keys():
                raise FileFormatError(
                    f"its ranges must be {', '.join(trackers) or 'none'}; "
                    f"got {', '.join(states) or 'none'}"
                )
            for name, tracker in trackers.items():
                tracker.restore(states[name])
            if isinstance(layer, LinearLayer):
                _restore_kept(layer, arrays)
    _restore_norms(network, header, arrays)


def _restore_kept(layer: LinearLayer, arrays: dict[str, np.ndarray]) -> None:
    """The integers of another file, as `LinearLayer.keep` left them."""
    name, said = f"{layer.name}/bias_residue", layer.weight_range.scale
    if (said is None) == (name in arrays):
        why = "is missing" if said is not None else "does not belong here"
        raise FileFormatError(f"{name} {why}")
    if said is None:
        return
    residue = archive.stored(arrays, name, layer.bias.shape, np.int32)
    lowest = int(np.rint(layer.weight_range.low / said).min())
    layer.kept = KeptInts(lowest, residue)


def restore_weights(
    network: Network, header: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Take over weights and statistics of batch normalization, and no ranges."""
    learned_ranges = {id(parameter) for parameter in network.learned_ranges()}
    for name, parameter in network.named_parameters():
        if id(parameter) not in learned_ranges:
            parameter.data = archive.stored(arrays, name, parameter.shape)
    _restore_norms(network, header, arrays)


def _restore_norms(
    network: Network, header: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    for layer, entry in zip(network.layers, header["layers"], strict=True):
        norm = layer.norm if isinstance(layer, LinearLayer) else None
        if (norm is None) == ("batch_norm" in entry):
            why = "does not belong here" if norm is None else "is missing"
            raise FileFormatError(f"layer {layer.name!r}: batch_norm {why}")
        if norm is None:
            continue
        shape = norm.moving.mean.shape
        mean, var = (
            archive.stored(arrays, f"{layer.name}/{kind}", shape)
            for kind in ("moving_mean", "moving_var")
        )
        if (var < 0).any():
            raise FileFormatError(f"{layer.name}/moving_var holds {var.min()}")
        norm.moving = Statistics(mean, var, entry.get("epsilon", EPSILON))
        norm.updates, norm.is_frozen = entry["batch_norm"]
