"""The fast functions of the operator conv2d; `ops.conv2d` says what they compute."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from kanji_np.loops import conv, conv_gradients
from kanji_np.quantize import activation_bounds
from kanji_np.types import Arrays, Gradients, LinearInts, LinearParams, Saved
from kanji_np.window import Geometry


class Attrs(Protocol):
    """What they take of the attributes."""

    @property
    def activation(self) -> str: ...

    def over(self, x: np.ndarray, weight: np.ndarray) -> Geometry: ...


def forward_int(
    attrs: Attrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    (x,) = xs
    return conv.forward_int(x, ints, attrs.over(x, ints.weight), y_range)


def forward_float(attrs: Attrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    (x,) = xs
    g, bounds = attrs.over(x, params.weight), activation_bounds(attrs.activation)
    return conv.forward_float(x, params, g, bounds)


def vjp(
    attrs: Attrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,), (needed,) = saved.x, needs_gx
    g = attrs.over(x, params.weight)
    gx, gparams = conv_gradients.backward(params, saved, g, gy, needed)
    return (gx,), gparams
