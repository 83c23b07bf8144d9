"""Kernels of this project's own: every target's firmware has them, from ccore."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kanji_np.errors import UnsupportedOp
from kanji_np.types import (
    Argument,
    Constant,
    InputPtr,
    KernelCall,
    OutputPtr,
    Shape,
    Struct,
)

HEADER = "kanji_nn.h"
MOST_AXES = 4  # of `kanji_axes`


def call(
    function: str,
    *arguments: Argument,
    constants: tuple[Constant, ...] = (),
    in_place: bool = False,
) -> KernelCall:
    return KernelCall(
        function=function,
        header=HEADER,
        arguments=arguments,
        constants=constants,
        in_place=in_place,
        status="int32_t",
    )


def steps_of(shape: Shape) -> tuple[int, ...]:
    """For each axis how many elements lead from one index to the next."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def copied(
    size: int, first: int, order: Sequence[tuple[int, int]]
) -> tuple[KernelCall, ...]:
    """An output whose element [i, j, ...] is element ``first + i * step_i + j * step_j
    + ...`` of the input; no call where that is the whole input in its order.

    Parameters
    ----------
    size : int
        Of the input.
    first : int
    order : sequence of (extent, step)
        Of the axes of the output, the slowest first.
    """
    merged: list[tuple[int, int]] = []
    for extent, step in order:
        if extent == 1:
            continue
        if merged and merged[-1][1] == extent * step:
            extent *= merged.pop()[0]
        merged.append((extent, step))
    if first == 0 and merged in ([], [(size, 1)]) and size == _extent(merged):
        return ()
    if len(merged) > MOST_AXES:
        raise UnsupportedOp(
            f"kanji_copy_s8 takes {MOST_AXES} axes at most that cannot be taken "
            f"together, got {len(merged)}"
        )
    merged = [(1, 0)] * (MOST_AXES - len(merged)) + merged
    extents, steps = zip(*merged, strict=True)
    return (
        call(
            "kanji_copy_s8",
            InputPtr(),
            size,
            first,
            kanji_axes("extents", extents),
            kanji_axes("steps", steps),
            OutputPtr(),
        ),
    )


def _extent(order: Sequence[tuple[int, int]]) -> int:
    return math.prod(extent for extent, _ in order)


def kanji_axes(name: str, values: Sequence[int]) -> Struct:
    """A number for each of four axes, the slowest first."""
    return Struct("kanji_axes", name, tuple(zip("nhwc", values, strict=True)))
