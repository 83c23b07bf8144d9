"""Networks drawn at random: any layers, wiring, shapes, scales, weights and target.

    drawn = random_networks.draw(7)

A number gives the same network every time. Small and degenerate sizes come up often:
one cell, one channel, windows larger than the image, strides that skip most of it.
Layers that are refused while a network is drawn are counted, and others drawn instead.
`fuzz.py` compares what such networks compute on every road there is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np

import kanji_np as kj
from kanji_np.errors import KanjiError
from kanji_np.layers import (
    Layer,
    LinearLayer,
    Quantization,
    Statistics,
    Symbol,
    make_layer,
)
from kanji_np.ops import OPS
from kanji_np.ops.pairs import blocks
from kanji_np.ops.with_constant import (
    ACTIVATED,
    FUNCTIONS,
    OperandConstants,
    WithConstantAttrs,
)
from kanji_np.quantize import SCHEMES
from kanji_np.ranges import TRACKERS
from kanji_np.targets import LIBRARIES, check_calls, generates_c
from kanji_np.types import QParams, Shape, TargetSpec

BLOCK = 32  # so many numbers in a row have one target, and can share a program
MOST_LAYERS, ATTEMPTS = 12, 40
# Of one layer: its definition is a slow loop.
MOST_VALUES, MOST_MACS = 3000, 200_000
MOST_IMAGES, CALIBRATION_IMAGES = 3, 4

# Libraries and runtimes, each as often as its blocks come up.
TARGETS = ("cmsis-nn",) * 4 + ("cmsis-nn-q7",) * 2 + ("tflm", "litert", "xnnpack")
LEGACY = "cmsis-nn-q7"
SIZES = (1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12)
CHANNELS = (1, 1, 2, 3, 4, 4, 5, 6, 8, 8, 12, 16, 17, 33)
LONG = (511, 512, 700)  # a softmax of more than 511 has a kernel of its own
KERNELS = (1, 1, 1, 2, 2, 3, 3, 4, 5, 7)
STRIDES = (1, 1, 1, 2, 2, 3, 5)
DILATIONS = (1, 1, 1, 1, 2, 3)
MULTIPLIERS = (1, 1, 1, 2, 3)
CELLS = (0, 0, 1, 1, 2, 3, 5)
ACTIVATIONS = (None, "relu", "relu6")
BETAS = (1, 1, 0.5, 2, 0.1)

#: Makes the same layer every time.
Make: TypeAlias = Callable[[], Layer]


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


def divisors(n: int) -> list[int]:
    return [each for each in range(1, n + 1) if n % each == 0]


def target_of(number: int) -> TargetSpec:
    """The target of a network, the same for its whole block."""
    rng = np.random.default_rng([number // BLOCK, 1])
    library = LIBRARIES[str(rng.choice(TARGETS))]
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


class _Dice:
    """What everything is drawn with."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def number(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, most + 1))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def real(self, least: float, most: float) -> float:
        """A positive number; its logarithm to base 10 lies between the two."""
        return float(10 ** self.rng.uniform(least, most))

    def spread(self, shape: Shape, *, by_channel: bool = False) -> np.ndarray:
        """Values of a magnitude from 1e-3 to 1e3, or of one of each channel."""
        count = shape[0] if by_channel else 1
        magnitude = 10 ** self.rng.uniform(-3, 3, (count, *(1,) * (len(shape) - 1)))
        if self.chance(0.1):
            magnitude[self.rng.random(magnitude.shape) < 0.2] = 0
        values = self.rng.standard_normal(shape) * magnitude
        return values.astype(np.float32)


# ------------------------------------------------- layers


class _Layers(_Dice):
    """Draws layers for a shape; the methods have the names of the operators."""

    def __init__(self, rng: np.random.Generator, target: TargetSpec) -> None:
        super().__init__(rng)
        self.library = target.library
        self.legacy = target.library == LEGACY
        # What all targets have is drawn most of the time, the rest where it is likely.
        self.wide = wide = self.chance(0.05 if self.legacy else 1)
        self.joins = 0.3 if wide else 0
        self.gates = 0.05 if wide and not self.legacy else 0
        self.activations = ACTIVATIONS if wide else ACTIVATIONS[:2]
        self.dilations = DILATIONS if wide else DILATIONS[:1]
        self.multipliers = MULTIPLIERS if wide else MULTIPLIERS[:1]
        self.normalized = self.chance(0.3)
        self.groups = 0.3 if wide and target.version != "4.0.0" else 0
        has_int4 = wide and generates_c(target) and target.version != "4.0.0"
        self.int4 = self.chance(0.3 if has_int4 else 0.02)

    def of_kind(self, kinds: Mapping[str, Kind], shape: Shape) -> tuple[str, Make]:
        """An operator that the target is likely to have, and a layer of it."""
        names = [name for name in kinds if self.is_likely(name)]
        shares = np.array([kinds[name].share(len(shape)) for name in names])
        name = names[self.rng.choice(len(names), p=shares / shares.sum())]
        return name, kinds[name].draw(self, shape)

    def is_likely(self, operator: str) -> bool:
        """Whether the target is likely to have it, wherever it stands."""
        if operator == "softmax" and self.legacy:
            return False  # it may only be the last layer
        return self.wide or self.library in OPS[operator].lowerings

    # That read uint8 images

    def normalize(self, shape: Shape) -> Make:
        mean_shape = self.pick([shape[-1:], shape])
        mean = self.rng.integers(0, 256, mean_shape)
        return partial(kj.Normalize, mean, self.number(0, 7))

    def standardize(self, shape: Shape) -> Make:
        return partial(kj.Standardize, self.number(0, 7))

    def rescaling(self, shape: Shape) -> Make:
        """Pixels as files have them, or any numbers."""
        if self.chance(0.3):
            return partial(kj.Rescaling, 1 / 255, 0.0, 1 / 255, -128)
        counts = self.pick([1, shape[-1]]), self.pick([1, shape[-1]])
        scale = [self.pick([-1, 1, 1]) * self.real(-3, 0) for _ in range(counts[0])]
        offset = [self.pick([-1, 0, 1]) * self.real(-3, 2) for _ in range(counts[1])]
        output = self.pick([(None, 0), (self.real(-3, 0), self.number(-128, 127))])
        if self.legacy and not self.wide:
            output = self.pick([(None, 0), (2.0 ** self.number(-7, 0), 0)])
        return partial(kj.Rescaling, scale, offset, *output)

    # With weights

    def dense(self, shape: Shape) -> Make:
        units = self.pick(LONG if self.chance(0.1) else CHANNELS)
        return partial(kj.Dense, units, self.pick(self.activations), **self.weights())

    def conv1d(self, shape: Shape) -> Make:
        filters = self.filters(shape)
        return partial(
            kj.Conv1D, filters, self.pick(KERNELS), self.pick(STRIDES),
            self.pick(["valid", "same", self.side()]), self.pick(self.dilations),
            self.pick(self.activations), **self.grouped_weights(shape, filters),
        )  # fmt: skip

    def conv2d(self, shape: Shape) -> Make:
        filters, kernel = self.filters(shape), self.pair(KERNELS)
        strides, padding, dilation = (
            ((1, 1), "same", (1, 1))
            if self.chance(0.5)
            else (self.pair(STRIDES), self.padding(), self.pair(self.dilations))
        )
        return partial(
            kj.Conv2D, filters, kernel, strides, padding, dilation,
            self.pick(self.activations), **self.grouped_weights(shape, filters),
        )  # fmt: skip

    def depthwise_conv2d(self, shape: Shape) -> Make:
        return partial(
            kj.DepthwiseConv2D, self.pair(KERNELS), self.pair(STRIDES), self.padding(),
            self.pick(self.multipliers), self.pair(self.dilations),
            self.pick(self.activations), **self.weights(),
        )  # fmt: skip

    def transpose_conv2d(self, shape: Shape) -> Make:
        return partial(
            kj.Conv2DTranspose, self.pick(CHANNELS), self.pair(KERNELS),
            self.pair(STRIDES), self.padding(), self.pick(self.activations),
            self.pick([0, 0, 0, self.pair(CELLS)]), batch_norm=self.has_norm(),
        )  # fmt: skip

    def weights(self) -> dict[str, Any]:
        """The arguments that all layers with weights of 8 or 4 bits take."""
        return {
            "batch_norm": self.has_norm(),
            "weight_bits": 4 if self.int4 and self.chance(0.7) else 8,
        }

    def grouped_weights(self, shape: Shape, filters: int) -> dict[str, Any]:
        """Those of a convolution; no kernel of weights of 4 bits has groups."""
        arguments = self.weights()
        if arguments["weight_bits"] == 8 and self.chance(self.groups):
            several = divisors(math.gcd(shape[-1], filters))[1:]
            arguments["groups"] = self.pick(several or [1])
        return arguments

    def filters(self, shape: Shape) -> int:
        return self.pick([shape[-1], self.pick(CHANNELS)])

    def pointwise(self, shape: Shape) -> Make:
        """A layer with weights that computes each vector of channels alone."""
        filters, more = self.filters(shape), self.weights()
        if len(shape) == 1:
            return partial(kj.Dense, filters, **more)
        layer = kj.Conv1D if len(shape) == 2 else kj.Conv2D
        return partial(layer, filters, 1, **more)

    def has_norm(self) -> bool:
        return self.normalized and self.chance(0.7)

    # Windows over images

    def max_pool2d(self, shape: Shape) -> Make:
        return partial(kj.MaxPool2D, *self.window(), ceil_mode=self.chance(0.5))

    def avg_pool2d(self, shape: Shape) -> Make:
        return partial(kj.AvgPool2D, *self.window(), ceil_mode=self.chance(0.5))

    def pad(self, shape: Shape) -> Make:
        return partial(kj.ZeroPadding2D, (self.side(), self.side()))

    def resize_nearest(self, shape: Shape) -> Make:
        return partial(
            kj.ResizeNearest, self.pair(SIZES), self.chance(0.3), self.chance(0.3)
        )

    def window(self) -> tuple[Any, ...]:
        """Kernel, strides and padding of a pool."""
        return self.pair(KERNELS), self.pick([None, self.pair(STRIDES)]), self.padding()

    def padding(self) -> Any:
        return self.pick(["valid", "same", "same", (self.side(), self.side())])

    def side(self) -> tuple[int, int]:
        """Cells before and behind an axis."""
        return self.pick(CELLS), self.pick(CELLS)

    def pair(self, items: Sequence[int]) -> tuple[int, int]:
        one = self.pick(items)
        return one, one if self.chance(0.9 * self.legacy or 0.4) else self.pick(items)

    # Of each element

    def leaky_relu(self, shape: Shape) -> Make:
        return partial(kj.LeakyReLU, self.pick([0.0, 1.0, self.real(-3, 0)]))

    def softmax(self, shape: Shape) -> Make:
        beta = self.pick(BETAS)
        return partial(kj.Softmax, 1 if self.legacy and not self.wide else beta)

    def requantize(self, shape: Shape) -> Make:
        return partial(kj.Requantize, self.pick(ACTIVATIONS))

    def with_constant(self, shape: Shape) -> Make:
        """A constant of the whole shape, one that is broadcast, or a number."""
        function = self.pick([*FUNCTIONS])
        first = self.number(0, len(shape))
        last = self.number(first, len(shape))
        part = (*(1,) * first, *shape[first:last], *(1,) * (len(shape) - last))
        of = self.pick([shape, shape[first:] or (1,), part, (1,)])
        scale, zero_point = self.pick(
            [(None, 0), (self.real(-3, 1), self.number(-128, 127))]
        )
        attrs = WithConstantAttrs(
            function, of, self.pick(ACTIVATIONS) if function in ACTIVATED else "linear",
            scale, zero_point, self.chance(0.4),
        )  # fmt: skip
        values = self.rng.standard_normal(of) * self.real(-2, 2)
        constants = OperandConstants(values.astype(np.float32))
        return partial(make_layer, OPS["with_constant"], attrs, None, constants)

    # Shapes, parts and means

    def reshape(self, shape: Shape) -> Make:
        """As many values, of one to four extents."""
        rest, new = int(np.prod(shape)), []
        for _ in range(self.number(0, 3)):
            new.append(self.pick(divisors(rest)))
            rest //= new[-1]
        return partial(kj.Reshape, (*new, rest))

    def transpose(self, shape: Shape) -> Make:
        return partial(kj.Permute, (self.rng.permutation(len(shape)) + 1).tolist())

    def slice(self, shape: Shape) -> Make:
        begin = [self.pick([0, self.number(0, size - 1)]) for size in shape]
        end = [self.number(b + 1, n) for b, n in zip(begin, shape, strict=True)]
        end = self.pick([end, shape])
        strides = self.pick([(), [self.pick(STRIDES) for _ in shape]])
        return partial(kj.Slice, begin, end, strides)

    def mean(self, shape: Shape) -> Make:
        first = self.number(1, len(shape))
        last = self.number(first, len(shape))
        return partial(kj.Mean, tuple(range(first, last + 1)), self.chance(0.4))


Draw: TypeAlias = Callable[[_Layers, Shape], Make]


@dataclass(frozen=True)
class Kind:
    """How the layers of an operator are drawn.

    Parameters
    ----------
    draw : (layers, shape of the first input) -> what makes the layer
    shares : tuple of int
        How often on a vector, a row, an image, and a tensor of more axes.
    """

    draw: Draw
    shares: tuple[int, int, int, int] = (1, 1, 1, 1)

    def share(self, axes: int) -> int:
        return self.shares[min(axes, 4) - 1]


def always(layer: Make) -> Draw:
    """There is nothing to draw."""
    return lambda layers, shape: layer


def activated(layer: Callable[[str], Layer]) -> Draw:
    """Its activation is drawn."""
    return lambda layers, shape: partial(layer, layers.pick(layers.activations))


FIRST = {
    "normalize": Kind(_Layers.normalize, (2, 2, 2, 2)),
    "standardize": Kind(_Layers.standardize),
    "rescaling": Kind(_Layers.rescaling),
}
ON_ONE = {
    "dense": Kind(_Layers.dense, (24, 0, 0, 0)),
    "conv1d": Kind(_Layers.conv1d, (0, 40, 0, 0)),
    "conv2d": Kind(_Layers.conv2d, (0, 0, 14, 0)),
    "depthwise_conv2d": Kind(_Layers.depthwise_conv2d, (0, 0, 8, 0)),
    "transpose_conv2d": Kind(_Layers.transpose_conv2d, (0, 0, 5, 0)),
    "max_pool2d": Kind(_Layers.max_pool2d, (0, 0, 5, 0)),
    "avg_pool2d": Kind(_Layers.avg_pool2d, (0, 0, 5, 0)),
    "global_avg_pool2d": Kind(always(kj.GlobalAvgPool2D), (0, 0, 3, 0)),
    "pad": Kind(_Layers.pad, (0, 0, 3, 0)),
    "resize_nearest": Kind(_Layers.resize_nearest, (0, 0, 3, 0)),
    "relu": Kind(always(kj.ReLU), (2, 2, 1, 1)),
    "relu6": Kind(always(kj.ReLU6), (2, 2, 1, 1)),
    "leaky_relu": Kind(_Layers.leaky_relu),
    "hard_swish": Kind(always(kj.HardSwish)),
    "sigmoid": Kind(always(kj.Sigmoid)),
    "tanh": Kind(always(kj.Tanh)),
    "softmax": Kind(_Layers.softmax, (2, 2, 1, 1)),
    "requantize": Kind(_Layers.requantize),
    "with_constant": Kind(_Layers.with_constant, (3, 3, 3, 2)),
    "flatten": Kind(always(kj.Flatten), (1, 3, 1, 4)),
    "reshape": Kind(_Layers.reshape, (4, 3, 1, 4)),
    "transpose": Kind(_Layers.transpose, (1, 3, 3, 3)),
    "slice": Kind(_Layers.slice, (1, 3, 3, 2)),
    "mean": Kind(_Layers.mean, (1, 3, 3, 2)),
}
ON_SEVERAL = {
    "add": Kind(activated(kj.Add), (2, 2, 2, 2)),
    "sub": Kind(activated(kj.Subtract)),
    "mul": Kind(activated(kj.Multiply), (2, 2, 2, 2)),
    "minimum": Kind(always(kj.Minimum)),
    "maximum": Kind(always(kj.Maximum)),
    "concatenate": Kind(always(kj.Concatenate), (2, 2, 2, 2)),
}


# ------------------------------------------------- networks


@dataclass(frozen=True)
class _Value:
    """A tensor of the network that is being drawn."""

    symbol: Symbol
    shape: Shape


def _nothing(layer: str, parameter: str, shape: Shape) -> np.ndarray:
    """What a layer starts from that is only tried."""
    return np.zeros(shape, np.float32)


class _Painter(_Dice):
    """Draws one network."""

    def __init__(self, rng: np.random.Generator, drawn: Drawn) -> None:
        super().__init__(rng)
        self.target = drawn.target
        self.refused = drawn.refused
        self.scheme = self.pick(LIBRARIES[self.target.library].schemes)
        self.ranges = self.pick([*TRACKERS])
        self.layers = _Layers(rng, drawn.target)

    def network(self, name: str) -> kj.Model:
        image = (self.pick(SIZES), self.pick(SIZES), self.pick(CHANNELS))
        row = (self.pick(SIZES), self.pick(CHANNELS))
        shape = self.pick([image, image, image, image, row, (row[0] * row[1],)])
        x = value = _Value(kj.Input(shape), shape)
        if self.chance(0.5):
            _, make = self.layers.of_kind(FIRST, shape)
            value = self.tried(make, [x]) or x
        values, wanted = [value], self.number(1, MOST_LAYERS)
        for _ in range(ATTEMPTS):
            found = self.next(values)
            values += [found] if found else []
            if len(values) > wanted:
                break
        value = values[-1]
        if self.chance(0.3):
            make = self.layers.softmax(value.shape)
            value = self.tried(make, [value]) or value
        if value.symbol.layer is None:
            value = self.tried(kj.Flatten, [value]) or value
        return kj.Model(
            x.symbol, value.symbol, self.target, scheme=self.scheme, name=name,
            ranges=self.ranges, input_qparams=self.input_qparams(),
        )  # fmt: skip

    def input_qparams(self) -> QParams:
        """What the integers of the input stand for, if it is no image."""
        if self.scheme == "asymmetric" and self.chance(0.5):
            return QParams(self.real(-3, 1), self.number(-128, 127))
        return QParams(2.0 ** self.number(-10, 3))

    def next(self, values: Sequence[_Value]) -> _Value | None:
        """Another layer on one or more of the tensors there are, if it fits."""
        x = values[-1] if self.chance(0.75) else self.pick(values)
        if self.chance(self.layers.joins):
            return self.join(x, values)
        if self.chance(self.layers.gates) and len(x.shape) < 4:
            return self.gate(x)
        _, make = self.layers.of_kind(ON_ONE, x.shape)
        return self.tried(make, [x])

    def gate(self, x: _Value) -> _Value | None:
        """A tensor times shares that are computed from it."""
        shares = self.tried(self.layers.pointwise(x.shape), [x])
        if shares is not None:
            shares = self.tried(self.layers.softmax(shares.shape), [shares])
        if shares is None or not blocks(x.shape, shares.shape):
            return shares
        make = ON_SEVERAL["mul"].draw(self.layers, x.shape)
        return self.tried(make, [x, shares])

    def join(self, x: _Value, values: Sequence[_Value]) -> _Value | None:
        """A layer on a tensor and others that fit it, in any order."""
        operator, make = self.layers.of_kind(ON_SEVERAL, x.shape)
        if operator == "concatenate":
            near = [v for v in values if v.shape[:-1] == x.shape[:-1]]
            inputs = [x, *(self.pick(near) for _ in range(self.number(1, 3)))]
        else:
            near = [v for v in values if blocks(x.shape, v.shape)]
            smaller = [v for v in near if v.shape != x.shape]
            inputs = [x, self.pick(self.pick([near, smaller or near]))]
        self.rng.shuffle(inputs)
        return self.tried(make, inputs)

    def tried(self, make: Make, inputs: Sequence[_Value]) -> _Value | None:
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
