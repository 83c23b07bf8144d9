"""Dataset refuses what is not images and labels, and divides what is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanji_np.data import Augment, Dataset
from kanji_np.errors import DataError, DataWarning, OptionError


def make(n=6, n_classes=3, **changes):
    fields = {
        "images": np.arange(n * 12, dtype=np.uint8).reshape(n, 2, 2, 3),
        "labels": np.arange(n, dtype=np.int64) % n_classes,
        "classes": tuple("abcdefgh"[:n_classes]),
        "name": "pets",
    }
    return Dataset(**(fields | changes))


FORMS = (
    "uint8 (N, H, W, C) or (N, K), or float32, int16 or int8 (N, H, W, C), (N, T, C) "
    "or (N, K)"
)
LABELS = "int64 (N,) of classes, float32 (N, K) of values, or bool (N, K) of labels"


def test_facts():
    assert len(make()) == 6
    assert make().input_shape == (2, 2, 3)
    assert make(images=np.zeros((6, 5), np.uint8)).input_shape == (5,)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int8])
@pytest.mark.parametrize("shape", [(4, 5, 1), (7, 3), (1,)])
def test_samples_that_are_no_images(dtype, shape):
    samples = np.random.default_rng(0).normal(0, 9, (6, *shape)).astype(dtype)
    data = make(images=samples)
    assert data.input_shape == shape
    train, test = data.split(0.5)
    assert train.images.dtype == test.images.dtype == dtype
    assert np.array_equal(data.take(2).images, samples[:2])


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"images": np.zeros((6, 2, 2, 3))},
            f"pets: images must be {FORMS}, got float64 of shape (6, 2, 2, 3)",
        ),
        (
            {"images": np.zeros((6, 2, 2), np.uint8)},
            f"pets: images must be {FORMS}, got uint8 of shape (6, 2, 2)",
        ),
        (
            {"images": np.zeros(6, np.float32)},
            f"pets: images must be {FORMS}, got float32 of shape (6,)",
        ),
        ({"images": [[1, 2]]}, f"pets: images must be {FORMS}, got a list"),
        (
            {"images": np.array([[0], [1], [2], [np.nan], [-np.inf], [0]], np.float32)},
            "pets: images[3] holds NaN or an infinity",
        ),
        (
            {"labels": np.zeros(6, np.int32)},
            f"pets: labels must be {LABELS}, got int32 of shape (6,)",
        ),
        (
            {"labels": np.zeros((6, 1), np.int64)},
            f"pets: labels must be {LABELS}, got int64 of shape (6, 1)",
        ),
        ({"labels": np.zeros(5, np.int64)}, "pets: 6 images but 5 labels"),
        (
            {"labels": np.zeros((6, 2)), "classes": ("x",)},
            "pets: labels have 2 columns, but 1 names in classes",
        ),
        ({"labels": np.zeros((6, 0))}, "pets: labels of shape (6, 0) are empty"),
        (
            {"labels": np.array([1, 2, np.nan, 0, 0, 0]), "classes": ()},
            "pets: labels[2] holds NaN or an infinity",
        ),
        (
            {"labels": np.full(6, 1e300), "classes": ()},
            "pets: labels[0] holds NaN or an infinity",
        ),
        (
            {"images": np.zeros((6, 2, 0, 3), np.uint8)},
            "pets: images of shape (2, 0, 3) are empty",
        ),
        (
            {"labels": np.array([0, 1, 3, 7, -1, 2])},
            "pets: label 3 at index 2 is outside 0..2 (3 classes)",
        ),
        (
            {"labels": np.array([0, 1, 2, 0, -1, 9])},
            "pets: label -1 at index 4 is outside 0..2 (3 classes)",
        ),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(DataError) as error:
        make(**changes)
    assert str(error.value) == message


def test_take_is_the_beginning_and_shares_memory():
    whole = make()
    part = whole.take(4)
    assert np.array_equal(part.images, whole.images[:4])
    assert np.array_equal(part.labels, whole.labels[:4])
    assert np.shares_memory(part.images, whole.images)
    assert (part.classes, part.name) == (whole.classes, whole.name)
    assert len(whole.take(0)) == 0


@pytest.mark.parametrize("n", [-1, 7])
def test_take_out_of_range(n):
    with pytest.raises(
        OptionError, match=f"^pets: n must be an int in 0 .. 6, got {n}$"
    ):
        make().take(n)


def test_parts_may_be_augmented_as_the_whole():
    augment = Augment(crop_padding=1)
    whole = make(augment=augment)
    parts = (whole.take(2), whole.select(np.array([5, 0])), *whole.split(0.5))
    assert all(part.augment == augment for part in parts)
    assert make().augment is None


def test_select_keeps_the_given_order():
    part = make().select(np.array([5, 0]))
    assert part.labels.tolist() == [2, 0]
    assert part.images[:, 0, 0, 0].tolist() == [60, 0]


@given(
    counts=st.lists(st.integers(4, 30), min_size=1, max_size=4),
    fraction=st.floats(0.2, 0.8),
    seed=st.integers(0, 2**40),
)
def test_split_is_a_stratified_partition(counts, fraction, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    n = len(labels)
    images = np.arange(n, dtype="<u4").view(np.uint8).reshape(n, 1, 1, 4)
    whole = Dataset(images, labels, tuple("abcd"[: len(counts)]), "pets")
    train, test = whole.split(fraction, seed=seed)
    again = whole.split(fraction, seed=seed)

    rows = [part.images.reshape(-1, 4).view("<u4").ravel() for part in (train, test)]
    assert sorted(np.concatenate(rows)) == list(range(n))
    for part, part_rows, repeated in zip((train, test), rows, again, strict=True):
        assert np.array_equal(part.labels, labels[part_rows])
        assert np.all(np.diff(part_rows.astype(int)) > 0)
        assert np.array_equal(part.images, repeated.images)
    for label, count in enumerate(counts):
        assert np.sum(test.labels == label) == round(count * fraction)


def test_split_depends_on_the_seed():
    whole = make(n=60)
    picks = {whole.split(0.5, seed=seed)[1].images.tobytes() for seed in range(5)}
    assert len(picks) == 5


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_split_fraction_out_of_range(fraction):
    with pytest.raises(OptionError, match="pets: test_fraction must lie between 0 and"):
        make().split(fraction)


def test_split_leaves_no_side_empty():
    with pytest.raises(OptionError) as error:
        make().split(0.1)
    assert str(error.value) == (
        "pets: test_fraction=0.1 of 6 images in 3 classes leaves 0 for testing and "
        "6 for training"
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_to_predict_are_float32_columns(dtype):
    values = np.array([0.5, 1, -2, 4, 0, 3], dtype)
    data = make(labels=values, classes=())
    assert (data.task, data.classes, data.n_outputs) == ("regression", ("y0",), 1)
    assert data.labels.dtype == np.float32
    assert data.labels.tolist() == values[:, None].tolist()
    two = make(labels=np.stack([values, values], axis=1), classes=("speed", "torque"))
    assert (two.task, two.n_outputs) == ("regression", 2)
    assert two.take(3).classes == ("speed", "torque")


def test_several_labels_are_bool():
    labels = np.eye(6, dtype=bool)[:, :3]
    data = make(labels=labels, classes=())
    assert (data.task, data.n_outputs) == ("multilabel", 3)
    assert data.classes == ("y0", "y1", "y2")
    assert make().task == "classification"
    assert make().n_outputs == 3


def test_another_task_is_said_in_one_line():
    values = make(labels=np.zeros((6, 2)), classes=())
    with pytest.raises(DataError) as error:
        values.check_task("net", "classification", "multilabel")
    assert str(error.value) == (
        "net takes data for classification or multilabel; pets has float32 labels "
        "(N, 2), for regression"
    )
    make().check_task("net", "classification")


def test_values_are_divided_at_random():
    whole = make(labels=np.arange(60.0), classes=(), images=np.zeros((60, 1), np.uint8))
    train, test = whole.split(0.25, seed=1)
    assert (len(train), len(test)) == (45, 15)
    both = np.concatenate([train.labels, test.labels])
    assert sorted(both[:, 0]) == list(range(60))
    assert (np.diff(test.labels[:, 0]) > 0).all()
    assert np.array_equal(test.labels, whole.split(0.25, seed=1)[1].labels)
    assert not np.array_equal(test.labels, whole.split(0.25, seed=2)[1].labels)
    # From the whole range, and not the first or the last.
    assert test.labels.min() < 15 and test.labels.max() > 45


@given(seed=st.integers(0, 2**32), fraction=st.sampled_from([0.2, 0.3, 0.5]))
def test_each_of_several_labels_is_divided_fairly(seed, fraction):
    rng = np.random.default_rng(seed)
    labels = rng.random((200, 4)) < (0.05, 0.2, 0.5, 0.9)
    labels[:10, 0] = True
    images = np.arange(200, dtype=np.int16)[:, None]
    train, test = Dataset(images, labels, (), "tags").split(fraction, seed=seed % 7)
    assert sorted(np.concatenate([train.images, test.images])[:, 0]) == list(range(200))
    assert 0.7 * fraction * 200 < len(test) < 1.3 * fraction * 200
    for column in range(4):
        wanted = labels[:, column].sum() * fraction
        assert abs(test.labels[:, column].sum() - wanted) <= 4 + 0.15 * wanted
    # The rarest is divided first, and to the count.
    assert test.labels[:, 0].sum() == round(labels[:, 0].sum() * fraction)


def test_a_label_that_is_on_one_side_alone_is_said():
    labels = np.zeros((20, 2), bool)
    labels[:10, 0] = labels[0, 1] = True
    whole = Dataset(np.zeros((20, 1), np.int16), labels, ("dog", "owl"), "tags")
    with pytest.warns(DataWarning, match="tags: the test set has no image of owl: too"):
        whole.split(0.2)
