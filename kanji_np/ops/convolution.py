"""What convolution and depthwise convolution share: checks, cost, the C calls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.ops import cmsis_q7
from kanji_np.ops.cmsis import (
    HEADER,
    activation_range,
    dims,
    linear_constants,
    per_channel_quant,
    scratch,
    tile,
    weight_bytes,
)
from kanji_np.types import (
    Argument,
    BufferSize,
    ConstPtr,
    Cost,
    InputPtr,
    KernelCall,
    LinearInts,
    NullPtr,
    OutputPtr,
    ScratchPtr,
    Shape,
    Struct,
    TargetSpec,
    TensorSpec,
)
from kanji_np.window import Geometry, Window

Fields = tuple[tuple[str, Argument], ...]


def geometry(
    owner: str, window: Window, expected: Shape, weight: np.ndarray, x: np.ndarray
) -> Geometry:
    """Where the windows of a batch `x` lie; ShapeError if the weights do not fit it."""
    if x.ndim != 4 or weight.shape != expected:
        raise ShapeError(
            f"{owner}: input {x.shape} needs weights {expected}, got {weight.shape}"
        )
    return window.over(x.shape[1:])


def cost(output: Shape, depth: int, weight_bits: int, target: TargetSpec) -> Cost:
    """Cost of an output (OH, OW, Cout) whose elements are sums of `depth` products."""
    channels = output[2]
    # a channel: an int8 bias, or an int32 bias, multiplier and shift
    per_channel = 1 if target.numerics.bias_bits == 8 else 12
    weights = weight_bytes(channels * depth, weight_bits)
    return Cost(math.prod(output) * depth, weights + channels * per_channel)


def channel_scales(attrs: Any, target: TargetSpec) -> bool:
    """Whether the target takes a scale for each output channel."""
    return target.library != "cmsis-nn-q7"


def offsets(ints: LinearInts) -> Fields:
    """The first fields of the parameters of a call."""
    return (("input_offset", ints.input_offset), ("output_offset", ints.output_offset))


def windows(ints: LinearInts, g: Geometry) -> Fields:
    """The last fields of the parameters of a call."""
    return (
        ("stride", tile("stride", g.stride)),
        ("padding", tile("padding", g.pad)),
        ("dilation", tile("dilation", g.dilation)),
        ("activation", activation_range(ints.act_min, ints.act_max)),
    )


def lower_s8(
    function: str,
    params: Struct,
    ints: LinearInts,
    filter_dims: Struct,
    layout: str,
    weight_bits: int,
    x: TensorSpec,
    y: TensorSpec,
    scratch_bytes: int,
) -> tuple[KernelCall, ...]:
    """The call of a wrapper function; `ints.weight` is in the library's `layout`."""
    input_dims = dims("input_dims", 1, *x.shape)
    output_dims = dims("output_dims", 1, *y.shape)
    call = KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            scratch(),
            params,
            per_channel_quant(),
            input_dims,
            InputPtr(),
            filter_dims,
            ConstPtr("weight"),
            dims("bias_dims", 1, 1, 1, y.shape[2]),
            ConstPtr("bias"),
            output_dims,
            OutputPtr(),
        ),
        constants=linear_constants(ints, layout, weight_bits),
        scratch_bytes=scratch_bytes,
        buffer_size=BufferSize(
            f"{function}_get_buffer_size",
            (params, input_dims, filter_dims, output_dims),
        ),
    )
    return (call,)


def is_square(shape: Shape, g: Geometry) -> bool:
    """Whether height and width of everything are the same."""
    pairs = (shape[:2], g.kernel, g.stride, g.pad, g.out)
    return all(along_h == along_w for along_h, along_w in pairs)


def lower_q7(
    function: str,
    ints: LinearInts,
    layout: str,
    g: Geometry,
    x: TensorSpec,
    y: TensorSpec,
    scratch_bytes: int,
) -> tuple[KernelCall, ...]:
    """The call of a legacy function, and what follows for the activation.

    `ints.weight` is in the library's `layout`. Functions named "nonsquare" take two
    numbers where the others take one.
    """
    height, width, channels = x.shape
    cmsis_q7.check_extents(function, *x.shape, *y.shape)
    square = "nonsquare" not in function

    def axes(along_w: int, along_h: int) -> tuple[int, ...]:
        return (along_w,) if square else (along_w, along_h)

    call = KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            InputPtr(),
            *axes(width, height),
            channels,
            ConstPtr("weight"),
            y.shape[2],
            *axes(g.kernel_w, g.kernel_h),
            *axes(g.pad_left, g.pad_top),
            *axes(g.stride_w, g.stride_h),
            ConstPtr("bias"),
            ints.bias_shift,
            cmsis_q7.right_shift(ints),
            OutputPtr(),
            *axes(g.out_w, g.out_h),
            ScratchPtr(),
            NullPtr(),
        ),
        constants=cmsis_q7.linear_constants(ints, ints.weight, layout),
        scratch_bytes=scratch_bytes,
        status=cmsis_q7.STATUS,
    )
    return (call, *cmsis_q7.activation_calls(ints, y.size))
