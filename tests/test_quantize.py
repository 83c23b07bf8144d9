"""Ranges to scales, scales to the integers of a call."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kanji_np.errors import AccumulatorOverflow, RangeError
from kanji_np.quantize import (
    LinearScales,
    RangeTracker,
    check_products,
    frac_bits,
    legal_output,
    linear_ints,
    multiplier_and_shift,
    pow2_bits,
    pow2_qparams,
    quantize_weight,
)
from kanji_np.types import LinearParams, Numerics, QParams


@given(st.floats(0, 1e30))
@example(127 / 128)
@example(1e-300)
def test_frac_bits_is_the_finest_scale_that_holds_the_range(max_abs):
    bits = frac_bits(max_abs)
    assert -16 <= bits <= 24
    if max_abs > 0 and -16 < bits < 24:
        assert max_abs <= 2.0 ** (7 - bits)
        assert max_abs > 2.0 ** (7 - bits - 1)


@pytest.mark.parametrize(
    ("max_abs", "bits"),
    [
        (0.0, 7),
        (1.0, 7),
        (math.nextafter(1.0, 2), 6),
        (math.nextafter(1.0, 0), 7),
        (0.5, 8),
        (2.0, 6),
        (128.0, 0),
        (129.0, -1),
        (2.0**-17, 24),
        (2.0**-40, 24),
        (5e-324, 24),
        (2.0**23, -16),
        (1e30, -16),
        (1e308, -16),
    ],
)
def test_frac_bits_at_exact_powers_and_at_the_ends(max_abs, bits):
    assert frac_bits(max_abs) == bits


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_has_no_scale(value):
    with pytest.raises(RangeError, match=f"a range of {value} cannot be quantized"):
        frac_bits(value)


@pytest.mark.parametrize("bits", [-16, -1, 0, 7, 24])
def test_power_of_two_scales_round_trip(bits):
    assert pow2_bits(pow2_qparams(bits)) == bits
    assert str(pow2_qparams(bits)) == f"2^{-bits}"


@pytest.mark.parametrize("scale", [0.3, 3.0, math.nextafter(0.5, 1)])
def test_other_scales_have_no_bits(scale):
    with pytest.raises(RangeError, match="not a power of two"):
        pow2_bits(QParams(scale))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_scales_are_positive_numbers(scale):
    with pytest.raises(ValueError, match="scale must be a positive number"):
        QParams(scale)


# ------------------------------------------------------------------- range trackers


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


def test_a_tracker_holds_the_larger_side():
    tracker = RangeTracker()
    tracker.update(-3.0, 1.0)
    assert (tracker.max_abs, tracker.qparams()) == (3.0, QParams(2.0**-5))
    tracker = RangeTracker()
    tracker.update(1.0, 3.0)
    assert (tracker.max_abs, tracker.qparams()) == (3.0, QParams(2.0**-5))


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0.0, 0.0, 7), (1.5, 1.5, 6), (-5.0, -5.0, 4), (-1e30, 1e30, -16), (0, 1e-30, 24)],
)
def test_ranges_without_width_and_beyond_the_scales(low, high, bits):
    tracker = RangeTracker()
    for _ in range(200):
        tracker.update(low, high)
    assert tracker.qparams() == QParams(2.0**-bits)


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
    again = RangeTracker.from_state(json.loads(json.dumps(tracker.state())))
    assert again.state() == tracker.state()
    again.update(-1.0, 2.0)
    tracker.update(-1.0, 2.0)
    assert again.state() == tracker.state()


def test_a_stored_range_must_be_finite():
    state = RangeTracker().state() | {"high": math.nan}
    with pytest.raises(RangeError, match=r"0.0 \.\. nan"):
        RangeTracker.from_state(state)


# ------------------------------------------------------------------ linear integers


@pytest.mark.parametrize(
    ("wanted", "legal"),
    [(15, 10), (11, 10), (10, 10), (3, 3), (-16, -16), (-20, -20), (-21, -20)],
)
def test_legal_output_moves_to_the_nearest_shift(wanted, legal):
    y = legal_output(QParams(2.0**-6), QParams(2.0**-4), QParams(2.0**-wanted))
    assert pow2_bits(y) == legal
    assert 0 <= 10 - pow2_bits(y) <= 30


def test_weights_round_half_to_even_and_saturate_symmetrically():
    weight = np.array([0.5, 1.5, -0.5, 127.4, 127.6, -128.0, 1e9, -1e9]) * 0.25
    rounded = quantize_weight(weight, QParams(0.25))
    assert rounded.dtype == np.int8
    assert rounded.tolist() == [0, 2, 0, 127, 127, -127, 127, -127]


S8 = Numerics()
Q7 = Numerics(requantize="single", bias_bits=8)


def ints_of(weight, bias, activation="linear", x=5, w=6, y=4, zero=0, numerics=S8):
    params = LinearParams(np.array(weight, np.float32), np.array(bias, np.float32))
    scales = LinearScales(QParams(2.0**-x, zero), QParams(2.0**-w), QParams(2.0**-y))
    return linear_ints(params, scales, activation, numerics)


def test_linear_ints_of_a_layer():
    ints = ints_of([[0.5, -1.0], [0.25, 5.0]], [1.0, -0.25], "relu")
    assert ints.weight.tolist() == [[32, -64], [16, 127]]
    assert ints.bias.tolist() == [2048, -512]
    assert ints.multiplier.tolist() == [2**30] * 2
    assert ints.shift.tolist() == [1 - 7] * 2
    assert (ints.act_min, ints.act_max) == (0, 127)
    assert (ints.input_offset, ints.output_offset) == (0, 0)
    assert {a.dtype for a in (ints.bias, ints.multiplier, ints.shift)} == {
        np.dtype(np.int32)
    }
    assert ints_of([[0.5]], [0.0]).act_min == -128


def test_a_sum_that_can_leave_int32_is_refused_with_its_bound():
    limit = 2**31 - 1 - 128 * 100
    fits = LinearParams(np.full((2, 1), 100.0), np.array([0.0, limit]))
    one = LinearScales(QParams(1.0), QParams(1.0), QParams(1024.0))
    assert linear_ints(fits, one, "linear", S8).bias.tolist() == [0, limit]
    over = LinearParams(fits.weight, np.array([0.0, -limit - 1.0]))
    with pytest.raises(
        AccumulatorOverflow, match=r"sums can reach 2.147e\+09, beyond int32"
    ):
        linear_ints(over, one, "linear", S8)


def test_the_bound_counts_the_zero_point_of_the_input():
    # 255 grey levels above a zero point of -128, not 128
    weight = np.full((1, 80_000), 127.0)
    one = LinearScales(QParams(1.0, -128), QParams(1.0), QParams(1024.0))
    with pytest.raises(AccumulatorOverflow, match=r"sums can reach 2.591e\+09"):
        linear_ints(LinearParams(weight, np.zeros(1)), one, "linear", S8)


def test_the_bound_counts_a_shift_to_the_left():
    # n = 0 is shift 1: the device doubles the sum before it multiplies.
    one = LinearScales(QParams(1.0), QParams(1.0), QParams(1.0))
    for bias, numerics in ((2.0**30, S8), (2.0**29, Numerics(requantize="single"))):
        params = LinearParams(np.zeros((1, 1)), np.array([bias]))
        with pytest.raises(AccumulatorOverflow, match=r"sums can reach 2.147e\+09"):
            linear_ints(params, one, "linear", numerics)


@pytest.mark.parametrize(
    ("bias", "stored", "shift"),
    [
        ([0.5, -0.25], [127, -64], 3),  # 2^-11 is the sums' scale, 2^-8 the biases'
        ([0.49, 0.0], [125, 0], 3),
        ([3.9, -4.0], [125, -128], 6),
        ([0.0, 0.0], [0, 0], 4),
        ([1e-9, 0.0], [0, 0], 0),  # finer than the sums: widened to their scale
    ],
)
def test_a_bias_of_eight_bits_has_the_finest_scale_that_is_legal(bias, stored, shift):
    ints = ints_of([[0.5], [0.25]], bias, numerics=Q7)
    assert (ints.bias_shift, ints.rounding) == (shift, "single")
    assert ints.bias.tolist() == [value << shift for value in stored]


def test_a_bias_of_eight_bits_stays_in_its_range_where_sums_are_coarse():
    ints = ints_of([[0.5]], [100.0], x=-10, w=6, y=-4, numerics=Q7)
    assert (ints.bias_shift, ints.bias.tolist()) == (0, [6])  # 100 * 2^-4 is 6.25
    wide = ints_of([[0.5]], [2.0**-17], x=12, w=12, y=6, numerics=Q7)
    assert (wide.bias_shift, wide.bias.tolist()) == (0, [127])


def test_the_bound_counts_the_half_that_rounds():
    # 65,535 * 127 * 128 + (127 << 23) leave little more than 2^24 of int32
    params = LinearParams(np.full((1, 65_535), 127.0), np.array([127.0 * 2**16]))

    def ints(right):
        y = QParams(2.0 ** (right - 7))
        scales = LinearScales(QParams(2.0**-7), QParams(1.0), y)
        return linear_ints(params, scales, "linear", Q7)

    assert ints(24).bias.tolist() == [127 << 23]
    with pytest.raises(AccumulatorOverflow, match="beyond int32"):
        ints(26)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_not_finite_are_refused(bad):
    with pytest.raises(RangeError, match="weight"):
        ints_of([[bad]], [0.0])
    with pytest.raises(RangeError, match="bias"):
        ints_of([[0.0]], [bad])


def test_a_sum_of_too_many_products_is_refused():
    check_products(65_535)
    assert 65_535 * 255 * 128 < 2**31
    with pytest.raises(
        AccumulatorOverflow, match="sum of 65536 products; more than 65535"
    ):
        check_products(65_536)


@given(st.floats(2.0**-30, 2.0**30))
@example(1.0)
@example(math.nextafter(1.0, 0))
@example(0.5)
def test_multiplier_and_shift_is_the_scale_in_31_bits(scale):
    multiplier, shift = multiplier_and_shift(scale)
    assert 2**30 <= multiplier < 2**31
    assert multiplier * 2.0 ** (shift - 31) == pytest.approx(scale, rel=2.0**-31)
