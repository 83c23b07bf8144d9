"""Legacy convolution and depthwise convolution.

`arm_convolve_HWC_q7_*` is a family of functions that compute the same, some of them
faster and for some shapes only; `convolution_function` picks one. All of them, and
`arm_depthwise_separable_conv_HWC_q7`, take one number where height and width agree, and
have a twin named "nonsquare" that takes two. None has dilation.
"""

from __future__ import annotations

from kanji_np.errors import UnsupportedOp
from kanji_np.targets.arm import HEADER, check_extents
from kanji_np.targets.cmsis_nn_q7.calls import STATUS, linear_constants, right_shift
from kanji_np.types import (
    ConstPtr,
    InputPtr,
    KernelCall,
    LinearInts,
    NullPtr,
    OutputPtr,
    ScratchPtr,
    Shape,
    TargetSpec,
)
from kanji_np.window import Geometry


def check_convolution(g: Geometry, groups: int, target: TargetSpec) -> None:
    if g.dilation != (1, 1):
        raise UnsupportedOp(f"{target.library} has no dilated convolution")
    if groups > 1:
        raise UnsupportedOp(
            f"{target.library} has no convolution in groups; take one group, or the "
            "target cmsis-nn"
        )


def check_depthwise(g: Geometry, depth_multiplier: int, target: TargetSpec) -> None:
    if g.dilation != (1, 1):
        raise UnsupportedOp(f"{target.library} has no dilated depthwise convolution")
    if depth_multiplier != 1:
        raise UnsupportedOp(
            f"{target.library} has depthwise convolution with depth_multiplier 1 only"
        )


def convolution_function(shape: Shape, filters: int, g: Geometry) -> str:
    """The fastest function that is right for windows `g` over an input (H,W,C).

    1x1_fast  1x1 windows, stride 1, no padding on any side
    RGB       three channels, everything square
    fast      channels a multiple of 4, an even number of filters, and padding that
              `_fast_stays_inside`
    basic     everything else
    """
    height, width, channels = shape
    vectors = channels % 4 == 0 and filters % 2 == 0
    if vectors and g.kernel == g.stride == (1, 1) and g.pad == (0, 0):
        # It takes the output to be as large as the input.
        if g.out == (height, width):
            return "arm_convolve_1x1_HWC_q7_fast_nonsquare"
    square = _is_square(shape, g)
    if square and channels == 3:
        return "arm_convolve_HWC_q7_RGB"
    inside = _fast_stays_inside(
        height, g.out_h, g.kernel_h, g.stride_h, g.pad_top
    ) and _fast_stays_inside(width, g.out_w, g.kernel_w, g.stride_w, g.pad_left)
    kind = "fast" if vectors and inside else "basic"
    return f"arm_convolve_HWC_q7_{kind}" + ("" if square else "_nonsquare")


def depthwise_function(shape: Shape, g: Geometry) -> str:
    square = _is_square(shape, g)
    return "arm_depthwise_separable_conv_HWC_q7" + ("" if square else "_nonsquare")


def _is_square(shape: Shape, g: Geometry) -> bool:
    """Whether height and width of everything are the same."""
    pairs = (shape[:2], g.kernel, g.stride, g.pad, g.out)
    return all(along_h == along_w for along_h, along_w in pairs)


def _fast_stays_inside(
    size: int, count: int, kernel: int, stride: int, pad: int
) -> bool:
    """Whether the fast functions read inside the input only, along one axis.

    Of `count` windows they look for padding in the first `pad` and the last `pad`. With
    more padding after the input than before it, as "same" has with a stride of 2, other
    windows reach beyond the input, and the fast functions would read there.
    """
    last = count - pad - 1
    return pad <= count and (last < pad or last * stride - pad + kernel <= size)


def convolution_scratch_bytes(depth: int, target: TargetSpec) -> int:
    """Two int16 windows of `depth` cells on DSP cores [bytes]."""
    return 4 * depth if target.core == "dsp" else 0


def depthwise_scratch_bytes(depth: int, target: TargetSpec) -> int:
    """One int8 window of `depth` cells on DSP cores [bytes].

    The library's documentation says twice that.
    """
    return depth if target.core == "dsp" else 0


def call(
    function: str,
    ints: LinearInts,
    g: Geometry,
    *,
    layout: str,
    x_shape: Shape,
    y_shape: Shape,
    scratch_bytes: int,
) -> KernelCall:
    """The call of any of these functions.

    `ints.weight` must be in the library's order of axes already; `layout` names it in
    the generated C. Shapes are (H,W,C). UnsupportedOp if an extent is too large.
    """
    height, width, channels = x_shape
    check_extents(function, *x_shape, *y_shape)
    square = "nonsquare" not in function

    def axes(along_w: int, along_h: int) -> tuple[int, ...]:
        return (along_w,) if square else (along_w, along_h)

    return KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            InputPtr(),
            *axes(width, height),
            channels,
            ConstPtr("weight"),
            y_shape[2],
            *axes(g.kernel_w, g.kernel_h),
            *axes(g.pad_left, g.pad_top),
            *axes(g.stride_w, g.stride_h),
            ConstPtr("bias"),
            ints.bias_shift,
            right_shift(ints),
            OutputPtr(),
            *axes(g.out_w, g.out_h),
            ScratchPtr(),
            NullPtr(),
        ),
        constants=linear_constants(ints, ints.weight, layout),
        scratch_bytes=scratch_bytes,
        status=STATUS,
    )
