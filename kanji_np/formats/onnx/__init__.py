"""ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np.formats.files import network_name
from kanji_np.model import Model
from kanji_np.targets import target_spec
from kanji_np.types import TargetSpec

if TYPE_CHECKING:
    from kanji_np.formats.builder import Imported
    from kanji_np.layers import Layer


def load_onnx(
    path: str | Path,
    target: str | TargetSpec = "cmsis-nn",
    *,
    core: str | None = None,
    rounding: str | None = None,
    version: str | None = None,
    name: str | None = None,
    image_layer: Layer | None = None,
) -> Model:
    """A network from an ONNX file, of float32 or of int8 in "QDQ" form.

    ONNX has images as (C, H, W); the network takes them with the channels last. In QDQ
    form QuantizeLinear and DequantizeLinear stand around every operator; the integers
    of such a file are kept: weights, biases, scales and zero points.

    The ranges of a float32 network are unknown: calibrate it with data, or train it.

    Parameters
    ----------
    path : path
        As the exporters of PyTorch, Keras and TensorFlow write it; opset 7 to 28. Its
        data may lie in other files of its folder.
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

    Raises
    ------
    FileFormatError
        The file is missing, damaged, or contradicts itself.
    UnsupportedOp
        The message names the operator, its tensor, and what would be supported.
    OptionError
        The target or the name is none.
    ToolError
        The package that reads the format is missing.
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
    from kanji_np.formats.onnx import convert, reader

    name = name or network_name(path)
    builder = Builder(target, name, scheme=scheme, image_layer=image_layer)
    with reader.naming(path):
        return convert.convert(reader.read(path), builder).imported
