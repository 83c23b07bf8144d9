"""Between real scales and integers: schemes, legal scales, the integers of a layer.

A scheme says which scales there are. The paper's is symmetric int8 with one scale 2^-f
a tensor; others have a scale for each output channel of a weight, scales that are no
powers of two, or activations with a zero point (TFLite's). In all of them

    real(x) = sx (x - zx),   w = sw[o] W,   real(y) = sy (y - zy)

so that a sum of products has the scale sx sw[o], the bias is an int32 at that scale,
and ``sx sw[o] / sy`` is written for CMSIS-NN as a multiplier of 31 bits and a shift.
With powers of two it is 2^-n, a multiplier of 2^30 and a shift of 1 - n.

What a device cannot do is not asked of it: an output is never finer than the sums it
comes from, and a weight never so fine that its sums or its bias leave int32 or have to
be shifted by more than 30 to the right. `legal_scales` moves scales to the nearest that
are.

Where the library stores int8 biases, a bias has a scale 2^-fb of its own, and its shift
to the left is kept from being negative.

References: Lai and Suda, "Rethinking Machine Learning Development and Deployment for
Edge Devices", 2018, section 3; Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", 2018.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from kanji_np.errors import AccumulatorOverflow, DataError, RangeError
from kanji_np.types import LinearInts, LinearParams, Numerics, QParams

INT32_MAX = 2**31 - 1
MAX_PRODUCTS = 65_535  # of (x - zero point) * w, 255 * 128 at most, in one int32
MIN_FRAC_BITS, MAX_FRAC_BITS = -16, 24
# Of parameters and activations. Larger ones come from a training that diverged or from
# a damaged file; scales of these multiply a few times before they leave float64.
LARGEST = 2.0**40
WHY_HUGE = "training diverged (lower the learning rate), or the values are damaged"
WHY_HUGE_IN_FILE = "the file's scales are too large, or damaged"
FINEST = 2.0**-60  # scale of a range that has all but vanished
INPUT_SCALE = 2.0**-7  # of inputs, by default: they lie in -1 .. 1
MAX_RIGHT_SHIFT = 30
# How much further than the shift of a call sums may be shifted to the left: MVE cores
# that round once shift by one more than the others, and v7.0.0 of CMSIS-NN cuts twice a
# result that it rounds once to int32.
EXTRA_LEFT_SHIFT = {"double": 0, "single": 1, "float32": 0, "float64": 0}
FLOAT32_GAP = 2**7  # between 2^31 and the float32 below it
MAX_BIAS_SHIFT = 23  # keeps an int8 bias inside int32
MAX_BIAS = 2**28  # leaves room for the products beside it
POW2_MULTIPLIER = 1 << 30
RELU6_MAX = 6.0
EXACT = Numerics()  # factors in float64, as multipliers of 31 bits
ACTIVATIONS = ("linear", "relu", "relu6")


@dataclass(frozen=True)
class Scheme:
    """Which scales and zero points a network is quantized with.

    Parameters
    ----------
    name : str
        Key of `SCHEMES`.
    pow2 : bool
        Scales are powers of two.
    per_channel : bool
        A weight has a scale for each output channel.
    asymmetric : bool
        Activations have zero points.
    """

    name: str
    pow2: bool
    per_channel: bool
    asymmetric: bool

    def weight_scales(self, max_abs: np.ndarray, bits: int) -> np.ndarray:
        """Scales that hold weights up to `max_abs` in `bits` bits, float64, same shape.

        A range of zero asks for none and gets 0; `legal_scales` chooses one.

        Raises
        ------
        RangeError
            If a range is not finite, or huge.
        """
        largest = np.asarray(max_abs, np.float64)
        check_values("range of weights", largest)
        if self.pow2:
            scales = ceil_pow2(np.where(largest == 0, 1.0, largest) / 2 ** (bits - 1))
            scales = np.clip(scales, 2.0**-MAX_FRAC_BITS, 2.0**-MIN_FRAC_BITS)
        else:
            scales = np.maximum(largest / weight_max(bits), FINEST)
        return np.where(largest == 0, 0.0, scales)

    def activation_qparams(self, low: float, high: float) -> QParams:
        """QParams that hold an activation's range; the range is widened to hold 0.

        Raises
        ------
        RangeError
            If the range is not finite, or huge.
        """
        low, high = min(low, 0.0), max(high, 0.0)
        if not (low >= -LARGEST and high <= LARGEST):
            raise RangeError(
                f"a range of {low} .. {high} cannot be quantized: {WHY_HUGE}"
            )
        if low == high:
            high = 1.0
        largest = max(-low, high)
        if self.pow2:
            return pow2_qparams(frac_bits(largest))
        if not self.asymmetric:
            return QParams(max(largest / 127, FINEST))
        scale = max((high - low) / 255, FINEST)
        return QParams(scale, round(min(max(-128 - low / scale, -128), 127)))


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("pow2", True, False, False),
        Scheme("pow2-per-channel", True, True, False),
        Scheme("symmetric", False, True, False),
        Scheme("asymmetric", False, True, True),
    )
}


def weight_max(bits: int) -> int:
    """Largest weight of so many bits: 127 or 7; the smallest is its negative."""
    return 2 ** (bits - 1) - 1


def check_values(what: str, values: np.ndarray, why: str = WHY_HUGE) -> None:
    """RangeError if one is not finite, or huge; `what` says what one of them is."""
    sizes = np.abs(values).ravel()
    if not sizes.max(initial=0.0) <= LARGEST:
        value = np.ravel(values)[np.argmin(sizes <= LARGEST)]
        raise RangeError(
            f"a {what} of {value:.6g} cannot be quantized, as it is not finite or "
            f"beyond {LARGEST:.0e}: {why}"
        )


def check_params(params: LinearParams, *, is_kept: bool = False) -> None:
    """RangeError if a weight or bias is not finite, or huge.

    Parameters
    ----------
    params : LinearParams
    is_kept : bool
        They stand for a file's integers.
    """
    why = WHY_HUGE_IN_FILE if is_kept else WHY_HUGE
    check_values("weight", params.weight, why)
    check_values("bias", params.bias, why)


def ceil_pow2(values: np.ndarray) -> np.ndarray:
    """The powers of two at or above positive `values`."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(1.0, exponent - (mantissa == 0.5))


def frac_bits(max_abs: float) -> int:
    """Fractional bits f with ``max_abs <= 2^(7 - f)``, the finest that holds the range.

    A range of zero gets 7 bits (values in -1 .. 1). The result is kept in -16 .. 24.
    """
    if not math.isfinite(max_abs):
        raise RangeError(f"a range of {max_abs} cannot be quantized")
    if max_abs == 0:
        return 7
    mantissa, exponent = math.frexp(max_abs)
    bits = 7 - (exponent - 1 if mantissa == 0.5 else exponent)
    return min(max(bits, MIN_FRAC_BITS), MAX_FRAC_BITS)


def pow2_qparams(bits: int) -> QParams:
    """Symmetric QParams of scale 2^-bits."""
    return QParams(2.0**-bits)


@dataclass(frozen=True)
class LinearScales:
    """Scales of one layer: input, weight (float64, one for each output), output."""

    x: QParams
    w: np.ndarray
    y: QParams

    @property
    def sums(self) -> np.ndarray:
        """Scales of the sums, float64 (Cout,)."""
        return self.x.scale * self.w

    def factors(self, numerics: Numerics) -> np.ndarray:
        """What sums are multiplied by to become outputs, float64 (Cout,)."""
        return ratio(numerics, (self.x.scale, self.w), self.y.scale)


@dataclass(frozen=True, eq=False)
class KeptInts:
    """What the integers of a file have that real parameters and scales do not say.

    Parameters
    ----------
    lowest : int
        The smallest weight there may be, -127 or -128.
    bias_residue : int32 (Cout,)
        Added to each bias: what float32 cannot hold of the file's.
    """

    lowest: int
    bias_residue: np.ndarray


def legal_scales(
    scales: LinearScales, bias: np.ndarray, scheme: Scheme, numerics: Numerics
) -> LinearScales:
    """The nearest scales that a device can compute with; see the module's text.

    A scale is only ever made coarser, so that nothing is clamped that was not before.
    An output keeps its zero point. A channel of zeros, whose scale is 0, has nothing to
    lose and takes nothing from the others: it gets the scale of weights in -1 .. 1, or
    one at which its sums are finer than the output.

    Raises
    ------
    RangeError
        If the output's scale stands for huge values.
    """
    x, y = scales.x, scales.y
    w = np.where(scales.w == 0, min(2.0**-7, y.scale / x.scale / 2), scales.w)
    if numerics.bias_bits == 32:
        biggest = np.abs(bias) if scheme.per_channel else np.abs(bias).max(initial=0)
        w = _coarser(w, biggest / (x.scale * MAX_BIAS), scheme)
    coarsest = float((x.scale * w).max())
    y = y if y.scale >= coarsest else replace(y, scale=coarsest)
    if y.scale > LARGEST:
        raise RangeError(f"an output scale of {y.scale:.4g} is too large: {WHY_HUGE}")
    w = _coarser(w, y.scale / (x.scale * 2.0**MAX_RIGHT_SHIFT), scheme)
    w = w.astype(numerics.scales).astype(np.float64)
    return LinearScales(x, w, stored(y, numerics))


def _coarser(w: np.ndarray, least: np.ndarray | float, scheme: Scheme) -> np.ndarray:
    """Scales of at least so much, that stay what they were otherwise: one for all, or
    powers of two."""
    if scheme.pow2:
        least = ceil_pow2(np.maximum(least, 2.0**-126))
    return np.maximum(w, least)


def by_output(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Values of each output so shaped that they broadcast over a weight."""
    return values.reshape(-1, *[1] * (weight.ndim - 1))  # (C,) -> (C,1,...)


def quantize_weight(
    weight: np.ndarray, scales: np.ndarray, bits: int, lowest: int | None = None
) -> np.ndarray:
    """Real weights to int8, halves to even, saturating at ``+-weight_max(bits)``.

    `scales` has one for each of the first axis of `weight`, whose shape the result has.
    `lowest` is the smallest integer, where that is another.
    """
    largest = weight_max(bits)
    each = by_output(scales, weight)
    lowest = -largest if lowest is None else lowest
    return np.clip(np.rint(weight / each), lowest, largest).astype(np.int8)


def real_inputs(x: np.ndarray, owner: str) -> np.ndarray:
    """Floating inputs of a network as float32; DataError if one is not finite in it."""
    with np.errstate(over="ignore"):
        values = x.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise DataError(f"{owner}: an input is NaN, or not finite in float32")
    return values


def quantize_inputs(values: np.ndarray, x: QParams) -> np.ndarray:
    """Real inputs of a network to int8, as TFLite's `QUANTIZE` does.

        clamp(round(value / scale) + zero_point, -128, 127)

    The quotient is float32, and halves are rounded away from zero, not to even as those
    of weights.

    Parameters
    ----------
    values : float32
        Finite.
    x : QParams

    Returns
    -------
    int8, the same shape

    References
    ----------
    TFLite `AffineQuantize`, of TFLite Micro and of LiteRT's reference kernels. LiteRT's
    optimized kernel multiplies by ``float32(1 / scale)`` and rounds halves to even.
    """
    steps = np.clip(values / np.float32(x.scale), -512, 512)  # far beyond int8
    # In float64 the sum is exact: float32 would carry what is just below a half.
    nearest = np.trunc(steps + np.copysign(0.5, steps, dtype=np.float64))
    return np.clip(nearest + x.zero_point, -128, 127).astype(np.int8)


def bias_shift(bias: np.ndarray, sum_bits: int) -> int:
    """How far the device shifts int8 biases to the left, to the scale 2^-sum_bits.

    The finest scale that holds them all; a finer one than the sums' own would need a
    negative shift, and is widened to it.
    """
    bits = frac_bits(float(np.abs(bias).max(initial=0.0)))
    return min(max(sum_bits - bits, 0), MAX_BIAS_SHIFT)


def linear_ints(
    params: LinearParams,
    scales: LinearScales,
    activation: str,
    numerics: Numerics,
    weight_bits: int = 8,
    kept: KeptInts | None = None,
) -> LinearInts:
    """The integers of a convolution or dense layer.

    Parameters
    ----------
    params : LinearParams
        Real weight, output channels first, and bias.
    scales : LinearScales
        Legal ones; see `legal_scales`.
    activation : str
        One of `ACTIVATIONS`.
    numerics : Numerics
        Of the target.
    weight_bits : 8 or 4
    kept : KeptInts or None
        Of a layer whose scales are a file's.

    Raises
    ------
    AccumulatorOverflow
        If some input could drive a sum out of int32.
    RangeError
        If a weight or bias is not finite, or huge.
    """
    check_params(params, is_kept=kept is not None)
    lowest = kept.lowest if kept else None
    weight = quantize_weight(params.weight, scales.w, weight_bits, lowest)
    multiplier, shift = multipliers_for(scales.factors(numerics), numerics)
    left = 0
    if numerics.bias_bits == 8:
        left = bias_shift(params.bias, -int(np.frexp(scales.sums[0])[1]) + 1)
    bias = np.rint(params.bias / (scales.sums * 2**left))
    if kept is not None:
        bias += kept.bias_residue
    if numerics.bias_bits == 8:
        bias = np.clip(bias, -128, 127) * 2**left
    factors = multiplier, shift
    _check_sums(weight, bias, factors, scales, numerics, kept is not None)
    act_min, act_max = activation_range(activation, scales.y, numerics.kernels)
    return LinearInts(
        weight=weight,
        bias=bias.astype(np.int32),
        multiplier=multiplier,
        shift=shift,
        input_offset=-scales.x.zero_point,
        output_offset=scales.y.zero_point,
        act_min=act_min,
        act_max=act_max,
        rounding=numerics.rounding,
        bias_shift=left,
        weight_scales=scales.w,
    )


def _check_sums(
    weight: np.ndarray,
    bias: np.ndarray,
    factors: tuple[np.ndarray, np.ndarray],
    scales: LinearScales,
    numerics: Numerics,
    is_kept: bool,
) -> None:
    """AccumulatorOverflow if some input could drive a sum out of int32.

    `factors` are multipliers and shifts. A sum that is multiplied by 0 may overflow in
    its shift to the left: the product is 0 in any case.
    """
    multiplier, shift = factors
    zero_point = scales.x.zero_point
    largest = max(127 - zero_point, 128 + zero_point)
    reach = np.abs(weight.astype(np.int64)).reshape(len(bias), -1).sum(axis=1)
    bounds, left = largest * reach + np.abs(bias), np.zeros(len(bias), int)
    if numerics.bias_bits == 8:
        bounds += 2 ** (1 - int(shift[0])) >> 1  # the half that rounds
    else:
        further = EXTRA_LEFT_SHIFT[numerics.rounding]
        left = np.where(multiplier == 0, 0, np.maximum(shift + further, 0))
        bounds *= 2.0**left
        bounds += abs(scales.y.zero_point)  # is added to what may be as large
        bounds += FLOAT32_GAP * numerics.is_floating
    worst = int(bounds.argmax())
    if bounds[worst] <= INT32_MAX:
        return
    shifted = f", shifted left by {left[worst]}" if left[worst] else ""
    why = "training diverged, or the bias is too large"
    if is_kept:
        why = "the integers are a file's, so quantize that network anew"
        if EXTRA_LEFT_SHIFT[numerics.rounding] and left[worst]:
            why += ', or take rounding "double", which shifts them by one less'
    raise AccumulatorOverflow(
        f"sums of output channel {worst} can reach {bounds[worst]:.4g}{shifted}, "
        f"beyond int32 ({INT32_MAX}); of that the bias "
        f"({bias[worst] * scales.sums[worst]:.4g} at scale {scales.sums[worst]:.4g}) "
        f"takes {abs(bias[worst]) * 2.0 ** left[worst]:.4g}: {why}"
    )


def activation_range(
    activation: str, y: QParams, kernels: str = "cmsis-nn"
) -> tuple[int, int]:
    """Smallest and largest int8 output of an activation fused into a layer."""
    if activation == "linear":
        return -128, 127
    if activation == "relu":
        return y.zero_point, 127
    return y.zero_point, min(activation_limit(RELU6_MAX, y, kernels), 127)


def activation_limit(real: float, y: QParams, kernels: str = "cmsis-nn") -> int:
    """The integer of a limit that an activation clamps to, which may be beyond int8.

    TFLite rounds the float32 quotient of limit and scale, halves away from zero.
    XNNPACK adds the zero point first, and rounds halves to even.
    """
    steps = np.float32(real) / np.float32(y.scale)
    if kernels == "xnnpack":
        return int(np.rint(steps + np.float32(y.zero_point)))
    away = math.copysign(math.floor(abs(float(steps)) + 0.5), steps)
    return y.zero_point + int(away)


def activation_bounds(activation: str) -> tuple[float, float]:
    """Smallest and largest real output of an activation."""
    low = -math.inf if activation == "linear" else 0.0
    return low, RELU6_MAX if activation == "relu6" else math.inf


def check_products(count: int) -> None:
    """AccumulatorOverflow if a sum of so many products could leave int32."""
    if count > MAX_PRODUCTS:
        raise AccumulatorOverflow(
            f"an output is a sum of {count} products; more than {MAX_PRODUCTS} could "
            f"leave int32 (each reaches {255 * 128})"
        )


def stored(q: QParams, numerics: Numerics) -> QParams:
    """QParams whose scale is of the type that a target has."""
    if numerics.scales == "float64":
        return q
    return replace(q, scale=float(np.float32(q.scale)))


def ratio(
    numerics: Numerics, above: tuple[float | np.ndarray, ...], below: float
) -> np.ndarray:
    """A product of scales divided by a scale, float64, computed as a target does.

    Parameters
    ----------
    numerics : Numerics
    above : tuple of float or ndarray
        Multiplied from the left to the right.
    below : float
    """
    kind = np.dtype(numerics.factors).type
    first, *others = (np.asarray(each, kind) for each in above)
    for other in others:
        first = first * other
    return np.asarray(first / kind(below), np.float64)


def multipliers_for(
    factors: np.ndarray, numerics: Numerics
) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and shifts of factors (C,), for a target's rounding.

    Multipliers are int32; float64 where the rounding multiplies by a floating factor,
    which they then stand for exactly.
    """
    if not numerics.is_floating:
        return multipliers_and_shifts(factors)
    mantissa, shift = np.frexp(factors)
    return mantissa * 2.0**31, shift.astype(np.int32)


def multipliers_and_shifts(scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`multiplier_and_shift` of positive float64 (C,), two int32 arrays (C,).

    Both are 0 where a shift of 31 to the right is not enough.

    Raises
    ------
    RangeError
        If one is not finite.
    """
    if not np.isfinite(scales).all():
        raise RangeError(
            f"a factor of {scales[~np.isfinite(scales)][0]} between scales"
        )
    mantissa, shift = np.frexp(scales)
    multiplier = np.rint(mantissa * 2.0**31).astype(np.int64)
    carried = multiplier == 2**31
    multiplier, shift = np.where(carried, 2**30, multiplier), shift + carried
    vanishes = shift < -31
    multiplier, shift = (np.where(vanishes, 0, a) for a in (multiplier, shift))
    return multiplier.astype(np.int32), shift.astype(np.int32)


def multiplier_and_shift(scale: float) -> tuple[int, int]:
    """``scale = multiplier * 2^(shift - 31)`` with 2^30 <= multiplier < 2^31.

    Both are 0 where a shift of 31 to the right is not enough.

    Reference: TFLite `QuantizeMultiplier`.
    """
    (multiplier,), (shift,) = multipliers_and_shifts(np.array([scale]))
    return int(multiplier), int(shift)


def output_factor(
    real: float, most_shift: int, y: QParams, numerics: Numerics = EXACT
) -> tuple[int, int]:
    """Multiplier and shift of ``real / y.scale``; RangeError if y is too fine."""
    factors = ratio(numerics, (real,), y.scale)[np.newaxis]
    (multiplier,), (shift,) = multipliers_for(factors, numerics)
    if shift > most_shift:
        raise RangeError(
            f"an output scale of {y.scale:.4g} is too fine for these inputs: it must "
            f"be above {real / 2.0**most_shift:.4g}"
        )
    return multiplier.item(), shift.item()
