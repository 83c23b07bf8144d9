"""Gradients of convolution, also where most of those that come in count.

Behind a ReLU or a max pool most are zero, and `conv.backward` picks out the
others. Behind batch normalization none is. Then both gradients are plain products of
matrices, made by the register kernels that go forward:

- of the input: a convolution of the padded gradient with the kernels turned around;
- of the weights: for each cell of the kernel, 8 input channels by 16 or 32 outputs,
  summed over the pixels. Input channels are kept apart, each a padded image of its own,
  so that neighbouring pixels of a channel lie side by side.

Where windows are several cells apart, cells come in phases, by what is left of their
place modulo the stride. A phase meets every stride-th cell of the kernel and no other:
input gradients are a convolution for each phase, and channels are kept apart by phases.

Sums are formed in the same order both ways.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kanji_np.jit import njit
from kanji_np.loops import buffers, conv
from kanji_np.loops.conv import FLOAT, multiply, pack, plan_of
from kanji_np.loops.simd import (
    LANES,
    TILE_ROWS,
    address,
    move,
    passed,
    tile_8x1,
    tile_8x2,
)
from kanji_np.loops.threads import run, shares
from kanji_np.types import LinearParams, Saved
from kanji_np.window import Geometry

#: The part of the gradients that must count for plain products to be the faster way.
MOST = 0.5
LOOKS = 4  # images that are looked at


def backward(
    params: LinearParams, saved: Saved, g: Geometry, gy: np.ndarray, needs_gx: bool
) -> tuple[np.ndarray | None, LinearParams]:
    """Gradients with respect to the real input, weight and bias."""
    (x,) = saved.x
    shape = x.shape
    g, x, y = conv.in_one_row(g, x, saved.y)
    saved, gy = replace(saved, x=(x,), y=y), np.ascontiguousarray(gy).reshape(y.shape)
    turned = g.turned(*x.shape[1:3])
    if turned and x.shape[3] >= TILE_ROWS and _most_count(saved, gy):
        gx, gparams = _all(params, saved, g, turned, gy, needs_gx)
    else:
        gx, gparams = conv.backward(params, saved, g, gy, needs_gx)
    return (None if gx is None else gx.reshape(shape)), gparams


def _all(
    params: LinearParams,
    saved: Saved,
    g: Geometry,
    turned: Geometry,
    gy: np.ndarray,
    needs_gx: bool,
) -> tuple[np.ndarray | None, LinearParams]:
    """The same by plain products."""
    (x,), (scale,), (offset,) = saved.x, saved.x_scale, saved.x_offset
    outputs, *_, channels = params.weight.shape
    groups = -(-channels // TILE_ROWS)
    (places_h, phases_h, rows), (places_w, phases_w, columns) = (
        _places(*axis)
        for axis in zip(g.out, g.kernel, g.stride, g.dilation, strict=True)
    )
    size = rows * columns
    cells = np.add.outer(
        [phase * phases_w * size + row * columns for phase, row in places_h],
        [phase * size + column for phase, column in places_w],
    ).ravel()
    planes = (groups * TILE_ROWS, phases_h, phases_w, rows, columns)
    lanes = -(-outputs // LANES) * LANES
    # By blocks of outputs: kernel cells, groups of 8 channels, channels, 16 or 32 lanes
    sums = buffers.empty(
        (shares(len(gy)), lanes * len(cells) * groups * TILE_ROWS), gy.dtype
    )
    gbias = np.empty((shares(len(gy)), outputs), gy.dtype)
    gx = buffers.empty(x.shape if needs_gx else (0, 0, 0, 0), gy.dtype)
    plan = plan_of(turned, outputs)
    corner = turned.pad_top * plan.line + turned.pad_left * plan.pixel
    kernels, parts, phases = _phases(params.weight, g, turned, gy.dtype)
    run(
        _backward, len(gy), FLOAT, np.ascontiguousarray(x), saved.y, gy,
        saved.low, saved.high, gy.dtype.type(offset), planes, g.stride, g.pad,
        cells, kernels, parts, phases, corner, plan.layout, sums, gbias, gx,
    )  # fmt: skip
    gweight = _unpacked(sums.sum(axis=0), params.weight.shape)
    gweight *= gy.dtype.type(scale)
    return (gx if needs_gx else None), LinearParams(gweight, gbias.sum(axis=0))


def _places(
    out: int, kernel: int, stride: int, dilation: int
) -> tuple[list[tuple[int, int]], int, int]:
    """Along one axis: the phase of each kernel cell and where in the phase it lies,
    how many phases there are, and how many cells each has."""
    places = [divmod(k * dilation, stride)[::-1] for k in range(kernel)]
    phases, last = (max(place[i] for place in places) for i in (0, 1))
    return places, phases + 1, out + last


def _phases(
    weight: np.ndarray, g: Geometry, turned: Geometry, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The convolutions that give input gradients, one for each phase of the input.

    Returns
    -------
    Packed kernels of all, parts of all as in `_Plan`, and for each phase, int64 (P, 6):
    first part, end of parts, where its kernels start, length of a kernel, first input
    row, first input column. Phases that no kernel cell meets are left out.
    """
    outputs, kernel_h, kernel_w, _ = weight.shape
    kernels, parts, phases = [], [], []
    start, n_parts = 0, 0
    for i in range(min(g.stride_h, kernel_h)):
        for j in range(min(g.stride_w, kernel_w)):
            met = weight[:, i :: g.stride_h, j :: g.stride_w]
            skipped = turned.kernel_h - met.shape[1], turned.kernel_w - met.shape[2]
            plan = plan_of(turned, outputs, skipped=skipped)
            # (Cout,KH,KW,Cin) -> (Cin,KH,KW,Cout), turned around
            rows = np.ascontiguousarray(met.transpose(3, 1, 2, 0)[:, ::-1, ::-1])
            kernels.append(pack(rows, plan, dtype))
            parts.append(plan.parts)
            end = n_parts + len(plan.parts)
            first = (i - g.pad_top) % g.stride_h, (j - g.pad_left) % g.stride_w
            phases.append((n_parts, end, start, rows[0].size, *first))
            start, n_parts = start + len(kernels[-1]), end
    return np.concatenate(kernels), np.concatenate(parts), np.array(phases, np.int64)


def _most_count(saved: Saved, gy: np.ndarray) -> bool:
    """Whether most gradients count, by the look of a few images."""
    step = -(-len(gy) // LOOKS)
    part = _part_that_counts(gy, saved.y, step, saved.low, saved.high)
    return part >= MOST


@njit(cache=True, nogil=True)
def _part_that_counts(gy, y, step, low, high):
    """Of every `step`-th image."""
    count = 0
    images = range(0, gy.shape[0], step)
    for n in images:
        g, v = gy[n].reshape(-1), y[n].reshape(-1)
        for k in range(g.shape[0]):
            count += (g[k] != 0) & (low < v[k]) & (v[k] < high)
    return count / (len(images) * gy[0].size)


def _unpacked(sums: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sums of weight gradients, flat, as (Cout,KH,KW,Cin)."""
    outputs, kernel_h, kernel_w, channels = shape
    depth = kernel_h * kernel_w * -(-channels // TILE_ROWS) * TILE_ROWS
    gweight = np.empty(shape, sums.dtype)
    for first in range(0, outputs, 2 * LANES):
        count = min(2 * LANES, outputs - first)
        lanes = LANES if count <= LANES else 2 * LANES
        block = sums[first * depth : (first + lanes) * depth]
        # (KH*KW*Cin rounded up, lanes) -> (KH,KW,Cin,Cout) -> (Cout,KH,KW,Cin)
        block = block.reshape(kernel_h, kernel_w, -1, lanes)[:, :, :channels, :count]
        gweight[first : first + count] = block.transpose(3, 0, 1, 2)
    return gweight


@njit(cache=True)
def _fill_planes(planes, image, offset, stride, pad):
    """(H,W,C) into the middle of padded (C, phases, phases, rows, columns)."""
    height, width, channels = image.shape
    _, phases_h, phases_w, rows, columns = planes.shape
    (stride_h, stride_w), (top, left) = stride, pad
    real = type(offset)
    for iy in range(height):
        row, i = divmod(iy + top, stride_h)
        if i >= phases_h or row >= rows:
            continue
        for j in range(phases_w):
            begin = -(-max(left - j, 0) // stride_w)
            source = image[iy, begin * stride_w + j - left :: stride_w]
            count = min(columns - begin, source.shape[0])
            for c in range(channels):
                target = planes[c, i, j, row, begin:]
                for k in range(count):
                    target[k] = real(source[k, c]) + offset


@njit(cache=True, forceinline=True)
def pass_row(gy, y, at, count, low, high, gbias, one, to_one, other, to_other):
    """`simd.passed` of so many numbers; `gbias` has those of whole pixels in turn."""
    whole, channels = count // LANES * LANES, gbias.shape[0]
    for k in range(0, whole, LANES):
        passed(
            address(gy, at + k), address(y, at + k), low, high,
            address(gbias, k % channels), address(one, to_one + k),
            address(other, to_other + k),
        )  # fmt: skip
    for k in range(whole, count):
        inside = low < y[at + k] < high
        g = gy[at + k] if inside else gy.dtype.type(0)
        one[to_one + k] = other[to_other + k] = g
        gbias[k % channels] += g


@njit(cache=True, forceinline=True)
def _copy(target, to, source, start, count):
    """``target[to:]`` is ``source[start:]``, so many numbers."""
    whole = count // LANES * LANES
    for k in range(0, whole, LANES):
        move(address(source, start + k), address(target, to + k))
    for k in range(whole, count):
        target[to + k] = source[start + k]


@njit(cache=True, nogil=True)
def _backward(
    begin, end, edges, way, x, y, gy, low, high, offset, plane_shape, stride, pad,
    cells, kernels, parts, phases, corner, layout, gweight, gbias, gx,
):  # fmt: skip
    _, out_h, out_w, outputs = gy.shape
    _, height, width, channels = x.shape
    needs_gx = gx.shape[0] > 0
    flat_y, flat_gy = y.reshape(-1), gy.reshape(-1)
    groups = -(-channels // TILE_ROWS)
    planes = np.zeros(plane_shape, gy.dtype)
    size, pitch_x = planes[0].size, planes.shape[4]
    pixels = out_h * out_w
    # A row of windows after the other, unless they lie side by side as a whole.
    segments, columns = (1, pixels) if pitch_x == out_w else (out_h, out_w)
    blocks = np.zeros(-(-outputs // LANES) * LANES * pixels, gy.dtype)
    rows, pitch, pixel, line = layout
    # The last windows of a phase may start a pixel later than those of the first.
    padded = np.zeros(rows * pitch + pixel + LANES, gy.dtype)
    sums = np.empty(TILE_ROWS * 2 * LANES, gy.dtype)
    for share in range(begin, end):
        gweight[share] = 0
        gbias[share] = 0
    share = begin
    for n in range(edges[begin], edges[end]):
        while n >= edges[share + 1]:
            share += 1
        gw, gb = gweight[share], gbias[share]
        _fill_planes(planes, x[n], offset, stride, pad)
        place = 0
        for first in range(0, outputs, 2 * LANES):
            count = min(2 * LANES, outputs - first)
            lanes = LANES if count <= LANES else 2 * LANES
            block, total = blocks[first * pixels :], gb[first:]
            for oy in range(out_h):
                for ox in range(out_w):
                    p = oy * out_w + ox
                    pass_row(
                        flat_gy, flat_y, (n * pixels + p) * outputs + first, count,
                        low, high, total, block, p * lanes, padded,
                        corner + oy * line + ox * pixel + first,
                    )  # fmt: skip
            for cell in cells:
                for group in range(groups):
                    a = address(planes, group * TILE_ROWS * size + cell)
                    b, c = address(block, 0), address(gw, place)
                    if lanes == LANES:
                        tile_8x1(way, a, size, segments, pitch_x, columns, b, c)
                    else:
                        tile_8x2(way, a, size, segments, pitch_x, columns, b, c)
                    place += TILE_ROWS * lanes
        if not needs_gx:
            continue
        if phases.shape[0] < stride[0] * stride[1]:
            gx[n] = 0
        for phase in phases:
            _convolve(
                gx[n], way, padded, kernels, parts, phase, stride, pad, layout, sums
            )


@njit(cache=True)
def _convolve(image, way, padded, kernels, parts, phase, stride, pad, layout, sums):
    """The input gradients of one phase, see `_phases`."""
    height, width, channels = image.shape
    (stride_h, stride_w), (_, _, pixel, line) = stride, layout
    begin, end, start, depth, top, left = phase
    # Windows are counted from the first cell's on.
    above, before = pad[0] // stride_h, (left + pad[1]) // stride_w - pad[1] // stride_w
    flat, own = image.reshape(-1), parts[begin:end]
    count = -(-(width - left) // stride_w)
    for first in range(0, channels, 2 * LANES):
        some = min(2 * LANES, channels - first)
        lanes = LANES if some <= LANES else 2 * LANES
        for iy in range(top, height, stride_h):
            corner = ((iy + pad[0]) // stride_h - above) * line + before * pixel
            for k in range(0, count, TILE_ROWS):
                multiply(
                    way, padded, corner + k * pixel, pixel, kernels,
                    start + first * depth, own, lanes, sums,
                )  # fmt: skip
                for row in range(min(TILE_ROWS, count - k)):
                    ix = left + (k + row) * stride_w
                    at = (iy * width + ix) * channels + first
                    _copy(flat, at, sums, row * lanes, some)
