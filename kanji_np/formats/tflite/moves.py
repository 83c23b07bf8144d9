"""Rows of operators that move values, and compute none: shapes, parts, padding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.tflite.elementwise import check_one_scale
from kanji_np.formats.tflite.making import (
    Call,
    Filler,
    Padded,
    check_zeros,
    qparams_of,
)
from kanji_np.layers import Symbol
from kanji_np.ops.concatenate import ConcatenateAttrs
from kanji_np.ops.pad import PadAttrs
from kanji_np.ops.resize_nearest import ResizeNearestAttrs
from kanji_np.ops.slice import SliceAttrs
from kanji_np.ops.transpose import TransposeAttrs
from kanji_np.types import Shape
from kanji_np.window import Pair

MOST_PARTS = 64  # of a concatenation


def reshape(call: Call) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the output's shape says what they do."""
    x = call.x()
    call.keeps_scale()
    y = call.shaped(x, _new_shape(call, math.prod(call.shape(x))))
    if y is x:
        call.builder.drop(str(call.op), "the shape of a sample stays as it is")
    call.give(y)


def _new_shape(call: Call, size: int) -> Shape:
    """The shape of the output, with the size that the file leaves open."""
    shape = call.making.sample(call.output)
    known = math.prod(length for length in shape if length != -1)
    if shape.count(-1) == 1 and size % known == 0:
        return tuple(size // known if length == -1 else length for length in shape)
    if call.output.shape[:1] == (-1,) and known != size and size % known == 0:
        return (size // known, *shape)  # rows that the file counts with the batch
    if known != size or -1 in shape:
        raise FileFormatError(f"makes {call.output.shape} of {size} values")
    return shape


def concatenation(call: Call) -> None:
    """Along any axis: the axes from it on are one for as long."""
    count = len(call.op.inputs)
    call.count(1, MOST_PARTS)
    if call.fused() != "linear":
        raise UnsupportedOp("a fused activation is not supported")
    xs, output = [call.x(index) for index in range(count)], qparams_of(call.output)
    check_one_scale(call)
    axis = call.axis(xs[0], call.option("axis"))
    if any(len(call.shape(x)) != len(call.shape(xs[0])) for x in xs):
        raise FileFormatError("its inputs differ in how many axes they have")
    if count == 1:
        call.give(xs[0])
        return
    outer = call.shape(xs[0])[:axis]
    parts = [call.shaped(x, (*outer, math.prod(call.shape(x)[axis:]))) for x in xs]
    y = call.layer("concatenate", ConcatenateAttrs(), parts, output)
    total = sum(call.shape(x)[axis] for x in xs)
    inner = call.shape(xs[0])[axis + 1 :]
    call.give(call.shaped(y, (*outer, total, *inner)))


def pad(call: Call) -> None:
    """PAD and PADV2, which the convolutions and pools that follow do themselves."""
    call.count(2, 2 if call.op.kind == "PAD" else 3)
    call.keeps_scale()
    x, shape = call.x(), call.tensor().shape
    rows = call.integers(1, (len(shape), 2))
    axes = len(call.shape(x))
    batch, sides = rows[: len(rows) - axes], rows[len(rows) - axes :]
    if any(map(any, batch)):
        raise UnsupportedOp(f"padding {rows} of the batch is not supported")
    if any(each < 0 for pair in sides for each in pair):
        raise FileFormatError(f"its padding {rows} must not be negative")
    filler = _filler(call)
    if axes == 3 and not any(sides[-1]):
        padding = (tuple(sides[0]), tuple(sides[1]))
        call.making.pad(Padded(call, x, padding, filler))
        return
    check_zeros(call, filler)
    for axis, pair in enumerate(sides):
        x = _padded_along(call, x, axis, tuple(pair))
    call.give(x)


def _padded_along(call: Call, x: Symbol, axis: int, pair: Pair) -> Symbol:
    """Zeros before and behind one axis, which becomes the width of an image."""
    if not any(pair):
        return x
    shape = call.shape(x)
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    image = call.shaped(x, (outer, shape[axis], inner))
    y = call.layer("pad", PadAttrs(((0, 0), pair)), [image])
    return call.shaped(y, (*shape[:axis], sum(pair) + shape[axis], *shape[axis + 1 :]))


def _filler(call: Call) -> Filler:
    """What stands for the value that is padded with."""
    if not call.has(2):
        return "zero"
    values, qparams = call.values(2), qparams_of(call.tensor())
    zero = 0 if qparams is None else qparams.zero_point
    lowest = np.finfo(np.float32).min if qparams is None else -128
    if values.size == 1 and values.item() == zero:
        return "zero"
    if values.size == 1 and values.item() <= lowest:
        return "lowest"
    raise UnsupportedOp(
        f"padding with {shown(values.tolist())} is not supported; with {zero}, which "
        "stands for zero, it is, and in front of MAX_POOL_2D with the lowest value"
    )


def transpose(call: Call) -> None:
    call.count(2, 2)
    call.keeps_scale()
    x, order = call.x(), call.integers(1)
    outer = len(call.tensor().shape) - len(call.shape(x))
    if order[:outer] != list(range(outer)):
        raise UnsupportedOp(f"to {order} moves the batch, which is not supported")
    attrs = TransposeAttrs(tuple(axis - outer + 1 for axis in order[outer:]))
    call.give(call.layer("transpose", attrs, [x]))


def strided_slice(call: Call) -> None:
    call.count(4, 4)
    call.keeps_scale()
    x = call.x()
    sizes = _sizes(call, x)
    parts = [call.integers(index) for index in (1, 2, 3)]
    for name in ("ellipsis_mask", "new_axis_mask", "offset"):
        if call.option(name):
            raise UnsupportedOp(f"with {name} is not supported")
    if len({*map(len, parts)}) != 1 or len(parts[0]) > len(sizes):
        raise FileFormatError(
            f"has begin, end and strides {parts} of {len(sizes)} axes"
        )
    ranges, kept = [*map(range, sizes)], []
    for axis, size in enumerate(sizes):
        is_dropped = bool(call.option("shrink_axis_mask") >> axis & 1)
        if axis < len(parts[0]):
            begin, end, stride = (part[axis] for part in parts)
            ranges[axis] = _range(call, axis, size, begin, end, stride, is_dropped)
        if not is_dropped:
            kept.append(axis)
    y = _sliced(call, x, ranges)
    outer = len(sizes) - len(call.shape(x))
    shape = tuple(len(ranges[axis]) for axis in kept if axis >= outer)
    call.give(call.shaped(y, shape or (1,)))


def _range(
    call: Call, axis: int, size: int, begin: int, end: int, stride: int, is_one: bool
) -> range:
    """The indices of one axis, as TensorFlow counts them."""
    if stride < 1:
        raise UnsupportedOp(f"with a stride of {stride} is not supported; from 1 it is")
    if is_one:
        if not -size <= begin < size:
            raise FileFormatError(f"takes element {begin} of {size}")
        return range(begin % size, begin % size + 1)
    first = None if call.option("begin_mask") >> axis & 1 else begin
    last = None if call.option("end_mask") >> axis & 1 else end
    return range(size)[first:last:stride]


def slice_(call: Call) -> None:
    call.count(3, 3)
    call.keeps_scale()
    x = call.x()
    sizes, begins, counts = _sizes(call, x), call.integers(1), call.integers(2)
    if not len(sizes) == len(begins) == len(counts):
        raise FileFormatError(
            f"has begin {begins} and size {counts} of {len(sizes)} axes"
        )
    ranges = []
    for size, begin, count in zip(sizes, begins, counts, strict=True):
        end = size if count == -1 else begin + count
        if not 0 <= begin < end <= size:
            raise FileFormatError(f"takes {begin} to {end} of {size}")
        ranges.append(range(begin, end))
    call.give(_sliced(call, x, ranges))


def split(call: Call) -> None:
    """Into equal parts."""
    x = call.x(1)
    axis, count = _split_axis(call, x, 1, 0), call.option("num_splits")
    size = _sizes(call, x, 1)[axis]
    if count != len(call.op.outputs) or size % count:
        raise FileFormatError(
            f"splits {size} into {count} parts and has {len(call.op.outputs)} outputs"
        )
    _split(call, x, 1, axis, [size // count] * count)


def split_v(call: Call) -> None:
    """Into parts of given sizes."""
    x, sizes = call.x(), call.integers(1)
    axis = _split_axis(call, x, 0, 2)
    size = _sizes(call, x)[axis]
    if sizes.count(-1) == 1:
        rest = size - sum(each for each in sizes if each != -1)
        sizes = [rest if each == -1 else each for each in sizes]
    if sum(sizes) != size or min(sizes) < 1 or len(sizes) != len(call.op.outputs):
        raise FileFormatError(
            f"splits {size} into {sizes} and has {len(call.op.outputs)} outputs"
        )
    _split(call, x, 0, axis, sizes)


def _split_axis(call: Call, x: Symbol, index: int, place: int) -> int:
    """The axis in the file, from 0."""
    axes, rank = call.integers(place), len(call.tensor(index).shape)
    if len(axes) != 1:
        raise FileFormatError(f"splits along axes {axes}; it takes one")
    call.axis(x, axes[0], index)
    return int(axes[0]) % rank


def _split(call: Call, x: Symbol, index: int, axis: int, sizes: Sequence[int]) -> None:
    first, ranges = 0, [*map(range, _sizes(call, x, index))]
    for number, size in enumerate(sizes):
        tensor = call.making.tensors[call.op.outputs[number]]
        if qparams_of(tensor) != qparams_of(call.tensor(index)):
            raise UnsupportedOp("changes the scale; one that keeps it is supported")
        ranges[axis] = range(first, first + size)
        call.give(_sliced(call, x, ranges), number)
        first += size


def _sliced(call: Call, x: Symbol, ranges: Sequence[range]) -> Symbol:
    """Of each axis of an input in the file a range; of the batch all."""
    shape = call.shape(x)
    outer = len(ranges) - len(shape)
    if any(r.start != 0 or len(r) != 1 for r in ranges[:outer]):
        raise UnsupportedOp("takes a part of the batch; of other axes it is supported")
    inner = ranges[outer:]
    if [*inner] == [*map(range, shape)]:
        return x
    if not all(map(len, inner)):
        raise FileFormatError(f"takes nothing of {shape}")
    attrs = SliceAttrs(
        tuple(r.start for r in inner),
        tuple(r[-1] + 1 for r in inner),
        tuple(r.step for r in inner),
    )
    return call.layer("slice", attrs, [x])


def _sizes(call: Call, x: Symbol, index: int = 0) -> list[int]:
    """The sizes of an input in the file, 1 for the batch."""
    outer = len(call.tensor(index).shape) - len(call.shape(x))
    return [1] * outer + [*call.shape(x)]


def resize_nearest_neighbor(call: Call) -> None:
    call.count(2, 2)
    call.keeps_scale()
    size = call.integers(1)
    if len(size) != 2:
        raise FileFormatError(f"makes images of {size}; it takes height and width")
    attrs = ResizeNearestAttrs(
        (size[0], size[1]),
        bool(call.option("align_corners")),
        bool(call.option("half_pixel_centers")),
    )
    call.give(call.layer("resize_nearest", attrs, [call.x()]))


def tile(call: Call) -> None:
    """Along each axis, which becomes the channels of images one cell wide."""
    call.count(2, 2)
    call.keeps_scale()
    x, counts = call.x(), call.integers(1)
    outer = len(call.tensor().shape) - len(call.shape(x))
    if len(counts) != outer + len(call.shape(x)) or min(counts) < 1:
        raise FileFormatError(f"repeats {counts} of {call.tensor().shape}")
    if any(count != 1 for count in counts[:outer]):
        raise UnsupportedOp(f"repeats the batch ({counts}), which is not supported")
    for axis, count in enumerate(counts[outer:]):
        x = _repeated(call, x, axis, count)
    call.give(x)


def _repeated(call: Call, x: Symbol, axis: int, count: int) -> Symbol:
    if count == 1:
        return x
    shape = call.shape(x)
    rows, size = math.prod(shape[:axis]), math.prod(shape[axis:])
    image = call.shaped(x, (rows, 1, size))
    y = call.layer("resize_nearest", ResizeNearestAttrs((rows, count)), [image])
    return call.shaped(y, (*shape[:axis], count * shape[axis], *shape[axis + 1 :]))
