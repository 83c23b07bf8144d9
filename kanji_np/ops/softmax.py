"""Softmax over the last axis, in the arithmetic of the target.

TFLite's, of base e:

    d = X - max(X);  e = exp(d * scale) in Q0.31, for d >= diff_min, else left out
    s = sum of e in Q12.19
    Y = clamp(round(e / s * 256) - 128, -128, 127)

X and Y (N,K). `multiplier * 2^(shift - 31)` is the input scale times 2^26: the exponent
is computed with 5 integer bits. The output scale is 1/256 with zero point -128,
whatever comes in. exp is a polynomial of degree 4 on a quarter, times constants
exp(-2^k); the reciprocal is three Newton steps.

LiteRT's optimized kernel, which is the one that runs beside XNNPACK's, in float32:

    e = t[max(X) - X];  s = sum of e in the order of X
    Y = clamp(floor(e * (1 / (s / 256)) + 1/2) - 128, -128, 127)

with a table t[k] of exp(-k times the input scale), and the same output scale.

The legacy q7 API's, of base 2 and of the integers themselves, whatever their scale:

    b = max(X) - 8;  B = floor(2^20 / sum of 2^clamp(X - b, 0, 7))
    Y = clamp(B >> clamp(13 + b - X, 0, 31), -128, 127)

Its outputs are shares in units of 2^-7, rough ones: they keep the order of X, and are
not the softmax of the real values.

Accumulator: s <= K * 2^19. For K <= 511 the shift that turns e / s into Y stays below
32; beyond, the library's cores disagree, so longer rows are refused.

Source: CMSIS-NN v7.0.0 `arm_softmax_s8`; TFLite `SOFTMAX` int8, gemmlowp fixedpoint,
`PopulateSoftmaxLookupTable`.
Legacy: CMSIS 5.9.0 `arm_softmax_q7`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.fixedpoint import (
    EXP_INTEGER_BITS,
    clamp,
    exp_on_negative,
    one_over_one_plus,
    rounding_divide_by_pot,
    saturating_doubling_high_multiply,
)
from kanji_np.loops import softmax as fast
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import multiplier_and_shift
from kanji_np.targets.arm import HEADER
from kanji_np.types import (
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

MOST_CLASSES = 511


@dataclass(frozen=True)
class SoftmaxAttrs(Attributes):
    """Softmax for deployment; see `ops.softmax`.

    (K,) -> (K,). As the last layer it is left out of training: the loss takes the
    logits before it.
    """


@dataclass(frozen=True)
class SoftmaxInts:
    """Multiplier and shift of the input scale; differences below `diff_min` give 0."""

    base: ClassVar[str] = "exp"
    multiplier: int
    shift: int
    diff_min: int


@dataclass(frozen=True)
class TableSoftmaxInts:
    """exp(-k times the input scale) for k of 0..255, float32 (256,)."""

    base: ClassVar[str] = "table"
    table: np.ndarray


@dataclass(frozen=True)
class Pow2SoftmaxInts:
    """The softmax of base 2, which knows no scale."""

    base: ClassVar[str] = "pow2"


AnySoftmaxInts = SoftmaxInts | TableSoftmaxInts | Pow2SoftmaxInts


def infer(attrs: SoftmaxAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if len(shape) != 1 or shape[0] > MOST_CLASSES:
        raise ShapeError(
            f"softmax: expected a flat input of at most {MOST_CLASSES}, got {shape}"
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
        exponents = np.float32(-x.scale) * np.arange(256, dtype=np.float32)
        return TableSoftmaxInts(np.exp(exponents.astype(np.float64)).astype(np.float32))
    real = min(x.scale * 2.0 ** (31 - EXP_INTEGER_BITS), 2.0**31 - 1)
    multiplier, shift = multiplier_and_shift(real)
    shift = max(shift, 0)
    radius = ((1 << EXP_INTEGER_BITS) - 1) * 2.0 ** (31 - EXP_INTEGER_BITS) / 2.0**shift
    return SoftmaxInts(multiplier, shift, -int(radius))


def output_qparams(
    attrs: SoftmaxAttrs, xs: tuple[QParams, ...], numerics: Numerics
) -> QParams:
    return QParams(2.0**-7) if numerics.softmax == "pow2" else QParams(1 / 256, -128)


def forward_int(attrs: SoftmaxAttrs, ints: AnySoftmaxInts, xs: Arrays) -> np.ndarray:
    """int8 (N,K) -> int8 (N,K), one row at a time."""
    (x,) = xs
    return np.array([BASES[ints.base](row, ints) for row in x.tolist()], np.int8)


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
    """Floating (N,K) -> same dtype (N,K)."""
    (x,) = xs
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def vjp(
    attrs: SoftmaxAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = P * (gY - sum of gY * P), with P the softmax of the real input."""
    (x,), (scale,) = saved.x, saved.x_scale
    p = forward_float(attrs, None, (x * gy.dtype.type(scale),))
    return (p * (gy - (gy * p).sum(axis=1, keepdims=True)),), None


def lower_cmsis_nn(
    attrs: SoftmaxAttrs,
    ints: SoftmaxInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    call = KernelCall(
        function="arm_softmax_s8",
        header=HEADER,
        arguments=(
            InputPtr(),
            1,
            x.shape[0],
            ints.multiplier,
            ints.shift,
            ints.diff_min,
            OutputPtr(),
        ),
        status=None,
    )
    return (call,)


def lower_cmsis_nn_q7(
    attrs: SoftmaxAttrs,
    ints: Pow2SoftmaxInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    call = KernelCall(
        function="arm_softmax_q7",
        header=HEADER,
        arguments=(InputPtr(), x.shape[0], OutputPtr()),
        status=None,
    )
    return (call,)


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
    ends_network=True,
    fast=Fast(fast.forward_int),
)
