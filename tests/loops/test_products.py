"""Ways to multiply integers: which there are, and how one is named."""

import os
import subprocess
import sys

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.errors import OptionError
from kanji_np.loops.products import PRODUCTS, VARIABLE, available_products, products


def test_every_cpu_has_one(monkeypatch):
    assert available_products()[-1] == "float32"
    assert set(available_products()) <= set(PRODUCTS)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert products().name == available_products()[0]
    monkeypatch.setenv(VARIABLE, "float32")
    assert products().name == "float32"


def test_one_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv(VARIABLE, "abacus")
    net = kj.Sequential([kj.Conv2D(2, 1)], (2, 2, 1))
    with pytest.raises(OptionError, match="must be one of .*float32 on this CPU, got"):
        net.predict(np.zeros((1, 2, 2, 1), np.int8))


def test_training_ends_with_the_same_weights_either_way(monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 6, 6, 3)).astype(np.uint8)
    data = kj.Dataset(images, np.arange(24) % 2, ("a", "b"), "noise")
    ends = []
    for way in available_products():
        monkeypatch.setenv(VARIABLE, way)
        layers = [kj.Normalize([120] * 3), kj.Conv2D(5, 3), kj.Flatten(), kj.Dense(2)]
        net = kj.Sequential(layers, (6, 6, 3))
        kj.fit(net, data, epochs=2, batch_size=8, show=False)
        ends.append([p.data for p in net.parameters()])
    for other in ends[1:]:
        for one, same in zip(ends[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


LESSER = """
import numpy as np
import kanji_np as kj
from kanji_np.loops.products import available_products

assert available_products() == ("float32",), available_products()
print(kj.load({path!r}).predict(np.load({images!r})).tobytes().hex())
"""


def test_compiled_for_any_cpu_the_bytes_are_the_same(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(-128, 128, (2, 9, 11, 5)).astype(np.int8)
    layers = [kj.Conv2D(19, 3, activation="relu"), kj.Flatten(), kj.Dense(10)]
    net = kj.Sequential(layers, (9, 11, 5))
    net.calibrate(images)
    path, cells = tmp_path / "net.npz", tmp_path / "images.npy"
    net.save(path)
    np.save(cells, images)
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    answer = subprocess.run(
        [sys.executable, "-c", LESSER.format(path=str(path), images=str(cells))],
        env=os.environ | generic,
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.strip() == net.predict(images).tobytes().hex()
