"""An estimate: what is likely, and between what bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kanji_np.errors import OptionError

#: Factors and prefixes of units, the largest first.
PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))


@dataclass(frozen=True)
class Range:
    """An estimate of a quantity that is not negative.

    Parameters
    ----------
    low, likely, high : float
        In this order. The bounds are those of what was seen, not of a probability.
    """

    low: float
    likely: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.likely <= self.high < math.inf:
            raise OptionError(
                "a range is low, likely, high in this order, from 0 on; got "
                f"{self.low}, {self.likely}, {self.high}"
            )

    @classmethod
    def exact(cls, value: float) -> Range:
        """A range of one value.

        Parameters
        ----------
        value : float
        """
        return cls(value, value, value)

    @classmethod
    def within(cls, value: float, error: float) -> Range:
        """A value that is known up to a relative error.

        Parameters
        ----------
        value : float
        error : float
            0.05 is 5 % to both sides.
        """
        return cls(value * max(0.0, 1 - error), value, value * (1 + error))

    def __add__(self, other: Range) -> Range:
        return Range(
            self.low + other.low, self.likely + other.likely, self.high + other.high
        )

    def scaled(self, by: Range | float) -> Range:
        """The product with a number or another estimate.

        Parameters
        ----------
        by : Range or float
        """
        factor = by if isinstance(by, Range) else Range.exact(by)
        return Range(
            self.low * factor.low,
            self.likely * factor.likely,
            self.high * factor.high,
        )

    def text(self, unit: str) -> str:
        """For reading: "12.3 ms (11.0 to 14.1)".

        Parameters
        ----------
        unit : str
            "s", "J", "W" and so on. The prefix is chosen by the likely value.
        """
        factor, prefix = next(
            ((f, p) for f, p in PREFIXES if self.likely >= f), PREFIXES[-1]
        )
        low, likely, high = (
            significant(x / factor) for x in (self.low, self.likely, self.high)
        )
        between = "" if low == high else f" ({low} to {high})"
        return f"{likely} {prefix}{unit}".rstrip() + between


def significant(value: float) -> str:
    """A positive number with three digits that count, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def sum_of(ranges: Iterable[Range]) -> Range:
    """The sum of estimates that may all be wrong in the same direction."""
    total = Range.exact(0.0)
    for each in ranges:
        total += each
    return total
