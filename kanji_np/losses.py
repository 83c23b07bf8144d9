"""Losses: from real outputs and targets to one number on the tape.

A loss is any function of (outputs Tensor (N, K), targets) that returns a scalar Tensor;
targets are labels int64 (N,), or real values (N, K) where a network is to reproduce its
inputs. Write your own with `kanji_np.autograd`.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from kanji_np.autograd import Tensor, record
from kanji_np.errors import DataError, OptionError, ShapeError


def cross_entropy(
    logits: Tensor, labels: np.ndarray, *, label_smoothing: float = 0.0
) -> Tensor:
    """Mean softmax cross-entropy.

    Parameters
    ----------
    logits : Tensor, floating (N, K)
    labels : int64 (N,)
        Classes 0..K-1.
    label_smoothing : float
        Part of the target spread evenly over all classes, 0 <= s < 1.

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    DataError
        If a label lies outside 0..K-1.
    """
    if not 0 <= label_smoothing < 1:
        raise OptionError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
    z = logits.data
    count, classes = z.shape
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        raise DataError(f"labels must be in 0..{classes - 1}")
    log_p = log_softmax(z, axis=1)
    target = np.full(z.shape, label_smoothing / classes, z.dtype)
    target[np.arange(count), labels] += 1 - label_smoothing

    def vjp(g: np.ndarray) -> tuple[np.ndarray]:
        return ((np.exp(log_p) - target) * (g / z.dtype.type(count)),)

    value = -(target * log_p).sum() / count
    return record(value.astype(z.dtype), (logits,), vjp, "cross_entropy")


def mean_squared_error(outputs: Tensor, targets: np.ndarray) -> Tensor:
    """Mean of the squared differences, over all outputs of all inputs.

    Parameters
    ----------
    outputs : Tensor, floating (N, ...)
    targets : ndarray, floating (N, ...)

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    ShapeError
        If the two shapes differ.
    """
    y = outputs.data
    if targets.shape != y.shape:
        raise ShapeError(
            f"outputs are {y.shape}, but what they should be {targets.shape}"
        )
    off = y - targets.astype(y.dtype)

    def vjp(g: np.ndarray) -> tuple[np.ndarray]:
        return (off * (2 * g / y.dtype.type(off.size)),)

    value = (off * off).mean()
    return record(value.astype(y.dtype), (outputs,), vjp, "mean_squared_error")
