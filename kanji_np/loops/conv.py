"""The fast loops of convolution: windows read in place, nothing gathered.

Each image is copied once into a padded buffer. A window then is a handful of contiguous
runs: one of KW * Cin numbers a kernel row (one of Cin a kernel cell where the kernel is
dilated), at fixed distances from the window's corner. `_Plan` lists them; the register
kernels of `simd` walk them. One thread works on a share of the images from padding to
requantized bytes.

Integers are multiplied in the fastest way the CPU has (`products`). Sums longer than it
adds exactly are cut into parts that are added up in int32. The bytes are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kanji_np.jit import njit
from kanji_np.loops import buffers
from kanji_np.loops.products import PRODUCTS, products
from kanji_np.loops.requantize import (
    Bounds,
    add_bias,
    empty_ranges,
    fold_extremes,
    new_extremes,
    requantization,
    requantize_rows,
    widen,
)
from kanji_np.loops.simd import (
    LANES,
    MOST_PIECES,
    TILE_ROWS,
    add_1,
    add_2,
    add_3,
    add_4,
    add_5,
    add_6,
    add_7,
    add_8,
    address,
    aligned,
    kept,
    lowest_bit,
    row_1,
    row_2,
    row_3,
    row_4,
    row_5,
    row_6,
    row_7,
    row_8,
    tile_8x1,
    tile_8x2,
)
from kanji_np.loops.threads import run, shares
from kanji_np.types import LinearInts, LinearParams, Saved
from kanji_np.window import Geometry, Pair

FLOAT = PRODUCTS["float32"].way
UNLIMITED = 1 << 30


@dataclass(frozen=True)
class _Plan:
    """Where things lie in the padded image of one convolution.

    A column is one number of a window, or the few that an instruction adds up.

    Parameters
    ----------
    rows, pitch : int
        Padded image: rows, and numbers a row; the windows that round OW up to a
        multiple of the tile still lie inside.
    pixel, line : int
        Distance of neighbouring windows along x and along y.
    parts : int64 (P, 5)
        Calls of the tile kernel that make up one window, each one exact: start in the
        window, segments, distance of segments, columns a segment, first number of K.
    runs : int64 (R,)
        Where the contiguous runs of the window start.
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

    @property
    def layout(self) -> tuple[int, int, int, int]:
        return self.rows, self.pitch, self.pixel, self.line

    @property
    def pieces(self) -> np.ndarray:
        """Starts of the runs' pieces of a vector each in the window, int64 (P,)."""
        return np.add.outer(self.runs, np.arange(0, self.run, LANES)).ravel()


def plan_of(
    g: Geometry,
    channels: int,
    depth: int = 1,
    longest: int = UNLIMITED,
    skipped: Pair = (0, 0),
) -> _Plan:
    """`depth` numbers are a column; no part has more than `longest` numbers.

    So many of the kernel's first rows and columns can be left out.
    """
    columns = -(-g.out_w // TILE_ROWS) * TILE_ROWS
    width = (columns - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w + 1
    rows = (g.out_h - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h + 1
    pitch = width * channels
    top, left = skipped
    starts = [j * g.dilation_w * channels for j in range(left, g.kernel_w)]
    run = channels
    if g.dilation_w == 1:
        run, starts = len(starts) * channels, starts[:1]
    heights = range(top, g.kernel_h)
    runs = [i * g.dilation_h * pitch + at for i in heights for at in starts]
    # Cells of a dilated kernel are evenly spaced along a row, other runs down the rows.
    evenly = len(starts) if len(starts) > 1 else len(heights)
    parts = _parts(runs, -(-run // depth), depth, evenly, longest // depth)
    return _Plan(
        rows, pitch, g.stride_w * channels, g.stride_h * pitch,
        np.array(parts, np.int64), np.array(runs, np.int64), run,
    )  # fmt: skip


def _parts(
    runs: list[int], columns: int, depth: int, evenly: int, longest: int
) -> list[tuple[int, int, int, int, int]]:
    """Runs of so many columns, `evenly` at a time evenly spaced, as parts of `_Plan`.

    No part has more than `longest` columns.
    """
    together = min(longest // columns, evenly)
    size = columns * depth
    if together == 0:  # one run is too long already
        cuts = [(k, min(longest, columns - k)) for k in range(0, columns, longest)]
        return [
            (start + k * depth, 1, 0, count, i * size + k * depth)
            for i, start in enumerate(runs)
            for k, count in cuts
        ]
    distance = runs[1] - runs[0] if evenly > 1 else 0
    parts = []
    for first in range(0, len(runs), evenly):
        for i in range(first, first + evenly, together):
            count = min(together, first + evenly - i)
            parts.append((runs[i], count, distance, columns, i * size))
    return parts


def pack(
    weight: np.ndarray, plan: _Plan, dtype: np.dtype, depth: int = 1
) -> np.ndarray:
    """(Cout,KH,KW,Cin) -> flat (Cout/32 blocks, columns, 32, depth).

    The last block has only 16 lanes if that is enough. Zeros that fill up runs to whole
    columns undo what is read beyond them; lanes without a channel repeat the last one,
    so that their sums are nothing new.
    """
    rows = _as_rows(weight, plan, depth).astype(dtype).reshape(len(weight), -1)
    columns = rows.view(f"u{depth * rows.itemsize}")  # (Cout,K*depth) -> (Cout,K)
    blocks = []
    for first in range(0, len(weight), 2 * LANES):
        part = columns[first : first + 2 * LANES]
        lanes = LANES if len(part) <= LANES else 2 * LANES
        if len(part) < lanes:
            part = part[np.minimum(np.arange(lanes), len(part) - 1)]
        blocks.append(part.T.ravel())
    return np.concatenate(blocks).view(dtype)


def in_one_row(
    g: Geometry, x: np.ndarray, y: np.ndarray
) -> tuple[Geometry, np.ndarray, np.ndarray]:
    """Where every cell is a window, rows are one long row: (N,H,W,C) -> (N,1,H*W,C).

    Tiles of several windows then fill up at its end only. A stride along an axis of one
    cell is never taken; one along a longer axis leaves cells out, even where as many
    windows as cells lie in the padding after them.
    """
    sizes = x.shape[1:3]
    takes_steps = any(s > 1 < size for s, size in zip(g.stride, sizes, strict=True))
    if g.kernel != (1, 1) or g.pad != (0, 0) or g.out != sizes or takes_steps:
        return g, x, y
    g = replace(g, out_h=1, out_w=g.out_h * g.out_w, stride_h=1, stride_w=1)
    x, y = (a.reshape(len(a), 1, g.out_w, a.shape[3]) for a in (x, y))
    return g, x, y


def forward_int(
    x: np.ndarray, ints: LinearInts, g: Geometry, y_range: np.ndarray | None
) -> np.ndarray:
    """int8 (N,H,W,Cin) -> int8 (N,OH,OW,Cout); `y_range` as `ops.op.Op` has it."""
    y = buffers.empty((len(x), *g.out, len(ints.weight)), np.int8)
    g, x, rows = in_one_row(g, x, y)
    p = products()
    plan = plan_of(g, x.shape[3], p.way.depth, p.longest)
    ranges = empty_ranges(shares(len(x)))
    # Activations are stored with an offset of `p`, and the padding is the zero point;
    # what that adds to a sum is the same for every window of a channel.
    added = p.offset - ints.input_offset
    weights = ints.weight.reshape(len(ints.weight), -1).sum(axis=1, dtype=np.int64)
    bias = (ints.bias - added * weights).astype(np.uint32).view(np.int32)
    run(
        _forward_int, len(x), p.way, np.ascontiguousarray(x),
        pack(ints.weight, plan, p.weight, p.way.depth), p.x.type(p.offset),
        p.x.type(added), requantization(ints, bias), g.pad, plan.layout, plan.parts,
        rows, ranges,
    )  # fmt: skip
    if y_range is not None:
        widen(y_range, ranges)
    return y


def forward_float(
    x: np.ndarray, params: LinearParams, g: Geometry, bounds: Bounds
) -> np.ndarray:
    """Floating (N,H,W,Cin) -> same dtype (N,OH,OW,Cout), kept between two bounds."""
    y = buffers.empty((len(x), *g.out, len(params.weight)), x.dtype)
    g, x, rows = in_one_row(g, x, y)
    plan = plan_of(g, x.shape[3])
    run(
        _forward_float, len(x), FLOAT, np.ascontiguousarray(x),
        pack(params.weight, plan, x.dtype), params.bias.astype(x.dtype),
        x.dtype.type(bounds[0]), x.dtype.type(bounds[1]), g.pad, plan.layout,
        plan.parts, rows,
    )  # fmt: skip
    return y


def backward(
    params: LinearParams, saved: Saved, g: Geometry, gy: np.ndarray, needs_gx: bool
) -> tuple[np.ndarray | None, LinearParams]:
    """Gradients with respect to the real input, weight and bias.

    For gradients that are mostly zero; see `conv_gradients`.
    """
    weight = params.weight
    (x,), (scale,), (offset,) = saved.x, saved.x_scale, saved.x_offset
    plan = plan_of(g, x.shape[3])
    pieces = plan.pieces
    rows = _as_rows(weight, plan, LANES).astype(gy.dtype)
    grows = buffers.empty((shares(len(gy)), len(weight), len(pieces) * LANES), gy.dtype)
    gbias = np.empty((shares(len(gy)), len(weight)), gy.dtype)
    gx = buffers.empty(x.shape if needs_gx else (0, 0, 0, 0), gy.dtype)
    run(
        _backward, len(gy), np.ascontiguousarray(x), saved.y,
        np.ascontiguousarray(gy), rows.ravel(), saved.low, saved.high,
        gy.dtype.type(offset), g.pad, plan.layout, pieces,
        len(pieces) <= MOST_PIECES, grows.reshape(len(grows), -1), gbias, gx,
    )  # fmt: skip
    gweight = grows.sum(axis=0)
    gweight = gweight.reshape(len(weight), len(plan.runs), -1)[:, :, : plan.run]
    gweight = gweight.reshape(weight.shape) * gy.dtype.type(scale)
    return (gx if needs_gx else None), LinearParams(gweight, gbias.sum(axis=0))


def _as_rows(weight: np.ndarray, plan: _Plan, width: int) -> np.ndarray:
    """(Cout,KH,KW,Cin) -> (Cout, runs, run and zeros up to a multiple of `width`)."""
    runs = weight.reshape(len(weight), len(plan.runs), plan.run)
    if plan.run % width == 0:
        return runs
    rows = np.zeros((*runs.shape[:2], -(-plan.run // width) * width), weight.dtype)
    rows[:, :, : plan.run] = runs
    return rows


@njit(cache=True)
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


@njit(cache=True, forceinline=True)
def multiply(way, store, corner, pixel, weight, weight_at, parts, lanes, sums):
    """8 neighbouring windows by `lanes` channels, into 8 rows of `sums`."""
    for k in range(TILE_ROWS * lanes):
        sums[k] = 0
    for p in range(parts.shape[0]):
        start, segments, distance = parts[p, 0], parts[p, 1], parts[p, 2]
        columns, at = parts[p, 3], parts[p, 4]
        a = address(store, corner + start)
        b = address(weight, weight_at + at * lanes)
        c = address(sums, 0)
        if lanes == LANES:
            tile_8x1(way, a, pixel, segments, distance, columns, b, c)
        else:
            tile_8x2(way, a, pixel, segments, distance, columns, b, c)


@njit(cache=True, nogil=True)
def _forward_int(
    begin, end, edges, way, x, weight, offset, padding, r, pad, layout, parts, y,
    ranges,
):  # fmt: skip
    _, out_h, out_w, outputs = y.shape
    rows, pitch, pixel, line = layout
    depth = weight.shape[0] // (-(-outputs // LANES) * LANES)
    flat = y.reshape(-1)
    # The last run is read in whole columns, which may reach past the image.
    store = np.full(rows * pitch + LANES, padding)
    padded = store[: rows * pitch].reshape(rows, pitch)
    acc = np.empty(TILE_ROWS * 2 * LANES, np.int32)
    spare = np.empty(TILE_ROWS * 2 * LANES, np.int8)
    extremes = new_extremes()
    for n in range(edges[begin], edges[end]):
        _fill(padded, x[n], offset, pad)
        for first in range(0, outputs, 2 * LANES):
            channels = min(2 * LANES, outputs - first)
            lanes = LANES if channels <= LANES else 2 * LANES
            for oy in range(out_h):
                for ox in range(0, out_w, TILE_ROWS):
                    multiply(
                        way, store, oy * line + ox * pixel, pixel, weight,
                        first * depth, parts, lanes, acc,
                    )  # fmt: skip
                    requantize_rows(
                        acc, min(TILE_ROWS, out_w - ox), lanes, first, channels, r,
                        flat, ((n * out_h + oy) * out_w + ox) * outputs + first,
                        outputs, spare, extremes,
                    )  # fmt: skip
    fold_extremes(extremes, ranges[begin])


@njit(cache=True, nogil=True)
def _forward_float(
    begin, end, edges, way, x, weight, bias, low, high, pad, layout, parts, y
):
    _, out_h, out_w, outputs = y.shape
    rows, pitch, pixel, line = layout
    depth = weight.shape[0] // (-(-outputs // LANES) * LANES)
    store = np.zeros(rows * pitch + LANES, x.dtype)
    padded = store[: rows * pitch].reshape(rows, pitch)
    sums = np.empty(TILE_ROWS * 2 * LANES, x.dtype)
    for n in range(edges[begin], edges[end]):
        _fill(padded, x[n], x.dtype.type(0), pad)
        for first in range(0, outputs, 2 * LANES):
            channels = min(2 * LANES, outputs - first)
            lanes = LANES if channels <= LANES else 2 * LANES
            for oy in range(out_h):
                for ox in range(0, out_w, TILE_ROWS):
                    multiply(
                        way, store, oy * line + ox * pixel, pixel, weight,
                        first * depth, parts, lanes, sums,
                    )  # fmt: skip
                    for row in range(min(TILE_ROWS, out_w - ox)):
                        add_bias(
                            sums[row * lanes : row * lanes + channels],
                            bias[first : first + channels], low, high,
                            y[n, oy, ox + row, first : first + channels],
                        )  # fmt: skip


@njit(cache=True)
def _add_pieces(out, out_pieces, rows, row_pieces, pieces, offsets, weights, count):
    """`simd.add_8` over any number of pieces; all but numbers are addresses."""
    done = 0
    for groups in range(-(-pieces // MOST_PIECES), 0, -1):
        size = -(-(pieces - done) // groups)
        o, r = out_pieces, row_pieces
        if size == 8:
            add_8(out, o, rows, r, done, offsets, weights, count)
        elif size == 7:
            add_7(out, o, rows, r, done, offsets, weights, count)
        elif size == 6:
            add_6(out, o, rows, r, done, offsets, weights, count)
        elif size == 5:
            add_5(out, o, rows, r, done, offsets, weights, count)
        elif size == 4:
            add_4(out, o, rows, r, done, offsets, weights, count)
        elif size == 3:
            add_3(out, o, rows, r, done, offsets, weights, count)
        elif size == 2:
            add_2(out, o, rows, r, done, offsets, weights, count)
        else:
            add_1(out, o, rows, r, done, offsets, weights, count)
        done += size


@njit(cache=True, forceinline=True)
def _add_row(out, row, row_pieces, pieces, weights, bits):
    """`simd.row_8` of up to 8 pieces."""
    length = pieces * LANES
    if pieces == 8:
        row_8(out, length, row, row_pieces, weights, bits)
    elif pieces == 7:
        row_7(out, length, row, row_pieces, weights, bits)
    elif pieces == 6:
        row_6(out, length, row, row_pieces, weights, bits)
    elif pieces == 5:
        row_5(out, length, row, row_pieces, weights, bits)
    elif pieces == 4:
        row_4(out, length, row, row_pieces, weights, bits)
    elif pieces == 3:
        row_3(out, length, row, row_pieces, weights, bits)
    elif pieces == 2:
        row_2(out, length, row, row_pieces, weights, bits)
    else:
        row_1(out, length, row, row_pieces, weights, bits)


@njit(cache=True, nogil=True)
def _backward(
    begin, end, edges, x, y, gy, weight, low, high, offset, pad, layout, pieces,
    is_small, gweight, gbias, gx,
):  # fmt: skip
    """Only the gradients that are not zero and not clamped are multiplied.

    Input gradients are formed pixel by pixel, as a sum over the output channels. So are
    weight gradients of small windows, whose pieces fit into registers; those of others
    channel by channel, as a sum over the pixels noted on the way.
    """
    _, out_h, out_w, outputs = gy.shape
    rows, pitch, pixel, line = layout
    flat_y, flat_gy = y.reshape(-1), gy.reshape(-1)
    packed = np.arange(len(pieces)) * LANES  # the pieces where they are side by side
    length = len(pieces) * LANES
    needs_gx = gx.shape[0] > 0
    noted = 0 if is_small else out_h * out_w
    store = aligned(rows * pitch + LANES, gy.dtype)
    store[:] = 0
    padded = store[: rows * pitch].reshape(rows, pitch)
    gstore = aligned(rows * pitch + LANES if needs_gx else 0, gy.dtype)
    # Per channel, the window corners whose gradient counts, and the gradients.
    corners = np.empty((outputs, noted), np.int32)
    values = np.empty((outputs, noted), gy.dtype)
    counts = np.zeros(outputs, np.int64)
    # The same of one pixel: rows of the packed weights.
    channel_rows = np.empty(outputs, np.int32)
    channel_values = np.empty(outputs, gy.dtype)
    for share in range(begin, end):
        gweight[share] = 0
        gbias[share] = 0
    share = begin
    for n in range(edges[begin], edges[end]):
        while n >= edges[share + 1]:
            share += 1
        gw, gb = gweight[share], gbias[share]
        _fill(padded, x[n], offset, pad)
        counts[:] = 0
        if needs_gx:
            gstore[:] = 0
        for oy in range(out_h):
            for ox in range(out_w):
                corner = oy * line + ox * pixel
                at = ((n * out_h + oy) * out_w + ox) * outputs
                many = 0
                for first in range(0, outputs, LANES):
                    lanes = _kept(flat_gy, flat_y, at, first, low, high, gb)
                    if not lanes:
                        continue
                    if is_small:
                        _add_row(
                            address(gw, first * length), address(store, corner),
                            address(pieces, 0), len(pieces),
                            address(flat_gy, at + first), lanes,
                        )  # fmt: skip
                        if not needs_gx:
                            continue
                    while lanes:
                        o = first + lowest_bit(lanes)
                        lanes &= lanes - 1
                        if not is_small:
                            corners[o, counts[o]] = corner
                            values[o, counts[o]] = flat_gy[at + o]
                            counts[o] += 1
                        channel_rows[many] = o * length
                        channel_values[many] = flat_gy[at + o]
                        many += 1
                if needs_gx and many:
                    _add_pieces(
                        address(gstore, corner), address(pieces, 0),
                        address(weight, 0), address(packed, 0), len(pieces),
                        address(channel_rows, 0), address(channel_values, 0), many,
                    )  # fmt: skip
        for o in range(outputs):
            if counts[o]:
                _add_pieces(
                    address(gw, o * length), address(packed, 0), address(store, 0),
                    address(pieces, 0), len(pieces),
                    address(corners, o * noted), address(values, o * noted), counts[o],
                )  # fmt: skip
        if needs_gx:
            _crop(gx[n], gstore, pitch, pad)


@njit(cache=True, forceinline=True)
def _kept(gy, y, at, first, low, high, gbias):
    """`simd.kept` of 16 channels of a pixel from `first` on, or of those left."""
    left = gbias.shape[0] - first
    if left >= LANES:
        g, v, total = (
            address(gy, at + first),
            address(y, at + first),
            address(gbias, first),
        )
        return kept(g, v, low, high, total)
    lanes = 0
    for k in range(left):
        g, v = gy[at + first + k], y[at + first + k]
        if g != 0 and low < v < high:
            lanes |= 1 << k
            gbias[first + k] += g
    return lanes


@njit(cache=True)
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
