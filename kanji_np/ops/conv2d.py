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

Source: CMSIS-NN v7.0.0 `arm_convolve_wrapper_s8`, `_s4`; TFLite `CONV_2D` int8.
Legacy: CMSIS 5.9.0 `arm_convolve_HWC_q7_*`, the same formula for powers of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kanji_np.errors import UnsupportedOp
from kanji_np.fixedpoint import ROUNDINGS, clamp, rescale
from kanji_np.jit import njit
from kanji_np.loops import buffers, conv, conv_gradients
from kanji_np.loops.requantize import empty_range, widen
from kanji_np.ops import cmsis_q7, convolution
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
from kanji_np.window import Geometry, Padding, Pair, Window


@dataclass(frozen=True)
class Conv2DAttrs(Attributes):
    """Output channels; (height, width) of kernel, stride and dilation; padding "same",
    "valid" or ((top, bottom), (left, right)); activation "linear", "relu" or "relu6";
    width of the weights, 8 or 4."""

    filters: int = attribute(channel_number)
    kernel: Pair = attribute(cell_pair, called="kernel_size")
    stride: Pair = attribute(cell_pair, (1, 1), "strides")
    dilation: Pair = attribute(cell_pair, (1, 1), "dilation_rate")
    padding: Padding = attribute(image_padding, "valid")
    activation: str = attribute(fused_activation, "linear")
    weight_bits: int = attribute(weight_width, 8)

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.stride, self.dilation, self.padding)


def infer(attrs: Conv2DAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    g = attrs.window.over(shape)
    return g.out_h, g.out_w, attrs.filters


def weight_shapes(attrs: Conv2DAttrs, shapes: Shapes) -> tuple[Shape, Shape]:
    (shape,) = shapes
    return (attrs.filters, *attrs.kernel, shape[2]), (attrs.filters,)


def fast_int(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N,H,W,Cin) -> int8 (N,OH,OW,Cout)."""
    (x,) = xs
    g = _geometry(attrs, ints.weight, x)
    y = buffers.empty((len(x), g.out_h, g.out_w, attrs.filters), np.int8)
    ranges = conv.forward_int(x, ints, g, y)
    if y_range is not None:
        widen(y_range, ranges)
    return y


def forward_int(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """`forward_int` as the formula says it, one product at a time."""
    (x,) = xs
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


def forward_float(attrs: Conv2DAttrs, params: LinearParams, xs: Arrays) -> np.ndarray:
    """Floating (N,H,W,Cin) -> same dtype (N,OH,OW,Cout)."""
    (x,) = xs
    g = _geometry(attrs, params.weight, x)
    y = buffers.empty((len(x), g.out_h, g.out_w, attrs.filters), x.dtype)
    bounds = activation_bounds(attrs.activation)
    conv.forward_float(x, params, g, bounds, y)
    return y


def vjp(
    attrs: Conv2DAttrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    """gW[o,i,j,c] = sum gY * X; gX = the transposed convolution of gY; gb = sum gY.

    gY counts where Y was not clamped.
    """
    (x,), (needed,) = saved.x, needs_gx
    g = _geometry(attrs, params.weight, x)
    gx, gparams = conv_gradients.backward(params, saved, g, gy, needed)
    return (gx,), gparams


def cost(attrs: Conv2DAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    (shape,) = shapes
    depth = math.prod(attrs.kernel) * shape[2]
    return convolution.cost(infer(attrs, shapes), depth, attrs.weight_bits, target)


def lower_cmsis_nn(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    g = attrs.window.over(x.shape)
    function = f"arm_convolve_wrapper_s{attrs.weight_bits}"
    check_kernel(function, attrs.weight_bits, x.shape, g, target)
    params = Struct(
        "cmsis_nn_conv_params",
        "conv_params",
        (*convolution.offsets(ints), *convolution.windows(ints, g)),
    )
    return convolution.lower_s8(
        function,
        params,
        ints,
        dims("filter_dims", attrs.filters, *attrs.kernel, x.shape[2]),
        "(Cout,KH,KW,Cin)",
        attrs.weight_bits,
        x,
        y,
        scratch_bytes(x.shape, g, attrs.weight_bits, target),
    )


def scratch_bytes(
    shape: Shape, g: Geometry, weight_bits: int, target: TargetSpec
) -> int:
    """The most that the wrapper's `_get_buffer_size` answers on the core class, over
    all that `target.version` stands for [bytes].

    Two columns of int16 patches, four of int8 on MVE cores. A plain 1x1 kernel needs
    none, except with int8 weights on DSP cores two int16 pixels with Arm's compiler.
    The first version is given what the newest asks for too, because ccore asks for it.
    """
    channels = shape[2]
    depth = g.kernel_h * g.kernel_w * channels
    if _is_pointwise(g):
        takes_pixels = target.core == "dsp" and g.stride == (1, 1) and weight_bits == 8
        return 4 * channels if takes_pixels else 0
    if target.core != "mve":
        return 4 * (depth if weight_bits == 4 else -(-depth // 4) * 4)
    four_columns = 4 * (-(-depth // 16) * 16)
    of_first = _is_row_of_first(shape, g, target)
    if not _is_row(shape, g) or (target.version == FIRST_VERSION and not of_first):
        return four_columns
    ends = _row_ends(shape, g)
    if ends.first + ends.last > g.out_w:
        return four_columns
    # The windows that reach into the padding are copied; with int4 weights they are
    # not, but v7.0.0 wants the memory for them.
    right = ends.before if ends.after == ends.before else ends.last
    return max(g.kernel_w + ends.before, g.kernel_w - 1 + right) * channels


def _is_pointwise(g: Geometry) -> bool:
    """Whether the wrappers take their kernel for 1x1 windows."""
    return g.kernel == g.dilation == (1, 1) and g.pad == (0, 0)


def _is_row(shape: Shape, g: Geometry) -> bool:
    """Whether MVE cores take their kernel for one row of pixels."""
    return _has_one_row(shape, g) and g.stride_w * shape[2] % 4 == 0


def _is_row_of_first(shape: Shape, g: Geometry, target: TargetSpec) -> bool:
    """The same of the first version, whose kernel takes four pixels at a time."""
    is_first = (target.core, target.version) == ("mve", FIRST_VERSION)
    return is_first and _has_one_row(shape, g) and g.out_w % 4 == 0


def _has_one_row(shape: Shape, g: Geometry) -> bool:
    return shape[0] == g.kernel_h == g.dilation_w == 1 and not _is_pointwise(g)


@dataclass(frozen=True)
class RowEnds:
    """Cells of padding before a row and, used by a window, after it; how many windows
    MVE cores' kernel takes to reach into each."""

    before: int
    after: int
    first: int
    last: int


def _row_ends(shape: Shape, g: Geometry) -> RowEnds:
    before = g.pad_left
    after = (g.out_w - 1) * g.stride_w + g.kernel_w - shape[1] - before
    first, last = (-(-pad // g.stride_w) for pad in (before, after))
    return RowEnds(before, after, first, last)


def check_kernel(
    function: str, weight_bits: int, shape: Shape, g: Geometry, target: TargetSpec
) -> None:
    """UnsupportedOp where the kernel that the library picks would be wrong."""
    if weight_bits == 4 and (target.core, target.rounding) == ("mve", "single"):
        raise UnsupportedOp(
            f"{function} on MVE cores rounds some outputs twice where the library is "
            'built to round once; take rounding="double" or weight_bits=8'
        )
    if _is_pointwise(g):
        starts = [(n - 1) * stride for n, stride in zip(g.out, g.stride, strict=True)]
        if starts[0] >= shape[0] or starts[1] >= shape[1]:
            raise UnsupportedOp(
                f"{function} reads beyond the input where the windows of a 1x1 kernel "
                "lie in the padding after it; pad less, or before the input too"
            )
    elif target.core == "mve":
        reason = _wrong_row_of_first(shape, g, target)
        if reason is None and _is_row(shape, g):
            reason = _wrong_row(weight_bits, shape, g, target)
        if reason:
            raise UnsupportedOp(
                f"{function} on MVE cores takes one row of pixels only with {reason}"
            )


def _wrong_row_of_first(shape: Shape, g: Geometry, target: TargetSpec) -> str | None:
    """What the first version's kernel for one row of pixels misses."""
    if not _is_row_of_first(shape, g, target):
        return None
    if g.out_h > 1 or g.pad_top > 0:
        return "one row of output, and no padding above it"
    last = (g.out_w - 1) * g.stride_w - g.pad_left
    if g.pad_left >= g.kernel_w or last >= shape[1]:
        return "windows that touch the input"
    return None


def _wrong_row(
    weight_bits: int, shape: Shape, g: Geometry, target: TargetSpec
) -> str | None:
    """What MVE cores' kernel for one row of pixels misses, if it would be wrong."""
    ends = _row_ends(shape, g)
    if g.out_h > 1 or g.pad_top > 0:
        return "one row of output, and no padding above it"
    if ends.after - ends.before not in (0, 1):
        return (
            "as much padding after the used cells as before them, or one cell more; "
            f"got {ends.before} before, {ends.after} after"
        )
    crowded = ends.first + ends.last > g.out_w
    if weight_bits == 4:
        if crowded:
            return "a window that does not reach into the padding"
        return "an even number of channels" if shape[2] % 2 else None
    if crowded or target.version == FIRST_VERSION:
        return None  # the general kernel computes it, or one that copies nothing
    # It copies the last cells and padding behind them, as if the first window to leave
    # the row left it by one cell.
    by_one_cell = (ends.after - 1) % g.stride_w == 0
    if ends.last == 0 or (by_one_cell and ends.after in (ends.before, ends.last)):
        return None
    return (
        "windows of which the first to leave the row leaves it by one cell; got stride "
        f"{g.stride_w}, {ends.before} cells of padding before and {ends.after} after"
    )


def lower_cmsis_nn_q7(
    attrs: Conv2DAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    cmsis_q7.check_attrs(attrs.activation, attrs.weight_bits, target)
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
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower_cmsis_nn, "cmsis-nn-q7": lower_cmsis_nn_q7},
    weights=Weights(weight_shapes, convolution.channel_scales),
    tracks_output=True,
    fast=Fast(fast_int),
)
