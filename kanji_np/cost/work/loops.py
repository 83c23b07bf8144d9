"""What the providers' tables are written with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

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


#: Of a function: what a call is given, core class -> its work.
Row = Callable[[Integers, str], Work]


def once(kernel: str, *loops: Mapping[str, float]) -> Work:
    """A kernel that does something once, and these loops."""
    counts: dict[str, float] = {"call": 1}
    for loop in loops:
        counts.update(loop)
    return Work(kernel, counts)


def loop(name: str, times: float, **inside: float) -> dict[str, float]:
    """A loop, and how often what is inside runs in each of its rounds."""
    parts = {f"{name}.{part}": times * count for part, count in inside.items()}
    return {name: times, **parts}


def copied(name: str, times: float, n_bytes: int) -> dict[str, float]:
    """Copies, or fills, of so many bytes each.

    The C library's `memcpy` and `memset` take large blocks, words and bytes in turn.
    Rows of whole words are aligned, others are not always.
    """
    name = name if n_bytes % 4 == 0 else f"{name} unaligned"
    return loop(
        name,
        times,
        blocks=n_bytes // 16,
        words=n_bytes % 16 // 4,
        bytes=n_bytes % 4,
    )


@dataclass(frozen=True)
class Axis:
    """Windows along one axis.

    Parameters
    ----------
    windows : int
        How many there are.
    size : int
        Cells of each.
    inside : int
        Cells of all windows that lie in the input, and not in its padding.
    full : int
        Windows that lie in the input as a whole.
    """

    windows: int
    size: int
    inside: int
    full: int

    @property
    def outside(self) -> int:
        """Cells of all windows that lie in the padding."""
        return self.windows * self.size - self.inside


@cache
def axis(
    windows: int, size: int, stride: int, pad: int, dilation: int, n_inputs: int
) -> Axis:
    """Where the windows along an axis of `n_inputs` cells lie; see `Axis`."""
    cells = range(0, size * dilation, dilation)
    inside = [
        sum(0 <= first + cell < n_inputs for cell in cells)
        for first in range(-pad, windows * stride - pad, stride)
    ]
    return Axis(windows, size, sum(inside), inside.count(size))


def axes(given: Integers, params: str, *, dilated: bool = True) -> tuple[Axis, Axis]:
    """The windows of a convolution or pool, along height and along width."""
    height, width = (
        axis(
            given[f"output_dims.{a}"],
            given[f"filter_dims.{a}"],
            given[f"{params}.stride.{a}"],
            given[f"{params}.padding.{a}"],
            given[f"{params}.dilation.{a}"] if dilated else 1,
            given[f"input_dims.{a}"],
        )
        for a in "hw"
    )
    return height, width
