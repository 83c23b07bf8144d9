"""Losses: values, gradients, smoothing, and targets they refuse."""

import math

import numpy as np
import pytest

from kanji_np.autograd import Tensor, check_gradients
from kanji_np.errors import DataError, OptionError, ShapeError
from kanji_np.losses import cross_entropy, mean_squared_error

LABELS = np.array([0, 2, 1])
LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [1.0, 3.0, -2.0]])


def by_formula(smoothing: float) -> float:
    """One image at a time, in plain Python."""
    total = 0.0
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(z) for z in row))
        for k, z in enumerate(row):
            share = smoothing / 3 + (1 - smoothing) * (k == label)
            total -= share * (z - log_sum)
    return total / 3


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_value_and_gradient(smoothing):
    def loss(logits):
        return cross_entropy(logits, LABELS, label_smoothing=smoothing)

    assert loss(Tensor(LOGITS)).item() == pytest.approx(by_formula(smoothing))
    check_gradients(loss, LOGITS)


def test_large_logits_do_not_overflow_and_float32_stays():
    logits = Tensor(np.float32([[1e4, -1e4], [0, 80]]), requires_grad=True)
    loss = cross_entropy(logits, np.array([0, 0]))
    loss.backward()
    assert (loss.dtype, loss.item()) == (np.float32, 40.0)
    assert logits.grad.dtype == np.float32
    assert logits.grad.tolist() == [[0, 0], [-0.5, 0.5]]


@pytest.mark.parametrize("labels", [[0, 3, 1], [0, -1, 1]])
def test_labels_out_of_range_are_refused(labels):
    with pytest.raises(DataError, match=r"labels must be in 0\.\.2"):
        cross_entropy(Tensor(LOGITS), np.array(labels))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
def test_smoothing_out_of_range_is_refused(smoothing):
    with pytest.raises(OptionError, match=r"label_smoothing must be in \[0, 1\)"):
        cross_entropy(Tensor(LOGITS), LABELS, label_smoothing=smoothing)


def test_mean_squared_error():
    targets = np.arange(9.0).reshape(3, 3)

    def loss(outputs):
        return mean_squared_error(outputs, targets)

    squares = [
        (z - t) ** 2 for z, t in zip(LOGITS.ravel().tolist(), range(9), strict=True)
    ]
    assert loss(Tensor(LOGITS)).item() == pytest.approx(sum(squares) / 9)
    check_gradients(loss, LOGITS)
    assert loss(Tensor(LOGITS.astype(np.float32))).dtype == np.float32


def test_mean_squared_error_refuses_labels():
    with pytest.raises(ShapeError, match=r"outputs are \(3, 3\), but .* \(3,\)"):
        mean_squared_error(Tensor(LOGITS), LABELS)
