"""`.npz` files: the accepted forms, and a line for each of the others."""

import numpy as np
import pytest

from kanji_np.data import from_arrays, load_dataset, npy_directory, npz
from kanji_np.errors import DataError, FileFormatError, OptionError

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
    reals = RNG.standard_normal((20, 4, 5, 3))
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=reals, y_test=LABELS)
    with pytest.raises(DataError, match="x_train is uint8, but x_test is float32"):
        npz(path)
    path = save(
        tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:, 1:], y_test=LABELS
    )
    with pytest.raises(DataError) as error:
        npz(path)
    assert str(error.value) == (
        f"{path}: samples of x_train are (4, 5, 3), but of x_test (3, 5, 3)"
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_value_that_is_not_finite_is_refused(tmp_path, bad):
    values = RNG.standard_normal((20, 6))
    values[7, 2] = bad
    with pytest.raises(DataError, match=r"own: images\[7\] holds NaN or an infinity"):
        npz(save(tmp_path, x=values, y=LABELS))


def test_a_class_may_be_absent_from_training(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:1], y_test=[4])
    assert npz(path)[0].classes == ("0", "1", "2", "3", "4")


EXPECTED = (
    "expected the arrays x_train, y_train, x_test, y_test; or x, y; images, labels; "
    "targets for values; got"
)


@pytest.mark.parametrize(
    "arrays, message",
    [
        (
            {"images": 300 + IMAGES.astype(np.int64), "labels": LABELS},
            "images is int64 and holds 300 to 555; samples are uint8, 0 to 255, of "
            "images, or floating, int16 or int8 of other data",
        ),
        (
            {"x": IMAGES > 3, "y": LABELS},
            "x is bool; samples are uint8, 0 to 255, of images, or floating, int16 or "
            "int8 of other data",
        ),
        (
            {"x": IMAGES.ravel(), "y": LABELS},
            "x is uint8 (1200,); samples are (N, H, W, C), (N, H, W), (N, T, C) or "
            "(N, K), the number of samples first",
        ),
        (
            {"x": np.zeros((20, 3, 8, 8), np.uint8), "y": LABELS},
            "x is (20, 3, 8, 8), with channels first: they come last, which is "
            "x.transpose(0, 2, 3, 1)",
        ),
        ({"x": IMAGES, "z": LABELS}, f"{EXPECTED} x, z"),
        ({"x_train": IMAGES, "y_train": LABELS}, f"{EXPECTED} x_train, y_train"),
        ({}, f"{EXPECTED} none"),
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


def test_values_to_predict_have_a_key_of_their_own(tmp_path):
    x = RNG.standard_normal((20, 6))
    train, test = npz(save(tmp_path, x=x, targets=LABELS), test_fraction=0.25)
    assert (train.task, len(test), train.classes) == ("regression", 5, ("y0",))
    named = npz(save(tmp_path, x=x, targets=x[:, :2], classes=["a", "b"]))[0]
    assert (named.task, named.classes) == ("regression", ("a", "b"))


def test_a_sensors_own_integers_stay(tmp_path):
    x = RNG.integers(-9000, 9000, (20, 30, 3)).astype(np.int16)
    train, _ = npz(save(tmp_path, x=x, y=LABELS))
    assert (train.images.dtype, train.input_shape) == (np.int16, (30, 3))
    assert np.isin(train.images, x).all()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">i2", ">f8", "<f4"])
def test_byte_order_and_layout_do_not_matter(tmp_path, order, dtype):
    x = np.asarray(RNG.integers(-999, 999, (20, 6)), dtype, order=order)
    train, _ = npz(save(tmp_path, x=x, y=np.asarray(LABELS, ">i8")))
    assert train.images.dtype.isnative and train.images.flags.c_contiguous
    assert train.images.dtype == (np.int16 if dtype == ">i2" else np.float32)
    assert {tuple(row) for row in train.images.tolist()} < {
        tuple(row) for row in x.tolist()
    }
    assert train.labels.dtype == np.int64


@pytest.mark.parametrize("keys", [("x", "y"), ("images", "labels"), ("x", "targets")])
@pytest.mark.parametrize("is_split", [False, True])
def test_npy_files(tmp_path, keys, is_split):
    x, y = RNG.standard_normal((20, 6)), np.arange(20) % 2
    arrays = dict(zip(keys, (x, y), strict=True))
    if is_split:
        arrays = {
            f"{key}_{part}": values[rows]
            for part, rows in (("train", slice(14)), ("test", slice(14, None)))
            for key, values in arrays.items()
        }
    for key, values in arrays.items():
        np.save(tmp_path / f"{key}.npy", values)
    np.save(tmp_path / "other.npy", x)
    train, test = load_dataset(tmp_path, **({} if is_split else {"test_fraction": 0.3}))
    assert (len(train), len(test)) == (14, 6)
    assert train.name == tmp_path.name
    assert train.task == ("regression" if "targets" in keys else "classification")
    if is_split:
        assert np.array_equal(test.images, x[14:].astype(np.float32))


def test_npy_files_that_are_wrong(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    with pytest.raises(DataError, match=f"^{tmp_path}: expected the arrays .* got x$"):
        npy_directory(tmp_path)
    np.save(tmp_path / "y.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(FileFormatError) as error:
        npy_directory(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'y.npy'}: the file is not an array of plain numbers or text"
    )
    (tmp_path / "y.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-1])
    with pytest.raises(FileFormatError, match="y.npy: .* not as long as its shape"):
        npy_directory(tmp_path)
    with pytest.raises(OptionError, match="give the directory that holds x.npy and y"):
        load_dataset(tmp_path / "x.npy")


def test_arrays_in_memory():
    data = from_arrays(IMAGES[..., 0], ["cat", "dog"] * 10, name="pets")
    assert (data.name, data.classes, data.input_shape) == (
        "pets", ("cat", "dog"), (4, 5, 1),
    )  # fmt: skip
    assert data.labels.tolist() == LABELS.tolist()
    values = from_arrays(IMAGES, LABELS, task="regression")
    assert values.task == "regression"
    with pytest.raises(DataError, match=r"^data: y is datetime64.* labels must be"):
        from_arrays(IMAGES, np.zeros(20, "datetime64[s]"))
