"""Networks to measure layers with: shapes that people use, and some odd ones.

    network = layer_shapes.network(7, kj.target_spec("cmsis-nn", core="cortex-m4"))

A number gives the same network every time. It is a chain of layers of every kind that
the target has, in sizes as in image classifiers, keyword spotters and sensor networks.
No chain takes more than `MOST_MACS`, so that an emulated core is done in seconds.
`measure_instructions.py` measures them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np

import kanji_np as kj
from kanji_np.errors import KanjiError
from kanji_np.layers import Layer, Symbol, make_layer
from kanji_np.ops import OPS
from kanji_np.ops.with_constant import OperandConstants, WithConstantAttrs
from kanji_np.types import Shape, TargetSpec

MOST_MACS, MOST_LAYER_MACS, MOST_VALUES = 12_000_000, 4_000_000, 40_000
LAYERS, MOST_VECTORS = 18, 4
#: Networks from these numbers on have only the layers that the others have seldom,
#: int4 weights, no weights, height and width alike, vectors alone, and small layers
#: with weights and odd numbers of channels.
FIRST_RARE, FIRST_INT4, FIRST_PLAIN = 1000, 2000, 3000
FIRST_SQUARE, FIRST_VECTOR, FIRST_ODD = 4000, 5000, 7000
#: And from this on no weights, and constants that are one number for several channels.
FIRST_BROADCAST = 8000
#: Networks from this number on are like one of these, by their remainder. They tell how
#: good a finished model is: nobody looks at them while making it, and no fit has them.
FIRST_BLIND = 9000
LIKE = (0, FIRST_RARE, FIRST_PLAIN, FIRST_ODD)
MAIN, RARE, PLAIN, ODD = "main", "rare", "plain", "odd"
#: Those of odd channels are drawn as they were when they had smaller numbers.
FORMER_ODD = 4000

#: Images as cameras, microphones and other sensors give them, and tensors from the
#: middle of networks.
IMAGES: tuple[Shape, ...] = (
    (32, 32, 3),
    (28, 28, 1),
    (48, 48, 3),
    (40, 30, 1),
    (49, 10, 1),
    (64, 20, 1),
    (17, 13, 2),
)
TENSORS: tuple[Shape, ...] = (
    (16, 16, 16),
    (8, 8, 64),
    (4, 4, 128),
    (3, 3, 256),
    (12, 12, 32),
    (25, 5, 64),
    (24, 24, 8),
    (6, 6, 96),
    (10, 10, 24),
    (7, 7, 40),
    (9, 11, 12),
    (5, 7, 6),
    (1, 64, 8),
    (1, 40, 16),
    (1, 125, 4),
)
ROWS: tuple[Shape, ...] = ((128, 9), (250, 1), (64, 16), (40, 32), (100, 3))
VECTORS: tuple[Shape, ...] = ((640,), (256,), (64,), (100,), (33,))
STARTS = (*IMAGES, *TENSORS, *TENSORS, *ROWS, *VECTORS)

CHANNELS = (4, 8, 8, 16, 16, 16, 24, 32, 32, 32, 48, 64, 64, 96, 128)
ODD_CHANNELS = (1, 2, 3, 5, 6, 7, 9, 10, 12, 15, 17, 20, 21, 28, 33, 40, 50)
UNITS = (1, 2, 3, 4, 5, 8, 10, 10, 12, 16, 32, 35, 64, 100, 128)
KERNELS = ((3, 3),) * 6 + ((5, 5), (5, 5), (2, 2), (1, 3), (3, 1), (7, 7), (4, 10))
STRIDES = (1, 1, 1, 2)
ACTIVATIONS = (None, "relu", "relu", "relu6")

#: Makes the same layer every time.
Make: TypeAlias = Callable[[], Layer]
T = TypeVar("T")


class Dice:
    """Draws layers for the shape they stand on."""

    def __init__(self, number: int, target: TargetSpec) -> None:
        seed = number
        if number >= FIRST_BLIND:
            number = LIKE[number % len(LIKE)]
        elif number >= FIRST_ODD:
            seed = number - FIRST_ODD + FORMER_ODD
        self.rng = np.random.default_rng([seed, 17])
        self.is_broadcast = number >= FIRST_BROADCAST
        self.is_vector = FIRST_VECTOR <= number < FIRST_ODD
        current = (target.library, target.version) == ("cmsis-nn", "7.0.0")
        self.is_legacy = target.library == "cmsis-nn-q7"
        self.int4 = current and (self.chance(0.25) or number >= FIRST_INT4)
        self.groups = current
        self.scheme = "pow2" if self.is_legacy else self.pick(SCHEMES)
        self.family = MAIN
        self.is_square = FIRST_SQUARE <= number < FIRST_ODD
        if self.is_broadcast:
            self.family = PLAIN
        elif number >= FIRST_ODD:
            self.family, self.int4 = ODD, current and self.chance(0.5)
        elif FIRST_PLAIN <= number < FIRST_SQUARE:
            self.family = PLAIN
        elif FIRST_RARE <= number < FIRST_INT4:
            self.family = RARE

    @property
    def starts(self) -> tuple[Shape, ...]:
        """Shapes of a network's input."""
        if self.is_vector:
            return (*VECTORS, (1024,), (400,), (20,))
        if self.is_square:
            return tuple(s for s in (*IMAGES, *STARTS) if len(s) == 1 or s[0] == s[1])
        if self.family == MAIN:
            return STARTS
        return TENSORS if self.family == ODD else (*IMAGES, *TENSORS)

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.rng.integers(len(items)))]

    def number(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, most + 1))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def channels(self) -> int:
        odd = 0.7 if self.family == ODD else 0.35
        return self.pick(ODD_CHANNELS if self.chance(odd) else CHANNELS)

    def activation(self) -> str | None:
        return self.pick(ACTIVATIONS[:3] if self.is_legacy else ACTIVATIONS)

    def weights(self) -> dict[str, Any]:
        return {
            "activation": self.activation(),
            "weight_bits": 4 if self.int4 and self.chance(0.8) else 8,
        }

    def window(self, shape: Shape) -> tuple[tuple[int, int], int, str]:
        """Kernel, stride and padding, mostly square."""
        kernel, padding = self.pick(KERNELS), self.pick(["same", "same", "valid"])
        if shape[0] == 1:
            kernel = (1, self.pick([2, 3, 3, 5, 8]))
        if self.is_square:
            kernel = (kernel[0], kernel[0])
        return kernel, self.pick(STRIDES), padding

    def first(self, shape: Shape) -> Make:
        """What reads an image."""
        if self.family != PLAIN:
            return self.pick(FIRST)
        channels = shape[-1]
        by_channel: tuple[Make, ...] = (
            partial(kj.Normalize, [125] * channels, 1),
            partial(kj.Rescaling, [1 / 255] * channels, [0.5] * channels),
        )
        return self.pick((*FIRST, *by_channel))

    # With weights

    def conv2d(self, shape: Shape) -> Make:
        return partial(
            kj.Conv2D, self.channels(), *self.window(shape), **self.weights()
        )

    def dilated(self, shape: Shape) -> Make:
        kernel, _, padding = self.window(shape)
        return partial(
            kj.Conv2D, self.channels(), kernel, 1, padding, 2, **self.weights()
        )

    def grouped(self, shape: Shape) -> Make:
        several = [n for n in (2, 3, 4, 8) if shape[-1] % n == 0 and self.groups]
        groups = self.pick(several or [1])
        filters = groups * self.pick([1, 2, 3, 4, 8])
        kernel, stride, padding = self.window(shape)
        return partial(
            kj.Conv2D, filters, kernel, stride, padding, groups=groups,
            activation=self.activation(),
        )  # fmt: skip

    def pointwise(self, shape: Shape) -> Make:
        stride = self.pick([1, 1, 1, 2])
        return partial(kj.Conv2D, self.channels(), 1, stride, **self.weights())

    def depthwise3(self, shape: Shape) -> Make:
        stride, padding = self.pick(STRIDES), self.pick(["same", "same", "valid"])
        return partial(kj.DepthwiseConv2D, 3, stride, padding, **self.weights())

    def depthwise(self, shape: Shape) -> Make:
        return partial(kj.DepthwiseConv2D, *self.window(shape), **self.weights())

    def multiplied(self, shape: Shape) -> Make:
        multiplier = self.pick([2, 3, 4, 8])
        return partial(
            kj.DepthwiseConv2D, *self.window(shape), multiplier, **self.weights()
        )

    def dilated_depthwise(self, shape: Shape) -> Make:
        kernel, _, padding = self.window(shape)
        return partial(kj.DepthwiseConv2D, kernel, 1, padding, 1, 2, **self.weights())

    def transpose(self, shape: Shape) -> Make:
        return partial(
            kj.Conv2DTranspose, self.channels(), self.pick([2, 3, 4]), 2,
            self.pick(["same", "valid"]), self.activation(),
        )  # fmt: skip

    def conv1d(self, shape: Shape) -> Make:
        return partial(
            kj.Conv1D, self.channels(), self.pick([1, 3, 3, 5, 8]), self.pick(STRIDES),
            self.pick(["same", "valid"]), **self.weights(),
        )  # fmt: skip

    def dense(self, shape: Shape) -> Make:
        return partial(kj.Dense, self.pick(UNITS), **self.weights())

    # Without

    def max_pool(self, shape: Shape) -> Make:
        return partial(kj.MaxPool2D, *self.pool(shape))

    def avg_pool(self, shape: Shape) -> Make:
        return partial(kj.AvgPool2D, *self.pool(shape))

    def pool(self, shape: Shape) -> tuple[tuple[int, int], int, str]:
        size = self.pick([2, 2, 3, 3, 4])
        kernel = (min(size, shape[0]), min(size, shape[1]))
        return kernel, self.pick([1, 2, 2, size]), self.pick(["same", "valid"])

    def table(self, shape: Shape) -> Make:
        return self.pick(TABLES)

    def shift(self, shape: Shape) -> Make:
        """Also what turns to another kernel for its range."""
        return partial(kj.Requantize, self.pick([None, "relu", "relu6"]))

    def pad(self, shape: Shape) -> Make:
        low, high = self.number(0, 2), self.number(1, 2)
        return partial(kj.ZeroPadding2D, ((low, high), (high, low)))

    def resize(self, shape: Shape) -> Make:
        size = shape[0] * 2, shape[1] * 2
        odd = self.number(1, 20), self.number(1, 20)
        return partial(kj.ResizeNearest, self.pick([size, size, odd]))

    def slice(self, shape: Shape) -> Make:
        begin = [self.pick([0, 0, n // 4]) for n in shape]
        end = [self.pick([n, n, n - n // 4]) for n in shape]
        strides = [self.pick([1, 1, 1, 2]) for _ in shape]
        return partial(kj.Slice, begin, end, strides)

    def permute(self, shape: Shape) -> Make:
        return partial(kj.Permute, (self.rng.permutation(len(shape)) + 1).tolist())

    def mean(self, shape: Shape) -> Make:
        axes = self.pick([(1,), (1, 2), (2,), (len(shape),)])
        return partial(kj.Mean, tuple(a for a in axes if a <= len(shape)))

    def constant(self, shape: Shape) -> Make:
        """A constant operand: a number, one of each channel, or a whole tensor."""
        of = self.pick([(1,), shape[-1:], shape])
        if self.is_broadcast:
            of = (*shape[:-1], 1)
        function = self.pick(["add", "mul", "sub", "maximum"])
        attrs = WithConstantAttrs(function, of, "linear", None, 0, False)
        values = self.rng.standard_normal(of).astype(np.float32)
        return partial(
            make_layer, OPS["with_constant"], attrs, None, OperandConstants(values)
        )


SCHEMES = ("asymmetric", "asymmetric", "symmetric", "pow2-per-channel", "pow2")
TABLES: tuple[Make, ...] = (
    kj.ReLU,
    kj.ReLU,
    kj.ReLU,
    kj.ReLU6,
    kj.ReLU6,
    partial(kj.LeakyReLU, 0.1),
    kj.HardSwish,
    kj.Sigmoid,
    kj.Tanh,
)
JOINS: tuple[Make, ...] = (
    kj.Add,
    kj.Add,
    partial(kj.Add, "relu"),
    kj.Multiply,
    kj.Multiply,
    kj.Subtract,
    kj.Maximum,
    kj.Minimum,
    kj.Concatenate,
    kj.Concatenate,
)
FIRST: tuple[Make, ...] = (
    partial(kj.Normalize, 125),
    kj.Standardize,
    partial(kj.Rescaling, 1 / 255, 0.0, 1 / 255, -128),
)


@dataclass(frozen=True)
class Kind:
    """Layers of one kind: how they are drawn, how often on vectors, rows, images."""

    draw: Callable[[Dice, Shape], Make]
    shares: tuple[float, float, float]
    families: tuple[str, ...] = (MAIN, RARE, PLAIN)


KINDS: tuple[Kind, ...] = (
    Kind(Dice.conv2d, (0, 0, 5), (MAIN,)),
    Kind(Dice.dilated, (0, 0, 0.7), (MAIN, RARE)),
    Kind(Dice.grouped, (0, 0, 1.5), (MAIN, RARE)),
    Kind(Dice.pointwise, (0, 0, 4), (MAIN,)),
    Kind(Dice.depthwise3, (0, 0, 3), (MAIN,)),
    Kind(Dice.depthwise, (0, 0, 2), (MAIN,)),
    Kind(Dice.multiplied, (0, 0, 1), (MAIN, RARE)),
    Kind(Dice.dilated_depthwise, (0, 0, 0.6), (MAIN, RARE)),
    Kind(Dice.transpose, (0, 0, 1), (MAIN, RARE)),
    Kind(Dice.conv1d, (0, 5, 0), (MAIN,)),
    Kind(Dice.dense, (5, 0, 0), (MAIN,)),
    Kind(Dice.max_pool, (0, 0, 1.5), (MAIN,)),
    Kind(Dice.avg_pool, (0, 0, 1.5), (MAIN,)),
    Kind(Dice.table, (1, 1, 2)),
    Kind(Dice.shift, (0.5, 0.5, 0.7)),
    Kind(Dice.pad, (0, 0, 0.7)),
    Kind(Dice.resize, (0, 0, 0.7)),
    Kind(Dice.slice, (0, 1, 1)),
    Kind(Dice.permute, (0, 1, 0.8)),
    Kind(Dice.mean, (0, 0.5, 0.5)),
    Kind(lambda dice, shape: kj.GlobalAvgPool2D, (0, 0, 0.5)),
    Kind(lambda dice, shape: kj.Flatten, (0, 0.7, 0.5)),
    Kind(lambda dice, shape: kj.Softmax, (0.7, 0, 0)),
    Kind(Dice.constant, (0.5, 0.5, 0.5)),
    Kind(Dice.constant, (2, 4, 4), (PLAIN,)),
    Kind(lambda dice, shape: dice.pick(JOINS), (1, 1, 3)),
    Kind(Dice.conv2d, (0, 0, 1), (ODD,)),
    Kind(Dice.pointwise, (0, 0, 2), (ODD,)),
    Kind(Dice.grouped, (0, 0, 1), (ODD,)),
    Kind(Dice.depthwise, (0, 0, 2), (ODD,)),
    Kind(Dice.multiplied, (0, 0, 0.7), (ODD,)),
    Kind(Dice.dilated_depthwise, (0, 0, 0.7), (ODD,)),
    Kind(Dice.pad, (0, 0, 1), (ODD,)),
)


def network(number: int, target: TargetSpec) -> kj.Model:
    """The network of a number for a target."""
    dice = Dice(number, target)
    start = dice.pick(dice.starts)
    is_image = start in IMAGES or (start in ROWS and dice.chance(0.3))
    inputs, macs = kj.Input(start), 0
    tensors: list[tuple[Symbol, Shape]] = [(inputs, start)]
    for position in range(LAYERS):
        x, shape = tensors[-1]
        if sum(len(other) == 1 for _, other in tensors) > MOST_VECTORS:
            break
        is_first = is_image and position == 0
        make = dice.first(shape) if is_first else _draw(dice, shape)
        found = _trial(make, shape, target, dice.scheme)
        if found is None or macs + found[1] > MOST_MACS:
            continue
        if make in JOINS:
            same = [y for y, other in tensors if other == shape and y is not inputs]
            y = make()(x, dice.pick(same or [x]))
        else:
            y = make()(x)
        tensors.append((y, found[0]))
        macs += found[1]
        if dice.is_legacy and make is kj.Softmax:
            break  # it may only be the last layer
    return kj.Model(inputs, tensors[-1][0], target=target, scheme=dice.scheme)


def _draw(dice: Dice, shape: Shape) -> Make:
    kinds = [kind for kind in KINDS if dice.family in kind.families]
    shares = np.array([kind.shares[min(len(shape), 3) - 1] for kind in kinds])
    kind = kinds[int(dice.rng.choice(len(kinds), p=shares / shares.sum()))]
    return kind.draw(dice, shape)


def _trial(
    make: Make, shape: Shape, target: TargetSpec, scheme: str
) -> tuple[Shape, int] | None:
    """Shape of the output and MACs of a layer; None if the target does not have it, or
    it is too large."""
    x = kj.Input(shape)
    inputs = (x, x) if make in JOINS else (x,)
    try:
        net = kj.Model(x, make()(*inputs), target=target, scheme=scheme)
        graph = net.outline()
        (node,) = graph.nodes
        graph.calls(node)
    except KanjiError:
        return None
    macs, values = graph.cost(node).macs, math.prod(net.output_shape)
    if macs > MOST_LAYER_MACS or values > MOST_VALUES:
        return None
    return net.output_shape, macs
