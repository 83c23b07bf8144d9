"""`kanji-np convert`: a model as a file of another format."""

from __future__ import annotations

from pathlib import Path

import click

from kanji_np.cli.options import (
    PATH,
    TargetOptions,
    check_calibrated,
    target_options,
)
from kanji_np.errors import OptionError


@click.command()
@click.argument("model", type=PATH)
@click.argument("file", type=PATH)
@target_options
def convert(model: Path, file: Path, target: TargetOptions) -> None:
    """Write a model as a file of another format, as the ending of FILE says.

    A .npz is a model file of this package. A .tflite is int8, for TensorFlow Lite Micro
    and LiteRT. An .onnx is in QDQ form, for onnxruntime. The network must have been
    trained or calibrated, else its scales come from noise.

    \b
    Example:
      kanji-np convert runs/cifar10/model.npz cifar10.tflite
    """
    from kanji_np.formats.save import save_onnx, save_tflite

    writers = {".tflite": save_tflite, ".onnx": save_onnx}
    suffix = file.suffix.lower()
    if suffix not in (".npz", *writers):
        endings = ", ".join((".npz", *writers))
        raise OptionError(f"{file}: the name must end in one of {endings}")
    net = target.load(model)
    check_calibrated(net, model)
    if suffix == ".npz":
        net.save(file)
        click.echo(f"model          {file}")
    else:
        click.echo(writers[suffix](net, file))
