"""Image folders: order, splits, sizes, modes, and every way they can be wrong."""

import sys

import numpy as np
import pytest
from PIL import Image

from kanji_np.data import image_folders
from kanji_np.errors import DataError, FileFormatError, OptionError


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


@pytest.mark.parametrize("size", [(0, 4), (4,), (4, 4, 3)])
def test_size_option(tmp_path, size):
    message = refused(OptionError, tmp_path, size=size)
    assert message == f"{tmp_path}: size must be (height, width), got {size}"


def test_channels_option(tmp_path):
    message = refused(OptionError, tmp_path, channels=4)
    assert message == f"{tmp_path}: channels must be 1 or 3, got 4"


def test_pillow_missing(tmp_path, monkeypatch):
    fill(tmp_path)
    for module in ("PIL", "PIL.Image", "PIL.ImageOps"):
        monkeypatch.setitem(sys.modules, module, None)
    assert refused(DataError, tmp_path) == (
        "reading image files needs Pillow: pip install 'kanji-np[images]'"
    )
