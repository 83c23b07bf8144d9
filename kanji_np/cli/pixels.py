"""What a pixel is to a network from elsewhere: options, and what its file says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from kanji_np.cli.options import Typed, group
from kanji_np.errors import OptionError

if TYPE_CHECKING:
    from kanji_np.data import Dataset
    from kanji_np.layers import Layer
    from kanji_np.model import Model
    from kanji_np.ops.rescaling import RescalingAttrs
    from kanji_np.types import QParams

LARGEST_PIXEL = 255


class Numbers(Typed):
    """One number, or one for each channel; fractions such as 1/255 as well."""

    name = "X[,X,...]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self._number(part) for part in value.split(","))
        except (ValueError, ZeroDivisionError):
            self.fail(
                f"{value!r} is not a number such as 0.5 or 1/255, or one for each "
                "channel with commas between them",
                param,
                ctx,
            )

    def typed(self, value: tuple[float, ...]) -> str:
        """The text that stands for a value."""
        return ",".join(f"{number:.9g}" for number in value)

    def _number(self, text: str) -> float:
        if not re.fullmatch(r"[-+.\deE]+(/[-+.\deE]+)?", text):
            raise ValueError
        above, _, below = text.partition("/")
        number = float(above) / (float(below) if below else 1)
        if not math.isfinite(number):
            raise ValueError
        return number


def _numbers(flag: str, help: str) -> Any:
    return click.option(flag, type=Numbers(), help=help)


@dataclass(frozen=True)
class PixelOptions:
    """The real value that a pixel of an image has for the network."""

    scale: Annotated[
        tuple[float, ...] | None,
        _numbers("--scale", "Of images: the network takes pixel * scale + offset."),
    ] = None
    offset: Annotated[
        tuple[float, ...] | None, _numbers("--offset", "See --scale; 0 without it.")
    ] = None
    mean: Annotated[
        tuple[float, ...] | None,
        _numbers("--mean", "Of images: it takes (pixel / 255 - mean) / std."),
    ] = None
    std: Annotated[
        tuple[float, ...] | None, _numbers("--std", "See --mean; 1 without it.")
    ] = None

    def layer_for(self, net: Model, path: Path, data: Dataset) -> Layer | None:
        """The layer that a network from elsewhere needs for a dataset, if any.

        Parameters
        ----------
        net : Model
            As its file has it.
        path : path
            Of the file.
        data : Dataset

        Raises
        ------
        OptionError
            It is not said what a pixel is, or said where nothing is asked.
        """
        if net.input.dtype == "uint8":
            self.check_unused(f"{path} takes uint8 images as they are")
            return None
        if data.images.dtype != "uint8":
            self.check_unused(f"{data.name} has {data.images.dtype}")
            return None
        return self.layer(path, said_of_input(net))

    def layer(self, path: Path, qparams: QParams | None) -> Layer:
        """The layer that makes of uint8 images what the network takes.

        Parameters
        ----------
        path : path
            Of the network's file.
        qparams : QParams or None
            Of the file's int8 input. If it stands for pixels, or for pixels / 255,
            nothing need be said.

        Raises
        ------
        OptionError
            It is not said what a pixel is, or in two ways.
        """
        from kanji_np import Rescaling

        by_scale = self.scale is not None or self.offset is not None
        by_mean = self.mean is not None or self.std is not None
        if by_scale and by_mean:
            raise OptionError("--scale and --offset exclude --mean and --std")
        if by_mean:
            return self._normalizing()
        if by_scale:
            return Rescaling(self.scale or (1.0,), self.offset or (0.0,))
        if qparams is not None and _is_pixel(qparams):
            return Rescaling((qparams.scale,))
        raise OptionError(
            f"{path} does not say what a pixel is to it: give --scale (1/255 if it was "
            "trained on 0 to 1, 1 if on 0 to 255) and --offset, or --mean and --std"
        )

    def _normalizing(self) -> Layer:
        from kanji_np import Rescaling

        mean, std = self.mean or (0.0,), self.std or (1.0,)
        channels = max(len(mean), len(std))
        if {len(mean), len(std)} - {1, channels}:
            raise OptionError(
                f"--mean has {len(mean)} numbers and --std has {len(std)}"
            )
        if min(std) <= 0:
            raise OptionError(f"--std must be positive, got {min(std):g}")
        means, stds = (x * (channels // len(x)) for x in (mean, std))
        return Rescaling(
            tuple(1 / (LARGEST_PIXEL * s) for s in stds),
            tuple(-m / s for m, s in zip(means, stds, strict=True)),
        )

    def check_unused(self, why: str) -> None:
        """OptionError if something is said of pixels where nothing is asked."""
        if self != PixelOptions():
            raise OptionError(
                f"--scale, --offset, --mean and --std do not apply: {why}"
            )


pixel_options = group("pixels", PixelOptions)


def _is_pixel(qparams: QParams) -> bool:
    """Whether an int8 input is the pixel less 128, on a scale of 0..255 or 0..1."""
    scales = (1.0, 1 / LARGEST_PIXEL)
    return qparams.zero_point == -128 and any(
        math.isclose(qparams.scale, scale, rel_tol=1e-6) for scale in scales
    )


def matched(
    net: Model,
    path: Path,
    data: Dataset,
    read: Callable[[Layer], Model],
    pixels: PixelOptions,
) -> tuple[Model, Dataset]:
    """A network and a dataset that go together: `for_images` and `at_resolution`."""
    data = at_resolution(net, data)
    return for_images(net, path, data, read, pixels), data


def at_resolution(net: Model, data: Dataset) -> Dataset:
    """Images at the resolution that a network takes; where they are resized, a line on
    standard error says so."""
    from kanji_np.data import fitted, resizing_text

    made = fitted(data, net.input.shape)
    if text := resizing_text(data, made):
        click.echo(f"note: {text}", err=True)
    return made


def for_images(
    net: Model,
    path: Path,
    data: Dataset,
    read: Callable[[Layer], Model],
    pixels: PixelOptions,
) -> Model:
    """A network that takes the values that a dataset has.

    Parameters
    ----------
    net : Model
    path : path
        Its file.
    data : Dataset
    read : (image layer) -> Model
        The same with a layer for uint8 images.
    pixels : PixelOptions
        What a pixel is to a network from elsewhere.
    """
    from kanji_np import formats

    if not formats.is_foreign(path):
        pixels.check_unused(f"{path} is a model file, which says it itself")
        return net
    layer = pixels.layer_for(net, path, data)
    return net if layer is None else read(layer)


def said_of_input(net: Model) -> QParams | None:
    """The scale and zero point that its file gives the input, if it does."""
    return net.input.qparams if net.input_range is None else None


def as_inputs(net: Model, path: Path, data: Dataset, pixels: PixelOptions) -> Dataset:
    """A dataset as a network takes it: images at its resolution; and, where it has no
    layer for them, as int8.

    Parameters
    ----------
    net : Model
    path : path
        What messages call it.
    data : Dataset
    pixels : PixelOptions

    Raises
    ------
    OptionError, ShapeError
        It is not said what a pixel is, or for another number of channels.
    """
    from kanji_np.ops import rescaling

    data = at_resolution(net, data)
    layer = pixels.layer_for(net, path, data)
    if layer is None:
        return data
    rescaling.infer(layer.attrs, (data.input_shape,))
    qparams = net.freeze().input.qparams
    assert qparams is not None  # it takes no images
    ints = rescaling.ints_of(layer.attrs, (None,), qparams, net.target.numerics)
    images = rescaling.forward_int(layer.attrs, ints, (data.images,))
    return replace(data, images=images)


def input_text(net: Model) -> str:
    """What the file of a network takes: dtype, shape and the real values it holds.

    Parameters
    ----------
    net : Model
        As its file has it, without a layer for images.
    """
    from kanji_np.types import shape_text

    start = f"{_dtype(net)} {shape_text(net.input.shape)}"
    qparams = said_of_input(net)
    if net.input.dtype == "uint8":
        return f"{start}: pixels as they are, 0 to {LARGEST_PIXEL}"
    if qparams is None:
        return f"{start}: real values"
    low, high = _held(qparams)
    shift = f"(q{_signed(-qparams.zero_point)})" if qparams.zero_point else "q"
    return f"{start}: real value {qparams.scale:.6g} * {shift}, {low:.6g} to {high:.6g}"


def given_text(net: Model) -> str | None:
    """What a network's first layer makes of a pixel; None if it takes no images."""
    from kanji_np.ops.rescaling import RescalingAttrs

    if net.input.dtype != "uint8":
        return None
    attrs = net.layers[0].attrs
    is_rescaled = isinstance(attrs, RescalingAttrs)
    return _formula(attrs) if is_rescaled else "pixels as they are"


def pixel_text(attrs: RescalingAttrs, qparams: QParams | None) -> str:
    """What pixels become: as real values and, where its file is int8, as integers."""
    import numpy as np

    ends = attrs.of(np.array([[0.0], [float(LARGEST_PIXEL)]]))
    low, high = ends.min(), ends.max()
    text = f"real value {_formula(attrs)}, {low:.6g} to {high:.6g}"
    if qparams is None:
        return text
    if attrs.scale == (qparams.scale,) and not any(attrs.offset):
        return f"{text}; q = pixel{_signed(qparams.zero_point)}"
    least, most = _held(qparams)
    if low < least - qparams.scale or high > most + qparams.scale:
        text += f"; the file holds {least:.6g} to {most:.6g} and clamps the rest"
    return text


def _dtype(net: Model) -> str:
    is_real = net.input.dtype == "int8" and said_of_input(net) is None
    return "float32" if is_real else net.input.dtype


def _held(qparams: QParams) -> tuple[float, float]:
    """The real values of the least and the largest int8."""
    low, high = (qparams.scale * (q - qparams.zero_point) for q in (-128, 127))
    return low, high


def _formula(attrs: RescalingAttrs) -> str:
    """As "pixel * 0.5 - 1"; numbers that differ between channels stand in brackets."""
    scale, offset = attrs.scale, attrs.offset
    text = "pixel"
    if set(scale) != {1.0}:
        text += f" * {_number_text(scale)}"
    if len(set(offset)) > 1:
        return f"{text} + {_number_text(offset)}"
    return text + _signed(offset[0])


def _number_text(numbers: tuple[float, ...]) -> str:
    texts = [f"{number + 0.0:.6g}" for number in numbers]  # 0 and -0 look the same
    return texts[0] if len(set(texts)) == 1 else f"({', '.join(texts)})"


def _signed(number: float) -> str:
    """As " + 3" and " - 3"; nothing of 0."""
    return f" {'-' if number < 0 else '+'} {abs(number):.6g}" if number else ""
