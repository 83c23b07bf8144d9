"""The built-in figures: same seed same bytes, balanced, and not linearly separable."""

import hashlib

import numpy as np
import pytest

from kanji_np.data import synthetic
from kanji_np.data.synthetic import FIGURES
from kanji_np.errors import OptionError


def rows(dataset):
    return [image.tobytes() for image in dataset.images]


def test_bytes_are_pinned():
    # One byte of difference between machines or NumPy versions would fail here.
    train, test = synthetic(train=200, test=50, seed=7)
    digests = [hashlib.sha256(d.images.tobytes()).hexdigest() for d in (train, test)]
    assert digests == [
        "6f5c6812bb0be20541ca6281a84a2ba1603b1694b810002eefe12f92189664c3",
        "24dde4511a084dec41ee7b28c1207b7a7d69be8002d30a2f502bbdd396a5d7e0",
    ]


def test_shapes_and_balance():
    train, test = synthetic(train=120, test=30)
    assert (len(train), len(test)) == (120, 30)
    assert train.input_shape == (32, 32, 3)
    assert train.name == "synthetic"
    assert len(train.classes) == 10
    assert np.array_equal(np.bincount(train.labels), [12] * 10)
    assert train.labels[:12].tolist() == [*range(10), 0, 1]


@pytest.mark.parametrize("n", [0, 1, 9, 1281])
def test_a_smaller_set_is_the_beginning_of_a_larger_one(n):
    small, none = synthetic(train=n, test=0)
    large, _ = synthetic(train=1400, test=3)
    assert (len(small), len(none)) == (n, 0)
    assert np.array_equal(small.images, large.images[:n])
    assert np.array_equal(small.labels, large.labels[:n])


def test_no_image_comes_twice():
    train, test = synthetic(train=600, test=600)
    other, _ = synthetic(train=600, test=0, seed=1)
    assert len({*rows(train), *rows(test), *rows(other)}) == 1800


@pytest.mark.parametrize("option", ["train", "test", "seed"])
def test_refuses_negatives(option):
    message = f"^synthetic: {option} must be an int of at least 0, got -1$"
    with pytest.raises(OptionError, match=message):
        synthetic(**{option: -1})


# Inside (1) and outside (0) at points given in radii: what makes each figure itself.
@pytest.mark.parametrize(
    "name, points",
    [
        ("disc", {(0, 0): 1, (0.9, 0): 1, (0.8, 0.8): 0}),
        ("ring", {(0, 0): 0, (0.75, 0): 1, (0, -0.75): 1, (1.1, 0): 0}),
        ("square", {(0, 0): 1, (0.8, 0.8): 1, (0.9, 0): 0}),
        ("frame", {(0, 0): 0, (0.65, 0.65): 1, (0, -0.65): 1, (0.9, 0): 0}),
        ("triangle", {(0, -0.9): 1, (0.7, 0.5): 1, (0.7, -0.5): 0, (0, 0.7): 0}),
        ("plus", {(0, 0): 1, (0, 0.9): 1, (-0.9, 0): 1, (0.6, 0.6): 0}),
        ("saltire", {(0, 0): 1, (0, 0.9): 0, (-0.9, 0): 0, (0.6, 0.6): 1}),
        ("stripes", {(0.8, 0): 1, (0, 0.36): 0, (0, 0.72): 1, (0, 1.0): 0}),
        ("checker", {(0, 0): 1, (0.36, 0): 0, (0.36, 0.36): 1, (0.72, 0): 1}),
        ("star", {(0, 0): 1, (0, -0.9): 1, (0, 0.7): 0, (0.5, 0.7): 1}),
    ],
)
def test_figures(name, points):
    figure = dict(FIGURES)[name]
    radius = np.float32(10)
    u, v = np.array(list(points), np.float32).T * radius
    inside = figure(u, v, radius) < 0
    assert inside.tolist() == [bool(value) for value in points.values()]


def test_a_linear_classifier_stays_near_guessing():
    train, test = synthetic(train=2000, test=500)

    def pixels(dataset):  # (N, 32, 32, 3) -> (N, 16*16*3), halved in size by averaging
        small = dataset.images.reshape(-1, 16, 2, 16, 2, 3).mean((2, 4))
        return np.c_[small.reshape(len(dataset), -1) / 255, np.ones(len(dataset))]

    x = pixels(train)
    targets = np.eye(10)[train.labels]
    w = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ targets)
    accuracy = np.mean(np.argmax(pixels(test) @ w, axis=1) == test.labels)
    assert accuracy < 0.4
