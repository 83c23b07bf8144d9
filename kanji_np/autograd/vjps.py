"""Every derivative of the built-in functions, in one table.

A row is a function of the result z, the arguments x, y and the options, and returns for
each argument the map from g, the gradient of z, to the gradient of that argument (or
None, if there is no rule). A map keeps alive what it mentions and nothing else: that of
`add` keeps no array, those of `multiply` keep each the other factor. All here is NumPy
arrays; no tensor is seen.

A rule for an elementwise function or a matrix product may ignore broadcasting: its
gradient has the shape of z, or of the batch, and `unbroadcast` makes it the argument's.
"""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np

from kanji_np.autograd.tape import Array

Pull: TypeAlias = Callable[[Array], Array]
Pulls: TypeAlias = tuple[Pull | None, ...]


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Undo broadcasting from `shape`: add up over the axes that were repeated."""
    if g.shape == shape:
        return g
    new = g.ndim - len(shape)
    stretched = (new + i for i, n in enumerate(shape) if n == 1)
    return np.asarray(g.sum(axis=(*range(new), *stretched))).reshape(shape)


def spread(
    g: Array, shape: tuple[int, ...], axis: int | tuple[int, ...] | None, keepdims: bool
) -> Array:
    """Undo a reduction from `shape`: give each element what came for its group."""
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, shape)


def _power(z: Array, x: Array, p: Any) -> Pulls:
    def pull(g: Array) -> Array:
        # A float exponent, as integers have no x**-1; p = 0 must not ask for 0**-1.
        lower = np.where(np.equal(p, 0), 1, np.subtract(p, 1)).astype(g.dtype)
        return np.asarray(g * p * x**lower)

    return pull, None


def _matmul(z: Array, x: Array, y: Array) -> Pulls:
    # A 1-D x is a row, a 1-D y a column, and z lacks the axis they were given.
    is_row, is_column = x.ndim == 1, y.ndim == 1

    def matrix(g: Array) -> Array:
        g = g[..., np.newaxis] if is_column else g
        return g[..., np.newaxis, :] if is_row else g

    def pull_x(g: Array) -> Array:
        y_matrix = y[:, np.newaxis] if is_column else y
        return matrix(g) @ y_matrix.swapaxes(-1, -2)  # (..., n, m) (m, k)

    def pull_y(g: Array) -> Array:
        x_matrix = x[np.newaxis, :] if is_row else x
        gy = x_matrix.swapaxes(-1, -2) @ matrix(g)  # (..., k, n) (n, m)
        return gy[..., 0] if is_column else gy

    return pull_x, pull_y


def _log_softmax(z: Array, x: Array, axis: int) -> Pulls:
    return (lambda g: g - np.exp(z) * g.sum(axis=axis, keepdims=True),)


def _sum(z: Array, x: Array, axis: Any, keepdims: bool) -> Pulls:
    shape = x.shape
    return (lambda g: spread(g, shape, axis, keepdims),)


def _mean(z: Array, x: Array, axis: Any, keepdims: bool) -> Pulls:
    shape, count = x.shape, x.size / z.size if z.size else 1
    return (lambda g: spread(g / count, shape, axis, keepdims),)


def _max(z: Array, x: Array, axis: Any, keepdims: bool) -> Pulls:
    def pull(g: Array) -> Array:
        tied = x == spread(z, x.shape, axis, keepdims)
        count = tied.sum(axis=axis, keepdims=keepdims, dtype=g.dtype)
        return np.asarray(tied * spread(g / count, x.shape, axis, keepdims))

    return (pull,)


def _reshape(z: Array, x: Array) -> Pulls:
    shape = x.shape
    return (lambda g: g.reshape(shape),)


def _transpose(z: Array, x: Array, axes: tuple[int, ...] | None) -> Pulls:
    if axes is None:
        return (lambda g: g.T,)
    inverse = np.argsort([axis % x.ndim for axis in axes]).tolist()
    return (lambda g: g.transpose(inverse),)


def _getitem(z: Array, x: Array, index: Any) -> Pulls:
    shape = x.shape
    parts = index if isinstance(index, tuple) else (index,)
    basic = (int, np.integer, slice, EllipsisType, type(None))
    picks_once = all(isinstance(part, basic) for part in parts)

    def pull(g: Array) -> Array:
        gx = np.zeros(shape, g.dtype)
        if picks_once:
            gx[index] = g
        else:  # an array may name an element twice: add.at counts it twice, slowly
            np.add.at(gx, index, g)
        return gx

    return (pull,)


def _concatenate(z: Array, *xs_axis: Any) -> Pulls:
    *xs, axis = xs_axis
    ends = np.cumsum([x.shape[axis] for x in xs]).tolist()

    def cut(start: int, end: int) -> Pull:
        return lambda g: g.swapaxes(0, axis)[start:end].swapaxes(0, axis)

    return tuple(map(cut, [0, *ends], ends))


VJPS: dict[str, Callable[..., Pulls]] = {
    "add": lambda z, x, y: (lambda g: g, lambda g: g),
    "subtract": lambda z, x, y: (lambda g: g, lambda g: -g),
    "multiply": lambda z, x, y: (lambda g: g * y, lambda g: g * x),
    "divide": lambda z, x, y: (lambda g: g / y, lambda g: -g * z / y),
    "power": _power,
    "negative": lambda z, x: (lambda g: -g,),
    "maximum": lambda z, x, y: (
        lambda g: np.where(x == y, g / 2, g * (x > y)),
        lambda g: np.where(x == y, g / 2, g * (y > x)),
    ),
    "matmul": _matmul,
    "exp": lambda z, x: (lambda g: g * z,),
    "log": lambda z, x: (lambda g: g / x,),
    "sqrt": lambda z, x: (lambda g: g / (2 * z),),
    "tanh": lambda z, x: (lambda g: g * (1 - z * z),),
    "log_softmax": _log_softmax,
    "sum": _sum,
    "mean": _mean,
    "max": _max,
    "reshape": _reshape,
    "transpose": _transpose,
    "getitem": _getitem,
    "concatenate": _concatenate,
    "astype": lambda z, x: (lambda g: g,),
}
