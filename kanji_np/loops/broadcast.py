"""Pairs of arrays of which one is read again and again beside the other.

Arrays have a batch in front; the axes behind it are aligned at the last one, as NumPy
and TFLite do it with the axes of a sample.
"""

from __future__ import annotations

import numpy as np

from kanji_np.types import Arrays, Shape


def _aligned(shape: Shape, rank: int) -> Shape:
    """(N,C) as (N,1,1,C)."""
    return (shape[0], *[1] * (rank - len(shape)), *shape[1:])


def spread(xs: Arrays) -> Arrays:
    """The arrays as views of one shape."""
    if all(x.shape == xs[0].shape for x in xs):
        return xs
    rank = max(x.ndim for x in xs)
    aligned = (x.reshape(_aligned(x.shape, rank)) for x in xs)
    return tuple(np.broadcast_arrays(*aligned))


def gathered(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The gradient of `x` from that of what `spread` made of it: summed up."""
    if g.shape == x.shape:
        return g
    aligned = _aligned(x.shape, g.ndim)
    axes = tuple(i for i in range(g.ndim) if aligned[i] == 1 != g.shape[i])
    return g.sum(axis=axes, keepdims=True).reshape(x.shape)
