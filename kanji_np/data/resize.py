"""Images at another resolution, in integers: the same bytes on every machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kanji_np.checks import pair
from kanji_np.data.dataset import Dataset
from kanji_np.errors import DataError
from kanji_np.types import Shape, shape_text

MOST_PIXELS = 4096  # of a side
CHUNK = 512  # images that are made real numbers at a time


def resized(data: Dataset, size: tuple[int, int]) -> Dataset:
    """The same images at another height and width.

    Each new pixel is the mean of the area that it covers, rounded half up. Smaller
    images alias nothing; larger ones get blocks.

    Parameters
    ----------
    data : Dataset
        Of uint8 images (N, H, W, C).
    size : (int, int)
        Height and width [pixels].

    Returns
    -------
    Dataset
        uint8 (N, height, width, C).

    Raises
    ------
    DataError
        They are no uint8 images.
    OptionError
        A side is out of range.

    Notes
    -----
    On a grid of ``old * new`` parts each pixel covers whole parts, so that all weights
    are integers. Their sums stay below 2^53, where float64 is exact.
    """
    height, width = pair("size", size, 1, MOST_PIXELS)
    images = data.images
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(
            f"{data.name}: only uint8 images (N, H, W, C) have a resolution, got "
            f"{images.dtype} of shape {images.shape}"
        )
    n, old_height, old_width, channels = images.shape
    if (height, width) == (old_height, old_width):
        return data
    rows, columns = _overlaps(old_height, height), _overlaps(old_width, width)
    area = old_height * old_width
    made = np.empty((n, height, width, channels), np.uint8)
    for begin in range(0, n, CHUNK):
        part = images[begin : begin + CHUNK].astype(np.float64)
        # (N,H,W,C) -> (N,height,W*C) -> (N*height,W,C) -> (N*height,width,C)
        part = rows @ part.reshape(len(part), old_height, old_width * channels)
        part = columns @ part.reshape(-1, old_width, channels)
        means = (part + area // 2) // area
        made[begin : begin + CHUNK] = means.reshape(-1, height, width, channels)
    return replace(data, images=made)


def fitted(data: Dataset, shape: Shape) -> Dataset:
    """The same images at the resolution that a network takes.

    What is no uint8 images, or differs in channels, is the same set: who takes it says
    what does not fit.

    Parameters
    ----------
    data : Dataset
    shape : tuple of int
        Of one input of the network: (H, W, C).

    Returns
    -------
    Dataset
        `data` itself where nothing is resized.
    """
    has_resolution = data.images.dtype == np.uint8 and len(data.input_shape) == 3
    if not has_resolution or data.input_shape[2:] != shape[2:]:
        return data
    return resized(data, (shape[0], shape[1]))


def resizing_text(old: Dataset, new: Dataset) -> str:
    """What `fitted` did: "images 32x32 resized to 24x24"; empty if nothing."""
    if new is old:
        return ""
    sizes = (shape_text(data.input_shape[:2]) for data in (old, new))
    return "images {} resized to {}".format(*sizes)


def _overlaps(old: int, new: int) -> np.ndarray:
    """How many parts of each new pixel each old one covers, float64 (new, old)."""
    ends = np.minimum.outer(np.arange(1, new + 1) * old, np.arange(1, old + 1) * new)
    begins = np.maximum.outer(np.arange(new) * old, np.arange(old) * new)
    return np.maximum(ends - begins, 0).astype(np.float64)
