"""What operators of two operands share: shapes, broadcasting, and its kernels.

This is no operator. One operand may be smaller than the other and is then read again
and again beside it ("broadcast"). Its extents that are 1 come before, or behind, or
before and behind those that it shares with the other: (C) or (1,1,C) beside (H,W,C),
(H,W,1), a single number. CMSIS-NN's functions want two operands of one shape; ccore's
`kanji_...` take `kanji_blocks`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from kanji_np.errors import ShapeError
from kanji_np.targets import kanji_nn
from kanji_np.types import (
    InputPtr,
    KernelCall,
    OutputPtr,
    Shape,
    Shapes,
    Specs,
    Struct,
)


@dataclass(frozen=True)
class Blocks:
    """Element ``(i // inner) % size`` of the part stands beside element i."""

    outer: int
    size: int
    inner: int

    def struct(self) -> Struct:
        """The argument of a kernel of ccore."""
        return struct("kanji_blocks", "blocks", self)


def struct(ctype: str, name: str, values: Any) -> Struct:
    """A dataclass of ints as a struct of C with the same fields in the same order."""
    return Struct(
        ctype, name, tuple((f.name, getattr(values, f.name)) for f in fields(values))
    )


def call(function: str, params: Struct, ordered: tuple[int, int, Blocks]) -> KernelCall:
    """A kernel of ccore that reads the part again and again beside the whole.

    `ordered` is what `order` gave.
    """
    whole, part, found = ordered
    inputs = InputPtr(index=whole), InputPtr(index=part)
    return kanji_nn.call(function, params, found.struct(), *inputs, OutputPtr())


def output(q: np.ndarray, ints: Any, y_range: np.ndarray | None) -> np.ndarray:
    """int8 of rescaled results, whose range is tracked, clamped to the activation's."""
    if y_range is not None:
        y_range[:] = min(y_range[0], q.min()), max(y_range[1], q.max())
    y = np.clip(q + ints.output_offset, ints.act_min, ints.act_max)
    return y.astype(np.int8)


def blocks(whole: Shape, part: Shape) -> Blocks | None:
    """How a part is read beside the whole; None if that cannot be."""
    if len(part) > len(whole):
        return None
    aligned = (*[1] * (len(whole) - len(part)), *part)
    shared = [i for i, n in enumerate(aligned) if n != 1]
    first, last = (shared[0], shared[-1] + 1) if shared else (len(whole),) * 2
    if aligned[first:last] != whole[first:last]:
        return None
    return Blocks(*map(math.prod, (whole[:first], whole[first:last], whole[last:])))


def infer(attrs: Any, shapes: Shapes) -> Shape:
    """The shape of the whole operand."""
    first, second = shapes
    if blocks(first, second) is not None:
        return first
    if blocks(second, first) is not None:
        return second
    raise ShapeError(
        f"both inputs must have one shape, or extents of 1 before or behind those that "
        f"they share, got {first} and {second}"
    )


def order(xs: Specs) -> tuple[int, int, Blocks]:
    """Which input is the whole one, which the part, and how that is read."""
    first, second = (x.shape for x in xs)
    found = blocks(first, second)
    if found is not None:
        return 0, 1, found
    found = blocks(second, first)
    assert found is not None, "infer refuses the others"
    return 1, 0, found
