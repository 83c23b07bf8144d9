"""What the constants of a layer with weights take of flash [bytes]."""

from __future__ import annotations

from kanji_np.types import TargetSpec


def weight_bytes(count: int, weight_bits: int) -> int:
    """So many weights; two int4 weights share a byte."""
    return -(-count * weight_bits // 8)


def bias_bytes(target: TargetSpec) -> int:
    """The bias of one output."""
    return target.numerics.bias_bits // 8


def convolution_bytes(
    filters: int, depth: int, weight_bits: int, target: TargetSpec
) -> int:
    """`filters` of `depth` weights each, and what a convolution has beside them.

    That is an int32 bias, multiplier and shift for each filter; or, where one shift
    holds for all of them, an int8 bias.
    """
    beside = 1 if target.numerics.bias_bits == 8 else 12
    return weight_bytes(filters * depth, weight_bits) + filters * beside
