"""Batches cover the dataset once, and seed and epoch alone decide how."""

import itertools
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanji_np.data import Augment, Dataset, ahead, batches, n_batches
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
    seed=st.integers(0, 2**40),
)
def test_each_image_once_with_its_label(n, batch_size, shuffle, seed):
    parts = list(
        batches(
            numbered(n),
            batch_size,
            seed=seed,
            epoch=3,
            shuffle=shuffle,
        )
    )
    sizes = [len(labels) for _, labels in parts]
    full, rest = divmod(n, batch_size)
    assert sizes == [batch_size] * full + [rest] * (rest > 0)
    seen = [number for images, _ in parts for number in numbers(images)]
    labels = [label for _, labels in parts for label in labels]
    assert labels == [number % 10 for number in seen]
    assert len(set(seen)) == sum(sizes)
    if not shuffle:
        assert seen == list(range(sum(sizes)))


@pytest.mark.parametrize(
    ("n", "least", "sizes"),
    [
        (9, 1, [4, 4, 1]), (9, 2, [4, 5]), (10, 2, [4, 4, 2]), (10, 3, [4, 6]),
        (8, 2, [4, 4]), (1, 2, [1]), (0, 2, []),
    ],
)  # fmt: skip
def test_a_last_batch_that_is_too_small_is_joined_to_the_one_before(n, least, sizes):
    parts = list(batches(numbered(n), 4, seed=0, epoch=0, least=least, shuffle=False))
    assert [len(labels) for _, labels in parts] == sizes
    assert n_batches(n, 4, least) == len(sizes)
    assert [number for x, _ in parts for number in numbers(x)] == list(range(n))


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
        ({"batch_size": 0}, "batches: batch_size must be an int of at least 1, got 0"),
        ({"seed": -1}, "batches: seed must be an int of at least 0, got -1"),
        ({"epoch": -1}, "batches: epoch must be an int of at least 0, got -1"),
    ],
)
def test_refuses_before_the_first_batch(options, message):
    with pytest.raises(OptionError) as error:
        batches(numbered(4), **({"batch_size": 2, "seed": 0, "epoch": 0} | options))
    assert str(error.value) == message


# ---------------------------------------------------------------------------- ahead


@pytest.fixture
def no_thread_stays():
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before


@pytest.mark.parametrize("depth", [1, 2, 100])
def test_ahead_gives_the_same_bytes(no_thread_stays, depth):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 8, 8, 3), np.uint8)
    dataset = Dataset(images, np.arange(50) % 10, tuple("abcdefghij"), "noise")

    def fresh():
        return batches(dataset, 7, seed=1, epoch=2, augment=Augment(cutout=3))

    made = [(x.tobytes(), y.tobytes()) for x, y in ahead(fresh(), depth=depth)]
    assert made == [(x.tobytes(), y.tobytes()) for x, y in fresh()]


def test_ahead_of_nothing(no_thread_stays):
    assert list(ahead(iter(()))) == []


def test_ahead_works_on_another_thread_and_never_further_than_depth(no_thread_stays):
    taken, distances, threads = 0, [], set()

    def items():
        for i in range(20):
            threads.add(threading.get_ident())
            distances.append(i - taken)
            yield i

    for i in ahead(items(), depth=3):
        assert i == taken
        taken += 1
    assert taken == 20
    assert max(distances) <= 3
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_ahead_is_ahead(no_thread_stays):
    """The third item is begun although nobody asks for the second."""
    begun = threading.Event()

    def items():
        yield 0
        yield 1
        begun.set()
        yield 2

    with closing(ahead(items(), depth=2)) as stream:
        next(stream)
        assert begun.wait(timeout=60)


def test_an_error_arrives_in_its_place_and_as_it_was(no_thread_stays):
    error = OptionError("the third one")

    def items():
        yield 0
        yield 1
        raise error

    stream = ahead(items())
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(OptionError) as caught:
        next(stream)
    assert caught.value is error
    assert list(stream) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_leaving_early_ends_the_thread(no_thread_stays, error):
    with pytest.raises(error), closing(ahead(itertools.count())) as stream:
        for i in stream:
            if i == 3:
                raise error
    with closing(ahead(itertools.count())) as stream:
        next(stream)


def test_a_stream_left_open_does_not_keep_the_process():
    code = (
        "import itertools\n"
        "from kanji_np.data import ahead\n"
        "stream = ahead(itertools.count())\n"
        "print(next(stream))"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert (run.stdout, run.stderr) == ("0\n", "")


def test_ahead_refuses_before_the_first_item():
    with pytest.raises(
        OptionError, match="ahead: depth must be an int of at least 1, got 0"
    ):
        ahead(iter(()), depth=0)
