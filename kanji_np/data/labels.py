"""Labels as people have them, made into those of a `Dataset`.

Whole numbers and text are classes, other numbers are values to predict, rows of zeros
and ones are labels of which a sample has several. Where that could have been meant
otherwise, a note says what was made of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kanji_np.checks import listed, one_of
from kanji_np.choices import TASKS
from kanji_np.data.dataset import CLASSIFICATION, MULTILABEL, REGRESSION
from kanji_np.data.notes import note
from kanji_np.errors import DataError

# More outputs no layer can have.
MOST_CLASSES = 65_535
MOST_INTEGER = 2**53
#: Whole numbers of fewer samples each than this may well be values to predict.
FEW = 10
UNDECIDED = (
    'values to predict? say so with --task regression, or task="regression"; or '
    "classification"
)
OTHERWISE = 'for values to predict: --task regression, or task="regression"'

Labels = tuple[list[np.ndarray], tuple[str, ...]]


def labels_of(
    parts: Sequence[np.ndarray],
    *,
    name: str,
    classes: tuple[str, ...] = (),
    task: str | None = None,
) -> Labels:
    """Labels of a Dataset from an array, or from those of training and test set.

    Parameters
    ----------
    parts : sequence of ndarray
        Each (N,), (N, 1) or (N, K).
    name : str
        Stands at the head of messages: a file and the name of the array.
    classes : tuple of str
        The names of classes or outputs, if they are known.
    task : "classification", "regression", "multilabel" or None
        None: decided by the values.

    Returns
    -------
    labels : list of ndarray
        As in `Dataset`.
    classes : tuple of str

    Raises
    ------
    DataError
        They are no labels, or none for the task.

    Warns
    -----
    DataWarning
        They could have been meant otherwise.
    """
    if task is not None:
        one_of("task", task, TASKS)
    arrays = [_column(np.asarray(part), name) for part in parts]
    if {array.dtype.kind for array in arrays} <= set("iu"):
        # Of different widths or signs NumPy would make floating ones.
        highest = max(int(array.max(initial=0)) for array in arrays)
        if highest > MOST_INTEGER:
            check_count(highest + 1, name, highest)
        arrays = [array.astype(np.int64) for array in arrays]
    widths = sorted({array.shape[1:] for array in arrays})
    if len(widths) > 1:
        raise DataError(
            f"{name}: training and test set have rows of {widths[0]} and {widths[1]}"
        )
    if len({array.dtype.kind in "US" for array in arrays}) > 1:
        raise DataError(f"{name} is text in one of training and test set alone")
    # One array, for all to be decided once: (N1+N2,) or (N1+N2, K)
    whole = np.concatenate(arrays)
    if whole.ndim == 2:
        labels, classes = _of_rows(whole, name, classes, task)
    else:
        labels, classes = _of_column(whole, name, classes, task)
    edges = np.cumsum([len(array) for array in arrays])[:-1]
    return np.split(labels, edges), classes


def _column(array: np.ndarray, name: str) -> np.ndarray:
    """(N, 1) as (N,), and what is neither that nor (N, K) refused."""
    if array.dtype.kind not in "biufUS" or array.ndim not in (1, 2):
        raise DataError(
            f"{name} is {array.dtype} {array.shape}; labels must be integers or text "
            "(N,), values of a floating type (N,) or (N, K), or zeros and ones (N, K)"
        )
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _of_column(
    whole: np.ndarray, name: str, classes: tuple[str, ...], task: str | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    if whole.dtype.kind in "US":
        if task not in (None, CLASSIFICATION):
            raise DataError(f"{name} is text, and no labels for {task}")
        return _of_text(whole, name, classes)
    if whole.dtype.kind == "f":
        _check_finite(whole, name)
    if task == MULTILABEL:
        raise DataError(
            f"{name} is {whole.dtype} {whole.shape}; {MULTILABEL} takes zeros and ones "
            "(N, K)"
        )
    is_whole = whole.dtype.kind != "f" or bool((whole == np.trunc(whole)).all())
    if task == REGRESSION or (task is None and not is_whole):
        return whole.astype(np.float32)[:, None], classes
    if not is_whole:
        first = whole[whole != np.trunc(whole)][0]
        raise DataError(f"{name} holds {first}; classes are whole numbers or text")
    if whole.dtype.kind == "b":
        return whole.astype(np.int64), classes or ("False", "True")
    if whole.size and abs(whole.astype(np.float64)).max() >= MOST_INTEGER:
        raise DataError(f"{name} holds numbers that are no labels of classes")
    is_told = task is not None or bool(classes)
    labels, classes = _of_integers(whole.astype(np.int64), name, classes)
    if is_told:
        return labels, classes
    if whole.dtype.kind == "f" and whole.size:
        note(
            f"{name} is {whole.dtype} and holds whole numbers only: taken as classes; "
            f"{OTHERWISE}"
        )
    elif len(classes) > FEW:
        present = len(np.unique(labels))
        many = (
            f"{name} holds {present} different whole numbers in {len(labels)} samples"
        )
        if present > FEW and len(labels) < 2 * present:
            raise DataError(f"{many}: {UNDECIDED}")
        if present > FEW and len(labels) < FEW * present:
            note(f"{many}: taken as classes; {OTHERWISE}")
    return labels, classes


def _of_text(
    whole: np.ndarray, name: str, classes: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    if whole.dtype.kind == "S":
        try:
            whole = np.char.decode(whole, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name} is no text in UTF-8: {error}") from None
    found, labels = np.unique(whole, return_inverse=True)
    names = [str(text) for text in found]
    check_names(names, name)
    if not classes:
        return labels.astype(np.int64).reshape(len(whole)), tuple(names)
    strange = [text for text in names if text not in classes]
    if strange:
        raise DataError(f"{name} holds {strange[0]!r}, which is not in classes")
    places = np.array([classes.index(text) for text in names], np.int64)
    return places[labels].reshape(len(whole)), classes


def _of_integers(
    labels: np.ndarray, name: str, classes: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers of classes from 0; others become those, named by what they were."""
    values = np.unique(labels)
    low, high = (int(values[0]), int(values[-1])) if len(values) else (0, -1)
    if classes:
        if low == 1 and high == len(classes):
            note(f"{name} counts {len(classes)} classes from 1: taken as from 0")
            return labels - 1, classes
        return labels, classes  # `Dataset` refuses those that have no name
    is_gapped = 2 * len(values) < high + 1
    if low >= 0 and low != 1 and not is_gapped:
        check_count(high + 1, name, high)
        return labels, tuple(str(label) for label in range(high + 1))
    if low == 1 and not is_gapped:
        check_count(high, name, high)
        note(f"{name} counts from 1: classes 1 to {high} become the outputs 0 to "
             f"{high - 1}")  # fmt: skip
        return labels - 1, tuple(str(label) for label in range(1, high + 1))
    if low < 0 and values.tolist() != [-1, 1]:
        raise DataError(f"{name} holds {low}; classes are numbered from 0")
    check_count(high + 1, name, high)
    note(
        f"{name} holds the classes {listed(values.tolist())}: they become the outputs "
        f"0 to {len(values) - 1}"
    )
    names = tuple(str(value) for value in values.tolist())
    return np.searchsorted(values, labels).astype(np.int64), names


def check_count(count: int, name: str, highest: int) -> None:
    """DataError if there are more classes than any layer has outputs."""
    if count > MOST_CLASSES:
        raise DataError(
            f"{name} holds {highest}; at most {MOST_CLASSES} classes are known"
        )


def _of_rows(
    whole: np.ndarray, name: str, classes: tuple[str, ...], task: str | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """One-hot rows, labels of which a sample has several, or several values."""
    count = whole.shape[1]
    if whole.dtype.kind in "US":
        raise DataError(f"{name} is text {whole.shape}; labels of text are (N,)")
    if count == 0:
        raise DataError(f"{name} is {whole.dtype} {whole.shape}, which is empty")
    if whole.dtype.kind == "f":
        _check_finite(whole, name)
    is_binary = bool(((whole == 0) | (whole == 1)).all())
    is_one_hot = is_binary and bool((whole.sum(axis=1) == 1).all())
    if task == REGRESSION or (task is None and not is_binary):
        if whole.dtype.kind != "f" and task is None:
            raise DataError(
                f"{name} is {whole.dtype} {whole.shape}; classes are integers (N,), "
                "values to predict are of a floating type, and several labels are "
                "zeros and ones"
            )
        return whole.astype(np.float32), classes
    if task == CLASSIFICATION or (task is None and is_one_hot):
        if not is_one_hot:
            bad = int((whole.sum(axis=1) != 1).argmax()) if is_binary else 0
            raise DataError(
                f"{name} is {whole.dtype} {whole.shape}, and row {bad} is not one-hot; "
                "labels of classes are integers (N,)"
            )
        if task is None:
            note(f"{name} has one-hot rows: taken as {count} classes")
        names = classes or tuple(str(k) for k in range(count))
        return whole.argmax(axis=1).astype(np.int64), names
    if not is_binary:
        raise DataError(f"{name}: labels for {MULTILABEL} are zeros and ones (N, K)")
    if task is None and whole.dtype.kind != "b":
        note(
            f"{name} has rows of zeros and ones: taken as {count} labels, of which a "
            "sample has several"
        )
    return whole.astype(bool), classes


def _check_finite(values: np.ndarray, name: str) -> None:
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():
        raise DataError(f"{name}[{bad.argmax()}] holds NaN or an infinity")


def check_names(names: Sequence[str], where: str) -> None:
    """DataError if a name is no text that can be written."""
    for text in names:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError(f"{where}: {text!r} is no text in UTF-8") from None
