import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from kanji_np.deploy.planner import (
    ALIGNMENT,
    Memory,
    Need,
    lower,
    lower_bound,
    overlaps,
    pack,
    plan,
)
from kanji_np.errors import UnsupportedOp
from kanji_np.graph import Graph, Node
from kanji_np.ops import OPS
from kanji_np.targets import target_spec
from kanji_np.types import KernelCall, TensorSpec
from kanji_np.zoo import paper_cnn

from .networks import image

needs = st.builds(
    lambda size, first, length: Need(size, first, first + length),
    st.integers(1, 500),
    st.integers(1, 12),
    st.integers(0, 6),
)


@given(st.lists(needs, max_size=14))
def test_packed_needs_do_not_overlap(wanted):
    offsets = pack(wanted)
    assert overlaps(list(zip(offsets, wanted, strict=True))) == []
    assert all(offset % ALIGNMENT == 0 for offset in offsets)
    end = max((o + n.size for o, n in zip(offsets, wanted, strict=True)), default=0)
    assert end >= lower_bound(wanted)


def test_overlaps_are_found():
    a, b = (0, Need(17, 1, 2)), (16, Need(5, 2, 3))
    assert overlaps([a, b]) == [(a, b)]
    assert overlaps([a, (16, Need(5, 3, 3))]) == []
    assert overlaps([a, (32, Need(5, 2, 3))]) == []


KINDS = {
    "compute": KernelCall("f", "f.h", ()),
    "scratch": KernelCall("f", "f.h", (), scratch_bytes=40),
    "in place": KernelCall("f", "f.h", (), in_place=True),
    "same bytes": None,
}


@st.composite
def graphs(draw):
    """A graph of nodes that read one or two tensors, chain or not, and its calls."""
    specs = [TensorSpec((draw(st.integers(1, 100)),))]
    nodes, calls = [], []
    chain = draw(st.booleans())
    for i in range(draw(st.integers(1, 9))):
        call = KINDS[draw(st.sampled_from(sorted(KINDS)))]
        count = 1 if chain or call is None or call.in_place else draw(st.integers(1, 2))
        inputs = tuple(i if chain else draw(st.integers(0, i)) for _ in range(count))
        keeps_size = call is None or call.in_place
        size = specs[inputs[0]].size if keeps_size else draw(st.integers(1, 100))
        specs.append(TensorSpec((size,)))
        nodes.append(Node(f"n{i}", "flatten", None, None, inputs, specs[-1]))
        calls.append(call)
    return Graph("g", target_spec("cmsis-nn"), specs[0], tuple(nodes)), tuple(calls)


@settings(max_examples=300)
@given(graphs())
def test_every_node_finds_its_input_whole(case):
    """The plan acted out: a byte holds the number of the value last written."""
    graph, calls = case
    p = plan(graph, calls)
    assert p.arena_bytes >= p.lower_bound_bytes
    assert overlaps([*p.tensors.values(), *p.scratch.values()]) == []
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
    for i, (node, call) in enumerate(zip(graph.nodes, calls, strict=True)):
        for tensor in node.inputs:
            assert (view(tensor) == value[tensor]).all()
        if i in p.scratch:
            offset, need = p.scratch[i]
            memory[Memory.ARENA][offset : offset + need.size] = -2
            assert all((view(tensor) == value[tensor]).all() for tensor in node.inputs)
        if p.copies[i]:
            view(i + 1)[:] = view(node.inputs[0])
        value.append(value[node.inputs[0]] if call is None else i + 1)
        if call is not None:
            if call.in_place and not p.copies[i]:
                assert view(i + 1).ctypes.data == view(node.inputs[0]).ctypes.data
            view(i + 1)[:] = i + 1
    assert (memory[Memory.INPUT] == 0).all()
    assert p.memory[-1] == Memory.OUTPUT
    assert (memory[Memory.OUTPUT] == value[-1]).all()


def test_the_papers_network_needs_no_byte_more_than_it_must():
    graph = paper_cnn((32, 32, 64)).freeze()
    p = plan(graph, lower(graph))
    assert p.arena_bytes == p.lower_bound_bytes == 32 * 32 * 32 + 16 * 16 * 32


def test_relu_works_in_place_and_flatten_costs_nothing():
    graph = image().freeze()
    p = plan(graph, lower(graph))
    names = [node.name for node in graph.nodes]
    for name in ("relu1", "flatten1"):
        tensor = names.index(name) + 1
        assert p.owner[tensor] == p.owner[tensor - 1]
    assert not any(p.copies)


def test_a_layer_of_several_calls_is_refused(monkeypatch):
    call = KINDS["compute"]
    two = dataclasses.replace(
        OPS["flatten"], lowerings={"cmsis-nn": lambda *_: (call, call)}
    )
    graph = image().freeze()
    monkeypatch.setitem(OPS, "flatten", two)
    with pytest.raises(UnsupportedOp, match="'flatten1': a layer can make one call"):
        lower(graph)
