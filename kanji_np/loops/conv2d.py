"""The fast functions of the operator conv2d; `ops.conv2d` says what they compute.

Groups are convolutions of their own, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from kanji_np.loops import buffers, conv, conv_gradients
from kanji_np.quantize import activation_bounds
from kanji_np.types import Arrays, Gradients, LinearInts, LinearParams, Saved
from kanji_np.window import Geometry


class Attrs(Protocol):
    """What they take of the attributes; depthwise convolution too."""

    @property
    def activation(self) -> str: ...

    def over(self, x: np.ndarray, weight: np.ndarray) -> Geometry: ...


class GroupedAttrs(Attrs, Protocol):
    """The same with groups."""

    @property
    def groups(self) -> int: ...

    def parts(self, channels: int) -> Iterator[tuple[slice, slice]]: ...


def forward_int(
    attrs: GroupedAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    (x,) = xs
    g = attrs.over(x, ints.weight)
    if attrs.groups == 1:
        return conv.forward_int(x, ints, g, y_range)
    y = buffers.empty((len(x), *g.out, len(ints.weight)), np.int8)
    for seen, own in attrs.parts(x.shape[3]):
        part = replace(
            ints,
            weight=ints.weight[own],
            bias=ints.bias[own],
            multiplier=ints.multiplier[own],
            shift=ints.shift[own],
        )
        y[..., own] = conv.forward_int(x[..., seen], part, g, y_range)
    return y


def forward_float(attrs: GroupedAttrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    (x,) = xs
    g, bounds = attrs.over(x, params.weight), activation_bounds(attrs.activation)
    if attrs.groups == 1:
        return conv.forward_float(x, params, g, bounds)
    y = buffers.empty((len(x), *g.out, len(params.weight)), x.dtype)
    for seen, own in attrs.parts(x.shape[3]):
        part = LinearParams(params.weight[own], params.bias[own])
        y[..., own] = conv.forward_float(x[..., seen], part, g, bounds)
    return y


def vjp(
    attrs: GroupedAttrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,), (needed,) = saved.x, needs_gx
    g = attrs.over(x, params.weight)
    if attrs.groups == 1:
        gx, gparams = conv_gradients.backward(params, saved, g, gy, needed)
        return (gx,), gparams
    gx = buffers.empty(x.shape, gy.dtype) if needed else None
    gweight = np.empty(params.weight.shape, gy.dtype)
    gbias = np.empty(params.bias.shape, gy.dtype)
    for seen, own in attrs.parts(x.shape[3]):
        part = LinearParams(params.weight[own], params.bias[own])
        each = replace(
            saved, x=(x[..., seen],), y=np.ascontiguousarray(saved.y[..., own])
        )
        gy_own = np.ascontiguousarray(gy[..., own])
        gx_seen, gown = conv_gradients.backward(part, each, g, gy_own, needed)
        gweight[own], gbias[own] = gown.weight, gown.bias
        if gx is not None:
            gx[..., seen] = gx_seen
    return (gx,), LinearParams(gweight, gbias)
