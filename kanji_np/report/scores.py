"""How good a network is on a dataset, class by class."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from kanji_np.data import Dataset
from kanji_np.model import Model
from kanji_np.report.tables import percent, text_table

#: That a matrix is shown of; of more the pairs confused most, so many.
MOST_CLASSES = 20


@dataclass(frozen=True)
class ClassScores:
    """How well a network knows one class.

    Parameters
    ----------
    name : str
    images : int
        Of the class.
    precision : float
        Which part of the images that were taken for the class are of it, 0..1; NaN if
        there are none.
    recall : float
        Which part of the images of the class were taken for it, 0..1; NaN if there are
        none.
    """

    name: str
    images: int
    precision: float
    recall: float


@dataclass(frozen=True)
class Confusion:
    """Images of one class that were taken for another.

    Parameters
    ----------
    name, taken_for : str
        The class, and what the network said.
    images : int
        How many.
    share : float
        Of all images of the class, 0..1.
    """

    name: str
    taken_for: str
    images: int
    share: float


@dataclass(frozen=True)
class Scores:
    """How good a network is on a dataset, class by class.

    Parameters
    ----------
    network, data : str
    precision : "int8" or "fp32"
        How the network was computed.
    classes : tuple of str
        One for each output of the network.
    confusion : tuple of tuple of int
        How many images of each class (rows) were taken for each class (columns).
    """

    network: str
    data: str
    precision: str
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def images(self) -> int:
        """How many images were scored."""
        return sum(map(sum, self.confusion))

    @property
    def correct(self) -> int:
        """How many images were taken for what they are."""
        return sum(row[i] for i, row in enumerate(self.confusion))

    @property
    def accuracy(self) -> float:
        """Their part, 0..1."""
        return self.correct / self.images

    @property
    def per_class(self) -> tuple[ClassScores, ...]:
        """Precision and recall of each class, in the order of the outputs."""
        said = [sum(column) for column in zip(*self.confusion, strict=True)]
        return tuple(
            ClassScores(
                name=name,
                images=sum(row),
                precision=row[i] / said[i] if said[i] else math.nan,
                recall=row[i] / sum(row) if any(row) else math.nan,
            )
            for i, (name, row) in enumerate(
                zip(self.classes, self.confusion, strict=True)
            )
        )

    @property
    def confusions(self) -> tuple[Confusion, ...]:
        """The classes that were taken for others, the most frequent first."""
        return confusions_of(self.classes, self.confusion)

    @property
    def most_frequent(self) -> ClassScores:
        """The class that most of the images are of."""
        return max(self.per_class, key=lambda each: each.images)

    @property
    def chance(self) -> float:
        """The accuracy of always naming that class, 0..1."""
        return self.most_frequent.images / self.images

    def json(self) -> str:
        """All of it as one JSON object on one line; what is not known is null."""
        per_class = [
            {key: None if value != value else value for key, value in each.items()}
            for each in map(asdict, self.per_class)
        ]
        more = {"images": self.images, "correct": self.correct}
        told = {"accuracy": self.accuracy, "per_class": per_class}
        return json.dumps(asdict(self) | more | told)

    def __str__(self) -> str:
        parts = [self._accuracy_line()]
        if self.accuracy <= self.chance:
            parts[0] += (
                f"\nno better than always answering {self.most_frequent.name!r}, "
                f"{percent(self.chance)}"
            )
        parts.append(self._class_table())
        if len(self.classes) <= MOST_CLASSES:
            parts.append(self._matrix())
        elif self.confusions:
            parts.append(self._confusion_table())
        return "\n\n".join(parts)

    def _accuracy_line(self) -> str:
        return (
            f"{self.precision} accuracy {percent(self.accuracy)}: {self.correct:,} of "
            f"{self.images:,} test images"
        )

    def _class_table(self) -> str:
        rows = [
            (
                each.name,
                f"{each.images:,}",
                percent(each.precision),
                percent(each.recall),
            )
            for each in self.per_class
        ]
        header = ("class", "images", "precision", "recall")
        return text_table(header, rows, left_columns=1)

    def _matrix(self) -> str:
        rows = [
            (f"{i} {name}", *(f"{n:,}" if n else "." for n in row))
            for i, (name, row) in enumerate(
                zip(self.classes, self.confusion, strict=True)
            )
        ]
        header = ("taken for", *(str(i) for i in range(len(rows))))
        return text_table(header, rows, left_columns=1)

    def _confusion_table(self) -> str:
        rows = [
            (each.name, each.taken_for, f"{each.images:,}", percent(each.share))
            for each in self.confusions[:MOST_CLASSES]
        ]
        header = ("class", "taken for", "images", "of the class")
        return text_table(header, rows, left_columns=2)


def confusions_of(
    classes: Sequence[str], matrix: Sequence[Sequence[int]]
) -> tuple[Confusion, ...]:
    """What is in a confusion matrix beside its diagonal, the most frequent first."""
    found = [
        Confusion(classes[i], classes[k], n, n / sum(row))
        for i, row in enumerate(matrix)
        for k, n in enumerate(row)
        if i != k and n
    ]
    return tuple(sorted(found, key=lambda each: -each.images))


def scores(net: Model, data: Dataset, *, precision: str = "int8") -> Scores:
    """Score a network class by class.

    Parameters
    ----------
    net : Model
    data : Dataset
    precision : "int8" or "fp32"
        "int8" scores the bytes that the device computes.

    Returns
    -------
    Scores
        Prints as tables: precision and recall of each class, and the confusion matrix,
        or of more than 20 classes the most frequent confusions.

    Raises
    ------
    ShapeError, DataError
        The dataset does not fit, or holds no images.
    """
    net.check_labels(data)
    count = net.output_shape[0]
    matrix = np.zeros((count, count), np.int64)
    said = net.classify(data.images, precision=precision)
    np.add.at(matrix, (data.labels, said), 1)
    return Scores(
        network=net.name,
        data=data.name,
        precision=precision,
        classes=_names(net, data),
        confusion=tuple(tuple(map(int, row)) for row in matrix),
    )


def _names(net: Model, data: Dataset) -> tuple[str, ...]:
    """A name for each output: the network's, else the data's, else a number."""
    count = net.output_shape[0]
    numbers = map(str, range(len(data.classes), count))
    return net.classes or (*data.classes, *numbers)
