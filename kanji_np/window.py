"""Where sliding windows fall: output sizes and padding of convolution and pooling.

One axis at a time. The effective kernel is ``e = dilation * (kernel - 1) + 1``; with
`before` and `after` cells of padding an axis of size n has

    floor:  (n + before + after - e) // stride + 1
    ceil:   the same rounded up, without windows that would start past the input

windows. "same" is TensorFlow's: ceil(n / stride) windows, the odd cell of padding
after. CMSIS-NN is told `before` and the output size; what lies after follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.types import Shape

MOST_CELLS = 32_767

Pair = tuple[int, int]
Padding = str | tuple[Pair, Pair]
#: The index of one window's cells in images (N,H,W,C).
Place = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Geometry:
    """Resolved numbers of one window over one input size, as the loops take them."""

    out_h: int
    out_w: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int

    @property
    def out(self) -> Pair:
        return self.out_h, self.out_w

    @property
    def kernel(self) -> Pair:
        return self.kernel_h, self.kernel_w

    @property
    def stride(self) -> Pair:
        return self.stride_h, self.stride_w

    @property
    def dilation(self) -> Pair:
        return self.dilation_h, self.dilation_w

    @property
    def pad(self) -> Pair:
        """Padding before."""
        return self.pad_top, self.pad_left

    def places(self) -> Iterator[tuple[Pair, Place]]:
        """Each window's place in the output, (oy, ox), and its place in the input.

        Cells in the padding are left out.
        """
        for oy, ox in np.ndindex(*self.out):
            rows = _cells(
                oy, self.kernel_h, self.stride_h, self.dilation_h, self.pad_top
            )
            columns = _cells(
                ox, self.kernel_w, self.stride_w, self.dilation_w, self.pad_left
            )
            yield (oy, ox), (slice(None), rows, columns)

    def check_cells(self, shape: Shape) -> None:
        """ShapeError if a pool's window has no cell of an (H, W, C) input."""
        for axis in (0, 1):
            if self.pad[axis] >= self.kernel[axis]:
                raise ShapeError(
                    f"pooling: padding {self.pad[axis]} leaves a window of "
                    f"{self.kernel[axis]} without a cell along "
                    f"{('height', 'width')[axis]}; it must be smaller"
                )
        bottom = (self.out_h - 1) * self.stride_h - self.pad_top
        right = (self.out_w - 1) * self.stride_w - self.pad_left
        if bottom >= shape[0] or right >= shape[1]:
            raise ShapeError(
                "pooling: the last window lies in the padding; use less padding"
            )

    @property
    def reach(self) -> Pair:
        """Cells along height and width from the first window to the end of the last."""
        last_y, last_x = self.out_h - 1, self.out_w - 1
        last_i, last_j = self.kernel_h - 1, self.kernel_w - 1
        return (
            last_y * self.stride_h + last_i * self.dilation_h + 1,
            last_x * self.stride_w + last_j * self.dilation_w + 1,
        )

    def padded(self, x: np.ndarray, value: float = 0) -> np.ndarray:
        """(N,H,W,C) with all the padding around it that windows reach into."""
        _, height, width, _ = x.shape
        bottom = max(self.reach[0] - self.pad_top - height, 0)
        right = max(self.reach[1] - self.pad_left - width, 0)
        around = ((0, 0), (self.pad_top, bottom), (self.pad_left, right), (0, 0))
        return np.pad(x, around, constant_values=value)

    def inside(self, padded: np.ndarray, shape: Shape) -> np.ndarray:
        """The view without padding, of the `shape` (N,H,W,C) that was padded."""
        bottom, right = self.pad_top + shape[1], self.pad_left + shape[2]
        return padded[:, self.pad_top : bottom, self.pad_left : right]

    def taps(self, padded: np.ndarray) -> Iterator[tuple[Pair, np.ndarray]]:
        """Every cell (i, j) of the kernel, and what lies under it in each window.

        That is a view (N,OH,OW,C) of a padded image: its element [n, y, x, c] is
        ``padded[n, y*sh + i*dh, x*sw + j*dw, c]``.
        """
        last_y, last_x = self.out_h - 1, self.out_w - 1
        for i, j in np.ndindex(*self.kernel):
            top, left = i * self.dilation_h, j * self.dilation_w
            rows = slice(top, top + last_y * self.stride_h + 1, self.stride_h)
            columns = slice(left, left + last_x * self.stride_w + 1, self.stride_w)
            yield (i, j), padded[:, rows, columns]

    def turned(self, height: int, width: int) -> Geometry | None:
        """The windows over the output that hold what an input cell adds to.

        A stride's worth of cells share one window. None where windows are several
        cells apart and dilated as well, or where padding is wider than they reach.
        """
        y, x = (
            _turned_axis(*axis)
            for axis in zip(
                (height, width), self.out, self.kernel, self.stride, self.dilation,
                self.pad, strict=True,
            )
        )  # fmt: skip
        if y is None or x is None:
            return None
        (out_h, kernel_h, top), (out_w, kernel_w, left) = y, x
        return replace(
            self, out_h=out_h, out_w=out_w, kernel_h=kernel_h, kernel_w=kernel_w,
            stride_h=1, stride_w=1, pad_top=top, pad_left=left,
        )  # fmt: skip


def _cells(index: int, kernel: int, stride: int, dilation: int, before: int) -> slice:
    """The cells of one window along one axis, those before the input left out."""
    first = index * stride - before
    end = first + dilation * (kernel - 1) + 1
    return slice(max(first, first % dilation), max(end, 0), dilation)


def _turned_axis(
    size: int, out: int, kernel: int, stride: int, dilation: int, before: int
) -> tuple[int, int, int] | None:
    """(number of windows, kernel, padding before) along one axis of `turned`."""
    if stride > 1 and dilation > 1:
        return None
    kernel = -(-kernel // stride)
    first, last = before // stride, (size - 1 + before) // stride
    padding = (kernel - 1) * dilation - first
    if padding < 0 or out > last + 1:
        return None
    return last - first + 1, kernel, padding


@dataclass(frozen=True)
class Window:
    """Kernel, stride and dilation as (height, width); padding as "same", "valid" or
    ((top, bottom), (left, right)) in cells."""

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = "valid"
    ceil_mode: bool = False

    def over(self, shape: Shape) -> Geometry:
        """Lay the window over an (H, W, C) input; ShapeError where it does not fit."""
        check_image(shape)
        explicit = self.padding if isinstance(self.padding, tuple) else (None, None)
        (out_h, top), (out_w, left) = (
            self._axis(axis, shape[axis], explicit[axis]) for axis in (0, 1)
        )
        return Geometry(
            out_h, out_w, *self.kernel, *self.stride, *self.dilation, top, left
        )

    def _axis(self, axis: int, size: int, explicit: Pair | None) -> Pair:
        """(number of windows, padding before) along one axis."""
        kernel, stride = self.kernel[axis], self.stride[axis]
        extent = self.dilation[axis] * (kernel - 1) + 1
        if self.padding == "same":
            count = -(-size // stride)
            return count, max((count - 1) * stride + extent - size, 0) // 2
        before, after = explicit or (0, 0)
        room = size + before + after - extent
        if room < 0:
            raise ShapeError(
                f"a window of {extent} does not fit the {('height', 'width')[axis]} "
                f"{size} with padding {before}+{after}"
            )
        if not self.ceil_mode:
            return room // stride + 1, before
        count = -(-room // stride) + 1
        if (count - 1) * stride >= size + before:
            count -= 1
        return count, before


def check_image(shape: Shape) -> None:
    """ShapeError unless a shape is (H, W, C), of a size that windows are laid over."""
    if len(shape) != 3 or max(shape[:2]) > MOST_CELLS:
        raise ShapeError(
            f"expected an input of shape (H, W, C) up to {MOST_CELLS} cells high "
            f"and wide, got {shape}"
        )


@dataclass(frozen=True)
class Scatter:
    """Where the inputs of a transposed convolution add their kernels.

    Input (iy, ix) adds kernel cell (i, j) to output ``(iy * sh + i - top, ix * sw + j -
    left)``, where there is one.

    Parameters
    ----------
    out, kernel, stride : (height, width)
    before : (top, left)
        Cells cut off before the output, fewer than the kernel has.
    """

    out: Pair
    kernel: Pair
    stride: Pair
    before: Pair

    def reach(self, shape: Shape) -> Pair:
        """Cells that hold all kernels of a batch (N,H,W,C), and the output."""
        height, width = (
            max((size - 1) * stride + kernel, before + out)
            for size, stride, kernel, before, out in zip(
                shape[1:3], self.stride, self.kernel, self.before, self.out, strict=True
            )
        )
        return height, width

    def taps(
        self, whole: np.ndarray, shape: Shape
    ) -> Iterator[tuple[Pair, np.ndarray]]:
        """Every cell (i, j) of the kernel, and where the inputs of a batch (N,H,W,C)
        add it, as a view (N,H,W,Cout) of what is as large as `reach`."""
        (sh, sw), (_, height, width, _) = self.stride, shape
        for i, j in np.ndindex(*self.kernel):
            rows = slice(i, i + (height - 1) * sh + 1, sh)
            columns = slice(j, j + (width - 1) * sw + 1, sw)
            yield (i, j), whole[:, rows, columns]

    def inside(self, whole: np.ndarray) -> np.ndarray:
        """The view that is the output."""
        (top, left), (height, width) = self.before, self.out
        return whole[:, top : top + height, left : left + width]

    def convolution(self) -> Geometry:
        """The windows that compute it from an input with zeros between its pixels."""
        top, left = (
            kernel - 1 - before
            for kernel, before in zip(self.kernel, self.before, strict=True)
        )
        return Geometry(*self.out, *self.kernel, 1, 1, 1, 1, top, left)
