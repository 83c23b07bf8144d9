"""Image folders: order, splits, sizes, modes, and every way they can be wrong."""

import os
import struct
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from kanji_np.data import image_folders, pictures
from kanji_np.data.pictures import Seen, read_image
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
    for channels in (1, 3):
        train, _ = image_folders(tmp_path, channels=channels)
        assert train.input_shape == (4, 6, channels)
    assert image_folders(tmp_path)[0].input_shape == (4, 6, 3)


def test_where_all_are_grey_so_is_the_set(tmp_path):
    for name, mode in (("a", "L"), ("b", "1"), ("c", "L")):
        for i in range(2):
            save(tmp_path / name / f"{i}.png", 50, channels=1)
            with Image.open(tmp_path / name / f"{i}.png") as image:
                image.convert(mode).save(tmp_path / name / f"{i}.png")
    train, _ = image_folders(tmp_path, test_fraction=0.5)
    assert train.input_shape == (4, 6, 1)
    assert train.images[:, 0, 0, 0].tolist() == [50, 0, 50]  # black and white is 0, 255
    assert image_folders(tmp_path, test_fraction=0.5, channels=3)[0].input_shape[2] == 3


def one_of_each_mode(tmp_path):
    """Pictures that are all of one colour, and what they are read as."""
    folder = tmp_path / "cat"
    folder.mkdir()
    orange = (200, 100, 50)
    plain = Image.new("RGB", (6, 4), orange)
    made = {
        "palette.png": (plain.convert("P", palette=Image.Palette.ADAPTIVE), orange),
        "clear.png": (Image.new("RGBA", (6, 4), (*orange, 0)), (255, 255, 255)),
        "half.png": (Image.new("RGBA", (6, 4), (0, 0, 0, 128)), (127, 127, 127)),
        "opaque.png": (Image.new("RGBA", (6, 4), (*orange, 255)), orange),
        "grey_clear.png": (Image.new("LA", (6, 4), (9, 0)), (255, 255, 255)),
        "bits.png": (Image.new("1", (6, 4), 1), (255, 255, 255)),
        "animated.gif": (plain.convert("P", palette=Image.Palette.ADAPTIVE), orange),
        "print.tif": (Image.new("CMYK", (6, 4), (0, 255, 255, 0)), (255, 0, 0)),
        "deep.png": (Image.fromarray(np.full((4, 6), 257 * 77, np.uint16)), (77,) * 3),
        "deep.tif": (Image.fromarray(np.full((4, 6), 257 * 77, ">u2")), (77,) * 3),
        "UPPER.PNG": (plain, orange),
        "web.webp": (Image.new("RGB", (6, 4), (0, 0, 0)), (0, 0, 0)),
        "\u00fcmlaut \U0001f431.bmp": (plain, orange),
    }
    for name, (image, _) in made.items():
        more = {}
        if name.endswith("gif"):
            more = {"save_all": True, "append_images": [Image.new("P", (6, 4))]}
        image.save(folder / name, **more)
    palette = Image.new("P", (6, 4), 1)
    palette.putpalette([*orange, 1, 2, 3])
    palette.save(folder / "hole.png", transparency=1)
    expected = {name: colour for name, (_, colour) in made.items()}
    return expected | {"hole.png": (255, 255, 255)}


def test_every_kind_of_picture(tmp_path):
    expected = one_of_each_mode(tmp_path)
    (tmp_path / "cat" / "link.png").symlink_to(tmp_path / "cat" / "UPPER.PNG")
    expected["link.png"] = expected["UPPER.PNG"]
    with pytest.warns(DataWarning) as caught:
        train, test = image_folders(tmp_path, test_fraction=0.5)
    assert [str(warning.message) for warning in caught] == [
        f"{tmp_path}: 4 transparent pictures are read on white"
    ]
    both = np.concatenate([train.images, test.images])
    colours = sorted(tuple(pixels[0, 0].tolist()) for pixels in both)
    assert colours == sorted(expected.values())
    assert (both == both[:, :1, :1]).all()


def test_a_jpeg_for_print_is_not_inverted(tmp_path):
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (6, 4), (0, 255, 255, 0)).save(path)
    red = read_image(path, None, 3, Seen()).astype(int)
    assert abs(red - (255, 0, 0)).max() <= 3  # what the codec rounds


def test_dark_pictures_of_16_bits_are_noted(tmp_path):
    for i in range(4):
        (tmp_path / "cat").mkdir(exist_ok=True)
        deep = Image.fromarray(np.full((4, 6), 1000 + i, np.uint16))
        deep.save(tmp_path / "cat" / f"{i}.png")
    with pytest.warns(DataWarning) as caught:
        image_folders(tmp_path, test_fraction=0.5)
    assert str(caught[0].message) == (
        f"{tmp_path}: 4 pictures of 16 bits hold at most 1003 of 65535 and are nearly "
        "black at 8 bits; scale them to the whole range"
    )


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
        assert np.array_equal(read_image(path, None, 3, Seen()), turned)


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


def noted(root, **options):
    """The training set, and the lines that say what was made of the folder."""
    with pytest.warns(DataWarning) as caught:
        train, _ = image_folders(root, **options)
    return train, [str(warning.message) for warning in caught]


def test_sizes_differ(tmp_path):
    fill(tmp_path)
    save(tmp_path / "dog" / "2.png", 0, size=(6, 4))
    train, lines = noted(tmp_path)
    assert train.input_shape == (4, 6, 3)  # that of most
    assert lines == [
        f"{tmp_path}: images have 2 sizes, 4x6, 6x4: all are resized to 4x6; --size, "
        "or size=(height, width), sets another"
    ]
    assert image_folders(tmp_path, size=(5, 5))[0].input_shape == (5, 5, 3)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(30, 40), (50, 60), (33, 43)], (32, 40)),
        ([(3000, 4000), (3000, 4000), (2400, 4200), (3100, 4000)], (72, 96)),
        ([(5, 300), (6, 301), (7, 302)], (6, 96)),
    ],
)
def test_of_many_sizes_one_is_chosen(tmp_path, sizes, expected):
    for i, size in enumerate(sizes * 2):
        save(tmp_path / "cat" / f"{i}.png", 9, size=size)
    train, lines = noted(tmp_path, test_fraction=0.5)
    assert train.input_shape == (*expected, 3)
    assert f"all are resized to {expected[0]}x{expected[1]};" in lines[0]


def test_the_sizes_of_training_and_test_images_are_counted_together(tmp_path):
    fill(tmp_path / "train")
    save(tmp_path / "test" / "dog" / "x.png", 7, size=(5, 5))
    train, lines = noted(tmp_path)
    assert train.input_shape == (4, 6, 3)
    assert "images have 2 sizes, 4x6, 5x5: all" in lines[0]
    assert image_folders(tmp_path, size=(5, 5))[0].input_shape == (5, 5, 3)


def test_a_turned_picture_has_the_size_it_is_looked_at(tmp_path):
    fill(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.zeros((6, 4, 3), np.uint8))
    turned.save(tmp_path / "cat" / "turned.jpg", exif=exif)
    assert image_folders(tmp_path)[0].input_shape == (4, 6, 3)  # and no note


def test_so_many_pixels_are_not_read(tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.setattr(pictures, "MOST_BYTES", 100)
    assert refused(DataError, tmp_path) == (
        f"{tmp_path}: 10 images of 4x6 take 720 bytes; pass size=(height, width) to "
        "resize"
    )


def test_what_systems_leave_behind_is_passed_over(tmp_path):
    fill(tmp_path)
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "cat/desktop.ini"):
        (tmp_path / name).write_bytes(b"\0\0\0\1Bud1")
    for name in ("__MACOSX", "@eaDir", ".ipynb_checkpoints"):
        (tmp_path / name / "cat").mkdir(parents=True)
        (tmp_path / name / "._1.png").write_bytes(b"\0\5\x16\7")
    train, _ = image_folders(tmp_path)
    assert train.classes == ("cat", "dog")


def test_an_empty_class_is_left_out_with_a_note(tmp_path):
    fill(tmp_path)
    (tmp_path / "cow").mkdir()
    (tmp_path / "ant").mkdir()
    train, lines = noted(tmp_path)
    assert train.classes == ("cat", "dog")
    ant, cow = tmp_path / "ant", tmp_path / "cow"
    assert lines == [f"{tmp_path}: no images in {ant}, {cow}: left out"]


def test_a_class_may_be_empty_in_the_test_set(tmp_path):
    fill(tmp_path / "train")
    (tmp_path / "test" / "cat").mkdir(parents=True)
    save(tmp_path / "test" / "dog" / "x.png", 7)
    train, lines = noted(tmp_path)
    assert train.classes == ("cat", "dog")
    assert lines == [f"{tmp_path}: no images in {tmp_path / 'test' / 'cat'}: left out"]


def test_files_that_are_not_read_are_counted(tmp_path):
    fill(tmp_path)
    for name in ("cat/1.heic", "cat/2.HEIC", "dog/3.mp4"):
        (tmp_path / name).write_bytes(b"")
    save(tmp_path / "dog" / "more" / "1.png", 7)
    _, lines = noted(tmp_path)
    assert lines == [
        f"{tmp_path}: passed over, as they are not read: 2 .heic, 1 .mp4, folders in "
        "classes (more)"
    ]


def test_a_letter_with_an_accent_is_one_class_however_it_is_written(tmp_path):
    composed, in_two = "caf\u00e9", "cafe\u0301"
    fill(tmp_path / "train")
    save(tmp_path / "train" / in_two / "1.png", 7)
    save(tmp_path / "test" / composed / "1.png", 7)
    train, test = image_folders(tmp_path)
    assert train.classes == test.classes == (composed, "cat", "dog")
    assert test.labels.tolist() == [0]
    save(tmp_path / "train" / composed / "1.png", 7)
    message = refused(DataError, tmp_path)
    assert message.endswith(": there are two classes of this name")


def test_a_name_that_is_no_text(tmp_path):
    fill(tmp_path)
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    assert refused(DataError, tmp_path) == (
        f"{tmp_path}: '\\udcff' is no text in UTF-8"
    )


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
    (tmp_path / "cat" / "1.heic").write_bytes(b"")
    assert refused(DataError, tmp_path) == (
        f"{tmp_path / 'cat'}: holds no images, but 1 .heic, which is not read"
    )
    save(tmp_path / "cat" / "more" / "1.png", 7)
    assert refused(DataError, tmp_path) == (
        f"{tmp_path / 'cat'}: holds no images, but the folder more; classes have no "
        "folders in them"
    )


def test_images_without_class_folders(tmp_path):
    save(tmp_path / "1.png", 7)
    assert refused(DataError, tmp_path) == (
        f"{tmp_path}: holds images, but no class folders; put those of each class into "
        "a folder of its own"
    )


@pytest.mark.parametrize("kept", [0, 20, -60])
def test_damaged_image(tmp_path, kept):
    fill(tmp_path)
    file = tmp_path / "cat" / "3.png"
    noise = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:kept])
    message = refused(FileFormatError, tmp_path)
    assert message.startswith(f"{file}: not a readable image: ")


def test_real_pixels_have_no_known_range(tmp_path):
    fill(tmp_path)
    file = tmp_path / "cat" / "deep.tif"
    Image.fromarray(np.full((4, 6), 0.5, np.float32)).save(file)
    assert refused(FileFormatError, tmp_path) == (
        f"{file}: expected 8 bits a channel, or 16 of grey, got an image of mode F"
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
