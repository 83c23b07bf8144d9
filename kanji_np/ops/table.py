"""What functions of one int8 have in common: they are a table of 256 bytes.

    Y = table[X + 128]        any shape

The table is made with the other integers of a layer, and lies in flash. So the
arithmetic that fills it may be as slow as it likes, and the device computes exactly
what a runtime's kernel answers to each of the 256 inputs.

This is no operator: `sigmoid`, `tanh`, `hard_swish`, `leaky_relu` and `requantize` say
what is in their tables. On the device: ccore `kanji_lookup_s8`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kanji_np.errors import RangeError
from kanji_np.fixedpoint import (
    TANH_INTEGER_BITS,
    requantize,
    rounding_divide_by_pot,
)
from kanji_np.ops.op import Vjp
from kanji_np.quantize import multiplier_and_shift
from kanji_np.targets import kanji_nn
from kanji_np.types import (
    Arrays,
    Constant,
    ConstPtr,
    Cost,
    Gradients,
    InputPtr,
    KernelCall,
    OutputPtr,
    QParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)

SIZE = 256
MOST_SHIFT = 22  # 255 * 2^22 < 2^30
#: The factors that XNNPACK writes with 8 bits behind the point.
FIXED_8 = 2.0**-8, 2.0**7

#: A function or its derivative, of a floating array, in its shape and dtype.
Smooth = Callable[[Any, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class TableInts:
    """The table, by input + 128.

    Parameters
    ----------
    values : int8 (256,)
    unclamped : int32 (256,)
        Real outputs at the scale of the output, without zero point: for its range.
    """

    values: np.ndarray
    unclamped: np.ndarray = field(compare=False)


def ints_of(values: Iterable[float], smooth: np.ndarray, y: QParams) -> TableInts:
    """The integers of a table.

    Parameters
    ----------
    values : 256 integers
        Clamped to int8 here.
    smooth : float64 (256,)
        The real outputs.
    y : QParams
        Of the output.
    """
    clamped = np.clip(list(values), -128, 127).astype(np.int8)
    steps = np.clip(smooth / y.scale, -(2.0**31), 2.0**31 - 1)
    return TableInts(clamped, np.rint(steps).astype(np.int32))


def differences(x: QParams) -> list[int]:
    """Every int8 without the zero point."""
    return [q - x.zero_point for q in range(-128, 128)]


def reals(x: QParams) -> np.ndarray:
    """What every int8 stands for, float64 (256,)."""
    return x.scale * np.array(differences(x), np.float64)


def ratio(x: QParams, y: QParams) -> np.float32:
    """The scale of the input by that of the output, as TFLite has it in float32."""
    with np.errstate(over="ignore"):  # what is too large is refused by its size
        return np.float32(x.scale) / np.float32(y.scale)


def scaled(values: Iterable[int], factor: float, y: QParams) -> list[int]:
    """Differences times a factor, rounded twice, and the zero point added.

    Raises
    ------
    RangeError
        If `y` is too fine for them.
    """
    multiplier, shift = multiplier_and_shift(factor)
    if shift > MOST_SHIFT:
        raise too_fine(y)
    return [requantize(v, multiplier, shift) + y.zero_point for v in values]


def has_8_bits(factor: np.float32) -> bool:
    """Whether XNNPACK writes a factor with 8 bits behind the point."""
    return bool(FIXED_8[0] <= factor <= FIXED_8[1])


def multiplier_of_8_bits(factor: np.float32) -> int:
    """The factor times 256."""
    return int(np.rint(np.float32(256) * factor))


def scaled_by_8_bits(value: int, factor: np.float32, y: QParams) -> int:
    """A difference times a factor of 8 bits behind the point, as XNNPACK has it."""
    return (value * multiplier_of_8_bits(factor) + 128 >> 8) + y.zero_point


def too_fine(y: QParams) -> RangeError:
    return RangeError(f"an output scale of {y.scale:.4g} is too fine for this input")


def by_fixed_point(
    function: Callable[[int], int], bits: int, x: QParams, y: QParams
) -> list[int]:
    """TFLite Micro's way to compute sigmoid and tanh.

    Parameters
    ----------
    function : Q4.27 -> Q0.31
    bits : int
        The scale of the output is 2^-bits.
    x, y : QParams
    """
    multiplier, shift = multiplier_and_shift(
        float(np.float32(x.scale)) * 2.0 ** (31 - TANH_INTEGER_BITS)
    )
    reach = 2**TANH_INTEGER_BITS - 1
    radius = int(reach * 2.0 ** (31 - TANH_INTEGER_BITS - shift))
    values = []
    for d in differences(x):
        if d <= -radius:
            values.append(-128)
        elif d >= radius:
            values.append(127)
        else:
            fraction = function(requantize(d, multiplier, shift))
            steps = rounding_divide_by_pot(fraction, 31 - bits)
            values.append(steps + y.zero_point)
    return values


def by_float32(
    function: Callable[[np.ndarray], np.ndarray], x: QParams, y: QParams
) -> np.ndarray:
    """What LiteRT's tables hold: float32, to the nearest, halves away from zero.

    `function` is of float32 (256,).
    """
    steps = _steps(function, x, y).astype(np.float64)
    return np.copysign(np.floor(np.abs(steps) + 0.5), steps) + y.zero_point


def by_float32_to_even(
    function: Callable[[np.ndarray], np.ndarray], x: QParams, y: QParams
) -> np.ndarray:
    """What XNNPACK's tables hold: float32, to the nearest, halves to even."""
    return np.rint(_steps(function, x, y) + np.float32(y.zero_point))


def _steps(
    function: Callable[[np.ndarray], np.ndarray], x: QParams, y: QParams
) -> np.ndarray:
    """float32 outputs at the scale of the output."""
    real = np.array(differences(x), np.float32) * np.float32(x.scale)
    inverse = np.float32(1) / np.float32(y.scale)
    return function(real).astype(np.float32) * inverse


def infer(attrs: Any, shapes: Shapes) -> Shape:
    (shape,) = shapes
    return shape


def forward_int(
    attrs: Any, ints: TableInts, xs: Arrays, y_range: np.ndarray | None = None
) -> np.ndarray:
    """int8 (N, ...) -> int8 (N, ...)."""
    (x,) = xs
    places = x.astype(np.int64) + 128
    if y_range is not None:
        q = ints.unclamped[places]
        y_range[:] = min(y_range[0], q.min()), max(y_range[1], q.max())
    return ints.values[places]


def vjp_of(slope: Smooth) -> Vjp:
    """The vjp of a function whose derivative is `slope`: gX = gY * slope(X)."""

    def vjp(
        attrs: Any,
        params: None,
        saved: Saved,
        gy: np.ndarray,
        needs_gx: tuple[bool, ...],
    ) -> tuple[Gradients, None]:
        (x,) = saved.real_x(gy.dtype)
        return (saved.passed(gy * slope(attrs, x)),), None

    return vjp


def cost(attrs: Any, shapes: Shapes, target: TargetSpec) -> Cost:
    return Cost(0, SIZE)


def lower(
    attrs: Any, ints: TableInts, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    call = kanji_nn.call(
        "kanji_lookup_s8",
        InputPtr(),
        y.size,
        ConstPtr("table"),
        OutputPtr(),
        constants=(Constant("table", "int8_t", ints.values, "by input + 128"),),
        in_place=True,
    )
    return (call,)
