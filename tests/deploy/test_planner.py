import dataclasses
from itertools import combinations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from kanji_np import zoo
from kanji_np.deploy.planner import (
    ALIGNMENT,
    Memory,
    Need,
    arena_text,
    lower,
    lower_bound,
    pack,
    plan,
    takes_writable,
    works_in_place,
)
from kanji_np.graph import Graph, Node
from kanji_np.targets import target_spec
from kanji_np.types import InputPtr, KernelCall, TensorSpec
from kanji_np.zoo import paper_cnn

from .networks import image

needs = st.builds(
    lambda size, first, length: Need(size, first, first + length),
    st.integers(1, 500),
    st.integers(1, 12),
    st.integers(0, 6),
)


def overlaps(placed):
    """Pairs of (offset, need) that hold the same byte in the same step."""
    return [
        (a, b)
        for a, b in combinations(placed, 2)
        if a[1].meets(b[1]) and a[0] < b[0] + b[1].size and b[0] < a[0] + a[1].size
    ]


@given(st.lists(needs, max_size=14))
def test_packed_needs_do_not_overlap(wanted):
    offsets = pack(wanted)
    assert overlaps(list(zip(offsets, wanted, strict=True))) == []
    assert all(offset % ALIGNMENT == 0 for offset in offsets)
    end = max((o + n.size for o, n in zip(offsets, wanted, strict=True)), default=0)
    assert end >= lower_bound(wanted)


def test_the_lower_bound_counts_what_alignment_takes():
    """Of three tensors at once, two begin after another one's padding."""
    wanted = [Need(17, 1, 1), Need(16, 1, 1), Need(1, 1, 1)]
    assert lower_bound(wanted) == 32 + 16 + 1
    assert arena_of(wanted) == lower_bound(wanted)
    assert lower_bound([Need(5, 1, 2), Need(40, 3, 3)]) == 40


def test_other_orders_are_tried_where_the_largest_first_takes_too_much():
    """Largest first, the two of 64 bytes lie at 0, those between them on top."""
    sizes = (64, 16, 32, 64)
    chain = [Need(size, step, step + 1) for step, size in enumerate(sizes, 1)]
    assert arena_of(chain) == lower_bound(chain) == 96


def arena_of(wanted):
    return max(o + n.size for o, n in zip(pack(wanted), wanted, strict=True))


def test_overlaps_are_found():
    a, b = (0, Need(17, 1, 2)), (16, Need(5, 2, 3))
    assert overlaps([a, b]) == [(a, b)]
    assert overlaps([a, (16, Need(5, 3, 3))]) == []
    assert overlaps([a, (32, Need(5, 2, 3))]) == []


COMPUTE = KernelCall("f", "f.h", ())
IN_PLACE = dataclasses.replace(COMPUTE, in_place=True)
SCRATCH = dataclasses.replace(COMPUTE, scratch_bytes=40)
WRITABLE = dataclasses.replace(COMPUTE, arguments=(InputPtr(writable=True),))
KINDS = {
    "compute": (COMPUTE,),
    "scratch": (SCRATCH,),
    "in place": (IN_PLACE,),
    "scratch, then in place": (SCRATCH, IN_PLACE),
    "writable": (WRITABLE,),
    "destroys": (dataclasses.replace(WRITABLE, destroys_input=True, scratch_bytes=8),),
    "same bytes": (),
}


@st.composite
def graphs(draw):
    """A graph of nodes that read one or two tensors, chain or not, and its calls."""
    specs = [TensorSpec((draw(st.integers(1, 100)),))]
    nodes, calls = [], []
    chain = draw(st.booleans())
    for i in range(draw(st.integers(1, 9))):
        made = KINDS[draw(st.sampled_from(sorted(KINDS)))]
        keeps_size = not made or works_in_place(made)
        one = chain or keeps_size or takes_writable(made)
        count = 1 if one else draw(st.integers(1, 2))
        inputs = tuple(i if chain else draw(st.integers(0, i)) for _ in range(count))
        size = specs[inputs[0]].size if keeps_size else draw(st.integers(1, 100))
        specs.append(TensorSpec((size,)))
        nodes.append(Node(f"n{i}", "flatten", None, None, inputs, specs[-1]))
        calls.append(made)
    return Graph("g", target_spec("cmsis-nn"), specs[0], tuple(nodes)), tuple(calls)


@settings(max_examples=300)
@given(graphs())
def test_every_node_finds_its_input_whole(case):
    """The plan acted out: a byte holds the number of the value last written."""
    graph, calls = case
    p = plan(graph, calls)
    assert p.arena_bytes >= p.lower_bound_bytes
    placed = [*p.tensors.values(), *p.inputs.values(), *p.scratch.values()]
    assert overlaps(placed) == []
    memory = {
        Memory.INPUT: np.zeros(graph.input.size, int),
        Memory.OUTPUT: np.full(graph.output.size, -1),
        Memory.ARENA: np.full(p.arena_bytes, -1),
    }

    def view(tensor):
        where = memory[p.memory[tensor]]
        own = p.owner[tensor]
        start = p.tensors[own][0] if own in p.tensors else 0
        return where[start : start + graph.tensors[tensor].size]

    value = [0]
    for i, (node, made) in enumerate(zip(graph.nodes, calls, strict=True)):
        for tensor in node.inputs:
            assert (view(tensor) == value[tensor]).all()
        if i in p.scratch:
            offset, need = p.scratch[i]
            memory[Memory.ARENA][offset : offset + need.size] = -2
            assert all((view(tensor) == value[tensor]).all() for tensor in node.inputs)
        if takes_writable(made):
            read = view(node.inputs[0])
            if i in p.inputs:
                offset, need = p.inputs[i]
                copy = memory[Memory.ARENA][offset : offset + need.size]
                copy[:] = read
                read = copy
            assert not np.shares_memory(read, memory[Memory.INPUT])
            if any(call.destroys_input for call in made):
                read[:] = -3
        if p.copies[i]:
            view(i + 1)[:] = view(node.inputs[0])
        value.append(i + 1 if made else value[node.inputs[0]])
        if made:
            if works_in_place(made) and not p.copies[i]:
                assert view(i + 1).ctypes.data == view(node.inputs[0]).ctypes.data
            view(i + 1)[:] = i + 1
    assert (memory[Memory.INPUT] == 0).all()
    assert p.memory[-1] == Memory.OUTPUT
    assert (memory[Memory.OUTPUT] == value[-1]).all()


def test_the_papers_network_needs_no_byte_more_than_it_must():
    graph = paper_cnn((32, 32, 64)).freeze()
    p = plan(graph, lower(graph))
    assert p.arena_bytes == p.lower_bound_bytes == 32 * 32 * 32 + 16 * 16 * 32


@pytest.mark.parametrize("core", ["c", "dsp", "mve"])
@pytest.mark.parametrize("network", ["mobilenet-v1-025", "resnet8", "ds-cnn"])
def test_networks_of_mlperf_tiny_need_no_byte_more_than_they_must(network, core):
    graph = zoo.NETWORKS[network](target=target_spec("cmsis-nn", core=core)).freeze()
    p = plan(graph, lower(graph))
    assert p.arena_bytes == p.lower_bound_bytes


def test_a_size_says_whether_it_is_the_least_there_can_be():
    assert arena_text(64, 64) == "64 bytes of RAM, the least that any layout takes"
    assert arena_text(2080, 1040) == (
        "2,080 bytes of RAM, at most 1,040 above the least that any layout takes"
    )
    assert arena_text(0, 0) == "0 bytes of RAM"


def test_relu_works_in_place_and_flatten_costs_nothing():
    graph = image().freeze()
    p = plan(graph, lower(graph))
    names = [node.name for node in graph.nodes]
    for name in ("relu1", "flatten1"):
        tensor = names.index(name) + 1
        assert p.owner[tensor] == p.owner[tensor - 1]
    assert not any(p.copies)


def test_a_destroyed_input_is_copied_only_where_it_is_needed_again():
    spec = TensorSpec((6, 6, 2))

    def graph_of(inputs):
        nodes = [
            Node(f"n{i}", "flatten", None, None, (read,), spec)
            for i, read in enumerate(inputs)
        ]
        return Graph("g", target_spec("cmsis-nn-q7"), spec, tuple(nodes))

    calls = (KINDS["compute"], KINDS["destroys"], KINDS["compute"])
    assert not plan(graph_of((0, 1, 2)), calls).inputs
    assert [*plan(graph_of((0, 1, 1)), calls).inputs] == [1]
    assert [*plan(graph_of((0, 0, 2)), calls).inputs] == [1]
