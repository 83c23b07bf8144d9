"""Ways to multiply integers: which there are, and how one is named."""

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.errors import OptionError
from kanji_np.ops.simd import PRODUCTS, PRODUCTS_VARIABLE, available_products, products


def test_every_cpu_has_one(monkeypatch):
    assert available_products()[-1] == "float32"
    assert set(available_products()) <= set(PRODUCTS)
    monkeypatch.delenv(PRODUCTS_VARIABLE, raising=False)
    assert products() == available_products()[0]
    monkeypatch.setenv(PRODUCTS_VARIABLE, "float32")
    assert products() == "float32"


def test_one_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv(PRODUCTS_VARIABLE, "abacus")
    net = kj.Sequential([kj.Conv2D(2, 1)], (2, 2, 1))
    with pytest.raises(OptionError, match="must be one of .*float32 on this CPU, got"):
        net.predict(np.zeros((1, 2, 2, 1), np.int8))


def test_training_ends_with_the_same_weights_either_way(monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 6, 6, 3)).astype(np.uint8)
    data = kj.Dataset(images, np.arange(24) % 2, ("a", "b"), "noise")
    ends = []
    for way in available_products():
        monkeypatch.setenv(PRODUCTS_VARIABLE, way)
        layers = [kj.Normalize([120] * 3), kj.Conv2D(5, 3), kj.Flatten(), kj.Dense(2)]
        net = kj.Sequential(layers, (6, 6, 3))
        kj.fit(net, data, epochs=2, batch_size=8, show=False)
        ends.append([p.data for p in net.parameters()])
    for other in ends[1:]:
        for one, same in zip(ends[0], other, strict=True):
            np.testing.assert_array_equal(one, same)
