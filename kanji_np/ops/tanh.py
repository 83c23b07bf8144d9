"""Hyperbolic tangent: ``Y = tanh(X)``, any shape, by a table of 256 bytes.

The output has the scale 1/128 and the zero point 0, whatever comes in. The table holds
what the target's kernel gives, as that of `ops.sigmoid` does; in fixed point it is
`fixedpoint.tanh`, rounded to 7 bits.

Source: TFLite `TANH` int8: `reference_integer_ops::Tanh`; LiteRT 2.3.0
`PopulateLookupTable`; XNNPACK's reference kernel of tanh.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kanji_np import fixedpoint
from kanji_np.loops import elementwise as fast
from kanji_np.ops import table
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import Fast, Op
from kanji_np.types import Arrays, Numerics, QParams

BITS = 7
OUTPUT = QParams(2.0**-BITS)


@dataclass(frozen=True)
class TanhAttrs(Attributes):
    """``tanh(x)`` of every element; see `ops.tanh`.

    Any shape -> the same, of scale 1/128 and zero point 0.
    """


def output_qparams(
    attrs: TanhAttrs, xs: tuple[QParams, ...], numerics: Numerics
) -> QParams:
    return OUTPUT


def ints_of(
    attrs: TanhAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> table.TableInts:
    (x,) = xs
    values = KERNELS.get(numerics.kernels, tflm)(x)
    return table.ints_of(values, np.tanh(table.reals(x)), y)


def tflm(x: QParams) -> Iterable[float]:
    return table.by_fixed_point(fixedpoint.tanh, BITS, x, OUTPUT)


def litert(x: QParams) -> Iterable[float]:
    return table.by_float32(_tanh, x, OUTPUT)


def xnnpack(x: QParams) -> Iterable[float]:
    return table.by_float32_to_even(_tanh, x, OUTPUT)


def _tanh(real: np.ndarray) -> np.ndarray:
    """In float64, which rounds to float32 as C's `tanhf` does."""
    return np.tanh(real.astype(np.float64))


KERNELS = {"litert": litert, "xnnpack": xnnpack}


def forward_float(attrs: TanhAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N, ...) -> same dtype and shape."""
    (x,) = xs
    return np.tanh(x)


def slope(attrs: TanhAttrs, x: np.ndarray) -> np.ndarray:
    """1 - Y^2."""
    return 1 - np.tanh(x) ** 2


TANH = Op(
    name="tanh",
    attrs=TanhAttrs,
    layer="Tanh",
    infer=table.infer,
    forward_int=table.forward_int,
    forward_float=forward_float,
    vjp=table.vjp_of(slope),
    cost=table.cost,
    lowerings={"cmsis-nn": table.lower, "cmsis-nn-q7": table.lower},
    ints=ints_of,
    output_qparams=output_qparams,
    fast=Fast(fast.lookup_int, vjp=fast.lookup_vjp(slope)),
)
