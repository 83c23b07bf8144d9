"""What each operator becomes in a `.tflite` file.

`TABLE` has a function for each operator, and `IMAGES` those of the layers that read
images. They take the integers of a frozen graph as they are. A runtime makes its
multipliers and ranges anew, from the float32 scales in the file; the graph is for a
runtime, so it has been frozen with the same ones.

TFLite knows the paddings SAME and VALID. Any other becomes an operator in front that
pads, where that gives the same bytes. Rows (T, C) are images of one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from kanji_np.errors import ShapeError, UnsupportedOp
from kanji_np.fixedpoint import requantize
from kanji_np.formats.saved import meaning
from kanji_np.formats.tflite.draft import Draft, quantization
from kanji_np.graph import Node
from kanji_np.ops.normalize import UNIT_BITS
from kanji_np.ops.table import MOST_SHIFT
from kanji_np.quantize import activation_range, multiplier_and_shift
from kanji_np.types import LinearInts, QParams, Shape, Shapes
from kanji_np.window import Geometry, Pair, Scatter, Window

FUSED = {"linear": "NONE", "relu": "RELU", "relu6": "RELU6"}
LOWEST = -128
MOST_AXES = 4  # of what operators take, the batch included
#: Operators that see no axes, so that tensors of any rank may have two.
ELEMENTWISE = {
    "add", "hard_swish", "leaky_relu", "maximum", "minimum", "mul", "relu", "relu6",
    "requantize", "sigmoid", "sub", "tanh",
}  # fmt: skip
MOST_PARTS = 10  # of a concatenation, in TFLite Micro

Inputs = tuple[int, ...]
#: (draft, node, its inputs) -> its output; the numbers of tensors.
Lower = Callable[[Draft, Node, Inputs], int]


def wanted_shapes(node: Node, shapes: Shapes) -> tuple[Shape | None, ...]:
    """Under which shape an operator reads each input; None: as it is.

    Parameters
    ----------
    node : Node
    shapes : tuple of tuple of int
        Of one sample of each.

    Returns
    -------
    tuple of tuple of int or None
        With the batch, 1, in front.
    """
    if node.op in ("flatten", "reshape"):
        return (None,)
    if node.op == "conv1d":
        return tuple((1, 1, *shape) for shape in shapes)  # (T,C) -> (1,1,T,C)
    is_long = len(set(shapes)) == 1 and len(shapes[0]) >= MOST_AXES
    if is_long and (node.op in ELEMENTWISE or node.op == "softmax"):
        return tuple((math.prod(shape[:-1]), shape[-1]) for shape in shapes)
    rank = max(map(len, shapes))  # what is broadcast has as many axes
    return tuple((1, *(1,) * (rank - len(shape)), *shape) for shape in shapes)


def _result(draft: Draft, node: Node, shape: Shape | None = None) -> int:
    """The tensor of a node's output, if need be under another shape."""
    return draft.tensor(
        node.name, shape or (1, *node.output.shape), meaning(node.output)
    )


def _activation(node: Node) -> str:
    """TFLite's name of what is fused; UnsupportedOp if the range is another."""
    activation = node.operator.activation(node.attrs)
    own = node.ints.act_min, node.ints.act_max
    y = meaning(node.output)
    if own not in (activation_range(activation, y, k) for k in ("tflm", "xnnpack")):
        raise UnsupportedOp(
            f"its outputs are clamped to {own[0]} .. {own[1]}, and no activation of "
            "TFLite does that with this scale"
        )
    return FUSED[activation]


# Convolutions and dense layers


def _conv2d(draft: Draft, node: Node, xs: Inputs) -> int:
    weight = node.ints.weight  # (Cout,KH,KW,Cin), as TFLite has it
    return _convolution(draft, node, xs, "CONV_2D", node.attrs.window, weight, {})


def _conv1d(draft: Draft, node: Node, xs: Inputs) -> int:
    weight = node.ints.weight[:, None]  # (Cout,K,Cin) -> (Cout,1,K,Cin)
    window = node.attrs.over_row.window
    return _convolution(draft, node, xs, "CONV_2D", window, weight, {})


def _depthwise_conv2d(draft: Draft, node: Node, xs: Inputs) -> int:
    weight = node.ints.weight.transpose(1, 2, 0)[None]  # (Cout,KH,KW) -> (1,KH,KW,Cout)
    options = {"depth_multiplier": node.attrs.depth_multiplier}
    window = node.attrs.window
    return _convolution(draft, node, xs, "DEPTHWISE_CONV_2D", window, weight, options)


def _convolution(
    draft: Draft,
    node: Node,
    xs: Inputs,
    kind: str,
    window: Window,
    weight: np.ndarray,
    own: Mapping[str, int],
) -> int:
    """Weights in TFLite's layout; `own` are the options of one kind alone."""
    x, padding = _padding(draft, xs[0], window, node.name)
    axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    rows = 1, *node.output.shape[:-2]  # (1,OH), or (1,) of a row
    y = _result(draft, node, (1, *rows, *node.output.shape[-2:])[-4:])
    options = {
        "padding": padding,
        **_strides(window.stride),
        "dilation_w_factor": window.dilation[1],
        "dilation_h_factor": window.dilation[0],
        **own,
        "fused_activation_function": _activation(node),
    }
    return draft.op(kind, (x, *_weights(draft, node, x, weight, axis)), y, options)


def _transpose_conv2d(draft: Draft, node: Node, xs: Inputs) -> int:
    """Weights are as they are here, (Cout,KH,KW,Cin)."""
    (x,) = xs
    image = draft.shape(x)[1:]
    words = ("VALID", "SAME")
    if node.attrs.padding == "same":  # XNNPACK's arithmetic can depend on the word
        words = ("SAME", "VALID")
    padding = _scatter_word(node.attrs.scatter(image), image, words)
    if padding is None:
        raise UnsupportedOp(
            "TFLite cuts off an output what SAME or VALID says only, and this is "
            f"neither: {node.attrs}"
        )
    y = _result(draft, node)
    size = draft.constant(f"{node.name}/size", np.array(draft.shape(y), np.int32))
    weight, bias = _weights(draft, node, x, node.ints.weight, 0)
    options = {
        "padding": padding,
        **_strides(node.attrs.stride),
        "fused_activation_function": _activation(node),
    }
    return draft.op("TRANSPOSE_CONV", (size, weight, x, bias), y, options)


def _scatter_word(scatter: Scatter, image: Shape, words: Sequence[str]) -> str | None:
    """The first of these words for its padding that fits a transposed convolution.

    It is that of the convolution from the output to the image.
    """
    for word in words:
        window = Window(scatter.kernel, scatter.stride, padding=word.lower())
        with suppress(ShapeError):  # of a kernel that is larger than the output
            g = window.over((*scatter.out, 1))
            if (*g.out, *g.pad) == (*image[:2], *scatter.before):
                return word
    return None


def _strides(stride: Pair) -> dict[str, int]:
    height, width = stride
    return {"stride_w": width, "stride_h": height}


def _dense(draft: Draft, node: Node, xs: Inputs) -> int:
    (x,) = xs
    inputs = (x, *_weights(draft, node, x, node.ints.weight, 0))
    options = {"fused_activation_function": _activation(node)}
    return draft.op("FULLY_CONNECTED", inputs, _result(draft, node), options)


def _weights(
    draft: Draft, node: Node, x: int, weight: np.ndarray, axis: int
) -> tuple[int, int]:
    """Weights, output channels along `axis`, and biases.

    A fully connected layer whose outputs have one scale has it once.
    """
    ints: LinearInts = node.ints
    assert ints.weight_scales is not None  # of all that `quantize` makes
    scales = quantization(ints.weight_scales).scales
    if node.op == "dense" and (scales == scales[0]).all():
        scales = scales[:1]
    sums = draft.meaning(x).scales * scales
    return (
        draft.constant(f"{node.name}/weight", weight, quantization(scales, axis=axis)),
        draft.constant(f"{node.name}/bias", ints.bias, quantization(sums)),
    )


# Windows


def _padding(
    draft: Draft, x: int, window: Window, name: str, filler: int | None = None
) -> tuple[int, str]:
    """The input of an operator with windows, and TFLite's word for its padding.

    Where neither word says it, the input is padded first: with what stands for 0 if
    `filler` is None, else with this integer.
    """
    image = draft.shape(x)[1:]
    g = window.over(image)
    word = _word(window, image, g)
    if word is not None:
        return x, word
    bottom = max(g.reach[0] - g.pad_top - image[0], 0)
    right = max(g.reach[1] - g.pad_left - image[1], 0)
    sides = (g.pad_top, bottom), (g.pad_left, right)
    y = draft.like(x, f"{name}/padded", _larger(draft.shape(x), sides))
    return _padded(draft, x, sides, y, filler), "VALID"


def _word(window: Window, image: Shape, g: Geometry) -> str | None:
    """TFLite's word for the padding of windows that fall as `g` says, or None."""
    for word in ("VALID", "SAME"):
        plain = replace(window, padding=word.lower(), ceil_mode=False)
        with suppress(ShapeError):  # of a window that is larger than the image
            if plain.over(image) == g:
                return word
    return None


def _larger(shape: Shape, sides: tuple[Pair, Pair]) -> Shape:
    batch, height, width, channels = shape
    return batch, height + sum(sides[0]), width + sum(sides[1]), channels


def _padded(
    draft: Draft, x: int, sides: tuple[Pair, Pair], y: int, filler: int | None = None
) -> int:
    name = draft.name(y)
    paddings = np.array([(0, 0), *sides, (0, 0)], np.int32)
    inputs = [x, draft.constant(f"{name}/paddings", paddings)]
    if filler is None:
        return draft.op("PAD", inputs, y)
    value = draft.constant(f"{name}/value", np.array(filler, np.int8), draft.meaning(x))
    return draft.op("PADV2", [*inputs, value], y)


def _pad(draft: Draft, node: Node, xs: Inputs) -> int:
    return _padded(draft, xs[0], node.attrs.padding, _result(draft, node))


def _max_pool2d(draft: Draft, node: Node, xs: Inputs) -> int:
    """Padding with the lowest integer never changes a maximum."""
    window = node.attrs.window
    x, padding = _padding(draft, xs[0], window, node.name, LOWEST)
    return _pool(draft, node, x, "MAX_POOL_2D", window, padding)


def _avg_pool2d(draft: Draft, node: Node, xs: Inputs) -> int:
    window, image = node.attrs.window, draft.shape(xs[0])[1:]
    padding = _word(window, image, window.over(image))
    if padding is None:
        raise UnsupportedOp(
            "TFLite averages with padding SAME or VALID only, and these windows over "
            f"an image of {image[0]}x{image[1]} are neither: {node.attrs}"
        )
    return _pool(draft, node, xs[0], "AVERAGE_POOL_2D", window, padding)


def _global_avg_pool2d(draft: Draft, node: Node, xs: Inputs) -> int:
    _, height, width, channels = draft.shape(xs[0])
    y = _result(draft, node, (1, 1, 1, channels))
    options = _pool_options(Window((height, width)), "VALID", _activation(node))
    return draft.op("AVERAGE_POOL_2D", xs, y, options)


def _pool(
    draft: Draft, node: Node, x: int, kind: str, window: Window, padding: str
) -> int:
    options = _pool_options(window, padding, _activation(node))
    return draft.op(kind, (x,), _result(draft, node), options)


def _pool_options(window: Window, padding: str, activation: str) -> dict[str, Any]:
    height, width = window.kernel
    return {
        "padding": padding,
        **_strides(window.stride),
        "filter_width": width,
        "filter_height": height,
        "fused_activation_function": activation,
    }


# What works on each element


def _fused(kind: str) -> Lower:
    """An operator with an activation."""

    def lower(draft: Draft, node: Node, xs: Inputs) -> int:
        options = {"fused_activation_function": _activation(node)}
        return draft.op(kind, xs, _alike(draft, node, xs), options)

    return lower


def _plain(kind: str) -> Lower:
    """An operator without options."""
    return lambda draft, node, xs: draft.op(kind, xs, _alike(draft, node, xs))


def _alike(draft: Draft, node: Node, xs: Inputs) -> int:
    """An output with as many axes as the inputs."""
    shapes = [draft.shape(x) for x in xs]
    return _result(draft, node, tuple(map(max, *shapes, shapes[0])))


def _leaky_relu(draft: Draft, node: Node, xs: Inputs) -> int:
    options = {"alpha": node.attrs.negative_slope}
    return draft.op("LEAKY_RELU", xs, _alike(draft, node, xs), options)


def _requantize(draft: Draft, node: Node, xs: Inputs) -> int:
    kind = {"linear": "QUANTIZE", "relu": "RELU", "relu6": "RELU6"}
    return _plain(kind[node.attrs.activation])(draft, node, xs)


def _extremum(kind: str) -> Lower:
    """TFLite wants one scale of all three."""

    def lower(draft: Draft, node: Node, xs: Inputs) -> int:
        return _plain(kind)(draft, node, _brought(draft, node, xs))

    return lower


def _brought(draft: Draft, node: Node, xs: Inputs) -> Inputs:
    """The inputs at the scale of the output."""
    y, brought = meaning(node.output), []
    for number, x in enumerate(xs):
        if not draft.means(x, y):
            name = f"{node.name}/scaled{number}"
            x = draft.op("QUANTIZE", (x,), draft.tensor(name, draft.shape(x), y))
        brought.append(x)
    return tuple(brought)


def _softmax(draft: Draft, node: Node, xs: Inputs) -> int:
    options = {"beta": node.attrs.beta}
    return draft.op("SOFTMAX", xs, _alike(draft, node, xs), options)


# Shapes, parts and means


def _concatenate(draft: Draft, node: Node, xs: Inputs) -> int:
    """TFLite's parts have the scale of the output; others are brought to it first."""
    if len(xs) > MOST_PARTS:
        raise UnsupportedOp(
            f"TFLite Micro concatenates at most {MOST_PARTS} tensors, got {len(xs)}"
        )
    parts, axis = _brought(draft, node, xs), len(draft.shape(xs[0])) - 1
    options = {"axis": axis, "fused_activation_function": "NONE"}
    return draft.op("CONCATENATION", parts, _result(draft, node), options)


def _mean(draft: Draft, node: Node, xs: Inputs) -> int:
    axes = draft.constant(f"{node.name}/axes", np.array(node.attrs.axis, np.int32))
    options = {"keep_dims": node.attrs.keepdims}
    return draft.op("MEAN", (*xs, axes), _result(draft, node), options)


def _transpose(draft: Draft, node: Node, xs: Inputs) -> int:
    order = np.array((0, *node.attrs.dims), np.int32)
    inputs = (*xs, draft.constant(f"{node.name}/order", order))
    return draft.op("TRANSPOSE", inputs, _result(draft, node))


def _slice(draft: Draft, node: Node, xs: Inputs) -> int:
    """The masks say that all of the batch is taken."""
    ranges = node.attrs.ranges(draft.shape(xs[0])[1:])
    ends = [("begin", 0), ("end", 1), ("strides", 1)]
    told = [
        draft.constant(f"{node.name}/{name}", np.array((batch, *values), np.int32))
        for (name, batch), values in zip(
            ends, zip(*((r.start, r.stop, r.step) for r in ranges)), strict=True
        )
    ]
    options = {"begin_mask": 1, "end_mask": 1}
    return draft.op("STRIDED_SLICE", (*xs, *told), _result(draft, node), options)


def _resize_nearest(draft: Draft, node: Node, xs: Inputs) -> int:
    size = draft.constant(f"{node.name}/size", np.array(node.attrs.size, np.int32))
    options = {
        "align_corners": node.attrs.align_corners,
        "half_pixel_centers": node.attrs.half_pixel_centers,
    }
    kind = "RESIZE_NEAREST_NEIGHBOR"
    return draft.op(kind, (*xs, size), _result(draft, node), options)


def _with_constant(draft: Draft, node: Node, xs: Inputs) -> int:
    """The operator of two tensors, one of which is in the file."""
    (x,), attrs, ints = xs, node.attrs, node.ints
    values, q = ints.constant, ints.qparams
    if attrs.function in ("maximum", "minimum"):  # all of one scale
        own_table = ints.pair.tables[0 if attrs.constant_first else 1]
        values, q = own_table[values.astype(int) + 128], meaning(node.output)
    more_axes = (1,) * (len(draft.shape(x)) - values.ndim)
    constant = draft.constant(
        f"{node.name}/constant",
        values.reshape(more_axes + values.shape),
        quantization(q.scale, q.zero_point),
    )
    pair = replace(node, op=attrs.function, attrs=attrs.pair, ints=ints.pair)
    return TABLE[attrs.function](draft, pair, attrs.ordered(x, constant))


def _reshape(draft: Draft, node: Node, xs: Inputs) -> int:
    return draft.shaped(xs[0], (1, *node.output.shape), node.name)


TABLE: dict[str, Lower] = {
    "add": _fused("ADD"),
    "avg_pool2d": _avg_pool2d,
    "concatenate": _concatenate,
    "conv1d": _conv1d,
    "conv2d": _conv2d,
    "dense": _dense,
    "depthwise_conv2d": _depthwise_conv2d,
    "flatten": _reshape,
    "global_avg_pool2d": _global_avg_pool2d,
    "hard_swish": _plain("HARD_SWISH"),
    "leaky_relu": _leaky_relu,
    "max_pool2d": _max_pool2d,
    "maximum": _extremum("MAXIMUM"),
    "mean": _mean,
    "minimum": _extremum("MINIMUM"),
    "mul": _fused("MUL"),
    "pad": _pad,
    "relu": _plain("RELU"),
    "relu6": _plain("RELU6"),
    "requantize": _requantize,
    "reshape": _reshape,
    "resize_nearest": _resize_nearest,
    "sigmoid": _plain("LOGISTIC"),
    "slice": _slice,
    "softmax": _softmax,
    "sub": _fused("SUB"),
    "tanh": _plain("TANH"),
    "transpose": _transpose,
    "transpose_conv2d": _transpose_conv2d,
    "with_constant": _with_constant,
}


# Layers that read images


def _normalize(draft: Draft, node: Node, image: Shape) -> tuple[int, int]:
    """Input and output of ``(x - mean) / 64``, rounded as the layer does.

    One mean and no shift is what QUANTIZE computes: the mean is the zero point of the
    image. Otherwise the image becomes int8 and is multiplied, channel by channel, by a
    weight that stands for 1. The weight is 64, and 2 is added to each sum: that is less
    than half a step of the output, and brings what lies half way above it. So the
    result is rounded up there, however a runtime rounds.
    """
    y, mean = meaning(node.output), node.ints.mean
    unit = 2.0**-UNIT_BITS
    if node.attrs.shift == 0 and (mean == mean.flat[0]).all():
        x = draft.image("input", image, unit, int(mean.flat[0]))
        return x, draft.op("QUANTIZE", (x,), draft.tensor(node.name, image, y))
    x = draft.image("input", image, unit, 0)
    pixels = draft.tensor(f"{node.name}/pixels", image, QParams(unit, LOWEST))
    draft.op("QUANTIZE", (x,), pixels)
    channels = mean.size
    shape = image
    if mean.ndim == 3 or len(image) < 4:
        shape = 1, 1, math.prod(image) // channels, channels
    flat = draft.shaped(pixels, shape, f"{node.name}/flat")
    weight = np.full((1, 1, 1, channels), 1 << UNIT_BITS, np.int8)
    bias = 2 - (mean.astype(np.int32).ravel() << UNIT_BITS)
    units = np.full(channels, unit)
    inputs = (
        flat,
        draft.constant(f"{node.name}/one", weight, quantization(units, axis=3)),
        draft.constant(f"{node.name}/mean", bias, quantization(units * unit)),
    )
    options = {
        "padding": "VALID",
        **_strides((1, 1)),
        "depth_multiplier": 1,
        "fused_activation_function": "NONE",
        "dilation_w_factor": 1,
        "dilation_h_factor": 1,
    }
    y_shaped = draft.tensor(node.name, shape, y)
    return x, draft.op("DEPTHWISE_CONV_2D", inputs, y_shaped, options)


def _rescaling(draft: Draft, node: Node, image: Shape) -> tuple[int, int] | None:
    """What QUANTIZE computes, if it has the same bytes for all grey levels."""
    attrs, y = node.attrs, meaning(node.output)
    (scale, *others), (offset, *more) = attrs.scale, attrs.offset
    zero_point = -offset / scale if scale > 0 else -1.0
    if others or more or not 0 <= zero_point <= 255 or zero_point != round(zero_point):
        return None
    levels = np.arange(256) - round(zero_point)
    factor = float(np.float32(scale)) / float(np.float32(y.scale))
    multiplier, shift = multiplier_and_shift(factor)
    if shift > MOST_SHIFT:
        return None
    quantized = [requantize(int(v), multiplier, shift) + y.zero_point for v in levels]
    if (np.clip(quantized, -128, 127) != node.ints.tables[0]).any():
        return None
    x = draft.image("input", image, scale, round(zero_point))
    return x, draft.op("QUANTIZE", (x,), draft.tensor(node.name, image, y))


#: (draft, node, shape of the image with the batch) -> its input and its output, or None
#: where TFLite cannot say the layer.
IMAGES: dict[str, Callable[[Draft, Node, Shape], tuple[int, int] | None]] = {
    "normalize": _normalize,
    "rescaling": _rescaling,
}
