"""Image files sorted into one folder a class."""

from __future__ import annotations

import contextlib
import numbers
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from kanji_np import schema
from kanji_np.checks import integer, shown
from kanji_np.data.dataset import Dataset
from kanji_np.errors import DataError, FileFormatError, OptionError

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")
ORIENTATION = 0x0112
MODES = {1: "L", 3: "RGB"}  # channels -> Pillow's name of the mode


def image_folders(
    root: str | Path,
    *,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """Read `root/{train,test}/CLASS/*.png`, or `root/CLASS/*.png` and split it.

    Classes and files are taken in the order of their names. Hidden files and files
    that are not images by their suffix are passed over.

    Parameters
    ----------
    root : path
    size : (int, int), optional
        Height and width to resize to. Without it all images must be of one size.
    channels : int
        3 for colour, 1 for grey.
    test_fraction : float
        Part of each class that goes to the test set, if `root` holds class folders.
    seed : int
        Decides which images those are.

    Returns
    -------
    train, test : Dataset
        Images of shape (N, H, W, channels).

    Raises
    ------
    DataError
        Pillow is not installed, a folder is missing or empty, or sizes differ.
    FileFormatError
        A file is not a readable image with 8 bits a channel.
    OptionError
        `size`, `channels` or `test_fraction` is out of range.
    """
    root = Path(root)
    if not isinstance(channels, numbers.Integral) or channels not in MODES:
        raise OptionError(f"{root}: channels must be 1 or 3, got {shown(channels)}")
    if size is not None:
        size = _checked_size(size, root)
    if not root.is_dir():
        raise DataError(f"{root}: no such directory")
    name = root.resolve().name
    _pillow()  # fail before any file is listed
    if (root / "train").is_dir() and (root / "test").is_dir():
        classes = _class_names(root / "train")
        strangers = sorted(set(_class_names(root / "test")) - set(classes))
        if strangers:
            raise DataError(
                f"{root / 'test' / strangers[0]}: no such class in {root / 'train'}"
            )
        train = _read_set(root / "train", classes, size, channels, name)
        test = _read_set(root / "test", classes, size, channels, name)
        if test.input_shape != train.input_shape:
            raise DataError(
                f"{root / 'test'}: images are {test.input_shape[:2]}, but "
                f"{train.input_shape[:2]} in {root / 'train'}; pass "
                f"size=(height, width) to resize",
                arguments=("size",),
            )
        return train, test
    _check_no_half(root)
    whole = _read_set(root, _class_names(root), size, channels, name)
    return whole.split(test_fraction, seed=seed)


def _checked_size(size: object, root: Path) -> tuple[int, int]:
    with contextlib.suppress(OptionError, TypeError, ValueError):
        height, width = (integer("size", n, 1) for n in size)  # type: ignore[attr-defined]
        return height, width
    raise OptionError(
        f"{root}: size must be (height, width), got {shown(size)}", arguments=("size",)
    )


def _check_no_half(root: Path) -> None:
    """DataError if there is one of train/ and test/ alone, with folders of classes."""
    for there, missing, others in (
        ("train", "test", ("val", "valid", "validation")),
        ("test", "train", ()),
    ):
        folder = root / there
        if folder.is_dir() and _are_sets(folder):
            instead = [name for name in others if (root / name).is_dir()]
            rename = f": rename {instead[0]} to be scored on it" if instead else ""
            raise DataError(
                f"{root}: holds {there} with folders of classes, but no {missing} "
                f"beside it{rename}"
            )


def _are_sets(folder: Path) -> bool:
    """Whether a folder is a set of classes, and not a class itself."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    has_images = any(entry.suffix.lower() in SUFFIXES for entry in entries)
    return not has_images and any(entry.is_dir() for entry in entries)


def _pillow() -> ModuleType:
    try:
        import PIL.Image
    except ImportError:
        raise DataError(
            "reading image files needs Pillow: pip install 'kanji-np[images]'"
        ) from None
    return PIL


def _class_names(folder: Path) -> tuple[str, ...]:
    names = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    )
    if not names:
        raise DataError(f"{folder}: holds no class folders")
    return tuple(names)


def _read_set(
    folder: Path,
    classes: tuple[str, ...],
    size: tuple[int, int] | None,
    channels: int,
    name: str,
) -> Dataset:
    files: list[Path] = []
    labels: list[int] = []
    for label, class_name in enumerate(classes):
        if not (folder / class_name).is_dir():
            continue  # only a test set may lack a class
        entries = sorted((folder / class_name).iterdir())
        found = [
            entry
            for entry in entries
            if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")
        ]
        if not found:
            raise DataError(f"{folder / class_name}: holds no images")
        files += found
        labels += [label] * len(found)
    images: np.ndarray | None = None
    for i, file in enumerate(files):
        image = read_image(file, size, channels)
        if images is None:
            images = np.empty((len(files), *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise DataError(
                f"{file}: is {image.shape[:2]}, but {images.shape[1:3]} was the size "
                f"so far; pass size=(height, width) to resize",
                arguments=("size",),
            )
        images[i] = image
    assert images is not None  # no folder without a class, no class without a file
    return Dataset(images, np.array(labels, np.int64), classes, name)


def read_image(file: Path, size: tuple[int, int] | None, channels: int) -> np.ndarray:
    """One image as uint8 (H, W, channels), turned as its EXIF tag says."""
    pil = _pillow()
    try:
        with schema.open_regular(file) as content, pil.Image.open(content) as opened:
            turn = _turn(opened)
            if opened.mode[0] in "IF":  # would be cut off at 255 rather than scaled
                raise FileFormatError(
                    f"{file}: expected 8 bits a channel, got an image of mode "
                    f"{opened.mode}"
                )
            image = opened.convert(MODES[channels])
        if turn is not None:
            image = image.transpose(turn)
        if size is not None and image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), pil.Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(image.height, image.width, channels)
    except FileFormatError:
        raise
    # Pillow raises many kinds on damaged bytes, and says of none that it does.
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(f"{file}: not a readable image: {text}") from error


def _turn(image: Image) -> Transpose | None:
    """How an image is to be turned, of all its EXIF tags the only one that matters."""
    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:  # noqa: BLE001 - so are tags, and an image is one without them
        return None
    transpose = _pillow().Image.Transpose
    turns = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_270,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_90,
    }
    return turns.get(orientation) if isinstance(orientation, int) else None
