"""What is done to images: normalized, standardized, rescaled, padded.

The fast functions of `ops.normalize`, `ops.standardize`, `ops.rescaling` and `ops.pad`;
arguments are those of the operator's own.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from kanji_np.fixedpoint import clamp, divide_half_away
from kanji_np.jit import nb, njit
from kanji_np.loops import buffers
from kanji_np.loops.threads import run
from kanji_np.types import Arrays
from kanji_np.window import Pair

int64 = nb.int64


class Shifted(Protocol):
    """Attributes with a right shift."""

    @property
    def shift(self) -> int: ...


class Fractional(Protocol):
    """Attributes with the fractional bits of the output."""

    @property
    def frac_bits(self) -> int: ...


class Padded(Protocol):
    """Attributes with ((top, bottom), (left, right)) in cells."""

    @property
    def padding(self) -> tuple[Pair, Pair]: ...


def normalize_int(attrs: Shifted, ints: Any, xs: Arrays) -> np.ndarray:
    (x,) = xs
    y = buffers.empty(x.shape, np.int8)
    mean = np.broadcast_to(ints.mean, x.shape[1:]).astype(np.int16).ravel()
    run(
        _normalize,
        len(x),
        np.ascontiguousarray(x).reshape(len(x), -1),  # (N,...) -> (N,K)
        mean,
        attrs.shift,
        y.reshape(len(x), -1),
    )
    return y


def standardize_int(attrs: Fractional, ints: None, xs: Arrays) -> np.ndarray:
    (x,) = xs
    y = np.empty(x.shape, np.int8)
    count = len(x)
    run(
        _standardize,
        count,
        np.ascontiguousarray(x).reshape(count, -1),  # (N,H,W,C) -> (N,H*W*C)
        attrs.frac_bits,
        y.reshape(count, -1),
    )
    return y


def rescaling_int(attrs: Any, ints: Any, xs: Arrays) -> np.ndarray:
    (x,) = xs
    y = buffers.empty(x.shape, np.int8)
    count = len(x)
    flat, out = (np.ascontiguousarray(a).reshape(count, -1) for a in (x, y))
    run(_lookup, count, flat, ints.tables, out)
    return y


def pad_int(attrs: Padded, ints: Any, xs: Arrays) -> np.ndarray:
    (x,) = xs
    return _padded(x, attrs.padding, ints.value)


def pad_float(attrs: Padded, params: None, xs: Arrays) -> np.ndarray:
    (x,) = xs
    return _padded(x, attrs.padding, 0)


def _padded(x: np.ndarray, padding: tuple[Pair, Pair], value: int) -> np.ndarray:
    (top, bottom), (left, right) = padding
    n, height, width, channels = x.shape
    shape = n, top + height + bottom, left + width + right, channels
    y = buffers.empty(shape, x.dtype)
    y[...] = value
    y[:, top : top + height, left : left + width] = x
    return y


@njit(cache=True, nogil=True)
def _normalize(begin, end, edges, x, mean, shift, y):
    size = x.shape[1]
    half = np.int16((1 << shift) >> 1)
    for n in range(edges[begin], edges[end]):
        for k in range(size):
            value = np.int16(np.int16(x[n, k]) - mean[k] + half) >> np.int16(shift)
            y[n, k] = min(max(value, -128), 127)


@njit(cache=True, nogil=True)
def _lookup(begin, end, edges, x, tables, y):
    channels, size = tables.shape[0], x.shape[1]
    for n in range(edges[begin], edges[end]):
        for start in range(0, size, channels):
            for c in range(channels):
                y[n, start + c] = tables[c, x[n, start + c]]


@njit(cache=True)
def _isqrt(value):
    """Floor of the square root of a non-negative int64, bit by bit."""
    root, bit = int64(0), int64(1) << 60
    while bit > value:
        bit >>= 2
    while bit:
        if value >= root + bit:
            value -= root + bit
            root = (root >> 1) + bit
        else:
            root >>= 1
        bit >>= 2
    return root


@njit(cache=True, nogil=True)
def _standardize(begin, end, edges, x, frac_bits, y):
    n = x.shape[1]
    for i in range(edges[begin], edges[end]):
        total, squares = int64(0), int64(0)
        for k in range(n):
            v = int64(x[i, k])
            total += v
            squares += v * v
        d = max(_isqrt(n * squares - total * total), _isqrt(n))
        for k in range(n):
            a = (n * int64(x[i, k]) - total) << frac_bits
            y[i, k] = clamp(divide_half_away(a, d), -128, 127)
