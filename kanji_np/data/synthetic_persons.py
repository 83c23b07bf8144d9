"""Whether somebody is in the picture: drawn by rule, 96x96 pixels in colour.

A person is a head on a trunk with two arms and two legs, of any size and stance,
anywhere before a wall. Clothes have any colour, skin is light to dark brown. Balls,
boxes and rods of any colour lie about in all pictures; where there is nobody there are
more of them.

Simplifications: everybody is seen from the front and whole; nothing stands in front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.data.augment import Augment
from kanji_np.data.dataset import Dataset
from kanji_np.data.drawing import (
    Numbers,
    check_counts,
    draw_rows,
    noise,
    paint,
    random_words,
    to_uint8,
)

SIDE = 96  # [pixels]
N_PARAMETERS = 49  # random words that place and colour one picture
N_NOISE_WORDS = SIDE * SIDE * 3 // 8
BLOCK = 8
SKIN = np.array([240, 190, 160], np.float32).reshape(3, 1, 1)  # the lightest

CLASSES = ("nobody", "person")


@dataclass(frozen=True)
class Limb:
    """A round-ended stroke of a person, in heights of the person.

    Parameters
    ----------
    x, y : float
        Where it starts, from the top of the head; right and down.
    length, radius : float
    turns : (least, most)
        Tangent of half the angle between it and straight down, outwards.
    """

    x: float
    y: float
    length: float
    radius: float
    turns: tuple[float, float] = (0.0, 0.0)


# Legs, trunk, arms and head: each of one colour, and over the one before.
GARMENTS = (
    (
        Limb(-0.06, 0.55, 0.40, 0.050, (0.0, 0.15)),
        Limb(0.06, 0.55, 0.40, 0.050, (0.0, 0.15)),
    ),
    (Limb(0.0, 0.28, 0.22, 0.110),),
    (
        Limb(-0.12, 0.24, 0.30, 0.040, (0.05, 1.5)),
        Limb(0.12, 0.24, 0.30, 0.040, (0.05, 1.5)),
        Limb(0.0, 0.08, 0.02, 0.090),
    ),
)


def synthetic_persons(
    train: int = 1200, test: int = 400, seed: int = 0
) -> tuple[Dataset, Dataset]:
    """Draw the training and the test images.

    Parameters
    ----------
    train, test : int
        Numbers of images. There is somebody in every second one; image i does not
        depend on these, so a smaller set is the beginning of a larger one.
    seed : int
        Not negative. Train and test come from two separate streams of this seed.

    Returns
    -------
    train, test : Dataset
        Images of shape (N, 96, 96, 3).

    Raises
    ------
    OptionError
        A count or the seed is negative.
    """
    train, test, seed = check_counts("synthetic-persons", train, test, seed)
    return _draw_set(train, (4, seed)), _draw_set(test, (5, seed))


def _draw_set(n: int, entropy: tuple[int, int]) -> Dataset:
    images = np.empty((n, SIDE, SIDE, 3), np.uint8)
    words = random_words(n, N_PARAMETERS + N_NOISE_WORDS, entropy)

    def draw(label: int, rows: slice) -> None:
        images[rows] = _draw(CLASSES[label], words[rows])

    draw_rows(n, len(CLASSES), BLOCK, draw)
    labels = np.arange(n, dtype=np.int64) % len(CLASSES)
    # Somebody a few pixels to the side, or mirrored, is still there.
    augment = Augment(crop_padding=4, flip=True, fill=128)
    return Dataset(images, labels, CLASSES, "synthetic-persons", augment)


def _draw(name: str, words: np.ndarray) -> np.ndarray:
    """Draw one picture of a class per row of random words: uint8 (B, 96, 96, 3)."""
    numbers = Numbers(words[:, :N_PARAMETERS], n_axes=2)  # each (B, 1, 1)
    between, colour = numbers.between, numbers.colour
    centres = np.arange(SIDE, dtype=np.float32)
    x, y = centres[None, None, :], centres[None, :, None]

    wall = between(60, 196)[:, None] + colour(-20, 20)
    slope = between(-0.5, 0.5) * (x - SIDE / 2) + between(-0.5, 0.5) * (y - SIDE / 2)
    image = wall + slope[:, None]  # (B, 3, 96, 96)
    for thing in THINGS * (1 if name == "person" else 2):
        paint(image, thing(numbers, x, y), colour(0, 256))
    if name == "person":
        skin = between(0.45, 1)[:, None] * SKIN
        for distance, ink in zip(
            _person(numbers, x, y), (colour(0, 256), colour(0, 256), skin), strict=True
        ):
            paint(image, distance, ink)

    grain = noise(words[:, N_PARAMETERS:]).reshape(-1, 3, SIDE, SIDE)
    image += grain * between(0, 0.1)[:, None]
    return to_uint8(image).transpose(0, 2, 3, 1)  # (B, 96, 96, 3)


# A figure: (numbers, x, y) -> distance to its edge, float32 (B, 96, 96) [pixels].


def _ball(numbers: Numbers, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    u, v = x - numbers.between(0, SIDE), y - numbers.between(0, SIDE)
    return np.sqrt(u * u + v * v) - numbers.between(2, 10)


def _box(numbers: Numbers, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    u, v = x - numbers.between(0, SIDE), y - numbers.between(0, SIDE)
    return np.maximum(abs(u) - numbers.between(2, 10), abs(v) - numbers.between(2, 10))


def _rod(numbers: Numbers, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    u, v = x - numbers.between(0, SIDE), y - numbers.between(0, SIDE)
    length, radius = numbers.between(10, 30), numbers.between(2, 5)
    return _stroke(u, v, numbers.between(-1, 1), length) - radius


THINGS = (_ball, _box, _rod)


def _person(numbers: Numbers, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Legs; trunk; arms and head."""
    height = numbers.between(64, 94)
    top = numbers.between(0, 1) * (SIDE - height)
    middle = numbers.between(0, 1) * (SIDE - 0.7 * height) + 0.35 * height
    figures = []
    for garment in GARMENTS:
        edges = []
        for limb in garment:
            turn = numbers.between(*limb.turns) * (1 if limb.x > 0 else -1)
            u, v = x - (middle + limb.x * height), y - (top + limb.y * height)
            stroke = _stroke(u, v, turn, limb.length * height)
            edges.append(stroke - limb.radius * height)
        figures.append(np.minimum.reduce(edges))
    return figures


def _stroke(
    u: np.ndarray, v: np.ndarray, turn: np.ndarray, length: np.ndarray
) -> np.ndarray:
    """Distance to a line of some length that starts at the origin.

    `turn` is the tangent of half the angle between it and straight down.
    """
    cosine, sine = (1 - turn * turn) / (1 + turn * turn), 2 * turn / (1 + turn * turn)
    along = np.clip(u * sine + v * cosine, 0, length)
    u, v = u - along * sine, v - along * cosine
    return np.sqrt(u * u + v * v)
