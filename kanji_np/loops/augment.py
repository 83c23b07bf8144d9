"""The loop of `Augment.apply`, in a module of its own so that Numba loads late.

It runs on one thread, beside a training step, and lets go of Python's lock.
"""

from __future__ import annotations

import numpy as np

from kanji_np.jit import njit


@njit(cache=True, nogil=True)
def augment(
    images: np.ndarray,
    draws: np.ndarray,
    cutout: int,
    fill: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write every augmented image to `out`.

    Parameters
    ----------
    images : ndarray of uint8, (B, H, W, C)
    draws : ndarray of int64, (B, 5)
        Row and column where the crop begins, in image coordinates; 1 to mirror; centre
        row and column of the square.
    cutout : int
        Side of the square [pixels].
    fill : ndarray of uint8, (C,)
    out : ndarray of uint8, (B, H, W, C)
    """
    n, height, width, channels = images.shape
    inside, pixels = images.reshape(-1), out.reshape(-1)
    line, step = width * channels, np.uint64(channels)
    for b in range(n):
        top, left, mirror = draws[b, 0], draws[b, 1], draws[b, 2]
        # Pixels first..last-1 of an output row, before it is mirrored, lie inside.
        first = min(max(-left, 0), width)
        last = max(min(width - left, width), first)
        for y in range(height):
            row = (b * height + y) * line
            source = (b * height + y + top) * line + left * channels
            if not 0 <= y + top < height:
                _paint(pixels, row, width, fill)
            elif mirror:
                _paint(pixels, row, width - last, fill)
                # Unsigned: signed indices are tested for counting from the end.
                to = np.uint64(row + (width - 1 - first) * channels)
                at = np.uint64(source + first * channels)
                for _ in range(first, last):
                    for c in range(step):
                        pixels[to + c] = inside[at + c]
                    to -= step
                    at += step
                _paint(pixels, row + (width - first) * channels, first, fill)
            else:
                _paint(pixels, row, first, fill)
                start, stop = first * channels, last * channels
                pixels[row + start : row + stop] = inside[
                    source + start : source + stop
                ]
                _paint(pixels, row + stop, width - last, fill)
        top, left = draws[b, 3] - cutout // 2, draws[b, 4] - cutout // 2
        first, last = max(left, 0), min(left + cutout, width)
        for y in range(max(top, 0), min(top + cutout, height)):
            row = (b * height + y) * line
            _paint(pixels, row + first * channels, last - first, fill)


@njit(cache=True)
def _paint(pixels: np.ndarray, start: int, count: int, fill: np.ndarray) -> None:
    for x in range(count):
        for c in range(len(fill)):
            pixels[start + x * len(fill) + c] = fill[c]
