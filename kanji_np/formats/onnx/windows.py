"""The windows of ONNX's convolutions and pools, with their padding as cells."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.source import SourceOp
from kanji_np.types import Shape
from kanji_np.window import Pair, Window

MOST = 2**15
AUTO = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")

#: (before, after) along each axis.
Sides = tuple[Pair, ...]


@dataclass(frozen=True)
class Spans:
    """Windows along one axis or two: kernel, strides, dilations and padding of each."""

    kernel: Shape
    strides: Shape
    dilations: Shape
    pads: Sides

    @property
    def over_image(self) -> Spans:
        """The same over height and width; a row has the height 1."""
        if len(self.kernel) == 2:
            return self
        return Spans(
            (1, *self.kernel),
            (1, *self.strides),
            (1, *self.dilations),
            ((0, 0), *self.pads),
        )


def spans(op: SourceOp, attrs: given.Windows, sizes: Shape, kernel: Shape) -> Spans:
    """The windows of a node over axes of these sizes.

    Raises
    ------
    FileFormatError
        Attributes contradict each other, the weights or the input.
    UnsupportedOp
        Padding is negative, or of a kind that is not known.
    """
    rank = len(sizes)
    ones = (1,) * rank
    strides, dilations = attrs.strides or ones, attrs.dilations or ones
    kernels = attrs.kernel_shape or kernel
    pads = attrs.pads or (0,) * (2 * rank)
    lengths = [len(row) for row in (kernels, strides, dilations)]
    if lengths != [rank] * 3 or len(pads) != 2 * rank or kernels != kernel:
        raise FileFormatError(
            f"{op}: kernel_shape {kernels}, strides {strides}, dilations {dilations} "
            f"and pads {pads} do not fit {rank} axes and a kernel {kernel}"
        )
    if not all(1 <= value <= MOST for row in (kernels, strides, dilations)
               for value in row):  # fmt: skip
        raise FileFormatError(f"{op}: sizes of windows are 1 .. {MOST}")
    sides = tuple(zip(pads[:rank], pads[rank:], strict=True))
    if attrs.auto_pad not in AUTO:
        raise UnsupportedOp(f"{op}: auto_pad {attrs.auto_pad!r} is not known")
    if attrs.auto_pad == "VALID":
        sides = ((0, 0),) * rank
    if attrs.auto_pad.startswith("SAME"):
        is_upper = attrs.auto_pad == "SAME_UPPER"
        sides = tuple(
            _same(*row, is_upper)
            for row in zip(sizes, kernels, strides, dilations, strict=True)
        )
    if not all(0 <= value <= MOST for pair in sides for value in pair):
        raise UnsupportedOp(f"{op}: pads {pads}; 0 .. {MOST} are supported")
    return Spans(kernels, strides, dilations, sides)


def _same(size: int, kernel: int, stride: int, dilation: int, is_upper: bool) -> Pair:
    """Padding that gives ceil(size / stride) windows; the odd cell after, or before."""
    count = -(-size // stride)
    whole = max((count - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    half = whole // 2
    return (half, whole - half) if is_upper else (whole - half, half)


def count(w: Spans, axis: int, size: int, ceil_mode: bool) -> int:
    """The number of windows along an axis of a size."""
    row = Window(
        (1, w.kernel[axis]),
        (1, w.strides[axis]),
        (1, w.dilations[axis]),
        ((0, 0), w.pads[axis]),
        ceil_mode,
    )
    return row.over((1, size, 1)).out_w


def scattered(
    op: SourceOp, attrs: given.ConvTranspose, sizes: Shape, kernel: Shape
) -> tuple[Spans, Shape]:
    """The windows of a transposed convolution, with what is cut off its output, and the
    cells that are added behind it.

    Raises
    ------
    FileFormatError, UnsupportedOp
        As `spans`.
    """
    own = attrs.pads if attrs.auto_pad == "NOTSET" else ()
    explicit = replace(attrs, auto_pad="NOTSET", pads=own)
    w, rank = spans(op, explicit, sizes, kernel), len(sizes)
    if attrs.auto_pad not in AUTO:
        raise UnsupportedOp(f"{op}: auto_pad {attrs.auto_pad!r} is not known")
    more = attrs.output_padding or (0,) * rank
    wanted = attrs.output_shape
    if wanted and len(wanted) == rank + 2:  # batch and channels are there, too
        wanted = wanted[2:]
    if len(more) != rank or len(wanted) not in (0, rank):
        raise FileFormatError(
            f"{op}: output_padding {more} and output_shape {wanted} do not fit {rank} "
            "axes"
        )
    if attrs.auto_pad.startswith("SAME") and not wanted:
        wanted = tuple(n * s for n, s in zip(sizes, w.strides, strict=True))
    if not all(0 <= value <= MOST for value in (*more, *wanted)):
        raise UnsupportedOp(f"{op}: sizes of outputs are 0 .. {MOST}")
    if not wanted:
        return w, more
    pads, behind = [], []
    for axis, size in enumerate(wanted):
        reach = w.dilations[axis] * (kernel[axis] - 1) + 1
        reach += w.strides[axis] * (sizes[axis] - 1)
        whole = max(reach + more[axis] - size, 0)
        half = whole // 2
        is_upper = attrs.auto_pad == "SAME_UPPER"
        pads.append((half, whole - half) if is_upper else (whole - half, half))
        behind.append(size + whole - reach)
    return replace(w, pads=tuple(pads)), tuple(behind)
