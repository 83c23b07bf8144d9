"""What the providers' tables are written with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: The integers of a call by name, see `work.integers`.
Integers = Mapping[str, int]
#: How often each part of a path runs, by its name.
Counts = dict[str, float]


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


#: What the name of a part begins with that counts whether there is a loop at all.
ENTERED = "some "
#: Of a function: what a call is given, core class -> its work.
Row = Callable[[Integers, str], Work]


def once(kernel: str, *loops: Mapping[str, float]) -> Work:
    """A kernel that does something once, and these loops."""
    counts: Counts = {"call": 1}
    for loop in loops:
        counts.update(loop)
    return Work(kernel, counts)


def multiplied(factor: float, counts: Mapping[str, float], prefix: str = "") -> Counts:
    """The same parts so many times as often, with something before their names."""
    return {prefix + part: factor * count for part, count in counts.items()}


def loop(name: str, times: float, **inside: float) -> Counts:
    """A loop, and how often what is inside runs in each of its rounds."""
    parts = {f"{name}.{part}": times * count for part, count in inside.items()}
    return {name: times, **parts}


def entered(**rounds: float) -> Counts:
    """Rounds of loops one after the other, and whether there are any."""
    return {
        **rounds,
        **{f"{ENTERED}{name}": float(count > 0) for name, count in rounds.items()},
    }


def summed(*loops: Mapping[str, float]) -> Counts:
    """Loops of which parts of one name are one part."""
    counts: Counts = {}
    for each in loops:
        for part, count in each.items():
            counts[part] = counts.get(part, 0) + count
    return counts


def memset(name: str, times: float, n_bytes: int) -> Counts:
    """Rows of so many bytes, one after the other, filled by newlib's `memset`.

    Up to the first whole word it fills bytes; then 16 bytes in a round, words, bytes.
    Rows begin at every multiple of their length, of which this is the mean.
    """
    offsets = [n_bytes * row % 4 for row in range(4)]
    rounds = [_filled(-offset % 4, n_bytes) for offset in offsets]
    return loop(name, times, **multiplied(0.25, summed(*rounds)))


def _filled(first: int, n_bytes: int) -> Counts:
    """How often each loop of `memset` runs; the first is over so many bytes."""
    first = min(first, n_bytes)
    blocks, rest = divmod(n_bytes - first, 16)
    words, singles = divmod(rest, 4)
    return {
        "first": first,
        "blocks": blocks,
        "any_blocks": blocks > 0,
        "words": words,
        "any_words": words > 0,
        "singles": singles,
        "any_singles": singles > 0,
    }
