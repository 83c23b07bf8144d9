"""What sum and product of two tensors share: shapes, scales, gradients."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from kanji_np.errors import RangeError, ShapeError
from kanji_np.jit import nb, njit
from kanji_np.loops import buffers
from kanji_np.loops.threads import run
from kanji_np.quantize import activation_bounds, multiplier_and_shift
from kanji_np.types import QParams, Saved, Shape

int32, int64 = nb.int32, nb.int64


def infer(attrs: Any, shapes: tuple[Shape, ...]) -> Shape:
    first, second = shapes
    if first != second:
        raise ShapeError(f"both inputs must have one shape, got {first} and {second}")
    return first


def output_factor(real: float, most_shift: int, y: QParams) -> tuple[int, int]:
    """Multiplier and shift of ``real / y.scale``; RangeError if y is too fine."""
    multiplier, shift = input_factor(real / y.scale)
    if shift > most_shift:
        raise RangeError(
            f"an output scale of {y.scale:.4g} is too fine for these inputs: it must "
            f"be above {real / 2.0**most_shift:.4g} (if this came while training: it "
            "diverged, lower the learning rate)"
        )
    return multiplier, shift


def input_factor(real: float) -> tuple[int, int]:
    """Multiplier and shift, 0 and 0 where a shift of 31 to the right is not enough."""
    multiplier, shift = multiplier_and_shift(real)
    return (multiplier, shift) if shift >= -31 else (0, 0)


class Factor(NamedTuple):
    """``multiplier * 2**(shift - 31)`` as loops take it that LLVM can vectorize.

    ``(value << left) * multiplier``, plus `half_1`, is shifted by 31 to the right; the
    result plus `half_2`, less `below_zero` where it is negative, by `right`.
    """

    left: int
    multiplier: int
    half_1: int
    half_2: int
    below_zero: int
    right: int


def factor(multiplier: int, shift: int, rounding: str) -> Factor:
    """`Factor` that rounds as `fixedpoint.rescale` does.

    Where it rounds once, the product is cut at the bit below the last: one more shift
    to the left, or one less to the right, leaves that bit for `half_2` to round.
    """
    if rounding == "double":
        right = max(-shift, 0)
        half = 1 << right >> 1
        return Factor(max(shift, 0), multiplier, 1 << 30, half, int(right > 0), right)
    right = max(-shift, 1)
    return Factor(max(shift + 1, 0), multiplier, 0, 1 << right >> 1, 0, right)


@njit(cache=True, inline="always")
def scaled(value, f):
    """int32 `value` times a `Factor`, int32; ``abs(value) << f.left`` below 2^31."""
    product = int64(int32(value << f.left)) * int64(int32(f.multiplier))
    high = (product + f.half_1) >> 31
    return int32((high + f.half_2 + ((high >> 63) & -f.below_zero)) >> f.right)


def clipped(
    attrs: Any, function: np.ufunc, x_1: np.ndarray, x_2: np.ndarray
) -> np.ndarray:
    """A function of two arrays, clipped to what the activation lets pass.

    What leaves the range of floats becomes infinite, and range trackers refuse that.
    """
    y = buffers.empty(x_1.shape, x_1.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        function(x_1, x_2, out=y)
    low, high = activation_bounds(attrs.activation)
    if not math.isinf(low):
        np.clip(y, low, high, out=y)
    return y


def passed(saved: Saved, gy: np.ndarray) -> np.ndarray:
    """`gy` where the output is not clamped, else 0."""
    g = buffers.empty(gy.shape, gy.dtype)
    count, limits = len(gy), (saved.low, saved.high)
    y, gy, flat = (np.ascontiguousarray(a).reshape(count, -1) for a in (saved.y, gy, g))
    run(_passed, count, y, gy, *limits, flat)
    return g


@njit(cache=True, nogil=True)
def _passed(begin, end, edges, y, gy, low, high, g):
    for n in range(edges[begin], edges[end]):
        for k in range(y.shape[1]):
            inside = (y[n, k] > low) & (y[n, k] < high)
            g[n, k] = gy[n, k] if inside else gy.dtype.type(0)
