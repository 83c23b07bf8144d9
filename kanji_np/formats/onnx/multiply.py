"""Convolutions, and products with matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kanji_np.errors import FileFormatError
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.folding import Constant
from kanji_np.formats.onnx.layout import IMAGE, OF_IMAGE, ROW, View, view_of
from kanji_np.formats.onnx.linear import Linear, linear
from kanji_np.formats.onnx.net import Net, Tail
from kanji_np.formats.onnx.windows import Spans, scattered, spans
from kanji_np.formats.source import SourceOp
from kanji_np.layers import Symbol
from kanji_np.ops import OPS
from kanji_np.ops.attributes import MOST_CHANNELS
from kanji_np.types import Shape
from kanji_np.window import Pair


def conv(net: Net, op: SourceOp) -> None:
    attrs, view = given.given(given.Conv, op), net.view(op)
    weight = net.constant(op, 1)
    rank = _spatial(net, op, view, weight.data.ndim)
    outputs, inputs, *kernel = weight.data.shape
    channels = view.shape[0]
    groups = attrs.group
    if groups < 1 or inputs * groups != channels or outputs % groups:
        raise FileFormatError(
            f"{op}: weights {weight.data.shape} in {groups} groups do not take "
            f"{channels} channels"
        )
    is_depthwise = inputs == 1 < groups
    w = spans(op, attrs, view.shape[1:], tuple(kernel))
    given_weights = _linear(net, op, view, weight, 0)
    if rank == 1 and not is_depthwise:
        _conv_row(net, op, view, given_weights, w, groups)
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
        plain = OPS[name].attrs(outputs, *window, groups=groups)
    image = net.arranger.arranged(view, IMAGE[rank], op.kind)
    shape = OPS[name].infer(plain, (net.builder.shape(image),))
    net.with_weights(
        op,
        view_of(image, shape, OF_IMAGE[rank]),
        replace(given_weights, weight=laid),
        lambda tail: _linear_layer(net, name, plain, image, tail),
    )


def conv_padded(net: Net, op: SourceOp, sides: Sequence[Pair]) -> bool:
    """Make zeros around an image the padding of the convolution that follows.

    Whether one follows, and nothing else reads the zeros.
    """
    follower = net.only_reader(op.outputs[0])
    if follower is None or follower.kind != "Conv" or any(sides[0]):
        return False
    attrs = given.given(given.Conv, follower)
    rank = len(sides) - 1
    own = attrs.pads or (0,) * (2 * rank)
    is_explicit = attrs.auto_pad == "NOTSET" and len(own) == 2 * rank
    if not is_explicit or follower.inputs[0] != op.outputs[0] or min(own) < 0:
        return False
    more = [before for before, _ in sides[1:]] + [after for _, after in sides[1:]]
    pads = tuple(a + b for a, b in zip(own, more, strict=True))
    net.done.add(follower.outputs[0])
    net.builder.drop(str(op), f"part of {follower}")
    inputs = (op.inputs[0], *follower.inputs[1:])
    options = {**follower.options, "pads": pads}
    conv(net, replace(follower, inputs=inputs, options=options))
    return True


def _conv_row(
    net: Net, op: SourceOp, view: View, weights: Linear, w: Spans, groups: int
) -> None:
    """A convolution over time."""
    (kernel,), (stride,), (dilation,), (pads,) = (
        w.kernel,
        w.strides,
        w.dilations,
        w.pads,
    )
    plain = OPS["conv1d"].attrs(
        len(weights.bias), kernel, stride, dilation, pads, groups=groups
    )
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


def _linear_layer(net: Net, name: str, attrs: Any, x: Symbol, tail: Tail) -> Symbol:
    """A layer with weights and the activation of its tail."""
    assert tail.linear is not None
    attrs = replace(attrs, activation=tail.activation)
    return net.layer(name, attrs, [x], tail, tail.linear.params)


def conv_transpose(net: Net, op: SourceOp) -> None:
    """A convolution turned round: every input adds a kernel to the output."""
    attrs, view = given.given(given.ConvTranspose, op), net.view(op)
    weight = net.constant(op, 1)
    rank = _spatial(net, op, view, weight.data.ndim)
    inputs, outputs, *kernel = weight.data.shape
    if attrs.group != 1:
        raise net.refusal(op, f"{attrs.group} groups; 1 is supported")
    if inputs != view.shape[0]:
        raise FileFormatError(
            f"{op}: weights {weight.data.shape} do not take {view.shape[0]} channels"
        )
    w, more = scattered(op, attrs, view.shape[1:], tuple(kernel))
    weights = _linear(net, op, view, weight, 1)
    w, laid = w.over_image, np.moveaxis(weights.weight, 1, -1)
    if rank == 1:
        laid, more = laid[:, None], (0, *more)
    laid = _spread(net, op, laid, w.dilations)
    plain = OPS["transpose_conv2d"].attrs(
        outputs, laid.shape[1:3], w.strides, w.pads, output_padding=more
    )
    image = net.arranger.arranged(view, IMAGE[rank], op.kind)
    shape = OPS["transpose_conv2d"].infer(plain, (net.builder.shape(image),))
    net.with_weights(
        op,
        view_of(image, shape, OF_IMAGE[rank]),
        replace(weights, weight=laid),
        lambda tail: _linear_layer(net, "transpose_conv2d", plain, image, tail),
    )


def _spread(net: Net, op: SourceOp, weight: np.ndarray, dilations: Shape) -> np.ndarray:
    """Weights (Cout,KH,KW,Cin) with the zeros that a dilated kernel has in between."""
    if dilations == (1, 1):
        return weight
    outputs, height, width, inputs = weight.shape
    down, right = dilations
    cells = ((height - 1) * down + 1, (width - 1) * right + 1)
    if math.prod(cells) * inputs > MOST_CHANNELS:
        raise net.refusal(op, f"dilations {dilations} make a kernel of {cells}")
    spread = np.zeros((outputs, *cells, inputs), weight.dtype)
    spread[:, ::down, ::right] = weight
    return spread


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
    sums = 1.0 if weights.scales is None else weights.scales * weights.x_scale
    with np.errstate(all="ignore"):  # `scaled` refuses what is not finite
        shift = beta * (weights.bias * sums)
    plain = replace(weights, bias=np.zeros_like(weights.bias))
    return plain.scaled(alpha * ones, none).scaled(ones, shift)


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


def _dense(
    net: Net, op: SourceOp, view: View, weights: Linear, is_row: bool = True
) -> None:
    """A fully connected layer over all of a sample, to a row or a single number.

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
        view_of(x, (len(weights.bias),), (0,) if is_row else ()),
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
    """By a matrix: a fully connected layer, or a convolution of one cell.

    By a vector: the same with one output, whose axis goes.
    """
    given.given(given.Plain, op)
    view, constant = net.view(op), net.constant(op, 1)
    is_row = constant.data.ndim > 1
    weights = _linear(
        net, op, view, _matrix(net, op, view, constant), 1, len(op.inputs)
    )
    rank, units = len(view.axes), len(weights.bias)
    if rank == 1:
        _dense(net, op, view, weights, is_row)
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
        view_of(x, (*view.shape[:-1], units), range(rank if is_row else rank - 1)),
        replace(weights, weight=weights.weight.reshape(units, *cells, -1)),
        lambda tail: _linear_layer(net, name, plain, x, tail),
    )


def _matrix(net: Net, op: SourceOp, view: View, weight: Constant) -> Constant:
    """Weights as (inputs, outputs), which are the same for every row of a tensor."""
    shape, rank = weight.data.shape, len(view.axes) + 1
    stack = shape[:-2]
    if not shape or rank < 2 or math.prod(stack) != 1 or len(shape) > rank:
        raise net.refusal(
            op, f"by weights of shape {shape}; they must be (inputs, outputs)"
        )
    q, ends = weight.quantization, shape[-2:]
    if q is not None and q.per_channel:
        q = replace(q, axis=max(q.axis - len(stack), 0))
    return Constant(weight.data.reshape(ends if len(ends) > 1 else (*ends, 1)), q)
