"""What range trackers keep of the values they see."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanji_np.errors import OptionError, RangeError
from kanji_np.ranges import (
    TRACKERS,
    WARMUP_UPDATES,
    LearnedRange,
    PercentileRange,
    RangeTracker,
    check_ranges,
)


def test_the_first_updates_are_a_plain_mean_the_later_ones_exponential():
    tracker = RangeTracker(momentum=0.75)
    seen = []
    for i in range(1, 4):
        tracker.update(-i, 10 * i)
        seen += [tracker.low, tracker.high]
    assert seen == pytest.approx([-1, 10, -1.5, 15, -2, 20])
    for value in (0.0, 8.0):
        before = tracker.high
        tracker.update(0.0, value)
        assert tracker.high == pytest.approx(0.75 * before + 0.25 * value)
    assert tracker.updates == 5


@pytest.mark.parametrize(
    ("low", "high", "largest"), [(-3, 1, 3), (1, 3, 3), (-2, -1, 2)]
)
def test_a_tracker_holds_the_larger_side(low, high, largest):
    tracker = RangeTracker()
    tracker.update(low, high)
    assert tracker.max_abs == largest


def test_a_range_for_each_channel():
    tracker = RangeTracker(channels=2)
    tracker.observe(np.array([[[1.0, -2.0]], [[3.0, 5.0]]]))
    assert (tracker.low.tolist(), tracker.high.tolist()) == ([-2, 3], [1, 5])
    assert tracker.max_abs.tolist() == [2, 5]
    tracker.observe(np.array([[[3.0, -4.0]], [[5.0, 7.0]]]))
    assert (tracker.low.tolist(), tracker.high.tolist()) == ([-3, 4], [2, 6])


def test_a_percentile_leaves_out_the_farthest():
    values = np.concatenate([np.linspace(-1, 2, 100_001), [1e6, -1e6]])
    tracker = PercentileRange()
    tracker.observe(values)
    assert tracker.low == pytest.approx(-1, abs=0.01)
    assert tracker.high == pytest.approx(2, abs=0.01)


def test_a_learned_range_starts_as_it_was_seen_and_then_only_learns():
    tracker = LearnedRange()
    for k in range(WARMUP_UPDATES + 50):
        tracker.update(-1.0, 2.0 if k < WARMUP_UPDATES else 50.0)
    assert tracker.bounds() == (-1, 2)
    tracker.theta.data = np.float32(1)
    assert tracker.bounds() == (-2, 4)
    assert tracker.max_abs == 4


@pytest.mark.parametrize("channels", [None, 3])
def test_a_learned_range_follows_what_quantization_costs(channels):
    """Of the squared error of quantizing, by the sign of its difference quotient."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 4000)).astype(np.float32)
    limits = (-8, 7)

    def quantized(scale):
        return np.clip(np.rint(values / scale), *limits) * scale

    for start in (0.05, 2.0):  # nearly all is clamped; nearly all is rounded to 0
        tracker = LearnedRange(channels=channels)
        tracker.observe(values)
        scale = np.full(tracker.low.shape, start)
        error = quantized(start) - values
        gradient = tracker.gradient(values, 2 * error, scale, limits)
        assert (gradient.shape, gradient.dtype) == (tracker.low.shape, np.float32)
        wider = ((quantized(start * 1.05) - values) ** 2).mean()
        assert (np.sign(gradient) == np.sign(wider - (error**2).mean())).all()


def test_another_kind_of_ranges_is_refused():
    assert check_ranges("learned") == "learned"
    with pytest.raises(OptionError, match="ranges must be one of minmax, percentile, "):
        check_ranges("median")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_range_that_is_not_finite_is_refused_and_not_taken_in(bad):
    tracker = RangeTracker()
    tracker.update(-1.0, 1.0)
    before = tracker.state()
    for low, high in ((bad, 1.0), (0.0, bad)):
        with pytest.raises(RangeError, match="training diverged"):
            tracker.update(low, high)
    assert tracker.state() == before


@given(st.lists(st.tuples(st.floats(-1e30, 0), st.floats(0, 1e30)), max_size=5))
def test_state_survives_json_exactly(updates):
    tracker = RangeTracker(momentum=0.9)
    for low, high in updates:
        tracker.update(low, high)
    again = RangeTracker()
    again.restore(json.loads(json.dumps(tracker.state())))
    assert again.state() == tracker.state()
    again.update(-1.0, 2.0)
    tracker.update(-1.0, 2.0)
    assert again.state() == tracker.state()


def test_a_stored_range_must_be_finite_and_of_the_right_shape():
    state = RangeTracker().state() | {"high": math.nan}
    with pytest.raises(RangeError, match=r"0.0 \.\. nan"):
        RangeTracker().restore(state)
    with pytest.raises(RangeError, match=r"shape \(\), expected \(3,\)"):
        RangeTracker(channels=3).restore(RangeTracker().state())


@pytest.mark.parametrize("kind", TRACKERS.values())
@pytest.mark.parametrize("channels", [None, 2])
def test_every_tracker_goes_on_from_its_state(kind, channels):
    rng = np.random.default_rng(0)
    tracker, again = kind(channels=channels), kind(channels=channels)
    for _ in range(3):
        tracker.observe(rng.standard_normal((2, 50)))
    again.restore(json.loads(json.dumps(tracker.state())))
    assert again.state() == tracker.state()
    more = rng.standard_normal((2, 50))
    for one in (tracker, again):
        one.observe(more)
    assert again.state() == tracker.state()
