"""The table: operators of ONNX, and the layers that they become.

Each function is given the `Net` and a node, makes layers, and tells the net what the
node's outputs are. Axes in the names of variables are those of a sample, without the
batch. What no row has is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from kanji_np.errors import FileFormatError
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.folding import BATCH, Constant, axes_of, slices_of
from kanji_np.formats.onnx.layout import View, view_of
from kanji_np.formats.onnx.linear import Linear, linear
from kanji_np.formats.onnx.net import Net, Tail
from kanji_np.formats.onnx.pointwise import (
    AFFINE,
    FUSED,
    LIMITS,
    NO_LIMITS,
    NOTHING,
    SIX,
    Affine,
    Clamped,
    clamped,
    clamped_by,
    of_sample,
)
from kanji_np.formats.onnx.quantized import dequantized, qparams, quantized
from kanji_np.formats.onnx.windows import Spans, count, spans
from kanji_np.formats.source import SourceOp
from kanji_np.layers import Symbol
from kanji_np.ops import OPS
from kanji_np.types import Shape
from kanji_np.window import Pair

#: What layers of images take height, width and channels from: of (C, H, W), (C, T).
IMAGE = {2: ((1,), (2,), (0,)), 1: ((), (1,), (0,))}
ROW = ((1,), (0,))
#: Where (C, H, W) and (C, T) lie in our (H, W, C) and (1, T, C).
OF_IMAGE = {2: (2, 0, 1), 1: (2, 1)}

Convert = Callable[[Net, SourceOp], None]


# Convolutions and matrices.


def conv(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Conv, op), net.view(op)
    weight = net.constant(op, 1)
    rank = _spatial(net, op, view, weight.data.ndim)
    outputs, inputs, *kernel = weight.data.shape
    channels = view.shape[0]
    if inputs * attrs.group != channels:
        raise FileFormatError(
            f"{op}: weights {weight.data.shape} in {attrs.group} groups do not take "
            f"{channels} channels"
        )
    is_depthwise = inputs == 1 and attrs.group > 1 and outputs % attrs.group == 0
    if attrs.group != 1 and not is_depthwise:
        raise net.refusal(
            op, f"{attrs.group} groups of {inputs} channels; 1 group is supported, and "
            "groups of 1 channel"
        )  # fmt: skip
    w = spans(op, attrs, view.shape[1:], tuple(kernel))
    given_weights = _linear(net, op, view, weight, 0)
    if rank == 1 and not is_depthwise:
        _conv_row(net, op, view, given_weights, w)
        return
    w, weights = w.over_image, given_weights.weight
    if rank == 1:
        weights = weights[:, :, None]
    window = (w.kernel, w.strides, w.dilations, w.pads)
    if is_depthwise:
        name, laid = "depthwise_conv2d", weights[:, 0]
        plain = OPS[name].attrs(*window, outputs // channels)
    else:
        name, laid = "conv2d", np.moveaxis(weights, 1, -1)
        plain = OPS[name].attrs(outputs, *window)
    image = net.arranger.arranged(view, IMAGE[rank], op.kind)
    shape = OPS[name].infer(plain, (net.builder.shape(image),))
    net.with_weights(
        op,
        view_of(image, shape, OF_IMAGE[rank]),
        replace(given_weights, weight=laid),
        lambda tail: _linear_layer(net, name, plain, image, tail),
    )


def _conv_row(net: Net, op: SourceOp, view: View, weights: Linear, w: Spans) -> None:
    """A convolution over time."""
    (kernel,), (stride,), (dilation,), (pads,) = (
        w.kernel,
        w.strides,
        w.dilations,
        w.pads,
    )
    plain = OPS["conv1d"].attrs(len(weights.bias), kernel, stride, dilation, pads)
    row = net.arranger.arranged(view, ROW, op.kind)
    shape = OPS["conv1d"].infer(plain, (net.builder.shape(row),))
    net.with_weights(
        op,
        view_of(row, shape, (1, 0)),
        replace(weights, weight=np.moveaxis(weights.weight, 1, -1)),
        lambda tail: _linear_layer(net, "conv1d", plain, row, tail),
    )


def _spatial(net: Net, op: SourceOp, view: View, weight_rank: int) -> int:
    """How many axes windows move along: 1 or 2."""
    rank = len(view.axes) - 1
    if weight_rank != rank + 2:
        raise FileFormatError(
            f"{op}: weights of {weight_rank} axes for an input of {rank + 2}"
        )
    if rank not in IMAGE:
        raise net.refusal(op, f"over {rank} axes; 1 and 2 are supported")
    return rank


def _linear(
    net: Net, op: SourceOp, view: View, weight: Constant, axis: int, bias: int = 2
) -> Linear:
    """Weight and bias, with the axis of output channels first."""
    q = net.builder.qparams(view.symbol)
    constant = net.given(op, bias)
    outputs = weight.data.shape[axis]
    if constant is not None and constant.data.shape not in ((outputs,), ()):
        raise FileFormatError(
            f"{op}: a bias of shape {constant.data.shape} for {outputs} outputs"
        )
    if weight.data.dtype.kind not in "fiu" or 0 in weight.data.shape:
        raise net.refusal(op, f"weights {weight.data.dtype} {weight.data.shape}")
    return linear(weight, axis, constant, None if q is None else q.scale)


def _linear_layer(net: Net, name: str, plain: Any, x: Symbol, tail: Tail) -> Symbol:
    """A layer with weights and the activation of its tail."""
    assert tail.linear is not None
    attrs = replace(plain, activation=tail.activation)
    return net.layer(name, attrs, [x], tail, tail.linear.params)


def conv_transpose(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.ConvTranspose, op), net.view(op)
    weight = net.constant(op, 1)
    _spatial(net, op, view, weight.data.ndim)
    raise net.refusal(op, "is not supported yet")


def gemm(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Gemm, op), net.view(op)
    weight = net.constant(op, 1)
    if attrs.transA:
        raise net.refusal(op, "transA works along the batch")
    if len(view.axes) != 1 or weight.data.ndim != 2:
        raise FileFormatError(f"{op} multiplies matrices alone")
    axis = 0 if attrs.transB else 1
    bias = _bias_of_gemm(net, op, weight.data.shape[axis])
    q = net.builder.qparams(view.symbol)
    weights = linear(weight, axis, bias, None if q is None else q.scale)
    weights = _times(weights, attrs.alpha, attrs.beta)
    _dense(net, op, view, weights)


def _times(weights: Linear, alpha: float, beta: float) -> Linear:
    """``alpha W x + beta b``"""
    if (alpha, beta) == (1.0, 1.0):
        return weights
    ones, none = np.ones(len(weights.bias)), np.zeros(len(weights.bias))
    real = weights.bias * (
        1.0 if weights.scales is None else weights.scales * weights.x_scale
    )
    plain = replace(weights, bias=weights.bias * 0)
    return plain.scaled(alpha * ones, none).scaled(ones, beta * real)


def _bias_of_gemm(net: Net, op: SourceOp, outputs: int) -> Constant | None:
    bias = net.given(op, 2)
    if bias is None:
        return None
    rows = bias.data.reshape((1,) * (2 - bias.data.ndim) + bias.data.shape)
    if rows.ndim != 2 or rows.shape[1] not in (1, outputs) or not len(rows):
        raise FileFormatError(
            f"{op}: a bias of shape {bias.data.shape} for {outputs} outputs"
        )
    if (rows != rows[:1]).any():
        raise net.refusal(op, "its bias differs between samples")
    return replace(bias, data=rows[0])


def _dense(net: Net, op: SourceOp, view: View, weights: Linear) -> None:
    """A fully connected layer over all of a sample.

    Where the input is ours with its axes in another order, as a flattened image is, the
    weights are put in that order.
    """
    _check_inputs(op, view, weights)
    laid = np.empty_like(weights.weight)
    laid[:, view.places()] = weights.weight
    x = net.arranger.shaped(view.symbol, (view.size,), op.kind)
    plain = OPS["dense"].attrs(len(weights.bias))
    net.with_weights(
        op,
        view_of(x, (len(weights.bias),)),
        replace(weights, weight=laid),
        lambda tail: _linear_layer(net, "dense", plain, x, tail),
    )


def _check_inputs(op: SourceOp, view: View, weights: Linear) -> None:
    if weights.weight.shape[1] != view.shape[-1]:
        raise FileFormatError(
            f"{op}: weights for {weights.weight.shape[1]} inputs, which are "
            f"{view.shape[-1]}"
        )


def matmul(net: Net, op: SourceOp) -> None:
    """By a matrix: a fully connected layer, or a convolution of one cell."""
    given.given(given.Plain, op)
    view, weight = net.view(op), net.constant(op, 1)
    if weight.data.ndim != 2 or not view.axes:
        raise net.refusal(
            op,
            f"by weights of shape {weight.data.shape}; they must be (inputs, outputs)",
        )
    weights = _linear(net, op, view, weight, 1, bias=len(op.inputs))
    rank, units = len(view.axes), len(weights.bias)
    if rank == 1:
        _dense(net, op, view, weights)
        return
    _check_inputs(op, view, weights)
    if rank == 3:
        groups, plain = [(0,), (1,), (2,)], OPS["conv2d"].attrs(units, (1, 1))
    else:
        groups, plain = (
            [(*range(rank - 1),), (rank - 1,)],
            OPS["conv1d"].attrs(units, 1),
        )
    name = "conv2d" if rank == 3 else "conv1d"
    x = net.arranger.arranged(view, groups, op.kind)
    cells = (1,) * (len(groups) - 1)
    net.with_weights(
        op,
        view_of(x, (*view.shape[:-1], units)),
        replace(weights, weight=weights.weight.reshape(units, *cells, -1)),
        lambda tail: _linear_layer(net, name, plain, x, tail),
    )


# Pools.


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
    counts = [count(w, axis, size, ceil) for axis, size in enumerate(view.shape[1:])]
    larger = tuple(
        before + size + after
        for size, (before, after) in zip(view.shape[1:], w.pads, strict=True)
    )
    plain = replace(w, pads=((0, 0),) * rank)
    for mode in (False, True):
        if counts == [count(plain, k, size, mode) for k, size in enumerate(larger)]:
            break
    else:
        raise net.refusal(
            op, "count_include_pad with these sizes; count_include_pad=0 is supported"
        )
    padded = _padded(net, op, view, ((0, 0), *w.pads))
    _pool(net, op, "avg_pool2d", padded, rank, plain, mode)


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


def global_pool(kind: str) -> Convert:
    """Of all cells of an image or a row."""

    def convert(net: Net, op: SourceOp) -> None:
        given.given(given.Plain, op)
        view = net.view(op)
        rank = len(view.axes)
        if rank < 2:
            raise FileFormatError(f"{op}: an input of {rank + 1} axes has no cells")
        if kind == "max":
            cells = math.prod(view.shape[1:])
            w = Spans((1, cells), (1, 1), (1, 1), ((0, 0), (0, 0)))
            flat = view.reshaped((view.shape[0], cells))
            assert flat is not None  # axes are only joined
            image = net.arranger.arranged(flat, IMAGE[1], op.kind)
            attrs = OPS["max_pool2d"].attrs(w.kernel, w.strides)
            like = view_of(image, (1, 1, view.shape[0]), (2, 0, 1)[:rank])
            tail = net.tail(op, op.outputs[0], like, fuses=False)
            made = net.layer("max_pool2d", attrs, [image], tail)
            net.values[tail.number] = like.of(made)
            return
        _mean(net, op, view, tuple(range(1, rank)), True)

    return convert


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
    averaged = sorted(axes, key=lambda axis: -_stride(view, axis))
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
        made = net.layer("global_avg_pool2d", _plain("global_avg_pool2d"), [x], tail)
    net.values[tail.number] = like.of(made)


def _around(
    view: View, axes: Sequence[int], kept: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Axes that stay: those that lie inside of the averaged ones in ours, and the
    others."""
    most = max((_stride(view, axis) for axis in axes), default=0)
    ordered = sorted(kept, key=lambda axis: -_stride(view, axis))
    outer = [axis for axis in ordered if _stride(view, axis) > most]
    return [axis for axis in ordered if axis not in outer], outer


def _stride(view: View, axis: int) -> int:
    """Of the outermost run of an axis."""
    return view.axes[axis][0].stride if view.axes[axis] else 0


def _after_mean(
    x: Symbol, view: View, kept: tuple[list[int], list[int]], keeps: bool
) -> View:
    """Where the elements lie that a mean leaves; averaged axes stay if it `keeps`."""
    stay = [*kept[0], *kept[1]]
    made = view_of(x, tuple(view.shape[axis] for axis in stay))
    axes = dict(zip(stay, made.axes, strict=True))
    everywhere = range(len(view.axes))
    return View(x, tuple(axes.get(k, ()) for k in everywhere if k in axes or keeps))


# Elements.


def pointwise(net: Net, op: SourceOp) -> None:
    """`Add`, `Sub`, `Mul`, `Div`: of a tensor and a constant, or of two tensors."""
    values = [net.value(op, place) for place in range(2)]
    views = [value for value in values if isinstance(value, View)]
    if len(views) == 2:
        given.given(given.Plain, op)
        pair(net, op, views[0], views[1])
        return
    place = 0 if isinstance(values[0], View) else 1
    view = net.view(op, place)
    affine = AFFINE[op.kind](net, op, place, view)
    if affine is None and op.kind == "Div" and place:
        raise net.refusal(op, "divides a constant by a tensor")
    if affine is None:
        raise _refused_constant(net, op, view)
    net.affine(op, view, affine)


PAIRS = {"Add": "add", "Mul": "mul", "Sub": "sub", "Min": "minimum", "Max": "maximum"}


def pair(net: Net, op: SourceOp, first: View, second: View, *others: View) -> None:
    """An operator of two tensors, or of more one after the other, by element."""
    if PAIRS.get(op.kind) not in OPS:
        known = ", ".join(kind for kind, name in PAIRS.items() if name in OPS)
        raise net.refusal(op, f"of two tensors; {known} are supported")
    name = PAIRS[op.kind]
    if len(first.axes) != len(second.axes):
        raise net.refusal(
            op, f"of tensors of {len(first.axes) + 1} and {len(second.axes) + 1} axes"
        )
    xs, like = _side_by_side(net, op, first, second)
    if others:
        made = net.layer(name, _plain(name), xs, Tail([op], -1))
        pair(net, op, like.of(made), *others)
        return
    fuses = hasattr(_plain(name), "activation")
    tail = net.tail(op, op.outputs[0], like, fuses=fuses)
    attrs = _plain(name)
    if fuses:
        attrs = replace(attrs, activation=tail.activation)
    net.values[tail.number] = like.of(net.layer(name, attrs, xs, tail))


def _side_by_side(
    net: Net, op: SourceOp, first: View, second: View
) -> tuple[list[Symbol], View]:
    """Two tensors with their elements in one order, and where those of the result lie.

    Along axes of length 1 a tensor is repeated.
    """
    shape = tuple(map(max, first.shape, second.shape))
    for view in (first, second):
        if any(
            size not in (1, whole)
            for size, whole in zip(view.shape, shape, strict=True)
        ):
            raise FileFormatError(f"{op}: {first.shape} and {second.shape} do not fit")
    if first.axes == second.axes:
        x = net.builder.shape(first.symbol)
        return [first.symbol, net.arranger.shaped(second.symbol, x, op.kind)], first
    sizes = [_sizes(axis, first, second) for axis in range(len(shape))]
    fine = [_split(net, op, view, sizes) for view in (first, second)]
    large, small = sorted(fine, key=lambda view: -view.size)
    order = sorted(
        range(len(large.axes)),
        key=lambda k: (-_stride(large, k) if large.axes[k] else -math.inf,
                       -_stride(small, k)),
    )  # fmt: skip
    order = [k for k in order if large.axes[k] or small.axes[k]]
    groups = [(k,) for k in order]
    xs = [net.arranger.arranged(view, groups, op.kind) for view in fine]
    whole = [size for row in sizes for size in row]
    like = view_of(xs[0], tuple(whole[k] for k in order))
    axes = dict(zip(order, like.axes, strict=True))
    places, joint = iter(range(len(whole))), []
    for row in sizes:
        joint.append(tuple(run for _ in row for run in axes.get(next(places), ())))
    return xs, View(xs[0], tuple(joint))


def _sizes(axis: int, first: View, second: View) -> list[int]:
    """The parts of an axis of two tensors, in which neither changes its order."""
    runs = [view.axes[axis] for view in (first, second) if view.axes[axis]]
    if len(runs) == 2 and [r.size for r in runs[0]] != [r.size for r in runs[1]]:
        return [math.prod(run.size for run in runs[0])]
    return [run.size for run in runs[0]] if runs else [1]


def _split(net: Net, op: SourceOp, view: View, sizes: list[list[int]]) -> View:
    """A tensor with an axis for every part; of length 1 where it is repeated."""
    own = tuple(
        1 if not view.axes[axis] else size
        for axis, row in enumerate(sizes)
        for size in row
    )
    made = view.reshaped(own)
    if made is None:
        made = net.arranger.in_order(view, op.kind).reshaped(own)
        assert made is not None  # in order, any shape is one
    return made


def extremes(net: Net, op: SourceOp) -> None:
    """`Min` and `Max` of any number of tensors and constants."""
    given.given(given.Plain, op)
    values = [net.value(op, place) for place in range(len(op.inputs))]
    first, *others = [value for value in values if isinstance(value, View)]
    limit = _limit(net, op, first, values)
    if limit is not None:
        if others:
            raise net.refusal(op, "of several tensors and a constant")
        ends = (limit, None) if op.kind == "Max" else (None, limit)
        net.clamp(op, first, clamped(*ends))
    elif others:
        pair(net, op, first, *others)
    else:
        passed(net, op)


def _limit(
    net: Net, op: SourceOp, view: View, values: Sequence[Any]
) -> np.ndarray | None:
    """All constants as one."""
    limits = []
    for value in values:
        if isinstance(value, Constant):
            limit = of_sample(value, view)
            if limit is None or not np.isfinite(limit).all():
                raise _refused_constant(net, op, view)
            limits.append(limit)
    return (
        reduce(np.maximum if op.kind == "Max" else np.minimum, limits)
        if (limits)
        else None
    )


def _refused_constant(net: Net, op: SourceOp, view: View) -> Exception:
    return net.refusal(
        op,
        f"its constants must be numbers that fit {view.shape}, the same for every "
        "sample",
    )


def limited(net: Net, op: SourceOp) -> None:
    """`Relu` and `Clip` that no layer before has fused."""
    limits, view = LIMITS[op.kind](net, op), net.view(op)
    if limits in FUSED:
        net.unary(op, view, FUSED[limits])
    elif limits == NO_LIMITS:
        passed(net, op)
    else:
        net.clamp(op, view, clamped_by(limits, len(view.axes)))


def function(name: str) -> Convert:
    """One of our operators of each element, without attributes."""

    def convert(net: Net, op: SourceOp) -> None:
        given.given(given.Plain, op)
        if name not in OPS:
            raise net.refusal(op, "is not supported")
        net.unary(op, net.view(op), name)

    return convert


def leaky_relu(net: Net, op: SourceOp) -> None:
    attrs = given.given(given.LeakyRelu, op)
    net.unary(op, net.view(op), "leaky_relu", OPS["leaky_relu"].attrs(attrs.alpha))


def hard_sigmoid(net: Net, op: SourceOp) -> None:
    """``min(max(alpha x + beta, 0), 1)``; times x it may be `HardSwish`."""
    attrs, view = given.given(given.HardSigmoid, op), net.view(op)
    product = net.only_reader(op.outputs[0])
    is_swish = (
        product is not None
        and product.kind == "Mul"
        and set(product.inputs) == {op.inputs[0], op.outputs[0]}
        and math.isclose(attrs.alpha, 1 / 6, rel_tol=1e-6)
        and attrs.beta == 0.5
    )
    if is_swish and product is not None:
        given.given(given.Plain, product)
        net.done.add(product.outputs[0])
        net.unary(replace(product, name=op.name), view, "hard_swish")
        return
    before = Affine.scalar(SIX * attrs.alpha, SIX * attrs.beta, view)
    net.clamp(op, view, Clamped(before, "relu6", Affine.scalar(1 / SIX, 0.0, view)))


def batch_norm(net: Net, op: SourceOp) -> None:
    """Of what is no layer with weights: a layer of its own."""
    view = net.view(op)
    affine = AFFINE[op.kind](net, op, 0, view)
    assert affine is not None  # its first input is no constant
    net.affine(op, view, affine)


def softmax(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Softmax, op), net.view(op)
    rank = len(view.axes) + 1
    is_old = net.source.opset < 13
    axis = net.axis(
        op, (1 if is_old else -1) if attrs.axis is None else attrs.axis, rank
    )
    # Before opset 13 all axes from this one on are one.
    axes = tuple(range(axis, rank - 1)) if is_old else (axis,)
    others = [k for k in range(rank - 1) if k not in axes]
    groups = [(k,) for k in others] + [axes]
    if all(view.shape[k] == 1 for k in others):
        groups = [axes]
    x = net.arranger.arranged(view, groups, op.kind)
    made = view_of(x, tuple(view.shape[k] for k in (*others, *axes)))
    order = [*others, *axes]
    like = made.transposed([order.index(k) for k in range(rank - 1)])
    tail = net.tail(op, op.outputs[0], like, fuses=False)
    if tail.output is not None:  # softmax ends a network: nothing can change its scale
        tail.notes.append(
            f"the output keeps softmax's scale; the file has {tail.output}"
        )
        net.rescaled.add(tail.number)
        tail.output = None
    net.values[tail.number] = like.of(
        net.layer("softmax", _plain("softmax"), [x], tail)
    )


def _plain(name: str) -> Any:
    return OPS[name].attrs()


# Shapes.


def passed(net: Net, op: SourceOp) -> None:
    """The output is the input."""
    net.values[op.outputs[0]] = net.view(op)
    net.builder.drop(str(op), "the output is the input")


def nothing(net: Net, op: SourceOp) -> None:
    """`Identity`, `Dropout` of inference, `Cast` to the type that there is."""
    NOTHING[op.kind](net, op)
    passed(net, op)


def transpose(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Transpose, op), net.view(op)
    rank = len(view.axes) + 1
    perm = attrs.perm or tuple(reversed(range(rank)))
    if sorted(perm) != list(range(rank)):
        raise FileFormatError(f"{op}: {perm} is no order of {rank} axes")
    if perm[0] != 0:
        raise net.refusal(op, f"perm {perm} moves the batch, which must stay first")
    net.values[op.outputs[0]] = view.transposed([axis - 1 for axis in perm[1:]])
    net.builder.drop(str(op), "our axes stay where they are")


def reshape(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Reshape, op), net.view(op)
    sizes = net.constant(op, 1).data.reshape(-1).tolist()
    batch = net.batch
    if not attrs.allowzero:
        whole = (batch, *view.shape)
        sizes = [
            whole[k] if size == 0 and k < len(whole) else size
            for k, size in enumerate(sizes)
        ]
    rest = [size for size in sizes[1:] if size is not BATCH]
    if len(rest) != len(sizes) - 1 or not sizes:
        raise _moves_batch(net, op, sizes)
    known = math.prod(size for size in rest if size != -1)
    if -1 in rest and known > 0 and view.size % known == 0:
        rest[rest.index(-1)] = view.size // known
    is_batch = sizes[0] is BATCH or sizes[0] == batch
    fits = all(size > 0 for size in rest) and math.prod(rest) == view.size
    if not fits or not (is_batch or (sizes[0] == -1 and -1 not in sizes[1:])):
        raise _moves_batch(net, op, sizes)
    _reshaped(net, op, view, tuple(rest))


def _moves_batch(net: Net, op: SourceOp, sizes: Sequence[Any]) -> Exception:
    return net.refusal(
        op, f"to {tuple(sizes)}: the batch must stay the first axis, and a sample keep "
        "its elements"
    )  # fmt: skip


def _reshaped(net: Net, op: SourceOp, view: View, shape: Shape) -> None:
    made = view.reshaped(shape)
    if made is None:
        made = net.arranger.in_order(view, op.kind).reshaped(shape)
        assert made is not None  # in order, any shape is one
    else:
        net.builder.drop(str(op), "our elements stay where they are")
    net.values[op.outputs[0]] = made


def flatten(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Flatten, op), net.view(op)
    rank = len(view.axes) + 1
    axis = attrs.axis + rank if attrs.axis < 0 else attrs.axis
    if axis != 1:
        raise net.refusal(op, f"axis {attrs.axis}; 1 is supported, the batch stays")
    _reshaped(net, op, view, (view.size,))


def squeeze(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Axes, op), net.view(op)
    axes, rank = axes_of(attrs, net.known(op, 1), 1), len(view.axes) + 1
    if axes is None and net.batch == 1:
        raise net.refusal(op, "axes are missing, and the batch is of length 1")
    if axes is None:
        gone = {k for k, size in enumerate(view.shape) if size == 1}
    else:
        gone = {net.axis(op, axis, rank) for axis in axes}
    if any(view.shape[axis] != 1 for axis in gone):
        raise FileFormatError(f"{op}: an axis of {view.shape} is longer than 1")
    shape = tuple(size for k, size in enumerate(view.shape) if k not in gone)
    _reshaped(net, op, view, shape)


def unsqueeze(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Axes, op), net.view(op)
    axes = axes_of(attrs, net.known(op, 1), 1) or ()
    rank = len(view.axes) + 1 + len(axes)
    new = {net.axis(op, axis, rank) for axis in axes}
    if len(new) != len(axes):
        raise FileFormatError(f"{op}: an axis is named twice")
    old = iter(view.shape)
    shape = tuple(1 if k in new else next(old) for k in range(rank - 1))
    _reshaped(net, op, view, shape)


# Parts of tensors.


def concat(net: Net, op: SourceOp) -> None:
    attrs = given.given(given.Axis, op)
    views = [net.view(op, place) for place in range(len(op.inputs))]
    rank = len(views[0].axes)
    axis = net.axis(op, attrs.axis, rank + 1)
    if any(len(view.axes) != rank for view in views):
        raise FileFormatError(f"{op}: its inputs have different numbers of axes")
    if len(views) == 1:
        passed(net, op)
        return
    # Ours lie side by side along the last axis, which may be all from this one on.
    order = _order_of(views[0])
    at = order.index(axis)
    groups = [*((k,) for k in order[:at]), tuple(order[at:])]
    xs = [net.arranger.arranged(view, groups, op.kind) for view in views]
    shape = list(views[0].shape)
    for view in views[1:]:
        shape[axis] += view.shape[axis]
        if any(view.shape[k] != shape[k] for k in range(rank) if k != axis):
            raise FileFormatError(f"{op}: its inputs have different shapes")
    made = view_of(xs[0], tuple(shape[k] for k in order))
    like = made.transposed([order.index(k) for k in range(rank)])
    tail = net.tail(op, op.outputs[0], like, fuses=False)
    symbol = net.layer("concatenate", _plain("concatenate"), xs, tail)
    net.values[tail.number] = like.of(symbol)


def _order_of(view: View) -> list[int]:
    """All axes as they lie in ours, outermost first."""
    return sorted(range(len(view.axes)), key=lambda axis: -_stride(view, axis))


def pad(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Pad, op), net.view(op)
    rank = len(view.axes) + 1
    amounts, value, axes = (*net.known(op, 1)[1:], None, None, None)[:3]
    pads = attrs.pads if amounts is None else tuple(int(v) for v in amounts.reshape(-1))
    number = attrs.value if value is None else float(value.reshape(-1)[0])
    if attrs.mode != "constant" or number != 0:
        raise net.refusal(op, f"by {attrs.mode} {number}; zeros are supported")
    names = range(rank) if axes is None else [int(v) for v in axes.reshape(-1)]
    if len(pads) != 2 * len(names):
        raise FileFormatError(f"{op}: {len(pads)} sizes for {len(names)} axes")
    sides = [(0, 0)] * (rank - 1)
    for k, axis in enumerate(names):
        both = pads[k], pads[k + len(names)]
        if both != (0, 0):
            sides[net.axis(op, axis, rank)] = both
    if min(map(min, sides), default=0) < 0:
        raise net.refusal(op, "takes cells away; Slice is supported")
    padding = _with_padding(net, op, sides)
    if padding is None:
        net.values[op.outputs[0]] = _padded(net, op, view, sides)
        return
    net.done.add(padding.outputs[0])
    net.builder.drop(str(op), f"part of {padding}")
    conv(net, padding)


def _with_padding(net: Net, op: SourceOp, sides: Sequence[Pair]) -> SourceOp | None:
    """The convolution that follows, with this padding in its own; None if none can."""
    follower = net.only_reader(op.outputs[0])
    if follower is None or follower.kind != "Conv" or any(sides[0]):
        return None
    attrs = given.given(given.Conv, follower)
    rank = len(sides) - 1
    own = attrs.pads or (0,) * (2 * rank)
    is_explicit = attrs.auto_pad == "NOTSET" and len(own) == 2 * rank
    if not is_explicit or follower.inputs[0] != op.outputs[0] or min(own) < 0:
        return None
    more = [before for before, _ in sides[1:]] + [after for _, after in sides[1:]]
    pads = tuple(a + b for a, b in zip(own, more, strict=True))
    return replace(
        follower,
        inputs=(op.inputs[0], *follower.inputs[1:]),
        options={**follower.options, "pads": pads},
    )


def _padded(net: Net, op: SourceOp, view: View, sides: Sequence[Pair]) -> View:
    """Zeros around a tensor: two axes of ours at a time, before a third."""
    while any(map(any, sides)):
        order = _order_of(view)
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
    net.values[op.outputs[0]] = _sliced(net, op, view, ranges)


def _sliced(net: Net, op: SourceOp, view: View, ranges: Sequence[range]) -> View:
    """The elements at some indices of each axis."""
    if any(r.step < 1 for r in ranges if len(r) > 1) or not all(map(len, ranges)):
        raise net.refusal(op, "takes elements backwards, or none")
    if all(len(r) == size for r, size in zip(ranges, view.shape, strict=True)):
        return view
    order = _order_of(view)
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
        sizes = tuple(int(v) for v in given_sizes.data.reshape(-1))
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
        if number >= 0 and (net.readers(number) or number in net.source.outputs):
            net.values[number] = _sliced(net, op, view, ranges)
        start += size


def gather(net: Net, op: SourceOp) -> None:
    """One index of an axis, or neighbours."""
    attrs, view = given.given(given.Gather, op), net.view(op)
    indices = net.constant(op, 1).data
    axis = net.axis(op, attrs.axis, len(view.axes) + 1)
    size = view.shape[axis]
    flat = [int(i) + (size if i < 0 else 0) for i in indices.reshape(-1)]
    ranges = [range(n) for n in view.shape]
    if not flat or indices.ndim > 1 or not all(0 <= i < size for i in flat):
        raise net.refusal(op, f"the indices must be a row of some in 0 .. {size - 1}")
    step = flat[1] - flat[0] if len(flat) > 1 else 1
    ranges[axis] = range(flat[0], flat[0] + step * len(flat), step or 1)
    if list(ranges[axis]) != flat:
        raise net.refusal(op, "the indices must rise by the same step")
    made = _sliced(net, op, view, ranges)
    if indices.ndim == 0:
        kept = [k for k in range(len(view.axes)) if k != axis]
        made = made.transposed(kept)
    net.values[op.outputs[0]] = made


def resize(net: Net, op: SourceOp) -> None:
    raise net.refusal(op, "is not supported yet")


def shape_of(net: Net, op: SourceOp) -> None:
    attrs, value = given.given(given.Shape, op), net.value(op, 0)
    if isinstance(value, Constant):
        whole: tuple[Any, ...] = value.data.shape
    else:
        whole = (net.batch, *net.view(op).shape)
    part = whole[attrs.start : attrs.end]
    dtype = object if BATCH in part else np.int64
    made = np.empty(len(part), dtype)
    made[:] = part
    net.values[op.outputs[0]] = Constant(made)


# Integers.


def quantize(net: Net, op: SourceOp) -> None:
    value = net.value(op, 0)
    if isinstance(value, Constant):
        net.values[op.outputs[0]] = quantized(net, op, value)
        return
    view = net.view(op)
    symbol = net.requantized(view.symbol, qparams(net, op))
    net.values[op.outputs[0]] = view.of(symbol)


def dequantize(net: Net, op: SourceOp) -> None:
    value = net.value(op, 0)
    if isinstance(value, Constant):
        net.values[op.outputs[0]] = dequantized(net, op, value)
        return
    view = net.view(op)
    is_other = net.builder.qparams(view.symbol) != qparams(net, op)
    if is_other and op.inputs[0] not in net.rescaled:
        raise net.refusal(op, "its scale is not that of the integers it reads")
    net.values[op.outputs[0]] = view


@dataclass(frozen=True)
class Row:
    """How an operator is mapped, and how many inputs it has at most."""

    convert: Convert
    most_inputs: int


#: By the names of ONNX.
OPERATORS: dict[str, Row] = {
    "Add": Row(pointwise, 2),
    "AveragePool": Row(average_pool, 1),
    "BatchNormalization": Row(batch_norm, 5),
    "Cast": Row(nothing, 1),
    "Clip": Row(limited, 3),
    "Concat": Row(concat, 2**16),
    "Conv": Row(conv, 3),
    "ConvTranspose": Row(conv_transpose, 3),
    "DequantizeLinear": Row(dequantize, 3),
    "Div": Row(pointwise, 2),
    "Dropout": Row(nothing, 3),
    "Flatten": Row(flatten, 1),
    "Gather": Row(gather, 2),
    "Gemm": Row(gemm, 3),
    "GlobalAveragePool": Row(global_pool("average"), 1),
    "GlobalMaxPool": Row(global_pool("max"), 1),
    "HardSigmoid": Row(hard_sigmoid, 1),
    "HardSwish": Row(function("hard_swish"), 1),
    "Identity": Row(nothing, 1),
    "LeakyRelu": Row(leaky_relu, 1),
    "MatMul": Row(matmul, 2),
    "Max": Row(extremes, 2**16),
    "MaxPool": Row(max_pool, 1),
    "Min": Row(extremes, 2**16),
    "Mul": Row(pointwise, 2),
    "Pad": Row(pad, 4),
    "QuantizeLinear": Row(quantize, 3),
    "ReduceMean": Row(reduce_mean, 2),
    "Relu": Row(limited, 1),
    "Reshape": Row(reshape, 2),
    "Resize": Row(resize, 4),
    "Shape": Row(shape_of, 1),
    "Sigmoid": Row(function("sigmoid"), 1),
    "Slice": Row(slice_, 5),
    "Softmax": Row(softmax, 1),
    "Split": Row(split, 2),
    "Squeeze": Row(squeeze, 2),
    "Sub": Row(pointwise, 2),
    "Tanh": Row(function("tanh"), 1),
    "Transpose": Row(transpose, 1),
    "Unsqueeze": Row(unsqueeze, 2),
    "Upsample": Row(resize, 2),
}
