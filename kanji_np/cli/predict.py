"""`kanji-np predict`: what a network says of files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kanji_np.choices import PRECISIONS
from kanji_np.cli.options import (
    PATH,
    TargetOptions,
    check_trained,
    target_options,
)
from kanji_np.cli.pixels import PixelOptions, for_images, pixel_options
from kanji_np.errors import DataError, FileFormatError, OptionError

if TYPE_CHECKING:
    import numpy as np

    from kanji_np.data import Dataset
    from kanji_np.model import Model

#: Arrays of a `.npz` file that samples are looked for under, in this order.
KEYS = ("images", "x", "x_test")
IMAGE_AXES = 3


@dataclass(frozen=True)
class Samples:
    """What one file holds, as a network takes it.

    Parameters
    ----------
    path : path
    x : ndarray (N, ...)
    are_many : bool
        Whether it is an array with an axis for samples, and not one sample.
    """

    path: Path
    x: np.ndarray
    are_many: bool

    def name(self, i: int) -> str:
        """What messages call a sample."""
        return f"{self.path}[{i}]" if self.are_many else str(self.path)


@click.command()
@click.argument("model", type=PATH)
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@pixel_options
@target_options
@click.option("--precision", type=click.Choice(PRECISIONS), default="int8")
@click.option(
    "--top", type=click.IntRange(1), default=1, help="How many classes of each file."
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each sample.")
def predict(
    model: Path, files: tuple[Path, ...], pixels: PixelOptions, target: TargetOptions,
    precision: str, top: int, as_json: bool,
) -> None:  # fmt: skip
    """Say which class files are of, and how likely the network thinks it.

    FILE is an image, which is resized and made grey as the model's input is, a folder
    of images, or samples in a .npy or .npz file.

    \b
    Example:
      kanji-np predict runs/cifar10/model.npz photo.jpg
    """
    from kanji_np.report import percent, text_table

    net = target.load(model)
    if net.output_shape == net.input.shape:
        raise OptionError(
            f"{model} gives back its inputs and has no classes: kj.anomaly_scores says "
            "how well"
        )
    if precision == "int8":
        check_trained(net, model)
    rows: list[tuple[str, ...]] = []
    networks: dict[str, Model] = {}  # by what they take: images, or real values
    for samples in (s for path in files for s in _samples(path, net)):
        kind = samples.x.dtype.kind
        if kind not in networks:
            networks[kind] = for_images(
                net, model, _dataset(samples), partial(target.load, model), pixels
            )
        its = networks[kind]
        for i, chances in enumerate(its.probabilities(samples.x, precision=precision)):
            best = (-chances).argsort(kind="stable")[:top]
            found = [(int(k), _name(its, int(k)), float(chances[k])) for k in best]
            if as_json:
                click.echo(_json(samples, i, found))
            else:
                names = [samples.name(i), *[""] * (top - 1)]  # the first line has it
                rows += [
                    (its_name, name, percent(p))
                    for its_name, (_, name, p) in zip(names, found, strict=False)
                ]
    if rows:
        header = ("file", "class", "probability")
        click.echo(text_table(header, rows, left_columns=2))


def _samples(path: Path, net: Model) -> Iterator[Samples]:
    """What a file, or each image of a folder, holds."""
    from kanji_np.data.folders import PICTURES

    if path.is_dir():
        entries = sorted(path.iterdir())
        images = [entry for entry in entries if entry.suffix.lower() in PICTURES]
        if not images:
            raise DataError(f"{path}: holds no images")
        for image in images:
            yield from _samples(image, net)
    elif not path.exists():
        raise DataError(f"{path}: no such file")
    elif path.suffix in (".npy", ".npz"):
        yield _array(path, net)
    elif path.suffix.lower() in PICTURES:
        yield Samples(path, _image(path, net)[None], are_many=False)
    else:
        raise DataError(
            f"{path}: expected an image ({', '.join(PICTURES)}), .npy or .npz"
        )


def _image(path: Path, net: Model) -> np.ndarray:
    """An image at the size and with the channels of a network's input."""
    from kanji_np.data.pictures import Seen, read_image
    from kanji_np.types import shape_text

    shape = net.input.shape
    if len(shape) != IMAGE_AXES or shape[2] not in (1, 3):
        raise DataError(
            f"{path}: {net.name} takes {shape_text(shape)}, which no image has: give "
            "samples as .npy or .npz"
        )
    return read_image(path, (shape[0], shape[1]), shape[2], Seen())


def _array(path: Path, net: Model) -> Samples:
    """The samples in a file of arrays, or the one."""
    import numpy as np

    from kanji_np import archive

    if path.suffix == ".npy":
        try:
            x = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise FileFormatError(f"{path}: not a .npy file: {error}") from None
    else:
        arrays = archive.arrays(path)
        key = next((key for key in KEYS if key in arrays), next(iter(arrays), None))
        if key is None or (key not in KEYS and len(arrays) > 1):
            raise DataError(
                f"{path}: expected one array, or one of {', '.join(KEYS)}; got "
                f"{', '.join(sorted(arrays)) or 'none'}"
            )
        x = arrays[key]
    is_one = x.shape == net.input.shape
    if is_one:
        x = x[None]
    elif x.shape[1:] == net.input.shape[:-1] and net.input.shape[-1] == 1:
        x = x[..., None]  # (N, H, W) -> (N, H, W, 1)
    return Samples(path, x, are_many=not is_one)


def _dataset(samples: Samples) -> Dataset:
    """The samples without labels, for what is asked about datasets."""
    import numpy as np

    from kanji_np.data import Dataset

    x = samples.x.astype(np.float32) if samples.x.dtype.kind == "f" else samples.x
    return Dataset(x, np.zeros(len(x), np.int64), ("",), str(samples.path))


def _name(net: Model, k: int) -> str:
    return net.classes[k] if net.classes else str(k)


def _json(samples: Samples, i: int, found: list[tuple[int, str, float]]) -> str:
    """A sample as one line."""
    facts = {
        "file": str(samples.path),
        "sample": i,
        "classes": [
            {"class": k, "name": name, "probability": round(p, 6)}
            for k, name, p in found
        ],
    }
    return json.dumps(facts)
