"""Ten classes of small pictures, drawn by rule: a dataset that needs no download.

One figure per 32x32 RGB image, at any place, size, tilt and pair of colours, on a
background with a gradient, specks and noise. The figure is as often lighter as darker
than its background, so no single pixel says anything about the class and a linear
classifier stays near guessing; edges and corners decide, which a convolution finds.

Every figure is a signed distance in pixels, negative inside, made of
`+ - * / abs floor min max sqrt` only, which IEEE 754 rounds exactly one way: one seed
gives the same bytes on every machine.

Simplifications: one figure per image; no perspective, no texture on the figure.
"""

from __future__ import annotations

from collections.abc import Callable

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

SIDE = 32  # [pixels]
N_SPECKS = 3
N_PARAMETERS = 14 + 6 * N_SPECKS  # random words that place and colour one image
N_NOISE_WORDS = SIDE * SIDE * 3 // 8  # one random byte for each value
BLOCK = 128  # images drawn at a time; their planes stay in the cache

SQRT_HALF = 0.70710678
# Outward normals of a triangle's edges, and of the pentagon's inside a star.
TRIANGLE = ((0.0, 1.0), (0.8660254, -0.5), (-0.8660254, -0.5))
PENTAGON = (
    (0.0, -1.0),
    (0.95105652, -0.30901699),
    (0.58778525, 0.80901699),
    (-0.58778525, 0.80901699),
    (-0.95105652, -0.30901699),
)


def _box(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(abs(u), abs(v))


def _disc(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.sqrt(u * u + v * v) - r


def _ring(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    return abs(np.sqrt(u * u + v * v) - r * 0.75) - r * 0.25


def _square(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    return _box(u, v) - r * 0.85


def _frame(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    return abs(_box(u, v) - r * 0.65) - r * 0.22


def _triangle(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    edges = [a * u + b * v for a, b in TRIANGLE]
    return np.maximum.reduce(edges) - r * 0.55


def _plus(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    short, long = np.minimum(abs(u), abs(v)), np.maximum(abs(u), abs(v))
    return np.maximum(short - r * 0.28, long - r)


def _saltire(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    return _plus((u + v) * SQRT_HALF, (u - v) * SQRT_HALF, r)


def _bars(v: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Three bars and the two gaps between them fill -0.9 r to 0.9 r."""
    period = r * 0.72
    turns = v / period + 0.5
    return (abs(turns - np.floor(turns) - 0.5) - 0.25) * period


def _stripes(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.maximum(_bars(v, r), _box(u, v) - r * 0.9)


def _checker(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    a, b = _bars(u, r), _bars(v, r)
    both_or_neither = np.minimum(np.maximum(a, b), -np.minimum(a, b))
    return np.maximum(both_or_neither, _box(u, v) - r * 0.9)


def _star(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Inside at least four of the five edges of the inner pentagon."""
    highest = second = np.full_like(u, -np.inf)
    for a, b in PENTAGON:
        edge = a * u + b * v
        second = np.maximum(second, np.minimum(highest, edge))
        highest = np.maximum(highest, edge)
    return second - r * 0.36


# Class name and figure: (u, v, r) -> distance, where u points right and v down, both
# (B, 32, 32), from the figure's own centre, and r (B, 1, 1) is its radius [pixels].
FIGURES: tuple[tuple[str, Callable[..., np.ndarray]], ...] = (
    ("disc", _disc),
    ("ring", _ring),
    ("square", _square),
    ("frame", _frame),
    ("triangle", _triangle),
    ("plus", _plus),
    ("saltire", _saltire),
    ("stripes", _stripes),
    ("checker", _checker),
    ("star", _star),
)


def synthetic(
    train: int = 8000, test: int = 2000, seed: int = 0
) -> tuple[Dataset, Dataset]:
    """Draw the training and the test images.

    Parameters
    ----------
    train, test : int
        Numbers of images. Image i is of class i % 10 and does not depend on these, so
        a smaller set is the beginning of a larger one.
    seed : int
        Not negative. Train and test come from two separate streams of this seed.

    Returns
    -------
    train, test : Dataset
        Images of shape (N, 32, 32, 3).

    Raises
    ------
    OptionError
        A count or the seed is negative.
    """
    train, test, seed = check_counts("synthetic", train, test, seed)
    return _draw_set(train, (0, seed)), _draw_set(test, (1, seed))


def _draw_set(n: int, entropy: tuple[int, int]) -> Dataset:
    images = np.empty((n, SIDE, SIDE, 3), np.uint8)
    words = random_words(n, N_PARAMETERS + N_NOISE_WORDS, entropy)

    def draw(figure: int, rows: slice) -> None:
        images[rows] = _draw(FIGURES[figure][1], words[rows])

    draw_rows(n, len(FIGURES), BLOCK, draw)
    labels = np.arange(n, dtype=np.int64) % len(FIGURES)
    names = tuple(name for name, _ in FIGURES)
    return Dataset(images, labels, names, "synthetic")


def _draw(figure: Callable[..., np.ndarray], words: np.ndarray) -> np.ndarray:
    """Draw one image per row of random words.

    Parameters
    ----------
    figure : callable
        One of `FIGURES`.
    words : ndarray of uint64, (B, N_PARAMETERS + N_NOISE_WORDS)

    Returns
    -------
    ndarray of uint8, (B, 32, 32, 3)
    """
    numbers = Numbers(words[:, :N_PARAMETERS], n_axes=2)  # each (B, 1, 1)
    between, colour = numbers.between, numbers.colour
    centres = np.arange(SIDE, dtype=np.float32) - np.float32((SIDE - 1) / 2)
    x, y = centres[None, None, :], centres[None, :, None]

    dark = colour(0, 112)
    light = dark + colour(64, 144)
    swap = between(0, 1)[:, None] < 0.5  # (B, 1, 1, 1)
    paper, ink = np.where(swap, light, dark), np.where(swap, dark, light)
    slope = between(-2, 2) * x + between(-2, 2) * y  # (B, 32, 32)
    # One plane a channel until the end: rows of three would make slow loops.
    image = paper + slope[:, None]  # (B, 3, 32, 32)
    for _ in range(N_SPECKS):
        u, v = x - between(-16, 16), y - between(-16, 16)
        paint(image, _disc(u, v, between(0.5, 2.5)), colour(0, 256))

    r = between(7.5, 13)
    u, v = x - between(-1, 1) * (15 - r), y - between(-1, 1) * (15 - r)
    # Tilt by up to 14 degrees either way; t is the tangent of half the tilt.
    t = between(-0.12, 0.12)
    cosine, sine = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    paint(image, figure(cosine * u + sine * v, cosine * v - sine * u, r), ink)

    # (B, 32*32*3) -> (B, 32, 32, 3)
    grain = noise(words[:, N_PARAMETERS:]).reshape(-1, SIDE, SIDE, 3)
    image += grain.transpose(0, 3, 1, 2) * between(0, 0.25)[:, None]
    return to_uint8(image).transpose(0, 2, 3, 1)  # (B, 32, 32, 3)
