"""The smaller of two tensors, element by element.

    Y = minimum(table_1[X_1 + 128], table_2[X_2 + 128])

The tables bring both to the scale of the output, and are left out where all have one
scale, as TFLite wants it; `ops.extrema` has the rest. Both have one shape, or one is
broadcast (`ops.pairs`).

Source: TFLite `MINIMUM` int8; CMSIS-NN v7.0.0 `arm_minimum_s8`. Broadcast, of several
scales, and beside earlier versions: ccore `kanji_minimum_s8`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.loops.broadcast import spread
from kanji_np.ops import extrema, pairs
from kanji_np.ops.attributes import Attributes
from kanji_np.ops.op import Op
from kanji_np.types import Arrays


@dataclass(frozen=True)
class MinimumAttrs(Attributes):
    """The smaller of two tensors, element by element; see `ops.minimum`.

    Both have one shape, or one has extents of 1: (1,1,C) beside (H,W,C).
    """


def forward_float(attrs: MinimumAttrs, params: None, xs: Arrays) -> np.ndarray:
    """Two floating (N, ...) -> same dtype (N, ...)."""
    return np.minimum(*spread(xs))


MINIMUM = Op(
    name="minimum",
    attrs=MinimumAttrs,
    layer="Minimum",
    infer=pairs.infer,
    forward_int=extrema.forward_int_of(np.minimum),
    forward_float=forward_float,
    vjp=extrema.vjp_of(np.minimum),
    lowerings={"cmsis-nn": extrema.lowering_of("minimum")},
    ints=extrema.ints_of,
    inputs=2,
    tracks_output=True,
)
