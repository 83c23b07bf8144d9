"""Which elements of our tensors are which of theirs.

ONNX has channels first, (N, C, H, W); our tensors have them last. So a tensor of the
file is a `View` of one of ours: for each of its axes, how far apart neighbours lie in
ours. A `Transpose` changes the order of axes, a `Reshape` joins and splits them, and
neither makes a layer. Only an operator that needs another order of our elements than
they have does: `Arranger` then puts a transpose before it.

Shapes are without the batch, which stays the first axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from kanji_np.formats.builder import Builder
from kanji_np.layers import Symbol
from kanji_np.ops import OPS
from kanji_np.types import Shape

#: Axes of theirs that become one axis of ours.
Group = tuple[int, ...]

#: The axes of (C, H, W) and (C, T), by the number of axes that windows move along, that
#: become height, width and channels of ours.
IMAGE = {2: ((1,), (2,), (0,)), 1: ((), (1,), (0,))}
#: And the places of theirs in ours.
OF_IMAGE = {2: (2, 0, 1), 1: (2, 1)}
#: Of (C, T): time and channels.
ROW = ((1,), (0,))


class Run(NamedTuple):
    """`size` elements, each `stride` elements of ours after the one before."""

    size: int
    stride: int


#: An axis of theirs: runs within runs, the outermost first; none: a single element.
Axis = tuple[Run, ...]


@dataclass(frozen=True, eq=False)
class View:
    """A tensor of the file, as elements of one of ours.

    Parameters
    ----------
    symbol : Symbol
        Ours. Strides count its elements in row order, whatever its shape.
    axes : tuple of Axis
        Theirs. Together their runs reach every element of ours once.
    """

    symbol: Symbol
    axes: tuple[Axis, ...]

    @property
    def shape(self) -> Shape:
        """Theirs."""
        return tuple(math.prod(run.size for run in axis) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of elements of one sample."""
        return math.prod(self.shape)

    @property
    def order(self) -> list[int]:
        """All axes as they lie in ours, outermost first."""
        return sorted(range(len(self.axes)), key=lambda axis: -self.stride(axis))

    def stride(self, axis: int) -> int:
        """Of the outermost run of an axis; 0 of a single element."""
        return self.axes[axis][0].stride if self.axes[axis] else 0

    def of(self, symbol: Symbol) -> View:
        """The same elements of another of our tensors."""
        return replace(self, symbol=symbol)

    def runs(self, axes: Iterable[int] | None = None) -> tuple[Run, ...]:
        """Those of some axes, or of all, in a row."""
        chosen = range(len(self.axes)) if axes is None else axes
        return tuple(run for axis in chosen for run in self.axes[axis])

    def transposed(self, axes: Sequence[int]) -> View:
        """With axis ``axes[k]`` in place k."""
        return replace(self, axes=tuple(self.axes[axis] for axis in axes))

    def reshaped(self, shape: Shape) -> View | None:
        """Under another shape of the same size; None if runs do not fit into it."""
        left = list(reversed(joined(self.runs())))
        axes = []
        for size in shape:
            axis = []
            while size > 1:
                run = left.pop()
                if run.size > size and run.size % size == 0:  # its outer part
                    inner = run.size // size
                    left.append(Run(inner, run.stride))
                    run = Run(size, run.stride * inner)
                if size % run.size:
                    return None
                axis.append(run)
                size //= run.size
            axes.append(tuple(axis))
        return replace(self, axes=tuple(axes))

    def places(self) -> np.ndarray:
        """The number in ours of each element of theirs, int64 (size,)."""
        places = np.zeros(1, np.int64)
        for size, stride in self.runs():
            places = (places[:, None] + np.arange(size) * stride).reshape(-1)
        return places


def joined(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Runs in a row, those that go on where the one before ends as one."""
    joint: list[Run] = []
    for run in runs:
        if joint and joint[-1].stride == run.size * run.stride:
            joint[-1] = Run(joint[-1].size * run.size, run.stride)
        else:
            joint.append(run)
    return tuple(joint)


def outermost_first(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Runs as they lie in ours."""
    return tuple(sorted(runs, key=lambda run: -run.stride))


def view_of(symbol: Symbol, shape: Shape, axes: Sequence[int] | None = None) -> View:
    """Our tensor of a shape, as theirs with our axis ``axes[k]`` in place k.

    Axes that are not named are of length 1.
    """
    inner = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
    runs = [
        (Run(size, stride),) if size > 1 else ()
        for size, stride in zip(shape, inner, strict=True)
    ]
    order = range(len(shape)) if axes is None else axes
    return View(symbol, tuple(runs[k] for k in order))


class Arranger:
    """Our tensors with the axes that operators ask for.

    Parameters
    ----------
    builder : Builder
        Makes the layers that this takes.
    """

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._made: dict[tuple[Symbol, str, tuple[int, ...]], Symbol] = {}
        self._source: dict[Symbol, Symbol] = {}  # of what a reshape gave

    def arranged(self, view: View, groups: Sequence[Group], owner: str) -> Symbol:
        """Ours with an axis for each group of theirs, in their order.

        Parameters
        ----------
        view : View
        groups : sequence of tuple of int
            All axes that are longer than 1 are in one of them.
        owner : str
            The operator that asks, as the table of layers names it.
        """
        shape = tuple(math.prod(run.size for run in view.runs(g)) for g in groups)
        wanted = joined(view.runs(axis for g in groups for axis in g))
        there = outermost_first(wanted)
        symbol = view.symbol
        if wanted != there:
            source = self.shaped(symbol, tuple(run.size for run in there), owner)
            axes = tuple(there.index(run) for run in wanted)
            symbol = self._transposed(source, axes, owner)
        return self.shaped(symbol, shape, owner)

    def in_order(self, view: View, owner: str) -> View:
        """The same tensor, with ours in the order of theirs."""
        groups = [(axis,) for axis in range(len(view.axes))]
        return view_of(self.arranged(view, groups, owner), view.shape)

    def shaped(self, symbol: Symbol, shape: Shape, owner: str) -> Symbol:
        """The same elements of ours under another shape."""
        shape = shape or (1,)
        symbol = self._source.get(symbol, symbol)
        if self.builder.shape(symbol) == shape:
            return symbol
        key = symbol, "reshape", shape
        if key not in self._made:
            attrs = OPS["reshape"].attrs(shape)
            made = self.builder.layer("reshape", attrs, [symbol], source=owner)
            self._made[key], self._source[made] = made, symbol
        return self._made[key]

    def _transposed(self, symbol: Symbol, axes: Group, owner: str) -> Symbol:
        key = symbol, "transpose", axes
        if key not in self._made:
            self._made[key] = self.builder.layer(
                "transpose",
                OPS["transpose"].attrs(tuple(axis + 1 for axis in axes)),
                [symbol],
                source=owner,
                notes=("our elements change places",),
            )
        return self._made[key]
