"""A labelled set of images, vectors or other samples, checked once when it is made.

Everything that reads or draws images ends in a `Dataset`, so the code behind it
(training, calibration, verification) never checks images or labels again.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kanji_np.checks import integer, listed, shown
from kanji_np.data.augment import Augment, SignalAugment
from kanji_np.data.notes import note
from kanji_np.errors import DataError, OptionError
from kanji_np.types import Shape, shape_text

#: How many axes arrays may have, by dtype, and how messages say so.
IMAGES: dict[str, tuple[int, ...]] = {
    "uint8": (2, 4),
    "float32": (2, 3, 4),
    "int16": (2, 3, 4),
    "int8": (2, 3, 4),
}
IMAGES_TEXT = (
    "uint8 (N, H, W, C) or (N, K), or float32, int16 or int8 (N, H, W, C), (N, T, C) "
    "or (N, K)"
)
LABELS: dict[str, tuple[int, ...]] = {"int64": (1,), "float32": (2,), "bool": (2,)}
LABELS_TEXT = (
    "int64 (N,) of classes, float32 (N, K) of values, or bool (N, K) of labels"
)

CLASSIFICATION, REGRESSION, MULTILABEL = "classification", "regression", "multilabel"
#: What a dataset is for, by the dtype of its labels.
TASKS = {"int64": CLASSIFICATION, "float32": REGRESSION, "bool": MULTILABEL}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images or other samples, what a network is to say of each, and the names of that.

    Parameters
    ----------
    images : ndarray (N, ...)
        uint8 (N, H, W, C) or (N, K) for networks that read images. Of networks without
        an image layer real values, float32, such as the features of a sound; int16, a
        sensor's own integers; or int8 at the scale of the network's input: (N, K),
        (N, T, C) or (N, H, W, C).
    labels : ndarray (N,) or (N, K)
        int64 (N,), indices into `classes`; float32 (N, K), values to predict; or bool
        (N, K), which of the K labels each sample has. Values of any floating type, and
        a single one for each sample, (N,), become float32 (N, K).
    classes : tuple of str
        The names of classes, values or labels. Of values and labels none at all stand
        for "y0", "y1", ...
    name : str
        Stands at the head of every message about this set.
    augment : Augment, SignalAugment or None
        What may be done to a sample without making it something else. `fit` does it by
        default.

    Raises
    ------
    DataError
        A dtype, a number of dimensions or a count is wrong, a label names no class, or
        a value is not finite.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    name: str
    augment: Augment | SignalAugment | None = None

    def __post_init__(self) -> None:
        if isinstance(self.labels, np.ndarray) and self.labels.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what is not finite is refused below
                values = self.labels.astype(np.float32, copy=False)
            if values.ndim == 1:
                values = values[:, None]  # (N,) -> (N, 1)
            object.__setattr__(self, "labels", values)
        for field, forms in (("images", IMAGES), ("labels", LABELS)):
            array = getattr(self, field)
            if not isinstance(array, np.ndarray):
                came = f"a {type(array).__name__}"
            elif array.ndim not in forms.get(str(array.dtype), ()):
                came = f"{array.dtype} of shape {array.shape}"
            else:
                continue
            allowed = IMAGES_TEXT if field == "images" else LABELS_TEXT
            raise DataError(f"{self.name}: {field} must be {allowed}, got {came}")
        if len(self.images) != len(self.labels):
            raise DataError(
                f"{self.name}: {len(self.images)} images but {len(self.labels)} labels"
            )
        if 0 in self.images.shape[1:]:
            raise DataError(
                f"{self.name}: images of shape {self.input_shape} are empty"
            )
        if self.task == CLASSIFICATION:
            check_labels(self.labels, len(self.classes), self.name)
        else:
            self._name_outputs()
        for field in ("images", "labels"):
            array = getattr(self, field)
            if array.dtype == np.float32 and not is_finite(array):
                bad = ~np.isfinite(array.reshape(len(self), -1)).all(axis=1)
                raise DataError(
                    f"{self.name}: {field}[{bad.argmax()}] holds NaN or an infinity"
                )

    def _name_outputs(self) -> None:
        """DataError unless each value or label has a name, if any has."""
        count = self.labels.shape[1]
        if count == 0:
            raise DataError(
                f"{self.name}: labels of shape {self.labels.shape} are empty"
            )
        if not len(self.classes):
            names = tuple(f"y{k}" for k in range(count))
            object.__setattr__(self, "classes", names)
        if len(self.classes) != count:
            raise DataError(
                f"{self.name}: labels have {count} columns, but {len(self.classes)} "
                "names in classes"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return (
            f"<Dataset {self.name}: {len(self):,} samples "
            f"{shape_text(self.input_shape)} {self.images.dtype}, "
            f"{len(self.classes)} classes: {listed(self.classes)}>"
        )

    @property
    def task(self) -> str:
        """ "classification", "regression" or "multilabel", by the dtype of `labels`."""
        return TASKS[str(self.labels.dtype)]

    @property
    def n_outputs(self) -> int:
        """How many outputs a network for it has: one for each name in `classes`."""
        return len(self.classes)

    def check_task(self, who: str, *tasks: str) -> None:
        """DataError unless it is for one of some tasks.

        Parameters
        ----------
        who : str
            Stands at the head of the message.
        *tasks : str
            See `task`.
        """
        if self.task not in tasks:
            raise DataError(
                f"{who} takes data for {' or '.join(tasks)}; {self.name} has "
                f"{self.labels.dtype} labels (N, {self.n_outputs}), for {self.task}"
            )

    @property
    def input_shape(self) -> Shape:
        """Shape of one image or other sample: (H, W, C), (T, C) or (K,)."""
        return self.images.shape[1:]

    def select(self, rows: slice | np.ndarray) -> Dataset:
        """The given rows, in the given order.

        Parameters
        ----------
        rows : slice, ndarray of int (M,), or ndarray of bool (N,)
            A slice shares memory with this set; an array copies.
        """
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    def take(self, n: int) -> Dataset:
        """The first `n` images, sharing memory with this set.

        Parameters
        ----------
        n : int
            0 to the size of the set.

        Raises
        ------
        OptionError
            `n` is negative or larger than the set.
        """
        n = integer(f"{self.name}: n", n, 0, len(self))
        return self.select(slice(n))

    def split(self, test_fraction: float, *, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Divide into a training and a test set.

        Classes are divided one by one. Of samples with several labels each, the rarest
        label is divided first, then the next among those left. Samples with values are
        drawn at random.

        Parameters
        ----------
        test_fraction : float
            Part of each class that goes to the test set, rounded to whole images.
        seed : int
            Decides which images; the same seed always gives the same two sets.

        Returns
        -------
        train, test : Dataset
            Disjoint, together the whole set, each in the order of this set.

        Raises
        ------
        OptionError
            `test_fraction` is not between 0 and 1, or leaves one side empty.

        Warns
        -----
        DataWarning
            A class has no image on one side.
        """
        in_test = in_test_of(self.labels, self.classes, test_fraction, seed, self.name)
        train, test = self.select(~in_test), self.select(in_test)
        note_lost(train, test, test_fraction)
        return train, test

    def present(self) -> set[str]:
        """Names of the classes or labels that some sample has; none of values."""
        if self.task == REGRESSION:
            return set()
        if self.task == MULTILABEL:
            there = np.flatnonzero(self.labels.any(axis=0))
        else:
            there = np.unique(self.labels)
        return {self.classes[k] for k in there}


def note_lost(train: Dataset, test: Dataset, test_fraction: float) -> None:
    """Warn of classes that a division has left on one side alone."""
    there = train.present() | test.present()
    for side, part in (("test", test), ("training", train)):
        lost = [name for name in part.classes if name in there - part.present()]
        if lost:
            note(
                f"{part.name}: the {side} set has no image of {_some(lost)}: too few "
                f"for test_fraction {test_fraction}"
            )


def check_fraction(test_fraction: float, name: str) -> None:
    """OptionError unless a part is more than nothing and less than all."""
    if not isinstance(test_fraction, numbers.Real) or not 0 < test_fraction < 1:
        raise OptionError(
            f"{name}: test_fraction must lie between 0 and 1, "
            f"got {shown(test_fraction)}"
        )


def in_test_of(
    labels: np.ndarray,
    classes: Sequence[str],
    test_fraction: float,
    seed: int,
    name: str,
) -> np.ndarray:
    """Which rows go to the test set; see `Dataset.split`.

    Parameters
    ----------
    labels : ndarray
        As those of a Dataset.
    classes : sequence of str
    test_fraction : float
    seed : int
    name : str
        Stands at the head of messages.

    Returns
    -------
    ndarray of bool, (N,)
    """
    check_fraction(test_fraction, name)
    rng = np.random.default_rng(integer(f"{name}: seed", seed, 0))
    in_test = np.zeros(len(labels), bool)
    task = TASKS[str(labels.dtype)]
    if task == CLASSIFICATION:
        for label in range(len(classes)):
            rows = rng.permutation(np.flatnonzero(labels == label))
            in_test[rows[: round(len(rows) * test_fraction)]] = True
    elif task == REGRESSION:
        rows = rng.permutation(len(labels))
        in_test[rows[: round(len(rows) * test_fraction)]] = True
    else:
        order = rng.permutation(len(labels))
        in_test[order] = _divided(labels[order], test_fraction)
    if in_test.all() or not in_test.any():
        among = f" in {len(classes)} classes" if task == CLASSIFICATION else ""
        raise OptionError(
            f"{name}: test_fraction={test_fraction} of {len(labels)} images{among} "
            f"leaves {in_test.sum()} for testing and {(~in_test).sum()} for training"
        )
    return in_test


def _divided(labels: np.ndarray, test_fraction: float) -> np.ndarray:
    """Which rows of bool (N, K) go to the test set, the rarest label first.

    References
    ----------
    K. Sechidis, G. Tsoumakas, and I. Vlahavas, "On the Stratification of Multi-Label
    Data", 2011; here each label is done with before the next.
    """
    in_test = np.zeros(len(labels), bool)
    is_left = np.ones(len(labels), bool)
    for column in np.argsort(labels.sum(axis=0), kind="stable"):
        has = labels[:, column]
        wanted = round(has.sum() * test_fraction) - (has & in_test).sum()
        rows = np.flatnonzero(has & is_left)
        in_test[rows[: max(wanted, 0)]] = True
        is_left[rows] = False
    rows = np.flatnonzero(is_left)  # they have no label at all
    in_test[rows[: round(len(rows) * test_fraction)]] = True
    return in_test


def _some(names: list[str], most: int = 5) -> str:
    """The first few of many names."""
    more = f" and {len(names) - most} classes more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def is_finite(values: np.ndarray) -> bool:
    """Whether no value is NaN or an infinity; without an array of the same size."""
    # NaN is the smallest value as well as the largest.
    ends = values.min(initial=0), values.max(initial=0)
    return bool(np.isfinite(ends).all())


def check_labels(labels: np.ndarray, n_classes: int, name: str) -> None:
    """Raise DataError at the first label outside 0..n_classes-1.

    Parameters
    ----------
    labels : ndarray of integers, (N,)
    n_classes : int
    name : str
        The set or file that the message names.
    """
    bad = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(bad):
        raise DataError(
            f"{name}: label {labels[bad[0]]} at index {bad[0]} is outside "
            f"0..{n_classes - 1} ({n_classes} classes)"
        )
