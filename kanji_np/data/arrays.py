"""Datasets of the user's own as arrays: in memory, a `.npz` file, or `.npy` files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kanji_np import archive
from kanji_np.data.dataset import Dataset
from kanji_np.data.labels import MOST_CLASSES, check_names, labels_of
from kanji_np.data.samples import samples_of
from kanji_np.errors import DataError

# Keys of samples and labels, in the order they are looked for. Values to predict are
# `targets`, whole numbers or not.
SAMPLES, LABELS, TARGETS = ("images", "x"), ("labels", "y", "targets"), "targets"
PARTS = ("_train", "_test")
EXPECTED = (
    "x_train, y_train, x_test, y_test; or x, y; images, labels; targets for values"
)


def from_arrays(
    x: np.ndarray,
    y: np.ndarray,
    *,
    classes: tuple[str, ...] = (),
    name: str = "data",
    task: str | None = None,
) -> Dataset:
    """A dataset of arrays as they are at hand: what `Dataset` refuses is converted.

    Parameters
    ----------
    x : array (N, ...)
        Images of uint8 (N, H, W, C) or (N, H, W), or vectors (N, K). Other samples are
        of a floating type or int16, (N, K), (N, T, C) or (N, H, W, C), or int8.
    y : array (N,), (N, 1) or (N, K)
        Whole numbers or text are classes; other numbers, and rows of them, values to
        predict; rows of zeros and ones are one-hot classes or several labels.
    classes : tuple of str
        Names of classes, values or labels, if they are known.
    name : str
    task : "classification", "regression", "multilabel" or None
        None: decided by the values of `y`.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        They are no samples and labels; the message says what to do.

    Warns
    -----
    DataWarning
        They could have been meant otherwise; the message says what was made of them.
    """
    (made,) = _sets(name, name, [(np.asarray(x), np.asarray(y))], classes, task)
    return made


def npz(
    path: str | Path,
    *,
    task: str | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """Read a `.npz` file.

    Parameters
    ----------
    path : path
        Holds `x_train`, `y_train`, `x_test`, `y_test` as in Keras; or one set as
        `x`, `y` or `images`, `labels`, which is then split. `targets` in the place of
        labels holds values to predict. What arrays may be says `from_arrays`. An array
        `classes` of strings names the classes, values or labels; without it their names
        are numbers, or the text that labels are.
    task : "classification", "regression", "multilabel" or None
        None: decided by the labels.
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
        There is no such file, or its arrays are not samples and labels.
    FileFormatError
        It is not a `.npz` file of plain arrays.
    OptionError
        `test_fraction` leaves one side empty.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    arrays = archive.arrays(path)
    return _of_arrays(arrays, path, path.stem, task, test_fraction, seed)


def npy_directory(
    directory: str | Path,
    *,
    task: str | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """Read `x_train.npy`, `y_train.npy` and so on of a directory.

    Parameters
    ----------
    directory : path
        Holds `.npy` files with the names that `npz` gives to arrays.
    task, test_fraction, seed
        See `npz`.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        The arrays are not samples and labels.
    FileFormatError
        One of the files is not a `.npy` file of a plain array.
    OptionError
        `test_fraction` leaves one side empty.
    """
    directory = Path(directory)
    known = {f"{key}{part}" for key in (*SAMPLES, *LABELS) for part in ("", *PARTS)}
    arrays = {
        key: archive.array(path)
        for key in sorted({*known, "classes"})
        if (path := directory / f"{key}.npy").exists()
    }
    name = directory.resolve().name
    return _of_arrays(arrays, directory, name, task, test_fraction, seed)


def holds_npy(directory: Path) -> bool:
    """Whether a directory is for `npy_directory`."""
    parts = ("", PARTS[0])
    return any(
        (directory / f"{key}{part}.npy").exists() for key in SAMPLES for part in parts
    )


def _of_arrays(
    arrays: dict[str, np.ndarray],
    path: Path,
    name: str,
    task: str | None,
    test_fraction: float,
    seed: int,
) -> tuple[Dataset, Dataset]:
    keys = _keys(arrays, path)
    classes: tuple[str, ...] = ()
    if "classes" in arrays:
        classes = _class_names(arrays["classes"], path)
    if keys[0][1].startswith(TARGETS):
        task = task or "regression"
    pairs = [(arrays[x], arrays[y]) for x, y in keys]
    sets = _sets(name, str(path), pairs, classes, task, keys)
    if len(sets) == 1:
        return sets[0].split(test_fraction, seed=seed)
    return sets[0], sets[1]


def _keys(arrays: dict[str, np.ndarray], path: Path) -> list[tuple[str, str]]:
    """The names of samples and labels: of training and test set, or of one set."""
    for x in SAMPLES:
        for y in LABELS:
            pairs = [(f"{x}{part}", f"{y}{part}") for part in PARTS]
            if {key for pair in pairs for key in pair} <= set(arrays):
                return pairs
    for x in SAMPLES:
        for y in LABELS:
            if x in arrays and y in arrays:
                return [(x, y)]
    raise DataError(
        f"{path}: expected the arrays {EXPECTED}; got "
        f"{', '.join(sorted(arrays)) or 'none'}"
    )


def _sets(
    name: str,
    where: str,
    pairs: list[tuple[np.ndarray, np.ndarray]],
    classes: tuple[str, ...],
    task: str | None,
    keys: list[tuple[str, str]] | None = None,
) -> list[Dataset]:
    """Datasets of arrays, whose labels are decided together."""
    x_keys = [x for x, _ in keys] if keys else ["x"]
    y_key = " and ".join(y for _, y in keys) if keys else "y"
    samples = [
        samples_of(x, f"{where}: {key}")
        for key, (x, _) in zip(x_keys, pairs, strict=True)
    ]
    kinds = list(dict.fromkeys(str(array.dtype) for array in samples))
    if len(kinds) > 1:
        raise DataError(
            f"{where}: {x_keys[0]} is {kinds[0]}, but {x_keys[1]} is {kinds[1]}"
        )
    shapes = list(dict.fromkeys(array.shape[1:] for array in samples))
    if len(shapes) > 1:
        raise DataError(
            f"{where}: samples of {x_keys[0]} are {shapes[0]}, but of {x_keys[1]} "
            f"{shapes[1]}"
        )
    labels, classes = labels_of(
        [y for _, y in pairs], name=f"{where}: {y_key}", classes=classes, task=task
    )
    return [Dataset(x, y, classes, name) for x, y in zip(samples, labels, strict=True)]


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
    except ValueError as error:  # no UTF-8
        raise DataError(f"{path}: classes must be strings: {error}") from None
    check_names(texts, f"{path}: classes")
    return tuple(texts)
