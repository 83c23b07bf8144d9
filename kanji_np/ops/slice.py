"""Slice: from every axis a range of indices, every one or every few.

    Y[n, i, j, ...] = X[n, begin_1 + i strides_1, begin_2 + j strides_2, ...]

as NumPy's ``x[:, begin_1:end_1:strides_1, ...]``. Input and output share one scale; no
accumulator. A tensor that is split is several slices of it.

Source: TFLite `STRIDED_SLICE`, `SLICE`, `SPLIT` int8; Keras `Cropping2D`. On the
device: ccore `kanji_copy_s8`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kanji_np import checks
from kanji_np.errors import ShapeError
from kanji_np.loops import buffers
from kanji_np.ops.attributes import MOST_AXES, MOST_EXTENT, Attributes, attribute
from kanji_np.ops.op import Op
from kanji_np.targets import kanji_nn
from kanji_np.types import (
    Arrays,
    Gradients,
    KernelCall,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)


def indices(name: str, value: Sequence[int]) -> tuple[int, ...]:
    """An index for each axis."""
    return checks.integers(name, value, 0, MOST_EXTENT, (1, MOST_AXES))


def steps(name: str, value: Sequence[int]) -> tuple[int, ...]:
    """A step for each axis; none: 1 for all."""
    return checks.integers(name, value, 1, MOST_EXTENT, (0, MOST_AXES))


@dataclass(frozen=True)
class SliceAttrs(Attributes):
    """A part of a tensor: a range of indices of each axis; see `ops.slice`.

    ``Slice((0, 4, 0), (8, 8, 3))`` takes rows 0 to 7 and columns 4 to 7 of an input of
    3 channels.

    Parameters
    ----------
    begin, end : tuple of int
        For each axis but the batch the first index, and the one after the last.
    strides : tuple of int
        From one index to the next; empty: 1 for all axes.
    """

    begin: tuple[int, ...] = attribute(indices)
    end: tuple[int, ...] = attribute(indices)
    strides: tuple[int, ...] = attribute(steps, ())

    def ranges(self, shape: Shape) -> tuple[range, ...]:
        """The indices of each axis of a sample; ShapeError where they do not fit."""
        strides = self.strides or (1,) * len(shape)
        if {len(self.begin), len(self.end), len(strides)} != {len(shape)}:
            raise ShapeError(
                f"slice: begin {self.begin}, end {self.end} and strides {strides} must "
                f"have the {len(shape)} axes of the input {shape}"
            )
        for begin, end, size in zip(self.begin, self.end, shape, strict=True):
            if not begin < end <= size:
                raise ShapeError(
                    f"slice: {self.begin} to {self.end} is no part of an input {shape}"
                )
        return tuple(map(range, self.begin, self.end, strides))


def infer(attrs: SliceAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    return tuple(map(len, attrs.ranges(shape)))


def _place(attrs: SliceAttrs, shape: Shape) -> tuple[slice, ...]:
    """Where the output is in a batch of inputs."""
    ranges = attrs.ranges(shape)
    return (slice(None), *(slice(r.start, r.stop, r.step) for r in ranges))


def forward_int(attrs: SliceAttrs, ints: None, xs: Arrays) -> np.ndarray:
    """Any dtype (N, ...) -> same dtype (N, ...), smaller."""
    (x,) = xs
    return np.ascontiguousarray(x[_place(attrs, x.shape[1:])])


def vjp(
    attrs: SliceAttrs,
    params: None,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = gY in the slice, and 0 elsewhere."""
    (x,) = saved.x
    gx = buffers.empty(x.shape, gy.dtype)
    gx[...] = 0
    gx[_place(attrs, x.shape[1:])] = gy
    return (gx,), None


def lower(
    attrs: SliceAttrs, ints: None, xs: Specs, y: TensorSpec, target: TargetSpec
) -> tuple[KernelCall, ...]:
    (x,) = xs
    ranges, each = attrs.ranges(x.shape), kanji_nn.steps_of(x.shape)
    first = sum(r.start * step for r, step in zip(ranges, each, strict=True))
    axes = [(len(r), r.step * step) for r, step in zip(ranges, each, strict=True)]
    return kanji_nn.copied(x.size, first, axes)


SLICE = Op(
    name="slice",
    attrs=SliceAttrs,
    layer="Slice",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_int,
    vjp=vjp,
    lowerings={"cmsis-nn": lower, "cmsis-nn-q7": lower},
)
