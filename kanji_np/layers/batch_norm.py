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
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kanji_np.autograd import Tensor, record
from kanji_np.errors import RangeError
from kanji_np.loops import batch_norm as loops
from kanji_np.loops import buffers
from kanji_np.loops.requantize import Bounds
from kanji_np.loops.threads import run, shares
from kanji_np.quantize import by_output, check_values
from kanji_np.types import Saved

EPSILON = 1e-3  # Keras's; a layer whose weights come from elsewhere has theirs
# The weight of the past in moving statistics: of some twenty batches, because weights
# that change fast are folded with what they were normalized by lately.
MOMENTUM = 0.95
WARM_UPDATES = round(MOMENTUM / (1 - MOMENTUM))  # after them the past has that weight


class Statistics(NamedTuple):
    """Mean and variance of each channel, float (C,); what is added to the variance."""

    mean: np.ndarray
    var: np.ndarray
    epsilon: float = EPSILON

    @property
    def inverse(self) -> np.ndarray:
        """1 / sqrt(var + epsilon), (C,)."""
        return 1 / np.sqrt(self.var + np.asarray(self.epsilon, self.var.dtype))


def statistics(z: np.ndarray, epsilon: float = EPSILON) -> Statistics:
    """Of a batch (N, ..., C), in its dtype."""
    rows = z.reshape(len(z), -1, z.shape[-1])  # (N, ..., C) -> (N, M, C)
    count = z.size // z.shape[-1]
    parts = np.zeros((2, shares(len(z)), z.shape[-1]))
    run(loops.add_up, len(z), rows, parts[0])
    mean = (parts[0].sum(axis=0) / count).astype(z.dtype)
    run(loops.add_squares, len(z), rows, mean, parts[1])
    with np.errstate(over="ignore"):  # `BatchNorm` refuses what is not finite
        var = (parts[1].sum(axis=0) / count).astype(z.dtype)
    return Statistics(mean, var, epsilon)


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
    run(loops.normalize, len(z), rows, k, beta - s.mean * k, low, high, out)
    return y


def fold(
    weight: Tensor, gamma: Tensor, beta: Tensor, s: Statistics
) -> tuple[Tensor, Tensor]:
    """Weight and bias of the layer with its normalization, as functions of all three.

    The statistics are constants.
    """
    k = gamma * s.inverse
    rows = weight.reshape(len(weight), -1) * k.reshape(-1, 1)  # (Cout, ...) -> (Cout,K)
    return rows.reshape(weight.shape), beta - k * s.mean


@dataclass(frozen=True)
class Batch:
    """Z of a batch, float (N, ..., C), its statistics, and gamma and beta (C,)."""

    z: np.ndarray
    s: Statistics
    gamma: Tensor
    beta: Tensor

    def normalized(self, bounds: Bounds) -> np.ndarray:
        """Y, kept between two bounds; shape and dtype of Z."""
        return normalize(self.z, self.gamma.data, self.beta.data, self.s, bounds)


def of_batch(y: Tensor, batch: Batch, saved: Saved) -> Tensor:
    """The output `y` of folded weights as a function of the batch's statistics, too.

    Folding takes statistics, gamma and beta as constants. Here they are what they are
    made of; the value stays. `saved` says where it was clamped.
    """

    def pull(gy: np.ndarray) -> tuple[np.ndarray, ...]:
        return vjp(batch.z, batch.s, saved, gy)

    parents = (y, batch.gamma, batch.beta)
    return record(y.data, parents, pull, "batch normalization")


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
    gZ / k, ggamma, gbeta. The first is the gradient of k Z, which is what the folded
    weights compute.
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
    run(loops.let_through, len(z), rows, grows, yrows, *limits, s.mean, out, *parts)
    gbeta, products = parts.sum(axis=1)
    ggamma, gbeta = (a.astype(gy.dtype) for a in (products * s.inverse, gbeta))
    slope = -ggamma * s.inverse / count
    run(loops.pull, len(z), rows, s.mean, slope, -gbeta / count, out)
    return gz, ggamma, gbeta


class BatchNorm:
    """Normalization of a layer's output, which is folded into its weights.

    Attributes
    ----------
    gamma, beta : Tensor, float32 (C,)
    moving : Statistics, float32 (C,)
        Moving mean and variance: what is folded unless a batch's own are. Batches are
        normalized with its epsilon.
    updates : int
    is_frozen : bool
        Training goes on with the moving statistics as they are.
    """

    def __init__(self, channels: int) -> None:
        self.gamma = Tensor(np.ones(channels, np.float32), requires_grad=True)
        self.beta = Tensor(np.zeros(channels, np.float32), requires_grad=True)
        ones = np.ones(channels, np.float32)
        self.moving = Statistics(np.zeros(channels, np.float32), ones)
        self.updates = 0
        self.is_frozen = False

    def take_in(self, z: np.ndarray) -> Batch:
        """Z (N, ..., C) with its statistics, which the moving ones take in, too."""
        batch = Batch(z, statistics(z, self.moving.epsilon), self.gamma, self.beta)
        self.update(batch.s)
        return batch

    def update(self, s: Statistics) -> None:
        """Take in one batch's statistics, as `RangeTracker` takes in ranges."""
        past = np.float32(min(MOMENTUM, self.updates / (self.updates + 1)))
        mean, var = (
            past * old + (1 - past) * new
            for old, new in zip(self.moving[:2], s[:2], strict=True)
        )
        self.moving = self.moving._replace(mean=mean, var=var)
        self.updates += 1

    def load(self, moving: Statistics) -> None:
        """Take over statistics of many batches: the next batch is one among them."""
        self.moving = moving
        self.updates = WARM_UPDATES

    def absorb(self, weight: Tensor) -> np.ndarray:
        """Move into the weight what would make its steps larger once it is folded.

        Folded weights are k = gamma / sqrt(var + epsilon) times `weight`, and so is
        the gradient of `weight` times theirs: a step moves them k^2 times as far as it
        would if they were trained themselves. Statistics of each batch take that back;
        fixed ones do not. Channels with |k| > 1 get weights |k| times as large and the
        statistics of those, so that k is 1 or -1 and the folded weights are the same.

        Returns
        -------
        float32 (C,), the factors of the weight, 1 where it stays.
        """
        slopes = np.abs(self.gamma.data * self.moving.inverse)
        # What was rounded in an earlier call is not to be done again.
        factors = np.where(slopes > 1 + 1e-5, slopes, 1).astype(np.float32)
        mean, var, epsilon = self.moving
        eps = np.float32(epsilon)
        weight.data = weight.data * by_output(factors, weight.data)
        var = np.where(factors > 1, factors**2 * (var + eps) - eps, var)
        self.moving = Statistics(factors * mean, var, epsilon)
        return factors

    def fold(self, weight: Tensor, batch: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Weight and bias with the normalization in them.

        Parameters
        ----------
        weight : Tensor, float32 (C, ...)
        batch : Batch or None
            Whose statistics are taken; gamma and beta then have their gradients from
            `of_batch`. None: the moving ones.

        Raises
        ------
        RangeError
            If what they are made of is not finite, or huge.
        """
        gamma, beta, s = self.gamma, self.beta, self.moving
        if batch is not None:
            gamma, beta, s = gamma.detach(), beta.detach(), batch.s
        for what, values in (
            ("weight", weight.data),
            ("gamma", gamma.data),
            ("beta", beta.data),
            ("mean", s.mean),
            ("variance", s.var),
        ):
            check_values(what, values)
        if (s.var < 0).any():
            raise RangeError(f"a variance of {s.var.min():.6g} is negative")
        return fold(weight, gamma, beta, s)
