"""A labelled set of images, vectors or other samples, checked once when it is made.

Everything that reads or draws images ends in a `Dataset`, so the code behind it
(training, calibration, verification) never checks images or labels again.
"""

from __future__ import annotations

import numbers
import warnings
from dataclasses import dataclass, replace

import numpy as np

from kanji_np.checks import integer, listed, shown
from kanji_np.data.augment import Augment
from kanji_np.errors import DataError, DataWarning, OptionError
from kanji_np.types import Shape, shape_text

#: How many axes arrays may have, by dtype, and how messages say so.
IMAGES: dict[str, tuple[int, ...]] = {
    "uint8": (2, 4),
    "float32": (2, 3, 4),
    "int8": (2, 3, 4),
}
IMAGES_TEXT = (
    "uint8 (N, H, W, C) or (N, K), or float32 or int8 (N, H, W, C), (N, T, C) or (N, K)"
)
LABELS: dict[str, tuple[int, ...]] = {"int64": (1,)}
LABELS_TEXT = "int64 (N,)"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images or other samples, their labels, and the names the labels stand for.

    Parameters
    ----------
    images : ndarray (N, ...)
        uint8 (N, H, W, C) or (N, K) for networks that read images. Of networks without
        an image layer real values, float32, such as the features of a sound; or int8 at
        the scale of the network's input: (N, K), (N, T, C) or (N, H, W, C).
    labels : ndarray of int64, (N,)
        Indices into `classes`.
    classes : tuple of str
    name : str
        Stands at the head of every message about this set.
    augment : Augment or None
        What may be done to an image without making it something else. `fit` does it by
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
    augment: Augment | None = None

    def __post_init__(self) -> None:
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
        check_labels(self.labels, len(self.classes), self.name)
        if self.images.dtype == np.float32 and not is_finite(self.images):
            bad = ~np.isfinite(self.images.reshape(len(self), -1)).all(axis=1)
            raise DataError(
                f"{self.name}: images[{bad.argmax()}] holds NaN or an infinity"
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
        """Divide into a training and a test set, class by class.

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
        if not isinstance(test_fraction, numbers.Real) or not 0 < test_fraction < 1:
            raise OptionError(
                f"{self.name}: test_fraction must lie between 0 and 1, "
                f"got {shown(test_fraction)}"
            )
        seed = integer(f"{self.name}: seed", seed, 0)
        rng = np.random.default_rng(seed)
        in_test = np.zeros(len(self), bool)
        for label in range(len(self.classes)):
            rows = rng.permutation(np.flatnonzero(self.labels == label))
            in_test[rows[: round(len(rows) * test_fraction)]] = True
        if in_test.all() or not in_test.any():
            raise OptionError(
                f"{self.name}: test_fraction={test_fraction} of {len(self)} images in "
                f"{len(self.classes)} classes leaves {in_test.sum()} for testing and "
                f"{(~in_test).sum()} for training"
            )
        for side, is_in in (("test", in_test), ("training", ~in_test)):
            there, on_side = np.unique(self.labels), np.unique(self.labels[is_in])
            lost = [self.classes[label] for label in np.setdiff1d(there, on_side)]
            if lost:
                warnings.warn(
                    f"{self.name}: the {side} set has no image of {_some(lost)}: too "
                    f"few for test_fraction {test_fraction}",
                    DataWarning,
                    stacklevel=2,
                )
        return self.select(~in_test), self.select(in_test)


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
