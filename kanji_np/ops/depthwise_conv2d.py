"""Depthwise 2-D convolution with bias and an optional fused ReLU or ReLU6.

    acc[n,y,x,c*m+k] = bias[c*m+k] + sum over i,j of
                       (X[n, y*sh + i*dh - top, x*sw + j*dw - left, c] + input_offset)
                       * W[c*m+k,i,j]
    Y = clamp(rescale(acc, multiplier[c*m+k], shift[c*m+k]) + output_offset, low, high)

with m outputs k of each input channel c. Layouts: X (N,H,W,Cin), W (Cout,KH,KW), Y
(N,OH,OW,Cout), Cout = m * Cin. The libraries store weights as (KH,KW,Cout). Padding
reads as the zero point and adds nothing. ReLU is the range low = zero point of Y,
ReLU6 has high = what stands for 6.

Gradients, with gY = 0 where Y was clamped, X real, and 0 in the padding:

    gW[c*m+k,i,j] = sum over n,y,x of gY[n,y,x,c*m+k] * X[n, y*sh + i*dh - top, ..., c]
    gX[n, y*sh + i*dh - top, ..., c] += gY[n,y,x,c*m+k] * W[c*m+k,i,j]
    gb[c*m+k] = sum over n,y,x of gY[n,y,x,c*m+k]

Accumulator: |acc| <= max(127 - z, 128 + z) * sum|W[o]| + |bias[o]| for a zero point
z = -input_offset of X. The factor is 128 where z = 0, and 255 at most.
`quantize.linear_ints` checks the bound against int32 when it makes the integers.

Source: CMSIS-NN v7.0.0 `arm_depthwise_conv_wrapper_s8`, `_s4`; TFLite
`DEPTHWISE_CONV_2D` int8. Legacy: CMSIS 5.9.0 `arm_depthwise_separable_conv_HWC_q7`, the
same formula for powers of two and m = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from kanji_np.fixedpoint import ROUNDINGS, clamp, rescale
from kanji_np.jit import njit
from kanji_np.loops import depthwise_conv2d as fast
from kanji_np.ops.attributes import (
    Attributes,
    attribute,
    cell_pair,
    channel_number,
    fused_activation,
    image_padding,
    weight_width,
)
from kanji_np.ops.op import Fast, Op, Weights
from kanji_np.quantize import activation_bounds
from kanji_np.targets import takes_channel_scales
from kanji_np.targets.cmsis_nn import depthwise as s8
from kanji_np.targets.cmsis_nn.convolution import wrapper_call
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
class DepthwiseConv2DAttrs(Attributes):
    """(height, width) of kernel, stride and dilation; padding "same", "valid" or ((top,
    bottom), (left, right)); outputs of each channel; activation "linear", "relu" or
    "relu6"; width of the weights, 8 or 4."""

    kernel: Pair = attribute(cell_pair, called="kernel_size")
    stride: Pair = attribute(cell_pair, (1, 1), "strides")
    dilation: Pair = attribute(cell_pair, (1, 1), "dilation_rate")
    padding: Padding = attribute(image_padding, "valid")
    depth_multiplier: int = attribute(channel_number, 1)
    activation: str = attribute(fused_activation, "linear")
    weight_bits: int = attribute(weight_width, 8)

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.stride, self.dilation, self.padding)

    def over(self, x: np.ndarray, weight: np.ndarray) -> Geometry:
        """Lay the windows over a batch; ShapeError where the weights do not fit it."""
        expected = (x.shape[-1] * self.depth_multiplier, *self.kernel)
        check_weights("depthwise_conv2d", x, 4, weight, expected)
        return self.window.over(x.shape[1:])


def infer(attrs: DepthwiseConv2DAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    g = attrs.window.over(shape)
    return g.out_h, g.out_w, shape[2] * attrs.depth_multiplier


def weight_shapes(attrs: DepthwiseConv2DAttrs, shapes: Shapes) -> tuple[Shape, Shape]:
    (shape,) = shapes
    filters = shape[2] * attrs.depth_multiplier
    return (filters, *attrs.kernel), (filters,)


def forward_int(
    attrs: DepthwiseConv2DAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N,H,W,Cin) -> int8 (N,OH,OW,Cout), one product at a time."""
    (x,) = xs
    g = attrs.over(x, ints.weight)
    y = np.empty((len(x), *g.out, len(ints.weight)), np.int8)
    _definition(
        x, ints.weight, ints.bias, ints.multiplier, ints.shift, attrs.depth_multiplier,
        g.stride, g.dilation, g.pad,
        (ints.input_offset, ints.output_offset, ints.act_min, ints.act_max),
        ROUNDINGS[ints.rounding],
        y, np.zeros(2, np.int64) if y_range is None else y_range,
    )  # fmt: skip
    return y


@njit(cache=True)
def _definition(
    x, weight, bias, multiplier, shift, depth_multiplier, stride, dilation, pad, limits,
    rounding, y, y_range,
):  # fmt: skip
    count, height, width, _ = x.shape
    outputs, kernel_h, kernel_w = weight.shape
    input_offset, output_offset, low, high = limits
    for n in range(count):
        for oy in range(y.shape[1]):
            for ox in range(y.shape[2]):
                for o in range(outputs):
                    total = bias[o]
                    for i in range(kernel_h):
                        for j in range(kernel_w):
                            iy = oy * stride[0] + i * dilation[0] - pad[0]
                            ix = ox * stride[1] + j * dilation[1] - pad[1]
                            if 0 <= iy < height and 0 <= ix < width:
                                value = x[n, iy, ix, o // depth_multiplier]
                                total += (value + input_offset) * weight[o, i, j]
                    q = rescale(total, multiplier[o], shift[o], rounding)
                    y_range[0] = min(y_range[0], q)
                    y_range[1] = max(y_range[1], q)
                    y[n, oy, ox, o] = clamp(q + output_offset, low, high)


def forward_float(
    attrs: DepthwiseConv2DAttrs, params: LinearParams, xs: Arrays
) -> np.ndarray:
    """Floating (N,H,W,Cin) -> same dtype (N,OH,OW,Cout), one kernel cell at a time."""
    (x,) = xs
    g = attrs.over(x, params.weight)
    x = np.repeat(x, attrs.depth_multiplier, axis=3)  # (N,H,W,Cin) -> (N,H,W,Cout)
    y = np.zeros((len(x), *g.out, len(params.weight)), x.dtype)
    for (i, j), cells in g.taps(g.padded(x)):  # (N,OH,OW,Cout) * (Cout,)
        y += cells * params.weight[:, i, j]
    return np.clip(y + params.bias, *activation_bounds(attrs.activation))


def vjp(
    attrs: DepthwiseConv2DAttrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,), (needed,) = saved.real_x(gy.dtype), needs_gx
    g, gy = attrs.over(x, params.weight), saved.passed(gy)
    repeated = np.repeat(x, attrs.depth_multiplier, axis=3)  # (N,H,W,Cout)
    padded, gweight = g.padded(repeated), np.zeros_like(params.weight, gy.dtype)
    for (i, j), cells in g.taps(padded):
        gweight[:, i, j] = (gy * cells).sum(axis=(0, 1, 2))
    gparams = LinearParams(gweight, gy.sum(axis=(0, 1, 2)))
    if not needed:
        return (None,), gparams
    gpadded = np.zeros_like(padded)
    for (i, j), gcells in g.taps(gpadded):  # (N,OH,OW,Cout) * (Cout,)
        gcells += gy * params.weight[:, i, j]
    # (N,H,W,Cout) -> (N,H,W,Cin,m) -> (N,H,W,Cin)
    gx = g.inside(gpadded, x.shape).reshape(*x.shape, -1).sum(axis=4)
    return (gx,), gparams


def cost(attrs: DepthwiseConv2DAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    out_h, out_w, filters = infer(attrs, shapes)
    taps = math.prod(attrs.kernel)
    flash = convolution_bytes(filters, taps, attrs.weight_bits, target)
    return Cost(out_h * out_w * filters * taps, flash)


def lower_cmsis_nn(
    attrs: DepthwiseConv2DAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g = attrs.window.over(x.shape)
    multiplier, bits = attrs.depth_multiplier, attrs.weight_bits
    function = f"arm_depthwise_conv_wrapper_s{bits}"
    s8.check_kernel(function, multiplier, bits, x.shape, g, target)
    call = wrapper_call(
        function,
        s8.dw_conv_params(ints, g, multiplier),
        replace(ints, weight=_taps_first(ints.weight)[np.newaxis]),
        layout="(1,KH,KW,Cout)",
        weight_bits=bits,
        x_shape=x.shape,
        y_shape=y.shape,
        scratch_bytes=s8.scratch_bytes(x.shape, g, multiplier, bits, target),
    )
    return (call,)


def lower_cmsis_nn_q7(
    attrs: DepthwiseConv2DAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g = attrs.window.over(x.shape)
    check_layer(attrs.activation, attrs.weight_bits, target)
    q7.check_depthwise(g, attrs.depth_multiplier, target)
    call = q7.call(
        q7.depthwise_function(x.shape, g),
        replace(ints, weight=_taps_first(ints.weight)),
        g,
        layout="(KH,KW,C)",
        x_shape=x.shape,
        y_shape=y.shape,
        scratch_bytes=q7.depthwise_scratch_bytes(ints.weight.size, target),
    )
    return (call, *activation_calls(ints, y.size))


def _taps_first(weight: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(weight.transpose(1, 2, 0))  # (C,KH,KW) -> (KH,KW,C)


DEPTHWISE_CONV2D = Op(
    name="depthwise_conv2d",
    short_name="depthwise",
    attrs=DepthwiseConv2DAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    weights=Weights(
        weight_shapes,
        lambda attrs, target: takes_channel_scales(target),
        keeps_bits=True,
    ),
    tracks_output=True,
    fast=Fast(fast.forward_int, fast.forward_float, fast.vjp),
)
