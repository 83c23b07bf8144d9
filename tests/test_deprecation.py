"""Former names work as the new ones do, and say what to write instead."""

import inspect
import re

import numpy as np
import pytest
from small import images, small_net

import kanji_np as kj
from kanji_np.deprecation import former_argument, former_name
from kanji_np.errors import OptionError


def warns(old, new):
    text = f"{old} is now called {new}; {old} goes with version 0.3"
    return pytest.warns(DeprecationWarning, match=f"^{re.escape(text)}$")


def trained(**options):
    """The integer program of a small network whose outputs are as many as its inputs,
    after one epoch."""
    net = kj.Sequential([kj.Normalize(125), kj.Dense(6)], (6,), name="both")
    x = np.random.default_rng(0).integers(0, 256, (16, 6), dtype=np.uint8)
    classes = tuple("abcdef")
    data = kj.Dataset(x, np.arange(16) % 6, classes, "vectors", augment=None)
    kj.fit(net, data, epochs=1, batch_size=16, show=False, **options)
    return net.freeze().digest()


@pytest.mark.parametrize(
    ("former", "options"),
    [("labels", {}), ("inputs", {"reproduce_inputs": True})],
)
def test_targets_of_fit(former, options):
    with warns("fit(targets=...)", "fit(reproduce_inputs=...)") as caught:
        digest = trained(targets=former)
    assert caught[0].filename == __file__
    assert digest == trained(**options)
    assert digest != trained(reproduce_inputs=former == "labels")


def test_a_bad_former_argument_is_refused_as_before():
    with (
        warns("fit(targets=...)", "fit(reproduce_inputs=...)"),
        pytest.raises(OptionError, match="targets must be one of .*; got 'x'"),
    ):
        trained(targets="x")
    with pytest.raises(OptionError, match="or targets, its former name; got both"):
        trained(targets="labels", reproduce_inputs=False)


def test_requantized_of_a_model():
    net = small_net()
    with warns("Model.requantized", "Model.with_quantization") as caught:
        old = net.requantized(scheme="symmetric", weight_bits=4)
    assert caught[0].filename == __file__
    new = net.with_quantization(scheme="symmetric", weight_bits=4)
    assert old.freeze().digest() == new.freeze().digest() != net.freeze().digest()


def test_thresholds_of_a_model():
    net = small_net(ranges="learned")
    net.calibrate(images())
    with warns("Model.thresholds", "Model.learned_ranges") as caught:
        old = net.thresholds()
    assert caught[0].filename == __file__
    assert [id(p) for p in old] == [id(p) for p in net.learned_ranges()] != []


def test_help_and_signatures_show_the_new_name():
    def new(a: int, *, b: int = 2) -> int:
        """What it does."""
        return a + b

    new.__qualname__ = "new"
    old = former_name("old", new)
    assert (old.__name__, old.__doc__) == ("old", "The former name of `new`.")
    assert inspect.signature(old) == inspect.signature(new)
    decorated = former_argument("c", "b", int)(new)
    assert decorated.__doc__ == "What it does."
    assert inspect.signature(decorated) == inspect.signature(new)
    with warns("new(c=...)", "new(b=...)"):
        assert decorated(1, c="5") == 6
