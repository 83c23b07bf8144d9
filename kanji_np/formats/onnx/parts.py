"""Tensors with zeros around them, and parts of them."""

from __future__ import annotations

from collections.abc import Sequence

from kanji_np.errors import FileFormatError
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.folding import slices_of, whole_numbers
from kanji_np.formats.onnx.layout import View, view_of
from kanji_np.formats.onnx.multiply import conv_padded
from kanji_np.formats.onnx.net import Net
from kanji_np.formats.source import SourceOp
from kanji_np.ops import OPS
from kanji_np.window import Pair


def pad(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Pad, op), net.view(op)
    rank = len(view.axes) + 1
    amounts, value, axes = (*net.known(op, 1)[1:], None, None, None)[:3]
    pads = attrs.pads if amounts is None else whole_numbers(amounts)
    is_zero = attrs.value == 0 if value is None else value.size == 1 and value == 0
    if attrs.mode != "constant" or not is_zero:
        raise net.refusal(op, "by something else than the constant 0")
    names = tuple(range(rank)) if axes is None else whole_numbers(axes)
    if len(pads) != 2 * len(names):
        raise FileFormatError(f"{op}: {len(pads)} sizes for {len(names)} axes")
    sides = [(0, 0)] * (rank - 1)
    for k, axis in enumerate(names):
        both = pads[k], pads[k + len(names)]
        if both != (0, 0):
            sides[net.axis(op, axis, rank)] = both
    if min(map(min, sides), default=0) < 0:
        raise net.refusal(op, "takes cells away; Slice is supported")
    if not conv_padded(net, op, sides):
        net.values[op.outputs[0]] = padded(net, op, view, sides)


def padded(net: Net, op: SourceOp, view: View, sides: Sequence[Pair]) -> View:
    """Zeros around a tensor: two axes of ours at a time, before a third."""
    while any(map(any, sides)):
        order = view.order
        padded = [k for k in order if any(sides[k])][:2]
        first, last = order.index(padded[0]), order.index(padded[-1])
        if last > first + 1 or first > 0:  # one alone, with all before it
            padded = padded[:1]
            last = first
        before, inside = order[:first], order[last + 1 :]
        if len(padded) == 2:
            groups = [(padded[0],), (padded[1],), tuple(inside)]
            around = sides[padded[0]], sides[padded[1]]
        else:
            groups = [tuple(before), (padded[0],), tuple(inside)]
            around = (0, 0), sides[padded[0]]
        x = net.arranger.arranged(view, groups, op.kind)
        symbol = net.builder.layer(
            "pad", OPS["pad"].attrs(around), [x], source=op.kind, name=op.name
        )
        shape = list(view.shape)
        for k in padded:
            shape[k] += sum(sides[k])
        made = view_of(symbol, tuple(shape[k] for k in order))
        view = made.transposed([order.index(k) for k in range(len(order))])
        sides = [(0, 0) if k in padded else pair for k, pair in enumerate(sides)]
    return view


def slice_(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Slice, op), net.view(op)
    rank = len(view.axes) + 1
    try:
        rows = slices_of(attrs, net.known(op, 1))
    except ValueError as error:
        raise FileFormatError(f"{op}: {error}") from None
    ranges = [range(size) for size in view.shape]
    for axis, start, end, step in rows:
        if axis in (0, -rank) and start == 0 and step == 1 and end >= 2**31 - 1:
            continue  # every sample
        k = net.axis(op, axis, rank)
        if step == 0:
            raise FileFormatError(f"{op}: a step of 0")
        ranges[k] = range(view.shape[k])[slice(start, end, step)]
    net.values[op.outputs[0]] = sliced(net, op, view, ranges)


def sliced(net: Net, op: SourceOp, view: View, ranges: Sequence[range]) -> View:
    """The elements at some indices of each axis."""
    if any(r.step < 1 for r in ranges if len(r) > 1) or not all(map(len, ranges)):
        raise net.refusal(op, "takes elements backwards, or none")
    if all(len(r) == size for r, size in zip(ranges, view.shape, strict=True)):
        return view
    order = view.order
    x = net.arranger.arranged(view, [(k,) for k in order], op.kind)
    attrs = OPS["slice"].attrs(
        tuple(ranges[k].start for k in order),
        tuple(ranges[k][-1] + 1 for k in order),
        tuple(max(ranges[k].step, 1) for k in order),
    )
    symbol = net.builder.layer("slice", attrs, [x], source=op.kind, name=op.name)
    made = view_of(symbol, tuple(len(ranges[k]) for k in order))
    return made.transposed([order.index(k) for k in range(len(order))])


def split(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Split, op), net.view(op)
    axis = net.axis(op, attrs.axis, len(view.axes) + 1)
    given_sizes, sizes = net.given(op, 1), attrs.split
    if given_sizes is not None:
        sizes = whole_numbers(given_sizes.data)
    whole, parts = view.shape[axis], attrs.num_outputs or len(op.outputs)
    if sizes is None:
        each = -(-whole // parts)
        sizes = tuple(
            min(each, max(whole - k * each, 0)) for k in range(len(op.outputs))
        )
    if len(sizes) != len(op.outputs) or sum(sizes) != whole or min(sizes) < 0:
        raise FileFormatError(f"{op}: {sizes} are no parts of {whole}")
    start = 0
    for number, size in zip(op.outputs, sizes, strict=True):
        ranges = [range(n) for n in view.shape]
        ranges[axis] = range(start, start + size)
        if net.is_read(number):
            net.values[number] = sliced(net, op, view, ranges)
        start += size
