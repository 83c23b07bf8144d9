"""Batch normalization: there while a network is trained, folded before it is deployed.

    mean[c], var[c] = mean and variance of Z[..., c] over the batch
    Y = gamma[c] (Z - mean[c]) / sqrt(var[c] + epsilon) + beta[c]

Z is the output of a convolution or dense layer without bias, so Y is that of the same
layer with the weights W[o] k[o] and the bias beta[o] - mean[o] k[o],

    k = gamma / sqrt(var + epsilon)

which is what the device gets (`fold`): no operator, no instruction, no byte.

Layouts: Z (..., C), all statistics and parameters (C,). Sums are float64, in an order
that does not depend on the number of threads.

References: Ioffe and Szegedy, "Batch Normalization", 2015; Jacob et al., 2018, section
3.2, for folding while training.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kanji_np.jit import njit
from kanji_np.loops import buffers
from kanji_np.loops.requantize import Bounds
from kanji_np.loops.threads import run, shares
from kanji_np.quantize import by_output
from kanji_np.types import LinearParams, Saved

EPSILON = 1e-3  # Keras's


class Statistics(NamedTuple):
    """Mean and variance of each channel, float (C,)."""

    mean: np.ndarray
    var: np.ndarray

    @property
    def inverse(self) -> np.ndarray:
        """1 / sqrt(var + epsilon), (C,)."""
        return 1 / np.sqrt(self.var + np.asarray(EPSILON, self.var.dtype))


def statistics(z: np.ndarray) -> Statistics:
    """Of a batch (N, ..., C), in its dtype."""
    rows = z.reshape(len(z), -1, z.shape[-1])  # (N, ..., C) -> (N, M, C)
    count = z.size // z.shape[-1]
    parts = np.zeros((2, shares(len(z)), z.shape[-1]))
    run(_add_up, len(z), rows, parts[0])
    mean = (parts[0].sum(axis=0) / count).astype(z.dtype)
    run(_add_squares, len(z), rows, mean, parts[1])
    with np.errstate(over="ignore"):  # `BatchNorm` refuses what is not finite
        return Statistics(mean, (parts[1].sum(axis=0) / count).astype(z.dtype))


def normalize(
    z: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    s: Statistics,
    bounds: Bounds = (-math.inf, math.inf),
) -> np.ndarray:
    """Y of Z (N, ..., C), kept between two bounds; same shape and dtype."""
    k = gamma * s.inverse
    y = buffers.empty(z.shape, z.dtype)
    # (N, ..., C) -> (N, M, C)
    rows, out = (a.reshape(len(z), -1, z.shape[-1]) for a in (z, y))
    low, high = map(z.dtype.type, bounds)
    run(_normalize, len(z), rows, k, beta - s.mean * k, low, high, out)
    return y


def fold(
    weight: np.ndarray, gamma: np.ndarray, beta: np.ndarray, s: Statistics
) -> LinearParams:
    """Weight and bias of the layer with its normalization."""
    k = gamma * s.inverse
    return LinearParams(by_output(k, weight) * weight, beta - s.mean * k)


def vjp(
    z: np.ndarray, s: Statistics, saved: Saved, gy: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients through normalization by the batch's own statistics.

    gY counts where the layer's output `saved.y` was not clamped. With
    zhat = (Z - mean) / sqrt(var + epsilon) and M elements a channel,

        gbeta = sum gY,   ggamma = sum gY zhat
        gZ = k (gY - gbeta / M - zhat ggamma / M)

    Returns
    -------
    gZ / k, ggamma, gbeta: k is left out because whoever goes on to multiply by folded
    weights has it in them.
    """
    channels = z.shape[-1]
    count = gy.dtype.type(z.size // channels)
    gz = buffers.empty(gy.shape, gy.dtype)
    # (N, ..., C) -> (N, M, C)
    rows, grows, yrows, out = (
        a.reshape(len(z), -1, channels) for a in (z, gy, saved.y, gz)
    )
    parts = np.zeros((2, shares(len(z)), channels))
    limits = map(saved.y.dtype.type, (saved.low, saved.high))
    run(_let_through, len(z), rows, grows, yrows, *limits, s.mean, out, *parts)
    gbeta, products = parts.sum(axis=1)
    ggamma, gbeta = (a.astype(gy.dtype) for a in (products * s.inverse, gbeta))
    slope = -ggamma * s.inverse / count
    run(_pull, len(z), rows, s.mean, slope, -gbeta / count, out)
    return gz, ggamma, gbeta


def fold_vjp(
    weight: np.ndarray, gamma: np.ndarray, s: Statistics, gfolded: LinearParams
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of weight, gamma and beta from those of what `fold` gave."""
    per_row = (gfolded.weight * weight).reshape(len(weight), -1).sum(axis=1)
    ggamma = (per_row - gfolded.bias * s.mean) * s.inverse
    return by_output(gamma * s.inverse, weight) * gfolded.weight, ggamma, gfolded.bias


@njit(cache=True, nogil=True)
def _add_up(begin, end, edges, z, parts):
    for share in range(begin, end):
        sums = parts[share]
        for n in range(edges[share], edges[share + 1]):
            for m in range(z.shape[1]):
                for c in range(z.shape[2]):
                    sums[c] += z[n, m, c]


@njit(cache=True, nogil=True)
def _add_squares(begin, end, edges, z, mean, parts):
    for share in range(begin, end):
        sums = parts[share]
        for n in range(edges[share], edges[share + 1]):
            for m in range(z.shape[1]):
                for c in range(z.shape[2]):
                    off = z[n, m, c] - mean[c]
                    sums[c] += off * off


@njit(cache=True, nogil=True)
def _normalize(begin, end, edges, z, slope, offset, low, high, y):
    for n in range(edges[begin], edges[end]):
        for m in range(z.shape[1]):
            for c in range(z.shape[2]):
                value = z[n, m, c] * slope[c] + offset[c]
                value = low if value < low else value  # what is not a number stays
                y[n, m, c] = high if value > high else value


@njit(cache=True, nogil=True)
def _let_through(begin, end, edges, z, gy, y, low, high, mean, gz, sums, products):
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
def _pull(begin, end, edges, z, mean, slope, offset, gz):
    for n in range(edges[begin], edges[end]):
        for m in range(z.shape[1]):
            for c in range(z.shape[2]):
                gz[n, m, c] += (z[n, m, c] - mean[c]) * slope[c] + offset[c]
