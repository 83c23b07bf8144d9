"""Mean over neighbouring axes, most often height and width.

    Y[o,i] = clamp(rescale(sum over k of (X[o,k,i] + input_offset), multiplier, shift)
                   + output_offset, -128, 127)

X (N, ...) is looked at as (O,K,I): `k` runs over the axes that are averaged, `o` and
`i` over those before and after them. Input and output have scales and zero points of
their own, and multiplier and shift contain 1 / K. With ``m * 2^(e - 31)`` for s_x / s_y

    bits = min(floor(log2 K), 31 + e),   multiplier = floor(m * 2^bits / K),
    shift = e - bits

Rounded twice on every target: the kernel is this project's own, and gives the bytes of
TFLite Micro and of LiteRT's reference kernel. XNNPACK computes in float32,

    f = (s_x / s_y) (1 / K),   Y = clamp(round(sum of X * f + (z_y - K z_x f)))

each product and sum rounded to float32, and halves to even.

Accumulator: |sum| <= 255 K, inside int32 for at most `MOST_VALUES` values. Shifted to
the left by at most `MOST_SHIFT` - floor(log2 K) bits, it stays below 2^31.

Source: TFLite `MEAN` int8; Keras `GlobalAveragePooling2D` is converted to it. On the
device: ccore `kanji_mean_s8`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.fixedpoint import DOUBLE, rescale
from kanji_np.loops import pooling as fast
from kanji_np.ops.attributes import Attributes, attribute, axes, flag
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import output_factor
from kanji_np.targets import kanji_nn
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

MOST_VALUES, MOST_SHIFT = 2**23, 21


@dataclass(frozen=True)
class MeanAttrs(Attributes):
    """The mean over neighbouring axes, with a scale of its own; see `ops.mean`.

    ``Mean((1, 2))`` takes (H,W,C) to (C,). `GlobalAvgPool2D` does so without a new
    scale.

    Parameters
    ----------
    axis : int or tuple of int
        Which axes, from 1: 0 would be the batch. They follow each other.
    keepdims : bool
        The axes stay, with length 1.
    """

    axis: tuple[int, ...] = attribute(axes, (1, 2))
    keepdims: bool = attribute(flag, False)


@dataclass(frozen=True)
class MeanInts:
    """The integers of the call; `rounding` is "double", or "float32" with a floating
    multiplier."""

    input_offset: int
    multiplier: float
    shift: int
    output_offset: int
    rounding: str = "double"


class Parts(NamedTuple):
    """(O,K,I): the axes before the averaged ones, these, and those after them."""

    before: int
    averaged: int
    after: int


def parts_of(attrs: MeanAttrs, shape: Shape) -> Parts:
    """How the axes of one sample are taken together; ShapeError where they cannot."""
    axis = attrs.axis
    first, last = axis[0] - 1, axis[-1]
    if last > len(shape) or axis != tuple(range(axis[0], last + 1)):
        raise ShapeError(
            f"mean: axis must name neighbouring ones of the axes 1 .. {len(shape)} of "
            f"an input {shape}, got {axis}"
        )
    found = Parts(*map(math.prod, (shape[:first], shape[first:last], shape[last:])))
    if found.averaged > MOST_VALUES:
        raise ShapeError(
            f"mean: takes {MOST_VALUES:,} values at most, got {found.averaged:,}"
        )
    return found


def infer(attrs: MeanAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    parts_of(attrs, shape)
    first, last = attrs.axis[0] - 1, attrs.axis[-1]
    ones = (1,) * (last - first) if attrs.keepdims else ()
    y = (*shape[:first], *ones, *shape[last:])
    if not y:
        raise ShapeError(f"mean: of all axes of {shape} nothing is left; keepdims=True")
    return y


def ints_of(
    attrs: MeanAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> MeanInts:
    """As TFLite's `MEAN` makes them; RangeError if `y` is too fine for the input.

    Multiplier and shift do not contain 1 / K yet, because attributes and scales do not
    say what K is: `averaging` adds it.
    """
    (x,) = xs
    factor = output_factor(x.scale, MOST_SHIFT, y, numerics)
    rounding = "float32" if numerics.rounding == "float32" else "double"
    return MeanInts(-x.zero_point, *factor, y.zero_point, rounding)


def averaging(ints: MeanInts, count: int) -> tuple[int, int]:
    """Multiplier and shift that contain 1 / count."""
    bits = min(count.bit_length() - 1, 31 + ints.shift)
    return (int(ints.multiplier) << bits) // count, ints.shift - bits


def _floating(ints: MeanInts, sums: Any, count: int) -> Any:
    """Sums of an input rescaled as XNNPACK does, before the zero point is added."""
    f = np.float32
    factor = f(math.ldexp(ints.multiplier, ints.shift - 31)) * (f(1) / f(count))
    zero = f(ints.output_offset) + f(count * ints.input_offset) * factor
    q = np.rint(f(sums) * factor + zero)
    return q.astype(np.int64) - ints.output_offset


def forward_int(
    attrs: MeanAttrs, ints: MeanInts, xs: Arrays, y_range: np.ndarray | None = None
) -> np.ndarray:
    """int8 (N, ...) -> int8 (N, ...), one output at a time."""
    (x,) = xs
    outer, count, inner = parts_of(attrs, x.shape[1:])
    q = np.empty((len(x), outer, inner), np.int64)
    parts = x.reshape(len(x), outer, count, inner)
    for n, o, i in np.ndindex(q.shape):
        total = sum(parts[n, o, :, i].tolist())
        if ints.rounding == "float32":
            q[n, o, i] = _floating(ints, total, count)
        else:
            total += count * ints.input_offset
            q[n, o, i] = rescale(total, *averaging(ints, count), DOUBLE)
    return _outputs(attrs, ints, x, q, y_range)


def _outputs(
    attrs: MeanAttrs,
    ints: MeanInts,
    x: np.ndarray,
    q: np.ndarray,
    y_range: np.ndarray | None,
) -> np.ndarray:
    """The output int8 (N, ...) of means int64 that were rescaled."""
    if y_range is not None:
        y_range[:] = min(y_range[0], q.min()), max(y_range[1], q.max())
    y = np.clip(q + ints.output_offset, -128, 127).astype(np.int8)
    return y.reshape(len(x), *infer(attrs, (x.shape[1:],)))


def forward_float(attrs: MeanAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Floating (N, ...) -> same dtype (N, ...)."""
    (x,) = xs
    infer(attrs, (x.shape[1:],))
    return x.mean(axis=attrs.axis, keepdims=attrs.keepdims)


def vjp(
    attrs: MeanAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY / K where Y was not clamped."""
    (x,) = saved.x
    outer, count, inner = parts_of(attrs, x.shape[1:])
    each = (saved.passed(gy) / gy.dtype.type(count)).reshape(len(x), outer, 1, inner)
    gx = np.broadcast_to(each, (len(x), outer, count, inner))
    return (gx.reshape(x.shape),), None


def mean_int(
    attrs: MeanAttrs, ints: MeanInts, xs: Arrays, y_range: np.ndarray | None = None
) -> np.ndarray:
    """`forward_int` by compiled loops."""
    (x,) = xs
    parts = parts_of(attrs, x.shape[1:])
    count, sums = parts.averaged, fast.sums_int(x, parts)
    if ints.rounding == "float32":
        return _outputs(attrs, ints, x, _floating(ints, sums, count), y_range)
    sums += np.int32(count * ints.input_offset)
    q = fast.rescaled(sums, *averaging(ints, count), DOUBLE)
    return _outputs(attrs, ints, x, q, y_range)


def lower(
    attrs: MeanAttrs, ints: MeanInts, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    (x,) = xs
    outer, count, inner = parts_of(attrs, x.shape)
    call = kanji_nn.call(
        "kanji_mean_s8",
        InputPtr(),
        outer,
        count,
        inner,
        ints.input_offset,
        *averaging(ints, count),
        ints.output_offset,
        OutputPtr(),
    )
    return (call,)


MEAN = Op(
    name="mean",
    attrs=MeanAttrs,
    layer="Mean",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": lower},
    ints=ints_of,
    tracks_output=True,
    fast=Fast(mean_int),
)
