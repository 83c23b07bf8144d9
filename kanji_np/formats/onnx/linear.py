"""Weights of a file on their way into a layer, with what is folded into them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kanji_np.errors import UnsupportedOp
from kanji_np.formats.builder import IntWeights
from kanji_np.formats.onnx.folding import Constant
from kanji_np.quantize import by_output
from kanji_np.types import LinearParams

MOST_WEIGHT = 127
MOST_BIAS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Linear:
    """Weight and bias, output channels first: ``y[o] = sum of weight[o] x + bias[o]``.

    Parameters
    ----------
    weight : float64 or int8 (Cout, ...)
    bias : float64 or int64 (Cout,)
        Of integers at the scale of the sums.
    scales : float64 (Cout,) or None
        Of integers; None: real values.
    x_scale : float
        Of the input, where weights are integers.
    """

    weight: np.ndarray
    bias: np.ndarray
    scales: np.ndarray | None = None
    x_scale: float = 1.0

    def scaled(self, k: np.ndarray, b: np.ndarray) -> Linear:
        """With ``y k + b`` in place of y, both (Cout,)."""
        if not (np.isfinite(k).all() and np.isfinite(b).all()):
            raise UnsupportedOp("its constants must be finite")
        if self.scales is None:
            with np.errstate(all="ignore"):  # layers refuse what is not finite
                weight = self.weight * by_output(k, self.weight)
                return replace(self, weight=weight, bias=self.bias * k + b)
        sign = np.where(k < 0, -1, 1)
        scales = np.where(k == 0, self.scales, np.abs(k) * self.scales)
        weight = self.weight.astype(np.int64) * by_output(
            np.where(k == 0, 0, sign), self.weight
        )
        if (weight > MOST_WEIGHT).any():
            raise UnsupportedOp("a weight of -128 cannot change its sign")
        bias = np.where(k == 0, 0, sign * self.bias)
        bias = bias + _integers(b / (scales * self.x_scale))
        return replace(self, weight=weight.astype(np.int8), bias=bias, scales=scales)

    @property
    def params(self) -> LinearParams | IntWeights:
        """As layers take them."""
        if self.scales is None:
            with np.errstate(over="ignore"):  # layers refuse what is not finite
                weight, bias = (
                    np.ascontiguousarray(array, np.float32)
                    for array in (self.weight, self.bias)
                )
            return LinearParams(weight, bias)
        if np.abs(self.bias).max(initial=0) > MOST_BIAS:
            raise UnsupportedOp("a bias does not fit int32 at the scale of the sums")
        largest = self.scales.max() * max(MOST_BIAS * self.x_scale, MOST_WEIGHT)
        if not largest < np.finfo(np.float32).max:
            raise UnsupportedOp(f"a scale of {self.scales.max():.4g} is too large")
        weight = np.ascontiguousarray(self.weight)
        return IntWeights(weight, self.bias.astype(np.int32), self.scales)


def linear(
    weight: Constant, axis: int, bias: Constant | None, x_scale: float | None
) -> Linear:
    """Of the constants of a file; the weight's axis of output channels comes first.

    Parameters
    ----------
    weight : Constant
    axis : int
        Of the output channels.
    bias : Constant or None
        Of as many values.
    x_scale : float or None
        Of the input; None: the file does not say it, so real weights are made.

    Raises
    ------
    UnsupportedOp
        The integers are none that a layer here has.
    """
    count = weight.data.shape[axis]
    real = np.zeros(count) if bias is None else _bias(bias, count)
    q = weight.quantization
    if q is None or x_scale is None:
        values = np.moveaxis(weight.numbers(), axis, 0)
        return Linear(values, real)
    if q.per_channel and q.axis != axis:
        raise UnsupportedOp(
            f"the scales of the weight must be those of output channels, axis {axis}; "
            f"they are of axis {q.axis}"
        )
    scales = np.broadcast_to(q.scales, count)
    sums = scales * x_scale
    ints = _integers(real / sums)
    if bias is not None and bias.quantization is not None:
        own = np.broadcast_to(bias.quantization.scales, count)
        is_exact = not bias.quantization.zero_points.any()
        if is_exact and np.allclose(own, sums, rtol=1e-5, atol=0):
            ints = np.broadcast_to(bias.data.reshape(-1), count).astype(np.int64)
    weights = np.moveaxis(symmetric(weight), axis, 0)
    return Linear(weights, ints, scales, x_scale)


def _integers(values: np.ndarray) -> np.ndarray:
    """The nearest, int64; UnsupportedOp beyond int32."""
    if not (np.abs(values) <= MOST_BIAS).all():
        raise UnsupportedOp("a bias does not fit int32 at the scale of the sums")
    return np.rint(values).astype(np.int64)


def _bias(bias: Constant, count: int) -> np.ndarray:
    return np.broadcast_to(bias.numbers().reshape(-1), count)


def symmetric(weight: Constant) -> np.ndarray:
    """Integer weights as int8 with zero point 0; UnsupportedOp if they have none."""
    q = weight.quantization
    assert q is not None
    middle = 128 if weight.data.dtype == np.uint8 else 0
    if (q.zero_points != middle).any() or weight.data.dtype.name not in (
        "int8",
        "uint8",
    ):
        raise UnsupportedOp(
            "weights must be int8 with zero point 0, or uint8 with 128; they are "
            f"{weight.data.dtype} with {int(q.zero_points[0])}"
        )
    return (weight.data.astype(np.int64) - middle).astype(np.int8)
