"""Between real scales and integers: ranges, power-of-two scales, layer constants.

The scheme is the paper's: symmetric int8, one scale 2^-f per tensor, f taken from a
moving minimum and maximum. With x = X 2^-fx, w = W 2^-fw and y = Y 2^-fy a sum of
products has the scale 2^-(fx + fw), the bias is an int32 at that scale, and

    n = fx + fw - fy

is the right shift from sum to output, written for CMSIS-NN as multiplier 2^30 and shift
1 - n. Scales that would make n negative (an output finer than the sums it comes from)
or larger than 30 (an output coarser than any sum) are moved to the nearest legal one.

Where the library stores int8 biases, a bias has a scale 2^-fb of its own, and fx + fw -
fb is its shift to the left. It too is kept from being negative.

Reference: Lai and Suda, "Rethinking Machine Learning Development and Deployment for
Edge Devices", 2018, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kanji_np.errors import AccumulatorOverflow, RangeError
from kanji_np.types import LinearInts, LinearParams, Numerics, QParams

INT32_MAX = 2**31 - 1
MAX_PRODUCTS = 65_535  # of (x - zero point) * w, 255 * 128 at most, in one int32
WEIGHT_MAX = 127
MIN_FRAC_BITS, MAX_FRAC_BITS = -16, 24
MAX_RIGHT_SHIFT = 30
# What the s8 kernels shift sums to the left before they multiply, at n = 0. MVE cores
# that round once shift by one more than the others.
LEFT_SHIFTS = {"double": 1, "single": 2}
MAX_BIAS_SHIFT = 23  # keeps an int8 bias inside int32
POW2_MULTIPLIER = 1 << 30


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


def pow2_bits(qparams: QParams) -> int:
    """f of a scale 2^-f; RangeError if the scale is no power of two."""
    mantissa, exponent = math.frexp(qparams.scale)
    if mantissa != 0.5:
        raise RangeError(f"scale {qparams.scale!r} is not a power of two")
    return 1 - exponent


class RangeTracker:
    """Moving minimum and maximum of a tensor.

    The average starts as a plain mean of what was seen and becomes an exponential one:
    the weight of the past is ``min(momentum, n / (n + 1))`` after n updates, so the
    first update counts in full and no long warm-up is needed.

    Parameters
    ----------
    momentum : float
        Weight of the past once enough has been seen, 0 <= momentum < 1.
    """

    def __init__(self, momentum: float = 0.99) -> None:
        self.momentum = momentum
        self.low = 0.0
        self.high = 0.0
        self.updates = 0

    def update(self, low: float, high: float) -> None:
        """Take in one batch's minimum and maximum; RangeError if one is not finite."""
        low, high = float(low), float(high)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RangeError(
                f"values from {low} to {high} cannot be quantized: training diverged "
                "(lower the learning rate) or the input holds NaN"
            )
        past = min(self.momentum, self.updates / (self.updates + 1))
        self.low = past * self.low + (1 - past) * low
        self.high = past * self.high + (1 - past) * high
        self.updates += 1

    @property
    def max_abs(self) -> float:
        return max(-self.low, self.high, 0.0)

    def qparams(self) -> QParams:
        """Symmetric power-of-two QParams that hold the range."""
        return pow2_qparams(frac_bits(self.max_abs))

    def state(self) -> dict[str, float]:
        """Low, high, momentum and count, as JSON can hold them exactly."""
        return {
            "low": self.low,
            "high": self.high,
            "momentum": self.momentum,
            "updates": self.updates,
        }

    @classmethod
    def from_state(cls, state: dict[str, float]) -> RangeTracker:
        tracker = cls(float(state["momentum"]))
        tracker.low, tracker.high = float(state["low"]), float(state["high"])
        tracker.updates = int(state["updates"])
        if not (math.isfinite(tracker.low) and math.isfinite(tracker.high)):
            raise RangeError(f"a tracked range is {tracker.low} .. {tracker.high}")
        return tracker


def legal_output(x: QParams, w: QParams, y: QParams) -> QParams:
    """`y` moved to the nearest scale that a sum at scale x·w can be shifted to."""
    sum_bits = pow2_bits(x) + pow2_bits(w)
    return pow2_qparams(min(max(pow2_bits(y), sum_bits - MAX_RIGHT_SHIFT), sum_bits))


def quantize_weight(weight: np.ndarray, qparams: QParams) -> np.ndarray:
    """Real weights to int8 in -127..127, halves to even, same shape."""
    scaled = np.rint(weight / qparams.scale)
    return np.clip(scaled, -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)


@dataclass(frozen=True)
class LinearScales:
    """Scales of input, weight and output of one layer."""

    x: QParams
    w: QParams
    y: QParams


def bias_shift(bias: np.ndarray, sum_bits: int) -> int:
    """How far the device shifts int8 biases to the left, to the scale 2^-sum_bits.

    The finest scale that holds them all; a finer one than the sums' own would need a
    negative shift, and is widened to it.
    """
    bits = frac_bits(float(np.abs(bias).max(initial=0.0)))
    return min(max(sum_bits - bits, 0), MAX_BIAS_SHIFT)


def linear_ints(
    params: LinearParams, scales: LinearScales, activation: str, numerics: Numerics
) -> LinearInts:
    """The integers of a convolution or dense layer.

    Parameters
    ----------
    params : LinearParams
        Real weight, output channels first, and bias.
    scales : LinearScales
        Powers of two; `y` must be legal (see `legal_output`).
    activation : str
        "linear" or "relu".
    numerics : Numerics
        Of the target.

    Raises
    ------
    AccumulatorOverflow
        If some input could drive a sum out of int32.
    RangeError
        If a weight or bias is not finite.
    """
    channels = len(params.bias)
    if not np.isfinite(params.weight).all():
        raise RangeError("a weight is not finite: training diverged")
    weight = quantize_weight(params.weight, scales.w)
    sum_bits = pow2_bits(scales.x) + pow2_bits(scales.w)
    right = sum_bits - pow2_bits(scales.y)
    if not np.isfinite(params.bias).all():
        raise RangeError("a bias is not finite: training diverged")
    left = bias_shift(params.bias, sum_bits) if numerics.bias_bits == 8 else 0
    bias = np.rint(params.bias.astype(np.float64) * 2.0 ** (sum_bits - left))
    if numerics.bias_bits == 8:
        bias = np.clip(bias, -128, 127) * 2**left
    largest = max(127 - scales.x.zero_point, 128 + scales.x.zero_point)
    reach = largest * np.abs(weight.astype(np.int64)).reshape(channels, -1).sum(axis=1)
    bound = float((reach + np.abs(bias)).max())
    if numerics.bias_bits == 8:
        bound += 2**right >> 1  # the half that rounds
    else:
        bound *= 2 ** max(LEFT_SHIFTS[numerics.requantize] - right, 0)
    if bound > INT32_MAX:
        raise AccumulatorOverflow(
            f"sums can reach {bound:.4g}, beyond int32 ({INT32_MAX}); of that the bias "
            f"(up to {np.abs(params.bias).max():.4g} at scale 2^-{sum_bits}) takes "
            f"{np.abs(bias).max():.4g}: training diverged, or the bias is too large"
        )
    return LinearInts(
        weight=weight,
        bias=bias.astype(np.int32),
        multiplier=np.full(channels, POW2_MULTIPLIER, np.int32),
        shift=np.full(channels, 1 - right, np.int32),
        input_offset=-scales.x.zero_point,
        output_offset=scales.y.zero_point,
        act_min=0 if activation == "relu" else -128,
        act_max=127,
        rounding=numerics.requantize,
        bias_shift=left,
    )


def check_products(count: int) -> None:
    """AccumulatorOverflow if a sum of so many products could leave int32."""
    if count > MAX_PRODUCTS:
        raise AccumulatorOverflow(
            f"an output is a sum of {count} products; more than {MAX_PRODUCTS} could "
            f"leave int32 (each reaches {255 * 128})"
        )


def multiplier_and_shift(scale: float) -> tuple[int, int]:
    """``scale = multiplier * 2^(shift - 31)`` with 2^30 <= multiplier < 2^31.

    Reference: TFLite `QuantizeMultiplier`.
    """
    mantissa, shift = math.frexp(scale)
    multiplier = round(mantissa * 2**31)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    return multiplier, shift
