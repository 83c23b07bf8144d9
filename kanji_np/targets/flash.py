"""What the constants of a layer with weights take of flash [bytes]."""

from __future__ import annotations

from kanji_np.types import TargetSpec


def weight_bytes(count: int, weight_bits: int) -> int:
    """So many weights; two int4 weights share a byte."""
    return -(-count * weight_bits // 8)


def bias_bytes(target: TargetSpec) -> int:
    """The bias of one output."""
    return target.numerics.bias_bits // 8


def channel_bytes(target: TargetSpec) -> int:
    """What a convolution stores for one output channel beside its weights.

    An int32 bias, multiplier and shift; or, where one shift holds for all channels, an
    int8 bias.
    """
    return 1 if target.numerics.bias_bits == 8 else 12
