"""Hard swish: ``Y = X * clamp(X + 3, 0, 6) / 6``, any shape, by a table of 256 bytes.

Input and output have scales and zero points of their own. The table holds what TFLite's
kernel gives, which every runtime has. It computes in 16 bits. With D = X - zero point,

    H = D << 7
    U = round(H * output multiplier / 2^15)           X in parts of an output step
    R = saturate(H * relu multiplier * 2^exponent)    X / 3 in Q0.15
    Y = round(trunc((R + 2^15 >> 1) * U / 2^15) * 2^output exponent) + zero point

The multipliers have 15 bits, and the factor of the output, s_x / (128 s_y), must be
less than 1. Where it is below 2^-15 no output is as large as a step; the zero point
comes out here, and may be one off in TFLite, which shifts by more than 16 bits.

Source: TFLite `HARD_SWISH` int8, `reference_ops::HardSwish`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.fixedpoint import clamp, divide_toward_zero, rounding_divide_by_pot
from kanji_np.loops import elementwise as fast
from kanji_np.ops import table
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import multiplier_and_shift
from kanji_np.types import Arrays, Numerics, QParams


@dataclass(frozen=True)
class HardSwishAttrs(Attributes):
    """``x * clamp(x + 3, 0, 6) / 6`` of every element; see `ops.hard_swish`.

    Any shape -> the same.
    """


def ints_of(
    attrs: HardSwishAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> table.TableInts:
    """RangeError if `y` is too fine for the input."""
    (x,) = xs
    return table.ints_of(values(x, y), smooth(table.reals(x)), y)


def values(x: QParams, y: QParams) -> list[int]:
    fine = np.float32(x.scale) / np.float32(128)  # the scale of H
    multiplier, exponent = _factor(fine / np.float32(y.scale))
    relu_multiplier, relu_exponent = _factor(fine / np.float32(3 / 32768))
    if exponent > 0:
        raise table.too_fine(y)
    outputs = []
    for d in table.differences(x):
        h = d << 7
        u = _multiply_high(h, multiplier)
        # All but the last bit of a shift to the left comes before the multiplication.
        r = _saturated(h << max(relu_exponent - 1, 0))
        r = _multiply_high(r, relu_multiplier)
        r = _saturated(r << (relu_exponent > 0))
        r = rounding_divide_by_pot(r, max(-relu_exponent, 0))
        product = divide_toward_zero(((r + 2**15) >> 1) * u, 2**15)
        outputs.append(rounding_divide_by_pot(product, -exponent) + y.zero_point)
    return outputs


def _factor(real: np.float32) -> tuple[int, int]:
    """A multiplier of 15 bits, and a power of two."""
    multiplier, exponent = multiplier_and_shift(float(real))
    return min((multiplier + 2**15) >> 16, 2**15 - 1), exponent


def _saturated(value: int) -> int:
    return clamp(value, -(2**15), 2**15 - 1)


def _multiply_high(a: int, b: int) -> int:
    """``a * b / 2^15`` to the nearest, halves up; a, b in 16 bits."""
    return (a * b + 2**14) >> 15


def forward_float(attrs: HardSwishAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N, ...) -> same dtype and shape."""
    (x,) = xs
    return smooth(x)


def smooth(x: np.ndarray) -> np.ndarray:
    return x * (np.clip(x + 3, 0, 6) / 6)


def slope(attrs: HardSwishAttrs, x: np.ndarray) -> np.ndarray:
    """(2 X + 3) / 6 between -3 and 3, 0 below and 1 above."""
    inside = (2 * x + 3) / 6
    return np.where(x <= -3, x.dtype.type(0), np.where(x < 3, inside, 1))


HARD_SWISH = Op(
    name="hard_swish",
    attrs=HardSwishAttrs,
    layer="HardSwish",
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
