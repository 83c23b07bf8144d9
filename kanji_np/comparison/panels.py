"""What is drawn of a comparison: points in panels, for matplotlib and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kanji_np.comparison.rows import (
    INSTRUCTIONS,
    ComparisonRow,
    Measure,
    has_accuracy,
    measures_of,
)

#: Units that axes have, and how many of the measure's own they are.
AXES = {"bytes": ("KiB", 1 / 1024), "s": ("ms", 1e3), "J": ("mJ", 1e3), "": ("M", 1e-6)}

#: Of names beside points [pixels]: the width of a character, the height of a line, and
#: how far a name is from its point.
CHARACTER, LINE, GAP = 6.6, 13.0, 9.0


@dataclass(frozen=True)
class Point:
    """A network in a panel: where it is, how far it may be, and whether it is on the
    front; `series` is the board or core."""

    x: float
    x_low: float
    x_high: float
    y: float
    label: str
    series: str
    is_on_front: bool


@dataclass(frozen=True)
class Panel:
    """Points over two axes; less is better on the first, and on the second unless
    `has_scores`."""

    x_title: str
    y_title: str
    points: tuple[Point, ...]
    has_scores: bool

    def front(self, series: str) -> tuple[Point, ...]:
        """The points of a board or core than which no other there is better on one
        axis and as good on the other; from left to right, equal ones once."""
        sign = -1 if self.has_scores else 1
        mine = sorted(
            (p for p in self.points if p.series == series),
            key=lambda p: (p.x, sign * p.y),
        )
        found: list[Point] = []
        for point in mine:
            if not found or sign * point.y < sign * found[-1].y:
                found.append(point)
        return tuple(found)


def panels(rows: Sequence[ComparisonRow]) -> tuple[Panel, ...]:
    """Accuracy over each cost; without accuracies flash over the other costs.

    Networks that do not fit their board are left out.
    """
    measures = measures_of(rows)
    fitting = [row for row in rows if row.fits]
    if has_accuracy(rows):
        return tuple(_by_accuracy(fitting, measure) for measure in measures)
    flash, *others = measures or (INSTRUCTIONS,)
    return tuple(_by_flash(fitting, flash, measure) for measure in others)


def series_of(rows: Sequence[ComparisonRow]) -> tuple[str, ...]:
    """The boards and cores that have points."""
    return tuple(dict.fromkeys(row.place for row in rows if row.fits))


def _by_accuracy(rows: list[ComparisonRow], measure: Measure) -> Panel:
    points = [
        _point(row, measure, 100 * row.accuracy, measure.name in row.front)
        for row in rows
        if row.accuracy is not None and measure.used(row) is not None
    ]
    return Panel(_title(measure), "accuracy [%]", tuple(points), has_scores=True)


def _by_flash(rows: list[ComparisonRow], flash: Measure, measure: Measure) -> Panel:
    points = []
    for row in rows:
        used = flash.used(row)
        if used is not None and measure.used(row) is not None:
            y = used.likely * AXES[flash.unit][1]
            points.append(_point(row, measure, y, bool(row.front)))
    return Panel(_title(measure), _title(flash), tuple(points), has_scores=False)


def _point(row: ComparisonRow, measure: Measure, y: float, front: bool) -> Point:
    used = measure.used(row)
    assert used is not None
    factor = AXES[measure.unit][1]
    return Point(
        used.likely * factor, used.low * factor, used.high * factor, y,
        row.network, row.place, front,
    )  # fmt: skip


def _title(measure: Measure) -> str:
    return f"{measure.name} [{AXES[measure.unit][0]}]"


def labelled(
    places: Sequence[tuple[float, float, str]],
    right: float,
    *,
    left: float = 0.0,
    free_of: Sequence[tuple[float, float]] = (),
) -> list[tuple[float, float, str]]:
    """Where the names of points go: beside them, and left out where two would meet.

    Parameters
    ----------
    places : sequence of (x, y, text)
        Of the points [pixels], the most important first.
    right, left : float
        The ends of the drawing; names that would cross the right one stand to the left
        of their point.
    free_of : sequence of (x, y), optional
        Points that no name may cover.

    Returns
    -------
    list of (x, y, text)
        Where each text starts.
    """
    made: list[tuple[float, float, str]] = []

    def is_free(start: float, y: float, width: float) -> bool:
        return not any(
            abs(y - other) <= LINE
            and start < begin + CHARACTER * len(words)
            and begin < start + width
            for begin, other, words in made
        ) and not any(
            abs(y - other) <= LINE + GAP / 2
            and start - GAP / 2 < point < start + width + GAP / 2
            for point, other in free_of
        )

    for x, y, text in places:
        width = CHARACTER * len(text)
        for start in (x + GAP, x - GAP - width):
            if left <= start <= right - width and is_free(start, y, width):
                made.append((start, y, text))
                break
    return made
