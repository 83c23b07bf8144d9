"""Scores class by class, and what a network says of single inputs."""

import json
import math

import numpy as np
import pytest
from small import images, small_net, stripes

import kanji_np as kj
from kanji_np.errors import ShapeError


def trained():
    net = small_net()
    kj.fit(net, stripes(96), epochs=2, optimizer=kj.Adam(lr=0.01), show=False)
    return net


@pytest.fixture(scope="module")
def net():
    return trained()


def test_scores_count_what_evaluate_counts(net):
    data = stripes(60, seed=1)
    for precision in ("int8", "fp32"):
        found = kj.scores(net, data, precision=precision)
        assert found.accuracy == net.evaluate(data, precision=precision)
        assert found.images == 60
        said = net.classify(data.images, precision=precision)
        for i, row in enumerate(found.confusion):
            for k, count in enumerate(row):
                assert count == ((data.labels == i) & (said == k)).sum()


def made(confusion, classes=None):
    classes = classes or tuple("abcdefghijklmnopqrstuvwxyz"[: len(confusion)])
    return kj.Scores("net", "own", "int8", classes, confusion)


def test_precision_and_recall():
    found = made(((3, 1, 0), (2, 2, 0), (0, 0, 0)))
    assert (found.images, found.correct, found.accuracy) == (8, 5, 5 / 8)
    a, b, c = found.per_class
    assert a == kj.ClassScores("a", 4, 3 / 5, 3 / 4)
    assert b == kj.ClassScores("b", 4, 2 / 3, 2 / 4)
    assert (c.images, math.isnan(c.precision), math.isnan(c.recall)) == (0, True, True)
    assert found.confusions == (
        kj.Confusion("b", "a", 2, 0.5),
        kj.Confusion("a", "b", 1, 0.25),
    )
    told = json.loads(found.json())
    assert told["accuracy"] == 5 / 8
    assert told["per_class"][2]["precision"] is None


def test_they_print_as_tables():
    assert str(made(((3, 1), (0, 2)))) == (
        "int8 accuracy 83.33 %: 5 of 6 test images\n\n"
        "class  images  precision    recall\n"
        "-----  ------  ---------  --------\n"
        "a           4   100.00 %   75.00 %\n"
        "b           2    66.67 %  100.00 %\n\n"
        "taken for  0  1\n"
        "---------  -  -\n"
        "0 a        3  1\n"
        "1 b        .  2"
    )


def test_a_network_that_always_says_one_class_is_told():
    text = str(made(((3, 0), (2, 0))))
    assert "\nno better than always answering 'a', 60.00 %\n" in text


def test_of_many_classes_the_confusions_are_listed():
    many = np.eye(26, dtype=int) * 4
    many[3, 7] = 2
    many[5, 1] = 6
    text = str(made(tuple(map(tuple, many.tolist()))))
    assert text.endswith(
        "class  taken for  images  of the class\n"
        "-----  ---------  ------  ------------\n"
        "f      b               6       60.00 %\n"
        "d      h               2       33.33 %"
    )


def test_outputs_without_a_class_have_numbers():
    net = small_net()
    fewer = kj.Dataset(images(4), np.arange(4) % 2, ("a", "b"), "fewer")
    assert kj.scores(net, fewer).classes == ("a", "b", "2")
    net.classes = ("a", "b", "c")
    assert kj.scores(net, fewer).classes == ("a", "b", "c")


def test_confusions_are_drawn(net, tmp_path):
    kj.plot_confusion(kj.scores(net, stripes(30)), tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_one_sample_has_one_output(net):
    x = images(3)
    for precision in ("int8", "fp32"):
        whole = net.predict(x, precision=precision)
        assert np.array_equal(net.predict(x[1], precision=precision), whole[1])
    assert np.array_equal(net.probabilities(x[1]), net.probabilities(x)[1])
    one, every = net.layer_outputs(x[1]), net.layer_outputs(x)
    assert all(np.array_equal(one[name], every[name][1]) for name in every)


def test_probabilities_are_the_softmax_of_real_outputs(net):
    x = images(5)
    found = net.probabilities(x)
    scale = net.freeze().output.qparams.scale
    powers = np.exp(scale * net.predict(x).astype(np.float64))
    assert np.allclose(found, powers / powers.sum(axis=1, keepdims=True), atol=1e-6)
    assert found.dtype == np.float32
    assert np.array_equal(found.argmax(axis=1), net.classify(x))
    real = net.probabilities(x, precision="fp32")
    assert np.allclose(real.sum(axis=1), 1, atol=1e-6)


def test_a_final_softmax_is_the_devices():
    layers = [kj.Normalize((0, 0, 0)), kj.Flatten(), kj.Dense(3), kj.Softmax()]
    net = kj.Sequential(layers, (8, 8, 3))
    found = net.probabilities(images(4))
    assert np.array_equal(found * 256 - 128, net.predict(images(4)))
    assert found.sum(axis=1) == pytest.approx(np.ones(4), abs=3 / 256)


def test_layer_outputs_are_those_of_the_integer_program(net):
    x = images(2)
    found = net.layer_outputs(x)
    assert [*found] == [layer.name for layer in net.layers]
    for y, layer in zip(net.freeze().layers(x), found.values(), strict=True):
        assert layer.dtype == np.int8 and np.array_equal(layer, y)
    real = net.layer_outputs(x, real=True)
    node = net.freeze().nodes[1]
    assert real["conv1"].dtype == np.float32
    assert np.allclose(real["conv1"], node.output.qparams.scale * found["conv1"])


def test_only_a_row_of_outputs_has_classes():
    net = kj.Sequential([kj.Normalize(0), kj.ReLU()], (4, 4, 1))
    for ask in (net.classify, net.probabilities):
        with pytest.raises(ShapeError, match=r"outputs \(4, 4, 1\); classes take"):
            ask(images(1)[:, :4, :4, :1])
