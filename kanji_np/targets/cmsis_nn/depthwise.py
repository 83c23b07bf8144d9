"""CMSIS-NN's depthwise convolution, `arm_depthwise_conv_wrapper_s8` and `_s4`.

The wrapper picks a kernel by shape, the first of these that takes it:

convolution  one input channel and several outputs, on MVE cores, not in 4.0.0: the
             wrapper transposes the weights and calls `arm_convolve_wrapper_s8`
general      a depth multiplier or dilation
3x3          int8 weights, 3x3 windows, at most one cell of padding at top and left, on
             DSP and plain C cores
optimized    everything else; with int8 weights on plain C cores it is the general one

Some shapes make a kernel compute wrong values or write outside its memory.
`check_kernel` refuses them.
"""

from __future__ import annotations

from kanji_np.errors import UnsupportedOp
from kanji_np.targets.cmsis_nn import convolution
from kanji_np.targets.cmsis_nn.convolution import offset_fields, window_fields
from kanji_np.targets.cmsis_nn.library import V4
from kanji_np.types import LinearInts, Shape, Struct, TargetSpec
from kanji_np.window import MOST_CELLS, Geometry

MVE_BLOCK = 124  # channels that the optimized kernel of MVE cores takes at a time


def dw_conv_params(ints: LinearInts, g: Geometry, depth_multiplier: int) -> Struct:
    return Struct(
        "cmsis_nn_dw_conv_params",
        "dw_conv_params",
        (
            *offset_fields(ints),
            ("ch_mult", depth_multiplier),
            *window_fields(ints, g),
        ),
    )


def scratch_bytes(
    shape: Shape,
    g: Geometry,
    depth_multiplier: int,
    weight_bits: int,
    target: TargetSpec,
) -> int:
    """Scratch memory for windows `g` over an input (H,W,C) [bytes].

    This is what the wrapper's `_get_buffer_size` answers on the core class:

    convolution  what the convolution needs, and a copy of the weights
    general      none
    3x3          none; in 4.0.0 on DSP cores as `optimized`, which it does not use
    optimized    DSP cores: one int16 window. Plain C cores: the same with int4 weights,
                 none with int8. MVE cores: four int8 windows of `MVE_BLOCK` channels

    4.0.0 has no `convolution`, but is given its memory, because ccore, which the
    firmware may link instead, asks for that.
    """
    depth = g.kernel_h * g.kernel_w
    if _is_convolution_on_mve(shape, depth_multiplier, target):
        copy = depth_multiplier * depth
        return convolution.scratch_bytes(shape, g, weight_bits, target) + copy
    int8_on_c = target.core == "c" and weight_bits == 8
    if int8_on_c or _is_general(g, depth_multiplier):
        return 0
    if target.core == "mve":
        return 4 * MVE_BLOCK * depth
    if _is_3x3(g, weight_bits) and target.version != V4:
        return 0
    return 2 * shape[2] * depth


def _is_convolution_on_mve(
    shape: Shape, depth_multiplier: int, target: TargetSpec
) -> bool:
    """Whether 7.0.0 computes it as a convolution."""
    return shape[2] == 1 < depth_multiplier and target.core == "mve"


def _is_general(g: Geometry, depth_multiplier: int) -> bool:
    return depth_multiplier != 1 or g.dilation != (1, 1)


def _is_3x3(g: Geometry, weight_bits: int) -> bool:
    """Whether cores other than MVE take the 3x3 kernel, if it is not `general`."""
    return weight_bits == 8 and g.kernel == (3, 3) and max(g.pad) <= 1


def check_kernel(
    function: str,
    depth_multiplier: int,
    weight_bits: int,
    shape: Shape,
    g: Geometry,
    target: TargetSpec,
) -> None:
    """UnsupportedOp where the kernel that the wrapper picks would be wrong.

    - Every kernel, every version: some keep numbers of channels and positions of
      windows in 16 bits. Larger ones are refused on every core.
    - int4 weights, MVE cores: outputs differ from those of the other cores. Refused.
    - general, int4 weights: with an odd number of input channels the kernel loses track
      of which half of a byte holds a weight. Refused.
    - convolution, 7.0.0: refused where `convolution.check_kernel` refuses it.
    - 3x3, every version: of a window's columns the kernel leaves out the third where it
      lies beyond the input, but not the second. Where windows reach two columns beyond
      the input, it adds cells of the next row. Refused.
    - optimized, every version, on DSP cores and with int4 weights on plain C cores:
      where a window lies in the padding above or below, and does not touch the input,
      the kernel clears more memory than it has. Refused.
    """
    height, width, channels = shape
    last_top, last_left = (
        (count - 1) * stride - pad
        for count, stride, pad in zip(g.out, g.stride, g.pad, strict=True)
    )
    most = max(*g.pad, last_top, last_left)
    if most > MOST_CELLS or channels * depth_multiplier > 2 * MOST_CELLS + 1:
        raise UnsupportedOp(
            f"{function} takes {2 * MOST_CELLS + 1} channels at most, and windows that "
            f"start at most {MOST_CELLS} cells before or after the first of the input"
        )
    int4 = weight_bits == 4
    if int4 and target.core == "mve":
        raise UnsupportedOp(
            f"{function} on MVE cores does not give the answers of the others; take "
            "weight_bits=8"
        )
    general = _is_general(g, depth_multiplier)
    if int4 and general and channels % 2:
        raise UnsupportedOp(
            f"{function} with dilation or a depth_multiplier takes an even number of "
            f"input channels, got {channels}"
        )
    is_convolution = _is_convolution_on_mve(shape, depth_multiplier, target)
    if is_convolution and target.version != V4:
        convolution.check_kernel(function, weight_bits, shape, g, target)
    if general or target.core == "mve":
        return
    if _is_3x3(g, weight_bits):
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
