"""Pools and means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kanji_np.errors import FileFormatError
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.folding import axes_of
from kanji_np.formats.onnx.layout import IMAGE, OF_IMAGE, View, view_of
from kanji_np.formats.onnx.net import Net, plain
from kanji_np.formats.onnx.parts import padded
from kanji_np.formats.onnx.windows import Spans, count, spans
from kanji_np.formats.source import SourceOp
from kanji_np.layers import Symbol
from kanji_np.ops import OPS


def max_pool(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.MaxPool, op), net.view(op)
    rank = _pooled(net, op, view)
    w = _pool_spans(net, op, attrs, view)
    _pool(net, op, "max_pool2d", view, rank, w, bool(attrs.ceil_mode))


def average_pool(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.AveragePool, op), net.view(op)
    rank = _pooled(net, op, view)
    w = _pool_spans(net, op, attrs, view)
    ceil = bool(attrs.ceil_mode)
    if not attrs.count_include_pad or not any(map(any, w.pads)):
        _pool(net, op, "avg_pool2d", view, rank, w, ceil)
        return
    # Padding counts: it becomes part of the input.
    sizes = view.shape[1:]
    larger = tuple(
        before + size + after
        for size, (before, after) in zip(sizes, w.pads, strict=True)
    )
    valid = replace(w, pads=((0, 0),) * rank)
    wanted = [count(w, axis, size, ceil) for axis, size in enumerate(sizes)]
    for mode in (False, True):
        if wanted == [count(valid, axis, n, mode) for axis, n in enumerate(larger)]:
            break
    else:
        raise net.refusal(
            op, "count_include_pad with these sizes; count_include_pad=0 is supported"
        )
    image = padded(net, op, view, ((0, 0), *w.pads))
    _pool(net, op, "avg_pool2d", image, rank, valid, mode)


def _pooled(net: Net, op: SourceOp, view: View) -> int:
    rank = len(view.axes) - 1
    if rank not in IMAGE:
        raise net.refusal(op, f"over {rank} axes; 1 and 2 are supported")
    return rank


def _pool_spans(net: Net, op: SourceOp, attrs: given.Windows, view: View) -> Spans:
    w = spans(op, attrs, view.shape[1:], attrs.kernel_shape)
    if any(dilation != 1 for dilation in w.dilations):
        raise net.refusal(op, "pools with dilation are not supported")
    return w


def _pool(
    net: Net, op: SourceOp, name: str, view: View, rank: int, w: Spans, ceil: bool
) -> None:
    w = w.over_image
    image = net.arranger.arranged(view, IMAGE[rank], op.kind)
    attrs = OPS[name].attrs(w.kernel, w.strides, w.pads, ceil)
    shape = OPS[name].infer(attrs, (net.builder.shape(image),))
    like = view_of(image, shape, OF_IMAGE[rank])
    tail = net.tail(op, op.outputs[0], like, fuses=False)
    net.values[tail.number] = like.of(net.layer(name, attrs, [image], tail))


def global_average_pool(net: Net, op: SourceOp) -> None:
    given.given(given.Plain, op)
    view = net.view(op)
    _check_cells(op, view)
    _mean(net, op, view, tuple(range(1, len(view.axes))), True)


def global_max_pool(net: Net, op: SourceOp) -> None:
    given.given(given.Plain, op)
    view = net.view(op)
    _check_cells(op, view)
    rank = _pooled(net, op, view)
    image = net.arranger.arranged(view, IMAGE[rank], op.kind)
    *cells, channels = net.builder.shape(image)
    attrs = OPS["max_pool2d"].attrs(tuple(cells), (1, 1))
    like = view_of(image, (1, 1, channels), OF_IMAGE[rank])
    tail = net.tail(op, op.outputs[0], like, fuses=False)
    net.values[tail.number] = like.of(net.layer("max_pool2d", attrs, [image], tail))


def _check_cells(op: SourceOp, view: View) -> None:
    if len(view.axes) < 2:
        raise FileFormatError(
            f"{op}: a tensor of {len(view.axes) + 1} axes has no cells"
        )


def reduce_mean(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Reduce, op), net.view(op)
    axes = axes_of(attrs, net.known(op, 1), 1)
    if not axes and attrs.noop_with_empty_axes:
        net.values[op.outputs[0]] = view
        return
    rank = len(view.axes) + 1
    numbers = [net.axis(op, axis, rank) for axis in axes or range(rank)]
    _mean(net, op, view, tuple(sorted(set(numbers))), bool(attrs.keepdims))


def _mean(
    net: Net, op: SourceOp, view: View, axes: tuple[int, ...], keeps: bool
) -> None:
    """The mean over some axes: ours are those before, the averaged, and those after."""
    kept = [axis for axis in range(len(view.axes)) if axis not in axes]
    inner, outer = _around(view, axes, kept)
    averaged = sorted(axes, key=lambda axis: -view.stride(axis))
    if outer or len(averaged) != 2:
        groups = [tuple(outer), tuple(averaged), tuple(inner)]
    else:  # height and width
        groups = [(averaged[0],), (averaged[1],), tuple(inner)]
    x = net.arranger.arranged(view, groups, op.kind)
    like = _after_mean(x, view, (outer, inner), keeps)
    tail = net.tail(op, op.outputs[0], like, fuses=False)
    if tail.output is not None and tail.output != net.builder.qparams(x):
        over = OPS["mean"].attrs((2,) if outer else (1, 2))
        made = net.layer("mean", over, [x], tail)
    elif outer:
        row = (1, net.builder.shape(x)[1])
        made = net.layer("avg_pool2d", OPS["avg_pool2d"].attrs(row, row), [x], tail)
    else:
        made = net.layer("global_avg_pool2d", plain("global_avg_pool2d"), [x], tail)
    net.values[tail.number] = like.of(made)


def _around(
    view: View, axes: Sequence[int], kept: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Axes that stay: those that lie inside of the averaged ones in ours, and the
    others."""
    most = max((view.stride(axis) for axis in axes), default=0)
    ordered = sorted(kept, key=lambda axis: -view.stride(axis))
    outer = [axis for axis in ordered if view.stride(axis) > most]
    return [axis for axis in ordered if axis not in outer], outer


def _after_mean(
    x: Symbol, view: View, kept: tuple[list[int], list[int]], keeps: bool
) -> View:
    """Where the elements lie that a mean leaves; averaged axes stay if it `keeps`."""
    stay = [*kept[0], *kept[1]]
    made = view_of(x, tuple(view.shape[axis] for axis in stay))
    axes = dict(zip(stay, made.axes, strict=True))
    everywhere = range(len(view.axes))
    return View(x, tuple(axes.get(k, ()) for k in everywhere if k in axes or keeps))
