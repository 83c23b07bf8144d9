"""What calls of CMSIS-NN are made of: structs, contexts, constants."""

from __future__ import annotations

import numpy as np

from kanji_np.types import (
    Constant,
    ConstPtr,
    LinearInts,
    NullPtr,
    ScratchBytes,
    ScratchPtr,
    Struct,
)
from kanji_np.window import Pair


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


def no_memory() -> Struct:
    """A context without anything."""
    return Struct("cmsis_nn_context", "ctx", (("buf", NullPtr()), ("size", 0)))


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


def weight_constant(ints: LinearInts, layout: str, weight_bits: int) -> Constant:
    """The weights as the library reads them: packed where they are int4."""
    if weight_bits == 4:
        comment = f"{layout}, two a byte, low nibble first"
        return Constant("weight", "int8_t", pack_s4(ints.weight), comment)
    return Constant("weight", "int8_t", ints.weight, layout)


def linear_constants(
    ints: LinearInts, layout: str, weight_bits: int
) -> tuple[Constant, ...]:
    return (
        weight_constant(ints, layout, weight_bits),
        Constant("bias", "int32_t", ints.bias, "at the scale of the sums"),
        Constant("multiplier", "int32_t", ints.multiplier, "Q31, one a channel"),
        Constant("shift", "int32_t", ints.shift, "power of two, one a channel"),
    )


def pack_s4(weight: np.ndarray) -> np.ndarray:
    """int8 weights of -8..7, any shape, two a byte: int8 (ceil(size / 2),).

    The first of two is the low nibble. Rows follow each other without a gap, so with an
    odd number of columns every other row begins in the middle of a byte; the last
    nibble of an odd number of weights is 0.
    """
    if weight.min() < -8 or weight.max() > 7:
        raise ValueError("int4 weights must be in -8..7")
    pairs = np.append(weight, np.zeros(weight.size % 2, np.int8)).reshape(-1, 2)
    return (pairs[:, 0] & 15) | (pairs[:, 1] << 4)
