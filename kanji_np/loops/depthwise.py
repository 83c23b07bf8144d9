"""The fast loops of depthwise convolution: vectors of channels of neighbouring pixels.

Each image is copied once into a padded buffer in which windows that are neighbours lie
side by side for every tap: columns are sorted by their remainder modulo the stride, and
each channel stands there as often as there are outputs of it. Under a tap, one cell of
the kernel, then lie plain vectors, whatever stride, dilation and multiplier are. Sums
of a few neighbouring pixels are formed at a time, over all taps; so are gradients of
the input where windows are one cell apart. `_Plan` says where things lie.

Integers are int16 factors and int32 sums, which are exact. One thread works on a share
of the images from padding to requantized bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kanji_np.jit import njit
from kanji_np.loops import buffers
from kanji_np.loops.conv_gradients import pass_row
from kanji_np.loops.requantize import (
    Bounds,
    add_bias,
    empty_ranges,
    fold_extremes,
    new_extremes,
    requantization,
    requantize_pixels,
    widen,
)
from kanji_np.loops.simd import (
    LANES,
    address,
    products_1,
    products_2,
    products_3,
    products_4,
    products_5,
    taps_1,
    taps_4,
)
from kanji_np.loops.threads import run, shares
from kanji_np.types import LinearInts, LinearParams, Saved
from kanji_np.window import Geometry

RUN = 256  # sums that are formed together, at least where a row has so many


@dataclass(frozen=True)
class _Plan:
    """Where things lie in the padded image of one depthwise convolution.

    Parameters
    ----------
    rows, phases, columns : int
        The padded image is (rows, phases, columns, Cout): the cell at x has the phase
        x modulo stride and the column x // stride. Phases no tap falls on are left out.
    groups, pixels : int
        A row of windows is cut into so many groups of so many pixels, whose sums are
        whole vectors; columns are enough for all of them.
    period : int
        Pixels after which vectors begin with the same channel again.
    taps : int64 (KH * KW,)
        Start of each tap in the window.
    """

    rows: int
    phases: int
    columns: int
    groups: int
    pixels: int
    period: int
    taps: np.ndarray

    @property
    def layout(self) -> tuple[int, int, int, int, int]:
        return self.rows, self.phases, self.columns, self.groups, self.pixels


def _plan(g: Geometry, channels: int) -> _Plan:
    groups = -(-g.out_w * channels // RUN)
    pixels = -(-g.out_w // min(groups, g.out_w))
    period = LANES // math.gcd(channels, LANES)
    pixels = -(-pixels // period) * period
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
        rows, phases, columns, groups, pixels, period,
        channels * np.array(taps, np.int64),
    )  # fmt: skip


def _pack(weight: np.ndarray, pixels: int, dtype: np.dtype) -> np.ndarray:
    """(Cout,KH,KW) -> (KH*KW, pixels*Cout), the same for each pixel."""
    taps = weight.reshape(len(weight), -1).T  # (Cout,KH,KW) -> (KH*KW,Cout)
    return np.ascontiguousarray(np.tile(taps, pixels), dtype)


def forward_int(
    x: np.ndarray, ints: LinearInts, g: Geometry, y_range: np.ndarray | None
) -> np.ndarray:
    """int8 (N,H,W,Cin) -> int8 (N,OH,OW,Cout); `y_range` as `ops.op.Op` has it."""
    y = buffers.empty((len(x), *g.out, len(ints.weight)), np.int8)
    plan = _plan(g, y.shape[3])
    ranges = empty_ranges(shares(len(x)))
    run(
        _forward_int, len(x), np.ascontiguousarray(x),
        _pack(ints.weight, plan.pixels, np.dtype(np.int16)), ints.input_offset,
        requantization(ints, ints.bias, plan.pixels), g.stride, g.pad, plan.layout,
        plan.taps, y, ranges,
    )  # fmt: skip
    if y_range is not None:
        widen(y_range, ranges)
    return y


def forward_float(
    x: np.ndarray, params: LinearParams, g: Geometry, bounds: Bounds
) -> np.ndarray:
    """Floating (N,H,W,Cin) -> same dtype (N,OH,OW,Cout), kept between two bounds."""
    y = buffers.empty((len(x), *g.out, len(params.weight)), x.dtype)
    plan = _plan(g, y.shape[3])
    run(
        _forward_float, len(x), np.ascontiguousarray(x),
        _pack(params.weight, plan.pixels, x.dtype),
        np.tile(params.bias.astype(x.dtype), plan.pixels), x.dtype.type(bounds[0]),
        x.dtype.type(bounds[1]), g.stride, g.pad, plan.layout, plan.taps, y,
    )  # fmt: skip
    return y


def backward(
    params: LinearParams, saved: Saved, g: Geometry, gy: np.ndarray, needs_gx: bool
) -> tuple[np.ndarray | None, LinearParams]:
    """Gradients with respect to the real input, weight and bias."""
    weight = params.weight
    outputs = len(weight)
    plan = _plan(g, outputs)
    (x,), (scale,), (offset,) = saved.x, saved.x_scale, saved.x_offset
    turned = g.turned(*x.shape[1:3]) if g.stride == (1, 1) else None
    if turned is None:
        gplan, kernels, corner = plan, weight, 0
    else:
        gplan, kernels = _plan(turned, outputs), weight[:, ::-1, ::-1]
        corner = (turned.pad_top * gplan.columns + turned.pad_left) * outputs
    parts, length = shares(len(gy)), plan.period * outputs
    gtaps = buffers.empty((parts, len(plan.taps), length), gy.dtype)
    gbias = np.empty((parts, length), gy.dtype)
    gx = buffers.empty(x.shape if needs_gx else (0, 0, 0, 0), gy.dtype)
    run(
        _backward, len(gy), np.ascontiguousarray(x), saved.y,
        np.ascontiguousarray(gy), saved.low, saved.high,
        gy.dtype.type(offset), g.stride, g.pad, plan.layout, plan.taps,
        turned is not None, corner, gplan.layout, gplan.taps,
        _pack(kernels, gplan.pixels, gy.dtype), gtaps, gbias, gx,
    )  # fmt: skip
    # (shares,KH*KW,period*Cout) -> (KH*KW,Cout) -> (Cout,KH,KW)
    gtaps = gtaps.reshape(parts, -1, plan.period, outputs).sum(axis=(0, 2))
    gweight = np.ascontiguousarray(gtaps.T).reshape(weight.shape)
    gweight *= gy.dtype.type(scale)
    gbias = gbias.reshape(-1, outputs).sum(axis=0)
    return (gx if needs_gx else None), LinearParams(gweight, gbias)


@njit(cache=True)
def _fill(padded, image, offset, stride_w, pad):
    """Copy (H,W,Cin) to its places in the padded image; the rest stays as it is."""
    height, width, channels = image.shape
    rows, phases, columns, outputs = padded.shape
    times = outputs // channels
    for iy in range(min(height, rows - pad[0])):
        if times == stride_w == 1:
            source = image[iy].reshape(-1)
            target = padded[iy + pad[0]].reshape(-1)[pad[1] * channels :]
            for k in range(min(width, columns - pad[1]) * channels):
                target[k] = source[k] + offset
            continue
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


@njit(cache=True)
def _sum_taps(sums, store, start, taps, weight):
    """Whole vectors of sums: the windows that begin at `start` in the padded image."""
    length = sums.shape[0]
    count, places = taps.shape[0], address(taps, 0)
    done = 0
    while done + 4 * LANES <= length:
        out, cells = address(sums, done), address(store, start + done)
        taps_4(out, cells, places, address(weight, done), length, count)
        done += 4 * LANES
    while done < length:
        out, cells = address(sums, done), address(store, start + done)
        taps_1(out, cells, places, address(weight, done), length, count)
        done += LANES


@njit(cache=True)
def _add_products(gtaps, g, store, start, taps, count):
    """Gradients of the weights from `count` neighbouring windows, `simd.products_5`.

    ``gtaps[t, k]`` gets those of every window of the period that k is of.
    """
    length = gtaps.shape[1]
    for k in range(0, length, LANES):
        cells = address(store, start + k)
        gradient = address(g, k)
        done = 0
        while done < taps.shape[0]:
            out, places = address(gtaps, done * length + k), address(taps, done)
            left = taps.shape[0] - done
            if left >= 5 and left != 6:
                products_5(out, gradient, cells, places, length, count)
                done += 5
            elif left == 4:
                products_4(out, gradient, cells, places, length, count)
                done += 4
            elif left == 3 or left == 6:
                products_3(out, gradient, cells, places, length, count)
                done += 3
            elif left == 2:
                products_2(out, gradient, cells, places, length, count)
                done += 2
            else:
                products_1(out, gradient, cells, places, length, count)
                done += 1


@njit(cache=True, nogil=True)
def _forward_int(
    begin, end, edges, x, weight, offset, r, stride, pad, layout, taps, y, ranges
):
    _, out_h, out_w, outputs = y.shape
    rows, phases, columns, groups, pixels = layout
    run = pixels * outputs
    flat = y.reshape(-1)
    store = np.zeros(rows * phases * columns * outputs, np.int16)
    padded = store.reshape(rows, phases, columns, outputs)
    acc = np.empty(run, np.int32)
    extremes = new_extremes()
    for n in range(edges[begin], edges[end]):
        _fill(padded, x[n], offset, stride[1], pad)
        for oy in range(out_h):
            line = oy * stride[0] * phases * columns * outputs
            for group in range(groups):
                _sum_taps(acc, store, line + group * run, taps, weight)
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
                _sum_taps(sums, store, line + group * run, taps, weight)
                ox = group * pixels
                at = ((n * out_h + oy) * out_w + ox) * outputs
                count = min(pixels, out_w - ox) * outputs
                add_bias(sums, bias, low, high, flat[at : at + count])


@njit(cache=True)
def _gather(image, store, layout, taps, weight, sums):
    """Input gradients (H,W,Cin) from those of the padded output."""
    height, width, channels = image.shape
    _, _, columns, groups, pixels = layout
    outputs = sums.shape[0] // pixels
    times = outputs // channels
    flat = image.reshape(-1)
    for iy in range(height):
        for group in range(groups):
            ix = group * pixels
            _sum_taps(sums, store, (iy * columns + ix) * outputs, taps, weight)
            at = (iy * width + ix) * channels
            count = min(pixels, width - ix) * channels
            if times == 1:
                flat[at : at + count] = sums[:count]
                continue
            for k in range(count):
                flat[at + k] = sums[k * times : (k + 1) * times].sum()


@njit(cache=True)
def _scatter(store, g, start, taps, weight):
    """Add what the outputs of a row get from each tap to the padded input gradients."""
    run = weight.shape[1]
    for first in range(0, g.shape[0], run):
        part = g[first : first + run]
        for t in range(taps.shape[0]):
            at = start + first + taps[t]
            cells, w = store[at : at + run], weight[t]
            for k in range(run):
                cells[k] += part[k] * w[k]


@njit(cache=True, nogil=True)
def _backward(
    begin, end, edges, x, y, gy, low, high, offset, stride, pad, layout, taps, gathers,
    corner, glayout, gplaces, weight, gtaps, gbias, gx,
):  # fmt: skip
    """Where windows are one cell apart input gradients are gathered, like outputs are;
    elsewhere they are scattered over a padded image, of which the middle is taken."""
    _, out_h, out_w, outputs = gy.shape
    rows, phases, columns, groups, pixels = layout
    row = out_w * outputs
    needs_gx = gx.shape[0] > 0
    flat_y, flat_gy = y.reshape(-1), gy.reshape(-1)
    padded = np.zeros((rows, phases, columns, outputs), gy.dtype)
    store = padded.reshape(-1)
    gpadded = np.zeros((*glayout[:3], outputs), gy.dtype)
    gstore = gpadded.reshape(-1)
    gline = glayout[2] * outputs
    sums = np.empty(weight.shape[1], gy.dtype)
    # The gradients of a row that count; the windows beyond it have none.
    grow = np.zeros(groups * pixels * outputs, gy.dtype)
    periods = grow.shape[0] // gtaps.shape[2]
    for share in range(begin, end):
        gtaps[share] = 0
        gbias[share] = 0
    share = begin
    for n in range(edges[begin], edges[end]):
        while n >= edges[share + 1]:
            share += 1
        _fill(padded, x[n], offset, stride[1], pad)
        if not gathers:
            gstore[:] = 0
        for oy in range(out_h):
            other, to = (gstore, corner + oy * gline) if gathers else (grow, 0)
            pass_row(
                flat_gy, flat_y, (n * out_h + oy) * row, row, low, high, gbias[share],
                grow, 0, other, to,
            )  # fmt: skip
            line = oy * stride[0] * phases * columns * outputs
            _add_products(gtaps[share], grow, store, line, taps, periods)
            if needs_gx and not gathers:
                _scatter(gstore, grow, line, taps, weight)
        if needs_gx and gathers:
            _gather(gx[n], gstore, glayout, gplaces, weight, sums)
        elif needs_gx:
            _crop(gx[n], gpadded, stride[1], pad)
