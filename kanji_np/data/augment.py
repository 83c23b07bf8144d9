"""Random changes of a batch of images, or of signals, that leave what they show.

Each is a frozen dataclass with a method `apply`, which draws all that is random from
the generator that it is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kanji_np.checks import hold_number, integer
from kanji_np.errors import OptionError, ShapeError

MOST_PIXELS = 9999  # beyond the side of any image
#: Fixed point of angles and of factors of colours.
ANGLE_BITS, COLOUR_BITS = 14, 12
#: Sides of an erased rectangle, as parts of the image's.
ERASED = (1 / 8, 1 / 2)
#: A field that came later: where it is off, a run is the one it was before.
ADDED = {"added": True}


@dataclass(frozen=True)
class Augment:
    """What may happen to a training image: rotation and colours first, then the rest in
    this order.

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
    rotation : float
        Turn by up to this angle either way [degrees], at most 180. Corners that nothing
        falls on have the value `fill`.
    brightness, contrast, saturation : float
        Multiply the values, their distance from the mean of the image, and their
        distance from the grey of the pixel by a factor in 1 - this .. 1 + this, at
        most 1. Only images of three channels have a saturation.
    erasing : float
        Probability that a rectangle is painted over, with sides of an eighth to a half
        of the image's.

    Raises
    ------
    OptionError
        A value is negative or too large, or a fill is not in 0..255.

    References
    ----------
    T. DeVries and G. W. Taylor, "Improved Regularization of Convolutional Neural
    Networks with Cutout", 2017. Z. Zhong et al., "Random Erasing Data Augmentation",
    2017.
    """

    crop_padding: int = 4
    flip: bool = True
    cutout: int = 0
    fill: int | tuple[int, ...] = 0
    rotation: float = field(default=0.0, metadata=ADDED)
    brightness: float = field(default=0.0, metadata=ADDED)
    contrast: float = field(default=0.0, metadata=ADDED)
    saturation: float = field(default=0.0, metadata=ADDED)
    erasing: float = field(default=0.0, metadata=ADDED)

    def __post_init__(self) -> None:
        for option in ("crop_padding", "cutout"):
            value = integer(f"augment: {option}", getattr(self, option), 0, MOST_PIXELS)
            object.__setattr__(self, option, value)
        hold_number(self, "rotation", 0, 180)
        for option in ("brightness", "contrast", "saturation", "erasing"):
            hold_number(self, option, 0, 1)
        is_several = isinstance(self.fill, tuple | list | np.ndarray)
        fills: Any = self.fill if is_several else (self.fill,)
        for fill in fills:
            integer("augment: fill", fill, 0, 255)

    @classmethod
    def none(cls) -> Augment:
        """Leave every image as it is."""
        return cls(crop_padding=0, flip=False, cutout=0)

    @classmethod
    def parse(cls, text: str) -> Augment:
        """The augmentation that a list of words names.

        Parameters
        ----------
        text : str
            Words with commas between them, each with a strength if it takes one, as
            "mirror,crop=4,rotation=10". "mirror"; "crop" (4 pixels); "cutout" (8
            pixels, the side); "rotation" (10 degrees); "colour" (0.2: brightness,
            contrast and saturation) or one of these three; "erasing" (0.25). "none"
            stands for no augmentation.

        Raises
        ------
        OptionError
            A word is none of these, comes twice, or its strength is out of range.
        """
        told = _parsed(text, IMAGE_WORDS)
        off = {"crop_padding": 0, "flip": False, "cutout": 0}
        for name in ("crop_padding", "cutout"):
            if name in told and not float(told[name]).is_integer():
                raise OptionError(
                    f"augment: {name} is a whole number of pixels, got {told[name]:g}"
                )
            told |= {name: int(told[name])} if name in told else {}
        return cls(**{**off, **told, "flip": "flip" in told})  # type: ignore[arg-type]

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Augment a batch.

        Parameters
        ----------
        images : ndarray of uint8, (B, H, W, C)
        rng : Generator
            Gives five numbers for each image: two for the crop, the flip, and two for
            the square. Then, if anything else is on, nine more: the angle, the three
            factors of colours, whether something is erased, and its sides and place.

        Returns
        -------
        ndarray of uint8, (B, H, W, C)
            A new array.

        Raises
        ------
        ShapeError
            `images` is not uint8 of four axes, or `fill` has another number of
            channels.

        Notes
        -----
        All is computed in integers, from the numbers that were drawn: images are turned
        with bilinear weights of 8 bits, and colours have factors of 12.
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
        is_moved = self.crop_padding or self.flip or self.cutout
        strengths = (self.brightness, self.contrast, self.saturation)
        is_more = self.rotation or any(strengths) or self.erasing
        if not is_moved and not is_more:
            return images.copy()

        # Numba takes a second to import; those who do not augment do not wait for it.
        from kanji_np.loops import augment as loops

        fill = np.broadcast_to(fill, channels).copy()
        source = np.ascontiguousarray(images)
        more = rng.random((n, 9)) if is_more else np.zeros((n, 9))
        if self.rotation:
            out = np.empty_like(source)
            loops.rotate(source, _turns(2 * more[:, 0] - 1, self.rotation), fill, out)
            source = out
        if any(strengths):
            one = 1 << COLOUR_BITS
            factors = 1 + (2 * more[:, 1:4] - 1) * strengths
            out = np.empty_like(source)
            loops.colour(source, np.rint(one * factors).astype(np.int64), out)
            source = out
        if is_moved:
            out = np.empty_like(source)
            draws -= (self.crop_padding, self.crop_padding, 0, 0, 0)
            loops.augment(source, draws, self.cutout, fill, out)
            source = out
        least, most = ERASED
        for b in np.flatnonzero(more[:, 4] < self.erasing):
            sides = least + (most - least) * more[b, 5:7]
            h, w = (
                max(int(s * size), 1)
                for s, size in zip(sides, (height, width), strict=True)
            )
            y, x = int(more[b, 7] * (height - h + 1)), int(more[b, 8] * (width - w + 1))
            source[b, y : y + h, x : x + w] = fill
        return source


def _turns(parts: np.ndarray, degrees: float) -> np.ndarray:
    """Cosine and sine of angles, int64 (N, 2) in fixed point.

    `parts`, -1 to 1, are of the largest angle. They become tangents of a quarter of the
    angle, for which products and quotients are enough: other functions differ in the
    last digit from machine to machine. Up to 45 degrees all angles are equally frequent
    to within a twentieth.
    """
    t = parts * math.tan(math.radians(degrees) / 4)
    quarter = np.stack([1 - t * t, 2 * t]) / (1 + t * t)  # of half the angle
    cosine = quarter[0] ** 2 - quarter[1] ** 2
    sine = 2 * quarter[0] * quarter[1]
    one = 1 << ANGLE_BITS
    return np.rint(one * np.stack([cosine, sine], axis=1)).astype(np.int64)


@dataclass(frozen=True)
class SignalAugment:
    """What may happen to a training signal, in this order.

    Parameters
    ----------
    shift : float
        Move it in time by up to this part of its length, either way, at most 1. What
        comes in repeats the value at the edge.
    scale : float
        Multiply it by a factor in 1 - this .. 1 + this, at most 1.
    noise : float
        Add normal noise of this part of the standard deviation that each channel has in
        the signal, at most 10.

    Raises
    ------
    OptionError
        A value is negative or too large.
    """

    shift: float = 0.1
    scale: float = 0.1
    noise: float = 0.05

    def __post_init__(self) -> None:
        hold_number(self, "shift", 0, 1)
        hold_number(self, "scale", 0, 1)
        hold_number(self, "noise", 0, 10)

    @classmethod
    def none(cls) -> SignalAugment:
        """Leave every signal as it is."""
        return cls(shift=0.0, scale=0.0, noise=0.0)

    @classmethod
    def parse(cls, text: str) -> SignalAugment:
        """The augmentation that a list of words names.

        Parameters
        ----------
        text : str
            "shift" (0.1), "scale" (0.1) and "noise" (0.05), with commas between them
            and a strength if it is another, as "shift=0.2,noise". "none" stands for no
            augmentation.

        Raises
        ------
        OptionError
            A word is none of these, comes twice, or its strength is out of range.
        """
        off = {"shift": 0.0, "scale": 0.0, "noise": 0.0}
        return cls(**{**off, **_parsed(text, SIGNAL_WORDS)})

    def apply(self, signals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Augment a batch.

        Parameters
        ----------
        signals : ndarray of float32 or int16, (B, T, ...) or (B, K)
            A vector (K,) has no time and is not moved.
        rng : Generator
            Gives two numbers for each signal, and one for each value if there is noise.

        Returns
        -------
        ndarray of the same dtype and shape
            A new array; int16 is rounded, halves to even, and clamped.

        Raises
        ------
        ShapeError
            The dtype or the number of axes is another.
        """
        if signals.dtype not in (np.float32, np.int16) or signals.ndim not in (2, 3, 4):
            raise ShapeError(
                "augment: expected float32 or int16 signals (B, T, C), (B, H, W, C) or "
                f"(B, K), got {signals.dtype} of shape {signals.shape}"
            )
        n, length = signals.shape[:2]
        draws = 2 * rng.random((n, 2)) - 1
        x = signals
        if self.shift and signals.ndim > 2:
            steps = np.rint(draws[:, 0] * self.shift * length).astype(np.int64)
            rows = np.arange(length) - steps[:, None]
            rows = np.clip(rows, 0, length - 1)  # (B, T)
            x = x[np.arange(n)[:, None], rows]
        else:
            x = x.copy()
        if not self.scale and not self.noise:
            return x
        reals = x.astype(np.float32, copy=False)
        each = (slice(None), *(None,) * (reals.ndim - 1))
        if self.scale:
            reals = reals * (1 + self.scale * draws[:, 1]).astype(np.float32)[each]
        if self.noise:
            # Over time and, of spectrograms, frequency: each channel has its own.
            axes = tuple(range(1, max(reals.ndim - 1, 2)))
            spread = reals.std(axis=axes, keepdims=True, dtype=np.float32)
            normal = rng.standard_normal(reals.shape, dtype=np.float32)
            reals = reals + np.float32(self.noise) * spread * normal
        if signals.dtype == np.int16:
            ends = np.iinfo(np.int16)
            return np.clip(np.rint(reals), ends.min, ends.max).astype(np.int16)
        return reals


#: What a network may be trained with: of images, or of other samples.
Augmentation = Augment | SignalAugment

#: What a word of `parse` sets, and to what if no strength is told.
IMAGE_WORDS: dict[str, tuple[tuple[str, ...], float]] = {
    "mirror": (("flip",), 1),
    "crop": (("crop_padding",), 4),
    "cutout": (("cutout",), 8),
    "rotation": (("rotation",), 10.0),
    "colour": (("brightness", "contrast", "saturation"), 0.2),
    "brightness": (("brightness",), 0.2),
    "contrast": (("contrast",), 0.2),
    "saturation": (("saturation",), 0.2),
    "erasing": (("erasing",), 0.25),
}
SIGNAL_WORDS: dict[str, tuple[tuple[str, ...], float]] = {
    "shift": (("shift",), 0.1),
    "scale": (("scale",), 0.1),
    "noise": (("noise",), 0.05),
}


def _parsed(
    text: str, words: dict[str, tuple[tuple[str, ...], float]]
) -> dict[str, float]:
    """The fields that a list of words sets."""
    told: dict[str, float] = {}
    if text.strip() == "none":
        return told
    for part in text.split(","):
        word, equals, strength = part.strip().partition("=")
        if word not in words or (word == "mirror" and equals):
            raise OptionError(
                f"augment: {part.strip()!r} is not one of {', '.join(words)}, or none"
            )
        names, value = words[word]
        if equals:
            try:
                value = float(strength)
            except ValueError:
                raise OptionError(
                    f"augment: the strength of {word} must be a number, got "
                    f"{strength!r}"
                ) from None
        for name in names:
            if name in told:
                raise OptionError(f"augment: {word} sets {name} for the second time")
            told[name] = value
    return told


def parse_augment(text: str, images: np.ndarray) -> Augmentation:
    """The augmentation that a list of words names, for samples of one kind.

    Parameters
    ----------
    text : str
        See `Augment.parse` for uint8 images, and `SignalAugment.parse` for float32 and
        int16 signals.
    images : ndarray
        Of a Dataset.

    Raises
    ------
    OptionError
        A word does not apply to such samples, or there is nothing for them.
    """
    if images.dtype == np.uint8 and images.ndim == 4:
        return Augment.parse(text)
    if images.dtype in (np.float32, np.int16):
        return SignalAugment.parse(text)
    raise OptionError(
        f"augment: there are uint8 images (H, W, C) and float32 or int16 signals to "
        f"augment, not {images.dtype} samples {images.shape[1:]}"
    )
