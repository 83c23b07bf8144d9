"""Runtimes beside each other: what differs, where it begins, and on what input."""

import json

import numpy as np
import pytest
from small import small_net, stripes

import kanji_np as kj
from kanji_np import shrinking
from kanji_np.errors import OptionError, ShapeError
from kanji_np.runtimes import compare_runtimes
from kanji_np.shrinking import smallest_input
from kanji_np.targets import same_arithmetic, target_spec

ROUNDINGS = [target_spec("cmsis-nn", rounding=r) for r in ("double", "single")]


@pytest.fixture(scope="module")
def data():
    return stripes()


@pytest.fixture(scope="module")
def net(data):
    net = small_net(scheme="asymmetric")
    kj.fit(net, data, epochs=1, show=False)
    return net


@pytest.fixture(scope="module")
def found(net, data):
    return compare_runtimes(net, data, targets=ROUNDINGS)


def test_bytes_and_accuracy_are_those_of_each_target(net, data, found):
    (pair,) = found.pairs
    outputs = [net.for_target(spec).predict(data.images) for spec in ROUNDINGS]
    differs = outputs[0] != outputs[1]
    assert pair.names == ("cmsis-nn double", "cmsis-nn single")
    assert pair.differing_bytes == differs.sum() > 0
    assert pair.differing_images == differs.any(axis=1).sum()
    assert pair.largest == np.abs(outputs[0].astype(int) - outputs[1]).max()
    assert found.output_bytes == outputs[0].size
    for runtime, spec in zip(found.runtimes, ROUNDINGS, strict=True):
        assert runtime.target == str(spec)
        assert runtime.accuracy == net.for_target(spec).evaluate(data)


def test_the_first_layer_that_parts(net, data, found):
    layers = [list(net.for_target(s).freeze().layers(data.images)) for s in ROUNDINGS]
    equal = [np.array_equal(a, b) for a, b in zip(*layers, strict=True)]
    number = equal.index(False)
    assert found.pairs[0].layer == net.freeze().layer_text(number + 1)


def rebuilt(graph, number, smallest):
    """The input that a result describes."""
    shapes = [graph.tensors[k].shape for k in graph.nodes[number].inputs]
    xs = [
        np.full((1, *shape), zero, np.int8)
        for shape, zero in zip(shapes, smallest.zeros, strict=True)
    ]
    for value in smallest.values:
        xs[value.input][0, *value.index] = value.value
    return tuple(xs)


def test_the_smallest_input_shows_it(net, found):
    smallest = found.pairs[0].smallest
    graphs = [net.for_target(spec).freeze() for spec in ROUNDINGS]
    number = [node.name for node in graphs[0].nodes].index(smallest.layer)
    for graph, result in zip(graphs, smallest.results, strict=True):
        node = graph.nodes[number]
        xs = rebuilt(graph, number, smallest)
        y = node.operator.forward_int(node.attrs, node.ints, xs)
        assert y[0, *smallest.index] == result
    assert smallest.results[0] != smallest.results[1]
    assert len(smallest.values) <= 3
    # What the sum says agrees with both results, to rounding.
    y = graphs[0].nodes[number].output.qparams
    real = smallest.acc * smallest.multiplier * 2.0 ** (smallest.shift - 31)
    assert all(abs(r - y.zero_point - real) < 1 for r in smallest.results)


def test_several_inputs_are_shrunk_together():
    x = kj.Input((4, 4, 2))
    net = kj.Model(
        x,
        kj.Multiply()(kj.ReLU()(x), kj.MaxPool2D(3, 1, padding="same")(x)),
        scheme="symmetric",
    )
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (64, 4, 4, 2)).astype(np.int8)
    net.calibrate(x)
    a, b = (net.for_target(spec).freeze() for spec in ROUNDINGS)
    differing = [
        image
        for image in x
        if not np.array_equal(a.run(image[None]), b.run(image[None]))
    ]
    *before, _ = a.layers(differing[0][None])
    smallest = smallest_input(a, b, 2, tuple(before))
    assert smallest.acc is None and len(smallest.zeros) == 2
    assert {value.index for value in smallest.values} == {smallest.index}
    ys = [
        graph.nodes[2].operator.forward_int(
            graph.nodes[2].attrs, graph.nodes[2].ints, rebuilt(graph, 2, smallest)
        )[0, *smallest.index]
        for graph in (a, b)
    ]
    assert tuple(ys) == smallest.results
    assert "input 1 [" in smallest.text(("one", "other"))


@pytest.fixture
def passes(monkeypatch):
    """How many inputs were computed in each forward pass of a search."""
    counts = []
    for name in ("outputs", "results"):
        compute = getattr(shrinking._Search, name)

        def counted(self, rows, name=name, compute=compute):
            counts.append((name, len(rows)))
            return compute(self, rows)

        monkeypatch.setattr(shrinking._Search, name, counted)
    return counts


@pytest.fixture(scope="module")
def wide():
    """Graphs of a layer with a large input, for two roundings, and such an input."""
    net = kj.Sequential(
        [kj.Conv2D(4, 3)], (16, 1000, 3), scheme="asymmetric", input_range="data"
    )
    x = np.random.default_rng(0).normal(size=(1, 16, 1000, 3)).astype(np.float32)
    net.calibrate(x)
    graphs = [net.for_target(spec).freeze() for spec in ROUNDINGS]
    return *graphs, 0, (net.quantize_inputs(x),)


@pytest.mark.parametrize(
    "layer",
    [
        kj.Conv2D(4, 3, strides=2, padding="same", groups=2, activation="relu6"),
        kj.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        kj.Conv2DTranspose(3, 3, strides=2),
        kj.Dense(5),
    ],
    ids=lambda layer: layer.op.name,
)
def test_one_output_alone_is_that_of_the_layer(layer):
    layers = [kj.Flatten(), layer] if layer.op.name == "dense" else [layer]
    net = kj.Sequential(layers, (7, 6, 4), scheme="asymmetric", input_range="data")
    rng = np.random.default_rng(0)
    net.calibrate(rng.normal(size=(8, 7, 6, 4)).astype(np.float32))
    specs = [target_spec("litert"), target_spec("xnnpack")]
    a, b = (net.for_target(spec).freeze() for spec in specs)
    rows = rng.integers(-128, 128, (64, 7 * 6 * 4)).astype(np.int8)
    number = len(layers) - 1
    x = rows[:1].reshape(1, *a.tensors[a.nodes[number].inputs[0]].shape)
    search = shrinking._Search(a, b, number, (x,))
    assert search.alone is not None
    expected = [y[:, search.place] for y in search.outputs(rows)]
    np.testing.assert_array_equal(search.results(rows), expected)


def test_a_large_input_is_shrunk_without_computing_all_of_its_output(wide, passes):
    smallest = smallest_input(*wide)
    assert len(smallest.values) <= 3
    assert passes.count(("outputs", 1)) == 3  # at the start, with zeros, of the result
    tried = sum(count for name, count in passes if name == "results")
    assert tried <= shrinking.MOST_WORK // (2 * 48_000)
    assert smallest_input(*wide) == smallest


def test_work_is_bounded_and_what_was_found_by_then_differs(wide, passes, monkeypatch):
    monkeypatch.setattr(shrinking, "MOST_WORK", 5 * 2 * 48_000)
    smallest = smallest_input(*wide)
    assert sum(count for name, count in passes if name == "results") == 5
    assert smallest.results[0] != smallest.results[1]
    assert len(smallest.values) <= 27  # what one output sees


def test_all_runtimes_by_default(net, data):
    found = compare_runtimes(net, data.take(8))
    names = [runtime.name for runtime in found.runtimes]
    assert names == ["tflm", "litert", "xnnpack", "cmsis-nn double", "cmsis-nn single"]
    assert len(found.pairs) == 10
    text = str(found)
    assert text.startswith("network, 8 images, 24 output bytes\n\nruntime ")
    assert all(name in text for name in names)
    assert json.loads(found.json())["pairs"][0]["names"] == ["tflm", "litert"]


def test_equal_runtimes_are_one_group(data):
    net = small_net()
    net.calibrate(data.images)
    newest, older = (target_spec("cmsis-nn", version=v) for v in ("7.0.0", "4.0.0"))
    assert same_arithmetic(newest, older)
    found = compare_runtimes(net, data.take(8), targets=[newest, older])
    assert found.pairs[0].layer is found.pairs[0].smallest is None
    assert str(found).endswith(
        "cmsis-nn double and cmsis-nn 4.0.0 double compute the same bytes in every "
        "layer"
    )


def test_a_runtime_that_cannot_says_why(net, data):
    specs = [ROUNDINGS[0], target_spec("cmsis-nn-q7")]
    found = compare_runtimes(net, data.take(8), targets=specs)
    assert found.pairs == ()
    assert found.runtimes[1].accuracy is None
    assert "cmsis-nn-q7 computes with scheme pow2" in found.runtimes[1].refused
    assert str(found).splitlines()[-1].startswith("cmsis-nn-q7 half_up: cmsis-nn-q7 co")


def test_labels_that_do_not_fit_leave_the_bytes(data):
    net = kj.Sequential([kj.Normalize((0, 0, 0)), kj.Flatten(), kj.Dense(2)], (8, 8, 3))
    net.calibrate(data.images)
    found = compare_runtimes(net, data, targets=ROUNDINGS)
    assert [runtime.accuracy for runtime in found.runtimes] == [None, None]


def test_what_is_refused(net, data):
    with pytest.raises(OptionError, match="network has no ranges yet: train it"):
        compare_runtimes(small_net(), data)
    other = kj.Dataset(data.images[:, :4], data.labels, data.classes, "cut")
    with pytest.raises(ShapeError, match="takes uint8"):
        compare_runtimes(net, other)


def test_what_a_network_was_trained_for_stays(net, tmp_path):
    assert net.trained_for == net.target
    assert small_net().trained_for is None
    other = net.for_target("litert")
    assert (other.target.library, other.trained_for) == ("litert", net.target)
    other.save(tmp_path / "net.npz")
    assert kj.load(tmp_path / "net.npz").trained_for == net.target


def test_floats_are_trained_for_nothing(data):
    net = small_net()
    kj.fit(net, data, epochs=1, precision="fp32", show=False)
    assert net.trained_for is None
