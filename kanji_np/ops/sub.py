"""Difference of two tensors, with a fused activation.

    v_k = rescale((X_k + offset_k) * 2^20, multiplier_k, shift_k)        k = 1, 2
    Y = clamp(rescale(v_1 - v_2, multiplier, shift) + output_offset, low, high)

Both have one shape, or one is broadcast (`ops.pairs`). Scales, accumulator and what
XNNPACK does are those of `ops.add`.

CMSIS-NN has no such function. Its sum with a negative multiplier would not do: it
rounds halves up, so what is rounded and then taken off may be one more than what is
taken off and then rounded.

Source: TFLite `SUB` int8. On the device: ccore `kanji_add_s8`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from kanji_np.loops import elementwise as fast
from kanji_np.loops.broadcast import gathered, spread
from kanji_np.ops import add, pairs
from kanji_np.ops.add import AddInts, XnnpackAddInts
from kanji_np.ops.attributes import Attributes, attribute, fused_activation
from kanji_np.ops.op import Fast, Op
from kanji_np.quantize import activation_bounds
from kanji_np.types import Arrays, Gradients, Numerics, QParams, Saved


@dataclass(frozen=True)
class SubAttrs(Attributes):
    """The first tensor less the second; see `ops.sub`.

    Both have one shape, or one has extents of 1: (1,1,C) beside (H,W,C).

    Parameters
    ----------
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    """

    activation: str = attribute(fused_activation, "linear")


@dataclass(frozen=True)
class SubInts(AddInts):
    """Those of a sum of which the second is taken off."""

    input_2_sign: ClassVar[int] = -1


def ints_of(
    attrs: SubAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> SubInts | XnnpackAddInts:
    """RangeError if `y` is too fine for the inputs."""
    ints = add.ints_of(attrs, xs, y, numerics)
    if isinstance(ints, XnnpackAddInts):
        return replace(ints, input_2_mult=-ints.input_2_mult)
    return SubInts(**vars(ints))


def forward_float(attrs: SubAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Two floating (N, ...) -> same dtype (N, ...)."""
    x_1, x_2 = spread(xs)
    return np.clip(x_1 - x_2, *activation_bounds(attrs.activation))


def vjp(
    attrs: SubAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX_1 = gY and gX_2 = -gY where Y was not clamped, summed up where X_k is
    broadcast."""
    g = saved.passed(gy)
    gx = (
        gathered(sign * g, x) if needed else None
        for sign, x, needed in zip((1, -1), saved.x, needs_gx, strict=True)
    )
    return tuple(gx), None


SUB = Op(
    name="sub",
    attrs=SubAttrs,
    layer="Subtract",
    infer=pairs.infer,
    forward_int=add.forward_int,
    forward_float=forward_float,
    vjp=vjp,
    lowerings={"cmsis-nn": add.lower},
    ints=ints_of,
    inputs=2,
    tracks_output=True,
    fast=Fast(add.run_int, fast.sub_float, fast.sub_vjp),
)
