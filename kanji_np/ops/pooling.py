"""What max and average pooling share: attributes, shapes, cost, the C call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kanji_np.checks import flag
from kanji_np.errors import ShapeError, UnsupportedOp
from kanji_np.loops import buffers
from kanji_np.ops import cmsis_q7
from kanji_np.ops.attributes import Attributes, attribute, cell_pair, image_padding
from kanji_np.ops.cmsis import HEADER, activation_range, dims, scratch, tile
from kanji_np.ops.op import Shapes
from kanji_np.types import (
    BufferSize,
    InputPtr,
    KernelCall,
    Numerics,
    OutputPtr,
    QParams,
    ScratchPtr,
    Shape,
    Struct,
    TargetSpec,
    TensorSpec,
)
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


def lower_pool(
    function: str,
    attrs: Pool2DAttrs,
    ints: ClampInts,
    x: TensorSpec,
    y: TensorSpec,
    scratch_bytes: int = 0,
    buffer_size: BufferSize | None = None,
) -> KernelCall:
    g = attrs.window.over(x.shape)
    params = Struct(
        "cmsis_nn_pool_params",
        "pool_params",
        (
            ("stride", tile("stride", attrs.strides)),
            ("padding", tile("padding", (g.pad_top, g.pad_left))),
            ("activation", activation_range(ints.act_min, ints.act_max)),
        ),
    )
    return KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            scratch(),
            params,
            dims("input_dims", 1, *x.shape),
            InputPtr(),
            dims("filter_dims", 1, *attrs.pool_size, 1),
            dims("output_dims", 1, *y.shape),
            OutputPtr(),
        ),
        scratch_bytes=scratch_bytes,
        buffer_size=buffer_size,
    )


def lower_pool_q7(
    function: str,
    attrs: Pool2DAttrs,
    x: TensorSpec,
    y: TensorSpec,
    target: TargetSpec,
    scratch_bytes: int = 0,
) -> KernelCall:
    """A legacy pool: square in every respect; DSP cores pool along x in place."""
    g = attrs.window.over(x.shape)
    sides = (x.shape[:2], attrs.pool_size, attrs.strides, (g.pad_top, g.pad_left))
    if any(a != b for a, b in (*sides, y.shape[:2])):
        raise UnsupportedOp(
            f"{function} takes square images, windows, strides and padding only"
        )
    if target.core == "dsp" and g.pad_left >= g.stride_w:
        raise UnsupportedOp(
            f"{function} on DSP cores is wrong where padding ({g.pad_left}) is not "
            f"less than the stride ({g.stride_w}): it overwrites columns that later "
            "windows still need; pad less, stride more, or build for core class c"
        )
    cmsis_q7.check_extents(function, *x.shape, y.shape[1] * y.shape[2])
    return KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            InputPtr(writable=True),
            x.shape[0],
            x.shape[2],
            g.kernel_w,
            g.pad_left,
            g.stride_w,
            g.out_w,
            ScratchPtr(),
            OutputPtr(),
        ),
        scratch_bytes=scratch_bytes,
        destroys_input=target.core == "dsp",
        status=None,
    )
