"""The same real values at another scale, with an activation, by a table of 256 bytes.

    Y = clamp(rescale(X - zero point, s_x / s_y) + zero point, low, high)     any shape

It stands for TFLite's `QUANTIZE` from int8 to int8, and for `RELU` and `RELU6` whose
output has a scale of its own. The table holds what the target's kernel gives:

TFLite Micro    rounded twice; its `RELU6` leaves scale and zero point as they are,
                whatever the output's are
LiteRT          rounded twice; the factor is formed in float32 for an activation
XNNPACK         ((X - zero point) * m + 128 >> 8) + zero point, m = round(256 s_x / s_y)
                where the factor is 2^-8 to 2^7 and there is no activation; else as
                LiteRT

CMSIS-NN has no such kernel. "cmsis-nn" computes as TFLite Micro does, but for "relu6",
which rescales.

Source: TFLite `QUANTIZE`, `RELU` and `RELU6` int8: `reference_ops::Requantize`,
`QuantizedReluX`, TFLite Micro `Relu6Quantized`; XNNPACK `qs8-vcvt`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kanji_np.loops import elementwise as fast
from kanji_np.ops import table
from kanji_np.ops.attributes import Attributes, attribute, fused_activation
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import activation_bounds, activation_range
from kanji_np.types import Arrays, Numerics, QParams


@dataclass(frozen=True)
class RequantizeAttrs(Attributes):
    """The same values at a scale of their own; see `ops.requantize`.

    Any shape -> the same.

    Parameters
    ----------
    activation : None, "linear", "relu" or "relu6"
    """

    activation: str = attribute(fused_activation, "linear")


def ints_of(
    attrs: RequantizeAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> table.TableInts:
    """RangeError if `y` is too fine for the input."""
    (x,) = xs
    return table.ints_of(steps_of(attrs, x, y, numerics), table.reals(x), y)


def steps_of(
    attrs: RequantizeAttrs, x: QParams, y: QParams, numerics: Numerics
) -> Iterable[float]:
    """What becomes of -128 .. 127, before it is clamped to int8."""
    how = KERNELS.get((numerics.kernels, attrs.activation), plain)
    return how(attrs, x, y)


def plain(attrs: RequantizeAttrs, x: QParams, y: QParams) -> Iterable[float]:
    return _scaled(attrs, x.scale / y.scale, x, y)


def litert_activation(
    attrs: RequantizeAttrs, x: QParams, y: QParams
) -> Iterable[float]:
    return _scaled(attrs, float(table.ratio(x, y)), x, y)


def _scaled(
    attrs: RequantizeAttrs, factor: float, x: QParams, y: QParams
) -> Iterable[float]:
    values = table.scaled(table.differences(x), factor, y)
    return np.clip(values, *activation_range(attrs.activation, y))


def tflm_relu6(attrs: RequantizeAttrs, x: QParams, y: QParams) -> Iterable[float]:
    return np.clip(range(-128, 128), *activation_range(attrs.activation, x))


def xnnpack(attrs: RequantizeAttrs, x: QParams, y: QParams) -> Iterable[float]:
    factor = table.ratio(x, y)
    if not table.has_8_bits(factor):
        return plain(attrs, x, y)
    return [table.scaled_by_8_bits(d, factor, y) for d in table.differences(x)]


KERNELS = {
    ("tflm", "relu6"): tflm_relu6,
    ("litert", "relu"): litert_activation,
    ("litert", "relu6"): litert_activation,
    ("xnnpack", "relu"): litert_activation,
    ("xnnpack", "relu6"): litert_activation,
    ("xnnpack", "linear"): xnnpack,
}


def forward_float(attrs: RequantizeAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N, ...) -> same dtype and shape."""
    (x,) = xs
    return np.clip(x, *activation_bounds(attrs.activation))


def slope(attrs: RequantizeAttrs, x: np.ndarray) -> np.ndarray:
    """1; what is clamped passes no gradient anyway."""
    return np.ones_like(x)


REQUANTIZE = Op(
    name="requantize",
    attrs=RequantizeAttrs,
    layer="Requantize",
    infer=table.infer,
    forward_int=table.forward_int,
    forward_float=forward_float,
    vjp=table.vjp_of(slope),
    cost=table.cost,
    lowerings={"cmsis-nn": table.lower, "cmsis-nn-q7": table.lower},
    ints=ints_of,
    tracks_output=True,
    fast=Fast(fast.lookup_int, vjp=fast.lookup_vjp(slope)),
)
