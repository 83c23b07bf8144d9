"""Layers that operators declare are made, called and typed like classes by hand."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.errors import OptionError
from kanji_np.layers import declared
from kanji_np.layers.tracked import TrackedLayer
from kanji_np.ops import BUILT_IN
from layers.stub import STUB, text


def test_the_stub_says_what_operators_say():
    assert STUB.read_text() == text(), "run python -m tests.layers.stub"


def test_every_operator_has_a_layer_of_the_package():
    made = {op.layer for op in BUILT_IN if op.layer}
    assert made == set(declared.__all__) <= set(kj.__all__)
    by_hand = {"normalize", "conv2d", "depthwise_conv2d", "conv1d", "dense"}
    by_hand |= {"max_pool2d", "avg_pool2d"}
    by_hand |= {"with_constant"}  # that is made of files alone
    assert {op.name for op in BUILT_IN if op.layer is None} == by_hand


def test_arguments_are_those_of_a_function():
    assert str(inspect.signature(kj.Reshape)) == "(target_shape, name=None)"
    assert str(inspect.signature(kj.Add)) == "(activation='linear', name=None)"
    assert kj.Add("relu", "sum").name == kj.Add(name="sum").name == "sum"
    assert kj.Reshape(target_shape=(2, 3)).attrs.shape == (2, 3)
    assert kj.ZeroPadding2D().attrs.padding == ((1, 1), (1, 1))
    assert issubclass(kj.Add, TrackedLayer)
    with pytest.raises(TypeError, match="missing a required argument: 'target_shape'"):
        kj.Reshape()
    with pytest.raises(OptionError, match="ReLU has no argument 'filters'"):
        kj.ReLU(filters=3)
    with pytest.raises(OptionError, match="target_shape must be"):
        kj.Reshape("many")


def test_a_class_knows_its_name_and_page():
    assert kj.Add.__name__ == "Add"
    assert "see `ops.add`" in inspect.getdoc(kj.Add)


def test_networks_with_them_are_copied_and_pickled():
    layers = [kj.ZeroPadding2D(), kj.ReLU(), kj.Flatten(), kj.Dense(3)]
    net = kj.Sequential(layers, (4, 4, 2))
    x = np.arange(-32, 32, dtype=np.int8).reshape(2, 4, 4, 2)
    net.calibrate(x)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(other.predict(x), net.predict(x))
