"""Windows that slide over an image, and how much of each lies on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from kanji_np.cost.work.loops import Integers


@dataclass(frozen=True)
class Reach:
    """The part of a window's axis that lies on the input: `count` taps from `first`."""

    first: int
    count: int


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution or a pool: how many cells each extent has."""

    input: int
    kernel: int
    output: int
    stride: int
    padding: int
    dilation: int = 1

    @cached_property
    def reaches(self) -> tuple[Reach, ...]:
        """What each output sees of the input."""
        return tuple(map(self._reach, range(self.output)))

    @property
    def taps(self) -> int:
        """Taps on the input, over all outputs."""
        return sum(reach.count for reach in self.reaches)

    @property
    def padded(self) -> int:
        """Taps in the padding, over all outputs."""
        return self.output * self.kernel - self.taps

    @property
    def full(self) -> int:
        """Outputs that see no padding."""
        return sum(reach.count == self.kernel for reach in self.reaches)

    def _reach(self, output: int) -> Reach:
        start = output * self.stride - self.padding
        first = max(0, -(start // self.dilation))
        end = min(self.kernel, -((start - self.input) // self.dilation))
        return Reach(first, end - first) if first < end else Reach(0, 0)


@dataclass(frozen=True)
class Windows:
    """Windows over an image.

    Parameters
    ----------
    rows, columns : Axis
    channels, filters : int
        Of the input and the output.
    depth : int
        Channels that a filter sees.
    """

    rows: Axis
    columns: Axis
    channels: int
    filters: int
    depth: int

    @property
    def count(self) -> int:
        return self.rows.output * self.columns.output

    @property
    def groups(self) -> int:
        return self.channels // self.depth

    @property
    def kernel_taps(self) -> int:
        """Taps of one window."""
        return self.rows.kernel * self.columns.kernel

    @property
    def taps(self) -> int:
        """Taps of all windows."""
        return self.count * self.kernel_taps

    @property
    def inside(self) -> int:
        """Those that lie on the image."""
        return self.rows.taps * self.columns.taps

    @property
    def inside_rows(self) -> int:
        """Rows of windows that lie on the image."""
        return self.rows.taps * self.columns.output

    @property
    def first_pixels(self) -> Iterator[int]:
        """The number of the first pixel that each window sees."""
        for y, row in enumerate(self.rows.reaches):
            top = y * self.rows.stride - self.rows.padding
            top += row.first * self.rows.dilation
            for x, column in enumerate(self.columns.reaches):
                left = x * self.columns.stride - self.columns.padding
                left += column.first * self.columns.dilation
                yield top * self.columns.input + left


def windows(given: Integers, params: str) -> Windows:
    """The windows of a call whose struct of parameters has this name.

    The windows of a pool see each channel alone, and need not say so.
    """
    filters = given["output_dims.c"]
    channels = given["input_dims.c"]
    return Windows(
        rows=_axis(given, params, "h"),
        columns=_axis(given, params, "w"),
        channels=channels,
        filters=filters,
        depth=given["filter_dims.c"] if params == "conv_params" else channels,
    )


def _axis(given: Integers, params: str, name: str) -> Axis:
    kernel = given[f"filter_dims.{name}"]
    dilation = given.get(f"{params}.dilation.{name}", 1)
    return Axis(
        input=given[f"input_dims.{name}"],
        kernel=kernel,
        output=given[f"output_dims.{name}"],
        stride=given[f"{params}.stride.{name}"],
        padding=given[f"{params}.padding.{name}"],
        dilation=dilation if kernel > 1 else 1,
    )


def square_windows(given: Integers) -> Windows:
    """The windows of a legacy convolution that takes one number for both axes."""
    axis = Axis(
        input=given["1"],
        kernel=given["5"],
        output=given["12"],
        stride=given["7"],
        padding=given["6"],
    )
    return Windows(axis, axis, given["2"], given["4"], depth=given["2"])


def nonsquare_windows(given: Integers) -> Windows:
    """Those of one that takes width and height."""
    columns, rows = (
        Axis(
            input=given[str(first)],
            kernel=given[str(first + 5)],
            output=given[str(first + 15)],
            stride=given[str(first + 9)],
            padding=given[str(first + 7)],
        )
        for first in (1, 2)
    )
    return Windows(rows, columns, given["3"], given["5"], depth=given["3"])


def pool_windows(given: Integers) -> Windows:
    """Those of a legacy pool."""
    axis = Axis(
        input=given["1"],
        kernel=given["3"],
        output=given["6"],
        stride=given["5"],
        padding=given["4"],
    )
    return Windows(axis, axis, given["2"], given["2"], depth=given["2"])
