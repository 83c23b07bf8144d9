"""Losses: from real outputs and targets to one number on the tape.

A loss is any function of (outputs Tensor (N, K), targets) that returns a scalar Tensor;
targets are what outputs should be: labels int64 (N,), or real values (N, K) of an
autoencoder, which reproduces its inputs. Write your own with `kanji_np.autograd`.
"""

from __future__ import annotations

import numpy as np

from kanji_np.autograd import Tensor, log_softmax, record
from kanji_np.checks import number
from kanji_np.errors import DataError, ShapeError


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
    ShapeError
        If there is not one label, a class's number, for each row of `logits`.
    DataError
        If a label is no integer, or lies outside 0..K-1.

    Notes
    -----
    The gradient, (softmax(logits) - target) / N, is recorded as this formula: that of
    the functions which the value is made of rounds otherwise.
    """
    label_smoothing = number("label_smoothing", label_smoothing, 0, below=1)
    z, labels = logits.data, np.asarray(labels)
    if z.ndim != 2 or labels.shape != z.shape[:1]:
        raise ShapeError(
            "cross_entropy takes logits (N, K) and labels (N,), numbers of classes; "
            f"got {z.shape} and {labels.shape}"
        )
    count, classes = z.shape
    if labels.dtype.kind not in "iu":
        raise DataError(f"labels must be integers, got {labels.dtype}")
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        raise DataError(f"labels must be in 0..{classes - 1}")
    log_p = log_softmax(z).data
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
    targets = np.asarray(targets)
    if targets.shape != outputs.shape:
        raise ShapeError(
            f"outputs are {outputs.shape}, but what they should be {targets.shape}"
        )
    off = outputs - targets.astype(outputs.dtype)
    return (off * off).mean()
