"""The built-in functions: NumPy's, under NumPy's names, each put on the tape.

A function here computes its value with NumPy and names its row of the table in
`vjps.py`. Arguments may be tensors, arrays or numbers; results are tensors. Values,
broadcasting, result dtypes and complaints about shapes and axes are NumPy's own: int8 +
int8 is int8 and wraps, int8 / int8 is floating, and a Python number adapts to the dtype
it meets. Every function raises GradientError if a gradient is asked of an argument
that has no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from kanji_np.autograd.tape import Array
from kanji_np.autograd.tensor import Axis, Operand, Tensor, needs_gradient, record
from kanji_np.autograd.vjps import VJPS, Pull, unbroadcast
from kanji_np.errors import GradientError


def _value(x: Operand) -> Any:
    """An array; but a Python number stays one, since NumPy lets it adapt its dtype."""
    if isinstance(x, Tensor):
        return x.data
    return x if isinstance(x, int | float) else np.asarray(x)


def _taped(
    name: str, value: ArrayLike, operands: Sequence[Operand], *options: Any
) -> Tensor:
    """`value` as a tensor, recorded with the rules of row `name` of the table."""
    if not needs_gradient(*operands):
        return Tensor(value)
    if name not in VJPS:
        raise GradientError(f"{name}: no row in the table of derivatives")
    pulls = VJPS[name](np.asarray(value), *map(_value, operands), *options)
    steps: list[tuple[Pull, tuple[int, ...]] | None] = []
    for index, (operand, pull) in enumerate(zip(operands, pulls, strict=True)):
        if not (isinstance(operand, Tensor) and operand.requires_grad):
            steps.append(None)
        elif pull is None:
            raise GradientError(
                f"{name}: no derivative rule for argument {index}; if it is a constant,"
                " pass it as an array or detach() it"
            )
        else:
            steps.append((pull, operand.shape))

    def vjp(g: Array) -> tuple[Array | None, ...]:
        return tuple(
            None if step is None else unbroadcast(step[0](g), step[1]) for step in steps
        )

    return record(value, operands, vjp, name)


def add(x: Operand, y: Operand) -> Tensor:
    """x + y, broadcast."""
    return _taped("add", np.add(_value(x), _value(y)), (x, y))


def subtract(x: Operand, y: Operand) -> Tensor:
    """x - y, broadcast."""
    return _taped("subtract", np.subtract(_value(x), _value(y)), (x, y))


def multiply(x: Operand, y: Operand) -> Tensor:
    """x * y, broadcast."""
    return _taped("multiply", np.multiply(_value(x), _value(y)), (x, y))


def divide(x: Operand, y: Operand) -> Tensor:
    """x / y, broadcast."""
    return _taped("divide", np.divide(_value(x), _value(y)), (x, y))


def power(x: Operand, exponent: Operand) -> Tensor:
    """x ** exponent, broadcast; the exponent is a constant and has no rule."""
    return _taped("power", np.power(_value(x), _value(exponent)), (x, exponent))


def negative(x: Operand) -> Tensor:
    """-x."""
    return _taped("negative", np.negative(_value(x)), (x,))


def maximum(x: Operand, y: Operand) -> Tensor:
    """The larger of x and y, broadcast; equal elements share the gradient equally.

    So `maximum(x, 0)` has gradient 1/2 at 0, not 0 as a ReLU is often given.
    """
    return _taped("maximum", np.maximum(_value(x), _value(y)), (x, y))


def matmul(x: Operand, y: Operand) -> Tensor:
    """x @ y: (..., n, k) by (..., k, m) gives (..., n, m), leading axes broadcast.

    A 1-D x is a row and a 1-D y a column, whose axis the result does not have.
    """
    return _taped("matmul", np.matmul(_value(x), _value(y)), (x, y))


def exp(x: Operand) -> Tensor:
    """e ** x, elementwise."""
    return _taped("exp", np.exp(_value(x)), (x,))


def log(x: Operand) -> Tensor:
    """The natural logarithm, elementwise."""
    return _taped("log", np.log(_value(x)), (x,))


def sqrt(x: Operand) -> Tensor:
    """The square root, elementwise; its gradient at 0 is infinite, with a warning."""
    return _taped("sqrt", np.sqrt(_value(x)), (x,))


def tanh(x: Operand) -> Tensor:
    """The hyperbolic tangent, elementwise."""
    return _taped("tanh", np.tanh(_value(x)), (x,))


def sum(x: Operand, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The sum over one axis, several, or all (None). Integers add up in 64 bits."""
    value = np.sum(_value(x), axis=axis, keepdims=keepdims)
    return _taped("sum", value, (x,), axis, keepdims)


def mean(x: Operand, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several, or all (None). That of integers is float64."""
    value = np.mean(_value(x), axis=axis, keepdims=keepdims)
    return _taped("mean", value, (x,), axis, keepdims)


def max(x: Operand, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The largest over one axis, several, or all (None).

    Elements that tie for the largest share the gradient equally.
    """
    value = np.max(_value(x), axis=axis, keepdims=keepdims)
    return _taped("max", value, (x,), axis, keepdims)


def reshape(x: Operand, shape: int | Sequence[int]) -> Tensor:
    """x with the same elements in another shape; one length may be -1."""
    return _taped("reshape", np.reshape(_value(x), shape), (x,))


def transpose(x: Operand, axes: Sequence[int] | None = None) -> Tensor:
    """x with axis `axes[i]` as axis i; reversed if `axes` is None."""
    return _taped("transpose", np.transpose(_value(x), axes), (x,), axes)


def getitem(x: Operand, index: Any) -> Tensor:
    """x[index] for every index NumPy takes.

    An element picked several times receives the sum of its gradients. Index arrays are
    not copied: do not change them before `backward`.
    """
    return _taped("getitem", np.asarray(_value(x))[index], (x,), index)


def concatenate(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """The tensors joined along an axis they may differ in; all others agree."""
    value = np.concatenate([np.asarray(_value(x)) for x in tensors], axis)
    return _taped("concatenate", value, tensors, axis)


def astype(x: Operand, dtype: DTypeLike) -> Tensor:
    """x in another dtype; the gradient goes back in the dtype x has gradients in.

    To integers this truncates, and the gradient passes as if it did not
    (straight-through), which no check against differences will confirm.
    """
    return _taped("astype", np.asarray(_value(x)).astype(dtype), (x,))
