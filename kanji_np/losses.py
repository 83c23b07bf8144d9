"""Losses: from real outputs and labels to one number on the tape.

A loss is any function of (outputs Tensor (N, K), labels int64 (N,)) that returns a
scalar Tensor; write your own with `kanji_np.autograd`.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from kanji_np.autograd import Tensor, record
from kanji_np.errors import DataError, OptionError


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
