"""Samples as people have them, made into those of a `Dataset`.

What is certain is done; what could have been meant otherwise is done with a note; and
what would be wrong is refused with what to do.
"""

from __future__ import annotations

import numpy as np

from kanji_np.data.notes import note
from kanji_np.errors import DataError

PIXELS = (1, 3)  # channels of pictures
RGB = 3
#: How far 255 times k / 255 may be off that was rounded to float16, and how many
#: different k are too few to tell images from what has some levels by chance.
NEAR, FEW_STEPS = 0.13, 16
#: Of a signal (N, C, T), which has its axes in another order.
MOST_CHANNELS = 16
SAMPLES = 4096  # values that are looked at before all are
#: The brightest pixel of pictures is at least so bright, of 255.
BRIGHT = 100


def samples_of(array: np.ndarray, name: str) -> np.ndarray:
    """Samples of a Dataset.

    Parameters
    ----------
    array : ndarray (N, ...)
        Of any byte order and layout.
    name : str
        Stands at the head of messages: a file and the name of the array.

    Returns
    -------
    uint8, int8, int16 or float32 (N, ...)
        In the machine's byte order, the last axis innermost. Grey images get a channel.

    Raises
    ------
    DataError
        They are no samples: of an odd dtype, too large, or with channels first.

    Warns
    -----
    DataWarning
        They could have been meant otherwise.
    """
    if array.dtype.kind not in "iuf":
        raise DataError(f"{name} is {array.dtype}; {WANTED}")
    if array.ndim not in (2, 3, 4):
        raise DataError(
            f"{name} is {array.dtype} {array.shape}; samples are (N, H, W, C), (N, H, "
            "W), (N, T, C) or (N, K), the number of samples first"
        )
    _check_layout(array, name)
    if array.dtype.kind == "f":
        found = _of_reals(array, name)
    elif array.dtype in (np.uint8, np.int8, np.int16):
        found = array
    else:
        found = _of_integers(array, name)
    if found.dtype == np.uint8 and found.ndim == 3:
        found = found[..., None]  # (N, H, W) -> (N, H, W, 1)
    return np.ascontiguousarray(found, found.dtype.newbyteorder("="))


WANTED = (
    "samples are uint8, 0 to 255, of images, or floating, int16 or int8 of other data"
)


def _check_layout(array: np.ndarray, name: str) -> None:
    """Axes in another order: of images refused, of signals a note."""
    shape = array.shape
    if array.ndim == 4 and shape[1] in PIXELS and min(shape[2:]) > 4:
        raise DataError(
            f"{name} is {shape}, with channels first: they come last, which is "
            "x.transpose(0, 2, 3, 1)"
        )
    is_signal = array.ndim == 3 and array.dtype != np.uint8
    if is_signal and shape[1] <= MOST_CHANNELS and shape[2] >= 4 * shape[1]:
        note(
            f"{name} is {shape}: taken as {shape[1]} steps in time of {shape[2]} "
            "channels; if time comes last, give x.transpose(0, 2, 1)"
        )


def _of_reals(array: np.ndarray, name: str) -> np.ndarray:
    """float32, or uint8 where they are pixels as real numbers."""
    with np.errstate(over="ignore"):  # `Dataset` refuses what is not finite
        values = array.astype(np.float32)
    is_image = array.ndim == 4 and array.shape[3] in PIXELS
    if array.ndim > 2 and values.size:
        if (is_image or array.ndim == 3) and _are_steps(values, 255):
            note(f"{name} holds k / 255, 0 to 1: taken as images, uint8 0 to 255")
            return np.rint(values * 255).astype(np.uint8)
        if is_image and array.shape[3] == RGB and _are_steps(values, 1):
            note(f"{name} holds whole numbers, 0 to 255: taken as images, uint8")
            return values.astype(np.uint8)
    if is_image and array.shape[3] == RGB and _may_be_pixels(values):
        note(
            f"{name} is {array.dtype} {array.shape}: taken as real values, not as "
            "images, which are uint8"
        )
    return values


def _may_be_pixels(values: np.ndarray) -> bool:
    """Whether all lie where pixels do that were only scaled: 0 to 255, or -1 to 1."""
    low, high = values.min(initial=0), values.max(initial=0)
    return bool(0 <= low and BRIGHT <= high <= 255 or -1 <= low and high <= 1)


def _are_steps(values: np.ndarray, factor: int) -> bool:
    """Whether all are k / factor with k a pixel, 0 to 255, of which there are many."""
    low, high = values.min(), values.max()
    if not (low >= 0 and high * factor <= 255 + NEAR):  # also of NaN
        return False
    flat = values.reshape(-1)
    for part in (flat[:: max(len(flat) // SAMPLES, 1)], flat):
        steps = part * np.float32(factor)
        if (abs(steps - np.rint(steps)) > NEAR).any():
            return False
        if len(np.unique(np.rint(steps))) <= FEW_STEPS:
            return False
    return True


def _of_integers(array: np.ndarray, name: str) -> np.ndarray:
    """Integers of another width: pixels, a sensor's own integers, or real values."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    is_pixel = low >= 0 and high <= 255
    if array.ndim == 4 and array.shape[3] in PIXELS:
        if not is_pixel:
            raise DataError(
                f"{name} is {array.dtype} and holds {low} to {high}; {WANTED}"
            )
        note(f"{name} is {array.dtype} and holds 0 to 255: taken as images, uint8")
        return array.astype(np.uint8)
    if array.ndim == 3 and is_pixel:
        note(
            f"{name} is {array.dtype} {array.shape}: taken as signals (N, T, C); grey "
            "images are uint8"
        )
    limits = np.iinfo(np.int16)
    if limits.min <= low and high <= limits.max:
        return array.astype(np.int16)
    if max(-low, high) > 2**24:
        raise DataError(f"{name} is {array.dtype} and holds {low} to {high}; {WANTED}")
    return array.astype(np.float32)  # exact up to 2^24
