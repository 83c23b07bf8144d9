"""The loops of batch normalization: sums over a batch, and what is done to each value.

Each is a kernel of `threads.run` over the images of Z (N, M, C).
"""

from __future__ import annotations

import numpy as np

from kanji_np.jit import njit


@njit(cache=True, nogil=True)
def add_up(begin, end, edges, z, parts):
    for share in range(begin, end):
        sums = parts[share]
        for n in range(edges[share], edges[share + 1]):
            for m in range(z.shape[1]):
                for c in range(z.shape[2]):
                    sums[c] += z[n, m, c]


@njit(cache=True, nogil=True)
def add_squares(begin, end, edges, z, mean, parts):
    for share in range(begin, end):
        sums = parts[share]
        for n in range(edges[share], edges[share + 1]):
            for m in range(z.shape[1]):
                for c in range(z.shape[2]):
                    off = z[n, m, c] - mean[c]
                    sums[c] += off * off


@njit(cache=True, nogil=True)
def normalize(begin, end, edges, z, slope, offset, low, high, y):
    for n in range(edges[begin], edges[end]):
        for m in range(z.shape[1]):
            for c in range(z.shape[2]):
                value = z[n, m, c] * slope[c] + offset[c]
                value = low if value < low else value  # what is not a number stays
                y[n, m, c] = high if value > high else value


@njit(cache=True, nogil=True)
def let_through(begin, end, edges, z, gy, y, low, high, mean, gz, sums, products):
    zero, channels = gy.dtype.type(0), z.shape[2]
    # Sums of one image in the gradients' own precision, of all images in float64.
    total, product = np.empty(channels, gy.dtype), np.empty(channels, gy.dtype)
    for share in range(begin, end):
        for n in range(edges[share], edges[share + 1]):
            total[:], product[:] = zero, zero
            for m in range(z.shape[1]):
                for c in range(channels):
                    value = y[n, m, c]
                    g = gy[n, m, c] if (value > low) & (value < high) else zero
                    gz[n, m, c] = g
                    total[c] += g
                    product[c] += g * (z[n, m, c] - mean[c])
            for c in range(channels):
                sums[share, c] += total[c]
                products[share, c] += product[c]


@njit(cache=True, nogil=True)
def pull(begin, end, edges, z, mean, slope, offset, gz):
    for n in range(edges[begin], edges[end]):
        for m in range(z.shape[1]):
            for c in range(z.shape[2]):
                gz[n, m, c] += (z[n, m, c] - mean[c]) * slope[c] + offset[c]
