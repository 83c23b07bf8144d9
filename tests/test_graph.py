"""Graphs: the numbering of tensors, what a digest covers, costs."""

from dataclasses import replace

import numpy as np
import pytest
from small import images, small_net

import kanji_np as kj
from kanji_np.errors import ShapeError
from kanji_np.graph import Graph, Node
from kanji_np.types import QParams


@pytest.fixture(scope="module")
def graph():
    return small_net().freeze()


def test_layers_are_named_numbered_and_shaped(graph):
    names = [node.name for node in graph.nodes]
    assert names == [
        "normalize1", "conv1", "pool1", "conv2", "relu1", "pool2", "flatten1", "dense1",
        "dense2",
    ]  # fmt: skip
    assert [node.inputs for node in graph.nodes] == [(i,) for i in range(9)]
    shapes = [(8, 8, 3)] * 2 + [(8, 8, 8), (4, 4, 8), (4, 4, 8), (4, 4, 8), (2, 2, 8)]
    assert [t.shape for t in graph.tensors] == [*shapes, (32,), (16,), (3,)]
    assert (graph.input.dtype, graph.input.qparams) == ("uint8", None)
    assert graph.output is graph.nodes[-1].output
    assert {t.dtype for t in graph.tensors[1:]} == {"int8"}


def test_run_is_the_last_of_the_layers(graph):
    x = images()
    outputs = list(graph.layers(x))
    assert [y.shape[1:] for y in outputs] == [t.shape for t in graph.tensors[1:]]
    assert {y.dtype for y in outputs} == {np.dtype(np.int8)}
    np.testing.assert_array_equal(graph.run(x), outputs[-1])


def test_a_layer_may_read_any_tensor_before_it(graph):
    """Nodes name what they read; nothing assumes that it is the output before."""
    net = kj.Sequential([kj.ReLU(), kj.Dense(2)], (4,))
    chain = net.freeze()
    relu, dense = chain.nodes
    skips = Graph(
        "skips", chain.target, chain.input, (relu, replace(dense, inputs=(0,)))
    )
    x = np.int8([[-100, -50, 50, 100]])
    expected = dense.operator.run_int(dense.attrs, dense.ints, (x,))
    np.testing.assert_array_equal(skips.run(x), expected)
    assert (skips.run(x) != chain.run(x)).any()


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 8, 8, 3), np.int8),
        np.zeros((2, 8, 8, 1), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 192), np.float32),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
)
def test_other_inputs_are_refused(graph, x):
    with pytest.raises(ShapeError, match=r"network takes uint8 \(N, 8, 8, 3\), N"):
        graph.run(x)


@pytest.mark.parametrize(("scheme", "scales"), [("pow2", 0), ("symmetric", 2 * 4 * 5)])
def test_flash_holds_the_scales_that_the_call_takes(scheme, scales):
    net = kj.Sequential([kj.Dense(5)], (7,), scheme=scheme)
    graph = net.freeze()
    assert graph.cost(graph.nodes[0]).flash_bytes == 5 * 7 + 4 * 5 + scales


def test_costs_are_those_of_the_input_read(graph):
    macs = {node.name: graph.cost(node).macs for node in graph.nodes}
    assert macs == dict.fromkeys(macs, 0) | {
        "conv1": 8 * 8 * 8 * 27,
        "conv2": 4 * 4 * 8 * 72,
        "dense1": 32 * 16,
        "dense2": 16 * 3,
    }
    assert graph.cost(graph.nodes[1]).flash_bytes == 8 * 27 + 12 * 8
    assert graph.cost(graph.nodes[-1]).flash_bytes == 48 + 4 * 3


def with_node(graph, i, **changes):
    nodes = list(graph.nodes)
    nodes[i] = replace(nodes[i], **changes)
    return replace(graph, nodes=tuple(nodes))


def with_ints(graph, i, **changes):
    return with_node(graph, i, ints=replace(graph.nodes[i].ints, **changes))


def test_the_digest_covers_all_that_decides_a_byte(graph):
    conv, dense = graph.nodes[1], graph.nodes[-1]
    weight = conv.ints.weight.copy()
    weight.flat[-1] ^= 1
    others = [
        with_ints(graph, 1, weight=weight),
        with_ints(graph, 1, bias=conv.ints.bias + np.int32(1)),
        with_ints(graph, 1, shift=conv.ints.shift - np.int32(1)),
        with_ints(graph, 1, multiplier=conv.ints.multiplier + np.int32(1)),
        with_ints(graph, 1, input_offset=1),
        with_ints(graph, 1, output_offset=1),
        with_ints(graph, 1, act_min=-128),
        with_ints(graph, 1, act_max=126),
        with_ints(graph, 0, mean=np.uint8([120, 130, 111])),
        with_ints(graph, 2, act_max=126),
        with_node(graph, 2, op="avg_pool2d"),
        with_node(graph, 2, attrs=replace(graph.nodes[2].attrs, padding="same")),
        with_node(graph, 8, inputs=(7,)),
        with_node(graph, 8, output=replace(dense.output, qparams=QParams(1.0))),
        replace(graph, nodes=graph.nodes[:-1]),
        replace(graph, input=replace(graph.input, shape=(8, 8, 4))),
        *(
            replace(graph, target=replace(graph.target, **{key: "other"}))
            for key in ("library", "version", "core", "rounding")
        ),
    ]
    digests = {graph.digest(), *(other.digest() for other in others)}
    assert len(digests) == 1 + len(others)
    assert with_node(graph, 1, name="renamed").digest() == graph.digest()
    assert isinstance(graph.nodes[0], Node)


def test_equal_networks_have_equal_digests(graph):
    assert small_net().freeze().digest() == graph.digest()
    assert small_net(seed=1).freeze().digest() != graph.digest()
    assert len(graph.digest()) == 64
