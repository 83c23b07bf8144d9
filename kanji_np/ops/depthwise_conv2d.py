"""Depthwise 2-D convolution with bias and an optional fused ReLU or ReLU6.

    acc[n,y,x,c*m+k] = bias[c*m+k] + sum over i,j of
                       (X[n, y*sh + i*dh - top, x*sw + j*dw - left, c] + input_offset)
                       * W[c*m+k,i,j]
    Y = clamp(rescale(acc, multiplier[c*m+k], shift[c*m+k]) + output_offset, low, high)

with m outputs k of each input channel c. Layouts: X (N,H,W,Cin), W (Cout,KH,KW), Y
(N,OH,OW,Cout), Cout = m * Cin. The libraries store weights as (KH,KW,Cout). Padding
reads as the zero point and adds nothing. ReLU is the range low = zero point of Y,
ReLU6 has high = what stands for 6.

Accumulator: |acc| <= 128 * sum|W[o]| + |bias[o]|, checked against int32 when the
integers are made (`quantize.linear_ints`).

Source: CMSIS-NN v7.0.0 `arm_depthwise_conv_wrapper_s8`, `_s4`; TFLite
`DEPTHWISE_CONV_2D` int8. Legacy: CMSIS 5.9.0 `arm_depthwise_separable_conv_HWC_q7`, the
same formula for powers of two and m = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from kanji_np.errors import UnsupportedOp
from kanji_np.fixedpoint import ROUNDINGS, clamp, rescale
from kanji_np.jit import njit
from kanji_np.loops import buffers, depthwise
from kanji_np.loops.requantize import empty_range, widen
from kanji_np.ops import cmsis_q7, conv2d, convolution
from kanji_np.ops.attributes import (
    Attributes,
    attribute,
    cell_pair,
    channel_number,
    fused_activation,
    image_padding,
    weight_width,
)
from kanji_np.ops.cmsis import FIRST_VERSION, dims
from kanji_np.ops.op import Arrays, Fast, Gradients, Op, Shapes, Specs, Weights
from kanji_np.quantize import activation_bounds
from kanji_np.types import (
    Cost,
    KernelCall,
    LinearInts,
    LinearParams,
    Saved,
    Shape,
    Struct,
    TargetSpec,
    TensorSpec,
)
from kanji_np.window import MOST_CELLS, Geometry, Padding, Pair, Window

MVE_BLOCK = 124  # channels that the kernel of MVE cores takes at a time


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


def infer(attrs: DepthwiseConv2DAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    g = attrs.window.over(shape)
    return g.out_h, g.out_w, shape[2] * attrs.depth_multiplier


def weight_shapes(attrs: DepthwiseConv2DAttrs, shapes: Shapes) -> tuple[Shape, Shape]:
    (shape,) = shapes
    filters = shape[2] * attrs.depth_multiplier
    return (filters, *attrs.kernel), (filters,)


def fast_int(
    attrs: DepthwiseConv2DAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N,H,W,Cin) -> int8 (N,OH,OW,Cout)."""
    (x,) = xs
    g = _geometry(attrs, ints.weight, x)
    y = buffers.empty((len(x), *g.out, len(ints.weight)), np.int8)
    ranges = depthwise.forward_int(x, ints, g, y)
    if y_range is not None:
        widen(y_range, ranges)
    return y


def forward_int(
    attrs: DepthwiseConv2DAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """`forward_int` as the formula says it, one product at a time."""
    (x,) = xs
    g = _geometry(attrs, ints.weight, x)
    y = np.empty((len(x), *g.out, len(ints.weight)), np.int8)
    seen = empty_range() if y_range is None else y_range
    _definition(
        x, ints.weight, ints.bias, ints.multiplier, ints.shift, attrs.depth_multiplier,
        g.stride, g.dilation, g.pad,
        (ints.input_offset, ints.output_offset, ints.act_min, ints.act_max),
        ROUNDINGS[ints.rounding], y, seen,
    )  # fmt: skip
    return y


def forward_float(
    attrs: DepthwiseConv2DAttrs, params: LinearParams, xs: Arrays
) -> np.ndarray:
    """Floating (N,H,W,Cin) -> same dtype (N,OH,OW,Cout)."""
    (x,) = xs
    g = _geometry(attrs, params.weight, x)
    y = buffers.empty((len(x), *g.out, len(params.weight)), x.dtype)
    bounds = activation_bounds(attrs.activation)
    depthwise.forward_float(x, params, g, bounds, y)
    return y


def vjp(
    attrs: DepthwiseConv2DAttrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    """gW[c*m+k,i,j] = sum gY * X; gX[c] = sum over i,j,k of gY * W; gb = sum gY.

    gY counts where Y was not clamped.
    """
    (x,), (needed,) = saved.x, needs_gx
    g = _geometry(attrs, params.weight, x)
    gx, gparams = depthwise.backward(params, saved, g, gy, needed)
    return (gx,), gparams


def cost(attrs: DepthwiseConv2DAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    taps = math.prod(attrs.kernel)
    return convolution.cost(infer(attrs, shapes), taps, attrs.weight_bits, target)


def lower_cmsis_nn(
    attrs: DepthwiseConv2DAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g = attrs.window.over(x.shape)
    function = f"arm_depthwise_conv_wrapper_s{attrs.weight_bits}"
    _check_kernel(function, attrs, x.shape, g, target)
    params = Struct(
        "cmsis_nn_dw_conv_params",
        "dw_conv_params",
        (
            *convolution.offsets(ints),
            ("ch_mult", attrs.depth_multiplier),
            *convolution.windows(ints, g),
        ),
    )
    return convolution.lower_s8(
        function,
        params,
        replace(ints, weight=_taps_first(ints.weight)[np.newaxis]),
        dims("filter_dims", 1, *attrs.kernel, y.shape[2]),
        "(1,KH,KW,Cout)",
        attrs.weight_bits,
        x,
        y,
        _scratch_bytes(attrs, x.shape, g, target),
    )


def _has_own_kernel(attrs: DepthwiseConv2DAttrs) -> bool:
    """Whether the library has more than its general kernel for it."""
    return attrs.depth_multiplier == 1 and attrs.dilation == (1, 1)


def _is_mve_convolution(
    attrs: DepthwiseConv2DAttrs, shape: Shape, target: TargetSpec
) -> bool:
    """Whether MVE cores compute it as a convolution: one channel of many outputs.

    The first version does not.
    """
    return shape[2] == 1 < attrs.depth_multiplier and target.core == "mve"


def _is_3x3(attrs: DepthwiseConv2DAttrs, g: Geometry) -> bool:
    """Whether cores without Helium use their kernel for 3x3 windows."""
    return attrs.weight_bits == 8 and g.kernel == (3, 3) and max(g.pad) <= 1


def _check_kernel(
    function: str,
    attrs: DepthwiseConv2DAttrs,
    shape: Shape,
    g: Geometry,
    target: TargetSpec,
) -> None:
    """UnsupportedOp where the kernel that the library picks would be wrong."""
    height, width, channels = shape
    last_top, last_left = (
        (count - 1) * stride - pad
        for count, stride, pad in zip(g.out, g.stride, g.pad, strict=True)
    )
    most = max(*g.pad, last_top, last_left)
    if most > MOST_CELLS or channels * attrs.depth_multiplier > 2 * MOST_CELLS + 1:
        raise UnsupportedOp(
            f"{function} takes {2 * MOST_CELLS + 1} channels at most, and windows that "
            f"start at most {MOST_CELLS} cells before or after the first of the input"
        )
    int4 = attrs.weight_bits == 4
    if int4 and target.core == "mve":
        raise UnsupportedOp(
            f"{function} on MVE cores does not give the answers of the others; take "
            "weight_bits=8"
        )
    if int4 and not _has_own_kernel(attrs) and channels % 2:
        raise UnsupportedOp(
            f"{function} with dilation or a depth_multiplier takes an even number of "
            f"input channels, got {channels}"
        )
    is_first = target.version == FIRST_VERSION
    if _is_mve_convolution(attrs, shape, target) and not is_first:
        conv2d.check_kernel(function, attrs.weight_bits, shape, g, target)
    if not _has_own_kernel(attrs) or target.core == "mve":
        return
    if _is_3x3(attrs, g):
        beyond = last_left + 3 - width
        if beyond > 1:
            raise UnsupportedOp(
                f"{function} for 3x3 windows is wrong where they reach more than one "
                f"column beyond the input, on cores without Helium; got {beyond}: pad "
                "less on the right"
            )
    elif target.core == "dsp" or int4:
        if g.pad_top > g.kernel_h or last_top > height:
            where = "" if int4 else " on DSP cores"
            raise UnsupportedOp(
                f"{function}{where} writes outside its scratch memory where a window "
                "lies in the padding and does not touch the input; pad less at top and "
                "bottom"
            )


def _scratch_bytes(
    attrs: DepthwiseConv2DAttrs, shape: Shape, g: Geometry, target: TargetSpec
) -> int:
    """What the wrapper's `_get_buffer_size` answers on the core class [bytes].

    One int16 window on DSP cores (of 3x3, only version 4.0.0 asks for it, and does not
    use it), with int4 weights on plain C cores too; four int8 windows of a block of
    channels on MVE cores, none for the general kernel. On MVE cores newer versions
    compute a single channel of many outputs as a convolution, of which the weights are
    a copy; the first version is given that memory too, because ccore asks for it.
    """
    depth = g.kernel_h * g.kernel_w
    is_first = target.version == FIRST_VERSION
    if _is_mve_convolution(attrs, shape, target):
        copy = attrs.depth_multiplier * depth
        return conv2d.scratch_bytes(shape, g, attrs.weight_bits, target) + copy
    int8_on_c = target.core == "c" and attrs.weight_bits == 8
    if int8_on_c or not _has_own_kernel(attrs):
        return 0
    if target.core == "mve":
        return 4 * MVE_BLOCK * depth
    return 0 if _is_3x3(attrs, g) and not is_first else 2 * shape[2] * depth


def lower_cmsis_nn_q7(
    attrs: DepthwiseConv2DAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    cmsis_q7.check_attrs(attrs.activation, attrs.weight_bits, target)
    if attrs.dilation != (1, 1):
        raise UnsupportedOp(f"{target.library} has no dilated depthwise convolution")
    if attrs.depth_multiplier != 1:
        raise UnsupportedOp(
            f"{target.library} has depthwise convolution with depth_multiplier 1 only"
        )
    g = attrs.window.over(x.shape)
    square = convolution.is_square(x.shape, g)
    # one int8 window; the library's documentation says twice that
    patch = ints.weight.size if target.core == "dsp" else 0
    return convolution.lower_q7(
        "arm_depthwise_separable_conv_HWC_q7" + ("" if square else "_nonsquare"),
        replace(ints, weight=_taps_first(ints.weight)),
        "(KH,KW,C)",
        g,
        x,
        y,
        patch,
    )


def _taps_first(weight: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(weight.transpose(1, 2, 0))  # (C,KH,KW) -> (KH,KW,C)


def _geometry(
    attrs: DepthwiseConv2DAttrs, weight: np.ndarray, x: np.ndarray
) -> Geometry:
    expected = (x.shape[-1] * attrs.depth_multiplier, *attrs.kernel)
    return convolution.geometry("depthwise_conv2d", attrs.window, expected, weight, x)


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


DEPTHWISE_CONV2D = Op(
    name="depthwise_conv2d",
    attrs=DepthwiseConv2DAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    weights=Weights(weight_shapes, convolution.channel_scales, keeps_bits=True),
    tracks_output=True,
    fast=Fast(fast_int),
)
