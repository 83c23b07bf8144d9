"""The fast functions of the operator dense; `ops.dense` says what they compute.

A 1x1 convolution over the batch is the same product, and has loops already.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np

from kanji_np.loops import conv, conv_gradients
from kanji_np.loops.threads import SHARES
from kanji_np.quantize import activation_bounds
from kanji_np.types import Arrays, Gradients, LinearInts, LinearParams, Saved
from kanji_np.window import Geometry, Window

Linear = TypeVar("Linear", LinearInts, LinearParams)


class Attrs(Protocol):
    """What they take of the attributes."""

    @property
    def activation(self) -> str: ...

    def check(self, x: np.ndarray, weight: np.ndarray) -> None: ...


def forward_int(
    attrs: Attrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    (x,) = xs
    attrs.check(x, ints.weight)
    image = _as_image(x)
    y = conv.forward_int(image, _as_kernels(ints), _window(image), y_range)
    return y.reshape(len(x), -1)  # (G,1,N/G,Cout) -> (N,Cout)


def forward_float(attrs: Attrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    (x,) = xs
    attrs.check(x, params.weight)
    image, bounds = _as_image(x), activation_bounds(attrs.activation)
    y = conv.forward_float(image, _as_kernels(params), _window(image), bounds)
    return y.reshape(len(x), -1)  # (G,1,N/G,Cout) -> (N,Cout)


def vjp(
    attrs: Attrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,), (needed,) = saved.x, needs_gx
    image = _as_image(x)
    gx, gparams = conv_gradients.backward(
        _as_kernels(params),
        replace(saved, x=(image,), y=_as_image(saved.y)),
        _window(image),
        _as_image(gy),
        needed,
    )
    if gx is not None:
        gx = gx.reshape(x.shape)  # (G,1,N/G,Cin) -> (N,Cin)
    gweight = gparams.weight.reshape(params.weight.shape)  # (Cout,1,1,Cin) -> ...
    return (gx,), replace(gparams, weight=gweight)


def _as_image(x: np.ndarray) -> np.ndarray:
    """(N,C) -> (G,1,N/G,C): the loops take the G images side by side."""
    count = len(x)
    groups = max(g for g in range(1, SHARES + 1) if count % g == 0)
    return x.reshape(groups, 1, count // groups, x.shape[1])


def _as_kernels(linear: Linear) -> Linear:
    # (Cout,Cin) -> (Cout,1,1,Cin)
    return replace(linear, weight=linear.weight[:, None, None, :])


def _window(image: np.ndarray) -> Geometry:
    return Window((1, 1)).over(image.shape[1:])
