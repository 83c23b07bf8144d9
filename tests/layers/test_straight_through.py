"""Rounding on the tape: what passes straight through, and what trains a range."""

import numpy as np
import pytest

from kanji_np.autograd import Tensor
from kanji_np.layers.straight_through import (
    SAMPLE,
    fake_quantized,
    learned,
    with_range,
)
from kanji_np.ranges import TRACKERS, LearnedRange

WEIGHT = np.float32([[0.3, -1.7], [2.0, 0.1]])
SCALES = np.array([0.25, 0.5])
GRADIENT = np.float32([[1, 2], [3, 4]])


def ints_of(scales):
    return np.clip(np.rint(WEIGHT / scales[:, None]), -7, 7).astype(np.int8)


def test_quantized_weights_are_real_multiples_of_their_scales():
    weight = Tensor(WEIGHT, requires_grad=True)
    used = fake_quantized(weight, ints_of(SCALES), SCALES, 4, None)
    np.testing.assert_array_equal(used.data, np.float32([[0.25, -1.75], [2.0, 0.0]]))
    assert used.dtype == np.float32


def test_gradients_stop_at_weights_outside_their_range():
    """Half a step beyond the largest is inside: it is rounded, not clamped."""
    weight = Tensor(np.float32([[1.875, -1.876, 1.874]]), requires_grad=True)
    used = fake_quantized(weight, np.int8([[7, -7, 7]]), np.array([0.25]), 4, None)
    used.backward(np.float32([[1, 2, 3]]))
    assert weight.grad.tolist() == [[1, 0, 3]]


@pytest.mark.parametrize("channels", [None, 2])
def test_a_learned_range_of_weights_gets_its_gradient(channels):
    tracker = LearnedRange(channels=channels)
    scales = SCALES if channels else np.array([0.5, 0.5])
    weight = Tensor(WEIGHT, requires_grad=True)
    fake_quantized(weight, ints_of(scales), scales, 4, tracker).backward(GRADIENT)
    own = scales if channels else scales[0]
    expected = tracker.gradient(WEIGHT, GRADIENT, own, (-7, 7))
    np.testing.assert_array_equal(tracker.theta.grad, expected)
    assert expected.any()
    np.testing.assert_array_equal(weight.grad, GRADIENT)


def test_a_learned_range_of_an_output_is_trained_by_a_sample_and_changes_no_value():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2 * SAMPLE + 1, 3)).astype(np.float32)
    gy = rng.standard_normal(values.shape).astype(np.float32)
    y = Tensor(np.rint(values * 64).astype(np.int8), requires_grad=True)
    tracker = LearnedRange()
    ranged = with_range(y, values[::SAMPLE], tracker, 2.0**-6, (-128, 127))
    assert ranged.data is y.data
    ranged.backward(gy)
    np.testing.assert_array_equal(y.grad, gy)
    expected = tracker.gradient(
        values[::SAMPLE], gy[::SAMPLE], np.float64(2.0**-6), (-128, 127)
    )
    np.testing.assert_array_equal(tracker.theta.grad, expected)
    assert expected != 0


def test_only_a_learned_range_is_trained():
    trained = {name for name, kind in TRACKERS.items() if learned(kind()) is not None}
    assert trained == {"learned"}
