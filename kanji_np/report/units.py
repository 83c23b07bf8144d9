"""The unit of a column: one for all its figures, so that they compare at a glance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kanji_np.cost.range import PREFIXES, Range, significant

#: Figures of a column are below this.
MOST = 10_000


@dataclass(frozen=True)
class Unit:
    """A unit with its prefix, and how much one of it is.

    Parameters
    ----------
    name : str
        "ms" and so on.
    factor : float
    """

    name: str
    factor: float

    def likely(self, value: Range | None) -> str:
        """The likely value, without the unit; nothing where it is not known."""
        return "" if value is None else self._text(value.likely)

    def bounds(self, value: Range | None) -> str:
        """The range; nothing where it is not known, or of one value."""
        if value is None or value.low == value.high:
            return ""
        return f"{self._text(value.low)} to {self._text(value.high)}"

    def _text(self, value: float) -> str:
        return significant(value / self.factor) if value else "0"


def unit_of(values: Iterable[Range | None], base: str) -> Unit:
    """The smallest unit in which no likely value has more than four digits.

    Parameters
    ----------
    values : iterable of Range or None
    base : str
        "s", "J" and so on. Without one there are no prefixes.
    """
    if not base:
        return Unit("", 1.0)
    most = max((value.likely for value in values if value), default=0.0)
    factor, prefix = next(
        ((f, p) for f, p in reversed(PREFIXES) if most / f < MOST), PREFIXES[0]
    )
    return Unit(f"{prefix}{base}", factor)
