"""What the legacy calls of layers with weights share."""

from __future__ import annotations

import numpy as np

from kanji_np.errors import UnsupportedOp
from kanji_np.targets.arm import relu
from kanji_np.types import Constant, KernelCall, LinearInts, TargetSpec

STATUS = "arm_status"


def right_shift(ints: LinearInts) -> int:
    """`out_shift` of the call: multiplier 2^30 and shift 1 - n are the scale 2^-n."""
    return 1 - int(ints.shift[0])


def linear_constants(
    ints: LinearInts, weight: np.ndarray, layout: str
) -> tuple[Constant, ...]:
    bias = (ints.bias >> ints.bias_shift).astype(np.int8)
    return (
        Constant("weight", "int8_t", weight, layout),
        Constant("bias", "int8_t", bias, f"shifted left by {ints.bias_shift}"),
    )


def activation_calls(ints: LinearInts, size: int) -> tuple[KernelCall, ...]:
    """What follows a layer of `size` outputs for its fused activation."""
    return (relu(size),) if ints.act_min == 0 else ()


def check_layer(activation: str, weight_bits: int, target: TargetSpec) -> None:
    """UnsupportedOp if no function here has such an activation or such weights."""
    if weight_bits != 8:
        raise UnsupportedOp(f"{target.library} has no int{weight_bits} weights")
    if activation == "relu6":
        raise UnsupportedOp(f"{target.library} has no ReLU6: its outputs end at 127")
