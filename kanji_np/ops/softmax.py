"""Softmax over the last axis, in the arithmetic of the target.

X and Y (N,...,K), of any rank: each row of K elements is computed alone. TFLite's, of
base e, of one row:

    d = X - max(X);  e = exp(d * beta * scale) in Q0.31, for d >= diff_min, else 0
    s = sum of e in Q12.19
    Y = clamp(round(e / s * 256) - 128, -128, 127)

`multiplier * 2^(shift - 31)` is beta times the input scale times 2^26: the exponent is
computed with 5 integer bits. The output scale is 1/256 with zero point -128, whatever
comes in. exp is a polynomial of degree 4 on a quarter, times constants exp(-2^k); the
reciprocal is three Newton steps.

LiteRT's optimized kernel, which is the one that runs beside XNNPACK's, in float32:

    e = t[max(X) - X];  s = sum of e in the order of X
    Y = clamp(floor(e * (1 / (s / 256)) + 1/2) - 128, -128, 127)

with a table t[k] of exp(-k times beta times the input scale), and the same output
scale.

The legacy q7 API's, of base 2 and of the integers themselves, whatever their scale:

    b = max(X) - 8;  B = floor(2^20 / sum of 2^clamp(X - b, 0, 7))
    Y = clamp(B >> clamp(13 + b - X, 0, 31), -128, 127)

Its outputs are shares in units of 2^-7, rough ones: they keep the order of X, and are
not the softmax of the real values. So nothing is trained through them: this softmax may
only end a network.

Accumulator: s <= K * 2^19, inside int32 for K <= 4095; longer rows are refused. Where s
reaches 512, every share is below half a step, and Y is -128. There the shift that
turns e / s into Y is beyond 31, and the library's cores disagree; TFLite Micro aborts.
Rows of more than 511 elements, which can sum up to so much, are given to a function of
ccore.

Source: CMSIS-NN v7.0.0 `arm_softmax_s8`; TFLite `SOFTMAX` int8, gemmlowp fixedpoint,
`PopulateSoftmaxLookupTable`. Longer rows: ccore `kanji_softmax_s8`.
Legacy: CMSIS 5.9.0 `arm_softmax_q7`, `arm_softmax_with_batch_q7`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kanji_np.checks import number
from kanji_np.errors import OptionError, ShapeError, UnsupportedOp
from kanji_np.fixedpoint import (
    EXP_INTEGER_BITS,
    clamp,
    exp_on_negative,
    one_over_one_plus,
    rounding_divide_by_pot,
    saturating_doubling_high_multiply,
)
from kanji_np.loops import softmax as fast
from kanji_np.ops.attributes import Attributes, attribute
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import multiplier_and_shift
from kanji_np.targets import kanji_nn
from kanji_np.targets.arm import HEADER
from kanji_np.types import (
    Argument,
    Arrays,
    Gradients,
    InputPtr,
    KernelCall,
    Numerics,
    OutputPtr,
    QParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)

MOST_CLASSES = 4095
MOST_CLASSES_ARM = 511
MOST_ROWS_Q7 = 2**16 - 1
LARGEST_BETA = 2.0**10


def factor_of_logits(name: str, value: float) -> float:
    """A positive number as `.tflite` files have it: the nearest of float32."""
    beta = float(np.float32(number(name, value, 0.0, LARGEST_BETA)))
    if beta == 0:
        raise OptionError(f"{name} must be above 0, got {value}")
    return beta


@dataclass(frozen=True)
class SoftmaxAttrs(Attributes):
    """Softmax over the last axis; see `ops.softmax`.

    Any shape -> the same, of scale 1/256 and zero point -128. As the last layer it is
    left out of training: the loss takes the logits before it.

    Parameters
    ----------
    beta : float
        What the logits are multiplied by, above 0.
    """

    beta: float = attribute(factor_of_logits, 1.0, later=True)


@dataclass(frozen=True)
class SoftmaxInts:
    """Multiplier and shift of beta times the input scale.

    Differences below `diff_min` give 0.
    """

    base: ClassVar[str] = "exp"
    multiplier: int
    shift: int
    diff_min: int


@dataclass(frozen=True)
class TableSoftmaxInts:
    """exp(-k times beta times the input scale) for k of 0..255, float32 (256,)."""

    base: ClassVar[str] = "table"
    table: np.ndarray


@dataclass(frozen=True)
class Pow2SoftmaxInts:
    """The softmax of base 2, which knows no scale."""

    base: ClassVar[str] = "pow2"


AnySoftmaxInts = SoftmaxInts | TableSoftmaxInts | Pow2SoftmaxInts


def infer(attrs: SoftmaxAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if shape[-1] > MOST_CLASSES:
        raise ShapeError(
            f"softmax: expected a last axis of at most {MOST_CLASSES}, got {shape}"
        )
    return shape


def ints_of(
    attrs: SoftmaxAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> AnySoftmaxInts:
    """As TFLite's `PreprocessSoftmaxScaling` and `CalculateInputRadius` give them."""
    (x,) = xs
    if numerics.softmax == "pow2":
        return Pow2SoftmaxInts()
    if numerics.softmax == "table":
        step = np.float32(-x.scale) * np.float32(attrs.beta)
        exponents = step * np.arange(256, dtype=np.float32)
        return TableSoftmaxInts(np.exp(exponents.astype(np.float64)).astype(np.float32))
    real = min(attrs.beta * x.scale * 2.0 ** (31 - EXP_INTEGER_BITS), 2.0**31 - 1)
    multiplier, shift = multiplier_and_shift(real)
    multiplier, shift = multiplier >> max(-shift, 0), max(shift, 0)
    radius = ((1 << EXP_INTEGER_BITS) - 1) * 2.0 ** (31 - EXP_INTEGER_BITS) / 2.0**shift
    return SoftmaxInts(multiplier, shift, -int(radius))


def output_qparams(
    attrs: SoftmaxAttrs, xs: tuple[QParams, ...], numerics: Numerics
) -> QParams:
    return QParams(2.0**-7) if numerics.softmax == "pow2" else QParams(1 / 256, -128)


def forward_int(attrs: SoftmaxAttrs, ints: AnySoftmaxInts, xs: Arrays) -> np.ndarray:
    """int8 (N,...,K) -> the same, one row at a time."""
    (x,) = xs
    rows = x.reshape(-1, x.shape[-1]).tolist()
    y = np.array([BASES[ints.base](row, ints) for row in rows], np.int8)
    return y.reshape(x.shape)


def _softmax(row: list[int], ints: SoftmaxInts) -> list[int]:
    """Of base e."""
    largest, y = max(row), []
    e = [_exp(value - largest, ints) for value in row]
    s = sum(rounding_divide_by_pot(each, 12) for each in e)
    headroom = 32 - s.bit_length()  # s << headroom is 1 .. 2 in Q0.31
    reciprocal = one_over_one_plus((s << headroom) - 2**31)
    for each in e:
        product = saturating_doubling_high_multiply(reciprocal, each)
        q = rounding_divide_by_pot(product, 35 - headroom)
        y.append(clamp(q - 128, -128, 127))
    return y


def _exp(d: int, ints: SoftmaxInts) -> int:
    """exp(d * scale) in Q0.31, 0 where it is left out."""
    if d < ints.diff_min:
        return 0
    scaled = saturating_doubling_high_multiply(d << ints.shift, ints.multiplier)
    return exp_on_negative(scaled)


def _softmax_table(row: list[int], ints: TableSoftmaxInts) -> list[int]:
    """Of base e, in float32."""
    e = ints.table[max(row) - np.array(row)]
    s = np.float32(0)
    for each in e:
        s = s + each
    inverse = np.float32(1) / (s * np.float32(1 / 256))
    q = np.floor(e * inverse + np.float32(0.5)) - 128
    return np.clip(q, -128, 127).astype(int).tolist()


def _softmax_pow2(row: list[int], ints: Pow2SoftmaxInts) -> list[int]:
    """Of base 2."""
    b = max(row) - 8
    share = 2**20 // sum(2 ** clamp(x - b, 0, 7) for x in row)
    return [clamp(share >> clamp(13 + b - x, 0, 31), -128, 127) for x in row]


BASES: dict[str, Callable[[list[int], Any], list[int]]] = {
    "exp": _softmax,
    "table": _softmax_table,
    "pow2": _softmax_pow2,
}


def forward_float(attrs: SoftmaxAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N,...,K) -> same dtype and shape."""
    (x,) = xs
    e = np.exp((x - x.max(axis=-1, keepdims=True)) * x.dtype.type(attrs.beta))
    return e / e.sum(axis=-1, keepdims=True)


def vjp(
    attrs: SoftmaxAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = beta * P * (gY - sum of gY * P), with P the softmax of the real input."""
    p = forward_float(attrs, None, saved.real_x(gy.dtype))
    gx = p * (gy - (gy * p).sum(axis=-1, keepdims=True))
    return (gx * gy.dtype.type(attrs.beta),), None


def lower_cmsis_nn(
    attrs: SoftmaxAttrs,
    ints: SoftmaxInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    *outer, classes = x.shape
    arguments = (
        InputPtr(),
        math.prod(outer),
        classes,
        ints.multiplier,
        ints.shift,
        ints.diff_min,
        OutputPtr(),
    )
    if classes > MOST_CLASSES_ARM:
        return (kanji_nn.call("kanji_softmax_s8", *arguments),)
    return (KernelCall("arm_softmax_s8", HEADER, arguments, status=None),)


def lower_cmsis_nn_q7(
    attrs: SoftmaxAttrs,
    ints: Pow2SoftmaxInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    """Several rows are a batch to the library."""
    (x,) = xs
    if attrs.beta != 1:
        raise UnsupportedOp(f"arm_softmax_q7 has a beta of 1 only, got {attrs.beta:g}")
    *outer, classes = x.shape
    rows, function = math.prod(outer), "arm_softmax_with_batch_q7"
    if rows > MOST_ROWS_Q7:
        raise UnsupportedOp(
            f"{function} takes {MOST_ROWS_Q7:,} rows at most, got {rows:,}"
        )
    arguments: tuple[Argument, ...] = (InputPtr(), rows, classes, OutputPtr())
    if rows == 1:
        function, arguments = "arm_softmax_q7", (InputPtr(), classes, OutputPtr())
    return (KernelCall(function, HEADER, arguments, status=None),)


def why_last(numerics: Numerics) -> str | None:
    if numerics.softmax == "pow2":
        return "it is of base 2, whatever the scale of its input"
    return None


SOFTMAX = Op(
    name="softmax",
    attrs=SoftmaxAttrs,
    layer="Softmax",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    output_qparams=output_qparams,
    ints=ints_of,
    is_in_loss=True,
    only_last=why_last,
    fast=Fast(fast.forward_int),
)
