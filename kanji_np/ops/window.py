"""Where sliding windows fall: output sizes and padding of convolution and pooling.

One axis at a time. The effective kernel is ``e = dilation * (kernel - 1) + 1``; with
`before` and `after` cells of padding an axis of size n has

    floor:  (n + before + after - e) // stride + 1
    ceil:   the same rounded up, without windows that would start past the input

windows. "same" is TensorFlow's: ceil(n / stride) windows, the odd cell of padding
after. CMSIS-NN is told `before` and the output size; what lies after follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kanji_np.errors import OptionError, ShapeError
from kanji_np.types import Shape

MOST_CELLS = 32_767

Pair = tuple[int, int]
Padding = str | tuple[Pair, Pair]


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

    def turned(self, height: int, width: int) -> Geometry | None:
        """Windows over the output, one for each input cell: the outputs it adds to.

        None where strides leave cells out, or padding is wider than windows reach.
        """
        top = (self.kernel_h - 1) * self.dilation_h - self.pad_top
        left = (self.kernel_w - 1) * self.dilation_w - self.pad_left
        before = min(top, left) < 0
        after = self.out_h > height + self.pad_top or self.out_w > width + self.pad_left
        if self.stride != (1, 1) or before or after:
            return None
        return replace(self, out_h=height, out_w=width, pad_top=top, pad_left=left)


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
        if len(shape) != 3 or max(shape[:2]) > MOST_CELLS:
            raise ShapeError(
                f"expected an input of shape (H, W, C) up to {MOST_CELLS} cells high "
                f"and wide, got {shape}"
            )
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


def pair(value: int | Pair, name: str) -> Pair:
    """An int or a pair of positive ints as (height, width)."""
    both = (value, value) if isinstance(value, int) else value
    is_pair = isinstance(both, tuple | list) and len(both) == 2
    if not is_pair or not all(isinstance(v, int) and v > 0 for v in both):
        raise OptionError(f"{name} must be a positive int or a pair, got {value!r}")
    return both[0], both[1]


def padding_option(value: Padding) -> Padding:
    """Check a padding argument: a word, or ((top, bottom), (left, right))."""
    if value in ("same", "valid"):
        return value
    try:
        (top, bottom), (left, right) = value
        cells = (top, bottom, left, right)
        if all(isinstance(v, int) and v >= 0 for v in cells):
            return ((top, bottom), (left, right))
    except (TypeError, ValueError):
        pass
    raise OptionError(
        'padding must be "same", "valid" or ((top, bottom), (left, right)), '
        f"got {value!r}"
    )
