"""Softmax of rows, in each arithmetic: the fast function of `ops.softmax`."""

from __future__ import annotations

from typing import Any

import numpy as np

from kanji_np.fixedpoint import (
    clamp,
    exp_on_negative,
    one_over_one_plus,
    rounding_divide_by_pot,
    saturating_doubling_high_multiply,
)
from kanji_np.jit import nb, njit
from kanji_np.loops.threads import run
from kanji_np.types import Arrays

float32: Any = nb.float32
int64: Any = nb.int64


def forward_int(attrs: Any, ints: Any, xs: Arrays) -> np.ndarray:
    (given,) = xs
    x = given.reshape(-1, given.shape[-1])  # (N,...,K) -> (rows,K)
    y = np.empty(x.shape, np.int8)
    if ints.base == "pow2":
        run(_softmax_pow2, len(x), x, y)
    elif ints.base == "table":
        run(_softmax_table, len(x), x, ints.table, y)
    else:
        run(_softmax, len(x), x, ints.multiplier, ints.shift, ints.diff_min, y)
    return y.reshape(given.shape)


@njit(cache=True, nogil=True)
def _softmax(begin, end, edges, x, multiplier, shift, diff_min, y):
    columns = x.shape[1]
    for n in range(edges[begin], edges[end]):
        largest = int(x[n].max())
        total = int64(0)
        for k in range(columns):
            diff = int(x[n, k]) - largest
            if diff >= diff_min:
                scaled = saturating_doubling_high_multiply(diff << shift, multiplier)
                total += rounding_divide_by_pot(exp_on_negative(scaled), 12)
        headroom = 0
        while headroom < 32 and total < (int64(1) << (31 - headroom)):
            headroom += 1
        scale = one_over_one_plus((total << headroom) - (int64(1) << 31))
        right = 12 - headroom + 23
        for k in range(columns):
            diff = int(x[n, k]) - largest
            value = -128
            if diff >= diff_min:
                scaled = saturating_doubling_high_multiply(diff << shift, multiplier)
                product = saturating_doubling_high_multiply(
                    scale, exp_on_negative(scaled)
                )
                value = rounding_divide_by_pot(product, right) - 128
            y[n, k] = clamp(value, -128, 127)


@njit(cache=True, nogil=True)
def _softmax_table(begin, end, edges, x, table, y):
    columns = x.shape[1]
    for n in range(edges[begin], edges[end]):
        largest = int(x[n].max())
        total = float32(0)
        for k in range(columns):
            total += table[largest - int(x[n, k])]
        inverse = float32(1) / (total * float32(1 / 256))
        for k in range(columns):
            share = table[largest - int(x[n, k])] * inverse + float32(0.5)
            y[n, k] = clamp(int(np.floor(share)) - 128, -128, 127)


@njit(cache=True, nogil=True)
def _softmax_pow2(begin, end, edges, x, y):
    columns = x.shape[1]
    for n in range(edges[begin], edges[end]):
        base = int(x[n].max()) - 8
        total = 0
        for k in range(columns):
            total += 1 << clamp(int(x[n, k]) - base, 0, 7)
        share = (1 << 20) // total
        for k in range(columns):
            y[n, k] = clamp(share >> clamp(13 + base - int(x[n, k]), 0, 31), -128, 127)
