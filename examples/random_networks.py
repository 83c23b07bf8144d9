"""Networks drawn at random: any layers, wiring, shapes, scales, weights and target.

    drawn = random_networks.draw(7)

A number gives the same network every time. Small and degenerate sizes come up often:
one cell, one channel, windows larger than the image, strides that skip most of it.
Layers that are refused while a network is drawn are counted, and others drawn instead.
`fuzz.py` compares what such networks compute on every road there is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import kanji_np as kj
from kanji_np.errors import KanjiError
from kanji_np.layers import Layer, LinearLayer, Quantization, Statistics, Symbol
from kanji_np.quantize import SCHEMES
from kanji_np.ranges import TRACKERS
from kanji_np.targets import LIBRARIES, check_calls
from kanji_np.types import Shape, TargetSpec

BLOCK = 32  # so many numbers in a row have one target, and can share a program
MOST_LAYERS, ATTEMPTS = 12, 40
# Of one layer: its definition is a slow loop.
MOST_VALUES, MOST_MACS = 3000, 200_000
MOST_IMAGES, CALIBRATION_IMAGES = 3, 4

SIZES = (1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12)
CHANNELS = (1, 1, 2, 3, 4, 4, 5, 6, 8, 8, 12, 16, 17, 33)
KERNELS = (1, 1, 1, 2, 2, 3, 3, 4, 5, 7)
STRIDES = (1, 1, 1, 2, 2, 3, 5)
DILATIONS = (1, 1, 1, 1, 2, 3)
MULTIPLIERS = (1, 1, 1, 2, 3)
CELLS = (0, 0, 1, 1, 2, 3, 5)
ACTIVATIONS = (None, "relu", "relu6")


@dataclass
class Drawn:
    """A network, unless it was refused as a whole.

    Attributes
    ----------
    number : int
    target : TargetSpec
    model : Model or None
        Its ranges are known.
    images : uint8 or int8 (N, *input shape) or None
        One to `MOST_IMAGES` inputs.
    refused : Counter
        What was refused on the way, by `reason`.
    """

    number: int
    target: TargetSpec
    model: kj.Model | None = None
    images: np.ndarray | None = None
    refused: Counter[str] = field(default_factory=Counter)


def reason(error: KanjiError) -> str:
    """An error without the names and numbers of its case: what its kind is called."""
    text = re.sub(r"^layer '\w+': ", "", str(error))
    text = re.sub(r"(?<!\w)-?\d[\d,.]*(e[+-]?\d+)?(x\d+)*", "N", text)
    return f"{type(error).__name__}: {text}"


def target_of(number: int) -> TargetSpec:
    """The target of a network, the same for its whole block."""
    rng = np.random.default_rng([number // BLOCK, 1])
    library = LIBRARIES[str(rng.choice(["cmsis-nn", "cmsis-nn", "cmsis-nn-q7"]))]
    return kj.target_spec(
        library.name,
        core=str(rng.choice(["c", "dsp", "mve"])),
        rounding=str(rng.choice(library.roundings)),
        version=str(rng.choice(library.versions)),
    )


def draw(number: int) -> Drawn:
    """The network of a number. What leaves this function as an error is a fault."""
    drawn = Drawn(number, target_of(number))
    painter = _Painter(np.random.default_rng([number, 0]), drawn)
    try:
        model = painter.network(f"net_{number}")
        painter.train(model)
        model.freeze()
        drawn.images = painter.images(model, painter.number(1, MOST_IMAGES))
        drawn.model = model
    except KanjiError as error:
        drawn.refused[reason(error)] += 1
    return drawn


@dataclass(frozen=True)
class _Value:
    """A tensor of the network that is being drawn."""

    symbol: Symbol
    shape: Shape


def _nothing(layer: str, parameter: str, shape: Shape) -> np.ndarray:
    """What a layer starts from that is only tried."""
    return np.zeros(shape, np.float32)


class _Painter:
    """Draws one network."""

    def __init__(self, rng: np.random.Generator, drawn: Drawn) -> None:
        self.rng = rng
        self.target = drawn.target
        self.refused = drawn.refused
        self.scheme = self.pick(LIBRARIES[self.target.library].schemes)
        self.ranges = self.pick([*TRACKERS])
        self.legacy = self.target.library == "cmsis-nn-q7"
        # What all targets have is drawn most of the time, the rest where it is likely.
        wide = self.chance(0.05 if self.legacy else 1)
        self.joins = 0.3 if wide else 0
        self.activations = ACTIVATIONS if wide else ACTIVATIONS[:2]
        self.dilations = DILATIONS if wide else DILATIONS[:1]
        self.multipliers = MULTIPLIERS if wide else MULTIPLIERS[:1]
        self.normalized = self.chance(0.3)
        self.int4 = self.chance(
            0.3 if wide and self.target.version != "4.0.0" else 0.02
        )

    # What is drawn of: one of several, a whole number, a coin.

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def number(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, most + 1))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    # The network

    def network(self, name: str) -> kj.Model:
        image = (*self.pair(SIZES), self.pick(CHANNELS))
        row = (self.pick(SIZES), self.pick(CHANNELS))
        shape = self.pick([image, image, image, image, row, (row[0] * row[1],)])
        x = value = _Value(kj.Input(shape), shape)
        if self.chance(0.5):
            value = self.tried(self.first(shape), [x]) or x
        values, wanted = [value], self.number(1, MOST_LAYERS)
        for _ in range(ATTEMPTS):
            found = self.next(values)
            values += [found] if found else []
            if len(values) > wanted:
                break
        value = values[-1]
        if len(value.shape) == 1 and self.chance(0.3):
            value = self.tried(kj.Softmax, [value]) or value
        if value.symbol.layer is None:
            value = self.tried(kj.Flatten, [value]) or value
        return kj.Model(
            x.symbol, value.symbol, self.target, scheme=self.scheme, name=name,
            ranges=self.ranges, input_scale=2.0 ** self.number(-10, 3),
        )  # fmt: skip

    def first(self, shape: Shape) -> Callable[[], Layer]:
        """A layer that reads uint8 images."""
        if self.chance(0.3):
            return partial(kj.Standardize, self.number(0, 7))
        mean_shape = self.pick([shape[-1:], shape])
        mean = self.rng.integers(0, 256, mean_shape)
        return partial(kj.Normalize, mean, self.number(0, 7))

    def next(self, values: Sequence[_Value]) -> _Value | None:
        """Another layer on one or more of the tensors there are, if it fits."""
        x = values[-1] if self.chance(0.75) else self.pick(values)
        if self.chance(self.joins):
            return self.join(x, values)
        kinds = {1: self.flat, 2: self.row, 3: self.image}.get(len(x.shape))
        return self.tried((kinds or self.any_rank)(x.shape), [x])

    def join(self, x: _Value, values: Sequence[_Value]) -> _Value | None:
        kind = self.pick([kj.Add, kj.Multiply, kj.Concatenate])
        if kind is kj.Concatenate:
            near = [v for v in values if v.shape[:-1] == x.shape[:-1]]
            others = [self.pick(near) for _ in range(self.number(1, 3))]
            return self.tried(kind, [x, *others])
        near = [v for v in values if v.shape == x.shape]
        return self.tried(
            partial(kind, self.pick(self.activations)), [x, self.pick(near)]
        )

    def tried(
        self, make: Callable[[], Layer], inputs: Sequence[_Value]
    ) -> _Value | None:
        """The output of a layer; None if the layer is refused here, or too large."""
        shapes = tuple(value.shape for value in inputs)
        quantization = Quantization(SCHEMES[self.scheme], self.ranges)
        try:
            layer = make()
            shape = layer.op.infer(layer.attrs, shapes)
            if np.prod(shape) > MOST_VALUES:
                return None
            if layer.op.cost(layer.attrs, shapes, self.target).macs > MOST_MACS:
                return None
            shape, calls = layer.build(shapes, self.target, quantization, _nothing)
            check_calls(self.target, calls)
        except KanjiError as error:
            self.refused[reason(error)] += 1
            return None
        return _Value(make()(*(value.symbol for value in inputs)), shape)

    # Layers by the rank of what they read

    def any_rank(self, shape: Shape) -> Callable[[], Layer]:
        clamp = kj.ReLU6 if self.pick(self.activations) == "relu6" else kj.ReLU
        return self.pick([clamp, kj.Flatten, partial(kj.Reshape, self.reshaped(shape))])

    def flat(self, shape: Shape) -> Callable[[], Layer]:
        if self.chance(0.4):
            return self.any_rank(shape)
        return partial(
            kj.Dense, self.pick(CHANNELS), self.pick(self.activations), **self.weights()
        )

    def row(self, shape: Shape) -> Callable[[], Layer]:
        if self.chance(0.3):
            return self.any_rank(shape)
        sides = (self.pick(CELLS), self.pick(CELLS))
        return partial(
            kj.Conv1D, self.pick(CHANNELS), self.pick(KERNELS), self.pick(STRIDES),
            self.pick(["valid", "same", sides]), self.pick(self.dilations),
            self.pick(self.activations), **self.weights(),
        )  # fmt: skip

    def image(self, shape: Shape) -> Callable[[], Layer]:
        kernel, strides, dilation = map(self.pair, (KERNELS, STRIDES, self.dilations))
        vertical = (self.pick(CELLS), self.pick(CELLS))
        horizontal = (self.pick(CELLS), self.pick(CELLS))
        sides = (vertical, horizontal)
        padding = self.pick(["valid", "same", "same", sides])
        activation = self.pick(self.activations)
        pool_strides = self.pick([None, strides])
        ceil_mode = self.chance(0.5)
        return self.pick(
            [
                partial(
                    kj.Conv2D, self.pick([shape[2], self.pick(CHANNELS)]), kernel,
                    strides, padding, dilation, activation, **self.weights(),
                ),
                partial(
                    kj.Conv2D, self.pick([shape[2], self.pick(CHANNELS)]), kernel,
                    1, "same", activation=activation, **self.weights(),
                ),
                partial(
                    kj.DepthwiseConv2D, kernel, strides, padding,
                    self.pick(self.multipliers), dilation, activation, **self.weights(),
                ),
                partial(
                    kj.MaxPool2D, kernel, pool_strides, padding, ceil_mode=ceil_mode
                ),
                partial(
                    kj.AvgPool2D, kernel, pool_strides, padding, ceil_mode=ceil_mode
                ),
                partial(kj.ZeroPadding2D, sides),
                kj.GlobalAvgPool2D,
                self.any_rank(shape),
            ]
        )  # fmt: skip

    def pair(self, items: Sequence[int]) -> tuple[int, int]:
        one = self.pick(items)
        return one, one if self.chance(0.9 * self.legacy or 0.4) else self.pick(items)

    def weights(self) -> dict[str, Any]:
        """The arguments that all layers with weights take."""
        return {
            "batch_norm": self.normalized and self.chance(0.7),
            "weight_bits": 4 if self.int4 and self.chance(0.7) else 8,
        }

    def reshaped(self, shape: Shape) -> Shape:
        """Another shape of as many values, of one to three extents."""
        rest, new = int(np.prod(shape)), []
        for _ in range(self.number(0, 2)):
            new.append(self.pick([n for n in range(1, rest + 1) if rest % n == 0]))
            rest //= new[-1]
        return (*new, rest)

    # Numbers

    def train(self, model: kj.Model) -> None:
        """Weights from 1e-3 to 1e3, then ranges that need not hold all that comes."""
        for layer in model.layers:
            if isinstance(layer, LinearLayer):
                self.fill(layer)
        for _ in range(self.number(0, 2)):
            model.logits(self.images(model, CALIBRATION_IMAGES), track=True)
        model.calibrate(self.images(model, CALIBRATION_IMAGES))
        if self.chance(0.3):
            for layer in model.layers:
                if isinstance(layer, LinearLayer):
                    factor = np.float32(2.0 ** self.rng.uniform(-2, 2))
                    layer.weight.data = layer.weight.data * factor

    def fill(self, layer: LinearLayer) -> None:
        shape = layer.weight.shape
        layer.weight.data = self.spread(shape, by_channel=self.chance(0.5))
        if layer.norm is not None:
            layer.norm.gamma.data = self.spread(shape[:1])
            layer.norm.beta.data = self.spread(shape[:1])
            layer.norm.moving = Statistics(
                self.spread(shape[:1]), np.square(self.spread(shape[:1]))
            )
        elif self.chance(0.7):
            layer.bias.data = self.spread(shape[:1])

    def spread(self, shape: Shape, *, by_channel: bool = False) -> np.ndarray:
        """Values of a magnitude from 1e-3 to 1e3, or of one of each channel."""
        count = shape[0] if by_channel else 1
        magnitude = 10 ** self.rng.uniform(-3, 3, (count, *(1,) * (len(shape) - 1)))
        if self.chance(0.1):
            magnitude[self.rng.random(magnitude.shape) < 0.2] = 0
        values = self.rng.standard_normal(shape) * magnitude
        return values.astype(np.float32)

    def images(self, model: kj.Model, count: int) -> np.ndarray:
        """Noise, sometimes of few values, sometimes only ends or one number."""
        dtype = np.dtype(model.input.dtype)
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        x = self.rng.integers(low, high + 1, (count, *model.input.shape))
        for i in range(count):
            kind = self.pick(["noise", "noise", "quiet", "ends", "flat"])
            if kind == "quiet":
                x[i] //= 16
            elif kind == "ends":
                x[i] = np.where(x[i] > (low + high) // 2, high, low)
            elif kind == "flat":
                x[i] = self.number(low, high)
        return x.astype(dtype)
