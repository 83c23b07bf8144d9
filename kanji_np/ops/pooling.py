"""What max and average pooling share: attributes, shapes, cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kanji_np.checks import flag
from kanji_np.errors import ShapeError
from kanji_np.loops import buffers
from kanji_np.ops.attributes import Attributes, attribute, cell_pair, image_padding
from kanji_np.ops.op import (
    Shapes,
)
from kanji_np.types import Numerics, QParams, Shape
from kanji_np.window import Padding, Pair, Window


@dataclass(frozen=True)
class Pool2DAttrs(Attributes):
    """(height, width) of window and stride, padding as in `Conv2DAttrs`, and whether
    the number of windows is rounded up."""

    pool_size: Pair = attribute(cell_pair)
    strides: Pair = attribute(cell_pair)
    padding: Padding = attribute(image_padding, "valid")
    ceil_mode: bool = attribute(flag, True)

    @property
    def window(self) -> Window:
        return Window(
            self.pool_size, self.strides, (1, 1), self.padding, self.ceil_mode
        )


@dataclass(frozen=True)
class ClampInts:
    """Range the output is clamped to."""

    act_min: int = -128
    act_max: int = 127


def full_range(
    attrs: Pool2DAttrs, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> ClampInts:
    return ClampInts()


def infer(attrs: Pool2DAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    g = attrs.window.over(shape)
    for axis, pad, kernel in ((0, g.pad_top, g.kernel_h), (1, g.pad_left, g.kernel_w)):
        if pad >= kernel:
            raise ShapeError(
                f"pooling: padding {pad} leaves a window of {kernel} without a cell "
                f"along {('height', 'width')[axis]}; it must be smaller"
            )
    bottom = (g.out_h - 1) * g.stride_h - g.pad_top
    right = (g.out_w - 1) * g.stride_w - g.pad_left
    if bottom >= shape[0] or right >= shape[1]:
        raise ShapeError(
            "pooling: the last window lies in the padding; use less padding"
        )
    return g.out_h, g.out_w, shape[2]


def new_output(attrs: Pool2DAttrs, x: np.ndarray) -> np.ndarray:
    """Uninitialized output for a batch `x`."""
    return buffers.empty((len(x), *infer(attrs, (x.shape[1:],))), x.dtype)


def window_numbers(attrs: Pool2DAttrs, x: np.ndarray) -> tuple[Pair, Pair, Pair]:
    """Kernel, stride and padding before, as the loops take them."""
    g = attrs.window.over(x.shape[1:])
    return attrs.pool_size, attrs.strides, (g.pad_top, g.pad_left)


def windows(
    attrs: Pool2DAttrs, x: np.ndarray, y: np.ndarray
) -> Iterator[tuple[Pair, np.ndarray]]:
    """((oy, ox), view of x's cells in that window), window by window."""
    (kernel_h, kernel_w), (stride_h, stride_w), (top, left) = window_numbers(attrs, x)
    for oy, ox in np.ndindex(*y.shape[1:3]):
        rows = slice(max(oy * stride_h - top, 0), oy * stride_h - top + kernel_h)
        columns = slice(max(ox * stride_w - left, 0), ox * stride_w - left + kernel_w)
        yield (oy, ox), x[:, rows, columns]
