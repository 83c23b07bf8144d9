"""Transposed 2-D convolution with bias, and a fused activation.

    Y[n,y,x,o] = clamp(rescale(b[o] + sum over i,j,c of
        (X[n, (y + top - i) / sh, (x + left - j) / sw, c] + input_offset) * w[o,i,j,c],
        multiplier[o], shift[o]) + output_offset, low, high)

The sum runs over those i, j for which both quotients are whole numbers inside the
image: every input adds a kernel to the output, a stride's worth of cells apart.
X (N,H,W,Cin), Y (N,OH,OW,Cout), w (Cout,KH,KW,Cin), b (Cout,).

Accumulator: as of `conv2d`, whose bound counts all KH * KW * Cin products.

It is the convolution, with its kernel turned by 180 degrees, of an image with
(stride - 1) zeros between its pixels: so the fast functions compute it.

Source: Keras `Conv2DTranspose`; TFLite `TRANSPOSE_CONV` int8. On the device: ccore
`kanji_transpose_conv_s8`. CMSIS-NN has `arm_transpose_conv_s8`, which needs scratch
memory, and up to the tag v7.0.0 is wrong where the padding before the output is no
multiple of the stride (mended in 4a8f5b5d).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.fixedpoint import ROUNDINGS, clamp, rescale
from kanji_np.jit import njit
from kanji_np.loops import transpose_conv2d as fast
from kanji_np.ops.attributes import (
    Attributes,
    attribute,
    cell_pair,
    channel_number,
    extra_cells,
    fused_activation,
    image_padding,
)
from kanji_np.ops.op import Fast, Op, Weights
from kanji_np.quantize import activation_bounds
from kanji_np.targets import kanji_nn
from kanji_np.targets.cmsis_nn.calls import linear_constants
from kanji_np.types import (
    Arrays,
    ConstPtr,
    Cost,
    Gradients,
    InputPtr,
    KernelCall,
    LinearInts,
    LinearParams,
    Numerics,
    OutputPtr,
    Saved,
    Shape,
    Shapes,
    Specs,
    Struct,
    TargetSpec,
    TensorSpec,
    check_weights,
)
from kanji_np.window import MOST_CELLS, Padding, Pair, Scatter, check_image

CHANNEL_BYTES = 12  # of bias, multiplier and shift


@dataclass(frozen=True)
class TransposeConv2DAttrs(Attributes):
    """Transposed 2-D convolution with bias; see `ops.transpose_conv2d`.

    (H,W,C) -> (OH,OW,filters); weight float32 (filters,KH,KW,C), bias (filters,).

    Parameters
    ----------
    filters : int
        Output channels.
    kernel_size, strides : int or (height, width)
    padding : "valid", "same" or ((top, bottom), (left, right))
        What is cut off the output. "valid": nothing, and the output is filled up to the
        stride's multiple of the input; "same": the output is this multiple.
    activation : None, "linear", "relu" or "relu6"
        Fused: it costs nothing on the device.
    output_padding : int or (height, width)
        So many cells more at the bottom and on the right.
    """

    filters: int = attribute(channel_number)
    kernel: Pair = attribute(cell_pair, called="kernel_size")
    stride: Pair = attribute(cell_pair, (1, 1), "strides")
    padding: Padding = attribute(image_padding, "valid")
    activation: str = attribute(fused_activation, "linear")
    output_padding: Pair = attribute(extra_cells, (0, 0))

    def scatter(self, shape: Shape) -> Scatter:
        """Where each input of an image (H,W,C) adds its kernel; ShapeError."""
        check_image(shape)
        axes = (self._axis(axis, shape[axis]) for axis in (0, 1))
        (out_h, top), (out_w, left) = axes
        return Scatter((out_h, out_w), self.kernel, self.stride, (top, left))

    def _axis(self, axis: int, size: int) -> Pair:
        """(cells of the output, cells cut off before it) along one axis."""
        kernel, stride = self.kernel[axis], self.stride[axis]
        reach = (size - 1) * stride + kernel
        more = self.output_padding[axis]
        if self.padding == "same":
            before, out = max(kernel - stride, 0) // 2, size * stride
        elif isinstance(self.padding, tuple):
            before, after = self.padding[axis]
            out = reach - before - after
            if max(before, after) >= kernel:
                raise ShapeError(
                    f"transpose_conv2d: padding {before}+{after} must be less than the "
                    f"kernel, {kernel} along {('height', 'width')[axis]}"
                )
        else:
            before, out = 0, max(reach, size * stride)
        if not 0 < out + more <= MOST_CELLS:
            raise ShapeError(
                f"transpose_conv2d: an output of {out + more} cells along "
                f"{('height', 'width')[axis]} is not in 1 .. {MOST_CELLS}"
            )
        return out + more, before

    def over(self, x: np.ndarray, weight: np.ndarray) -> Scatter:
        """`scatter` for a batch; ShapeError where the weights do not fit it."""
        expected = (self.filters, *self.kernel, x.shape[-1])
        check_weights("transpose_conv2d", x, 4, weight, expected)
        return self.scatter(x.shape[1:])


def infer(attrs: TransposeConv2DAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    return *attrs.scatter(shape).out, attrs.filters


def weight_shapes(attrs: TransposeConv2DAttrs, shapes: Shapes) -> tuple[Shape, Shape]:
    (shape,) = shapes
    return (attrs.filters, *attrs.kernel, shape[2]), (attrs.filters,)


def numerics_of(attrs: TransposeConv2DAttrs, numerics: Numerics) -> Numerics:
    """XNNPACK is not given kernels that "same" padding leaves gaps between; LiteRT's
    own kernel computes them."""
    gaps = any(s > k for s, k in zip(attrs.stride, attrs.kernel, strict=True))
    if numerics.kernels == "xnnpack" and attrs.padding == "same" and gaps:
        return replace(numerics, rounding="double", factors="float64")
    return numerics


def forward_int(
    attrs: TransposeConv2DAttrs,
    ints: LinearInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N,H,W,Cin) -> int8 (N,OH,OW,Cout), one product at a time."""
    (x,) = xs
    s = attrs.over(x, ints.weight)
    y = np.empty((len(x), *s.out, attrs.filters), np.int8)
    _definition(
        x, ints.weight, ints.bias, ints.multiplier, ints.shift, s.stride, s.before,
        (ints.input_offset, ints.output_offset, ints.act_min, ints.act_max),
        ROUNDINGS[ints.rounding],
        y, np.zeros(2, np.int64) if y_range is None else y_range,
    )  # fmt: skip
    return y


@njit(cache=True)
def _definition(
    x, weight, bias, multiplier, shift, stride, before, limits, rounding, y, y_range
):
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
                            iy, rest_y = divmod(oy + before[0] - i, stride[0])
                            ix, rest_x = divmod(ox + before[1] - j, stride[1])
                            inside = 0 <= iy < height and 0 <= ix < width
                            if inside and rest_y == 0 and rest_x == 0:
                                for c in range(channels):
                                    total += (x[n, iy, ix, c] + input_offset) * weight[
                                        o, i, j, c
                                    ]
                    q = rescale(total, multiplier[o], shift[o], rounding)
                    y_range[0] = min(y_range[0], q)
                    y_range[1] = max(y_range[1], q)
                    y[n, oy, ox, o] = clamp(q + output_offset, low, high)


def forward_float(
    attrs: TransposeConv2DAttrs, params: LinearParams, xs: Arrays
) -> np.ndarray:
    """Floating (N,H,W,Cin) -> same dtype (N,OH,OW,Cout), one kernel cell at a time."""
    (x,) = xs
    s = attrs.over(x, params.weight)
    whole = np.zeros((len(x), *s.reach(x.shape), attrs.filters), x.dtype)
    for (i, j), cells in s.taps(whole, x.shape):  # (N,H,W,Cin) @ (Cin,Cout)
        cells += x @ params.weight[:, i, j].T
    y = s.inside(whole) + params.bias
    return np.clip(y, *activation_bounds(attrs.activation))


def vjp(
    attrs: TransposeConv2DAttrs,
    params: LinearParams,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, LinearParams]:
    (x,), (needed,) = saved.real_x(gy.dtype), needs_gx
    s, gy = attrs.over(x, params.weight), saved.passed(gy)
    whole = np.zeros((len(x), *s.reach(x.shape), attrs.filters), gy.dtype)
    s.inside(whole)[...] = gy
    gweight, gx = np.zeros_like(params.weight, gy.dtype), np.zeros_like(x)
    for (i, j), gcells in s.taps(whole, x.shape):
        gweight[:, i, j] = np.einsum("nyxo,nyxc->oc", gcells, x)
        gx += gcells @ params.weight[:, i, j]
    gparams = LinearParams(gweight, gy.sum(axis=(0, 1, 2)))
    return (gx if needed else None,), gparams


def cost(attrs: TransposeConv2DAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    """What is cut off counts as work."""
    (shape,) = shapes
    depth = math.prod(attrs.kernel) * shape[2]
    macs = math.prod(shape[:2]) * depth * attrs.filters
    return Cost(macs, attrs.filters * (depth + CHANNEL_BYTES))


def lower(
    attrs: TransposeConv2DAttrs,
    ints: LinearInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    (x,) = xs
    s = attrs.scatter(x.shape)
    params = Struct(
        "kanji_transpose_conv",
        "params",
        (
            ("input_offset", ints.input_offset),
            ("output_offset", ints.output_offset),
            ("act_min", ints.act_min),
            ("act_max", ints.act_max),
            ("roundings", {"double": 2, "single": 1}[ints.rounding]),
            ("stride_h", s.stride[0]),
            ("stride_w", s.stride[1]),
            ("pad_h", s.before[0]),
            ("pad_w", s.before[1]),
        ),
    )
    call = kanji_nn.call(
        "kanji_transpose_conv_s8",
        params,
        kanji_nn.kanji_axes("input_dims", (1, *x.shape)),
        InputPtr(),
        kanji_nn.kanji_axes("filter_dims", ints.weight.shape),
        ConstPtr("weight"),
        ConstPtr("bias"),
        ConstPtr("multiplier"),
        ConstPtr("shift"),
        kanji_nn.kanji_axes("output_dims", (1, *y.shape)),
        OutputPtr(),
        constants=linear_constants(ints, "(Cout,KH,KW,Cin)", 8),
    )
    return (call,)


TRANSPOSE_CONV2D = Op(
    name="transpose_conv2d",
    short_name="upconv",
    attrs=TransposeConv2DAttrs,
    layer="Conv2DTranspose",
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower},
    weights=Weights(weight_shapes),
    tracks_output=True,
    numerics=numerics_of,
    fast=Fast(fast.forward_int, fast.forward_float, fast.vjp),
)
