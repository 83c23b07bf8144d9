"""The fast loops of depthwise convolution: whole rows of channels, tap by tap.

Each image is copied once into a padded buffer in which windows that are neighbours lie
side by side for every tap: columns are sorted by their remainder modulo the stride, and
each channel stands there as often as there are outputs of it. A tap, one cell of the
kernel, then adds products of two plain vectors to the sums of a few neighbouring
pixels, whatever stride, dilation and multiplier are. `_Plan` says where things lie.

Integers are int16 factors and int32 sums, which are exact. One thread works on a share
of the images from padding to requantized bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numba import types as nb

from kanji_np.ops import buffers
from kanji_np.ops.requantize import (
    Bounds,
    add_bias,
    empty_ranges,
    fold_extremes,
    new_extremes,
    requantize_pixels,
    rescaling,
)
from kanji_np.ops.window import Geometry
from kanji_np.threads import run, shares
from kanji_np.types import LinearInts, LinearParams, Saved

RUN = 256  # sums that are formed together, at least where a row has so many

int32 = nb.int32


@dataclass(frozen=True)
class _Plan:
    """Where things lie in the padded image of one depthwise convolution.

    Parameters
    ----------
    rows, phases, columns : int
        The padded image is (rows, phases, columns, Cout): the cell at x has the phase
        x modulo stride and the column x // stride. Phases no tap falls on are left out.
    groups, pixels : int
        A row of windows is cut into so many groups of so many pixels; columns are
        enough for all of them.
    taps : int64 (KH * KW,)
        Start of each tap in the window.
    """

    rows: int
    phases: int
    columns: int
    groups: int
    pixels: int
    taps: np.ndarray

    @property
    def layout(self) -> tuple[int, int, int, int, int]:
        return self.rows, self.phases, self.columns, self.groups, self.pixels


def _plan(g: Geometry, channels: int) -> _Plan:
    groups = -(-g.out_w * channels // RUN)
    pixels = -(-g.out_w // min(groups, g.out_w))
    groups = -(-g.out_w // pixels)
    last = (g.kernel_w - 1) * g.dilation_w
    phases = min(g.stride_w, last + 1)
    columns = groups * pixels + last // g.stride_w
    rows = (g.out_h - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h + 1
    taps = [
        (i * g.dilation_h * phases + at % g.stride_w) * columns + at // g.stride_w
        for i in range(g.kernel_h)
        for at in range(0, last + 1, g.dilation_w)
    ]
    return _Plan(
        rows, phases, columns, groups, pixels, channels * np.array(taps, np.int64)
    )


def _pack(weight: np.ndarray, pixels: int, dtype: np.dtype) -> np.ndarray:
    """(Cout,KH,KW) -> (KH*KW, pixels*Cout), the same for each pixel."""
    taps = weight.reshape(len(weight), -1).T  # (Cout,KH,KW) -> (KH*KW,Cout)
    return np.ascontiguousarray(np.tile(taps, pixels), dtype)


def forward_int(
    x: np.ndarray, ints: LinearInts, g: Geometry, y: np.ndarray
) -> np.ndarray:
    """Fill int8 `y`; return int64 (shares, 2), the `y_range` of each."""
    plan = _plan(g, y.shape[3])
    ranges = empty_ranges(shares(len(x)))
    run(
        _forward_int, len(x), np.ascontiguousarray(x),
        _pack(ints.weight, plan.pixels, np.dtype(np.int16)), ints.input_offset,
        rescaling(ints, ints.bias, plan.pixels), g.stride, g.pad, plan.layout,
        plan.taps, y, ranges,
    )  # fmt: skip
    return ranges


def forward_float(
    x: np.ndarray, params: LinearParams, g: Geometry, bounds: Bounds, y: np.ndarray
) -> None:
    """Fill floating `y`, kept between two bounds."""
    plan = _plan(g, y.shape[3])
    run(
        _forward_float, len(x), np.ascontiguousarray(x),
        _pack(params.weight, plan.pixels, x.dtype),
        np.tile(params.bias.astype(x.dtype), plan.pixels), x.dtype.type(bounds[0]),
        x.dtype.type(bounds[1]), g.stride, g.pad, plan.layout, plan.taps, y,
    )  # fmt: skip


def backward(
    params: LinearParams, saved: Saved, g: Geometry, gy: np.ndarray, needs_gx: bool
) -> tuple[np.ndarray | None, LinearParams]:
    """Gradients with respect to the real input, weight and bias."""
    weight = params.weight
    outputs = len(weight)
    plan = _plan(g, outputs)
    packed = _pack(weight, plan.pixels, gy.dtype)
    parts = shares(len(gy))
    gpacked = buffers.empty((parts, *packed.shape), gy.dtype)
    gbias = np.empty((parts, outputs), gy.dtype)
    gx = buffers.empty(saved.x.shape if needs_gx else (0, 0, 0, 0), gy.dtype)
    run(
        _backward, len(gy), np.ascontiguousarray(saved.x), saved.y,
        np.ascontiguousarray(gy), packed, saved.low, saved.high,
        gy.dtype.type(saved.x_offset), g.stride, g.pad, plan.layout, plan.taps,
        gpacked, gbias, gx,
    )  # fmt: skip
    # (shares,KH*KW,pixels*Cout) -> (KH*KW,Cout) -> (Cout,KH,KW)
    gtaps = gpacked.reshape(parts, len(packed), plan.pixels, outputs).sum(axis=(0, 2))
    gweight = np.ascontiguousarray(gtaps.T).reshape(weight.shape)
    gweight *= gy.dtype.type(saved.x_scale)
    return (gx if needs_gx else None), LinearParams(gweight, gbias.sum(axis=0))


@njit(cache=True)
def _fill(padded, image, offset, stride_w, pad):
    """Copy (H,W,Cin) to its places in the padded image; the rest stays as it is."""
    height, width, channels = image.shape
    rows, phases, columns, outputs = padded.shape
    times = outputs // channels
    for iy in range(min(height, rows - pad[0])):
        for ix in range(width):
            column, phase = divmod(ix + pad[1], stride_w)
            if phase < phases and column < columns:
                source = image[iy, ix]
                target = padded[iy + pad[0], phase, column]
                if times == 1:
                    for c in range(channels):
                        target[c] = source[c] + offset
                else:
                    for c in range(channels):
                        for k in range(times):
                            target[c * times + k] = source[c] + offset


@njit(cache=True)
def _crop(image, padded, stride_w, pad):
    """The adjoint of `_fill`: cells no window reaches get zero."""
    height, width, channels = image.shape
    rows, phases, columns, outputs = padded.shape
    times = outputs // channels
    for iy in range(height):
        for ix in range(width):
            column, phase = divmod(ix + pad[1], stride_w)
            target = image[iy, ix]
            target[:] = 0
            if iy + pad[0] < rows and phase < phases and column < columns:
                source = padded[iy + pad[0], phase, column]
                if times == 1:
                    for c in range(channels):
                        target[c] = source[c]
                else:
                    for c in range(channels):
                        for k in range(times):
                            target[c] += source[c * times + k]


@njit(cache=True, nogil=True)
def _forward_int(
    begin, end, edges, x, weight, offset, r, stride, pad, layout, taps, y, ranges
):
    _, out_h, out_w, outputs = y.shape
    rows, phases, columns, groups, pixels = layout
    run = pixels * outputs
    flat = y.reshape(-1)
    padded = np.zeros((rows, phases, columns, outputs), np.int16)
    store = padded.reshape(-1)
    acc = np.empty(run, np.int32)
    extremes = new_extremes()
    for n in range(edges[begin], edges[end]):
        _fill(padded, x[n], offset, stride[1], pad)
        for oy in range(out_h):
            line = oy * stride[0] * phases * columns * outputs
            for group in range(groups):
                acc[:] = 0
                for t in range(taps.shape[0]):
                    start = line + group * run + taps[t]
                    cells = store[start : start + run]
                    w = weight[t]
                    for k in range(run):
                        acc[k] += int32(int32(cells[k]) * int32(w[k]))
                ox = group * pixels
                requantize_pixels(
                    acc[: min(pixels, out_w - ox) * outputs], outputs, r, flat,
                    ((n * out_h + oy) * out_w + ox) * outputs, extremes,
                )  # fmt: skip
    fold_extremes(extremes, ranges[begin])


@njit(cache=True, nogil=True)
def _forward_float(
    begin, end, edges, x, weight, bias, low, high, stride, pad, layout, taps, y
):
    _, out_h, out_w, outputs = y.shape
    rows, phases, columns, groups, pixels = layout
    run = pixels * outputs
    flat = y.reshape(-1)
    padded = np.zeros((rows, phases, columns, outputs), x.dtype)
    store = padded.reshape(-1)
    sums = np.empty(run, x.dtype)
    for n in range(edges[begin], edges[end]):
        _fill(padded, x[n], x.dtype.type(0), stride[1], pad)
        for oy in range(out_h):
            line = oy * stride[0] * phases * columns * outputs
            for group in range(groups):
                sums[:] = 0
                for t in range(taps.shape[0]):
                    start = line + group * run + taps[t]
                    cells = store[start : start + run]
                    w = weight[t]
                    for k in range(run):
                        sums[k] += cells[k] * w[k]
                ox = group * pixels
                at = ((n * out_h + oy) * out_w + ox) * outputs
                count = min(pixels, out_w - ox) * outputs
                add_bias(sums, bias, low, high, flat[at : at + count])


@njit(cache=True, nogil=True)
def _backward(
    begin, end, edges, x, y, gy, weight, low, high, offset, stride, pad, layout, taps,
    gweight, gbias, gx,
):  # fmt: skip
    _, out_h, out_w, outputs = gy.shape
    rows, phases, columns, groups, pixels = layout
    run = pixels * outputs
    needs_gx = gx.shape[0] > 0
    padded = np.zeros((rows, phases, columns, outputs), gy.dtype)
    store = padded.reshape(-1)
    gpadded = np.empty(padded.shape if needs_gx else (0, 0, 0, 0), gy.dtype)
    gstore = gpadded.reshape(-1)
    # The gradients of a row that count; the windows beyond it have none.
    grow = np.zeros(groups * run, gy.dtype)
    for share in range(begin, end):
        gweight[share] = 0
        gbias[share] = 0
    share = begin
    for n in range(edges[begin], edges[end]):
        while n >= edges[share + 1]:
            share += 1
        gw, gb = gweight[share], gbias[share]
        _fill(padded, x[n], offset, stride[1], pad)
        gstore[:] = 0
        for oy in range(out_h):
            gradient = gy[n, oy].reshape(-1)
            value = y[n, oy].reshape(-1)
            for k in range(out_w * outputs):
                inside = low < value[k] < high
                grow[k] = gradient[k] if inside else gy.dtype.type(0)
            for ox in range(out_w):
                of_pixel = grow[ox * outputs : (ox + 1) * outputs]
                for k in range(outputs):
                    gb[k] += of_pixel[k]
            line = oy * stride[0] * phases * columns * outputs
            for group in range(groups):
                g = grow[group * run : (group + 1) * run]
                for t in range(taps.shape[0]):
                    start = line + group * run + taps[t]
                    cells = store[start : start + run]
                    gtap = gw[t]
                    for k in range(run):
                        gtap[k] += g[k] * cells[k]
                    if needs_gx:
                        gcells = gstore[start : start + run]
                        w = weight[t]
                        for k in range(run):
                            gcells[k] += g[k] * w[k]
        if needs_gx:
            _crop(gx[n], gpadded, stride[1], pad)
