"""TensorFlow Lite files (`.tflite`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np.formats.files import naming_file, network_name
from kanji_np.layers import Layer
from kanji_np.model import Model
from kanji_np.targets import target_spec
from kanji_np.types import TargetSpec

if TYPE_CHECKING:
    from kanji_np.formats.builder import Imported


def load_tflite(
    path: str | Path,
    target: str | TargetSpec = "cmsis-nn",
    *,
    core: str | None = None,
    rounding: str | None = None,
    version: str | None = None,
    name: str | None = None,
    image_layer: Layer | None = None,
) -> Model:
    """A network from a TensorFlow Lite file, of int8 or float32.

    The integers of an int8 file are kept: weights, biases, scales and zero points. The
    network computes with them as the target's library does, and trains on.

    The ranges of a float32 network are unknown: calibrate it with data, or train it.
    Weights of int8 beside float32 inputs ("dynamic range quantization") become the real
    numbers they stand for.

    Parameters
    ----------
    path : path
    target, core, rounding, version : optional
        As `Model` has them.
    name : str, optional
        A C identifier in lower case; by default the file's name, made one.
    image_layer : Layer, optional
        The network takes uint8 images, and this layer comes first: `Rescaling`, which
        makes of pixels what the file's network takes.

    Returns
    -------
    Model
        Float inputs that the file quantizes are left out: the network takes int8.

    Raises
    ------
    FileFormatError
        The file is missing, damaged, or no `.tflite` file.
    UnsupportedOp
        The message names the operator, its output, and what would be supported.
    ShapeError, AccumulatorOverflow, OptionError
        A layer does not fit the target; the message names it.
    ToolError
        The packages that read the format are missing.
    """
    spec = target_spec(target, core=core, rounding=rounding, version=version)
    return read(path, spec, name, image_layer).network


def read(
    path: str | Path,
    target: TargetSpec,
    name: str | None = None,
    image_layer: Layer | None = None,
    scheme: str | None = None,
) -> Imported:
    """The same, with the table of what became what."""
    from kanji_np.formats.builder import Builder
    from kanji_np.formats.tflite import operators, reader

    name = name or network_name(path)
    builder = Builder(target, name, scheme=scheme, image_layer=image_layer)
    with naming_file(path):
        return operators.convert(reader.read(path), builder)
