"""What makes a network dear, and what would make it cheaper.

Advice is tried before it is given: the network is changed so, and costed again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kanji_np.cost.variants import (
    Parts,
    may_be_separable,
    may_be_strided,
    narrower,
)
from kanji_np.deploy.planner import Need, lower, plan
from kanji_np.graph import Graph
from kanji_np.model import Model
from kanji_np.types import shape_text

#: Parts of the width of all layers that are tried, and of the size of the image.
EIGHTHS = 8
#: Layers that are changed one by one: those that take the most.
MOST_SUSPECTS = 3
#: How many remedies are named where none of them is enough.
MOST_PARTIAL = 3


@dataclass(frozen=True)
class Peak:
    """The step of an inference that needs the most arena.

    Parameters
    ----------
    node : int
        The layer that runs then, by index.
    alive : tuple of (str, int, int or None)
        What is in memory then, the largest first: its name, its size [bytes] and the
        layer that writes it, by index; None of scratch memory.
    """

    node: int
    alive: tuple[tuple[str, int, int | None], ...]

    @property
    def total_bytes(self) -> int:
        """All that is alive [bytes]."""
        return sum(size for _, size, _ in self.alive)


def arena_peak(graph: Graph) -> Peak | None:
    """Where the arena of a graph is fullest; None if it needs none."""
    planned = plan(graph, lower(graph))
    needs: list[tuple[str, Need, int | None]] = []
    for tensor, (_, need) in planned.tensors.items():
        name = graph.nodes[tensor - 1].name
        needs.append((f"the output of {name}", need, tensor - 1))
    for i, (_, need) in planned.inputs.items():
        name = graph.nodes[i].name
        needs.append((f"a copy of the input of {name}", need, i - 1 if i else None))
    for i, (_, need) in planned.scratch.items():
        needs.append((f"scratch memory of {graph.nodes[i].name}", need, None))
    peaks = [
        Peak(step - 1, _alive(needs, step)) for step in range(1, len(graph.nodes) + 1)
    ]
    most = max(peaks, key=lambda peak: peak.total_bytes)
    return most if most.alive else None


def _alive(
    needs: Sequence[tuple[str, Need, int | None]], step: int
) -> tuple[tuple[str, int, int | None], ...]:
    found = [
        (name, need.size, writer)
        for name, need, writer in needs
        if need.first <= step <= need.last
    ]
    return tuple(sorted(found, key=lambda each: -each[1]))


@dataclass(frozen=True)
class Remedy:
    """One change of a network, and what the network then takes.

    Parameters
    ----------
    change : str
        "24 output channels in conv1 in place of 32".
    used : float
        Bytes, seconds or joules of the changed network.
    is_enough : bool
        Whether that is within the limit.
    """

    change: str
    used: float
    is_enough: bool


#: What a changed network takes of the resource; None if it breaks another limit.
Measure = Callable[[Model], float | None]


@dataclass(frozen=True)
class Search:
    """Looks for remedies of one network and one resource.

    Parameters
    ----------
    parts : Parts
        Of the network.
    suspects : tuple of int
        The layers to blame, the worst first, by index.
    measure : Measure
    used, limit : float
        What the network takes, and may take.
    """

    parts: Parts
    suspects: tuple[int, ...]
    measure: Measure
    used: float
    limit: float

    def remedies(self) -> list[Remedy]:
        """Those that are enough; if there are none, those that help most."""
        kinds = (
            self._narrower_layers, self._narrower_network, self._strides,
            self._separable, self._int4, self._smaller_image,
        )  # fmt: skip
        found = [remedy for kind in kinds for remedy in kind()]
        enough = [remedy for remedy in found if remedy.is_enough]
        best = sorted(found, key=lambda remedy: remedy.used)[:MOST_PARTIAL]
        return enough or [remedy for remedy in found if remedy in best]

    def _tried(self, change: str, parts: Parts) -> Remedy | None:
        """The remedy, if the network can be so and takes less."""
        network = parts.built()
        used = None if network is None else self.measure(network)
        if used is None or used >= self.used:
            return None
        return Remedy(change, used, used <= self.limit)

    def _least(self, changes: Sequence[tuple[str, Parts]]) -> Remedy | None:
        """The first change that is enough, or else the last one; they stand in the
        order of what they bring."""
        low, high = 0, len(changes) - 1
        best = self._tried(*changes[-1]) if changes else None
        if best is None or not best.is_enough:
            return best
        while low < high:
            middle = (low + high) // 2
            remedy = self._tried(*changes[middle])
            if remedy is not None and remedy.is_enough:
                best, high = remedy, middle
            else:
                low = middle + 1
        return best

    def _narrower_layers(self) -> Iterator[Remedy]:
        """Of the first suspect that helps."""
        for i in self.suspects:
            part = self.parts.layers[i]
            if part.channels is None:
                continue
            counts = narrower(part.channels)
            remedy = self._least([self._narrow(i, count) for count in counts])
            if remedy is not None:
                yield remedy
                return

    def _narrow(self, i: int, count: int) -> tuple[str, Parts]:
        part = self.parts.layers[i]
        noun = "output channel" if part.op.name != "dense" else "unit"
        words = f"{count} {noun}{'s' * (count != 1)} in {part.name}, not"
        return f"{words} {part.channels}", self.parts.with_channels(i, count)

    def _narrower_network(self) -> Iterator[Remedy]:
        remedy = self._least([
            (f"all layers {_share(k)} as wide", self.parts.scaled(k, EIGHTHS))
            for k in range(EIGHTHS - 1, 0, -1)
        ])  # fmt: skip
        if remedy is not None:
            yield remedy

    def _strides(self) -> Iterator[Remedy]:
        """The last layer before the suspect whose stride is enough, or the best one."""
        if not self.suspects:
            return
        before = self.parts.before(self.suspects[0] + 1)
        found: list[Remedy] = []
        for i in sorted(before, reverse=True):
            part = self.parts.layers[i]
            if may_be_strided(part):
                remedy = self._tried(
                    f"a stride of 2 in {part.name}", self.parts.strided(i)
                )
                if remedy is not None:
                    found.append(remedy)
                if remedy is not None and remedy.is_enough:
                    break
        if found:
            yield min(found, key=lambda remedy: (not remedy.is_enough, remedy.used))

    def _separable(self) -> Iterator[Remedy]:
        """The first suspect, or else all convolutions."""
        for i in self.suspects:
            part = self.parts.layers[i]
            if may_be_separable(part):
                words = f"a depthwise and a 1x1 convolution in place of {part.name}"
                remedy = self._tried(words, self.parts.separable(i))
                if remedy is not None:
                    yield remedy
                if remedy is not None and remedy.is_enough:
                    return
                break
        parts, count = self.parts, 0
        for i in reversed(range(len(parts.layers))):
            if may_be_separable(parts.layers[i]):
                parts, count = parts.separable(i), count + 1
        if count > 1:
            words = "a depthwise and a 1x1 convolution in place of each convolution"
            remedy = self._tried(words, parts)
            if remedy is not None:
                yield remedy

    def _int4(self) -> Iterator[Remedy]:
        remedy = self._tried("weights of 4 bits", self.parts.with_int4_weights())
        if remedy is not None:
            yield remedy

    def _smaller_image(self) -> Iterator[Remedy]:
        shape = self.parts.input_shape
        if len(shape) != 3:
            return
        height, width, channels = shape
        changes = []
        for k in range(EIGHTHS - 1, EIGHTHS // 2 - 1, -1):
            small = height * k // EIGHTHS, width * k // EIGHTHS
            words = f"an input of {shape_text(small)}, not {height}x{width}"
            changes.append((words, self.parts.with_input((*small, channels))))
        remedy = self._least(changes)
        if remedy is not None:
            yield remedy


def suspects_of(parts: Parts, peak: Peak) -> tuple[int, ...]:
    """The layers that decide how much is alive at a peak, by what they write."""
    found: dict[int, None] = {}
    for _, _, writer in peak.alive:
        if writer is not None:
            found |= dict.fromkeys(parts.givers(writer + 1))
    found |= dict.fromkeys(parts.givers(peak.node + 1))
    return tuple(found)[:MOST_SUSPECTS]


def largest(values: Sequence[float]) -> tuple[int, ...]:
    """The indices of the largest values, the very largest first."""
    order = sorted(range(len(values)), key=lambda i: -values[i])
    return tuple(i for i in order[:MOST_SUSPECTS] if values[i] > 0)


def _share(eighths: int) -> str:
    divisor = math.gcd(eighths, EIGHTHS)
    return f"{eighths // divisor}/{EIGHTHS // divisor}"
