"""CMSIS-NN's pooling, `arm_max_pool_s8` and `arm_avgpool_s8`.

Both take any window, padding and range to clamp to. Only average pooling on DSP cores
needs scratch memory.
"""

from __future__ import annotations

import math

from kanji_np.targets import arm
from kanji_np.targets.cmsis_nn.calls import activation_range, dims, scratch, tile
from kanji_np.types import (
    BufferSize,
    InputPtr,
    KernelCall,
    OutputPtr,
    Shape,
    Struct,
    TargetSpec,
)
from kanji_np.window import Geometry, Pair, Window


def maximum(x_shape: Shape, y_shape: Shape, g: Geometry, clamp_to: Pair) -> KernelCall:
    """A max pool of (H,W,C) to (OH,OW,C), its outputs clamped to (low, high)."""
    return _call("arm_max_pool_s8", x_shape, y_shape, g, clamp_to)


def average(
    x_shape: Shape, y_shape: Shape, g: Geometry, clamp_to: Pair, target: TargetSpec
) -> KernelCall:
    """The same of an average pool.

    DSP cores keep an int32 sum of each channel in scratch memory.
    """
    _, width, channels = y_shape
    return _call(
        "arm_avgpool_s8",
        x_shape,
        y_shape,
        g,
        clamp_to,
        scratch_bytes=4 * channels if target.core == "dsp" else 0,
        buffer_size=BufferSize("arm_avgpool_s8_get_buffer_size", (width, channels)),
    )


def clamped(shape: Shape, clamp_to: Pair) -> KernelCall:
    """A tensor of any shape clamped to (low, high).

    To (0, 127) `arm_relu_q7` does it, in place. To any other range a max pool does it
    whose windows have one cell, because only pools take a range.
    """
    if clamp_to == (0, 127):
        return arm.relu(math.prod(shape))
    if len(shape) != 3:
        shape = (math.prod(shape[:-1]), shape[-1])
    image = (1, *shape)[-3:]
    return maximum(image, image, Window((1, 1)).over(image), clamp_to)


def _call(
    function: str,
    x_shape: Shape,
    y_shape: Shape,
    g: Geometry,
    clamp_to: Pair,
    *,
    scratch_bytes: int = 0,
    buffer_size: BufferSize | None = None,
) -> KernelCall:
    """A pool of (H,W,C) to (OH,OW,C), its outputs clamped to (low, high)."""
    params = Struct(
        "cmsis_nn_pool_params",
        "pool_params",
        (
            ("stride", tile("stride", g.stride)),
            ("padding", tile("padding", g.pad)),
            ("activation", activation_range(*clamp_to)),
        ),
    )
    return KernelCall(
        function=function,
        header=arm.HEADER,
        arguments=(
            scratch(),
            params,
            dims("input_dims", 1, *x_shape),
            InputPtr(),
            dims("filter_dims", 1, *g.kernel, 1),
            dims("output_dims", 1, *y_shape),
            OutputPtr(),
        ),
        scratch_bytes=scratch_bytes,
        buffer_size=buffer_size,
    )
