"""Legacy pooling, `arm_maxpool_q7_HWC` and `arm_avepool_q7_HWC`.

Images, windows, strides and padding are square. On DSP cores a pool first pools along x
inside its input, and so destroys it.
"""

from __future__ import annotations

from kanji_np.errors import UnsupportedOp
from kanji_np.targets.arm import HEADER, check_extents
from kanji_np.types import (
    InputPtr,
    KernelCall,
    OutputPtr,
    ScratchPtr,
    Shape,
    TargetSpec,
)
from kanji_np.window import Geometry

MOST_AVERAGE_CELLS = 256  # a side: more could leave the int16 of its sums


def maximum(
    x_shape: Shape, y_shape: Shape, g: Geometry, target: TargetSpec
) -> KernelCall:
    """A max pool of (H,W,C) to (OH,OW,C); UnsupportedOp where the function cannot."""
    return _call("arm_maxpool_q7_HWC", x_shape, y_shape, g, target)


def average(
    x_shape: Shape, y_shape: Shape, g: Geometry, target: TargetSpec
) -> KernelCall:
    """The same of an average pool.

    Its sums are int16, which the cells of a larger window could leave. DSP cores keep
    one row of outputs as int16 in scratch memory.
    """
    function = "arm_avepool_q7_HWC"
    if g.kernel_h > MOST_AVERAGE_CELLS:
        raise UnsupportedOp(
            f"{function} takes windows of {MOST_AVERAGE_CELLS} cells a side at most, "
            f"got {g.kernel_h}"
        )
    row_bytes = 2 * y_shape[1] * y_shape[2]
    scratch_bytes = row_bytes if target.core == "dsp" else 0
    return _call(function, x_shape, y_shape, g, target, scratch_bytes=scratch_bytes)


def _call(
    function: str,
    x_shape: Shape,
    y_shape: Shape,
    g: Geometry,
    target: TargetSpec,
    *,
    scratch_bytes: int = 0,
) -> KernelCall:
    """A pool of (H,W,C) to (OH,OW,C); UnsupportedOp where the function cannot.

    On DSP cores a pool writes its columns over the input, from the left. Where padding
    is not less than the stride, it overwrites cells that later windows still need, and
    computes wrong values. Refused.
    """
    pairs = (x_shape[:2], g.kernel, g.stride, g.pad, y_shape[:2])
    if any(along_h != along_w for along_h, along_w in pairs):
        raise UnsupportedOp(
            f"{function} takes square images, windows, strides and padding only"
        )
    if target.core == "dsp" and g.pad_left >= g.stride_w:
        raise UnsupportedOp(
            f"{function} on DSP cores is wrong where padding ({g.pad_left}) is not "
            f"less than the stride ({g.stride_w}): it overwrites columns that later "
            "windows still need; pad less, stride more, or build for core class c"
        )
    check_extents(function, *x_shape, y_shape[1] * y_shape[2])
    return KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            InputPtr(writable=True),
            x_shape[0],
            x_shape[2],
            g.kernel_w,
            g.pad_left,
            g.stride_w,
            g.out_w,
            ScratchPtr(),
            OutputPtr(),
        ),
        scratch_bytes=scratch_bytes,
        destroys_input=target.core == "dsp",
        status=None,
    )
