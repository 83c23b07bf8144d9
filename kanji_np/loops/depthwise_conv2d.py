"""The fast functions of the operator depthwise_conv2d, which says what they compute."""

from __future__ import annotations

import numpy as np

from kanji_np.loops import depthwise
from kanji_np.loops.conv2d import Attrs
from kanji_np.quantize import activation_bounds
from kanji_np.types import Arrays, Gradients, LinearInts, LinearParams, Saved


def forward_int(
    attrs: Attrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    (x,) = xs
    return depthwise.forward_int(x, ints, attrs.over(x, ints.weight), y_range)


def forward_float(attrs: Attrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    (x,) = xs
    g, bounds = attrs.over(x, params.weight), activation_bounds(attrs.activation)
    return depthwise.forward_float(x, params, g, bounds)


def vjp(
    attrs: Attrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,), (needed,) = saved.x, needs_gx
    g = attrs.over(x, params.weight)
    gx, gparams = depthwise.backward(params, saved, g, gy, needed)
    return (gx,), gparams
