"""`.npz` files: the accepted forms, and a line for each of the others."""

import numpy as np
import pytest

from kanji_np.data import npz
from kanji_np.errors import DataError, FileFormatError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 4, 5, 3), np.uint8)
LABELS = np.arange(20) % 2


def save(path, **arrays):
    np.savez(path / "own.npz", **arrays)
    return path / "own.npz"


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_keras_keys(tmp_path, dtype):
    path = save(
        tmp_path,
        x_train=IMAGES[:15],
        y_train=LABELS[:15, None].astype(dtype),
        x_test=IMAGES[15:],
        y_test=LABELS[15:],
    )
    train, test = npz(path)
    assert np.array_equal(train.images, IMAGES[:15])
    assert np.array_equal(train.labels, LABELS[:15])
    assert np.array_equal(test.images, IMAGES[15:])
    assert np.array_equal(test.labels, LABELS[15:])
    assert train.classes == test.classes == ("0", "1")
    assert train.name == "own"


@pytest.mark.parametrize("keys", [("images", "labels"), ("x", "y")])
@pytest.mark.parametrize("classes", [["cat", "dog"], [b"cat", b"dog"]])
def test_one_set_is_split(tmp_path, keys, classes):
    path = save(
        tmp_path, **dict(zip(keys, (IMAGES, LABELS), strict=True)), classes=classes
    )
    train, test = npz(path, test_fraction=0.3, seed=5)
    assert (len(train), len(test)) == (14, 6)
    assert train.classes == ("cat", "dog")
    assert np.array_equal(test.images, npz(path, test_fraction=0.3, seed=5)[1].images)
    assert not np.array_equal(
        test.images, npz(path, test_fraction=0.3, seed=6)[1].images
    )


def test_grey_images_get_a_channel(tmp_path):
    path = save(tmp_path, x=IMAGES[..., 0], y=LABELS)
    assert npz(path)[0].input_shape == (4, 5, 1)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8"])
def test_real_values_become_float32_and_keep_their_shape(tmp_path, dtype):
    values = RNG.standard_normal((20, 9, 3)).astype(dtype)
    train, _ = npz(save(tmp_path, x=values, y=LABELS), test_fraction=0.5)
    assert train.images.dtype == np.float32
    assert train.input_shape == (9, 3)
    assert np.isin(train.images, values.astype(np.float32)).all()


def test_int8_stays_as_it_is(tmp_path):
    values = RNG.integers(-128, 128, (20, 6)).astype(np.int8)
    train, _ = npz(save(tmp_path, x=values, y=LABELS))
    assert (train.images.dtype, train.input_shape) == (np.int8, (6,))


def test_training_and_test_samples_are_of_one_kind(tmp_path):
    path = save(
        tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES / 255, y_test=LABELS
    )
    with pytest.raises(DataError, match="x_train is uint8, but x_test is float32"):
        npz(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_value_that_is_not_finite_is_refused(tmp_path, bad):
    values = RNG.standard_normal((20, 6))
    values[7, 2] = bad
    with pytest.raises(DataError, match=r"own: images\[7\] holds NaN or an infinity"):
        npz(save(tmp_path, x=values, y=LABELS))


def test_a_class_may_be_absent_from_training(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:1], y_test=[4])
    assert npz(path)[0].classes == ("0", "1", "2", "3", "4")


@pytest.mark.parametrize(
    "arrays, message",
    [
        (
            {"images": IMAGES.astype(np.int64), "labels": LABELS},
            "images is int64; images must be uint8, 0 to 255, other samples floating "
            "or int8",
        ),
        (
            {"x": IMAGES > 3, "y": LABELS},
            "x is bool; images must be uint8, 0 to 255, other samples floating or int8",
        ),
        ({"x": IMAGES, "y": LABELS / 1}, "y is float64; labels must be integers"),
        (
            {"x": IMAGES, "y": np.eye(20)},
            "y is float64 (20, 20); labels must be integers (N,): of one-hot rows "
            "take y.argmax(axis=1)",
        ),
        (
            {"x": IMAGES, "labels": LABELS},
            "expected the arrays x_train, y_train, x_test, y_test; or images, labels; "
            "or x, y; got labels, x",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS},
            "expected the arrays x_train, y_train, x_test, y_test; or images, labels; "
            "or x, y; got x_train, y_train",
        ),
        (
            {},
            "expected the arrays x_train, y_train, x_test, y_test; or images, labels; "
            "or x, y; got none",
        ),
    ],
)
def test_other_arrays(tmp_path, arrays, message):
    path = save(tmp_path, **arrays)
    with pytest.raises(DataError) as error:
        npz(path)
    assert str(error.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"y": LABELS[:-1]}, "own: 20 images but 19 labels"),
        ({"y": LABELS - 1}, "own: label -1 at index 0 is outside 0..0 (1 classes)"),
        (
            {"y": LABELS, "classes": ["cat"]},
            "own: label 1 at index 1 is outside 0..0 (1 classes)",
        ),
    ],
)
def test_the_dataset_checks_the_rest(tmp_path, arrays, message):
    with pytest.raises(DataError) as error:
        npz(save(tmp_path, x=IMAGES, **arrays))
    assert str(error.value) == message


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="none.npz: no such file$"):
        npz(tmp_path / "none.npz")


def test_pickled_objects_are_refused(tmp_path):
    path = save(tmp_path, x=IMAGES, y=np.array([{}, None]))
    with pytest.raises(FileFormatError, match="own.npz: not a .npz file of plain arr"):
        npz(path)


@pytest.mark.parametrize("kept", [0, 4, 1000, -1])
def test_file_cut_off(tmp_path, kept):
    path = save(tmp_path, x=IMAGES, y=LABELS)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FileFormatError, match="own.npz: not a .npz file of plain arr"):
        npz(path)


def test_a_single_array_under_the_wrong_name(tmp_path):
    path = tmp_path / "own.npz"
    with open(path, "wb") as file:
        np.save(file, IMAGES)
    with pytest.raises(FileFormatError, match="own.npz: not a .npz file of plain arr"):
        npz(path)
