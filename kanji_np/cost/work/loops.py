"""What the providers' tables are written with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: The integers of a call by name, see `work.integers`.
Integers = Mapping[str, int]


@dataclass(frozen=True)
class Work:
    """What a call does.

    Parameters
    ----------
    kernel : str
        The path it takes: a name in the provider's table of instructions.
    counts : mapping of str to float
        How often each part of that path runs, by the part's name.
    """

    kernel: str
    counts: Mapping[str, float]
