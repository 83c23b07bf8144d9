"""A sum, difference, product, minimum or maximum whose second operand is a constant.

    Y = function(X, C)        or function(C, X)

The arithmetic is that of the operator `function`: "add", "sub", "mul", "minimum" or
"maximum". C has the shape of X, or is broadcast beside it (`ops.pairs`); it lies in
flash as int8. Its scale and zero point may be given, as a file has them; by default
they are the finest that hold all its values and 0.

A single number makes the operator a function of one element: then it is a table of 256
bytes (`ops.table`), which holds what `function` computes.

Source: the operators of two tensors. Networks from elsewhere have such constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from kanji_np import checks
from kanji_np.errors import OptionError, ShapeError
from kanji_np.loops import elementwise as fast
from kanji_np.ops import pairs, table
from kanji_np.ops.add import ADD
from kanji_np.ops.attributes import (
    Attributes,
    attribute,
    fused_activation,
    sample_shape,
)
from kanji_np.ops.maximum import MAXIMUM
from kanji_np.ops.minimum import MINIMUM
from kanji_np.ops.mul import MUL
from kanji_np.ops.op import Constants, Fast, Op
from kanji_np.ops.rescaling import positive, zero_point
from kanji_np.ops.sub import SUB
from kanji_np.quantize import SCHEMES, check_values, stored
from kanji_np.types import (
    Arrays,
    Constant,
    ConstPtr,
    Cost,
    Gradients,
    InputPtr,
    KernelCall,
    Numerics,
    QParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)

T = TypeVar("T")

FUNCTIONS = {op.name: op for op in (ADD, SUB, MUL, MINIMUM, MAXIMUM)}
#: Those that fuse an activation.
ACTIVATED = ("add", "sub", "mul")


def function_name(name: str, value: str) -> str:
    return checks.one_of(name, value, FUNCTIONS)


@dataclass(frozen=True)
class WithConstantAttrs(Attributes):
    """A function of a tensor and a constant; see `ops.with_constant`.

    Any shape -> the same.

    Parameters
    ----------
    function : "add", "sub", "mul", "minimum" or "maximum"
    constant_shape : tuple of int
        That of the tensor, or one that is broadcast beside it; (1,) of a number.
    activation : None, "linear", "relu" or "relu6"
        None for minimum and maximum.
    constant_scale : float or None
        Of the int8 constant. None: chosen from its values.
    constant_zero_point : int
        -128..127; used where `constant_scale` is given.
    constant_first : bool
        The constant is the first operand.
    """

    function: str = attribute(function_name)
    constant_shape: Shape = attribute(sample_shape)
    activation: str = attribute(fused_activation, "linear")
    constant_scale: float | None = attribute(positive, None)
    constant_zero_point: int = attribute(zero_point, 0)
    constant_first: bool = attribute(checks.flag, False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation != "linear" and self.function not in ACTIVATED:
            raise OptionError(
                f"activation must be None for {self.function}, got {self.activation!r}"
            )

    @property
    def op(self) -> Op:
        """The operator of two tensors."""
        return FUNCTIONS[self.function]

    @property
    def pair(self) -> Any:
        """Its attributes."""
        if self.function in ACTIVATED:
            return self.op.attrs(self.activation)
        return self.op.attrs()

    def ordered(self, of_x: T, of_constant: T) -> tuple[T, T]:
        """What belongs to both operands, in their order."""
        both = of_x, of_constant
        return both[::-1] if self.constant_first else both


@dataclass(frozen=True)
class OperandConstants(Constants):
    """The real values of the constant, float32."""

    values: np.ndarray

    def __post_init__(self) -> None:
        values = self.values
        if not isinstance(values, np.ndarray) or values.dtype != np.float32:
            came = getattr(values, "dtype", checks.shown(values))
            raise OptionError(f"values must be a float32 array, got {came}")
        check_values("constant", values)

    def check(self, attrs: WithConstantAttrs) -> None:
        if self.values.shape != attrs.constant_shape:
            raise ShapeError(
                f"with_constant: the constant must have shape {attrs.constant_shape}, "
                f"got {self.values.shape}"
            )


@dataclass(frozen=True)
class WithConstantInts:
    """The constant, and the integers of the operator of two tensors.

    Parameters
    ----------
    constant : int8
        Of the attributes' shape.
    qparams : QParams
        What it stands for.
    pair : dataclass
    table : TableInts or None
        Of a single number.
    """

    constant: np.ndarray
    qparams: QParams
    pair: Any
    table: table.TableInts | None = None


def infer(attrs: WithConstantAttrs, shapes: Shapes) -> Shape:
    (shape,) = shapes
    if pairs.blocks(shape, attrs.constant_shape) is None:
        raise ShapeError(
            f"with_constant: the constant must have the shape of the input {shape}, or "
            f"extents of 1 before or behind a part of it, got {attrs.constant_shape}"
        )
    return shape


def quantized(
    attrs: WithConstantAttrs, constants: OperandConstants, numerics: Numerics
) -> tuple[np.ndarray, QParams]:
    """The constant as int8, and what its integers stand for."""
    values = constants.values.astype(np.float64)
    if attrs.constant_scale is None:
        asymmetric = SCHEMES["asymmetric"]
        q = asymmetric.activation_qparams(float(values.min()), float(values.max()))
    else:
        q = QParams(attrs.constant_scale, attrs.constant_zero_point)
    q = stored(q, numerics)
    steps = np.rint(values / q.scale) + q.zero_point
    return np.clip(steps, -128, 127).astype(np.int8), q


def ints_of(
    attrs: WithConstantAttrs,
    xs: tuple[QParams, ...],
    y: QParams,
    numerics: Numerics,
    constants: OperandConstants,
) -> WithConstantInts:
    """RangeError if `y` is too fine for the operands."""
    (x,) = xs
    constant, q = quantized(attrs, constants, numerics)
    ints = attrs.op.ints
    assert ints is not None
    pair = ints(attrs.pair, attrs.ordered(x, q), y, numerics)
    made = WithConstantInts(constant, q, pair)
    if constant.size != 1:
        return made
    every = np.arange(-128, 128).astype(np.int8)[:, None]  # (256,) -> (256,1)
    values = _of_pair(attrs, made, every, attrs.op.run_int).ravel()
    free = replace(attrs, activation="linear")
    smooth = forward_float(free, constants, (table.reals(x)[:, None],)).ravel()
    return replace(made, table=table.ints_of(values.tolist(), smooth, y))


def _of_pair(
    attrs: WithConstantAttrs,
    ints: WithConstantInts,
    x: np.ndarray,
    forward: Any,
    **more: Any,
) -> np.ndarray:
    rank = x.ndim - 1
    constant = ints.constant.reshape(ints.constant.shape[-rank:])[np.newaxis]
    y: np.ndarray = forward(attrs.pair, ints.pair, attrs.ordered(x, constant), **more)
    return y


def forward_int(
    attrs: WithConstantAttrs,
    ints: WithConstantInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """int8 (N, ...) -> int8 (N, ...)."""
    if ints.table is not None:
        return table.forward_int(attrs, ints.table, xs, y_range)
    (x,) = xs
    return _of_pair(attrs, ints, x, attrs.op.forward_int, y_range=y_range)


def run_int(
    attrs: WithConstantAttrs,
    ints: WithConstantInts,
    xs: Arrays,
    y_range: np.ndarray | None = None,
) -> np.ndarray:
    """`forward_int`, fast."""
    if ints.table is not None:
        return fast.lookup_int(attrs, ints.table, xs, y_range)
    (x,) = xs
    return _of_pair(attrs, ints, x, attrs.op.run_int, y_range=y_range)


def forward_float(
    attrs: WithConstantAttrs, constants: OperandConstants, xs: Arrays
) -> np.ndarray:
    """Floating (N, ...) -> same dtype and shape."""
    (x,) = xs
    constant = constants.values[np.newaxis].astype(x.dtype)
    return attrs.op.run_float(attrs.pair, None, attrs.ordered(x, constant))


def vjp(
    attrs: WithConstantAttrs,
    constants: OperandConstants,
    saved: Saved,
    gy: np.ndarray,
    needs_gx: tuple[bool, ...],
) -> tuple[Gradients, None]:
    """That of the operator, of its operand that is no constant."""
    (x,), (scale,), (offset,) = saved.x, saved.x_scale, saved.x_offset
    constant = constants.values[np.newaxis].astype(gy.dtype)
    both = replace(
        saved,
        x=attrs.ordered(x, constant),
        x_scale=attrs.ordered(scale, 1.0),
        x_offset=attrs.ordered(offset, 0),
    )
    needed = attrs.ordered(True, False)
    gx, _ = attrs.op.run_vjp(attrs.pair, None, both, gy, needed)
    return (gx[needed.index(True)],), None


def cost(attrs: WithConstantAttrs, shapes: Shapes, target: TargetSpec) -> Cost:
    size = int(np.prod(attrs.constant_shape))
    return Cost(0, table.SIZE if size == 1 else size)


def lower(
    attrs: WithConstantAttrs,
    ints: WithConstantInts,
    xs: Specs,
    y: TensorSpec,
    target: TargetSpec,
) -> tuple[KernelCall, ...]:
    """The calls of the operator, one of whose inputs is a constant."""
    if ints.table is not None:
        return table.lower(attrs, ints.table, xs, y, target)
    (x,) = xs
    both = attrs.ordered(x, TensorSpec(attrs.constant_shape))
    calls = attrs.op.lower(attrs.pair, ints.pair, both, y, target)
    constant = Constant("constant", "int8_t", ints.constant, "the second operand")
    return tuple(_bound(call, attrs, constant) for call in calls)


def _bound(
    call: KernelCall, attrs: WithConstantAttrs, constant: Constant
) -> KernelCall:
    pointers = attrs.ordered(InputPtr(), ConstPtr(constant.name))
    arguments: Sequence[Any] = [
        pointers[a.index] if isinstance(a, InputPtr) else a for a in call.arguments
    ]
    return replace(
        call, arguments=tuple(arguments), constants=(*call.constants, constant)
    )


WITH_CONSTANT = Op(
    name="with_constant",
    attrs=WithConstantAttrs,
    infer=infer,
    forward_int=forward_int,
    forward_float=forward_float,
    vjp=vjp,
    cost=cost,
    lowerings={"cmsis-nn": lower},
    ints=ints_of,
    constants=OperandConstants,
    tracks_output=True,
    short_name="constant",
    fast=Fast(run_int),
)
