"""Softmax over the last axis, in the arithmetic of the target.

TFLite's, of base e:

    d = X - max(X);  e = exp(d * scale) in Q0.31, for d >= diff_min, else left out
    s = sum of e in Q12.19
    Y = clamp(round(e / s * 256) - 128, -128, 127)

X and Y (N,K). `multiplier * 2^(shift - 31)` is the input scale times 2^26: the exponent
is computed with 5 integer bits. The output scale is 1/256 with zero point -128,
whatever comes in. exp is a polynomial of degree 4 on a quarter, times constants
exp(-2^k); the reciprocal is three Newton steps.

The legacy q7 API's, of base 2 and of the integers themselves, whatever their scale:

    b = max(X) - 8;  B = floor(2^20 / sum of 2^clamp(X - b, 0, 7))
    Y = clamp(B >> clamp(13 + b - X, 0, 31), -128, 127)

Its outputs are shares in units of 2^-7, rough ones: they keep the order of X, and are
not the softmax of the real values.

Accumulator: s <= K * 2^19. For K <= 511 the shift that turns e / s into Y stays below
32; beyond, the library's cores disagree, so longer rows are refused.

Source: CMSIS-NN v7.0.0 `arm_softmax_s8`; TFLite `SOFTMAX` int8, gemmlowp fixedpoint.
Legacy: CMSIS 5.9.0 `arm_softmax_q7`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special

from kanji_np.errors import ShapeError
from kanji_np.fixedpoint import (
    INT32_MAX,
    INT32_MIN,
    clamp,
    rounding_divide_by_pot,
    saturating_doubling_high_multiply,
)
from kanji_np.jit import nb, njit
from kanji_np.loops.threads import run
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import (
    Arrays,
    Fast,
    Gradients,
    Op,
    Shapes,
    Specs,
)
from kanji_np.quantize import multiplier_and_shift
from kanji_np.targets.arm import HEADER
from kanji_np.types import (
    InputPtr,
    KernelCall,
    Numerics,
    OutputPtr,
    QParams,
    Saved,
    Shape,
    TargetSpec,
    TensorSpec,
)

INTEGER_BITS = 5
MOST_CLASSES = 511

int64 = nb.int64


@dataclass(frozen=True)
class SoftmaxAttrs(Attributes):
    """Softmax for deployment; see `ops.softmax`.

    (K,) -> (K,). As the last layer it is left out of training: the loss takes the
    logits before it.
    """


@dataclass(frozen=True)
class SoftmaxInts:
    """Multiplier and shift of the input scale; differences below `diff_min` give 0."""

    multiplier: int
    shift: int
    diff_min: int


@dataclass(frozen=True)
class Pow2SoftmaxInts:
    """The softmax of base 2, which knows no scale."""


def infer(attrs: SoftmaxAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if len(shape) != 1 or shape[0] > MOST_CLASSES:
        raise ShapeError(
            f"softmax: expected a flat input of at most {MOST_CLASSES}, got {shape}"
        )
    return shape


def ints_of(
    attrs: SoftmaxAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> SoftmaxInts | Pow2SoftmaxInts:
    """As TFLite's `PreprocessSoftmaxScaling` and `CalculateInputRadius` give them."""
    (x,) = xs
    if numerics.softmax == "pow2":
        return Pow2SoftmaxInts()
    real = min(x.scale * 2.0 ** (31 - INTEGER_BITS), 2.0**31 - 1)
    multiplier, shift = multiplier_and_shift(real)
    shift = max(shift, 0)
    radius = ((1 << INTEGER_BITS) - 1) * 2.0 ** (31 - INTEGER_BITS) / 2.0**shift
    return SoftmaxInts(multiplier, shift, -int(radius))


def output_qparams(
    attrs: SoftmaxAttrs, xs: tuple[QParams, ...], numerics: Numerics
) -> QParams:
    return QParams(2.0**-7) if numerics.softmax == "pow2" else QParams(1 / 256, -128)


def fast_int(
    attrs: SoftmaxAttrs, ints: SoftmaxInts | Pow2SoftmaxInts, xs: Arrays
) -> np.ndarray:
    """int8 (N,K) -> int8 (N,K)."""
    (x,) = xs
    kernel, numbers = _kernel(ints)
    y = np.empty(x.shape, np.int8)
    run(kernel, len(x), x, *numbers, y)
    return y


def forward_int(
    attrs: SoftmaxAttrs, ints: SoftmaxInts | Pow2SoftmaxInts, xs: Arrays
) -> np.ndarray:
    """The same text, uncompiled."""
    (x,) = xs
    kernel, numbers = _kernel(ints)
    y = np.empty(x.shape, np.int8)
    kernel.py_func(0, 1, (0, len(x)), x, *numbers, y)
    return y


def _kernel(ints: SoftmaxInts | Pow2SoftmaxInts) -> tuple[Any, tuple[int, ...]]:
    """The loop, and the numbers it takes."""
    if isinstance(ints, Pow2SoftmaxInts):
        return _softmax_pow2, ()
    return _softmax, (ints.multiplier, ints.shift, ints.diff_min)


def forward_float(attrs: SoftmaxAttrs, params: None, xs: Arrays) -> np.ndarray:
    (x,) = xs
    return scipy.special.softmax(x, axis=1)


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


@njit(cache=True)
def _shift_left_saturating(value, exponent):
    return clamp(value << exponent, INT32_MIN, INT32_MAX)


@njit(cache=True)
def _exp_on_negative(a):
    """exp(a) of a <= 0 in Q5.26, as Q0.31; gemmlowp `exp_on_negative_values`."""
    quarter = 1 << 24
    a_mod = (a & (quarter - 1)) - quarter
    remainder = a_mod - a
    # polynomial around -1/8 on (-1/4, 0], in Q0.31
    x = (a_mod << INTEGER_BITS) + (1 << 28)
    multiply = saturating_doubling_high_multiply
    x2 = multiply(x, x)
    x3 = multiply(x2, x)
    x4 = multiply(x2, x2)
    tail = multiply(rounding_divide_by_pot(x4, 2) + x3, 715827883) + x2
    result = 1895147668 + multiply(1895147668, x + rounding_divide_by_pot(tail, 1))
    # times exp(-2^k) for every bit of what was taken off, from 1/4 up to 16
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for k in range(7):
        if remainder & (quarter << k):
            result = multiply(result, factors[k])
    return INT32_MAX if a == 0 else result


@njit(cache=True)
def _one_over_one_plus(a):
    """1 / (1 + a), 0 <= a < 1, Q0.31; gemmlowp `one_over_one_plus_x_for_x_in_0_1`."""
    multiply = saturating_doubling_high_multiply
    half_denominator = (a + INT32_MAX + 1) >> 1
    x = 1515870810 + multiply(half_denominator, -1010580540)
    for _ in range(3):
        correction = (1 << 29) - multiply(half_denominator, x)
        x += _shift_left_saturating(multiply(x, correction), 2)
    return _shift_left_saturating(x, 1)


@njit(cache=True, nogil=True)
def _softmax(begin, end, edges, x, multiplier, shift, diff_min, y):
    columns = x.shape[1]
    for n in range(edges[begin], edges[end]):
        largest = int(x[n].max())
        total = int64(0)
        for k in range(columns):
            diff = int(x[n, k]) - largest
            if diff >= diff_min:
                scaled = saturating_doubling_high_multiply(diff << shift, multiplier)
                total += rounding_divide_by_pot(_exp_on_negative(scaled), 12)
        headroom = 0
        while headroom < 32 and total < (int64(1) << (31 - headroom)):
            headroom += 1
        scale = _one_over_one_plus((total << headroom) - (int64(1) << 31))
        right = 12 - headroom + 23
        for k in range(columns):
            diff = int(x[n, k]) - largest
            value = -128
            if diff >= diff_min:
                scaled = saturating_doubling_high_multiply(diff << shift, multiplier)
                product = saturating_doubling_high_multiply(
                    scale, _exp_on_negative(scaled)
                )
                value = rounding_divide_by_pot(product, right) - 128
            y[n, k] = clamp(value, -128, 127)


@njit(cache=True, nogil=True)
def _softmax_pow2(begin, end, edges, x, y):
    columns = x.shape[1]
    for n in range(edges[begin], edges[end]):
        base = int(x[n].max()) - 8
        total = 0
        for k in range(columns):
            total += 1 << clamp(int(x[n, k]) - base, 0, 7)
        share = (1 << 20) // total
        for k in range(columns):
            y[n, k] = clamp(share >> clamp(13 + base - int(x[n, k]), 0, 31), -128, 127)


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
    fast=Fast(fast_int),
)
