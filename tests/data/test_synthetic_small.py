"""The built-in keywords, persons and machines: same seed same bytes, balanced, and not
to be told apart by a linear function of the bytes."""

import hashlib

import numpy as np
import pytest

from kanji_np.data import synthetic_keywords, synthetic_machines, synthetic_persons
from kanji_np.errors import OptionError

READERS = (synthetic_keywords, synthetic_persons, synthetic_machines)


@pytest.mark.parametrize(
    "read, digests",
    [
        (synthetic_keywords, ("bb81b5a85147e1bb", "77f2ae640bdea3d4")),
        (synthetic_persons, ("ad496a699ac339a4", "31bb5b746b42fb77")),
        (synthetic_machines, ("b63f78b56499b8d4", "4919ef8301940c44")),
    ],
)
def test_bytes_are_pinned(read, digests):
    # One byte of difference between machines or NumPy versions would fail here.
    sets = read(train=60, test=30, seed=7)
    assert digests == tuple(
        hashlib.blake2b(d.images.tobytes(), digest_size=8).hexdigest() for d in sets
    )


@pytest.mark.parametrize("read, shape, n_classes", [
    (synthetic_keywords, (49, 10, 1), 12),
    (synthetic_persons, (96, 96, 3), 2),
    (synthetic_machines, (640,), 2),
])  # fmt: skip
def test_shapes_and_balance(read, shape, n_classes):
    train, test = read(train=24, test=12)
    assert train.input_shape == test.input_shape == shape
    assert len(train.classes) == n_classes
    assert test.labels.tolist() == [i % n_classes for i in range(12)]
    # A machine is only known as it sounds when nothing is wrong.
    n_trained = 1 if read is synthetic_machines else n_classes
    assert train.labels.tolist() == [i % n_trained for i in range(24)]


@pytest.mark.parametrize("read", READERS)
def test_a_smaller_set_is_the_beginning_of_a_larger_one(read):
    small, none = read(train=13, test=0)
    large, _ = read(train=29, test=3)
    assert (len(small), len(none)) == (13, 0)
    assert np.array_equal(small.images, large.images[:13])


@pytest.mark.parametrize("read", READERS)
def test_nothing_comes_twice(read):
    train, test = read(train=48, test=48)
    other, _ = read(train=48, test=0, seed=1)
    sets = (train, test, other)
    assert len({row.tobytes() for d in sets for row in d.images}) == 3 * 48


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("option", ["train", "test", "seed"])
def test_refuses_negatives(read, option):
    with pytest.raises(
        OptionError, match=f"{option} must be an int of at least 0, got -1$"
    ):
        read(**{option: -1})


@pytest.mark.parametrize(
    "read, counts, cell, most",
    [
        (synthetic_keywords, (3000, 600), (1, 1, 1), 0.7),
        (synthetic_persons, (800, 200), (8, 8, 1), 0.75),
    ],
)
def test_a_linear_classifier_does_not_do(read, counts, cell, most):
    train, test = read(*counts)

    def features(dataset):  # means of cells of the image, and a constant
        height, width, channels = dataset.input_shape
        blocks = dataset.images.reshape(
            -1, height // cell[0], cell[0], width // cell[1], cell[1], channels
        )
        means = blocks.mean((2, 4)).reshape(len(dataset), -1) / 255
        return np.c_[means, np.ones(len(dataset))]

    x = features(train)
    targets = np.eye(len(train.classes))[train.labels]
    w = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ targets)
    accuracy = np.mean(np.argmax(features(test) @ w, axis=1) == test.labels)
    assert accuracy < most


def test_faults_are_small_beside_what_is_normal_but_can_be_found():
    train, test = synthetic_machines(2000, 400)
    mean = train.images.mean(axis=0)
    _, _, axes = np.linalg.svd(train.images - mean, full_matrices=False)
    off = test.images - mean
    normal, broken = test.labels == 0, test.labels == 1

    def found(rest):
        """Part of the anomalies that lie further off than 9 of 10 normal ones."""
        errors = (rest**2).mean(axis=1)
        return np.mean(errors[broken] > np.quantile(errors[normal], 0.9))

    within = off @ axes[:8].T @ axes[:8]
    assert found(off) < 0.4
    assert found(off - within) > 0.7
