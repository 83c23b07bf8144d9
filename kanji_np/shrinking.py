"""The smallest input of a layer for which two runtimes compute different outputs.

An input is shrunk for as long as one output still differs: values are set to what
stands for zero in ever smaller groups (delta debugging: Zeller and Hildebrandt, 2002),
and in the end a single value is looked for that does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from kanji_np.checks import listed
from kanji_np.graph import Graph, Node
from kanji_np.ops import Op
from kanji_np.ops.dense import DENSE, DenseAttrs
from kanji_np.types import Arrays, LinearInts, LinearParams, Saved, Shape

# What shrinking one input may cost: inputs tried, and multiply-accumulates and values
# in all of them. Work is counted, not timed: the answer is the same every time.
MOST_TRIES, MOST_WORK, TRY_BYTES = 50_000, 5 * 10**8, 2**25
# Values are set to zero in so many groups, so many are tried alone.
MOST_PARTS, MOST_ALONE = 64, 32


@dataclass(frozen=True)
class InputValue:
    """A value of an input of a layer.

    Parameters
    ----------
    input : int
        Which of the layer's inputs, from 0.
    index : tuple of int
        Without the batch.
    value : int
        int8, or uint8 of an image.
    """

    input: int
    index: Shape
    value: int


@dataclass(frozen=True)
class SmallestInput:
    """The smallest input found on which two runtimes compute different outputs.

    Parameters
    ----------
    layer, op : str
        The layer and its operator.
    zeros : tuple of int
        What all other values of each input are: the integer that stands for zero.
    values : tuple of InputValue
        The values that are not zero.
    index : tuple of int
        The output that differs, without the batch.
    results : tuple of int
        What both runtimes compute.
    acc : int or None
        Of a layer with weights: products and bias, before they are rescaled.
    multiplier, shift : int or None
        ``acc * multiplier * 2^(shift - 31)``, rounded in some way, plus the zero point
        of the output gives the result.
    """

    layer: str
    op: str
    zeros: tuple[int, ...]
    values: tuple[InputValue, ...]
    index: Shape
    results: tuple[int, int]
    acc: int | None = None
    multiplier: int | None = None
    shift: int | None = None

    def text(self, names: tuple[str, str]) -> str:
        """For reading, in lines.

        Parameters
        ----------
        names : (str, str)
            Of both runtimes.
        """
        several = len(self.zeros) > 1
        told = listed(
            f"{f'input {v.input} ' if several else ''}{_index(v.index)} = {v.value}"
            for v in self.values
        )
        zeros = " and ".join(map(str, self.zeros))
        but = f" but {told}" if self.values else ""
        first, second = self.results
        lines = [f"inputs all {zeros}{but}"]
        if self.acc is not None and self.shift is not None:
            factor = f"{self.multiplier} * 2^{self.shift - 31}"
            lines.append(f"sum {self.acc}, times {factor}")
        lines.append(
            f"output {_index(self.index)}: {first} in {names[0]}, {second} in "
            f"{names[1]}"
        )
        return "\n".join(f"  {line}" for line in lines)


def smallest_input(a: Graph, b: Graph, number: int, xs: Arrays) -> SmallestInput:
    """Shrink an input of a layer that two runtimes compute differently.

    Parameters
    ----------
    a, b : Graph
        The same network for both.
    number : int
        Of the layer, from 0.
    xs : tuple of int8 (1, ...)
        Inputs of that layer, for which the outputs differ.
    """
    search = _Search(a, b, number, xs)
    values = search.start
    for shrink in (_seen, _fewer, _few, _smaller):
        values = shrink(search, values)
    return search.result(values)


class _Search:
    """Inputs of one layer as flat rows, and whether an output differs for them."""

    def __init__(self, a: Graph, b: Graph, number: int, xs: Arrays) -> None:
        self.nodes = a.nodes[number], b.nodes[number]
        self.shapes = [x.shape[1:] for x in xs]
        tensors = [a.tensors[k] for k in self.nodes[0].inputs]
        zeros = [0 if t.qparams is None else t.qparams.zero_point for t in tensors]
        self.input_zeros = tuple(zeros)
        sizes = [tensor.size for tensor in tensors]
        self.ends = np.cumsum(sizes)
        self.start = np.concatenate([x.ravel() for x in xs])
        self.zeros = np.repeat(zeros, sizes).astype(self.start.dtype)
        first, second = self.outputs(self.start[np.newaxis])
        # One that is not clamped when all is zero: few values move it.
        at_zero = self.outputs(self.zeros[np.newaxis])[0].astype(int)
        at_zero[(first == second) | (at_zero == 127)] = -129
        self.place = int(at_zero.argmax())
        self.slopes = self._slopes(self.nodes[0])
        self.alone = self._alone()
        node, shapes = self.nodes[0], tuple(tensor.shape for tensor in tensors)
        work = len(self.start)
        if self.alone is None:
            macs = node.operator.cost(node.attrs, shapes, a.target).macs
            work += macs + node.output.size
        self.tries = min(MOST_TRIES, MOST_WORK // (2 * work))

    def outputs(self, rows: np.ndarray) -> list[np.ndarray]:
        """Of both runtimes, int8 (N, M), for flat inputs (N, K)."""
        parts = np.split(rows, self.ends[:-1], axis=1)
        xs = tuple(
            part.reshape(-1, *shape)
            for part, shape in zip(parts, self.shapes, strict=True)
        )
        return [
            node.operator.run_int(node.attrs, node.ints, xs).reshape(len(rows), -1)
            for node in self.nodes
        ]

    def results(self, rows: np.ndarray) -> list[np.ndarray]:
        """The output that differs, of both runtimes, int8 (N,), for inputs (N, K)."""
        if self.alone is None:
            return [y[:, self.place] for y in self.outputs(rows)]
        places, both = self.alone
        x = rows[:, places]
        return [DENSE.run_int(DenseAttrs(1), ints, (x,))[:, 0] for ints in both]

    def _alone(self) -> tuple[np.ndarray, list[LinearInts]] | None:
        """The values that the output is a weighted sum of, and that sum as a dense
        layer of one output, for both runtimes: the other outputs need not be computed.
        """
        if self.slopes is None or not self.slopes.any():
            return None
        places, channel = np.flatnonzero(self.slopes), self._index()[-1]
        own, both = slice(channel, channel + 1), []
        for node in self.nodes:
            weights, ints = self._slopes(node), node.ints
            assert weights is not None
            both.append(
                replace(
                    ints,
                    weight=weights[np.newaxis, places].astype(np.int8),
                    bias=ints.bias[own],
                    multiplier=ints.multiplier[own],
                    shift=ints.shift[own],
                    weight_scales=None,
                )
            )
        return places, both

    def _index(self) -> Shape:
        return _plain(np.unravel_index(self.place, self.nodes[0].output.shape))

    def first(self, rows: Iterable[np.ndarray]) -> np.ndarray | None:
        """The first of flat inputs for which the output still differs.

        One is tried, then twice as many at a time: the first is often the one.
        """
        rows, count = iter(rows), 1
        most = max(TRY_BYTES // len(self.start), 1)
        while some := list(islice(rows, min(count, most, self.tries))):
            self.tries -= len(some)
            count *= 2
            one, other = self.results(np.stack(some))
            differs = one != other
            if differs.any():
                return some[int(differs.argmax())]
        return None

    def without(self, values: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The same values with zeros at some places."""
        values = values.copy()
        values[places] = self.zeros[places]
        return values

    def alive(self, values: np.ndarray) -> np.ndarray:
        """The places of values that are not zero."""
        return np.flatnonzero(values != self.zeros)

    def result(self, values: np.ndarray) -> SmallestInput:
        """What was found."""
        node = self.nodes[0]
        one, other = self.outputs(values[np.newaxis])
        found = SmallestInput(
            layer=node.name,
            op=node.op,
            zeros=self.input_zeros,
            values=tuple(self._value(values, place) for place in self.alive(values)),
            index=self._index(),
            results=(int(one[0, self.place]), int(other[0, self.place])),
        )
        ints = node.ints
        if not isinstance(ints, LinearInts):
            return found
        channel = found.index[-1]
        return replace(
            found,
            acc=self._sum(values, ints),
            multiplier=int(ints.multiplier[channel]),
            shift=int(ints.shift[channel]),
        )

    def _value(self, values: np.ndarray, place: int) -> InputValue:
        number = int(np.searchsorted(self.ends, place, side="right"))
        start = self.ends[number - 1] if number else 0
        index = np.unravel_index(place - start, self.shapes[number])
        return InputValue(number, _plain(index), int(values[place]))

    def _sum(self, values: np.ndarray, ints: LinearInts) -> int:
        """The output before it is rescaled: exact in float64, as it is below 2^53."""
        op, attrs, params = self._linear(ints)
        x = values.reshape(1, *self.shapes[0]).astype(float) + ints.input_offset
        return int(op.run_float(attrs, params, (x,)).flat[self.place])

    def _slopes(self, node: Node) -> np.ndarray | None:
        """By how much each value raises the sum of a layer with weights, float64."""
        ints, y = node.ints, node.output
        if not isinstance(ints, LinearInts):
            return None
        op, attrs, params = self._linear(ints)
        gy = np.zeros((1, *y.shape))
        gy.flat[self.place] = 1
        x = np.zeros((1, *self.shapes[0]))
        saved = Saved((x,), gy, (1.0,), (0,), -math.inf, math.inf)
        (gx,), _ = op.run_vjp(attrs, params, saved, gy, (True,))
        assert gx is not None
        return gx.ravel()

    def _linear(self, ints: LinearInts) -> tuple[Op, Any, LinearParams]:
        """The layer up to its sums, with integers for parameters."""
        op, attrs = self.nodes[0].operator, self.nodes[0].attrs
        params = LinearParams(ints.weight.astype(float), ints.bias.astype(float))
        return op, op.without_activation(attrs), params


def _seen(search: _Search, values: np.ndarray) -> np.ndarray:
    """Zeros for all that the output of a layer with weights does not depend on."""
    if search.slopes is None:
        return values
    unseen = np.flatnonzero(search.slopes == 0)
    found = search.first([search.without(values, unseen)])
    return values if found is None else found


def _fewer(search: _Search, values: np.ndarray) -> np.ndarray:
    """Zeros in ever smaller groups, for as long as the output differs."""
    parts = 2
    while len(alive := search.alive(values)):
        groups = np.array_split(alive, min(parts, len(alive)))
        found = search.first(search.without(values, group) for group in groups)
        if found is not None:
            values, parts = found, max(parts - 1, 2)
        elif parts >= min(MOST_PARTS, len(alive)):
            break
        else:
            parts *= 2
    return values


def _few(search: _Search, values: np.ndarray) -> np.ndarray:
    """One value, or a few, with all others zero.

    Where a difference is rare, each value that becomes zero ends it. So one value is
    tried with all it can be. Of a layer with weights more are: those with the largest
    weights are set to what raises the sum most, one more in each round, and the next
    is tried with all it can be.
    """
    alive, slopes = search.alive(values), search.slopes
    if len(alive) < 2:
        return values
    if slopes is None:
        found = search.first(_varied(search, search.zeros, alive[:MOST_ALONE]))
        return values if found is None else found
    steepest = np.abs(slopes).argsort(kind="stable")[::-1][:MOST_ALONE]
    limits = np.iinfo(values.dtype)
    ends = np.where(slopes > 0, limits.max, limits.min)
    for count in range(min(len(steepest), len(alive))):
        row = search.zeros.copy()
        row[steepest[:count]] = ends[steepest[:count]]
        found = search.first(_varied(search, row, steepest[count:]))
        if found is not None:
            return found
    return values


def _varied(
    search: _Search, row: np.ndarray, places: Iterable[int]
) -> Iterator[np.ndarray]:
    """A row with one value changed, at each of some places to all it can be."""
    for place in places:
        for value in _by_distance(search, place):
            varied = row.copy()
            varied[place] = value
            yield varied


def _smaller(search: _Search, values: np.ndarray) -> np.ndarray:
    """Each value as near to zero as it may be."""
    for place in search.alive(values):
        nearer = []
        for value in _by_distance(search, place):
            if value == values[place]:
                break
            row = values.copy()
            row[place] = value
            nearer.append(row)
        found = search.first(nearer)
        values = values if found is None else found
    return values


def _by_distance(search: _Search, place: int) -> list[int]:
    """All values but zero, the nearest to it first."""
    limits = np.iinfo(search.start.dtype)
    zero = int(search.zeros[place])
    others = [v for v in range(limits.min, limits.max + 1) if v != zero]
    return sorted(others, key=lambda value: abs(value - zero))


def _plain(index: Iterable[Any]) -> Shape:
    return tuple(int(i) for i in index)


def _index(index: Shape) -> str:
    return f"[{', '.join(map(str, index))}]"
