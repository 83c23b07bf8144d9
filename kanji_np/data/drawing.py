"""What the built-in datasets are drawn with: random words, and paint.

The words come from `random_raw`, the stream NumPy promises never to change, and they
become numbers by `+ - * /` alone, which IEEE 754 rounds exactly one way: one seed gives
the same bytes on every machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kanji_np.checks import integer


def check_counts(name: str, train: int, test: int, seed: int) -> tuple[int, int, int]:
    """The three as plain ints; OptionError if one is negative."""
    return (
        integer(f"{name}: train", train, 0),
        integer(f"{name}: test", test, 0),
        integer(f"{name}: seed", seed, 0),
    )


def random_words(n: int, width: int, entropy: tuple[int, int]) -> np.ndarray:
    """Rows of random words; fewer rows are the beginning of more.

    Parameters
    ----------
    n, width : int
    entropy : (number of the stream, seed)

    Returns
    -------
    ndarray of uint64, (n, width)
    """
    stream = np.random.PCG64(np.random.SeedSequence(entropy))
    return stream.random_raw(n * width).reshape(n, width)


class Numbers:
    """Random numbers for every item of a batch, one column of words after the other.

    Parameters
    ----------
    words : ndarray of uint64, (B, columns)
    n_axes : int
        Of the planes that are drawn; a number has the shape (B, 1, ..., 1).
    """

    def __init__(self, words: np.ndarray, n_axes: int) -> None:
        # The upper 24 bits of a word are a float32 in [0, 1) without rounding.
        units = (words >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
        self._columns = iter(units.T.reshape(-1, len(words), *(1,) * n_axes))

    def between(self, low: float, high: float) -> np.ndarray:
        """float32 in [low, high)."""
        return next(self._columns) * np.float32(high - low) + np.float32(low)

    def below(self, n: int) -> np.ndarray:
        """int64 in 0..n-1."""
        return self.between(0, n).astype(np.int64)

    def colour(self, low: float, high: float) -> np.ndarray:
        """Three numbers [low, high) as (B, 3, 1, ..., 1)."""
        return np.stack([self.between(low, high) for _ in range(3)], axis=1)


def noise(words: np.ndarray) -> np.ndarray:
    """float32 in -127.5..127.5, one for each byte of the words: (B, 8 * columns)."""
    values = words.astype("<u8").view(np.uint8).astype(np.float32)
    values -= np.float32(127.5)
    return values


def bump(distance: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """1 in the middle, 0 from `width` on."""
    return np.maximum(1 - (distance / width) * (distance / width), 0)


def paint(image: np.ndarray, distance: np.ndarray, ink: np.ndarray) -> None:
    """Lay `ink` where the distance is negative, with a soft edge of one pixel.

    Parameters
    ----------
    image : ndarray of float32, (B, 3, H, W)
        Changed in place.
    distance : ndarray of float32, (B, H, W)
        To the edge of the figure [pixels].
    ink : ndarray of float32, (B, 3, 1, 1)
    """
    cover = np.clip(0.5 - distance, 0, 1)[:, None]  # (B, 1, H, W)
    change = ink - image
    change *= cover
    np.add(image, change, out=image)


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Clamped to 0..255 in place, and cut off."""
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def draw_rows(
    n: int, n_kinds: int, block: int, draw: Callable[[int, slice], None]
) -> None:
    """Call ``draw(kind, rows)`` on threads for all rows; row i is of kind i % n_kinds.

    Parameters
    ----------
    n, n_kinds : int
    block : int
        Rows drawn at a time, so that their planes stay in the cache.
    draw : callable
        Its `rows` are a slice whose step is `n_kinds`.
    """
    step = block * n_kinds
    jobs = [
        (kind, slice(start + kind, min(start + step, n), n_kinds))
        for start in range(0, n, step)
        for kind in range(min(n_kinds, n - start))
    ]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(lambda job: draw(*job), jobs))
