"""Random crops, flips and cut-out squares of a batch of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kanji_np.checks import integer
from kanji_np.errors import ShapeError

MOST_PIXELS = 9999  # beyond the side of any image


@dataclass(frozen=True)
class Augment:
    """What may happen to a training image, in this order.

    Parameters
    ----------
    crop_padding : int
        Pad this many pixels on every side, then cut out the old size at a random place.
    flip : bool
        Mirror left and right with probability 1/2.
    cutout : int
        Side of a square around a random pixel that is painted over; 0 for none. Where
        the square leaves the image it is cut off.
    fill : int or tuple of int
        Padding and squares have this value, or one value for each channel. A network
        that subtracts a mean sees zeros there if this is the mean.

    Raises
    ------
    OptionError
        A value is negative, or a fill is not in 0..255.

    References
    ----------
    T. DeVries and G. W. Taylor, "Improved Regularization of Convolutional Neural
    Networks with Cutout", 2017.
    """

    crop_padding: int = 4
    flip: bool = True
    cutout: int = 0
    fill: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        for option in ("crop_padding", "cutout"):
            value = integer(f"augment: {option}", getattr(self, option), 0, MOST_PIXELS)
            object.__setattr__(self, option, value)
        is_several = isinstance(self.fill, tuple | list | np.ndarray)
        fills: Any = self.fill if is_several else (self.fill,)
        for fill in fills:
            integer("augment: fill", fill, 0, 255)

    @classmethod
    def none(cls) -> Augment:
        """Leave every image as it is."""
        return cls(crop_padding=0, flip=False, cutout=0)

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Augment a batch.

        Parameters
        ----------
        images : ndarray of uint8, (B, H, W, C)
        rng : Generator
            Gives five numbers for each image: two for the crop, the flip, and two for
            the square.

        Returns
        -------
        ndarray of uint8, (B, H, W, C)
            A new array.

        Raises
        ------
        ShapeError
            `images` is not uint8 of four axes, or `fill` has another number of
            channels.
        """
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ShapeError(
                f"augment: expected uint8 images (B, H, W, C), got {images.dtype} of "
                f"shape {images.shape}"
            )
        n, height, width, channels = images.shape
        fill = np.atleast_1d(np.array(self.fill, np.uint8))
        if len(fill) not in (1, channels):
            raise ShapeError(
                f"augment: fill has {len(fill)} values, images have {channels} channels"
            )
        # Half-open ranges; a feature that is off has only 0 to draw.
        limits = (2 * self.crop_padding + 1,) * 2 + (1 + self.flip, height, width)
        draws = rng.integers(0, limits, size=(n, 5))
        if self.crop_padding == 0 and not self.flip and self.cutout == 0:
            return images.copy()

        # Numba takes a second to import; those who do not augment do not wait for it.
        from kanji_np.loops.augment import augment

        out = np.empty_like(images, order="C")
        draws -= (self.crop_padding, self.crop_padding, 0, 0, 0)
        augment(
            np.ascontiguousarray(images),
            draws,
            self.cutout,
            np.broadcast_to(fill, channels).copy(),
            out,
        )
        return out
