"""A tensor that is always the same, to be the operand of another operator.

    Y[n, ...] = values       int8, for every sample n

The input says how many samples there are, and nothing else: no gradient goes to it. On
the device the values are copied from flash to where tensors are. Scale and zero point
are part of the attributes; no accumulator.

Source: operands of TFLite's `ADD`, `SUB`, `MUL`, `MINIMUM` and `MAXIMUM` int8 that are
constants in the file. On the device: ccore `kanji_copy_s8`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kanji_np.checks import integer, number, shown
from kanji_np.errors import OptionError, ShapeError
from kanji_np.ops.attributes import Attributes, attribute, sample_shape
from kanji_np.ops.op import Constants, Op
from kanji_np.quantize import FINEST, LARGEST
from kanji_np.targets import kanji_nn
from kanji_np.types import (
    Arrays,
    Constant,
    ConstPtr,
    Cost,
    Gradients,
    KernelCall,
    Numerics,
    OutputPtr,
    QParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
    check_size,
)


def step(name: str, value: float) -> float:
    return number(name, value, FINEST, LARGEST)


def offset(name: str, value: int) -> int:
    return integer(name, value, -128, 127)


@dataclass(frozen=True)
class ConstantAttrs(Attributes):
    """Shape of the values, their scale and their zero point."""

    shape: Shape = attribute(sample_shape)
    scale: float = attribute(step)
    zero_point: int = attribute(offset, 0)

    @property
    def qparams(self) -> QParams:
        return QParams(self.scale, self.zero_point)


@dataclass(frozen=True)
class ConstantInts(Constants):
    """The values, int8 of the attributes' shape."""

    values: np.ndarray

    def __post_init__(self) -> None:
        values = self.values
        if not isinstance(values, np.ndarray) or values.dtype != np.int8:
            raise OptionError(f"values must be an int8 array, got {shown(values)}")

    def check(self, attrs: ConstantAttrs) -> None:
        if self.values.shape != attrs.shape:
            raise ShapeError(
                f"constant: the values must have shape {attrs.shape}, "
                f"got {self.values.shape}"
            )


def infer(attrs: ConstantAttrs, shapes: Shapes) -> Shape:
    check_size(attrs.shape, "the constant")
    return attrs.shape


def output_qparams(
    attrs: ConstantAttrs, xs: tuple[QParams | None, ...], numerics: Numerics
) -> QParams:
    return attrs.qparams


def forward_int(attrs: ConstantAttrs, ints: ConstantInts, xs: Arrays) -> np.ndarray:
    """int8 (N, ...) -> int8 (N, *shape)."""
    (x,) = xs
    return np.repeat(ints.values[np.newaxis], len(x), axis=0)


def forward_float(attrs: ConstantAttrs, ints: ConstantInts, xs: Arrays) -> np.ndarray:
    """Floating (N, ...) -> same dtype (N, *shape)."""
    (x,) = xs
    real = (ints.values.astype(np.float64) - attrs.zero_point) * attrs.scale
    return np.repeat(real[np.newaxis].astype(x.dtype), len(x), axis=0)


def vjp(
    attrs: ConstantAttrs,
    ints: ConstantInts,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """gX = 0."""
    (x,) = saved.x
    return (np.zeros(x.shape, gy.dtype),), None


def cost(attrs: ConstantAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    return Cost(0, int(np.prod(attrs.shape)))


def lower(
    attrs: ConstantAttrs,
    ints: ConstantInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    return (
        kanji_nn.call(
            "kanji_copy_s8",
            ConstPtr("values"),
            y.size,
            0,
            kanji_nn.kanji_axes("extents", (1, 1, 1, y.size)),
            kanji_nn.kanji_axes("steps", (0, 0, 0, 1)),
            OutputPtr(),
            constants=(Constant("values", "int8_t", ints.values),),
        ),
    )


CONSTANT = Op(
    name="constant",
    attrs=ConstantAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower, "cmsis-nn-q7": lower},
    output_qparams=output_qparams,
    constants=ConstantInts,
)
