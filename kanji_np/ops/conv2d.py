"""2-D convolution with bias and an optional fused ReLU or ReLU6.

    acc[n,y,x,o] = bias[o] + sum over i,j,c of
                   (X[n, y*sh + i*dh - top, x*sw + j*dw - left, f + c] + input_offset)
                   * W[o,i,j,c]
    Y = clamp(rescale(acc, multiplier[o], shift[o]) + output_offset, low, high)

Layouts: X (N,H,W,Cin), W (Cout,KH,KW,Cin/G), Y (N,OH,OW,Cout). Input channels and
filters are in G groups, in order, and a filter sees the channels of its own group: f is
the first of them, ``f = o // (Cout/G) * (Cin/G)``. With one group f = 0. Padding reads
as the zero point and adds nothing. ReLU is the range low = zero point of Y, ReLU6 has
high = what stands for 6.

Gradients, with gY = 0 where Y was clamped, X real, and 0 in the padding:

    gW[o,i,j,c] = sum over n,y,x of gY[n,y,x,o] * X[n, y*sh + i*dh - top, ..., f + c]
    gX[n, y*sh + i*dh - top, ..., f + c] += gY[n,y,x,o] * W[o,i,j,c]
    gb[o] = sum over n,y,x of gY[n,y,x,o]

Accumulator: |acc| <= max(127 - z, 128 + z) * sum|W[o]| + |bias[o]| for a zero point
z = -input_offset of X. The factor is 128 where z = 0, and 255 at most.
`quantize.linear_ints` checks the bound against int32 when it makes the integers.

Source: CMSIS-NN v7.0.0 `arm_convolve_wrapper_s8`, `_s4`, and for groups
`arm_convolve_s8`; TFLite `CONV_2D` int8.
Legacy: CMSIS 5.9.0 `arm_convolve_HWC_q7_*`, the same formula for powers of two and one
group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.fixedpoint import ROUNDINGS, clamp, rescale
from kanji_np.jit import njit
from kanji_np.loops import conv2d as fast
from kanji_np.ops.attributes import (
    Attributes,
    attribute,
    cell_pair,
    channel_number,
    check_groups,
    fused_activation,
    image_padding,
    weight_width,
)
from kanji_np.ops.op import Fast, Op, Weights
from kanji_np.quantize import activation_bounds
from kanji_np.targets import takes_channel_scales
from kanji_np.targets.cmsis_nn import convolution as s8
from kanji_np.targets.cmsis_nn_q7 import convolution as q7
from kanji_np.targets.cmsis_nn_q7.calls import activation_calls, check_layer
from kanji_np.targets.flash import convolution_bytes
from kanji_np.types import (
    Arrays,
    Cost,
    Gradients,
    KernelCall,
    LinearInts,
    LinearParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
    check_weights,
)
from kanji_np.window import Geometry, Padding, Pair, Window


@dataclass(frozen=True)
class Conv2DAttrs(Attributes):
    """Output channels; (height, width) of kernel, stride and dilation; padding "same",
    "valid" or ((top, bottom), (left, right)); activation "linear", "relu" or "relu6";
    width of the weights, 8 or 4; groups, which divide the channels of input and output.
    """

    filters: int = attribute(channel_number)
    kernel: Pair = attribute(cell_pair, called="kernel_size")
    stride: Pair = attribute(cell_pair, (1, 1), "strides")
    dilation: Pair = attribute(cell_pair, (1, 1), "dilation_rate")
    padding: Padding = attribute(image_padding, "valid")
    activation: str = attribute(fused_activation, "linear")
    weight_bits: int = attribute(weight_width, 8)
    groups: int = attribute(channel_number, 1, later=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_groups(self.groups, self.filters)

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.stride, self.dilation, self.padding)

    def seen(self, channels: int) -> int:
        """Input channels that a filter sees; ShapeError where groups do not fit."""
        if channels % self.groups:
            raise ShapeError(
                f"{self.groups} groups must divide the channels of the input, "
                f"got {channels}"
            )
        return channels // self.groups

    def parts(self, channels: int) -> Iterator[tuple[slice, slice]]:
        """Of each group its input channels, and its filters."""
        seen, own = self.seen(channels), self.filters // self.groups
        for k in range(self.groups):
            yield slice(k * seen, (k + 1) * seen), slice(k * own, (k + 1) * own)

    def over(self, x: np.ndarray, weight: np.ndarray) -> Geometry:
        """Lay the windows over a batch; ShapeError where the weights do not fit it."""
        expected = (self.filters, *self.kernel, self.seen(x.shape[-1]))
        check_weights("conv2d", x, 4, weight, expected)
        return self.window.over(x.shape[1:])


def infer(attrs: Conv2DAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    g = attrs.window.over(shape)
    attrs.seen(shape[2])
    return g.out_h, g.out_w, attrs.filters


def weight_shapes(attrs: Conv2DAttrs, shapes: Shapes) -> tuple[Shape, Shape]:
    (shape,) = shapes
    return (attrs.filters, *attrs.kernel, attrs.seen(shape[2])), (attrs.filters,)


def forward_int(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N,H,W,Cin) -> int8 (N,OH,OW,Cout), one product at a time."""
    (x,) = xs
    g = attrs.over(x, ints.weight)
    y = np.empty((len(x), *g.out, attrs.filters), np.int8)
    _definition(
        x, ints.weight, ints.bias, ints.multiplier, ints.shift,
        g.stride, g.dilation, g.pad,
        (ints.input_offset, ints.output_offset, ints.act_min, ints.act_max),
        ROUNDINGS[ints.rounding],
        y, np.zeros(2, np.int64) if y_range is None else y_range,
    )  # fmt: skip
    return y


@njit(cache=True)
def _definition(
    x, weight, bias, multiplier, shift, stride, dilation, pad, limits, rounding, y,
    y_range,
):  # fmt: skip
    count, height, width, channels = x.shape
    outputs, kernel_h, kernel_w, seen = weight.shape
    filters = outputs // (channels // seen)  # of a group
    input_offset, output_offset, low, high = limits
    for n in range(count):
        for oy in range(y.shape[1]):
            for ox in range(y.shape[2]):
                for o in range(outputs):
                    total, first = bias[o], o // filters * seen
                    for i in range(kernel_h):
                        for j in range(kernel_w):
                            iy = oy * stride[0] + i * dilation[0] - pad[0]
                            ix = ox * stride[1] + j * dilation[1] - pad[1]
                            if 0 <= iy < height and 0 <= ix < width:
                                for c in range(seen):
                                    value = x[n, iy, ix, first + c] + input_offset
                                    total += value * weight[o, i, j, c]
                    q = rescale(total, multiplier[o], shift[o], rounding)
                    y_range[0] = min(y_range[0], q)
                    y_range[1] = max(y_range[1], q)
                    y[n, oy, ox, o] = clamp(q + output_offset, low, high)


def forward_float(attrs: Conv2DAttrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    """Floating (N,H,W,Cin) -> same dtype (N,OH,OW,Cout), one kernel cell at a time."""
    (x,) = xs
    g = attrs.over(x, params.weight)
    y, padded = np.zeros((len(x), *g.out, attrs.filters), x.dtype), g.padded(x)
    for seen, own in attrs.parts(x.shape[3]):
        for (i, j), cells in g.taps(padded[..., seen]):  # (N,OH,OW,Cin) @ (Cin,Cout)
            y[..., own] += cells @ params.weight[own, i, j].T
    return np.clip(y + params.bias, *activation_bounds(attrs.activation))


def vjp(
    attrs: Conv2DAttrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,), (needed,) = saved.real_x(gy.dtype), needs_gx
    g, gy = attrs.over(x, params.weight), saved.passed(gy)
    padded, gweight = g.padded(x), np.zeros_like(params.weight, gy.dtype)
    for seen, own in attrs.parts(x.shape[3]):
        for (i, j), cells in g.taps(padded[..., seen]):
            gweight[own, i, j] = np.einsum("nyxo,nyxc->oc", gy[..., own], cells)
    gparams = LinearParams(gweight, gy.sum(axis=(0, 1, 2)))
    if not needed:
        return (None,), gparams
    gpadded = np.zeros_like(padded)
    for seen, own in attrs.parts(x.shape[3]):
        for (i, j), gcells in g.taps(gpadded[..., seen]):  # (N,OH,OW,Cout) @ (Cout,Cin)
            gcells += gy[..., own] @ params.weight[own, i, j]
    return (g.inside(gpadded, x.shape),), gparams


def cost(attrs: Conv2DAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    (shape,) = shapes
    depth = math.prod(attrs.kernel) * attrs.seen(shape[2])
    flash = convolution_bytes(attrs.filters, depth, attrs.weight_bits, target)
    return Cost(math.prod(infer(attrs, shapes)) * depth, flash)


def lower_cmsis_nn(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g, bits = attrs.window.over(x.shape), attrs.weight_bits
    if attrs.groups > 1:
        call = s8.grouped_call(
            ints, g, weight_bits=bits, x_shape=x.shape, y_shape=y.shape, target=target
        )
        return (call,)
    function = f"arm_convolve_wrapper_s{bits}"
    s8.check_kernel(function, bits, x.shape, g, target)
    call = s8.wrapper_call(
        function,
        s8.conv_params(ints, g),
        ints,
        layout="(Cout,KH,KW,Cin)",
        weight_bits=bits,
        x_shape=x.shape,
        y_shape=y.shape,
        scratch_bytes=s8.scratch_bytes(x.shape, g, bits, target),
    )
    return (call,)


def lower_cmsis_nn_q7(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g, depth = attrs.window.over(x.shape), ints.weight[0].size
    check_layer(attrs.activation, attrs.weight_bits, target)
    q7.check_convolution(g, attrs.groups, target)
    call = q7.call(
        q7.convolution_function(x.shape, attrs.filters, g),
        ints,
        g,
        layout="(Cout,KH,KW,Cin)",
        x_shape=x.shape,
        y_shape=y.shape,
        scratch_bytes=q7.convolution_scratch_bytes(depth, target),
    )
    return (call, *activation_calls(ints, y.size))


CONV2D = Op(
    name="conv2d",
    short_name="conv",
    attrs=Conv2DAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    weights=Weights(weight_shapes, lambda attrs, target: takes_channel_scales(target)),
    tracks_output=True,
    fast=Fast(fast.forward_int, fast.forward_float, fast.vjp),
)
