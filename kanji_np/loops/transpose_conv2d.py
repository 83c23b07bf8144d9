"""The fast functions of `ops.transpose_conv2d`, which are those of a convolution.

The image gets (stride - 1) zeros between its pixels, the kernel is turned by 180
degrees, and both are convolved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from kanji_np.loops import buffers, conv, conv_gradients
from kanji_np.quantize import activation_bounds
from kanji_np.types import Arrays, Gradients, LinearInts, LinearParams, Saved
from kanji_np.window import Pair, Scatter


class Attrs(Protocol):
    """What they take of the attributes."""

    @property
    def activation(self) -> str: ...

    def over(self, x: np.ndarray, weight: np.ndarray) -> Scatter: ...


def forward_int(
    attrs: Attrs, ints: LinearInts, xs: Arrays, y_range: np.ndarray | None = None
) -> np.ndarray:
    (x,) = xs
    s = attrs.over(x, ints.weight)
    turned = replace(ints, weight=_turned(ints.weight))
    spread = _spread(x, s.stride, -ints.input_offset)
    return conv.forward_int(spread, turned, s.convolution(), y_range)


def forward_float(attrs: Attrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    (x,) = xs
    s = attrs.over(x, params.weight)
    turned = LinearParams(_turned(params.weight), params.bias)
    bounds = activation_bounds(attrs.activation)
    return conv.forward_float(_spread(x, s.stride, 0), turned, s.convolution(), bounds)


def vjp(
    attrs: Attrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,), (offset,), (needed,) = saved.x, saved.x_offset, needs_gx
    s = attrs.over(x, params.weight)
    turned = LinearParams(_turned(params.weight), params.bias)
    spread = replace(saved, x=(_spread(x, s.stride, -offset),))
    gx, found = conv_gradients.backward(turned, spread, s.convolution(), gy, needed)
    gparams = LinearParams(_turned(found.weight), found.bias)
    if gx is None:
        return (None,), gparams
    sh, sw = s.stride
    return (np.ascontiguousarray(gx[:, ::sh, ::sw]),), gparams


def _turned(weight: np.ndarray) -> np.ndarray:
    """(Cout,KH,KW,Cin), its kernels turned by 180 degrees."""
    return np.ascontiguousarray(weight[:, ::-1, ::-1])


def _spread(x: np.ndarray, stride: Pair, zero: int) -> np.ndarray:
    """(N,H,W,C) with what stands for zero between its pixels."""
    if stride == (1, 1):
        return x
    n, height, width, channels = x.shape
    sh, sw = stride
    shape = n, (height - 1) * sh + 1, (width - 1) * sw + 1, channels
    spread = buffers.empty(shape, x.dtype)
    spread[...] = zero
    spread[:, ::sh, ::sw] = x
    return spread
