"""Datasets: drawn, downloaded, or the user's own; augmentation; batches.

`load_dataset` is the front door. Importing this package loads NumPy and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kanji_np.data.arrays import from_arrays, holds_npy, npy_directory, npz
from kanji_np.data.augment import (
    Augment,
    Augmentation,
    SignalAugment,
    parse_augment,
)
from kanji_np.data.cifar import CIFAR10, CIFAR100, cifar10, cifar100, find_layout
from kanji_np.data.dataset import Dataset
from kanji_np.data.download import cache_directory, fetch
from kanji_np.data.folders import kind_of
from kanji_np.data.loader import ahead, batches, n_batches
from kanji_np.data.pictures import image_folders
from kanji_np.data.recordings import (
    csv_folders,
    csv_table,
    holds_tables,
    wav_folders,
)
from kanji_np.data.resize import fitted, resized, resizing_text
from kanji_np.data.synthetic import synthetic
from kanji_np.data.synthetic_keywords import synthetic_keywords
from kanji_np.data.synthetic_machines import synthetic_machines
from kanji_np.data.synthetic_persons import synthetic_persons
from kanji_np.errors import OptionError
from kanji_np.types import Shape

__all__ = [
    "DATASETS",
    "Augment",
    "Augmentation",
    "Dataset",
    "DatasetInfo",
    "SignalAugment",
    "ahead",
    "batches",
    "cache_directory",
    "cifar10",
    "cifar100",
    "csv_folders",
    "csv_table",
    "fetch",
    "fitted",
    "from_arrays",
    "image_folders",
    "load_dataset",
    "n_batches",
    "npy_directory",
    "npz",
    "parse_augment",
    "resized",
    "resizing_text",
    "synthetic",
    "synthetic_keywords",
    "synthetic_machines",
    "synthetic_persons",
    "wav_folders",
]


@dataclass(frozen=True)
class DatasetInfo:
    """One kind of source that `load_dataset` takes.

    Parameters
    ----------
    description : str
    shape : tuple of int, or None
        (H, W, C) of an image, (K,) of a vector; None if the files decide.
    n_classes : int or None
    how_to_get : str
    options : tuple of str
        The options of `load_dataset` that this source takes.
    """

    description: str
    shape: Shape | None
    n_classes: int | None
    how_to_get: str
    options: tuple[str, ...]


# Keyed by what to write as the source; capitals stand for the user's own.
DATASETS: dict[str, DatasetInfo] = {
    "synthetic": DatasetInfo(
        description="figures drawn by rule: 8,000 to train on, 2,000 to test",
        shape=(32, 32, 3),
        n_classes=10,
        how_to_get="built in",
        options=("seed",),
    ),
    "synthetic-keywords": DatasetInfo(
        description="spectrograms of spoken words: 6,000 and 1,200",
        shape=(49, 10, 1),
        n_classes=12,
        how_to_get="built in",
        options=("seed",),
    ),
    "synthetic-persons": DatasetInfo(
        description="pictures with somebody in them, or nobody: 1,200 and 400",
        shape=(96, 96, 3),
        n_classes=2,
        how_to_get="built in",
        options=("seed",),
    ),
    "synthetic-machines": DatasetInfo(
        description="sounds of a machine: 4,000 normal; 1,000, half of them not",
        shape=(640,),
        n_classes=2,
        how_to_get="built in",
        options=("seed",),
    ),
    "cifar10": DatasetInfo(
        description="photographs of animals and vehicles: 50,000 and 10,000",
        shape=(32, 32, 3),
        n_classes=10,
        how_to_get="downloaded (170 MB) if asked to; at hand: cifar10:DIRECTORY",
        options=("download", "progress"),
    ),
    "cifar100": DatasetInfo(
        description="the same counts in 100 classes",
        shape=(32, 32, 3),
        n_classes=100,
        how_to_get="downloaded (161 MB) if asked to; at hand: cifar100:DIRECTORY",
        options=("download", "progress"),
    ),
    "FILE.npz": DatasetInfo(
        description="x_train, y_train, x_test, y_test; images, labels; or x, y",
        shape=None,
        n_classes=None,
        how_to_get="numpy.savez",
        options=("task", "test_fraction", "seed"),
    ),
    "FILE.csv": DatasetInfo(
        description="a row a sample, one column is learned; or readings (--window)",
        shape=None,
        n_classes=None,
        how_to_get="your own file, or a directory with train.csv and test.csv",
        options=("label", "task", "window", "step", "test_fraction", "seed"),
    ),
    "DIRECTORY": DatasetInfo(
        description="image files in {train,test}/CLASS/ or in CLASS/",
        shape=None,
        n_classes=None,
        how_to_get="your own files; reading them needs Pillow",
        options=("size", "channels", "test_fraction", "seed"),
    ),
    "DIRECTORY (.wav)": DatasetInfo(
        description="sounds, in folders like those of images",
        shape=None,
        n_classes=None,
        how_to_get="your own files",
        options=("window", "step", "test_fraction", "seed"),
    ),
    "DIRECTORY (.csv)": DatasetInfo(
        description="recordings of sensors, in folders like those of images",
        shape=None,
        n_classes=None,
        how_to_get="your own files, .csv, .tsv or .txt",
        options=("window", "step", "test_fraction", "seed"),
    ),
    "DIRECTORY (.npy)": DatasetInfo(
        description="x_train.npy, y_train.npy, ...; or x.npy, y.npy",
        shape=None,
        n_classes=None,
        how_to_get="numpy.save",
        options=("task", "test_fraction", "seed"),
    ),
}
#: Rows of DATASETS for class folders, by the kind of their files.
FOLDERS: dict[str, tuple[str, Callable[..., tuple[Dataset, Dataset]]]] = {
    "images": ("DIRECTORY", image_folders),
    "WAV files": ("DIRECTORY (.wav)", wav_folders),
    "CSV files": ("DIRECTORY (.csv)", csv_folders),
    "text files": ("DIRECTORY (.csv)", csv_folders),
}


def load_dataset(
    source: str | Path,
    *,
    download: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    label: str | Sequence[str] | None = None,
    task: str | None = None,
    window: int | None = None,
    step: int | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    shape: Shape | None = None,
) -> tuple[Dataset, Dataset]:
    """Load any dataset by name or path.

    Parameters
    ----------
    source : str or Path
        "synthetic", "synthetic-keywords", "synthetic-persons", "synthetic-machines";
        "cifar10", "cifar100", or "cifar10:DIRECTORY" and so on; a `.npz` or CSV file;
        or a directory that holds CIFAR-10, CIFAR-100, `.npy` files, `train.csv` and
        `test.csv`, or class folders of images, WAV files or CSV files. A Path is never
        taken for a name.
    download : bool
        Fetch CIFAR if it is not there.
    progress : callable, optional
        Told (bytes so far, bytes in all) while downloading.
    size : (int, int), optional
        Image folders: height and width to resize to.
    channels : int, optional
        Image folders: 1 for grey, 3 for colour.
    label : str or sequence of str, optional
        CSV files: the column that is learned, or several.
    task : "classification", "regression" or "multilabel", optional
        Arrays and CSV files: what labels are, where their values could be either.
    window, step : int, optional
        CSV and WAV files: cut recordings into windows of so many rows, so many rows
        from one to the next.
    test_fraction : float, optional
        Data of one's own that are not split yet: part for the test set.
    seed : int, optional
        Decides what synthetic data look like, or which images are for testing.
    shape : tuple of int, optional
        Input shape of the network the data are for. In class folders it stands for
        `size` and `channels`, or for `window`, where those are not given.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    OptionError
        There is no such source, or it does not take an option that was given.
    DataError, DownloadError, FileFormatError
        From the reader of that source; its docstring says when.
    """
    kind, read = _find_reader(source)
    options: dict[str, Any] = {
        "download": download or None,
        "progress": progress,
        "size": size,
        "channels": channels,
        "label": label,
        "task": task,
        "window": window,
        "step": step,
        "test_fraction": test_fraction,
        "seed": seed,
    }
    if shape is not None:
        for option, value in _for_shape(kind, shape).items():
            if options[option] is None:
                options[option] = value
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in DATASETS[kind].options:
            raise OptionError(
                f"dataset {source}: {option} does not apply; a dataset of the kind "
                f"{kind} takes {', '.join(DATASETS[kind].options)}",
                arguments=(option,),
            )
    return read(**given)


def _for_shape(kind: str, shape: Shape) -> dict[str, Any]:
    """The options by which class folders give samples of a shape, if they can."""
    taken = DATASETS[kind].options
    if "size" in taken and len(shape) == 3 and shape[2] in (1, 3):
        return {"size": shape[:2], "channels": shape[2]}
    if "window" in taken and "label" not in taken and len(shape) == 2:
        return {"window": shape[0]}
    return {}


def _find_reader(
    source: str | Path,
) -> tuple[str, Callable[..., tuple[Dataset, Dataset]]]:
    """The row of DATASETS that `source` means, and its reader without options."""
    path = Path(source)
    by_name: dict[str | Path, Callable[..., tuple[Dataset, Dataset]]] = {
        "synthetic": synthetic,
        "synthetic-keywords": synthetic_keywords,
        "synthetic-persons": synthetic_persons,
        "synthetic-machines": synthetic_machines,
        "cifar10": cifar10,
        "cifar100": cifar100,
    }
    if source in by_name:
        return str(source), by_name[source]
    if isinstance(source, str) and source.startswith(("cifar10:", "cifar100:")):
        name, _, directory = source.partition(":")
        return name, partial(by_name[name], directory)
    if path.suffix == ".npz":
        return "FILE.npz", partial(npz, path)
    if path.suffix.lower() in (".csv", ".tsv") and not path.is_dir():
        return "FILE.csv", partial(csv_table, path)
    if path.suffix == ".npy":
        raise OptionError(
            f"dataset {str(source)!r}: give the directory that holds x.npy and y.npy, "
            "or x_train.npy, y_train.npy, x_test.npy and y_test.npy"
        )
    for release in (CIFAR10, CIFAR100):
        if path.is_dir() and find_layout(release, path) is not None:
            return release.name, partial(by_name[release.name], path)
    if path.is_dir() and holds_npy(path):
        return "DIRECTORY (.npy)", partial(npy_directory, path)
    if path.is_dir() and holds_tables(path):
        return "FILE.csv", partial(csv_table, path)
    if path.is_dir():
        kind, read = FOLDERS[kind_of(path)]
        return kind, partial(read, path)
    raise OptionError(
        f"dataset {str(source)!r}: neither a known name nor an existing directory; "
        f"expected {', '.join(map(str, by_name))}, cifar10:DIRECTORY, FILE.npz, "
        "FILE.csv, or a directory with one folder of images or recordings a class"
    )
