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


@pytest.mark.parametrize(
    "labels",
    [LABELS[:, None], np.eye(3, dtype=np.int64)[LABELS], LABELS[:2], LABELS[0]],
    ids=["column", "one-hot", "too few", "one"],
)
def test_labels_of_another_shape_are_refused(labels):
    message = r"logits \(N, K\) and labels \(N,\).* got \(3, 3\) and \("
    with pytest.raises(ShapeError, match=message):
        cross_entropy(Tensor(LOGITS), labels)


def test_logits_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match=r"got \(3, 1, 3\) and \(3,\)"):
        cross_entropy(Tensor(LOGITS[:, None]), LABELS)


def test_labels_that_are_no_integers_are_refused():
    for labels in (LABELS + 0.5, LABELS > 0, LABELS.astype(str)):
        with pytest.raises(DataError, match="labels must be integers, got "):
            cross_entropy(Tensor(LOGITS), labels)


def test_labels_may_be_a_list():
    expected = cross_entropy(Tensor(LOGITS), LABELS).item()
    assert cross_entropy(Tensor(LOGITS), LABELS.tolist()).item() == expected


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan, "0.1"])
def test_smoothing_out_of_range_is_refused(smoothing):
    with pytest.raises(OptionError, match=r"label_smoothing .* in \[0, 1\)"):
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
