"""Whether somebody is in the picture: drawn by rule, 96x96 pixels in colour.

A person is a head on a trunk with two arms and two legs, of any size, colours and
stance, anywhere. A picture of nobody holds the same six parts lying about, each turned
and placed by itself, so that neither colours nor shapes alone say anything: their
arrangement does. Boxes and balls stand around in both.

Simplifications: everybody is seen from the front and whole; nothing stands in front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
N_THINGS = 3
N_PARAMETERS = 42 + 7 * N_THINGS  # random words that place and colour one picture
N_NOISE_WORDS = SIDE * SIDE * 3 // 8
BLOCK = 8

CLASSES = ("nobody", "person")


@dataclass(frozen=True)
class Stroke:
    """A round-ended stroke of a standing person, in heights of the person.

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


# Legs, arms and trunk, head: each of one colour, and over the one before.
GARMENTS = (
    (
        Stroke(-0.06, 0.55, 0.40, 0.050, (0.0, 0.15)),
        Stroke(0.06, 0.55, 0.40, 0.050, (0.0, 0.15)),
    ),
    (
        Stroke(-0.12, 0.24, 0.30, 0.035, (0.05, 1.5)),
        Stroke(0.12, 0.24, 0.30, 0.035, (0.05, 1.5)),
        Stroke(0.0, 0.28, 0.22, 0.100),
    ),
    (Stroke(0.0, 0.08, 0.02, 0.080),),
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
    check_counts("synthetic-persons", train, test, seed)
    return _draw_set(train, (4, seed)), _draw_set(test, (5, seed))


def _draw_set(n: int, entropy: tuple[int, int]) -> Dataset:
    images = np.empty((n, SIDE, SIDE, 3), np.uint8)
    words = random_words(n, N_PARAMETERS + N_NOISE_WORDS, entropy)

    def draw(label: int, rows: slice) -> None:
        images[rows] = _draw(CLASSES[label], words[rows])

    draw_rows(n, len(CLASSES), BLOCK, draw)
    labels = np.arange(n, dtype=np.int64) % len(CLASSES)
    return Dataset(images, labels, CLASSES, "synthetic-persons")


def _draw(name: str, words: np.ndarray) -> np.ndarray:
    """Draw one picture of a class per row of random words: uint8 (B, 96, 96, 3)."""
    numbers = Numbers(words[:, :N_PARAMETERS], n_axes=2)  # each (B, 1, 1)
    between, colour = numbers.between, numbers.colour
    centres = np.arange(SIDE, dtype=np.float32)
    x, y = centres[None, None, :], centres[None, :, None]

    wall = colour(40, 216)
    slope = between(-0.5, 0.5) * (x - SIDE / 2) + between(-0.5, 0.5) * (y - SIDE / 2)
    image = wall + slope[:, None]  # (B, 3, 96, 96)
    for i in range(N_THINGS):
        u, v = x - between(0, SIDE), y - between(0, SIDE)
        half_width, half_height = between(3, 16), between(3, 16)
        ball = np.sqrt(u * u + v * v) - half_width
        box = np.maximum(abs(u) - half_width, abs(v) - half_height)
        paint(image, box if i % 2 else ball, colour(0, 256))

    height = between(44, 80)
    left, top = between(0, 1) * SIDE, between(0, 1) * (SIDE - height)
    left = np.clip(left, 0.35 * height, SIDE - 0.35 * height)
    for garment in GARMENTS:
        distance = np.full((1, 1, 1), np.inf, np.float32)
        for stroke in garment:
            turn, side, across, down = (between(0, 1) for _ in range(4))
            if name == "person":
                t = stroke.turns[0] + turn * (stroke.turns[1] - stroke.turns[0])
                start_x, start_y = left + stroke.x * height, top + stroke.y * height
                outwards = np.float32(1 if stroke.x > 0 else -1)
            else:
                t, outwards = turn, np.where(side < 0.5, np.float32(-1), np.float32(1))
                start_x, start_y = across * SIDE, down * SIDE
            cosine, sine = (1 - t * t) / (1 + t * t), outwards * 2 * t / (1 + t * t)
            u, v = x - start_x, y - start_y
            along = np.clip(u * sine + v * cosine, 0, stroke.length * height)
            u, v = u - along * sine, v - along * cosine
            edge = np.sqrt(u * u + v * v) - stroke.radius * height
            distance = np.minimum(distance, edge)
        paint(image, distance, colour(0, 256))

    grain = noise(words[:, N_PARAMETERS:]).reshape(-1, 3, SIDE, SIDE)
    image += grain * between(0, 0.2)[:, None]
    return to_uint8(image).transpose(0, 2, 3, 1)  # (B, 96, 96, 3)
