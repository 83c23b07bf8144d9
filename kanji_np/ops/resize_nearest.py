"""Nearest-neighbour resizing: every output is the input at a rounded place.

    Y[n,y,x,c] = X[n, row(y), column(x), c]

    index(i) = min(floor((i + offset) * scale), size - 1),   scale = size / output size

in float32. With `half_pixel_centers` the offset is 1/2, else 0. With `align_corners`
the index is rounded to the nearest, halves up, and the scale is (size - 1) / (output
size - 1) where the output has more than one cell. X (N,H,W,C), Y (N,OH,OW,C); input and
output share one scale; no accumulator.

LiteRT's optimized kernel, which the profile "xnnpack" stands for, computes in integers
where neither is set: index(i) = floor(i * size / output size).

The indices are computed when the network is exported, and lie in flash as two tables.

Source: TFLite `RESIZE_NEAREST_NEIGHBOR` int8. On the device: ccore
`kanji_resize_nearest_s8`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.ops.attributes import Attributes, attribute, cell_pair, flag
from kanji_np.ops.op import Op
from kanji_np.targets import kanji_nn
from kanji_np.types import (
    Arrays,
    Constant,
    ConstPtr,
    Cost,
    Gradients,
    InputPtr,
    KernelCall,
    Numerics,
    OutputPtr,
    QParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)
from kanji_np.window import Pair, check_image


@dataclass(frozen=True)
class ResizeNearestAttrs(Attributes):
    """Resizes an image by its nearest pixels; see `ops.resize_nearest`.

    (H,W,C) -> (height, width, C).

    Parameters
    ----------
    size : (height, width), or one int for both
        Of the output.
    align_corners : bool
        The outer pixels of input and output lie on each other.
    half_pixel_centers : bool
        A pixel's place is that of its centre.
    """

    size: Pair = attribute(cell_pair)
    align_corners: bool = attribute(flag, False)
    half_pixel_centers: bool = attribute(flag, False)

    def indices(
        self, shape: Shape, ints: ResizeNearestInts | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of each output the row and the column of the input, int16 (OH,), (OW,).

        `ints` None: as by default.
        """
        check_image(shape)
        exact = ints is not None and ints.exact
        rows, columns = (
            _indices(size, out, self.align_corners, self.half_pixel_centers, exact)
            for size, out in zip(shape, self.size, strict=False)
        )
        return rows, columns


@dataclass(frozen=True)
class ResizeNearestInts:
    """Whether indices are computed in integers where they can be, not in float32."""

    exact: bool = False


def ints_of(
    attrs: ResizeNearestAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> ResizeNearestInts:
    return ResizeNearestInts(numerics.kernels == "xnnpack")


def _indices(
    size: int, out: int, align_corners: bool, half_pixel_centers: bool, exact: bool
) -> np.ndarray:
    """Along one axis, in TFLite's float32 arithmetic; they never decrease."""
    if exact and not (align_corners or half_pixel_centers):
        return (np.arange(out) * size // out).astype(np.int16)
    f = np.float32
    corners = align_corners and out > 1
    scale = f(size - 1) / f(out - 1) if corners else f(size) / f(out)
    places = (np.arange(out, dtype=f) + f(0.5 if half_pixel_centers else 0)) * scale
    rounded = np.floor(places.astype(np.float64) + (0.5 if align_corners else 0.0))
    return np.minimum(rounded, size - 1).astype(np.int16)


def infer(attrs: ResizeNearestAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if len(shape) != 3:
        raise ShapeError(f"resize_nearest: expected an input (H, W, C), got {shape}")
    check_image(shape)
    return *attrs.size, shape[2]


def forward_int(
    attrs: ResizeNearestAttrs, ints: ResizeNearestInts | None, xs: Arrays
) -> np.ndarray:
    """Any dtype (N,H,W,C) -> same dtype (N,OH,OW,C)."""
    (x,) = xs
    rows, columns = attrs.indices(x.shape[1:], ints)
    return x.take(rows, axis=1).take(columns, axis=2)


def vjp(
    attrs: ResizeNearestAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX is the sum of gY over the outputs that are this input."""
    (x,) = saved.x
    rows, columns = attrs.indices(x.shape[1:])
    return (_gathered(_gathered(gy, 1, rows, x), 2, columns, x),), None


def _gathered(
    g: np.ndarray, axis: int, indices: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Sums of the gradients along an axis that have one index."""
    firsts = np.flatnonzero(np.diff(indices, prepend=-1))
    shape = (*g.shape[:axis], x.shape[axis], *g.shape[axis + 1 :])
    gx = np.zeros(shape, g.dtype)
    place = (slice(None),) * axis + (indices[firsts],)
    gx[place] = np.add.reduceat(g, firsts, axis=axis)
    return gx


def cost(attrs: ResizeNearestAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    """Two bytes for each row and column."""
    return Cost(flash_bytes=2 * sum(attrs.size))


def lower(
    attrs: ResizeNearestAttrs,
    ints: ResizeNearestInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    rows, columns = attrs.indices(x.shape, ints)
    call = kanji_nn.call(
        "kanji_resize_nearest_s8",
        InputPtr(),
        *x.shape,
        ConstPtr("rows"),
        len(rows),
        ConstPtr("columns"),
        len(columns),
        OutputPtr(),
        constants=(
            Constant("rows", "int16_t", rows, "of the input, for each of the output"),
            Constant("columns", "int16_t", columns, "the same"),
        ),
    )
    return (call,)


RESIZE_NEAREST = Op(
    name="resize_nearest",
    attrs=ResizeNearestAttrs,
    layer="ResizeNearest",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_int,
    vjp=vjp,
    cost=cost,
    ints=ints_of,
    lowerings={"cmsis-nn": lower, "cmsis-nn-q7": lower},
)
