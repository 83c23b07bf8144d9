"""Image folders: order, splits, sizes, modes, and every way they can be wrong."""

import struct
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from kanji_np.data import image_folders
from kanji_np.data.folders import _read_image
from kanji_np.errors import DataError, DataWarning, FileFormatError, OptionError


def save(path, value, size=(4, 6), channels=3):
    """An image of height, width `size`, all pixels `value`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, channels), value, np.uint8)
    Image.fromarray(pixels if channels > 1 else pixels[..., 0]).save(path)


def fill(root):
    for base, class_name in enumerate(("dog", "cat")):
        for i in range(5):
            save(root / class_name / f"{i}.png", 100 * base + i)


def test_class_folders_are_split(tmp_path):
    fill(tmp_path)
    train, test = image_folders(tmp_path, test_fraction=0.4, seed=1)
    assert train.classes == ("cat", "dog")
    assert train.name == tmp_path.name
    assert train.input_shape == (4, 6, 3)
    assert (np.bincount(train.labels).tolist(), np.bincount(test.labels).tolist()) == (
        [3, 3],
        [2, 2],
    )
    images = np.concatenate([train.images, test.images])
    labels = np.concatenate([train.labels, test.labels])
    values = images[:, 0, 0, 0]
    assert sorted(values) == [*range(5), *range(100, 105)]
    assert np.array_equal(labels, values < 100)
    assert np.all(images == values[:, None, None, None])
    again = image_folders(tmp_path, test_fraction=0.4, seed=1)[1]
    assert np.array_equal(again.images, test.images)


def test_train_and_test_folders(tmp_path):
    fill(tmp_path / "train")
    save(tmp_path / "test" / "dog" / "x.bmp", 7)
    train, test = image_folders(tmp_path)
    assert (len(train), len(test)) == (10, 1)
    assert train.labels.tolist() == [0] * 5 + [1] * 5
    assert train.images[:, 0, 0, 0].tolist() == [*range(100, 105), *range(5)]
    assert test.labels.tolist() == [1]
    assert test.classes == ("cat", "dog")


def test_what_is_not_an_image_is_passed_over(tmp_path):
    fill(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("no")
    (tmp_path / "cat" / ".hidden.png").write_text("no")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "readme.txt").write_text("no")
    train, test = image_folders(tmp_path)
    assert len(train) + len(test) == 10
    assert train.classes == ("cat", "dog")


def test_resize(tmp_path):
    fill(tmp_path)
    save(tmp_path / "cat" / "wide.jpeg", 50, size=(9, 30))
    assert image_folders(tmp_path, size=(3, 8))[0].input_shape == (3, 8, 3)


def test_channels(tmp_path):
    fill(tmp_path)
    save(tmp_path / "cat" / "grey.png", 50, channels=1)
    save(tmp_path / "cat" / "clear.png", 50, channels=4)
    for channels in (1, 3):
        train, _ = image_folders(tmp_path, channels=channels)
        assert train.input_shape == (4, 6, channels)


def test_exif_orientation(tmp_path):
    for name in ("a", "b"):
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned: 4x6 is shown as 6x4
        (tmp_path / "cat").mkdir(exist_ok=True)
        image = Image.fromarray(np.zeros((4, 6, 3), np.uint8))
        image.save(tmp_path / "cat" / f"{name}.png", exif=exif)
    assert image_folders(tmp_path, test_fraction=0.5)[0].input_shape == (6, 4, 3)


def test_all_turns_are_those_of_pillow(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        Image.fromarray(pixels).save(path, exif=exif)
        with Image.open(path) as image:
            turned = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(_read_image(path, None, 3), turned)


def exif_with(*tags):
    """EXIF bytes of tags (number, type, count, value), in the order of the file."""
    entries = b"".join(struct.pack(">HHI4s", *tag) for tag in tags)
    start = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(tags))
    return start + entries + bytes(4) + struct.pack(">ii", -1, 0)


ORIENTATION_6 = (0x0112, 3, 1, b"\0\6\0\0")


@pytest.mark.parametrize(
    "odd",
    [
        (0x011A, 10, 1, struct.pack(">I", 8 + 2 + 2 * 12 + 4)),  # rational (-1, 0)
        (0x8769, 4, 1, b"\xff\xff\xff\xff"),  # a folder of tags far outside
        (0x8825, 2, 2, b"ab\0\0"),  # one that is text
        (0x011A, 99, 1, b"abcd"),
    ],
)
def test_of_odd_exif_the_orientation_is_read_alone(tmp_path, odd):
    pixels = Image.fromarray(np.zeros((4, 6, 3), np.uint8))
    (tmp_path / "cat").mkdir()
    for name in "ab":
        path = tmp_path / "cat" / f"{name}.jpg"
        pixels.save(path, exif=exif_with(ORIENTATION_6, odd))
    assert image_folders(tmp_path, test_fraction=0.5)[0].input_shape == (6, 4, 3)


@pytest.mark.parametrize(
    "error",
    [
        struct.error("bad"), AttributeError("bad"), TypeError("bad"), OSError("bad"),
        Image.DecompressionBombError("bad"), MemoryError(),
    ],
)  # fmt: skip
def test_whatever_pillow_raises_the_file_is_named(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    fill(tmp_path)
    monkeypatch.setattr(Image.Image, "convert", fail)
    message = refused(FileFormatError, tmp_path)
    assert message.startswith(f"{tmp_path / 'cat' / '0.png'}: not a readable image: ")


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_one_half_alone_is_refused_with_what_is_missing(tmp_path, name):
    fill(tmp_path / "train")
    assert refused(DataError, tmp_path) == (
        f"{tmp_path}: holds train with folders of classes, but no test beside it"
    )
    fill(tmp_path / name)
    assert refused(DataError, tmp_path) == (
        f"{tmp_path}: holds train with folders of classes, but no test beside it: "
        f"rename {name} to be scored on it"
    )


def test_a_class_may_be_named_train(tmp_path):
    fill(tmp_path)
    (tmp_path / "cat").rename(tmp_path / "train")
    assert image_folders(tmp_path)[0].classes == ("dog", "train")


def test_a_class_that_is_not_tested_is_said(tmp_path):
    fill(tmp_path)
    save(tmp_path / "cow" / "1.png", 7)
    save(tmp_path / "cow" / "2.png", 7)
    with pytest.warns(DataWarning) as caught:
        _, test = image_folders(tmp_path)
    assert [str(warning.message) for warning in caught] == [
        f"{tmp_path.name}: the test set has no image of cow: too few for test_fraction "
        "0.2"
    ]
    assert set(test.labels) == {0, 2}


def refused(kind, root, **options):
    with pytest.raises(kind) as error:
        image_folders(root, **options)
    return str(error.value)


def test_sizes_differ(tmp_path):
    fill(tmp_path)
    save(tmp_path / "dog" / "2.png", 0, size=(6, 4))
    assert refused(DataError, tmp_path) == (
        f"{tmp_path / 'dog' / '2.png'}: is (6, 4), but (4, 6) was the size so far; "
        f"pass size=(height, width) to resize"
    )


def test_sizes_differ_between_train_and_test(tmp_path):
    fill(tmp_path / "train")
    save(tmp_path / "test" / "dog" / "x.png", 7, size=(5, 5))
    assert refused(DataError, tmp_path) == (
        f"{tmp_path / 'test'}: images are (5, 5), but (4, 6) in {tmp_path / 'train'}; "
        f"pass size=(height, width) to resize"
    )
    assert image_folders(tmp_path, size=(5, 5))[0].input_shape == (5, 5, 3)


def test_unknown_class_in_test(tmp_path):
    fill(tmp_path / "train")
    save(tmp_path / "test" / "cow" / "x.png", 7)
    assert refused(DataError, tmp_path) == (
        f"{tmp_path / 'test' / 'cow'}: no such class in {tmp_path / 'train'}"
    )


def test_nothing_there(tmp_path):
    none = tmp_path / "none"
    assert refused(DataError, none) == f"{none}: no such directory"
    assert refused(DataError, tmp_path) == f"{tmp_path}: holds no class folders"
    (tmp_path / "cat").mkdir()
    assert refused(DataError, tmp_path) == f"{tmp_path / 'cat'}: holds no images"


@pytest.mark.parametrize("kept", [0, 20, -60])
def test_damaged_image(tmp_path, kept):
    fill(tmp_path)
    file = tmp_path / "cat" / "3.png"
    noise = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:kept])
    message = refused(FileFormatError, tmp_path)
    assert message.startswith(f"{file}: not a readable image: ")


def test_sixteen_bits(tmp_path):
    fill(tmp_path)
    file = tmp_path / "cat" / "deep.png"
    Image.fromarray(np.full((4, 6), 40000, np.uint16)).save(file)
    assert refused(FileFormatError, tmp_path).startswith(
        f"{file}: expected 8 bits a channel, got an image of mode I"
    )


@pytest.mark.parametrize("size", [(0, 4), (4,), (4, 4, 3), 8, "ab", (4.0, 4)])
def test_size_option(tmp_path, size):
    message = refused(OptionError, tmp_path, size=size)
    assert message == f"{tmp_path}: size must be (height, width), got {size!r}"


def test_numpy_integers_are_sizes_and_seeds(tmp_path):
    fill(tmp_path)
    size, one, seed = np.array([3, 8]), np.uint8(1), np.int64(1)
    train, _ = image_folders(tmp_path, size=size, channels=one, seed=seed)
    assert train.input_shape == (3, 8, 1)
    assert np.array_equal(
        train.images, image_folders(tmp_path, size=(3, 8), channels=1, seed=1)[0].images
    )


def test_channels_option(tmp_path):
    message = refused(OptionError, tmp_path, channels=4)
    assert message == f"{tmp_path}: channels must be 1 or 3, got 4"


def test_pillow_missing(tmp_path, monkeypatch):
    fill(tmp_path)
    for module in ("PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, module, None)
    assert refused(DataError, tmp_path) == (
        "reading image files needs Pillow: pip install 'kanji-np[images]'"
    )
