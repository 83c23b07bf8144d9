"""The fast functions of the operator conv1d: those of conv2d, over an image of one row.

Arrays (N,T,C) are (N,1,T,C) there, and weights (Cout,K,Cin) are (Cout,1,K,Cin).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from kanji_np.loops import conv2d
from kanji_np.types import Arrays, Gradients, LinearInts, LinearParams, Saved


class Attrs(Protocol):
    """What they take of the attributes."""

    @property
    def over_row(self) -> conv2d.GroupedAttrs: ...


def forward_int(
    attrs: Attrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    (x,) = xs
    ints = replace(ints, weight=ints.weight[:, None])
    return conv2d.forward_int(attrs.over_row, ints, (x[:, None],), y_range)[:, 0]


def forward_float(attrs: Attrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    (x,) = xs
    params = replace(params, weight=params.weight[:, None])
    return conv2d.forward_float(attrs.over_row, params, (x[:, None],))[:, 0]


def vjp(
    attrs: Attrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,) = saved.x
    params = replace(params, weight=params.weight[:, None])
    saved = replace(saved, x=(x[:, None],), y=saved.y[:, None])
    (gx,), g = conv2d.vjp(attrs.over_row, params, saved, gy[:, None], needs_gx)
    gx = None if gx is None else gx[:, 0]
    return (gx,), replace(g, weight=g.weight[:, 0])
