"""Gradients of convolution, also where most of those that come in count.

Behind a ReLU or a max pool most are zero, and `conv_loops.backward` picks out the
others. Behind batch normalization none is. Then both gradients are plain products of
matrices, made by the register kernels that go forward:

- of the input: a convolution of the padded gradient with the kernels turned around;
- of the weights: for each cell of the kernel, 8 input channels by 16 or 32 outputs,
  summed over the pixels. Input channels are kept apart, each a padded image of its own,
  so that neighbouring pixels of a channel lie side by side.

Sums are formed in the same order both ways. Only for windows one cell apart, which is
where a convolution spends its time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit

from kanji_np.ops import buffers, conv_loops
from kanji_np.ops.conv_loops import FLOAT, multiply, pack, plan_of
from kanji_np.ops.simd import (
    LANES,
    TILE_ROWS,
    address,
    move,
    passed,
    tile_8x1,
    tile_8x2,
)
from kanji_np.ops.window import Geometry
from kanji_np.threads import run, shares
from kanji_np.types import LinearParams, Saved

#: The part of the gradients that must count for plain products to be the faster way.
MOST = {"float32": 0.5, "bfloat16": 0.8}
LOOKS = 4  # images that are looked at


def backward(
    params: LinearParams, saved: Saved, g: Geometry, gy: np.ndarray, needs_gx: bool
) -> tuple[np.ndarray | None, LinearParams]:
    """Gradients with respect to the real input, weight and bias."""
    shape = saved.x.shape
    g, x, y = conv_loops.in_one_row(g, saved.x, saved.y)
    saved, gy = replace(saved, x=x, y=y), np.ascontiguousarray(gy).reshape(y.shape)
    turned = g.turned(*x.shape[1:3])
    if turned and x.shape[3] >= TILE_ROWS and _most_count(saved, gy):
        gx, gparams = _all(params, saved, g, turned, gy, needs_gx)
    else:
        gx, gparams = conv_loops.backward(params, saved, g, gy, needs_gx)
    return (gx.reshape(shape) if needs_gx else None), gparams


def _all(
    params: LinearParams,
    saved: Saved,
    g: Geometry,
    turned: Geometry,
    gy: np.ndarray,
    needs_gx: bool,
) -> tuple[np.ndarray, LinearParams]:
    """The same by plain products; nothing is rounded to bfloat16."""
    weight = params.weight
    outputs, *_, channels = weight.shape
    groups = -(-channels // TILE_ROWS)
    columns = g.out_w + (g.kernel_w - 1) * g.dilation_w
    rows = g.out_h + (g.kernel_h - 1) * g.dilation_h
    cells = np.add.outer(
        np.arange(g.kernel_h) * g.dilation_h * columns,
        np.arange(g.kernel_w) * g.dilation_w,
    ).ravel()
    lanes = -(-outputs // LANES) * LANES
    # By blocks of outputs: kernel cells, groups of 8 channels, channels, 16 or 32 lanes
    sums = buffers.empty(
        (shares(len(gy)), lanes * len(cells) * groups * TILE_ROWS), gy.dtype
    )
    gbias = np.empty((shares(len(gy)), outputs), gy.dtype)
    gx = buffers.empty(saved.x.shape if needs_gx else (0, 0, 0, 0), gy.dtype)
    plan = plan_of(turned, outputs)
    corner = turned.pad_top * plan.line + turned.pad_left * plan.pixel
    kernels = np.ascontiguousarray(weight.transpose(3, 1, 2, 0)[:, ::-1, ::-1])
    run(
        _backward, len(gy), FLOAT, np.ascontiguousarray(saved.x), saved.y, gy,
        saved.low, saved.high, gy.dtype.type(saved.x_offset), (rows, columns), g.pad,
        cells, pack(kernels, plan, gy.dtype), corner, plan.layout, plan.parts, sums,
        gbias, gx,
    )  # fmt: skip
    gweight = _unpacked(sums.sum(axis=0), weight.shape)
    gweight *= gy.dtype.type(saved.x_scale)
    return gx, LinearParams(gweight, gbias.sum(axis=0))


def _most_count(saved: Saved, gy: np.ndarray) -> bool:
    """Whether most gradients count, by the look of a few images."""
    step = -(-len(gy) // LOOKS)
    part = _part_that_counts(gy, saved.y, step, saved.low, saved.high)
    return part >= MOST[saved.gradients]


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
def _fill_planes(planes, image, offset, pad):
    """(H,W,C) into the middle of padded (C, rows, columns); the rest stays."""
    height, width, channels = image.shape
    _, rows, columns = planes.shape
    top, left = pad
    real = type(offset)
    for iy in range(min(height, rows - top)):
        for c in range(channels):
            target = planes[c, iy + top]
            for ix in range(min(width, columns - left)):
                target[left + ix] = real(image[iy, ix, c]) + offset


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
    begin, end, edges, way, x, y, gy, low, high, offset, plane, pad, cells, kernels,
    corner, layout, parts, gweight, gbias, gx,
):  # fmt: skip
    _, out_h, out_w, outputs = gy.shape
    _, height, width, channels = x.shape
    needs_gx = gx.shape[0] > 0
    flat_y, flat_gy = y.reshape(-1), gy.reshape(-1)
    groups = -(-channels // TILE_ROWS)
    planes = np.zeros((groups * TILE_ROWS, *plane), gy.dtype)
    size = plane[0] * plane[1]
    pixels = out_h * out_w
    # A row of windows after the other, unless they lie side by side as a whole.
    segments, columns = (1, pixels) if plane[1] == out_w else (out_h, out_w)
    blocks = np.zeros(-(-outputs // LANES) * LANES * pixels, gy.dtype)
    rows, pitch, pixel, line = layout
    padded = np.zeros(rows * pitch + LANES, gy.dtype)
    depth = kernels.shape[0] // (-(-channels // LANES) * LANES)
    sums = np.empty(TILE_ROWS * 2 * LANES, gy.dtype)
    for share in range(begin, end):
        gweight[share] = 0
        gbias[share] = 0
    share = begin
    for n in range(edges[begin], edges[end]):
        while n >= edges[share + 1]:
            share += 1
        gw, gb = gweight[share], gbias[share]
        _fill_planes(planes, x[n], offset, pad)
        place = 0
        for first in range(0, outputs, 2 * LANES):
            count = min(2 * LANES, outputs - first)
            lanes = LANES if count <= LANES else 2 * LANES
            block = blocks[first * pixels :]
            for oy in range(out_h):
                for ox in range(out_w):
                    p = oy * out_w + ox
                    pass_row(
                        flat_gy, flat_y, (n * pixels + p) * outputs + first, count,
                        low, high, gb[first:], block, p * lanes, padded,
                        corner + oy * line + ox * pixel + first,
                    )  # fmt: skip
            for cell in cells:
                for group in range(groups):
                    a = address(planes, group * TILE_ROWS * size + cell)
                    b, c = address(block, 0), address(gw, place)
                    if lanes == LANES:
                        tile_8x1(way, a, size, segments, plane[1], columns, b, c)
                    else:
                        tile_8x2(way, a, size, segments, plane[1], columns, b, c)
                    place += TILE_ROWS * lanes
        if not needs_gx:
            continue
        image = gx[n].reshape(-1)
        for first in range(0, channels, 2 * LANES):
            count = min(2 * LANES, channels - first)
            lanes = LANES if count <= LANES else 2 * LANES
            for iy in range(height):
                for ix in range(0, width, TILE_ROWS):
                    multiply(
                        way, padded, iy * line + ix * pixel, pixel, kernels,
                        first * depth, parts, lanes, sums,
                    )  # fmt: skip
                    for row in range(min(TILE_ROWS, width - ix)):
                        at = (iy * width + ix + row) * channels + first
                        _copy(image, at, sums, row * lanes, count)
