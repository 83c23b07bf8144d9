"""Operators that compute each element alone, of it and of constants.

``k x + b`` becomes part of the weights before it, or a depthwise convolution of one
cell. Limits become an activation: ReLU, ReLU6, or one of them between two ``k x + b``:

    max(x, low) = low + max(x - low, 0)
    min(max(x, low), high) = low + s min(max((x - low) / s, 0), 6)

with s = (high - low) / 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from kanji_np.errors import FileFormatError
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.folding import Constant
from kanji_np.formats.onnx.layout import View
from kanji_np.formats.onnx.reader import ELEMENTS
from kanji_np.formats.source import SourceOp
from kanji_np.types import Shape
from kanji_np.window import MOST_CELLS

if TYPE_CHECKING:
    from kanji_np.formats.onnx.net import Net

Limits: TypeAlias = tuple[float, float]

#: Larger values are no limits: exporters write the ends of float32.
NO_LIMIT = 3.4e38
#: The limits of activations that layers fuse.
FUSED = {(0.0, math.inf): "relu", (0.0, 6.0): "relu6"}
NO_LIMITS = (-math.inf, math.inf)
SIX = 6.0


class Affine(NamedTuple):
    """``k x + b``: float64 arrays with all axes of a sample, or 1 in their place."""

    k: np.ndarray
    b: np.ndarray

    @classmethod
    def scalar(cls, k: float, b: float, view: View) -> Affine:
        """The same for every element."""
        ones = np.ones((1,) * len(view.axes))
        return cls(k * ones, b * ones)


# Affine operators.


def batch_norm(net: Net, op: SourceOp, place: int, view: View) -> Affine | None:
    """Of each channel, the axis after the batch."""
    attrs = given.given(given.BatchNormalization, op)
    if attrs.training_mode or not attrs.spatial:
        raise net.refusal(op, "only batch normalization of inference is supported")
    if place or not view.axes:
        raise net.refusal(op, "its first input must be the one that is no constant")
    scale, bias, mean, var = (net.constant(op, k).numbers() for k in (1, 2, 3, 4))
    channels = view.shape[0]
    for each in (scale, bias, mean, var):
        if each.shape != (channels,):
            raise FileFormatError(
                f"{op}: its parameters must have the shape {(channels,)}, got "
                f"{each.shape}"
            )
    if (var + attrs.epsilon <= 0).any():
        raise FileFormatError(f"{op}: a variance is negative")
    k = scale / np.sqrt(var + attrs.epsilon)
    shape = (-1,) + (1,) * (len(view.axes) - 1)
    return Affine(k.reshape(shape), (bias - mean * k).reshape(shape))


def sum_of(net: Net, op: SourceOp, place: int, view: View) -> Affine | None:
    other = _other(net, op, place, view)
    return other if other is None else Affine(np.ones_like(other), other)


def difference(net: Net, op: SourceOp, place: int, view: View) -> Affine | None:
    other = _other(net, op, place, view)
    if other is None:
        return None
    sign = np.ones_like(other)
    return Affine(-sign, other) if place else Affine(sign, -other)


def product(net: Net, op: SourceOp, place: int, view: View) -> Affine | None:
    other = _other(net, op, place, view)
    return other if other is None else Affine(other, np.zeros_like(other))


def quotient(net: Net, op: SourceOp, place: int, view: View) -> Affine | None:
    other = _other(net, op, place, view)
    if other is None or place:
        return None
    if (other == 0).any():
        raise net.refusal(op, "divides by zero")
    return Affine(1 / other, np.zeros_like(other))


def _other(net: Net, op: SourceOp, place: int, view: View) -> np.ndarray | None:
    """The constant beside the input in that place, None if it is none that fits."""
    given.given(given.Plain, op)
    if len(op.inputs) != 2 or not net.has(op, 1 - place):
        return None
    value = net.value(op, 1 - place)
    return of_sample(value, view) if isinstance(value, Constant) else None


def of_sample(constant: Constant, view: View) -> np.ndarray | None:
    """A constant as one sample has it, float64 with all axes of the sample.

    None where it differs between samples, or has more elements than the tensor.
    """
    array = constant.real()
    if array.dtype.kind not in "fiu":
        return None
    rank = len(view.axes)
    array = array.astype(np.float64).reshape(
        (1,) * (rank + 1 - array.ndim) + array.shape
    )
    if array.ndim != rank + 1 or len(array) == 0 or (array != array[:1]).any():
        return None
    sample: np.ndarray = array[0]
    fits = all(
        size in (1, whole) for size, whole in zip(sample.shape, view.shape, strict=True)
    )
    return sample if fits else None


#: (net, op, place of the input that is no constant, its view) -> Affine, or None where
#: the operator is none.
AFFINE: dict[str, Callable[[Net, SourceOp, int, View], Affine | None]] = {
    "Add": sum_of,
    "BatchNormalization": batch_norm,
    "Div": quotient,
    "Mul": product,
    "Sub": difference,
}

# Limits.


def relu(net: Net, op: SourceOp) -> Limits:
    given.given(given.Plain, op)
    return 0.0, math.inf


def clip(net: Net, op: SourceOp) -> Limits:
    attrs = given.given(given.Clip, op)
    ends = []
    for place, attribute, none in (
        (1, attrs.min, -math.inf),
        (2, attrs.max, math.inf),
    ):
        constant = net.given(op, place)
        value = attribute
        if constant is not None:
            if constant.data.size != 1 or constant.data.dtype == object:
                raise net.refusal(op, "its limits must be single numbers")
            value = float(constant.real().reshape(()))
        ends.append(none if value is None or abs(value) >= NO_LIMIT else value)
    low, high = ends
    if not low < high:
        raise net.refusal(op, f"its limits, {low} and {high}, must rise")
    return low, high


#: (net, op) -> (lowest, highest)
LIMITS: dict[str, Callable[[Net, SourceOp], Limits]] = {"Clip": clip, "Relu": relu}


class Clamped(NamedTuple):
    """An activation between two ``k x + b``."""

    before: Affine
    activation: str
    after: Affine


def clamped(low: np.ndarray | None, high: np.ndarray | None) -> Clamped:
    """Limits, with all axes of a sample, as an activation; at least one is there."""
    if high is None:
        assert low is not None
        one = np.ones_like(low)
        return Clamped(Affine(one, -low), "relu", Affine(one, low))
    if low is None:
        one = np.ones_like(high)
        return Clamped(Affine(-one, high), "relu", Affine(-one, high))
    step = (high - low) / SIX
    return Clamped(Affine(1 / step, -low / step), "relu6", Affine(step, low))


def clamped_by(limits: Limits, rank: int) -> Clamped:
    """The same limits for every element of a sample with so many axes."""
    low, high = (
        None if math.isinf(end) else np.full((1,) * rank, end) for end in limits
    )
    return clamped(low, high)


# What does nothing.


def identity(net: Net, op: SourceOp) -> None:
    given.given(given.Plain, op)


def dropout(net: Net, op: SourceOp) -> None:
    given.given(given.Dropout, op)
    training = net.given(op, 2)
    if training is not None and training.data.any():
        raise net.refusal(op, "is in training mode")


def cast(net: Net, op: SourceOp) -> None:
    attrs = given.given(given.Cast, op)
    element = ELEMENTS.get(attrs.to)
    if element is None or element.dtype != "float32":
        raise net.refusal(op, "from float32 to another type")


#: (net, op) -> None; UnsupportedOp where the output is not the input.
NOTHING: dict[str, Callable[[Net, SourceOp], None]] = {
    "Cast": cast,
    "Dropout": dropout,
    "Identity": identity,
}

# Constants along our axes.


def image_of(view: View, ours: Shape, arrays: tuple[np.ndarray, ...]) -> Shape:
    """(H, W, C) of as many elements, of which these arrays differ along C alone."""
    channels = max(_varying(array, view) for array in arrays)
    if view.size % ours[-1] == 0 and ours[-1] % channels == 0:
        channels = ours[-1]
    rows = view.size // channels
    if len(ours) == 3 and ours[2] == channels:
        return ours
    if rows > MOST_CELLS and rows % ours[0] == 0:
        return ours[0], rows // ours[0], channels
    return 1, rows, channels


def _varying(array: np.ndarray, view: View) -> int:
    """How many of our innermost elements an array repeats itself after."""
    sizes, count, most = _by_runs(array, view), 1, 1
    runs = sorted((run for run in view.runs()), key=lambda run: run.stride)
    for size, run in zip(reversed(sizes.shape), runs, strict=True):
        count *= run.size
        most = count if size > 1 else most
    return most


def vector(array: np.ndarray, view: View, channels: int) -> np.ndarray | None:
    """What an array says of each of our channels, (channels,).

    None where it differs between elements of one channel.
    """
    if array.size == 1:
        return np.full(channels, array.reshape(()))
    by_runs = _by_runs(array, view)
    if _varying(array, view) > channels:
        return None
    runs = sorted((run for run in view.runs()), key=lambda run: -run.stride)
    inner: list[int] = []
    for run in reversed(runs):
        if math.prod(inner) < channels:
            inner.insert(0, run.size)
    if math.prod(inner) != channels:
        return None
    own = by_runs.reshape(by_runs.shape[len(runs) - len(inner) :])
    return np.broadcast_to(own, inner).reshape(channels)


def _by_runs(array: np.ndarray, view: View) -> np.ndarray:
    """An array with an axis for each run of a view, as they lie in ours.

    Axes that the array is broadcast along stay of length 1.
    """
    sizes = [
        run.size if size > 1 else 1
        for axis, size in zip(view.axes, array.shape, strict=True)
        for run in axis
    ]
    strides = [-run.stride for run in view.runs()]
    return array.reshape(sizes).transpose(np.argsort(strides, kind="stable"))
