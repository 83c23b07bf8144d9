"""The fast loops of convolution: windows read in place, nothing gathered.

Each image is copied once into a padded float32 buffer. A window then is a handful of
contiguous runs: one of KW * Cin numbers a kernel row (one of Cin a kernel cell where
the kernel is dilated), at fixed distances from the window's corner. `_Plan` lists them;
the register kernels of `simd` walk them. One thread works on one block of images from
padding to requantized bytes; outputs are disjoint and the number of blocks does not
depend on the number of threads, so results do not either.

Integers are multiplied as uint8 and int8 where the CPU adds four such products in one
instruction, and as float32 elsewhere (`simd.products`). Sums longer than float32 adds
exactly are cut into parts that are added up in int32. The bytes are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from kanji_np.fixedpoint import ROUNDINGS
from kanji_np.ops.requantize import (
    common_right_shift,
    empty_range,
    exact_sum,
    fold_extremes,
    new_extremes,
    requantize_tile,
)
from kanji_np.ops.simd import (
    LANES,
    QUAD,
    TILE_ROWS,
    add_rows_1,
    add_rows_2,
    add_rows_4,
    add_rows_8,
    address,
    products,
    tile_8x1,
    tile_8x2,
)
from kanji_np.ops.window import Geometry
from kanji_np.types import LinearInts, LinearParams, Saved

UNLIMITED = 1 << 30
BLOCKS = 16


@dataclass(frozen=True)
class _Plan:
    """Where things lie in the padded image of one convolution.

    Parameters
    ----------
    rows, pitch : int
        Padded image: rows, and numbers a row; the windows that round OW up to a
        multiple of the tile still lie inside.
    pixel, line : int
        Distance of neighbouring windows along x and along y.
    parts : int64 (P, 5)
        Calls of the tile kernel that make up one window, each one exact: start in the
        window, segments, distance of segments, columns a segment, first column of K.
    runs : int64 (R, 2)
        Contiguous runs of the window: start in the window, first column of K.
    run : int
        Length of a run.
    """

    rows: int
    pitch: int
    pixel: int
    line: int
    parts: np.ndarray
    runs: np.ndarray
    run: int


def _plan(g: Geometry, channels: int, longest: int) -> _Plan:
    columns = -(-g.out_w // TILE_ROWS) * TILE_ROWS
    width = (columns - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w + 1
    rows = (g.out_h - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h + 1
    pitch = width * channels
    if g.dilation_w == 1:
        run, starts = g.kernel_w * channels, [0]
    else:
        run, starts = channels, [j * g.dilation_w * channels for j in range(g.kernel_w)]
    runs = [
        (i * g.dilation_h * pitch + start, (i * len(starts) + j) * run)
        for i in range(g.kernel_h)
        for j, start in enumerate(starts)
    ]
    # Cells of a dilated kernel are evenly spaced along a row, other runs down the rows.
    evenly = len(starts) if len(starts) > 1 else g.kernel_h
    parts = _parts(runs, run, evenly, longest)
    return _Plan(
        rows, pitch, g.stride_w * channels, g.stride_h * pitch,
        np.array(parts, np.int64), np.array(runs, np.int64), run,
    )  # fmt: skip


def _parts(
    runs: list[tuple[int, int]], run: int, evenly: int, longest: int
) -> list[tuple[int, int, int, int, int]]:
    """Runs, of which `evenly` at a time are evenly spaced, as parts of `_Plan`.

    No part has more than `longest` columns.
    """
    together = min(longest // run, evenly)
    if together == 0:  # one run is too long already
        return [
            (start + cut, 1, 0, min(longest, run - cut), column + cut)
            for start, column in runs
            for cut in range(0, run, longest)
        ]
    distance = runs[1][0] - runs[0][0] if evenly > 1 else 0
    parts = []
    for first in range(0, len(runs), evenly):
        for at in range(first, first + evenly, together):
            start, column = runs[at]
            count = min(together, first + evenly - at)
            parts.append((start, count, distance, run, column))
    return parts


def _pack(weight: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """(Cout,KH,KW,Cin) -> flat (Cout/32 blocks, K, 32), the last block 16 if it can."""
    columns = weight.reshape(len(weight), -1).T  # (Cout,...) -> (K,Cout)
    depth, channels = columns.shape
    blocks = []
    for first in range(0, channels, 2 * LANES):
        left = channels - first
        block = np.zeros((depth, LANES if left <= LANES else 2 * LANES), dtype)
        block[:, :left] = columns[:, first : first + 2 * LANES]
        blocks.append(block.ravel())
    return np.concatenate(blocks)


def forward_int(
    x: np.ndarray, ints: LinearInts, g: Geometry, y: np.ndarray
) -> np.ndarray:
    """Fill int8 `y`; return int64 (blocks, 2), smallest and largest sum of each."""
    dots = products() != "float32"
    offset, right = ints.input_offset, common_right_shift(ints)
    rounding = ROUNDINGS[ints.rounding]
    plan = _plan(g, x.shape[3], UNLIMITED if dots else exact_sum(offset))
    ranges = np.tile(empty_range(), (min(BLOCKS, len(x)), 1))
    layout = (plan.rows, plan.pitch, plan.pixel, plan.line)
    if dots:
        weight, bias = _pack_quads(ints.weight, plan), _bias_of_dots(ints)
        _forward_dots(
            np.ascontiguousarray(x), weight, bias, ints.multiplier, ints.shift,
            rounding, right, np.uint8(128 - offset & 255), ints.output_offset,
            ints.act_min, ints.act_max, (g.pad_top, g.pad_left), layout, plan.parts,
            -(-plan.run // QUAD), y, ranges,
        )  # fmt: skip
    else:
        weight = _pack(ints.weight, np.dtype(np.float32))
        _forward_int(
            np.ascontiguousarray(x), weight, ints.bias, ints.multiplier, ints.shift,
            rounding, right, np.float32(offset), ints.output_offset, ints.act_min,
            ints.act_max, (g.pad_top, g.pad_left), layout, plan.parts, y, ranges,
        )  # fmt: skip
    return ranges


def _pack_quads(weight: np.ndarray, plan: _Plan) -> np.ndarray:
    """int8 (Cout,KH,KW,Cin) -> flat (Cout/32 blocks, quads, 32, 4), as `_pack`.

    Every run is filled up to whole quads with zeros, which undo what is read beyond it.
    """
    runs = weight.reshape(len(weight), len(plan.runs), plan.run)
    filled = np.pad(runs, ((0, 0), (0, 0), (0, -plan.run % QUAD)))
    quads = filled.reshape(len(weight), -1, QUAD)  # (Cout,runs,...) -> (Cout,quads,4)
    blocks = []
    for first in range(0, len(weight), 2 * LANES):
        part = quads[first : first + 2 * LANES]
        lanes = LANES if len(part) <= LANES else 2 * LANES
        part = np.pad(part, ((0, lanes - len(part)), (0, 0), (0, 0)))
        blocks.append(part.transpose(1, 0, 2).ravel())  # (quads, lanes, 4)
    return np.concatenate(blocks)


def _bias_of_dots(ints: LinearInts) -> np.ndarray:
    """Bias for sums of (x + 128) * w, int32 modulo 2^32.

    Dot products take one factor unsigned; 128 is taken off again, channel by channel.
    """
    sums = ints.weight.reshape(len(ints.weight), -1).sum(axis=1, dtype=np.int64)
    bias = ints.bias - (128 - ints.input_offset) * sums
    return bias.astype(np.uint32).view(np.int32)


def forward_float(
    x: np.ndarray, params: LinearParams, g: Geometry, relu: bool, y: np.ndarray
) -> None:
    """Fill floating `y`."""
    plan = _plan(g, x.shape[3], UNLIMITED)
    _forward_float(
        np.ascontiguousarray(x), _pack(params.weight, x.dtype),
        params.bias.astype(x.dtype), relu, (g.pad_top, g.pad_left),
        (plan.rows, plan.pitch, plan.pixel, plan.line), plan.parts, y,
        min(BLOCKS, len(x)),
    )  # fmt: skip


def backward(
    params: LinearParams, saved: Saved, g: Geometry, gy: np.ndarray, needs_gx: bool
) -> tuple[np.ndarray | None, LinearParams]:
    """Gradients with respect to the real input, weight and bias."""
    weight = params.weight
    outputs = len(weight)
    plan = _plan(g, saved.x.shape[3], UNLIMITED)
    padded_run = -(-plan.run // LANES) * LANES
    # (Cout,KH,KW,Cin) -> (Cout, runs, run rounded up to whole vectors)
    runs = np.zeros((outputs, len(plan.runs), padded_run), gy.dtype)
    runs[:, :, : plan.run] = weight.reshape(outputs, len(plan.runs), plan.run)
    blocks = min(BLOCKS, len(gy))
    gruns = np.empty((blocks, *runs.shape), gy.dtype)
    gbias = np.empty((blocks, outputs), gy.dtype)
    gx = np.empty(saved.x.shape if needs_gx else (0, 0, 0, 0), gy.dtype)
    _backward(
        saved.x, saved.y, np.ascontiguousarray(gy), runs, saved.low, saved.high,
        (g.pad_top, g.pad_left), (plan.rows, plan.pitch, plan.pixel, plan.line),
        plan.runs, gruns, gbias, gx,
    )  # fmt: skip
    gweight = gruns.sum(axis=0)[:, :, : plan.run].reshape(weight.shape)
    gweight *= gy.dtype.type(saved.x_scale)
    return (gx if needs_gx else None), LinearParams(gweight, gbias.sum(axis=0))


@njit(cache=True, inline="always")
def _fill(padded, image, offset, pad):
    """Copy (H,W,C) into the middle of the padded image; the rest stays as it is."""
    height, width, channels = image.shape
    top, left = pad
    rows, pitch = padded.shape
    count = min(width, pitch // channels - left) * channels
    for iy in range(min(height, rows - top)):
        source = image[iy].reshape(-1)
        target = padded[iy + top]
        for k in range(count):
            target[left * channels + k] = source[k] + offset


@njit(cache=True, inline="always")
def _add_part(store, corner, pixel, weight, weight_at, part, lanes, sums):
    """Add one part of 8 neighbouring windows to `sums`, 8 rows of `lanes`."""
    a = address(store, corner + part[0])
    b = address(weight, weight_at + part[4] * lanes)
    c = address(sums, 0)
    if lanes == LANES:
        tile_8x1(a, pixel, part[1], part[2], part[3], b, c)
    else:
        tile_8x2(a, pixel, part[1], part[2], part[3], b, c)


@njit(cache=True, parallel=True)
def _forward_int(
    x, weight, bias, multiplier, shift, rounding, right, in_offset, out_offset, low,
    high, pad, layout, parts, y, ranges,
):  # fmt: skip
    count, out_h, out_w, outputs = y.shape
    rows, pitch, pixel, line = layout
    depth = weight.shape[0] // (-(-outputs // LANES) * LANES)
    flat = y.reshape(-1)
    blocks = ranges.shape[0]
    for block in prange(blocks):
        # The last run is read in whole vectors, which may reach past the image.
        store = np.zeros(rows * pitch + LANES, np.float32)
        padded = store[: rows * pitch].reshape(rows, pitch)
        sums = np.empty(TILE_ROWS * 2 * LANES, np.float32)
        acc = np.empty(TILE_ROWS * 2 * LANES, np.int32)
        acc_range = ranges[block]
        extremes = new_extremes()
        for n in range(block * count // blocks, (block + 1) * count // blocks):
            _fill(padded, x[n], in_offset, pad)
            for first in range(0, outputs, 2 * LANES):
                channels = min(2 * LANES, outputs - first)
                lanes = LANES if channels <= LANES else 2 * LANES
                size = TILE_ROWS * lanes
                for oy in range(out_h):
                    for ox in range(0, out_w, TILE_ROWS):
                        corner = oy * line + ox * pixel
                        acc[:size] = 0
                        for p in range(parts.shape[0]):
                            sums[:size] = 0
                            _add_part(
                                store, corner, pixel, weight, first * depth, parts[p],
                                lanes, sums,
                            )  # fmt: skip
                            for k in range(size):
                                acc[k] += np.int32(sums[k])
                        requantize_tile(
                            acc, lanes, min(TILE_ROWS, out_w - ox), first, channels,
                            bias, multiplier, shift, rounding, right, out_offset, low,
                            high, flat, ((n * out_h + oy) * out_w + ox) * outputs,
                            acc_range, extremes,
                        )  # fmt: skip
        fold_extremes(extremes, acc_range)


@njit(cache=True, parallel=True)
def _forward_dots(
    x, weight, bias, multiplier, shift, rounding, right, padding, out_offset, low, high,
    pad, layout, parts, quads, y, ranges,
):  # fmt: skip
    """`_forward_int` in dot products of uint8 x + 128 and int8 weights; `padding` is
    the zero point plus 128, `quads` the dot products of a run."""
    count, out_h, out_w, outputs = y.shape
    rows, pitch, pixel, line = layout
    depth = weight.shape[0] // (-(-outputs // LANES) * LANES)
    flat = y.reshape(-1)
    blocks = ranges.shape[0]
    for block in prange(blocks):
        # The last run is read in whole quads, which may reach past the image.
        store = np.full(rows * pitch + QUAD, padding, np.uint8)
        padded = store[: rows * pitch].reshape(rows, pitch)
        acc = np.empty(TILE_ROWS * 2 * LANES, np.int32)
        acc_range = ranges[block]
        extremes = new_extremes()
        for n in range(block * count // blocks, (block + 1) * count // blocks):
            _fill(padded, x[n], np.uint8(128), pad)
            for first in range(0, outputs, 2 * LANES):
                channels = min(2 * LANES, outputs - first)
                lanes = LANES if channels <= LANES else 2 * LANES
                size = TILE_ROWS * lanes
                for oy in range(out_h):
                    for ox in range(0, out_w, TILE_ROWS):
                        corner = oy * line + ox * pixel
                        acc[:size] = 0
                        for p in range(parts.shape[0]):
                            run = parts[p, 4] // parts[p, 3]
                            a = address(store, corner + parts[p, 0])
                            b = address(weight, first * depth + run * quads * 4 * lanes)
                            c = address(acc, 0)
                            segments, distance = parts[p, 1], parts[p, 2]
                            if lanes == LANES:
                                tile_8x1(a, pixel, segments, distance, quads, b, c)
                            else:
                                tile_8x2(a, pixel, segments, distance, quads, b, c)
                        requantize_tile(
                            acc, lanes, min(TILE_ROWS, out_w - ox), first, channels,
                            bias, multiplier, shift, rounding, right, out_offset, low,
                            high, flat, ((n * out_h + oy) * out_w + ox) * outputs,
                            acc_range, extremes,
                        )  # fmt: skip
        fold_extremes(extremes, acc_range)


@njit(cache=True, parallel=True)
def _forward_float(x, weight, bias, relu, pad, layout, parts, y, blocks):
    count, out_h, out_w, outputs = y.shape
    rows, pitch, pixel, line = layout
    depth = weight.shape[0] // (-(-outputs // LANES) * LANES)
    for block in prange(blocks):
        store = np.zeros(rows * pitch + LANES, x.dtype)
        padded = store[: rows * pitch].reshape(rows, pitch)
        sums = np.empty(TILE_ROWS * 2 * LANES, x.dtype)
        for n in range(block * count // blocks, (block + 1) * count // blocks):
            _fill(padded, x[n], x.dtype.type(0), pad)
            for first in range(0, outputs, 2 * LANES):
                channels = min(2 * LANES, outputs - first)
                lanes = LANES if channels <= LANES else 2 * LANES
                for oy in range(out_h):
                    for ox in range(0, out_w, TILE_ROWS):
                        corner = oy * line + ox * pixel
                        sums[:] = 0
                        for p in range(parts.shape[0]):
                            _add_part(
                                store, corner, pixel, weight, first * depth, parts[p],
                                lanes, sums,
                            )  # fmt: skip
                        for r in range(min(TILE_ROWS, out_w - ox)):
                            out = y[n, oy, ox + r]
                            for k in range(channels):
                                value = sums[r * lanes + k] + bias[first + k]
                                if relu and not value > 0:
                                    value = x.dtype.type(0) * value
                                out[first + k] = value


@njit(cache=True, inline="always")
def _add_rows(out, out_at, rows, offsets, shift, weights, count, length):
    """``out[out_at:][:length] += sum of weights[n] * rows[offsets[n] + shift:]``."""
    done = 0
    while length - done >= 8 * LANES:
        add_rows_8(
            address(out, out_at + done), address(rows, shift + done),
            address(offsets, 0), address(weights, 0), count,
        )  # fmt: skip
        done += 8 * LANES
    if length - done >= 4 * LANES:
        add_rows_4(
            address(out, out_at + done), address(rows, shift + done),
            address(offsets, 0), address(weights, 0), count,
        )  # fmt: skip
        done += 4 * LANES
    if length - done >= 2 * LANES:
        add_rows_2(
            address(out, out_at + done), address(rows, shift + done),
            address(offsets, 0), address(weights, 0), count,
        )  # fmt: skip
        done += 2 * LANES
    if length - done >= LANES:
        add_rows_1(
            address(out, out_at + done), address(rows, shift + done),
            address(offsets, 0), address(weights, 0), count,
        )  # fmt: skip


@njit(cache=True, parallel=True)
def _backward(x, y, gy, weight, low, high, pad, layout, runs, gweight, gbias, gx):
    """Only the gradients that are not zero and not clamped are multiplied.

    Weight gradients run over the pixels of one output channel, input gradients over the
    channels of one pixel; both add weighted rows to a row.
    """
    count, out_h, out_w, outputs = gy.shape
    rows, pitch, pixel, line = layout
    length = weight.shape[2]
    flat_weight = weight.reshape(-1)
    blocks = gweight.shape[0]
    pixels = out_h * out_w
    needs_gx = gx.shape[0] > 0
    for block in prange(blocks):
        store = np.zeros(rows * pitch + LANES, gy.dtype)
        padded = store[: rows * pitch].reshape(rows, pitch)
        gstore = np.empty(rows * pitch + LANES if needs_gx else 0, gy.dtype)
        # Per channel, the window corners whose gradient counts, and the gradients.
        corners = np.empty((outputs, pixels), np.int64)
        values = np.empty((outputs, pixels), gy.dtype)
        counts = np.empty(outputs, np.int64)
        # The same of one pixel: rows of the packed weights.
        channel_rows = np.empty(outputs, np.int64)
        channel_values = np.empty(outputs, gy.dtype)
        gw = gweight[block].reshape(-1)
        gw[:] = 0
        gb = gbias[block]
        gb[:] = 0
        for n in range(block * count // blocks, (block + 1) * count // blocks):
            _fill(padded, x[n], gy.dtype.type(0), pad)
            counts[:] = 0
            if needs_gx:
                gstore[:] = 0
            for oy in range(out_h):
                for ox in range(out_w):
                    corner = oy * line + ox * pixel
                    kept = 0
                    gradient = gy[n, oy, ox]
                    value = y[n, oy, ox]
                    for o in range(outputs):
                        g = gradient[o]
                        if g != 0 and low < value[o] < high:
                            corners[o, counts[o]] = corner
                            values[o, counts[o]] = g
                            counts[o] += 1
                            gb[o] += g
                            channel_rows[kept] = o * runs.shape[0] * length
                            channel_values[kept] = g
                            kept += 1
                    if needs_gx and kept:
                        for r in range(runs.shape[0]):
                            _add_rows(
                                gstore, corner + runs[r, 0], flat_weight, channel_rows,
                                r * length, channel_values, kept, length,
                            )  # fmt: skip
            for o in range(outputs):
                for r in range(runs.shape[0]):
                    _add_rows(
                        gw, (o * runs.shape[0] + r) * length, store, corners[o],
                        runs[r, 0], values[o], counts[o], length,
                    )  # fmt: skip
            if needs_gx:
                _crop(gx[n], gstore, pitch, pad)


@njit(cache=True, inline="always")
def _crop(image, store, pitch, pad):
    """The inverse of `_fill`: cells no window reaches get zero."""
    height, width, channels = image.shape
    top, left = pad
    for iy in range(height):
        target = image[iy].reshape(-1)
        for k in range(width * channels):
            at = left * channels + k
            inside = at < pitch and (iy + top + 1) * pitch <= store.shape[0]
            target[k] = store[(iy + top) * pitch + at] if inside else 0
