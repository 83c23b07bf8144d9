"""Where every tensor lives while the network runs: one arena, planned from lifetimes.

Step n is node n - 1 of the graph, counted from 1 as in the generated C. A tensor lives
from the step that writes it to the last step that reads it, scratch memory for one
step. The input stays in the caller's memory, the last output goes straight to the
caller's, and everything between shares the arena: largest first, each at the lowest
offset that is free while it lives (greedy by size, as in TensorFlow Lite Micro). Where
that takes more than the lower bound, other orders are tried: what came to lie too high
is placed earlier. The search draws nothing and does not look at a clock, so the same
network always has the same plan.

A node without a call gives its input another shape and lives in the same bytes. A node
that works in place does so where nobody needs its input afterwards, and on a copy where
somebody does or where the input is the caller's. So does a node that leaves its input
destroyed; its copy lives beside its output, for one step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from kanji_np.graph import Graph, Node
from kanji_np.targets import check_calls, check_generates_c
from kanji_np.types import InputPtr, KernelCall

ALIGNMENT = 16  # bytes: the widest load of any core the library supports

# What `pack` may try: orders, and neighbours looked at in all of them. Of 400 random
# networks of up to 60 layers, all but six met the lower bound so.
MOST_ORDERS, MOST_LOOKS = 500, 1_000_000

# A node's calls, in order; none: the same bytes under another shape.
Calls = tuple[tuple[KernelCall, ...], ...]


class Memory(Enum):
    """Whose memory a tensor lives in."""

    INPUT = "the caller's input"
    OUTPUT = "the caller's output"
    ARENA = "the arena"


@dataclass(frozen=True)
class Need:
    """So many bytes of arena from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: Need) -> bool:
        """Whether both are alive in some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """Where everything lives.

    Parameters
    ----------
    owner : tuple of int
        A tensor: the tensor whose bytes it lives in, itself for most. Tensors are
        numbered as in `Node.inputs`.
    memory : tuple of Memory
        A tensor: whose memory.
    copies : tuple of bool
        A node: whether it copies its input to its output first, to work in place.
    tensors : dict of int to (offset, Need)
        Owners that live in the arena.
    inputs : dict of int to (offset, Need)
        Nodes whose input is copied first, because they write to it.
    scratch : dict of int to (offset, Need)
        Nodes whose calls need scratch memory.
    arena_bytes : int
    lower_bound_bytes : int
        Most bytes alive in one step, see `lower_bound`: no plan can do with less.
    """

    owner: tuple[int, ...]
    memory: tuple[Memory, ...]
    copies: tuple[bool, ...]
    tensors: dict[int, tuple[int, Need]]
    inputs: dict[int, tuple[int, Need]]
    scratch: dict[int, tuple[int, Need]]
    arena_bytes: int
    lower_bound_bytes: int


def lower(graph: Graph) -> Calls:
    """Every node's calls; UnsupportedOp where the target has none."""
    check_generates_c(graph.target)
    return tuple(_lower(graph, node) for node in graph.nodes)


def _lower(graph: Graph, node: Node) -> tuple[KernelCall, ...]:
    calls = graph.calls(node)
    check_calls(graph.target, calls)
    return calls


def works_in_place(calls: tuple[KernelCall, ...]) -> bool:
    """Whether a node's output is made from what its memory holds already."""
    return bool(calls) and all(call.in_place for call in calls)


def takes_writable(calls: tuple[KernelCall, ...]) -> bool:
    """Whether a call takes its one input as memory it may write to."""
    return InputPtr(writable=True) in (a for call in calls for a in call.arguments)


def scratch_bytes(calls: tuple[KernelCall, ...]) -> int:
    """Scratch memory that serves all calls of a node, one after the other [bytes]."""
    return max((call.scratch_bytes for call in calls), default=0)


def plan(graph: Graph, calls: Calls) -> Plan:
    """Plan the memory of a graph and its calls."""
    last_read = [0] * len(graph.tensors)
    for step, node in enumerate(graph.nodes, 1):
        for tensor in node.inputs:
            last_read[tensor] = step
    owner, copies = _owners(graph, calls, last_read)
    output = owner[-1]
    homes = {0: Memory.INPUT, output: Memory.OUTPUT}

    tensor_needs = {}
    for own in sorted({*owner} - {*homes}):
        members = [t for t, o in enumerate(owner) if o == own]
        last = max(max(t, last_read[t]) for t in members)
        tensor_needs[own] = Need(graph.tensors[own].size, own, last)
    input_needs, scratch_needs = {}, {}
    for i, (node, made) in enumerate(zip(graph.nodes, calls, strict=True)):
        shared = owner[node.inputs[0]]
        destroyed = any(call.destroys_input for call in made)
        if (shared == 0 and takes_writable(made)) or (
            destroyed and _read_later(owner, last_read, shared, i + 1)
        ):
            size = graph.tensors[node.inputs[0]].size
            input_needs[i] = Need(size, i + 1, i + 1)
        if scratch_bytes(made):
            scratch_needs[i] = Need(scratch_bytes(made), i + 1, i + 1)

    needs = [*tensor_needs.values(), *input_needs.values(), *scratch_needs.values()]
    offsets = pack(needs)
    placed = list(zip(offsets, needs, strict=True))
    rest = iter(placed)
    return Plan(
        owner=owner,
        memory=tuple(homes.get(own, Memory.ARENA) for own in owner),
        copies=copies,
        tensors={key: next(rest) for key in tensor_needs},
        inputs={key: next(rest) for key in input_needs},
        scratch={key: next(rest) for key in scratch_needs},
        arena_bytes=max((offset + need.size for offset, need in placed), default=0),
        lower_bound_bytes=lower_bound(needs),
    )


def _read_later(
    owner: Sequence[int], last_read: Sequence[int], own: int, step: int
) -> bool:
    """Whether a tensor in the bytes of `own` is read after a step."""
    return any(
        last > step for last, o in zip(last_read, owner, strict=False) if o == own
    )


def _owners(
    graph: Graph, calls: Calls, last_read: Sequence[int]
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Whose bytes each tensor lives in, and whether each node copies first."""
    owner, copies = [0], []
    for step, (node, made) in enumerate(zip(graph.nodes, calls, strict=True), 1):
        shared = owner[node.inputs[0]]
        if not made:
            copy = shared == 0 and step == len(graph.nodes)
        elif works_in_place(made):
            copy = shared == 0 or _read_later(owner, last_read, shared, step)
        else:
            copy = False
        new = copy or (bool(made) and not works_in_place(made))
        owner.append(step if new else shared)
        copies.append(copy)
    return tuple(owner), tuple(copies)


def pack(needs: Sequence[Need]) -> list[int]:
    """Aligned offsets [bytes], so that needs that meet in time do not overlap.

    The first order is by size. As long as a need ends above the lower bound, those that
    do move to an earlier place in the order, another one in each round. The best of all
    rounds counts, of equals the first.
    """
    near = [
        [j for j, other in enumerate(needs) if j != i and need.meets(other)]
        for i, need in enumerate(needs)
    ]
    bound = lower_bound(needs)
    order = sorted(range(len(needs)), key=lambda i: (-needs[i].size, needs[i].first, i))
    looks = 1 + sum(map(len, near))
    least, best = math.inf, []
    for tried in range(max(1, min(MOST_ORDERS, MOST_LOOKS // looks))):
        offsets = _lowest(needs, near, order)
        ends = [offset + need.size for offset, need in zip(offsets, needs, strict=True)]
        if max(ends, default=0) < least:
            least, best = max(ends, default=0), offsets
        if least <= bound:
            break
        for i in [i for i in order if ends[i] > bound]:
            order.remove(i)
            order.insert(tried % max(1, len(order) // 2), i)
    return best


def _lowest(
    needs: Sequence[Need], near: Sequence[Sequence[int]], order: Sequence[int]
) -> list[int]:
    """Offsets, each the lowest that is free among those before it in the order.

    `near` holds for each need those that it meets.
    """
    offsets = [-1] * len(needs)
    for i in order:
        offset = 0
        for start, size in sorted(
            (offsets[j], needs[j].size) for j in near[i] if offsets[j] >= 0
        ):
            if offset + needs[i].size <= start:
                break
            offset = max(offset, _aligned(start + size))
        offsets[i] = offset
    return offsets


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def lower_bound(needs: Sequence[Need]) -> int:
    """Most bytes that are alive in one step, each at an aligned offset [bytes].

    What lies on top is not followed by padding; at best that is what has the most.
    """
    most = 0
    for step in {need.first for need in needs}:
        sizes = [need.size for need in needs if need.first <= step <= need.last]
        padding = [_aligned(size) - size for size in sizes]
        most = max(most, sum(sizes) + sum(padding) - max(padding))
    return most


def arena_text(arena_bytes: int, lower_bound_bytes: int) -> str:
    """The size of an arena, and how far it is from the least there can be."""
    size, above = f"{arena_bytes:,} bytes of RAM", arena_bytes - lower_bound_bytes
    if not arena_bytes:
        return size
    distance = f"at most {above:,} above " if above else ""
    return f"{size}, {distance}the least that any layout takes"
