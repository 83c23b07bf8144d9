"""2-D convolution with bias and an optional fused ReLU or ReLU6.

    acc[n,y,x,o] = bias[o] + sum over i,j,c of
                   (X[n, y*sh + i*dh - top, x*sw + j*dw - left, c] + input_offset)
                   * W[o,i,j,c]
    Y = clamp(rescale(acc, multiplier[o], shift[o]) + output_offset, low, high)

Layouts: X (N,H,W,Cin), W (Cout,KH,KW,Cin), Y (N,OH,OW,Cout). Padding reads as the zero
point and adds nothing. ReLU is the range low = zero point of Y, ReLU6 has
high = what stands for 6.

Accumulator: |acc| <= 128 * sum|W[o]| + |bias[o]|, checked against int32 when the
integers are made (`quantize.linear_ints`).

Source: CMSIS-NN v7.0.0 `arm_convolve_wrapper_s8`; TFLite `CONV_2D` int8. Legacy: CMSIS
5.9.0 `arm_convolve_HWC_q7_*`, the same formula for powers of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from kanji_np.errors import UnsupportedOp
from kanji_np.fixedpoint import ROUNDINGS, clamp, rescale
from kanji_np.ops import buffers, conv_loops, convolution, full_gradients
from kanji_np.ops.cmsis import dims
from kanji_np.ops.op import Op
from kanji_np.ops.requantize import empty_range, widen
from kanji_np.ops.window import Geometry, Padding, Pair, Window
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


@dataclass(frozen=True)
class Conv2DAttrs:
    """Output channels; (height, width) of kernel, stride and dilation; padding "same",
    "valid" or ((top, bottom), (left, right)); activation "linear", "relu"
    or "relu6"."""

    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = "valid"
    activation: str = "linear"
    weight_bits: int = 8

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.stride, self.dilation, self.padding)


def infer(attrs: Conv2DAttrs, shape: Shape) -> Shape:
    g = attrs.window.over(shape)
    return g.out_h, g.out_w, attrs.filters


def param_shapes(attrs: Conv2DAttrs, shape: Shape) -> tuple[Shape, Shape]:
    return (attrs.filters, *attrs.kernel, shape[2]), (attrs.filters,)


def forward_int(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    x: np.ndarray,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N,H,W,Cin) -> int8 (N,OH,OW,Cout)."""
    g = _geometry(attrs, ints.weight, x)
    y = buffers.empty((len(x), g.out_h, g.out_w, attrs.filters), np.int8)
    ranges = conv_loops.forward_int(x, ints, g, y)
    if y_range is not None:
        widen(y_range, ranges)
    return y


def definition(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    x: np.ndarray,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """`forward_int` as the formula says it, one product at a time."""
    g = _geometry(attrs, ints.weight, x)
    y = np.empty((len(x), g.out_h, g.out_w, attrs.filters), np.int8)
    seen = empty_range() if y_range is None else y_range
    _definition(
        x, ints.weight, ints.bias, ints.multiplier, ints.shift,
        g.stride, g.dilation, g.pad,
        (ints.input_offset, ints.output_offset, ints.act_min, ints.act_max),
        ROUNDINGS[ints.rounding], y, seen,
    )  # fmt: skip
    return y


def forward_float(
    attrs: Conv2DAttrs, params: LinearParams, x: np.ndarray
) -> np.ndarray:
    """Floating (N,H,W,Cin) -> same dtype (N,OH,OW,Cout)."""
    g = _geometry(attrs, params.weight, x)
    y = buffers.empty((len(x), g.out_h, g.out_w, attrs.filters), x.dtype)
    bounds = activation_bounds(attrs.activation)
    conv_loops.forward_float(x, params, g, bounds, y)
    return y


def vjp(
    attrs: Conv2DAttrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: bool,
) -> tuple[np.ndarray | None, LinearParams]:
    """gW[o,i,j,c] = sum gY * X; gX = the transposed convolution of gY; gb = sum gY.

    gY counts where Y was not clamped.
    """
    g = _geometry(attrs, params.weight, saved.x)
    return full_gradients.backward(params, saved, g, gy, needs_gx)


def cost(attrs: Conv2DAttrs, shape: Shape, target: TargetSpec) -> Cost:
    depth = math.prod(attrs.kernel) * shape[2]
    return convolution.cost(infer(attrs, shape), depth, target)


def lower_cmsis_nn(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    x: TensorSpec,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    g = attrs.window.over(x.shape)
    params = Struct(
        "cmsis_nn_conv_params",
        "conv_params",
        (*convolution.offsets(ints), *convolution.windows(ints, g)),
    )
    return convolution.lower_s8(
        "arm_convolve_wrapper_s8",
        params,
        ints,
        dims("filter_dims", attrs.filters, *attrs.kernel, x.shape[2]),
        "(Cout,KH,KW,Cin)",
        x,
        y,
        scratch_bytes(x.shape, g, target),
    )


def scratch_bytes(shape: Shape, g: Geometry, target: TargetSpec) -> int:
    """What `arm_convolve_wrapper_s8_get_buffer_size` answers on the core class [bytes].

    Two columns of int16 patches, four of int8 on MVE cores. A plain 1x1 kernel needs
    none, except on DSP cores two int16 pixels with Arm's compiler.
    """
    channels = shape[2]
    depth = g.kernel_h * g.kernel_w * channels
    pointwise = g.kernel == g.dilation == (1, 1)
    if pointwise and g.pad == (0, 0):
        return 4 * channels if target.core == "dsp" and g.stride == (1, 1) else 0
    if target.core != "mve":
        return 4 * (-(-depth // 4) * 4)
    four_columns = 4 * (-(-depth // 16) * 16)
    row = shape[0] == g.kernel_h == g.dilation_w == 1
    if row and g.stride_w * channels % 4 == 0:
        return _row_scratch_bytes(shape, g) or four_columns
    return four_columns


def _row_scratch_bytes(shape: Shape, g: Geometry) -> int:
    """The same for the kernel that MVE cores have for one row of pixels [bytes].

    It copies the windows that reach into the padding, and hands over to the general
    kernel where that is all of them: 0.
    """
    before = g.pad_left
    after = (g.out_w - 1) * g.stride_w + g.kernel_w - shape[1] - before
    if after - before not in (0, 1):
        raise UnsupportedOp(
            "arm_convolve_wrapper_s8 on MVE cores takes one row of pixels only with as "
            "much padding after the used cells as before them, or one cell more; got "
            f"{before} before, {after} after"
        )
    first, last = (-(-pad // g.stride_w) for pad in (before, after))
    if first + last > g.out_w:
        return 0
    right = before if after == before else last
    return max(g.kernel_w + before, g.kernel_w - 1 + right) * shape[2]


def lower_cmsis_nn_q7(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    x: TensorSpec,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    if attrs.dilation != (1, 1):
        raise UnsupportedOp(f"{target.library} has no dilated convolution")
    g = attrs.window.over(x.shape)
    # two columns of int16 patches
    patches = 4 * ints.weight[0].size if target.core == "dsp" else 0
    return convolution.lower_q7(
        _q7_function(x.shape, attrs.filters, g),
        ints,
        "(Cout,KH,KW,Cin)",
        g,
        x,
        y,
        patches,
    )


def _q7_function(shape: Shape, filters: int, g: Geometry) -> str:
    """The fastest function that takes the shapes."""
    height, width, channels = shape
    vectors = channels % 4 == 0 and filters % 2 == 0
    if vectors and g.kernel == g.stride == (1, 1) and g.pad == (0, 0):
        # It takes the output to be as large as the input.
        if g.out == (height, width):
            return "arm_convolve_1x1_HWC_q7_fast_nonsquare"
    square = convolution.is_square(shape, g)
    if square and channels == 3:
        return "arm_convolve_HWC_q7_RGB"
    fits = _reads_inside(height, g.out_h, g.kernel_h, g.stride_h, g.pad_top) and (
        _reads_inside(width, g.out_w, g.kernel_w, g.stride_w, g.pad_left)
    )
    kind = "fast" if vectors and fits else "basic"
    return f"arm_convolve_HWC_q7_{kind}" + ("" if square else "_nonsquare")


def _reads_inside(size: int, count: int, kernel: int, stride: int, pad: int) -> bool:
    """Whether the fast functions stay inside the input along an axis.

    They test for padding only the first `pad` windows and the last, so padding after
    must not be more than that.
    """
    last = count - pad - 1
    return pad <= count and (last < pad or last * stride - pad + kernel <= size)


def _geometry(attrs: Conv2DAttrs, weight: np.ndarray, x: np.ndarray) -> Geometry:
    expected = (attrs.filters, *attrs.kernel, x.shape[-1])
    return convolution.geometry("conv2d", attrs.window, expected, weight, x)


@njit(cache=True)
def _definition(
    x, weight, bias, multiplier, shift, stride, dilation, pad, limits, rounding, y,
    y_range,
):  # fmt: skip
    count, height, width, channels = x.shape
    outputs, kernel_h, kernel_w, _ = weight.shape
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
                                for c in range(channels):
                                    total += (x[n, iy, ix, c] + input_offset) * weight[
                                        o, i, j, c
                                    ]
                    q = rescale(total, multiplier[o], shift[o], rounding)
                    y_range[0] = min(y_range[0], q)
                    y_range[1] = max(y_range[1], q)
                    y[n, oy, ox, o] = clamp(q + output_offset, low, high)


CONV2D = Op(
    name="conv2d",
    attrs=Conv2DAttrs,
    infer=infer,
    forward_int=forward_int,
    definition=definition,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    param_shapes=param_shapes,
)
