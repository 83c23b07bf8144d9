"""Sum, product, concatenation, ReLU and tables, element by element.

The fast functions of `ops.add`, `ops.mul`, `ops.concatenate`, `ops.relu`, `ops.relu6`
and the functions that are a table (`ops.table`); arguments are those of the operator's
own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from kanji_np.fixedpoint import ROUNDINGS, rescale
from kanji_np.jit import nb, njit
from kanji_np.loops import buffers
from kanji_np.loops.broadcast import gathered, spread
from kanji_np.loops.requantize import empty_ranges, widen
from kanji_np.loops.threads import run, shares
from kanji_np.quantize import RELU6_MAX, activation_bounds
from kanji_np.types import Arrays, ClampInts, Gradients, Saved

int32, int64 = nb.int32, nb.int64


class Activated(Protocol):
    """Attributes with a fused activation."""

    @property
    def activation(self) -> str: ...


VjpOfOne = Callable[
    [Any, None, Saved, np.ndarray, tuple[bool, ...]], tuple[Gradients, None]
]


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


def add_int(
    attrs: Activated, ints: Any, xs: Arrays, y_range: np.ndarray | None = None
) -> np.ndarray:
    return _joined_int(
        _add,
        ints,
        xs,
        y_range,
        (
            ints.input_1_offset,
            ints.input_2_offset,
            ints.left_shift,
            ints.input_2_sign,
        ),
        factor(ints.input_1_mult, ints.input_1_shift, ints.rounding),
        factor(ints.input_2_mult, ints.input_2_shift, ints.rounding),
    )


def add_float(attrs: Activated, params: None, xs: Arrays) -> np.ndarray:
    return _clipped(attrs, np.add, *xs)


def add_vjp(
    attrs: Activated,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """Inputs of one shape have one gradient array."""
    g = buffers.empty(gy.shape, gy.dtype)
    count, limits = len(gy), (saved.low, saved.high)
    y, gy, flat = (np.ascontiguousarray(a).reshape(count, -1) for a in (saved.y, gy, g))
    run(_passed, count, y, gy, *limits, flat)
    of = zip(saved.x, needs_gx, strict=True)
    return tuple(gathered(g, x) if needed else None for x, needed in of), None


def sub_float(attrs: Activated, params: None, xs: Arrays) -> np.ndarray:
    return _clipped(attrs, np.subtract, *xs)


def sub_vjp(
    attrs: Activated,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    (g_1, g_2), _ = add_vjp(attrs, params, saved, gy, needs_gx)
    return (g_1, None if g_2 is None else -g_2), None


def mul_int(
    attrs: Activated, ints: Any, xs: Arrays, y_range: np.ndarray | None = None
) -> np.ndarray:
    offsets = ints.input_1_offset, ints.input_2_offset
    return _joined_int(_mul, ints, xs, y_range, offsets)


def mul_float(attrs: Activated, params: None, xs: Arrays) -> np.ndarray:
    return _clipped(attrs, np.multiply, *xs)


def mul_vjp(
    attrs: Activated,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    x_1, x_2 = zip(spread(saved.x), saved.x_scale, saved.x_offset, strict=True)
    gx = (
        gathered(_times(saved, gy, *other), x) if needed else None
        for x, needed, other in zip(saved.x, needs_gx, (x_2, x_1), strict=True)
    )
    return tuple(gx), None


def _times(
    saved: Saved, gy: np.ndarray, x: np.ndarray, scale: float, offset: int
) -> np.ndarray:
    """`gy` times a real input, 0 where the output was clamped."""
    g, real = buffers.empty(gy.shape, gy.dtype), gy.dtype.type
    count, limits = len(gy), (saved.low, saved.high)
    y, gy, x, out = (
        np.ascontiguousarray(a).reshape(count, -1) for a in (saved.y, gy, x, g)
    )
    run(_mul_vjp, count, y, gy, *limits, x, real(scale), real(offset), out)
    return g


def _joined_int(
    kernel: Any, ints: Any, xs: Arrays, y_range: np.ndarray | None, *inputs: Any
) -> np.ndarray:
    """One of the loops over two int8 arrays (N, ...); `inputs` is what it takes."""
    xs = spread(xs)
    y = buffers.empty(xs[0].shape, np.int8)
    count = len(y)
    x_1, x_2, flat = (np.ascontiguousarray(a).reshape(count, -1) for a in (*xs, y))
    ranges = empty_ranges(shares(count))
    run(
        kernel,
        count,
        x_1,
        x_2,
        *inputs,
        factor(ints.output_mult, ints.output_shift, ints.rounding),
        (ints.output_offset, ints.act_min, ints.act_max),
        flat,
        ranges,
    )
    if y_range is not None:
        widen(y_range, ranges)
    return y


def _clipped(
    attrs: Activated, function: np.ufunc, x_1: np.ndarray, x_2: np.ndarray
) -> np.ndarray:
    """A function of two arrays, clipped to what the activation lets pass.

    What leaves the range of floats becomes infinite, and range trackers refuse that.
    """
    x_1, x_2 = spread((x_1, x_2))
    y = buffers.empty(x_1.shape, x_1.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        function(x_1, x_2, out=y)
    low, high = activation_bounds(attrs.activation)
    if not math.isinf(low):
        np.clip(y, low, high, out=y)
    return y


def concatenate_int(
    attrs: Any, ints: Any, xs: Arrays, y_range: np.ndarray | None = None
) -> np.ndarray:
    """Each part by a table of all its 256 values."""
    y = _output(xs)
    for part, how, place in zip(xs, ints.parts, _slices(xs), strict=True):
        table = _table(how, ints.output_offset)
        if how is None:
            y[..., place] = part
        else:
            limited = np.clip(table + ints.output_offset, -128, 127).astype(np.int8)
            y[..., place] = limited[part.view(np.uint8)]
        if y_range is not None:  # rescaling keeps the order
            low, high = (table[end & 255] for end in (int(part.min()), int(part.max())))
            y_range[:] = min(y_range[0], low), max(y_range[1], high)
    return y


def _table(how: Any, output_offset: int) -> np.ndarray:
    """Outputs without zero point and before clamping, int64 (256,), by input as a
    uint8."""
    x = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)
    if how is None:
        return x - output_offset
    rounding = ROUNDINGS[how.rounding]
    return np.array([
        rescale(int(v) + how.input_offset, how.multiplier, how.shift, rounding)
        for v in x
    ])  # fmt: skip


def concatenate_float(attrs: Any, params: None, xs: Arrays) -> np.ndarray:
    return np.concatenate(xs, axis=-1, out=_output(xs))


def concatenate_vjp(
    attrs: Any,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """Only what is needed, and each part in one piece."""
    gx = []
    for place, needed in zip(_slices(saved.x), needs_gx, strict=True):
        y, g = saved.y[..., place], gy[..., place]
        inside = (y > saved.low) & (y < saved.high)
        gx.append(np.where(inside, g, g.dtype.type(0)) if needed else None)
    return tuple(gx), None


def _output(xs: Arrays) -> np.ndarray:
    """Uninitialized output for a batch of parts."""
    channels = sum(part.shape[-1] for part in xs)
    return buffers.empty((*xs[0].shape[:-1], channels), xs[0].dtype)


def _slices(parts: Arrays) -> Iterator[slice]:
    """Where each part's channels are in the output."""
    end = 0
    for part in parts:
        start, end = end, end + part.shape[-1]
        yield slice(start, end)


def lookup_int(
    attrs: Any, ints: Any, xs: Arrays, y_range: np.ndarray | None = None
) -> np.ndarray:
    (x,) = xs
    y = buffers.empty(x.shape, np.int8)
    count = len(x)
    flat, out = (np.ascontiguousarray(a).reshape(count, -1) for a in (x, y))
    if y_range is None:
        run(_lookup, count, flat, ints.values, out)
        return y
    ranges = empty_ranges(shares(count))
    run(_lookup_ranged, count, flat, ints.values, ints.unclamped, out, ranges)
    widen(y_range, ranges)
    return y


def lookup_vjp(slope: Callable[[Any, np.ndarray], np.ndarray]) -> VjpOfOne:
    """The vjp of a function by its derivative: of int8 by a table, too."""

    def vjp(
        attrs: Any,
        params: None,
        saved: Saved,
        gy: np.ndarray,
        needs_gx: tuple[bool, ...],
    ) -> tuple[Gradients, None]:
        (x,), (scale,), (offset,) = saved.x, saved.x_scale, saved.x_offset
        if x.dtype != np.int8:
            (real,) = saved.real_x(gy.dtype)
            return (saved.passed(gy * slope(attrs, real)),), None
        real = scale * (np.arange(-128, 128) + offset).astype(gy.dtype)
        slopes = slope(attrs, real.astype(gy.dtype)).astype(gy.dtype)
        g = buffers.empty(gy.shape, gy.dtype)
        count, limits = len(gy), (saved.low, saved.high)
        x, y, gy, out = (
            np.ascontiguousarray(a).reshape(count, -1) for a in (x, saved.y, gy, g)
        )
        run(_lookup_vjp, count, x, y, gy, *limits, slopes, out)
        return (g,), None

    return vjp


def clip_int(attrs: Any, ints: ClampInts, xs: Arrays) -> np.ndarray:
    (x,) = xs
    limits = np.int8(ints.act_min), np.int8(ints.act_max)
    return np.clip(x, *limits, out=buffers.empty(x.shape, np.int8))


def relu_float(attrs: Any, params: None, xs: Arrays) -> np.ndarray:
    (x,) = xs
    return np.clip(x, 0.0, math.inf, out=buffers.empty(x.shape, x.dtype))


def relu6_float(attrs: Any, params: None, xs: Arrays) -> np.ndarray:
    (x,) = xs
    return np.clip(x, 0.0, RELU6_MAX, out=buffers.empty(x.shape, x.dtype))


@njit(cache=True, nogil=True)
def _add(begin, end, edges, x_1, x_2, inputs, f_1, f_2, f_y, output, y, ranges):
    offset_1, offset_2, left = int32(inputs[0]), int32(inputs[1]), int32(inputs[2])
    sign = int32(inputs[3])
    offset, low, high = int32(output[0]), int32(output[1]), int32(output[2])
    for share in range(begin, end):
        smallest, largest = int32(2**31 - 1), int32(-(2**31))
        for n in range(edges[share], edges[share + 1]):
            row_1, row_2, row = x_1[n], x_2[n], y[n]
            for k in range(row.shape[0]):
                v_1 = scaled(int32((row_1[k] + offset_1) << left), f_1)
                v_2 = scaled(int32((row_2[k] + offset_2) << left), f_2)
                q = scaled(int32(v_1 + sign * v_2), f_y)
                smallest, largest = min(smallest, q), max(largest, q)
                row[k] = min(max(int32(q + offset), low), high)
        ranges[share] = smallest, largest


@njit(cache=True, nogil=True)
def _mul(begin, end, edges, x_1, x_2, inputs, f_y, output, y, ranges):
    offset_1, offset_2 = int32(inputs[0]), int32(inputs[1])
    offset, low, high = int32(output[0]), int32(output[1]), int32(output[2])
    for share in range(begin, end):
        smallest, largest = int32(2**31 - 1), int32(-(2**31))
        for n in range(edges[share], edges[share + 1]):
            row_1, row_2, row = x_1[n], x_2[n], y[n]
            for k in range(row.shape[0]):
                product = int32((row_1[k] + offset_1) * (row_2[k] + offset_2))
                q = scaled(product, f_y)
                smallest, largest = min(smallest, q), max(largest, q)
                row[k] = min(max(int32(q + offset), low), high)
        ranges[share] = smallest, largest


@njit(cache=True, nogil=True)
def _passed(begin, end, edges, y, gy, low, high, g):
    for n in range(edges[begin], edges[end]):
        for k in range(y.shape[1]):
            inside = (y[n, k] > low) & (y[n, k] < high)
            g[n, k] = gy[n, k] if inside else gy.dtype.type(0)


@njit(cache=True, nogil=True)
def _mul_vjp(begin, end, edges, y, gy, low, high, x, scale, offset, g):
    real = gy.dtype.type
    for n in range(edges[begin], edges[end]):
        for k in range(y.shape[1]):
            inside = (y[n, k] > low) & (y[n, k] < high)
            value = gy[n, k] * (scale * (real(x[n, k]) + offset))
            g[n, k] = value if inside else real(0)


@njit(cache=True, nogil=True)
def _lookup(begin, end, edges, x, table, y):
    for n in range(edges[begin], edges[end]):
        for k in range(x.shape[1]):
            y[n, k] = table[int64(x[n, k]) + 128]


@njit(cache=True, nogil=True)
def _lookup_ranged(begin, end, edges, x, table, unclamped, y, ranges):
    for share in range(begin, end):
        smallest, largest = int32(2**31 - 1), int32(-(2**31))
        for n in range(edges[share], edges[share + 1]):
            for k in range(x.shape[1]):
                place = int64(x[n, k]) + 128
                q = unclamped[place]
                smallest, largest = min(smallest, q), max(largest, q)
                y[n, k] = table[place]
        ranges[share] = smallest, largest


@njit(cache=True, nogil=True)
def _lookup_vjp(begin, end, edges, x, y, gy, low, high, slopes, g):
    for n in range(edges[begin], edges[end]):
        for k in range(y.shape[1]):
            inside = (y[n, k] > low) & (y[n, k] < high)
            slope = slopes[int64(x[n, k]) + 128]
            g[n, k] = gy[n, k] * slope if inside else gy.dtype.type(0)
