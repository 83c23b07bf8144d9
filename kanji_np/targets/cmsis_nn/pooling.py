"""CMSIS-NN's pooling, `arm_max_pool_s8` and `arm_avgpool_s8`.

Both take any window, padding and range to clamp to. Only average pooling on DSP cores
needs scratch memory.
"""

from __future__ import annotations

from kanji_np.targets.arm import HEADER
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
from kanji_np.window import Geometry, Pair


def call(
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
        header=HEADER,
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


def average_scratch_bytes(channels: int, target: TargetSpec) -> int:
    """DSP cores keep an int32 sum of each channel [bytes]."""
    return 4 * channels if target.core == "dsp" else 0


def average_buffer_size(y_shape: Shape) -> BufferSize:
    """How the linked library is asked for the same."""
    _, width, channels = y_shape
    return BufferSize("arm_avgpool_s8_get_buffer_size", (width, channels))
