"""Ranges to scales, scales to the integers of a call."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kanji_np.errors import AccumulatorOverflow, OptionError, RangeError
from kanji_np.fixedpoint import SINGLE, rescale
from kanji_np.quantize import (
    ACTIVATIONS,
    SCHEMES,
    LinearScales,
    activation_bounds,
    activation_range,
    ceil_pow2,
    check_products,
    frac_bits,
    legal_scales,
    linear_ints,
    multiplier_and_shift,
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
def test_power_of_two_scales_are_written_as_such(bits):
    assert str(pow2_qparams(bits)) == f"2^{-bits}"


def test_ceil_pow2_is_exact_at_and_beside_powers():
    values = np.array([1.0, math.nextafter(1, 2), math.nextafter(1, 0), 0.3, 2.0**-40])
    assert ceil_pow2(values).tolist() == [1.0, 2.0, 1.0, 0.5, 2.0**-40]


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf, "1", None])
def test_scales_are_positive_numbers(scale):
    with pytest.raises(OptionError, match="scale must be a (finite|positive) number"):
        QParams(scale)


@pytest.mark.parametrize("zero_point", [-129, 128, 0.5, None])
def test_zero_points_are_of_int8(zero_point):
    with pytest.raises(
        OptionError, match=r"zero_point must be an int in -128 \.\. 127"
    ):
        QParams(1.0, zero_point)


@pytest.mark.parametrize(("bits", "most"), [(8, 127), (4, 7)])
@pytest.mark.parametrize("name", SCHEMES)
def test_weight_scales_hold_the_range_and_waste_little(name, bits, most):
    scheme = SCHEMES[name]
    max_abs = np.random.default_rng(0).uniform(1e-3, 10, 100)
    scales = scheme.weight_scales(max_abs, bits)
    assert scales.dtype == np.float64
    steps = max_abs / scales
    if scheme.pow2:
        assert (np.frexp(scales)[0] == 0.5).all()
        assert (steps <= most + 1).all()
        assert (steps > (most + 1) / 2).all()
    else:
        np.testing.assert_allclose(steps, most)
    assert scheme.weight_scales(np.array([0.0, 1.0]), bits)[0] == 0  # any will do


@pytest.mark.parametrize(
    ("name", "low", "high", "expected"),
    [
        ("pow2", -0.3, 0.9, QParams(2.0**-7)),
        ("pow2-per-channel", 0.0, 6.0, QParams(2.0**-4)),
        ("symmetric", -6.35, 1.0, QParams(0.05)),
        ("symmetric", 1.0, 2.54, QParams(0.02)),
        ("asymmetric", 0.0, 2.55, QParams(0.01, -128)),
        ("asymmetric", -2.55, 0.0, QParams(0.01, 127)),
        ("asymmetric", -1.0, 1.55, QParams(0.01, -28)),
        ("asymmetric", 1.0, 2.55, QParams(0.01, -128)),  # zero is always there
        ("asymmetric", 0.0, 0.0, QParams(1 / 255, -128)),
        ("symmetric", 0.0, 0.0, QParams(1 / 127)),
    ],
)
def test_activation_qparams_hold_the_range_and_zero(name, low, high, expected):
    got = SCHEMES[name].activation_qparams(low, high)
    assert got.scale == pytest.approx(expected.scale, rel=1e-12)
    assert got.zero_point == expected.zero_point


@pytest.mark.parametrize("name", SCHEMES)
def test_a_range_that_is_not_finite_has_no_qparams(name):
    with pytest.raises(RangeError, match="cannot be quantized"):
        SCHEMES[name].activation_qparams(-1.0, math.inf)


# ------------------------------------------------------------------ linear integers


def legal(w, y, bias=0.0, scheme="pow2", x=2.0**-6, numerics=None):
    w = np.atleast_1d(np.float64(w))
    bias = np.broadcast_to(np.float64(bias), len(w))
    scales = LinearScales(QParams(x), w, QParams(y))
    return legal_scales(scales, bias, SCHEMES[scheme], numerics or Numerics())


@pytest.mark.parametrize(("wanted", "y"), [(15, 10), (11, 10), (10, 10), (3, 3)])
def test_an_output_is_not_finer_than_its_sums(wanted, y):
    scales = legal(2.0**-4, 2.0**-wanted)
    assert scales.y == QParams(2.0**-y)
    assert scales.w.tolist() == [2.0**-4]
    # the coarsest channel decides
    scales = legal([2.0**-4, 2.0**-2], 2.0**-wanted, scheme="pow2-per-channel")
    assert scales.y.scale == max(2.0**-8, 2.0**-wanted)


@pytest.mark.parametrize(("y", "w"), [(20, 4), (21, 3), (23, 1)])
def test_a_weight_is_not_so_fine_that_sums_are_shifted_too_far(y, w):
    scales = legal(2.0**-4, 2.0**y)
    assert (scales.w.tolist(), scales.y.scale) == ([2.0**-w], 2.0**y)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_weight_is_not_so_fine_that_its_bias_leaves_int32(scheme):
    w = [2.0**-20, 1e-7, 2.0**-4]
    if scheme == "pow2":
        w = [2.0**-20] * 3
    if scheme == "pow2-per-channel":
        w[1] = 2.0**-23
    scales = legal(w, 1.0, [3.0, 500.0, 0.1], scheme)
    assert (scales.w >= w).all()
    assert (np.array([3.0, 500.0, 0.1]) / scales.sums <= 2**28).all()
    if SCHEMES[scheme].pow2:
        assert (np.frexp(scales.w)[0] == 0.5).all()
    if not SCHEMES[scheme].per_channel:
        assert len(set(scales.w)) == 1
    else:
        assert scales.w[2] == w[2]


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", [s for s in SCHEMES if SCHEMES[s].per_channel])
def test_a_channel_of_zeros_leaves_the_others_their_scales(name, bits):
    """Its bias is stored no coarser than at the scale of weights in -1 .. 1."""
    max_abs, bias = np.array([0.0, 1e-3, 0.0, 5e-4]), np.array([0.01, 0, 0, 0.02])
    w = SCHEMES[name].weight_scales(max_abs, bits)
    y = 2.0**-13
    alone = legal(w[1::2], y, bias[1::2], name)
    scales = legal(w, y, bias, name)
    assert scales.y == alone.y
    assert scales.w[1::2].tolist() == alone.w.tolist()
    assert (scales.w[::2] > 0).all()
    assert (scales.w[::2] <= 2.0**-7).all()
    assert (scales.sums <= scales.y.scale).all()


@pytest.mark.parametrize("bias", [0.0, 1e-3, 0.9])
@pytest.mark.parametrize("numerics", [Numerics(), Numerics("single", bias_bits=8)])
def test_a_layer_of_zeros_passes_on_its_bias(numerics, bias):
    y = SCHEMES["pow2"].activation_qparams(0.0, bias)
    scales = legal([0.0, 0.0], y.scale, bias, x=2.0**-3, numerics=numerics)
    assert scales.y == y
    zeros = LinearParams(np.zeros((2, 5)), np.full(2, bias))
    ints = linear_ints(zeros, scales, "linear", numerics)
    stored = ints.bias * (ints.multiplier * 2.0 ** (ints.shift - 31.0))
    assert np.abs(stored * y.scale - bias).max() <= 0.5 * y.scale


def test_a_channel_far_finer_than_another_is_not_shifted_too_far():
    """The output follows the coarsest channel, and the finest follows the output."""
    for scheme in ("pow2-per-channel", "symmetric"):
        scales = legal([2.0**-24, 2.0**12], 1.0, scheme=scheme, x=1.0)
        assert scales.y.scale == 2.0**12
        assert scales.w.tolist() == [2.0**-18, 2.0**12]


def test_an_output_keeps_its_zero_point():
    y = QParams(1e-9, -7)
    scales = LinearScales(QParams(0.1), np.array([0.1, 0.3]), y)
    moved = legal_scales(scales, np.zeros(2), SCHEMES["asymmetric"], Numerics())
    assert moved.y == QParams(0.1 * 0.3, -7)


def test_weights_round_half_to_even_and_saturate_symmetrically():
    weight = np.array([[0.5, 1.5, -0.5, 127.4, 127.6, -128.0, 1e9, -1e9]]) * 0.25
    rounded = quantize_weight(weight, np.array([0.25]), 8)
    assert rounded.dtype == np.int8
    assert rounded.tolist() == [[0, 2, 0, 127, 127, -127, 127, -127]]
    rounded = quantize_weight(weight, np.array([0.25]), 4)
    assert rounded.tolist() == [[0, 2, 0, 7, 7, -7, 7, -7]]
    two = quantize_weight(np.ones((2, 3)), np.array([0.5, 0.25]), 8)
    assert two.tolist() == [[2] * 3, [4] * 3]


@pytest.mark.parametrize(
    ("activation", "y", "integers", "reals"),
    [
        ("linear", QParams(0.1, 5), (-128, 127), (-math.inf, math.inf)),
        ("relu", QParams(0.1, 5), (5, 127), (0, math.inf)),
        ("relu6", QParams(0.1, 5), (5, 65), (0, 6)),
        ("relu6", QParams(0.01, 5), (5, 127), (0, 6)),
        ("relu6", QParams(6 / 255, -128), (-128, 127), (0, 6)),
    ],
)
def test_activations_are_ranges(activation, y, integers, reals):
    assert activation in ACTIVATIONS
    assert activation_range(activation, y) == integers
    assert activation_bounds(activation) == reals


S8 = Numerics()
Q7 = Numerics(rounding="single", bias_bits=8)


def ints_of(weight, bias, activation="linear", x=5, w=6, y=4, zero=0, numerics=S8):
    params = LinearParams(np.array(weight, np.float32), np.array(bias, np.float32))
    each = np.full(len(params.bias), 2.0**-w)
    scales = LinearScales(QParams(2.0**-x, zero), each, QParams(2.0**-y))
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
    one = LinearScales(QParams(1.0), np.ones(2), QParams(1024.0))
    assert linear_ints(fits, one, "linear", S8).bias.tolist() == [0, limit]
    over = LinearParams(fits.weight, np.array([0.0, -limit - 1.0]))
    with pytest.raises(
        AccumulatorOverflow, match=r"channel 1 can reach 2.147e\+09, beyond int32"
    ):
        linear_ints(over, one, "linear", S8)


def test_the_bound_counts_the_zero_point_of_the_input():
    # 255 grey levels above a zero point of -128, not 128
    weight = np.full((1, 80_000), 127.0)
    one = LinearScales(QParams(1.0, -128), np.ones(1), QParams(1024.0))
    with pytest.raises(AccumulatorOverflow, match=r"channel 0 can reach 2.591e\+09"):
        linear_ints(LinearParams(weight, np.zeros(1)), one, "linear", S8)


def test_the_bound_counts_a_shift_to_the_left():
    # n = 0 is shift 1: the device doubles the sum before it multiplies.
    one = LinearScales(QParams(1.0), np.ones(1), QParams(1.0))
    for bias, numerics in ((2.0**30, S8), (2.0**29, Numerics(rounding="single"))):
        params = LinearParams(np.zeros((1, 1)), np.array([bias]))
        with pytest.raises(
            AccumulatorOverflow, match=r"channel 0 can reach 2.147e\+09"
        ):
            linear_ints(params, one, "linear", numerics)


@pytest.mark.parametrize("rounding", ["double", "single"])
def test_a_sum_that_is_multiplied_by_zero_may_be_any_in_int32(rounding):
    # The shift stands as 0; a build that rounds once shifts to the left by one more.
    scales = LinearScales(QParams(1.0), np.array([2.0**-40]), QParams(1.0, 5))
    params = LinearParams(np.zeros((1, 1)), np.array([2.0**-9 - 2.0**-34]))
    ints = linear_ints(params, scales, "linear", Numerics(rounding=rounding))
    assert (ints.multiplier.tolist(), ints.shift.tolist()) == ([0], [0])
    assert ints.bias.tolist() == [2**31 - 64]


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
        scales = LinearScales(QParams(2.0**-7), np.ones(1), y)
        return linear_ints(params, scales, "linear", Q7)

    assert ints(24).bias.tolist() == [127 << 23]
    with pytest.raises(AccumulatorOverflow, match="beyond int32"):
        ints(26)


BAD = [
    (np.nan, "nan"),
    (np.inf, "inf"),
    (-np.inf, "-inf"),
    (1e38, r"1e\+38"),
    (-2e12, r"-2e\+12"),
]


@pytest.mark.parametrize(("bad", "shown"), BAD)
def test_parameters_that_are_not_finite_or_huge_are_refused(bad, shown):
    with pytest.raises(RangeError, match=f"a weight of {shown} cannot be quantized"):
        ints_of([[1.0, bad]], [0.0])
    with pytest.raises(RangeError, match=f"a bias of {shown} cannot be quantized"):
        ints_of([[0.0], [0.0]], [0.5, bad])


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e38])
def test_ranges_that_are_not_finite_or_huge_are_refused(name, bad):
    scheme = SCHEMES[name]
    for low, high in ((-1.0, bad), (-bad, 1.0), (-bad, bad)):
        with pytest.raises(RangeError, match="cannot be quantized"):
            scheme.activation_qparams(low, high)
    with pytest.raises(RangeError, match="range of weights of .* cannot be quantized"):
        scheme.weight_scales(np.array([0.5, bad]), 8)


@pytest.mark.parametrize("name", SCHEMES)
def test_ranges_that_have_all_but_vanished_have_scales(name):
    scheme = SCHEMES[name]
    y = scheme.activation_qparams(-1e-300, 5e-324)
    w = scheme.weight_scales(np.array([5e-324, 1e-320]), 8)
    scales = legal(w, y.scale, 1.0, name, x=2.0**-60)
    assert (scales.w > 0).all()
    zeros = LinearParams(np.zeros((2, 1)), np.ones(2))
    ints = linear_ints(zeros, scales, "relu6", S8)
    assert (ints.shift >= -30).all()
    assert ints.bias.tolist() == np.rint(1 / scales.sums).tolist()


def test_an_output_scale_of_huge_values_is_refused():
    with pytest.raises(
        RangeError, match=r"an output scale of 1\.101e\+12 is too large"
    ):
        legal(2.0**30, 1.0, x=2.0**10 * 1.001)


def test_a_factor_between_scales_that_is_not_finite_is_refused():
    with pytest.raises(RangeError, match="a factor of inf between scales"):
        multiplier_and_shift(math.inf)


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


def test_every_channel_has_its_own_scale():
    weight = np.array([[1.27, -0.5], [0.127, 0.05]])
    params = LinearParams(weight, np.array([0.3, 0.4]))
    scales = LinearScales(QParams(0.1, 3), np.array([0.01, 0.001]), QParams(0.05, -9))
    ints = linear_ints(params, scales, "relu", S8)
    assert ints.weight.tolist() == [[127, -50], [127, 50]]
    assert ints.bias.tolist() == [300, 4000]
    real = ints.multiplier * 2.0 ** (ints.shift - 31.0)
    np.testing.assert_allclose(real, [0.02, 0.002], rtol=2.0**-30)
    assert (ints.input_offset, ints.output_offset, ints.act_min) == (-3, -9, -9)
    assert linear_ints(params, scales, "linear", S8, 4).weight.max() == 7


def test_what_is_rounded_once_stays_below_2_to_the_30():
    """From there on v7.0.0 of CMSIS-NN loses the sign."""
    weight, single = np.zeros((1, 1)), Numerics(rounding="single")
    largest = {}
    for ratio in (1.0, 0.9, 0.51, 0.5, 0.49, 0.26):
        scales = LinearScales(QParams(1.0), np.ones(1), QParams(1 / ratio))
        for bias in np.floor(2.0 ** np.arange(26, 31, 1 / 64)):
            params = LinearParams(weight, np.array([bias]))
            try:
                ints = linear_ints(params, scales, "linear", single)
            except AccumulatorOverflow:
                break
            factor = int(ints.multiplier[0]), int(ints.shift[0])
            largest[ratio] = rescale(int(bias), *factor, SINGLE)
    assert len(largest) == 6
    assert max(largest.values()) < 2**30
