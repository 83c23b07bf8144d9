"""What `minimum` and `maximum` share; it is no operator.

    Y = pick(table_1[X_1 + 128], table_2[X_2 + 128])        pick: min or max

Both have one shape, or one is broadcast (`ops.pairs`). The tables bring each operand to
the scale and zero point of the output, as `ops.requantize` does. TFLite wants one scale
of all three; the tables then change nothing, and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kanji_np.loops.broadcast import gathered, spread
from kanji_np.ops import pairs, table
from kanji_np.ops.op import ForwardInt, Lowering, Vjp
from kanji_np.ops.requantize import RequantizeAttrs, steps_of
from kanji_np.targets import has, kanji_nn
from kanji_np.targets.arm import HEADER
from kanji_np.targets.cmsis_nn.calls import dims, no_memory
from kanji_np.types import (
    Argument,
    Arrays,
    Constant,
    ConstPtr,
    Gradients,
    InputPtr,
    KernelCall,
    NullPtr,
    Numerics,
    OutputPtr,
    QParams,
    Saved,
    Specs,
    TargetSpec,
    TensorSpec,
)

SAME = np.arange(-128, 128).astype(np.int8)


@dataclass(frozen=True)
class ExtremumInts:
    """A table of each operand, as `table.TableInts` has it: (2, 256) each."""

    tables: np.ndarray
    unclamped: np.ndarray = field(compare=False)


def ints_of(
    attrs: Any, xs: tuple[QParams, ...], y: QParams, numerics: Numerics
) -> ExtremumInts:
    """RangeError if `y` is too fine for an input."""
    both = [
        table.ints_of(steps_of(RequantizeAttrs(), x, y, numerics), table.reals(x), y)
        for x in xs
    ]
    return ExtremumInts(
        np.stack([each.values for each in both]),
        np.stack([each.unclamped for each in both]),
    )


def forward_int_of(pick: np.ufunc) -> ForwardInt:
    def forward_int(
        attrs: Any, ints: ExtremumInts, xs: Arrays, y_range: np.ndarray | None = None
    ) -> np.ndarray:
        """Two int8 (N, ...) -> int8 (N, ...)."""
        places = [x.view(np.uint8) for x in spread(xs)]
        if y_range is not None:
            steps = (
                _by_byte(t)[place]
                for t, place in zip(ints.unclamped, places, strict=True)
            )
            q = pick(*steps)
            y_range[:] = min(y_range[0], q.min()), max(y_range[1], q.max())
        return pick(
            *(_by_byte(t)[place] for t, place in zip(ints.tables, places, strict=True))
        )

    return forward_int


def _by_byte(values: np.ndarray) -> np.ndarray:
    """A table by the input as a uint8, 0..127 before -128..-1."""
    return np.roll(values, 128)


def vjp_of(pick: np.ufunc) -> Vjp:
    def vjp(
        attrs: Any,
        params: None,
        saved: Saved,
        gy: np.ndarray,
        needs_gx: tuple[bool, ...],
    ) -> tuple[Gradients, None]:
        """gX_k = gY where X_k was picked, half of it where both are equal, and Y was
        not clamped; summed up where X_k is broadcast."""
        both = spread(saved.real_x(gy.dtype))
        picked, half = pick(*both), gy.dtype.type(0.5)
        equal = both[0] == both[1]
        share = np.where(equal, half, gy.dtype.type(1)) * saved.passed(gy)
        gx = (
            gathered(np.where(each == picked, share, 0), x) if needed else None
            for each, x, needed in zip(both, saved.x, needs_gx, strict=True)
        )
        return tuple(gx), None

    return vjp


def lowering_of(name: str) -> Lowering:
    """To `arm_<name>_s8` where that does, else to `kanji_<name>_s8`."""

    def lower(
        attrs: Any, ints: ExtremumInts, xs: Specs, y: TensorSpec, target: TargetSpec
    ) -> tuple[KernelCall, ...]:
        function = f"arm_{name}_s8"
        first, second = xs
        one_scale = bool((ints.tables == SAME).all())
        if one_scale and first.shape == second.shape and has(target, function):
            return (_of_one_shape(function, y.size),)
        whole, part, blocks = pairs.order(xs)
        constants, arguments = [], []
        for i in (whole, part):
            pointer, constant = _table(i, ints.tables[i])
            arguments += [InputPtr(index=i), pointer]
            constants += constant
        call = kanji_nn.call(
            f"kanji_{name}_s8",
            blocks.struct(),
            *arguments,
            OutputPtr(),
            constants=tuple(constants),
        )
        return (call,)

    return lower


def _table(i: int, values: np.ndarray) -> tuple[Argument, list[Constant]]:
    if (values == SAME).all():
        return NullPtr(), []
    name = f"table_{i + 1}"
    return ConstPtr(name), [Constant(name, "int8_t", values, "by input + 128")]


def _of_one_shape(function: str, size: int) -> KernelCall:
    return KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            no_memory(),
            InputPtr(),
            dims("input_1_dims", 1, 1, 1, size),
            InputPtr(index=1),
            dims("input_2_dims", 1, 1, 1, size),
            OutputPtr(),
            dims("output_dims", 1, 1, 1, size),
        ),
    )
