"""Sigmoid: ``Y = 1 / (1 + exp(-X))``, any shape, by a table of 256 bytes.

The output has the scale 1/256 and the zero point -128, whatever comes in: -128 stands
for 0, and 127 for 255/256. The table holds what the target's kernel gives:

TFLite Micro    X in Q4.27, the result of `fixedpoint.logistic` in Q0.31, rounded to 8
                bits, halves away from zero; the ends of int8 from 15 on, and to -15
LiteRT          float32, rounded to the nearest, halves away from zero
XNNPACK         float64, then float32, rounded to the nearest, halves to even

CMSIS-NN has no such kernel, so "cmsis-nn" computes as TFLite Micro does on a board.

Source: TFLite `LOGISTIC` int8: `reference_integer_ops::Logistic`; LiteRT 2.3.0
`PopulateLookupTable`; XNNPACK's reference kernel of sigmoid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kanji_np.fixedpoint import logistic
from kanji_np.loops import elementwise as fast
from kanji_np.ops import table
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import Fast, Op
from kanji_np.types import Arrays, Numerics, QParams

BITS = 8
OUTPUT = QParams(2.0**-BITS, -128)


@dataclass(frozen=True)
class SigmoidAttrs(Attributes):
    """``1 / (1 + exp(-x))`` of every element; see `ops.sigmoid`.

    Any shape -> the same, of scale 1/256 and zero point -128.
    """


def output_qparams(
    attrs: SigmoidAttrs, xs: tuple[QParams, ...], numerics: Numerics
) -> QParams:
    return OUTPUT


def ints_of(
    attrs: SigmoidAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> table.TableInts:
    (x,) = xs
    values = KERNELS.get(numerics.kernels, tflm)(x)
    return table.ints_of(values, forward_float(attrs, None, (table.reals(x),)), y)


def tflm(x: QParams) -> Iterable[float]:
    return table.by_fixed_point(logistic, BITS, x, OUTPUT)


def litert(x: QParams) -> Iterable[float]:
    def of(real: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            e = np.exp(-real.astype(np.float64)).astype(np.float32)
        return 1 / (1 + e)

    return table.by_float32(of, x, OUTPUT)


def xnnpack(x: QParams) -> Iterable[float]:
    def of(real: np.ndarray) -> np.ndarray:
        e = np.exp(np.clip(real, -100, 100).astype(np.float64))
        return e / (1 + e)

    return table.by_float32_to_even(of, x, OUTPUT)


KERNELS = {"litert": litert, "xnnpack": xnnpack}


def forward_float(attrs: SigmoidAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N, ...) -> same dtype and shape."""
    (x,) = xs
    half = x.dtype.type(0.5)
    return np.tanh(x * half) * half + half


def slope(attrs: SigmoidAttrs, x: np.ndarray) -> np.ndarray:
    """Y (1 - Y)."""
    y = forward_float(attrs, None, (x,))
    return y * (1 - y)


SIGMOID = Op(
    name="sigmoid",
    attrs=SigmoidAttrs,
    layer="Sigmoid",
    infer=table.infer,
    forward_int=table.forward_int,
    forward_float=forward_float,
    vjp=table.vjp_of(slope),
    cost=table.cost,
    lowerings={"cmsis-nn": table.lower},
    ints=ints_of,
    output_qparams=output_qparams,
    fast=Fast(fast.lookup_int, vjp=fast.lookup_vjp(slope)),
)
