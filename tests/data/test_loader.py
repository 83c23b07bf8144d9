"""Batches cover the dataset once, and seed and epoch alone decide how."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanji_np.data import Augment, Dataset, batches
from kanji_np.errors import OptionError


def numbered(n):
    """Image i holds the number i in its four channels; its label is i % 10."""
    images = np.arange(n, dtype="<u4").view(np.uint8).reshape(n, 1, 1, 4)
    return Dataset(images, np.arange(n) % 10, tuple("abcdefghij"), "numbered")


def numbers(images):
    return images.reshape(-1, 4).view("<u4").ravel()


@given(
    n=st.integers(0, 60),
    batch_size=st.integers(1, 70),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    seed=st.integers(0, 2**40),
)
def test_each_image_once_with_its_label(n, batch_size, shuffle, drop_last, seed):
    parts = list(
        batches(
            numbered(n),
            batch_size,
            seed=seed,
            epoch=3,
            shuffle=shuffle,
            drop_last=drop_last,
        )
    )
    sizes = [len(labels) for _, labels in parts]
    full, rest = divmod(n, batch_size)
    assert sizes == [batch_size] * full + [rest] * (rest > 0 and not drop_last)
    seen = [number for images, _ in parts for number in numbers(images)]
    labels = [label for _, labels in parts for label in labels]
    assert labels == [number % 10 for number in seen]
    assert len(set(seen)) == sum(sizes)
    if not shuffle:
        assert seen == list(range(sum(sizes)))


def order(seed, epoch):
    ((images, _),) = batches(numbered(50), 50, seed=seed, epoch=epoch)
    return tuple(numbers(images))


def test_order_is_a_function_of_seed_and_epoch():
    places = [(seed, epoch) for seed in range(4) for epoch in range(4)]
    orders = [order(*place) for place in places]
    assert len(set(orders)) == len(places)
    assert [order(*place) for place in reversed(places)] == orders[::-1]
    assert tuple(range(50)) not in orders


def test_any_batch_can_be_made_again_alone():
    # Batch 2 without asking for batches 0 and 1: its rows and its own generator.
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 3), np.uint8)
    dataset = Dataset(images, np.zeros(40, np.int64), ("a",), "noise")
    augment = Augment(crop_padding=2, cutout=3)
    made = list(batches(dataset, 10, seed=5, epoch=7, augment=augment))
    plain = list(batches(dataset, 10, seed=5, epoch=7))
    alone = augment.apply(plain[2][0], np.random.default_rng((5, 7, 3)))
    assert np.array_equal(made[2][0], alone)
    assert not np.array_equal(alone, plain[2][0])


def test_the_dataset_is_never_touched():
    dataset = numbered(8)
    for images, labels in batches(dataset, 4, seed=0, epoch=0, shuffle=False):
        images[:] = 255
        labels[:] = 0
    assert numbers(dataset.images).tolist() == list(range(8))
    assert dataset.labels.tolist() == list(range(8))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "batches: batch_size must be positive, got 0"),
        ({"seed": -1}, "batches: seed must not be negative, got -1"),
        ({"epoch": -1}, "batches: epoch must not be negative, got -1"),
    ],
)
def test_refuses_before_the_first_batch(options, message):
    with pytest.raises(OptionError) as error:
        batches(numbered(4), **({"batch_size": 2, "seed": 0, "epoch": 0} | options))
    assert str(error.value) == message
