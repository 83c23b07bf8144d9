"""The built-in family of networks for images, spectrograms and other (H, W, C) inputs.

A network is a row of stages. Each stage has blocks of equal width and halves height and
width; a dense layer ends it. Convolutions are normalized while they are trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kanji_np.checks import integer, integers, shown
from kanji_np.errors import OptionError, ShapeError
from kanji_np.layers import (
    Add,
    AvgPool2D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    Input,
    MaxPool2D,
    Normalize,
    Symbol,
)
from kanji_np.model import Model
from kanji_np.search.family import Choice, Family
from kanji_np.types import Shape, shape_text

MIDDLE = 128  # of a uint8's range
MULTIPLE = 4  # of channels: kernels compute four at a time
MOST_SIDE, MOST_CHANNELS, MOST_CLASSES = 4096, 1024, 10_000

#: The values of every choice but the resolution.
IMAGE_SPACE: dict[str, Sequence[Choice]] = {
    "block": ("conv", "depthwise", "residual"),
    "width": (8, 16, 24, 32, 48),
    "growth": (1.0, 1.5, 2.0),
    "stages": (2, 3, 4),
    "depth": (1, 2),
    "kernel": (3, 5),
    "shrink": ("pool", "stride"),
    "head": ("flatten", "average"),
}

#: What numbers may be: least and most.
LIMITS = {
    "resolution": (1, MOST_SIDE),
    "width": (1, MOST_CHANNELS),
    "growth": (0.25, 4.0),
    "stages": (1, 10),
    "depth": (1, 20),
    "kernel": (1, 15),
}


def image_family(
    input_shape: Shape,
    classes: int,
    space: Mapping[str, Sequence[Choice]] | None = None,
    *,
    mean: ArrayLike | None = MIDDLE,
    target: str = "cmsis-nn",
    scheme: str = "symmetric",
    seed: int = 0,
) -> Family:
    """Networks for images of one shape, from nine choices.

    Parameters
    ----------
    input_shape : (H, W, C)
        Of the images as they are.
    classes : int
        Number of outputs.
    space : mapping, optional
        Values for some choices; the others have those of `IMAGE_SPACE`:

        - resolution: height that the network takes [pixels], the width in proportion.
          By default of square images all, three quarters and half, else all.
        - block: "conv", a convolution; "depthwise", one channel by channel and a 1x1
          across channels, after a first ordinary convolution; "residual", the
          convolutions of a stage with a shortcut around them.
        - width: channels of the first stage.
        - growth: how many times as wide each stage is as the one before, rounded to a
          multiple of 4.
        - stages: each halves height and width.
        - depth: blocks in a stage.
        - kernel: height and width of kernels.
        - shrink: how a stage halves: "pool", a 2x2 maximum at its end, or "stride", of
          its first convolution.
        - head: "flatten", a dense layer on all values, or "average", on the mean of
          each channel.
    mean : int, sequence of int, or None
        What `Normalize` takes off uint8 images. None: inputs are real values, whose
        range calibration finds, and which keep their resolution.
    target, scheme, seed
        As `Model` has them.

    Returns
    -------
    Family

    Raises
    ------
    OptionError, ShapeError
        An argument is wrong.
    """
    shape = _image_shape(input_shape)
    classes = integer("classes", classes, 2, MOST_CLASSES)
    chosen: dict[str, Sequence[Choice]] = {"resolution": _resolutions(shape, mean)}
    chosen |= IMAGE_SPACE
    for name, values in (space or {}).items():
        if name not in chosen:
            known = ", ".join(chosen)
            raise OptionError(f"space has no choice {shown(name)}: it has {known}")
        chosen[name] = values
    family = Family(
        "images", chosen, ImageBuild(shape, classes, mean, target, scheme, seed)
    )
    for name, values in family.space.items():
        for value in values:
            _check(name, value)
    if mean is None and family.space["resolution"] != (shape[0],):
        raise OptionError(
            "resolution: only uint8 images are resized, which need a mean"
        )
    return family


def _image_shape(shape: Shape) -> Shape:
    """The shape, if it is one of images."""
    try:
        return integers("input_shape", shape, 1, MOST_SIDE, (3, 3))
    except OptionError:
        text = shape_text(shape) if isinstance(shape, tuple) else shown(shape)
        raise ShapeError(
            f"the family of images takes inputs (H, W, C), not {text}: write a Python "
            "file with a family of your own"
        ) from None


def _resolutions(shape: Shape, mean: ArrayLike | None) -> tuple[int, ...]:
    side, width, _ = shape
    if side != width or mean is None:
        return (side,)
    return tuple(dict.fromkeys((side, max(1, side * 3 // 4), max(1, side // 2))))


def _check(name: str, value: Choice) -> None:
    """OptionError if a choice of the family cannot have a value."""
    if name in LIMITS:
        least, most = LIMITS[name]
        is_number = type(value) is int or (name == "growth" and type(value) is float)
        if is_number and least <= value <= most:  # type: ignore[operator]
            return
        kind = "a number" if name == "growth" else "an int"
        allowed = f"{kind} in {least} .. {most}"
    else:
        if value in IMAGE_SPACE[name]:
            return
        allowed = f"one of {', '.join(map(str, IMAGE_SPACE[name]))}"
    raise OptionError(
        f"{name} must be {allowed}, got {shown(value)}", arguments=(name,)
    )


@dataclass(frozen=True)
class ImageBuild:
    """What builds the networks of `image_family`; its fields are arguments of that."""

    input_shape: Shape
    classes: int
    mean: ArrayLike | None
    target: str
    scheme: str
    seed: int

    def __call__(
        self,
        *,
        resolution: int,
        block: str,
        width: int,
        growth: float,
        stages: int,
        depth: int,
        kernel: int,
        shrink: str,
        head: str,
    ) -> Model:
        """The network of one combination; ShapeError where it has no pixels left."""
        height, wide, channels = self.input_shape
        # (H, W, C) -> (resolution, W in proportion, C)
        sides = resolution, max(1, round(wide * resolution / height))
        images = x = Input((*sides, channels))
        if self.mean is not None:
            x = Normalize(np.broadcast_to(self.mean, channels))(x)
        if block != "conv":
            x, channels = _conv(width, kernel)(x), width
        for stage in range(stages):
            filters = MULTIPLE * max(1, round(width * growth**stage / MULTIPLE))
            stride = 2 if shrink == "stride" else 1
            x = BLOCKS[block](x, Stage(channels, filters, depth, kernel, stride))
            channels = filters
            if shrink == "pool":
                x = MaxPool2D(2)(x)
                sides = sides[0] // 2, sides[1] // 2
            else:
                sides = -(-sides[0] // 2), -(-sides[1] // 2)
        if head == "average":
            if sides == (1, 1):
                raise ShapeError("an average over one pixel is what head=flatten gives")
            x = AvgPool2D(sides)(x)
        x = Dense(self.classes)(Flatten()(x))
        return Model(
            images, x, self.target, scheme=self.scheme, seed=self.seed,
            name="candidate", input_range="data" if self.mean is None else None,
        )  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Blocks of equal width.

    Parameters
    ----------
    channels, filters : int
        Of its input and of its output.
    depth : int
        Blocks.
    kernel : int
    stride : int
        Of the first block.
    """

    channels: int
    filters: int
    depth: int
    kernel: int
    stride: int

    @property
    def strides(self) -> list[int]:
        """Of every block."""
        return [self.stride] + [1] * (self.depth - 1)


def _conv(
    filters: int, kernel: int, stride: int = 1, activation: str | None = "relu"
) -> Conv2D:
    return Conv2D(
        filters, kernel, stride, padding="same", activation=activation, batch_norm=True
    )


def _plain(x: Symbol, stage: Stage) -> Symbol:
    for stride in stage.strides:
        x = _conv(stage.filters, stage.kernel, stride)(x)
    return x


def _separable(x: Symbol, stage: Stage) -> Symbol:
    for stride in stage.strides:
        x = DepthwiseConv2D(
            stage.kernel, stride, padding="same", activation="relu", batch_norm=True
        )(x)
        x = _conv(stage.filters, 1)(x)
    return x


def _residual(x: Symbol, stage: Stage) -> Symbol:
    y = x
    for i, stride in enumerate(stage.strides, 1):
        activation = "relu" if i < stage.depth else None
        y = _conv(stage.filters, stage.kernel, stride, activation)(y)
    if stage.stride > 1 or stage.channels != stage.filters:
        x = _conv(stage.filters, 1, stage.stride, None)(x)
    return Add(activation="relu")(x, y)


BLOCKS: dict[str, Callable[[Symbol, Stage], Symbol]] = {
    "conv": _plain,
    "depthwise": _separable,
    "residual": _residual,
}
