"""Pictures sorted into one folder a class, read as Pillow reads them."""

from __future__ import annotations

import contextlib
import math
import numbers
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from kanji_np import schema
from kanji_np.checks import integer, listed, shown
from kanji_np.data.dataset import Dataset
from kanji_np.data.folders import Listing, listings
from kanji_np.data.notes import note
from kanji_np.errors import DataError, FileFormatError, OptionError

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

ORIENTATION = 0x0112
MODES = {1: "L", 3: "RGB"}  # channels -> Pillow's name of the mode
GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I")
#: Grey of 16 bits a pixel; older versions of Pillow read it from PNG files as "I".
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
#: Pictures of many sizes become at most so large, in steps of so many pixels.
MOST_SIDE, SIDE_STEP = 96, 8
#: All pictures together, as uint8 [bytes].
MOST_BYTES = 2**33
WHITE = 255


@dataclass(frozen=True)
class Picture:
    """What the head of a file says.

    Parameters
    ----------
    size : (int, int)
        Height and width, as it is looked at.
    is_grey : bool
    """

    size: tuple[int, int]
    is_grey: bool


@dataclass
class Seen:
    """What pictures were that is worth a note."""

    blended: int = 0
    deep: int = 0
    highest: int = 0

    def tell(self, root: Path) -> None:
        """Say what was done with them."""
        if self.blended:
            note(f"{root}: {self.blended} transparent pictures are read on white")
        if self.deep and self.highest < 2**12:
            note(
                f"{root}: {self.deep} pictures of 16 bits hold at most {self.highest} "
                "of 65535 and are nearly black at 8 bits; scale them to the whole range"
            )


def image_folders(
    root: str | Path,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
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
        Height and width to resize to. Without it all images have the size that most of
        them have; where none is that frequent, their median height and width, of which
        the longer is 96 at most.
    channels : int, optional
        3 for colour, 1 for grey. Without it grey if all images are.
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
        Pillow is not installed, or a folder is missing or empty.
    FileFormatError
        A file is not a readable image with 8 or, if it is grey, 16 bits a channel.
    OptionError
        `size`, `channels` or `test_fraction` is out of range.

    Warns
    -----
    DataWarning
        Sizes differ, a class is empty, or a picture is transparent.

    Notes
    -----
    Images are turned as their EXIF tag says. Of an animation the first picture is
    taken. Grey of 16 bits is divided by 257. What is transparent lies on white. Colours
    become grey by the weights of ITU-R BT.601.
    """
    root = Path(root)
    is_known = isinstance(channels, numbers.Integral) and channels in MODES
    if channels is not None and not is_known:
        raise OptionError(f"{root}: channels must be 1 or 3, got {shown(channels)}")
    if size is not None:
        size = _checked_size(size, root)
    _pillow()  # fail before any file is listed
    sets = listings(root, "images")
    if size is None or channels is None:
        heads = [_head(file) for each in sets for file in each.files]
        size = size or _common_size(heads, root)
        channels = channels or (1 if all(head.is_grey for head in heads) else 3)
    count = sum(len(each.files) for each in sets)
    n_bytes = count * math.prod(size) * channels
    if n_bytes > MOST_BYTES:
        raise DataError(
            f"{root}: {count:,} images of {size[0]}x{size[1]} take {n_bytes:,} bytes; "
            "pass size=(height, width) to resize",
            arguments=("size",),
        )
    seen = Seen()
    name = root.resolve().name
    made = [_read_set(each, size, channels, name, seen) for each in sets]
    seen.tell(root)
    if len(made) == 1:
        return made[0].split(test_fraction, seed=seed)
    return made[0], made[1]


def _checked_size(size: object, root: Path) -> tuple[int, int]:
    with contextlib.suppress(OptionError, TypeError, ValueError):
        height, width = (integer("size", n, 1) for n in size)  # type: ignore[attr-defined]
        return height, width
    raise OptionError(
        f"{root}: size must be (height, width), got {shown(size)}", arguments=("size",)
    )


def _common_size(heads: list[Picture], root: Path) -> tuple[int, int]:
    """The size that all images get."""
    counts = Counter(head.size for head in heads)
    (size, most), *others = counts.most_common()
    if not others:
        return size
    if 2 * most <= len(heads):
        size = _median_size(heads)
    texts = [f"{h}x{w}" for (h, w), _ in counts.most_common()]
    note(
        f"{root}: images have {len(counts)} sizes, {listed(texts)}: all are resized to "
        f"{size[0]}x{size[1]}; --size, or size=(height, width), sets another"
    )
    return size


def _median_size(heads: list[Picture]) -> tuple[int, int]:
    """Median height and width, made smaller where they are large."""
    middle = [
        sorted(head.size[axis] for head in heads)[len(heads) // 2] for axis in (0, 1)
    ]
    shrink = min(1.0, MOST_SIDE / max(middle))
    height, width = (
        max(round(side * shrink / SIDE_STEP) * SIDE_STEP, min(side, SIDE_STEP))
        for side in middle
    )
    return height, width


def _pillow() -> ModuleType:
    try:
        import PIL.Image
    except ImportError:
        raise DataError(
            "reading image files needs Pillow: pip install 'kanji-np[images]'"
        ) from None
    return PIL


def _read_set(
    listing: Listing, size: tuple[int, int], channels: int, name: str, seen: Seen
) -> Dataset:
    images = np.empty((len(listing.files), *size, channels), np.uint8)
    for i, file in enumerate(listing.files):
        images[i] = read_image(file, size, channels, seen)
    labels = np.array(listing.labels, np.int64)
    return Dataset(images, labels, listing.classes, name)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Image]:
    """An image, of which the head is read; FileFormatError whatever goes wrong."""
    pil = _pillow()
    try:
        with schema.open_regular(file) as content, pil.Image.open(content) as opened:
            yield opened
    except FileFormatError:
        raise
    # Pillow raises many kinds on damaged bytes, and says of none that it does.
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(f"{file}: not a readable image: {text}") from error


def _head(file: Path) -> Picture:
    with _opened(file) as image:
        turn = _turn(image)
        is_on_its_side = turn is not None and turn in _sideways()
        height, width = image.height, image.width
        size = (width, height) if is_on_its_side else (height, width)
        return Picture(size, image.mode in GREY_MODES)


def read_image(
    file: Path, size: tuple[int, int] | None, channels: int, seen: Seen
) -> np.ndarray:
    """One image as uint8 (H, W, channels), turned as its EXIF tag says."""
    resampling = _pillow().Image.Resampling.BILINEAR
    with _opened(file) as opened:
        turn = _turn(opened)
        image = _of_eight_bits(opened, file, seen)
        image = _on_white(image, seen).convert(MODES[channels])
        if turn is not None:
            image = image.transpose(turn)
        if size is not None and image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), resampling)
        return np.asarray(image).reshape(image.height, image.width, channels)


def _of_eight_bits(image: Image, file: Path, seen: Seen) -> Image:
    """The same with 8 bits a channel; FileFormatError of what has no known range."""
    is_deep = image.mode in DEEP_MODES or (image.mode == "I" and image.format == "PNG")
    if is_deep:
        values = np.asarray(image).astype(np.int64)
        seen.deep += 1
        seen.highest = max(seen.highest, int(values.max()))
        eight = (values + 128) // 257  # 65535 = 255 * 257
        return _pillow().Image.fromarray(eight.astype(np.uint8))
    if image.mode[0] in "IF":  # would be cut off at 255 rather than scaled
        raise FileFormatError(
            f"{file}: expected 8 bits a channel, or 16 of grey, got an image of mode "
            f"{image.mode}"
        )
    return image


def _on_white(image: Image, seen: Seen) -> Image:
    """The same without transparency."""
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and (
        "transparency" not in image.info
    ):
        return image
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    seen.blended += 1
    below = _pillow().Image.new("RGBA", image.size, (WHITE, WHITE, WHITE, 255))
    below.alpha_composite(image)
    return below.convert("RGB")


def _sideways() -> tuple[Transpose, ...]:
    """Turns that exchange height and width."""
    turns = _pillow().Image.Transpose
    return turns.TRANSPOSE, turns.ROTATE_270, turns.TRANSVERSE, turns.ROTATE_90


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
