"""Pieces of CMSIS-NN calls that several operators share: dims, params, constants."""

from __future__ import annotations

from kanji_np.ops.window import Pair
from kanji_np.types import (
    Constant,
    ConstPtr,
    LinearInts,
    ScratchBytes,
    ScratchPtr,
    Struct,
)

HEADER = "arm_nnfunctions.h"
KANJI_HEADER = "kanji_nn.h"


def dims(name: str, n: int, h: int, w: int, c: int) -> Struct:
    return Struct("cmsis_nn_dims", name, (("n", n), ("h", h), ("w", w), ("c", c)))


def tile(name: str, height_width: Pair) -> Struct:
    height, width = height_width
    return Struct("cmsis_nn_tile", name, (("w", width), ("h", height)))


def activation_range(low: int, high: int) -> Struct:
    return Struct("cmsis_nn_activation", "activation", (("min", low), ("max", high)))


def scratch() -> Struct:
    """The context that hands scratch memory to a kernel."""
    return Struct(
        "cmsis_nn_context", "ctx", (("buf", ScratchPtr()), ("size", ScratchBytes()))
    )


def table(constant: str, size: int) -> Struct:
    """A context that hands a kernel one of the call's constants, of `size` bytes."""
    pointer = ConstPtr(constant, writable=True)
    return Struct("cmsis_nn_context", "ctx", (("buf", pointer), ("size", size)))


def per_channel_quant() -> Struct:
    return Struct(
        "cmsis_nn_per_channel_quant_params",
        "quant_params",
        (
            ("multiplier", ConstPtr("multiplier", writable=True)),
            ("shift", ConstPtr("shift", writable=True)),
        ),
    )


def linear_constants(ints: LinearInts, layout: str) -> tuple[Constant, ...]:
    return (
        Constant("weight", "int8_t", ints.weight, layout),
        Constant("bias", "int32_t", ints.bias, "at the scale of the sums"),
        Constant("multiplier", "int32_t", ints.multiplier, "Q31, one a channel"),
        Constant("shift", "int32_t", ints.shift, "power of two, one a channel"),
    )
