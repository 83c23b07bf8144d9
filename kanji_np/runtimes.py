"""One network in the arithmetic of several runtimes: where they part, and on what.

Runtimes answer the same file with different bytes, because their kernels round
differently. A network is run as each of them computes it, on the same images, and the
outputs are compared byte by byte. For each pair that differs the first layer is named
whose outputs do, and the smallest input of that layer that shows it (`shrinking`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np

from kanji_np.data import Dataset
from kanji_np.errors import KanjiError, OptionError, ShapeError
from kanji_np.graph import Graph, Node
from kanji_np.model import Model
from kanji_np.network import EVALUATION_BATCH
from kanji_np.report import text_table
from kanji_np.shrinking import SmallestInput, smallest_input
from kanji_np.targets import LIBRARIES, same_arithmetic, target_spec
from kanji_np.types import Arrays, TargetSpec

#: Libraries whose tensors have the scales of a `.tflite` file.
COMPARED = ("tflm", "litert", "xnnpack", "cmsis-nn")
# Of all layers of a batch in all runtimes.
BATCH_BYTES = 2**28


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
    if dataset.task != "classification":
        return False
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


def _listed(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
