"""Leaky ReLU: ``Y = X`` above 0 and ``slope * X`` below, by a table of 256 bytes.

Any shape; input and output have scales and zero points of their own. The table holds
what the target's kernel gives:

TFLite Micro    rescale(X - zero point, multiplier, shift) + zero point, rounded twice;
                each side has a multiplier, of s_x / s_y and slope s_x / s_y
LiteRT          the same, with the two factors formed in float32
XNNPACK         ((X - zero point) * m + 128 >> 8) + zero point, m = round(256 s_x / s_y)
                for each side, where both factors are 2^-8 to 2^7; else as LiteRT

CMSIS-NN has no such kernel, so "cmsis-nn" computes as TFLite Micro does on a board.

Source: TFLite `LEAKY_RELU` int8: `reference_ops::QuantizeLeakyRelu`; XNNPACK
`qs8-vlrelu`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kanji_np.checks import number
from kanji_np.loops import elementwise as fast
from kanji_np.ops import table
from kanji_np.ops.attributes import Attributes, attribute
from kanji_np.ops.op import Fast, Op
from kanji_np.types import Arrays, Numerics, QParams


def slope_below(name: str, value: float) -> float:
    return number(name, value, 0.0, 1.0)


@dataclass(frozen=True)
class LeakyReluAttrs(Attributes):
    """``x`` above 0, ``negative_slope * x`` below; see `ops.leaky_relu`.

    Any shape -> the same.

    Parameters
    ----------
    negative_slope : float
        0..1.
    """

    negative_slope: float = attribute(slope_below, 0.3)


def ints_of(
    attrs: LeakyReluAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> table.TableInts:
    """RangeError if `y` is too fine for the input."""
    (x,) = xs
    values = KERNELS.get(numerics.kernels, tflm)(attrs, x, y)
    return table.ints_of(values, forward_float(attrs, None, (table.reals(x),)), y)


def tflm(attrs: LeakyReluAttrs, x: QParams, y: QParams) -> Iterable[float]:
    above = x.scale / y.scale
    below = x.scale * float(np.float32(attrs.negative_slope)) / y.scale
    return _scaled(above, below, x, y)


def litert(attrs: LeakyReluAttrs, x: QParams, y: QParams) -> Iterable[float]:
    product = np.float32(x.scale) * np.float32(attrs.negative_slope)
    below, above = float(product / np.float32(y.scale)), float(table.ratio(x, y))
    return _scaled(above, below, x, y)


def _scaled(above: float, below: float, x: QParams, y: QParams) -> Iterable[float]:
    """A factor for what is above 0, and one for the rest."""
    negative = table.scaled(range(-128 - x.zero_point, 0), below, y)
    return negative + table.scaled(range(128 - x.zero_point), above, y)


def xnnpack(attrs: LeakyReluAttrs, x: QParams, y: QParams) -> Iterable[float]:
    above = table.ratio(x, y)
    below = above * np.float32(attrs.negative_slope)
    if not (table.has_8_bits(above) and table.has_8_bits(below)):
        return litert(attrs, x, y)
    ds = table.differences(x)
    return [table.scaled_by_8_bits(d, above if d > 0 else below, y) for d in ds]


KERNELS = {"litert": litert, "xnnpack": xnnpack}


def forward_float(attrs: LeakyReluAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N, ...) -> same dtype and shape."""
    (x,) = xs
    return x * slope(attrs, x)


def slope(attrs: LeakyReluAttrs, x: np.ndarray) -> np.ndarray:
    """1 above 0, and the slope below."""
    below, above = x.dtype.type(attrs.negative_slope), x.dtype.type(1)
    return np.where(x > 0, above, below)


LEAKY_RELU = Op(
    name="leaky_relu",
    attrs=LeakyReluAttrs,
    layer="LeakyReLU",
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
