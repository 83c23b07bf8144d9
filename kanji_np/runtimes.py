"""One network in the arithmetic of several runtimes: where they part, and on what.

Runtimes answer the same file with different bytes, because their kernels round
differently. A network is run as each of them computes it, on the same images, and the
outputs are compared byte by byte. For each pair that differs the first layer is named
whose outputs do, and an input of that layer is shrunk for as long as one output still
differs: values are set to what stands for zero in ever smaller groups (delta debugging:
Zeller and Hildebrandt, 2002), and in the end a single value is looked for that does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, islice, product
from typing import Any

import numpy as np

from kanji_np.data import Dataset
from kanji_np.errors import KanjiError, OptionError, ShapeError
from kanji_np.graph import Graph, Node
from kanji_np.model import Model
from kanji_np.network import EVALUATION_BATCH
from kanji_np.ops import Op
from kanji_np.report import text_table
from kanji_np.targets import LIBRARIES, same_arithmetic, target_spec
from kanji_np.types import Arrays, LinearInts, LinearParams, Saved, Shape, TargetSpec

#: Libraries whose tensors have the scales of a `.tflite` file.
COMPARED = ("tflm", "litert", "xnnpack", "cmsis-nn")
# Of all layers of a batch in all runtimes.
BATCH_BYTES = 2**28
# What shrinking one input may cost.
MOST_TRIES, MOST_MACS, TRY_BYTES = 50_000, 2 * 10**10, 2**25
# Values are set to zero in so many groups, so many are tried alone.
MOST_PARTS, MOST_ALONE = 64, 32
MOST_SHOWN = 8


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
        told = [
            f"{f'input {v.input} ' if several else ''}{_index(v.index)} = {v.value}"
            for v in self.values[:MOST_SHOWN]
        ]
        if more := len(self.values) - len(told):
            told.append(f"{more} more")
        zeros = " and ".join(map(str, self.zeros))
        but = f" but {', '.join(told)}" if told else ""
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


@dataclass(frozen=True)
class RuntimeScore:
    """A runtime, and how the network scores in its arithmetic.

    Parameters
    ----------
    name : str
        Short: "tflm", "cmsis-nn single".
    target : str
        In full, as `TargetSpec`.
    accuracy : float or None
        0..1; None where labels do not fit the outputs, or it cannot compute the
        network.
    refused : str
        Why it cannot compute the network, or "".
    """

    name: str
    target: str
    accuracy: float | None = None
    refused: str = ""


@dataclass(frozen=True)
class RuntimePair:
    """What two runtimes compute from the same network and images.

    Parameters
    ----------
    names : tuple of str
        Of both runtimes.
    differing_bytes : int
        Of the network's outputs in all images.
    differing_images : int
        Images with an output that differs.
    largest : int
        Largest difference of an output byte.
    layer : str or None
        The first whose output differs in an image; None if all layers are equal.
    smallest : SmallestInput or None
        An input of that layer which shows it.
    """

    names: tuple[str, str]
    differing_bytes: int = 0
    differing_images: int = 0
    largest: int = 0
    layer: str | None = None
    smallest: SmallestInput | None = None


@dataclass(frozen=True)
class RuntimeComparison:
    """One network in the arithmetic of several runtimes.

    Parameters
    ----------
    network : str
    images : int
    output_bytes : int
        Of all images, in one runtime.
    runtimes : tuple of RuntimeScore
    pairs : tuple of RuntimePair
        Of all that can compute the network, each with each.
    """

    network: str
    images: int
    output_bytes: int
    runtimes: tuple[RuntimeScore, ...]
    pairs: tuple[RuntimePair, ...]

    def json(self) -> str:
        """All of it as one JSON object on one line."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        parts = [
            f"{self.network}, {self.images:,} images, {self.output_bytes:,} output "
            "bytes",
            text_table(("runtime", "target", "accuracy"), self._scores, left_columns=2),
            "differing output bytes",
            self._matrix,
            *self._differences,
        ]
        return "\n\n".join(part for part in parts if part)

    @property
    def _scores(self) -> list[tuple[str, str, str]]:
        return [
            (
                runtime.name,
                runtime.target,
                "" if runtime.accuracy is None else f"{100 * runtime.accuracy:.2f} %",
            )
            for runtime in self.runtimes
        ]

    @property
    def _matrix(self) -> str:
        names = [runtime.name for runtime in self.runtimes if not runtime.refused]
        cells = {pair.names: f"{pair.differing_bytes:,}" for pair in self.pairs}
        rows = [(a, *(cells.get((a, b), "") for b in names[1:])) for a in names[:-1]]
        return text_table(("", *names[1:]), rows, left_columns=1) if rows else ""

    @property
    def _differences(self) -> Iterator[str]:
        """A paragraph of each two groups of runtimes, and of each that is left out."""
        groups = self._groups
        for group in groups:
            if len(group) > 1:
                yield f"{_listed(group)} compute the same bytes in every layer"
        for one, other in combinations(groups, 2):
            pair = next(p for p in self.pairs if p.names == (one[0], other[0]))
            yield (
                f"{_listed(one)} against {_listed(other)}:\n"
                f"  {pair.differing_bytes:,} bytes of {pair.differing_images:,} images "
                f"differ, by {pair.largest} at most\n"
                f"  first in {pair.layer}"
                + (f"\n{pair.smallest.text(pair.names)}" if pair.smallest else "")
            )
        for runtime in self.runtimes:
            if runtime.refused:
                yield f"{runtime.name}: {runtime.refused}"

    @property
    def _groups(self) -> list[list[str]]:
        """The names of runtimes, those together that are equal in every layer."""
        equal = {pair.names for pair in self.pairs if pair.layer is None}
        groups: list[list[str]] = []
        for runtime in self.runtimes:
            if runtime.refused:
                continue
            own = [g for g in groups if (g[0], runtime.name) in equal]
            if own:
                own[0].append(runtime.name)
            else:
                groups.append([runtime.name])
        return groups


def compare_runtimes(
    net: Model, dataset: Dataset, *, targets: Sequence[TargetSpec] | None = None
) -> RuntimeComparison:
    """Compute a network as several runtimes do, and find where they part.

    Parameters
    ----------
    net : Model
        Not changed. Its ranges must be known.
    dataset : Dataset
        Images, and the labels that accuracies are of.
    targets : sequence of TargetSpec, optional
        The runtimes; by default all that compute a `.tflite` file, in every version and
        rounding whose bytes differ.

    Returns
    -------
    RuntimeComparison
        Prints as tables.

    Raises
    ------
    OptionError
        The network is not calibrated.
    ShapeError, DataError
        The images do not fit the network.
    """
    if not net.is_calibrated:
        raise OptionError(
            f"{net.name} has no ranges yet: train it, or calibrate it with images"
        )
    scores = _is_scored(net, dataset)
    runtimes, graphs = [], {}
    for spec in targets or _profiles(net.target.core):
        name = _name(spec)
        try:
            graphs[name] = net.for_target(spec).freeze()
            runtimes.append(RuntimeScore(name, str(spec)))
        except KanjiError as error:  # no such kernel, or none with such scales
            runtimes.append(RuntimeScore(name, str(spec), refused=str(error)))
    correct = dict.fromkeys(graphs, 0)
    pairs = {names: _Parting() for names in combinations(graphs, 2)}
    for inputs, labels in _batches(dataset, graphs):
        x = net.quantize_inputs(inputs)
        layers = {name: list(graph.layers(x)) for name, graph in graphs.items()}
        for name, values in layers.items():
            if scores:
                correct[name] += int((values[-1].argmax(axis=1) == labels).sum())
        for (a, b), parting in pairs.items():
            parting.look_at(x, layers[a], layers[b], graphs[a].nodes)
    runtimes = [
        replace(runtime, accuracy=correct[runtime.name] / len(dataset))
        if scores and not runtime.refused
        else runtime
        for runtime in runtimes
    ]
    found: dict[tuple[Any, ...], SmallestInput] = {}
    return RuntimeComparison(
        network=net.name,
        images=len(dataset),
        output_bytes=len(dataset) * net.freeze().output.size,
        runtimes=tuple(runtimes),
        pairs=tuple(
            parting.pair(names, graphs, found) for names, parting in pairs.items()
        ),
    )


def _profiles(core: str) -> list[TargetSpec]:
    """All of `COMPARED`, each version and rounding once whose arithmetic is another."""
    specs: list[TargetSpec] = []
    for name in COMPARED:
        library = LIBRARIES[name]
        for rounding, version in product(library.roundings, library.versions):
            spec = target_spec(name, core=core, rounding=rounding, version=version)
            if not any(same_arithmetic(spec, other) for other in specs):
                specs.append(spec)
    return specs


def _name(spec: TargetSpec) -> str:
    """Short, with what sets it apart from others of the library."""
    library = LIBRARIES[spec.library]
    rounding = f" {spec.rounding}" if len(library.roundings) > 1 else ""
    is_newest = spec.version == library.versions[0]
    return f"{spec.library}{'' if is_newest else f' {spec.version}'}{rounding}"


def _is_scored(net: Model, dataset: Dataset) -> bool:
    """Whether the labels are of the outputs; raises if the images do not fit."""
    net.input.check_inputs(dataset.images, net.name)
    try:
        net.check_labels(dataset)
    except ShapeError:
        return False
    return True


def _batches(
    dataset: Dataset, graphs: Mapping[str, Graph]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and labels, as many as all layers of all runtimes have memory for."""
    graph = next(iter(graphs.values()), None)
    if graph is None:
        return
    values = len(graphs) * sum(tensor.size for tensor in graph.tensors)
    step = min(max(BATCH_BYTES // values, 1), EVALUATION_BATCH)
    for start in range(0, len(dataset), step):
        rows = slice(start, start + step)
        yield dataset.images[rows], dataset.labels[rows]


@dataclass
class _Parting:
    """What was seen of two runtimes so far."""

    bytes: int = 0
    images: int = 0
    largest: int = 0
    layer: int | None = None
    inputs: Arrays = ()

    def look_at(
        self,
        x: np.ndarray,
        a: Sequence[np.ndarray],
        b: Sequence[np.ndarray],
        nodes: Sequence[Node],
    ) -> None:
        """Take in a batch and the layers of both runtimes."""
        differs = (a[-1] != b[-1]).reshape(len(x), -1)
        self.bytes += int(differs.sum())
        self.images += int(differs.any(axis=1).sum())
        distance = np.abs(a[-1].astype(np.int16) - b[-1])
        self.largest = max(self.largest, int(distance.max()))
        last = len(nodes) if self.layer is None else self.layer
        for number in range(last):
            counts = (a[number] != b[number]).reshape(len(x), -1).sum(axis=1)
            if counts.any():
                self.layer, most = number, int(counts.argmax())
                tensors = (x, *a)
                self.inputs = tuple(
                    tensors[k][most : most + 1] for k in nodes[number].inputs
                )
                return

    def pair(
        self,
        names: tuple[str, str],
        graphs: Mapping[str, Graph],
        found: dict[tuple[Any, ...], SmallestInput],
    ) -> RuntimePair:
        """The result; an input that was shrunk for the same kernels is in `found`."""
        if self.layer is None:
            return RuntimePair(names)
        a, b = (graphs[name] for name in names)
        op = a.nodes[self.layer].op
        key = (self.layer, *(graph.target.numerics_of(op) for graph in (a, b)))
        if key not in found:
            found[key] = smallest_input(a, b, self.layer, self.inputs)
        return RuntimePair(
            names, self.bytes, self.images, self.largest,
            a.layer_text(self.layer + 1), found[key],
        )  # fmt: skip


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
    for shrink in (_fewer, _few, _smaller):
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
        node, shapes = self.nodes[0], tuple(tensor.shape for tensor in tensors)
        macs = node.operator.cost(node.attrs, shapes, a.target).macs
        self.tries = min(MOST_TRIES, MOST_MACS // max(macs, len(self.start)))
        first, second = self.outputs(self.start[np.newaxis])
        # One that is not clamped when all is zero: few values move it.
        at_zero = self.outputs(self.zeros[np.newaxis])[0].astype(int)
        at_zero[(first == second) | (at_zero == 127)] = -129
        self.place = int(at_zero.argmax())

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

    def first(self, rows: Iterable[np.ndarray]) -> np.ndarray | None:
        """The first of flat inputs for which the output still differs."""
        rows = iter(rows)
        most = max(TRY_BYTES // len(self.start), 1)
        while some := list(islice(rows, min(most, self.tries))):
            self.tries -= len(some)
            one, other = self.outputs(np.stack(some))
            differs = one[:, self.place] != other[:, self.place]
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
        index = np.unravel_index(self.place, node.output.shape)
        found = SmallestInput(
            layer=node.name,
            op=node.op,
            zeros=self.input_zeros,
            values=tuple(self._value(values, place) for place in self.alive(values)),
            index=_plain(index),
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

    def slopes(self) -> np.ndarray | None:
        """By how much each value raises the sum of a layer with weights, float64."""
        ints, y = self.nodes[0].ints, self.nodes[0].output
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
    alive, slopes = search.alive(values), search.slopes()
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


def _listed(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _index(index: Shape) -> str:
    return f"[{', '.join(map(str, index))}]"
