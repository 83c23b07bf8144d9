"""CIFAR-10 and CIFAR-100 in both layouts their authors publish: binary and Python.

Pickles can run any code when they are loaded. The ones here are read by an unpickler
that knows the three or four functions a NumPy array is made of, and refuses the rest.

References
----------
A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html describes the two layouts.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kanji_np import schema
from kanji_np.data.augment import Augment
from kanji_np.data.dataset import Dataset, check_labels
from kanji_np.data.download import cache_directory, extract, fetch
from kanji_np.errors import DataError, FileFormatError

SIDE, CHANNELS = 32, 3
IMAGE_BYTES = SIDE * SIDE * CHANNELS


@dataclass(frozen=True)
class Layout:
    """How one of the two layouts spreads a dataset over files.

    Parameters
    ----------
    folder : str
        Directory that holds the files.
    train, test : tuple of (str, int)
        File names and the number of images in each.
    names : str
        The file with the class names.
    """

    folder: str
    train: tuple[tuple[str, int], ...]
    test: tuple[tuple[str, int], ...]
    names: str

    @property
    def members(self) -> tuple[str, ...]:
        """Every file, relative to the directory that holds `folder`; `names` last."""
        files = [file for file, _ in self.train + self.test] + [self.names]
        return tuple(f"{self.folder}/{file}" for file in files)


@dataclass(frozen=True)
class Release:
    """One published dataset of this family.

    Parameters
    ----------
    name : str
    n_classes : int
    binary, python : Layout
    label_bytes, label_at : int
        Binary layout: label bytes before each image, and which of them counts.
    label_key, names_key : bytes
        Python layout: where the dictionaries keep the labels and the class names.
    url, md5 : str
        The archive of the binary layout.
    mean : tuple of int
        Of each channel of the training images, rounded.
    """

    name: str
    n_classes: int
    binary: Layout
    python: Layout
    label_bytes: int
    label_at: int
    label_key: bytes
    names_key: bytes
    url: str
    md5: str
    mean: tuple[int, int, int]


CIFAR10 = Release(
    name="cifar10",
    n_classes=10,
    binary=Layout(
        folder="cifar-10-batches-bin",
        train=tuple((f"data_batch_{i}.bin", 10000) for i in range(1, 6)),
        test=(("test_batch.bin", 10000),),
        names="batches.meta.txt",
    ),
    python=Layout(
        folder="cifar-10-batches-py",
        train=tuple((f"data_batch_{i}", 10000) for i in range(1, 6)),
        test=(("test_batch", 10000),),
        names="batches.meta",
    ),
    label_bytes=1,
    label_at=0,
    label_key=b"labels",
    names_key=b"label_names",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    mean=(125, 123, 114),
)


CIFAR100 = Release(
    name="cifar100",
    n_classes=100,
    binary=Layout(
        folder="cifar-100-binary",
        train=(("train.bin", 50000),),
        test=(("test.bin", 10000),),
        names="fine_label_names.txt",
    ),
    python=Layout(
        folder="cifar-100-python",
        train=(("train", 50000),),
        test=(("test", 10000),),
        names="meta",
    ),
    label_bytes=2,  # of one of 20 groups, then of the class
    label_at=1,
    label_key=b"fine_labels",
    names_key=b"fine_label_names",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    mean=(129, 124, 112),
)


def cifar10(
    directory: str | Path | None = None,
    *,
    download: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[Dataset, Dataset]:
    """Read CIFAR-10: 50,000 training and 10,000 test images.

    Parameters
    ----------
    directory : path, optional
        The folder `cifar-10-batches-bin` or `cifar-10-batches-py`, or the directory
        that holds one of them. Default: the cache directory.
    download : bool
        Fetch the binary layout (170 MB) into `directory` if neither layout is there.
    progress : callable, optional
        Told (bytes so far, bytes in all) while downloading.

    Returns
    -------
    train, test : Dataset
        Images of shape (N, 32, 32, 3).

    Raises
    ------
    DataError
        The files are not there.
    DownloadError
        They could not be fetched.
    FileFormatError
        A file is cut off, holds a wrong label, or a pickle holds more than arrays.
    """
    return _load(CIFAR10, directory, download, progress)


def cifar100(
    directory: str | Path | None = None,
    *,
    download: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[Dataset, Dataset]:
    """Read CIFAR-100, with its 100 fine classes: as many images as `cifar10`.

    Parameters, results and errors are those of `cifar10`; the folders are
    `cifar-100-binary` and `cifar-100-python`, the download has 161 MB.
    """
    return _load(CIFAR100, directory, download, progress)


def _load(
    release: Release,
    directory: str | Path | None,
    download: bool,
    progress: Callable[[int, int | None], None] | None,
) -> tuple[Dataset, Dataset]:
    root = cache_directory() if directory is None else Path(directory)
    found = find_layout(release, root)
    if found is None and download:
        archive = root / release.url.rsplit("/", 1)[1]
        fetch(release.url, archive, md5=release.md5, progress=progress)
        extract(archive, root, release.binary.members)
        found = find_layout(release, root)
    if found is None:
        raise DataError(
            f"{release.name}: neither {release.binary.folder} nor "
            f"{release.python.folder} is in {root}; pass download=True, "
            f"or unpack {release.url} there",
            arguments=("download",),
        )
    return _read(release, *found)


def find_layout(release: Release, directory: Path) -> tuple[Layout, Path] | None:
    """The layout that `directory` is or holds, and the folder with its files.

    A folder counts if the file with the class names is in it, whatever its own name.
    """
    for layout in (release.binary, release.python):
        for folder in (directory, directory / layout.folder):
            if (folder / layout.names).is_file():
                return layout, folder
    return None


def _read(release: Release, layout: Layout, folder: Path) -> tuple[Dataset, Dataset]:
    is_binary = layout is release.binary
    read_batch = _read_binary if is_binary else _read_python
    read_names = _read_text_names if is_binary else _read_python_names
    classes = read_names(release, folder / layout.names)
    if len(classes) != release.n_classes:
        raise FileFormatError(
            f"{folder / layout.names}: expected {release.n_classes} class names, got "
            f"{len(classes)}"
        )
    sets = []
    for files in (layout.train, layout.test):
        batches = [read_batch(release, folder / file, n) for file, n in files]
        planes = np.concatenate([planes for planes, _ in batches])
        labels = np.concatenate([labels for _, labels in batches])
        # (N, C*H*W) -> (N, C, H, W) -> (N, H, W, C)
        planes = planes.reshape(-1, CHANNELS, SIDE, SIDE)
        images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        # A thing is the same one mirrored, and a few pixels to the side.
        augment = Augment(crop_padding=4, flip=True, fill=release.mean)
        sets.append(Dataset(images, labels, classes, release.name, augment))
    return sets[0], sets[1]


def _check_labels(release: Release, path: Path, labels: np.ndarray) -> None:
    try:
        check_labels(labels, release.n_classes, str(path))
    except DataError as error:
        raise FileFormatError(str(error)) from None


def _read_bytes(path: Path) -> bytes:
    try:
        with schema.open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be read: {error.strerror or error}")


def _read_binary(
    release: Release, path: Path, n_images: int
) -> tuple[np.ndarray, np.ndarray]:
    """One batch file.

    Returns
    -------
    planes : ndarray of uint8, (n_images, 3072)
        All red values of an image, then all green, then all blue.
    labels : ndarray of int64, (n_images,)
    """
    row_bytes = release.label_bytes + IMAGE_BYTES
    content = _read_bytes(path)
    if len(content) != n_images * row_bytes:
        raise FileFormatError(
            f"{path}: expected {n_images} images of {row_bytes} bytes = "
            f"{n_images * row_bytes} bytes, got {len(content)}"
        )
    rows = np.frombuffer(content, np.uint8).reshape(n_images, row_bytes)
    labels = rows[:, release.label_at].astype(np.int64)
    _check_labels(release, path, labels)
    return rows[:, release.label_bytes :], labels


def _read_text_names(release: Release, path: Path) -> tuple[str, ...]:
    return tuple(_read_bytes(path).decode("utf-8", "replace").split())


def _read_python(
    release: Release, path: Path, n_images: int
) -> tuple[np.ndarray, np.ndarray]:
    """One pickled batch; returns what `_read_binary` does."""
    batch = _unpickle(path)
    planes, labels = (_entry(batch, key, path) for key in (b"data", release.label_key))
    shape = (n_images, IMAGE_BYTES)
    is_array = isinstance(planes, np.ndarray)
    if not is_array or planes.dtype != np.uint8 or planes.shape != shape:
        came = f"{planes.dtype} {planes.shape}" if is_array else type(planes).__name__
        raise FileFormatError(f"{path}: expected data of uint8 {shape}, got {came}")
    if not isinstance(labels, list) or not all(type(v) is int for v in labels):
        raise FileFormatError(f"{path}: expected labels as a list of integers")
    if len(labels) != n_images:
        raise FileFormatError(f"{path}: expected {n_images} labels, got {len(labels)}")
    labels = np.array(labels, np.int64)
    _check_labels(release, path, labels)
    return planes, labels


def _read_python_names(release: Release, path: Path) -> tuple[str, ...]:
    names = _entry(_unpickle(path), release.names_key, path)
    if not isinstance(names, list) or not all(type(v) is bytes for v in names):
        raise FileFormatError(f"{path}: expected class names as a list of bytes")
    return tuple(name.decode("utf-8", "replace") for name in names)


def _entry(batch: object, key: bytes, path: Path) -> Any:
    if not isinstance(batch, dict) or key not in batch:
        raise FileFormatError(f"{path}: expected a dictionary with the key {key!r}")
    return batch[key]


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into the pickle protocols that lack them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


_RECONSTRUCT = np.empty(0).__reduce__()[0]
_FROM_BUFFER = np.empty(0).__reduce_ex__(5)[0]
# What the pickle of an array asks for, under the names NumPy 1 and NumPy 2 give it.
ALLOWED_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("_codecs", "encode"): _encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads containers, numbers, strings and NumPy arrays."""

    path: Path

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED_GLOBALS[module, name]
        except KeyError:
            raise FileFormatError(
                f"{self.path}: this pickle asks for {module}.{name}, which no array "
                f"needs; refused"
            ) from None


def _unpickle(path: Path) -> object:
    try:
        with schema.open_regular(path) as file:
            # Python 2 wrote the original files: their strings are bytes.
            unpickler = _ArrayUnpickler(file, encoding="bytes")
            unpickler.path = path
            return unpickler.load()
    except OSError as error:
        raise _unreadable(path, error) from error
    except FileFormatError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise FileFormatError(f"{path}: not a readable pickle: {error}") from error
