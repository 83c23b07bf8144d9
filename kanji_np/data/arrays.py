"""Datasets of the user's own in one `.npz` file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kanji_np import archive
from kanji_np.data.dataset import Dataset
from kanji_np.errors import DataError, FileFormatError, OptionError

# Keys of images and labels, in the order they are looked for.
WHOLE_KEYS = (("images", "labels"), ("x", "y"))
SPLIT_KEYS = (("x_train", "y_train"), ("x_test", "y_test"))
# More outputs no layer can have.
MOST_CLASSES = 65_535


def from_arrays(
    x: np.ndarray, y: np.ndarray, *, classes: tuple[str, ...] = (), name: str = "data"
) -> Dataset:
    """A dataset of arrays as they are at hand.

    Parameters
    ----------
    x : array (N, ...)
    y : array of integers (N,) or (N, 1)
        As in a `.npz` file; see `npz`.
    classes : tuple of str
        Names of classes, if they are known.
    name : str
    """
    images, labels = _pair({"x": x, "y": y}, ("x", "y"), Path(name))
    count = int(labels.max(initial=-1)) + 1
    return Dataset(images, labels, classes or tuple(map(str, range(count))), name)


def npz(
    path: str | Path, *, test_fraction: float = 0.2, seed: int = 0
) -> tuple[Dataset, Dataset]:
    """Read a `.npz` file.

    Parameters
    ----------
    path : path
        Holds `x_train`, `y_train`, `x_test`, `y_test` as in Keras; or one set as
        `images`, `labels` or as `x`, `y`, which is then split. Images are uint8
        (N, H, W, C) or (N, H, W), or vectors (N, K). Other samples are floating or
        int8, (N, K), (N, T, C) or (N, H, W, C). Labels are integers (N,) or (N, 1). An
        array `classes` of strings names the labels; without it their names are "0",
        "1", ...
    test_fraction : float
        Part of each class that goes to the test set, if the file holds one set.
    seed : int
        Decides which images those are.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        There is no such file, or its arrays are not images and labels.
    FileFormatError
        It is not a `.npz` file of plain arrays.
    OptionError
        `test_fraction` leaves one side empty.
    """
    path = Path(path)
    arrays = _read(path)
    split_keys = [key for pair in SPLIT_KEYS for key in pair]
    whole_keys = next((pair for pair in WHOLE_KEYS if set(pair) <= set(arrays)), None)
    if set(split_keys) <= set(arrays):
        pairs = [_pair(arrays, keys, path) for keys in SPLIT_KEYS]
    elif whole_keys is not None:
        pairs = [_pair(arrays, whole_keys, path)]
    else:
        raise DataError(
            f"{path}: expected the arrays {', '.join(split_keys)}; or images, labels; "
            f"or x, y; got {', '.join(sorted(arrays)) or 'none'}"
        )
    kinds = list(dict.fromkeys(str(images.dtype) for images, _ in pairs))
    if len(kinds) > 1:
        raise DataError(f"{path}: x_train is {kinds[0]}, but x_test is {kinds[1]}")
    if "classes" in arrays:
        classes = _class_names(arrays["classes"], path)
    else:
        highest = max(int(labels.max(initial=-1)) for _, labels in pairs)
        classes = tuple(str(label) for label in range(highest + 1))
    sets = [Dataset(images, labels, classes, path.stem) for images, labels in pairs]
    if len(sets) == 1:
        return sets[0].split(test_fraction, seed=seed)
    return sets[0], sets[1]


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        raise DataError(f"{path}: no such file")
    try:
        return archive.members(path, compressed=True)
    except OptionError as error:
        raise FileFormatError(
            f"{path}: not a .npz file of plain arrays: {error}"
        ) from None


def _class_names(names: np.ndarray, path: Path) -> tuple[str, ...]:
    """An array of strings, bytes in UTF-8 or integers as names."""
    if names.dtype.kind not in "USiu" or names.size > MOST_CLASSES:
        raise DataError(
            f"{path}: classes must be at most {MOST_CLASSES} strings, got "
            f"{names.dtype} {names.shape}"
        )
    try:
        found = names.ravel().tolist()
        texts = [v.decode() if isinstance(v, bytes) else str(v) for v in found]
        for text in texts:
            text.encode()
    except ValueError as error:  # no UTF-8, or no characters at all
        raise DataError(f"{path}: classes must be strings: {error}") from None
    return tuple(texts)


def _pair(
    arrays: dict[str, np.ndarray], keys: tuple[str, str], path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels as in `Dataset` from the two arrays under `keys`."""
    images, labels = arrays[keys[0]], arrays[keys[1]]
    if images.dtype.kind == "f":
        with np.errstate(over="ignore"):  # `Dataset` refuses what is not finite
            images = images.astype(np.float32)
    elif images.dtype not in (np.uint8, np.int8):
        raise DataError(
            f"{path}: {keys[0]} is {images.dtype}; images must be uint8, 0 to 255, "
            "other samples floating or int8"
        )
    if images.dtype == np.uint8 and images.ndim == 3:
        images = images[..., None]  # (N, H, W) -> (N, H, W, 1)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]  # (N, 1) -> (N,)
    if labels.ndim == 2:
        raise DataError(
            f"{path}: {keys[1]} is {labels.dtype} {labels.shape}; labels must be "
            f"integers (N,): of one-hot rows take {keys[1]}.argmax(axis=1)"
        )
    if labels.dtype.kind not in "iu":
        raise DataError(f"{path}: {keys[1]} is {labels.dtype}; labels must be integers")
    if labels.size and labels.max() >= MOST_CLASSES:
        raise DataError(
            f"{path}: {keys[1]} holds {labels.max()}; at most {MOST_CLASSES} classes "
            "are known"
        )
    return images, labels.astype(np.int64)
