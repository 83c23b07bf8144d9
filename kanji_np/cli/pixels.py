"""What a pixel is to a network from elsewhere: options, and what its file says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from kanji_np.cli.options import Typed, group
from kanji_np.errors import OptionError

if TYPE_CHECKING:
    from kanji_np.data import Dataset
    from kanji_np.layers import Layer
    from kanji_np.model import Model
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


def for_images(
    net: Model,
    path: Path,
    data: Dataset,
    read: Callable[[Layer], Model],
    pixels: PixelOptions,
) -> Model:
    """A network that takes what a dataset has.

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
