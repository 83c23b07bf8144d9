"""The loop of `Augment.apply`, in a module of its own so that Numba loads late.

It runs on one thread and lets go of Python's lock: batches are made beside a training
step, and some of Numba's threading layers abort when two threads enter parallel loops.
"""

from __future__ import annotations

import numpy as np
from numba import njit


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
    for b in range(n):
        top, left, mirror = draws[b, 0], draws[b, 1], draws[b, 2]
        row, column = draws[b, 3] - cutout // 2, draws[b, 4] - cutout // 2
        for y in range(height):
            for x in range(width):
                from_y = y + top
                from_x = (width - 1 - x if mirror else x) + left
                hidden = (
                    row <= y < row + cutout and column <= x < column + cutout
                ) or not (0 <= from_y < height and 0 <= from_x < width)
                for c in range(channels):
                    out[b, y, x, c] = (
                        fill[c] if hidden else images[b, from_y, from_x, c]
                    )
