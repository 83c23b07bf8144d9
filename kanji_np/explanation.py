"""Where accuracy goes: a network in int8 beside itself in float32, layer by layer.

Both run on the same inputs. The float network has the same parameters, normalization
folded; of a network that came as integers these are what its integers stand for. Of
each layer's output

    noise = r - f,   SQNR = 10 log10(sum of f^2 / sum of noise^2)   [dB]

with f the float output and r what the int8 output stands for. There are three:

network   every layer reads the int8 outputs before it, so errors add up
own       the layer alone: its input is the float network's, quantized, and f is what
          the float layer makes of that quantized input. The noise is what this layer
          adds: rounded weights, a rounded output, and values beyond its range
effect    the float network's output (before a final softmax), and the same with the
          layer's own noise added to the layer's output: what this layer costs

Six decibels are a bit. Sums over all images are float64.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from kanji_np.autograd import Tensor, no_grad
from kanji_np.graph import Graph
from kanji_np.layers import Activation, Layer, LinearLayer, naming
from kanji_np.model import Model
from kanji_np.network import CALIBRATION_IMAGES
from kanji_np.quantize import by_output, real_inputs
from kanji_np.report import text_table
from kanji_np.types import QParams, Shape, shape_text

# Of all tensors of a batch: int8, and float32 several times.
BATCH_BYTES = 2**28
BYTES_A_VALUE = 16
# float32 rounds at 149 dB; what is nearer to it than this counts as equal.
EXACT = 1e-13
COSTLIEST = 3


LEGEND = """\
SQNR     signal to quantization noise of the int8 network up to the layer [dB]
own      of the layer alone, which reads the same int8 inputs in int8 and in float32
effect   of the network's output if no other layer were quantized
weights  of the layer's weights
largest  largest difference from float32, and the same in steps of the scale
clamped  outputs whose float value lies beyond the range of int8
range    of the 256 int8 values, those from the smallest to the largest output"""


@dataclass(frozen=True)
class ExplainedLayer:
    """What quantization does to one layer's output.

    Parameters
    ----------
    name, op : str
        Of the layer and of its operator.
    output_shape : tuple of int
    scale : str
        Of the output, for reading: "2^-5", or a number and a zero point.
    sqnr_db : float
        Of the int8 network up to this layer [dB]; infinite where nothing differs.
    own_sqnr_db : float
        Of this layer alone, see the module [dB].
    effect_sqnr_db : float or None
        Of the network's output if no other layer were quantized [dB]; None of a final
        softmax.
    weight_sqnr_db : float or None
        Of the weights, normalization folded in [dB]; None without weights.
    cosine : float
        Of the angle between both outputs: 1 if they differ by a factor only.
    largest : float
        Largest difference between both networks in an output.
    largest_steps : float
        The same in steps of the output's scale.
    clamped : float
        Part of the int8 outputs, 0..1, that stand at -128 or 127 while the float
        output lies more than a step beyond: the range is too small for them. What a
        ReLU cuts off is not among them.
    range_used : float
        From the smallest to the largest int8 output, as a part of the 256, 0..1.
    """

    name: str
    op: str
    output_shape: Shape
    scale: str
    sqnr_db: float
    own_sqnr_db: float
    effect_sqnr_db: float | None
    weight_sqnr_db: float | None
    cosine: float
    largest: float
    largest_steps: float
    clamped: float
    range_used: float


@dataclass(frozen=True)
class Explanation:
    """What quantization does to a network, layer by layer.

    Parameters
    ----------
    network, target : str
    images : int
        How many it was seen on.
    layers : tuple of ExplainedLayer
        In order.
    """

    network: str
    target: str
    images: int
    layers: tuple[ExplainedLayer, ...]

    @property
    def costliest(self) -> tuple[ExplainedLayer, ...]:
        """The layers whose own noise harms the output most, the worst first."""
        return tuple(sorted(self.layers, key=_effect)[:COSTLIEST])

    def json(self) -> str:
        """All of it as one JSON object on one line; an infinite SQNR is null."""
        return json.dumps(_finite(asdict(self)))

    def __str__(self) -> str:
        header = (
            "layer", "output", "scale", "SQNR", "own", "effect", "weights", "cosine",
            "largest", "steps", "clamped", "range",
        )  # fmt: skip
        rows = [
            (
                layer.name,
                shape_text(layer.output_shape),
                layer.scale,
                _db_text(layer.sqnr_db),
                _db_text(layer.own_sqnr_db),
                _db_text(layer.effect_sqnr_db),
                _db_text(layer.weight_sqnr_db),
                f"{layer.cosine:.5f}",
                f"{layer.largest:.4g}",
                f"{layer.largest_steps:.1f}",
                f"{100 * layer.clamped:.2f} %",
                f"{100 * layer.range_used:.0f} %",
            )
            for layer in self.layers
        ]
        worst = ", ".join(
            f"{layer.name} ({_db_text(layer.effect_sqnr_db)} dB)"
            for layer in self.costliest
        )
        return (
            f"{self.network} for {self.target}, int8 beside float32, "
            f"{self.images:,} images\n\n"
            f"{text_table(header, rows, left_columns=3)}\n\n"
            f"{LEGEND}\n"
            f"costliest: {worst}"
        )


def explain(net: Model, x: np.ndarray) -> Explanation:
    """Compare the int8 network with the same network in float32, layer by layer.

    Parameters
    ----------
    net : Model
        Not changed. A copy of a network without ranges gets those of `x`.
    x : uint8, int8 or floating (N, *input_shape)
        Some hundred images are enough; more take more time, not more memory.

    Returns
    -------
    Explanation
        Prints as a table.

    Raises
    ------
    ShapeError
        If `x` does not fit the network.
    """
    net.input.check_inputs(x, net.name)
    if not net.is_calibrated:
        net = net.for_target()
        net.calibrate(x[:CALIBRATION_IMAGES])
    graph = net.freeze()
    found = [_Found() for _ in graph.nodes]
    values = sum(tensor.size for tensor in graph.tensors)
    step = max(BATCH_BYTES // (BYTES_A_VALUE * values), 1)
    with no_grad():
        for start in range(0, len(x), step):
            _take_in(net, graph, x[start : start + step], found)
    return Explanation(
        network=net.name,
        target=str(net.target),
        images=len(x),
        layers=tuple(
            _explained(layer, graph, number, sums)
            for number, (layer, sums) in enumerate(zip(net.layers, found, strict=True))
        ),
    )


@dataclass
class _Noise:
    """Sums over outputs f of a float layer and r of an int8 one."""

    f_squares: float = 0.0
    r_squares: float = 0.0
    products: float = 0.0
    noise: float = 0.0
    largest: float = 0.0

    def add(self, f: np.ndarray, r: np.ndarray) -> None:
        """Take in a batch, floating, of equal shapes."""
        f, r = (a.astype(np.float64).ravel() for a in (f, r))
        self.f_squares += float(f @ f)
        self.r_squares += float(r @ r)
        self.products += float(f @ r)
        difference = np.abs(r - f)
        self.noise += float(difference @ difference)
        self.largest = max(self.largest, float(difference.max()))

    @property
    def sqnr_db(self) -> float:
        return _db(self.f_squares, self.noise)

    @property
    def cosine(self) -> float:
        """1 of two outputs that are zero throughout, 0 if one of them is."""
        length = math.sqrt(self.f_squares * self.r_squares)
        return self.products / length if length else float(self.noise == 0)


@dataclass
class _Found:
    """What was seen of a layer so far."""

    network: _Noise = field(default_factory=_Noise)
    own: _Noise = field(default_factory=_Noise)
    effect: _Noise = field(default_factory=_Noise)
    count: int = 0
    clamped: int = 0
    low: int = 127
    high: int = -128

    def look_at(self, f: np.ndarray, q: np.ndarray, y: QParams) -> None:
        """Take in a batch of the float network's outputs and of the int8 one's."""
        steps = f / np.float32(y.scale) + np.float32(y.zero_point)
        clamped = ((q == -128) & (steps < -129)) | ((q == 127) & (steps > 128))
        self.clamped += int(clamped.sum())
        self.count += q.size
        self.low = min(self.low, int(q.min()))
        self.high = max(self.high, int(q.max()))


def _take_in(net: Model, graph: Graph, x: np.ndarray, found: Sequence[_Found]) -> None:
    """Run both networks on a batch, and each layer alone."""
    qparams = [tensor.qparams for tensor in graph.tensors]
    ints = graph.quantize_inputs(x)
    is_real = x.dtype.kind == "f"
    # What the float network computes, and the same, quantized.
    reals = [real_inputs(x, net.name) if is_real else _real(x, qparams[0])]
    rounded = [ints]
    noises = []
    for layer, node, q, sums in zip(
        net.layers, graph.nodes, graph.layers(ints), found, strict=True
    ):
        y = node.output.qparams
        assert y is not None  # only images have none
        f = _float(layer, [reals[k] for k in node.inputs])
        sums.network.add(f, _real(q, y))
        sums.look_at(f, q, y)
        own_inputs = tuple(rounded[k] for k in node.inputs)
        own_q = node.operator.run_int(node.attrs, node.ints, own_inputs)
        own_reals = [_real(rounded[k], qparams[k]) for k in node.inputs]
        own_f, own_r = _float(layer, own_reals), _real(own_q, y)
        sums.own.add(own_f, own_r)
        reals.append(f)
        rounded.append(_quantized(f, y))
        noises.append(own_r - own_f)
    outputs = len(reals) - net.layers[-1].op.is_in_loss
    for number, noise in enumerate(noises[: outputs - 1], 1):
        noisy = _output(net, reals[:outputs], number, reals[number] + noise)
        found[number - 1].effect.add(reals[outputs - 1], noisy)


def _output(
    net: Model, reals: Sequence[np.ndarray], number: int, changed: np.ndarray
) -> np.ndarray:
    """The last of the float network's tensors with one of them changed."""
    values = {number: changed}
    for i in range(number + 1, len(reals)):
        wires = net.wiring[i - 1]
        if not values.keys().isdisjoint(wires):
            inputs = [values.get(k, reals[k]) for k in wires]
            values[i] = _float(net.layers[i - 1], inputs)
    return values[len(reals) - 1]


def _float(layer: Layer, xs: Sequence[np.ndarray]) -> np.ndarray:
    """The layer's output in float32."""
    with naming(layer):
        inputs = (Activation(Tensor(x), None) for x in xs)
        return layer.forward_float(*inputs, track=False).tensor.data


def _real(q: np.ndarray, qparams: QParams | None) -> np.ndarray:
    """What integers stand for, float32; an image is left as it is."""
    return Activation(Tensor(q), qparams).values()


def _quantized(f: np.ndarray, y: QParams) -> np.ndarray:
    """The nearest int8 values."""
    steps = np.rint(f / np.float32(y.scale)) + np.float32(y.zero_point)
    return np.clip(steps, -128, 127).astype(np.int8)


def _explained(layer: Layer, graph: Graph, number: int, sums: _Found) -> ExplainedLayer:
    node, is_last = graph.nodes[number], number == len(graph.nodes) - 1
    y = node.output.qparams
    assert y is not None  # only images have none
    return ExplainedLayer(
        name=node.name,
        op=node.op,
        output_shape=node.output.shape,
        scale=str(y),
        sqnr_db=sums.network.sqnr_db,
        own_sqnr_db=sums.own.sqnr_db,
        effect_sqnr_db=None if is_last and layer.op.is_in_loss else sums.effect.sqnr_db,
        weight_sqnr_db=_weight_sqnr_db(layer, graph, number),
        cosine=sums.network.cosine,
        largest=sums.network.largest,
        largest_steps=sums.network.largest / y.scale,
        clamped=sums.clamped / sums.count,
        range_used=(sums.high - sums.low + 1) / 256,
    )


def _weight_sqnr_db(layer: Layer, graph: Graph, number: int) -> float | None:
    """Of the real weights and those that the device multiplies by."""
    if not isinstance(layer, LinearLayer):
        return None
    node = graph.nodes[number]
    x = graph.tensors[node.inputs[0]].qparams
    assert x is not None  # no operator with weights reads images
    weight = layer.folded_weight().astype(np.float64)
    scales = by_output(layer.weight_scales(x), weight)
    noise = weight - node.ints.weight * scales
    return _db(float((weight**2).sum()), float((noise**2).sum()))


def _effect(layer: ExplainedLayer) -> float:
    """By which layers are ordered."""
    return math.inf if layer.effect_sqnr_db is None else layer.effect_sqnr_db


def _db(signal: float, noise: float) -> float:
    """Their ratio in dB; infinite where the noise is float32's own."""
    if noise <= EXACT * signal:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def _db_text(db: float | None) -> str:
    if db is None:
        return ""
    return f"{db:.1f}" if math.isfinite(db) else ("exact" if db > 0 else "no signal")


def _finite(value: Any) -> Any:
    """Plain data with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    is_number = isinstance(value, float)
    return None if is_number and not math.isfinite(value) else value
