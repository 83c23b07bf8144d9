"""`kanji-np convert`: a model as a file of another format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kanji_np.cli.options import PATH, TargetOptions, target_options
from kanji_np.errors import OptionError

if TYPE_CHECKING:
    from kanji_np.formats.saved import SavedNetwork


def _writer(suffix: str) -> Callable[..., SavedNetwork]:
    import kanji_np as kj

    writers: dict[str, Any] = {".tflite": kj.save_tflite, ".onnx": kj.save_onnx}
    return writers[suffix]


@click.command()
@click.argument("model", type=PATH)
@click.argument("file", type=PATH)
@target_options
def convert(model: Path, file: Path, target: TargetOptions) -> None:
    """Write a model as a .tflite or .onnx file, as the ending of FILE says.

    A .tflite is int8, for TensorFlow Lite Micro and LiteRT. An .onnx is in QDQ form,
    for onnxruntime. The network must have been trained or calibrated, else its scales
    come from noise.

    \b
    Example:
      kanji-np convert runs/cifar10/model.npz cifar10.tflite
    """
    if file.suffix not in (".tflite", ".onnx"):
        raise OptionError(f"{file}: the file must end in .tflite or .onnx")
    write = _writer(file.suffix)
    click.echo(write(target.load(model), file))
