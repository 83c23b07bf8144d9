"""What each operator becomes in an ONNX file.

A function of `TABLE` adds the nodes that compute an operator in real values, and gives
the name of the result, which `writer` then quantizes. Images (H, W, C) are (C, H, W)
there, and rows (T, C) are (C, T); other tensors have the axes that they have here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kanji_np.errors import UnsupportedOp
from kanji_np.formats.onnx.draft import Draft
from kanji_np.formats.saved import meaning
from kanji_np.graph import Node
from kanji_np.ops.normalize import UNIT_BITS
from kanji_np.quantize import RELU6_MAX
from kanji_np.types import LinearInts, Shape, Specs
from kanji_np.window import Geometry, Window

Inputs = Sequence[str]
#: (draft, node, names of its inputs, their specs) -> the real output's name.
Lower = Callable[[Draft, Node, Inputs, Specs], str]

# Of a pixel: what is half way between two integers goes up, as in `ops.normalize`.
# Whatever the shift, it is less than half a step and exact in float32.
NUDGE = 2.0**-4


def has_channels(shape: Shape) -> bool:
    """Whether the channels of a tensor come first in the file, and last here."""
    return len(shape) in (2, 3)


def file_shape(shape: Shape) -> Shape:
    """The shape of one sample in the file."""
    return (shape[-1], *shape[:-1]) if has_channels(shape) else shape


def _moves(shape: Shape) -> bool:
    """Whether channels first are another order of the elements."""
    return has_channels(shape) and shape[-1] > 1 and math.prod(shape[:-1]) > 1


def _real(node: Node) -> str:
    return f"{node.name}/real"


def _activated(draft: Draft, node: Node, x: str) -> str:
    """The fused activation, if there is one."""
    activation = node.operator.activation(node.attrs)
    if activation == "linear":
        return x
    return _clipped(draft, activation, x, f"{node.name}/{activation}")


def _clipped(draft: Draft, activation: str, x: str, name: str) -> str:
    if activation == "relu":
        return draft.node("Relu", [x], name)
    low = draft.constant(f"{name}/low", np.array(0.0, np.float32))
    high = draft.constant(f"{name}/high", np.array(RELU6_MAX, np.float32))
    return draft.node("Clip", (x, low, high), name)


# Convolutions and dense layers


def _conv2d(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    weight = node.ints.weight.transpose(0, 3, 1, 2)  # (Cout,KH,KW,Cin): channels first
    windows = _windows(node.attrs.window.over(specs[0].shape), specs[0].shape)
    return _convolution(draft, node, xs, specs, weight, windows, node.attrs.groups)


def _conv1d(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    weight = node.ints.weight.transpose(0, 2, 1)  # (Cout,K,Cin) -> (Cout,Cin,K)
    row = (1, *specs[0].shape)
    windows = _windows(node.attrs.over_row.window.over(row), row)
    along = {
        "kernel_shape": windows["kernel_shape"][1:],
        "strides": windows["strides"][1:],
        "dilations": windows["dilations"][1:],
        "pads": windows["pads"][1::2],
    }
    return _convolution(draft, node, xs, specs, weight, along, node.attrs.groups)


def _depthwise_conv2d(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    weight = node.ints.weight[:, None]  # (Cout,KH,KW) -> (Cout,1,KH,KW)
    windows = _windows(node.attrs.window.over(specs[0].shape), specs[0].shape)
    groups = specs[0].shape[-1]
    return _convolution(draft, node, xs, specs, weight, windows, groups)


def _convolution(
    draft: Draft,
    node: Node,
    xs: Inputs,
    specs: Specs,
    weight: np.ndarray,
    windows: dict[str, Any],
    groups: int,
) -> str:
    inputs = (*xs, *_weights(draft, node, specs, weight))
    options = windows | {"group": groups}
    return _activated(draft, node, draft.node("Conv", inputs, _real(node), options))


def _windows(g: Geometry, shape: Shape) -> dict[str, Any]:
    """The attributes of windows over (H, W, C), all padding told in cells."""
    return {
        "kernel_shape": g.kernel,
        "strides": g.stride,
        "dilations": g.dilation,
        "pads": (
            *g.pad,
            *(
                max(reach - before - size, 0)
                for reach, before, size in zip(g.reach, g.pad, shape[:2], strict=True)
            ),
        ),
    }


def _dense(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    inputs = (*xs, *_weights(draft, node, specs, node.ints.weight))
    y = draft.node("Gemm", inputs, _real(node), {"transB": 1})
    return _activated(draft, node, y)


def _transpose_conv2d(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    """What is cut off behind the output, or added there if it is less than nothing."""
    shape, weight = specs[0].shape, node.ints.weight
    scatter = node.attrs.scatter(shape)
    after = [
        (size - 1) * stride + kernel - before - out
        for size, stride, kernel, before, out in zip(
            shape, scatter.stride, scatter.kernel, scatter.before, scatter.out,
            strict=False,
        )
    ]  # fmt: skip
    options = {
        "kernel_shape": scatter.kernel,
        "strides": scatter.stride,
        "pads": (*scatter.before, *(max(cells, 0) for cells in after)),
        "output_padding": tuple(max(-cells, 0) for cells in after),
    }
    weight = weight.transpose(3, 0, 1, 2)  # (Cout,KH,KW,Cin) -> (Cin,Cout,KH,KW)
    inputs = (*xs, *_weights(draft, node, specs, weight, axis=1))
    y = draft.node("ConvTranspose", inputs, _real(node), options)
    return _activated(draft, node, y)


def _weights(
    draft: Draft, node: Node, specs: Specs, weight: np.ndarray, axis: int = 0
) -> tuple[str, str]:
    """Weights, output channels along `axis`, and biases."""
    ints: LinearInts = node.ints
    assert ints.weight_scales is not None  # of all that `quantize` makes
    sums = meaning(specs[0]).scale * ints.weight_scales
    return (
        draft.integers(f"{node.name}/weight", weight, ints.weight_scales, axis),
        draft.integers(f"{node.name}/bias", ints.bias, sums),
    )


# Windows


def _max_pool2d(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    return draft.node("MaxPool", xs, _real(node), _pool(node.attrs.window, specs))


def _avg_pool2d(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    options = _pool(node.attrs.window, specs)
    del options["dilations"]  # onnxruntime's int8 kernel refuses a file that has them
    return draft.node("AveragePool", xs, _real(node), options)


def _pool(window: Window, specs: Specs) -> dict[str, Any]:
    shape = specs[0].shape
    return _windows(window.over(shape), shape)


def _global_avg_pool2d(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    y = draft.node("GlobalAveragePool", xs, f"{node.name}/mean")
    return draft.shaped(y, _real(node), node.output.shape)  # (N,C,1,1) -> (N,C)


def _pad(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    (top, bottom), (left, right) = node.attrs.padding
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    told = draft.constant(f"{node.name}/pads", pads)
    return draft.node("Pad", (*xs, told), _real(node))


# What works on each element


def _pair(kind: str) -> Lower:
    """An operator on two tensors, of which one may be broadcast."""

    def lower(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
        rank, inputs = len(node.output.shape), []
        for x, spec in zip(xs, specs, strict=True):
            missing = rank - len(spec.shape)
            if missing:
                shape = file_shape((*(1,) * missing, *spec.shape))
                x = draft.shaped(x, f"{node.name}/operand", shape)
            inputs.append(x)
        return _activated(draft, node, draft.node(kind, inputs, _real(node)))

    return lower


def _plain(kind: str) -> Lower:
    """An operator without attributes."""
    return lambda draft, node, xs, specs: draft.node(kind, xs, _real(node))


def _relu6(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    return _clipped(draft, "relu6", xs[0], _real(node))


def _leaky_relu(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    options = {"alpha": node.attrs.negative_slope}
    return draft.node("LeakyRelu", xs, _real(node), options)


def _requantize(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    return _activated(draft, node, xs[0])


def _softmax(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    if node.ints.base == "pow2":
        raise UnsupportedOp("its softmax is of base 2, and ONNX's of base e")
    (x,), axis = xs, 1 if has_channels(node.output.shape) else -1
    if node.attrs.beta != 1:
        beta = np.array(node.attrs.beta, np.float32)
        factor = draft.constant(f"{node.name}/beta", beta)
        x = draft.node("Mul", (x, factor), f"{node.name}/scaled")
    return draft.node("Softmax", [x], _real(node), {"axis": axis})


# Shapes


def _channels_first(values: np.ndarray) -> np.ndarray:
    """A sample as it is in the file."""
    return np.moveaxis(values, -1, 0) if has_channels(values.shape) else values


def _order(rank: int) -> tuple[int, ...]:
    """Our axes of a sample in the file's order."""
    return file_shape(tuple(range(rank)))


def _concatenate(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    shape = node.output.shape
    axis = 1 if has_channels(shape) else len(shape)
    return draft.node("Concat", xs, _real(node), {"axis": axis})


def _reshape(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    """Elements are counted with the channels last, so they go there and back."""
    (x,), before, after = xs, specs[0].shape, node.output.shape
    if _moves(before):
        x = _transposed(draft, x, f"{node.name}/last", (*range(1, len(before)), 0))
    if not _moves(after):
        return draft.shaped(x, _real(node), file_shape(after))
    x = draft.shaped(x, f"{node.name}/shaped", after)
    return _transposed(draft, x, _real(node), _order(len(after)))


def _transpose(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    rank = len(node.attrs.dims)
    order = _order(rank)
    axes = [order.index(node.attrs.dims[axis] - 1) for axis in order]
    return _transposed(draft, xs[0], _real(node), axes)


def _mean(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    """Over axes as they are here: where the channels come first they are moved last,
    and back if there are still some."""
    (x,), before, after = xs, specs[0].shape, node.output.shape
    if has_channels(before):
        x = _transposed(draft, x, f"{node.name}/last", (*range(1, len(before)), 0))
    axes = draft.constant(f"{node.name}/axes", np.array(node.attrs.axis, np.int64))
    options = {"keepdims": int(node.attrs.keepdims)}
    if not has_channels(after):
        return draft.node("ReduceMean", (x, axes), _real(node), options)
    x = draft.node("ReduceMean", (x, axes), f"{node.name}/mean", options)
    return _transposed(draft, x, _real(node), _order(len(after)))


def _slice(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    ranges = node.attrs.ranges(specs[0].shape)
    order = _order(len(ranges))
    told = [
        draft.constant(f"{node.name}/{name}", np.array(values, np.int64))
        for name, values in {
            "starts": [ranges[axis].start for axis in order],
            "ends": [ranges[axis].stop for axis in order],
            "axes": range(1, len(order) + 1),
            "steps": [ranges[axis].step for axis in order],
        }.items()
    ]
    return draft.node("Slice", (*xs, *told), _real(node))


def _resize_nearest(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    """By the very indices, which Resize would compute in its own way."""
    rows, columns = (
        draft.constant(f"{node.name}/{name}", indices.astype(np.int64))
        for name, indices in zip(
            ("rows", "columns"), node.attrs.indices(specs[0].shape), strict=True
        )
    )
    x = draft.node("Gather", (*xs, rows), f"{node.name}/high", {"axis": 2})
    return draft.node("Gather", (x, columns), _real(node), {"axis": 3})


def _transposed(draft: Draft, x: str, name: str, axes: Sequence[int]) -> str:
    """`axes` are of one sample."""
    order = (0, *(axis + 1 for axis in axes))
    return draft.node("Transpose", [x], name, {"perm": order})


# Layers that read images


def _normalize(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    """(x - mean) / 64, and a little more."""
    (spec,), mean = specs, node.ints.mean
    if mean.ndim == len(spec.shape):
        mean = _channels_first(mean)
    else:
        mean = _each_channel(mean, spec.shape)
    less = draft.constant(f"{node.name}/mean", (mean - NUDGE).astype(np.float32))
    unit = draft.constant(f"{node.name}/unit", np.array(2.0**-UNIT_BITS, np.float32))
    x = draft.node("Sub", (*xs, less), f"{node.name}/centred")
    return draft.node("Mul", (x, unit), _real(node))


def _each_channel(values: np.ndarray, shape: Shape) -> np.ndarray:
    """(C,) -> (C,1,1) beside an image."""
    return values.reshape(-1, *(1,) * (len(shape) - 1))


def _rescaling(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    scale, offset = (
        draft.constant(
            f"{node.name}/{name}",
            _each_channel(np.array(values, np.float32), specs[0].shape),
        )
        for name, values in {
            "factor": node.attrs.scale,
            "offset": node.attrs.offset,
        }.items()
    )
    x = draft.node("Mul", (*xs, scale), f"{node.name}/scaled")
    return draft.node("Add", (x, offset), _real(node))


def _standardize(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    """(x - mean) / max(deviation, 1 / sqrt(n)) of n values."""
    shape, name = specs[0].shape, node.name
    axes = draft.constant(f"{name}/axes", np.arange(1, len(shape) + 1))
    mean = draft.node("ReduceMean", (*xs, axes), f"{name}/mean")
    centred = draft.node("Sub", (*xs, mean), f"{name}/centred")
    squares = draft.node("Mul", (centred, centred), f"{name}/squares")
    variance = draft.node("ReduceMean", (squares, axes), f"{name}/variance")
    deviation = draft.node("Sqrt", [variance], f"{name}/deviation")
    least = np.array(1 / math.sqrt(math.prod(shape)), np.float32)
    bounds = (deviation, draft.constant(f"{name}/least", least))
    divisor = draft.node("Max", bounds, f"{name}/divisor")
    return draft.node("Div", (centred, divisor), _real(node))


def _with_constant(draft: Draft, node: Node, xs: Inputs, specs: Specs) -> str:
    (x,), attrs, q = xs, node.attrs, node.ints.qparams
    values, rank = node.ints.constant, len(node.output.shape)
    values = values.reshape((1,) * (rank - values.ndim) + values.shape)
    steps = values.astype(np.float32) - q.zero_point
    real = _channels_first(steps * np.float32(q.scale))
    constant = draft.constant(f"{node.name}/constant", real[np.newaxis])
    y = draft.node(FUNCTIONS[attrs.function], attrs.ordered(x, constant), _real(node))
    return _activated(draft, node, y)


FUNCTIONS = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "minimum": "Min",
    "maximum": "Max",
}
TABLE: dict[str, Lower] = {
    **{name: _pair(kind) for name, kind in FUNCTIONS.items()},
    "avg_pool2d": _avg_pool2d,
    "concatenate": _concatenate,
    "conv1d": _conv1d,
    "conv2d": _conv2d,
    "dense": _dense,
    "depthwise_conv2d": _depthwise_conv2d,
    "flatten": _reshape,
    "global_avg_pool2d": _global_avg_pool2d,
    "hard_swish": _plain("HardSwish"),
    "leaky_relu": _leaky_relu,
    "max_pool2d": _max_pool2d,
    "mean": _mean,
    "normalize": _normalize,
    "pad": _pad,
    "relu": _plain("Relu"),
    "relu6": _relu6,
    "requantize": _requantize,
    "rescaling": _rescaling,
    "reshape": _reshape,
    "resize_nearest": _resize_nearest,
    "sigmoid": _plain("Sigmoid"),
    "slice": _slice,
    "softmax": _softmax,
    "standardize": _standardize,
    "tanh": _plain("Tanh"),
    "transpose": _transpose,
    "transpose_conv2d": _transpose_conv2d,
    "with_constant": _with_constant,
}
