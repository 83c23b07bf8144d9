"""What constants alone decide is computed while a file is read: shapes, most of all.

PyTorch writes ``x.view(x.size(0), -1)`` as `Shape`, `Gather`, `Unsqueeze`, `Concat` and
`Reshape`. The batch is not known then: in arrays of shapes it is `BATCH`, and those are
arrays of objects. Operators that only move elements take it along; those that compute
with it are refused.

Only the functions of `FOLDS` are ever run, NumPy's own. None gives an array of more
than `MOST_ELEMENTS`, and all together give `MOST_FOLDED` at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.onnx import attributes as given
from kanji_np.formats.onnx.reader import ELEMENTS
from kanji_np.formats.source import Quantization, SourceOp

MOST_ELEMENTS, MOST_FOLDED = 2**24, 2**26


class _Batch:
    """The number of samples."""

    def __repr__(self) -> str:
        return "batch"


BATCH = _Batch()


@dataclass(frozen=True, eq=False)
class Constant:
    """Values that are known when the file is read.

    Parameters
    ----------
    data : ndarray
        Of objects where `BATCH` is among them.
    quantization : Quantization or None
        Of integers that a DequantizeLinear makes real.
    """

    data: np.ndarray
    quantization: Quantization | None = None

    def real(self) -> np.ndarray:
        """The real values, float64 where they are quantized."""
        q = self.quantization
        if q is None:
            return self.data
        shape = [1] * self.data.ndim
        if q.per_channel:
            shape[q.axis] = -1
        zeros, scales = q.zero_points.reshape(shape), q.scales.reshape(shape)
        return (self.data.astype(np.int64) - zeros) * scales

    def numbers(self) -> np.ndarray:
        """The real values, float64; UnsupportedOp if one is the number of samples."""
        real = self.real()
        if real.dtype == object:
            raise UnsupportedOp("a constant depends on the number of samples")
        with np.errstate(invalid="ignore"):  # a NaN of float32 may be a signal
            return real.astype(np.float64)


Fold = Callable[[Any, Sequence[np.ndarray | None]], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Row:
    """Attributes, and the function of constants."""

    attributes: type
    fold: Fold


def fold(op: SourceOp, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The outputs of an operator of `FOLDS`.

    Raises
    ------
    UnsupportedOp
        The result depends on the batch, or is too large.
    FileFormatError
        The inputs do not fit the operator.
    """
    row = FOLDS[op.kind]
    attrs: Any = given.given(row.attributes, op)
    try:
        with np.errstate(all="ignore"):
            made = [_settled(np.asarray(y)) for y in row.fold(attrs, inputs)]
    except (ValueError, IndexError, ArithmeticError, AttributeError) as error:
        raise FileFormatError(f"{op} cannot be computed: {shown(str(error))}") from None
    except TypeError:
        raise UnsupportedOp(
            f"{op} computes with the number of samples, or takes inputs that are not "
            "there"
        ) from None
    if len(made) < len(op.outputs):
        raise FileFormatError(f"{op} has {len(op.outputs)} outputs, not {len(made)}")
    return made


def _settled(array: np.ndarray) -> np.ndarray:
    """An array of objects as integers, where `BATCH` is no longer among them."""
    if array.dtype != object or any(value is BATCH for value in array.flat):
        return array
    return array.astype(np.int64)


def _checked(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of an array that is to be made."""
    shape = tuple(int(size) for size in shape)
    if any(size < 0 for size in shape) or math.prod(shape) > MOST_ELEMENTS:
        raise ValueError(f"no array has the shape {shown(shape)}")
    return shape


def _constant(a: given.Constant, xs: Any) -> Sequence[Any]:
    """The value of the one attribute that is there."""
    if a.value is not None:
        return [a.value]
    for value, dtype in (
        (a.value_float, np.float32),
        (a.value_floats, np.float32),
        (a.value_int, np.int64),
        (a.value_ints, np.int64),
    ):
        if value is not None:
            return [np.array(value, dtype)]
    raise ValueError("there is no value")


def _constant_of_shape(a: given.ConstantOfShape, xs: Any) -> Sequence[Any]:
    value = np.zeros(1, np.float32) if a.value is None else a.value
    (shape,) = xs
    return [np.full(_checked(shape), value.reshape(()))]


def _binary(compute: Callable[[Any, Any], Any]) -> Fold:
    def folded(a: given.Plain, xs: Any) -> Sequence[Any]:
        x, y = xs
        _checked(np.broadcast_shapes(x.shape, y.shape))
        return [_typed(compute(x, y), x)]

    return folded


def _unary(compute: Callable[[Any], Any]) -> Fold:
    def folded(a: given.Plain, xs: Any) -> Sequence[Any]:
        (x,) = xs
        return [_typed(compute(x), x)]

    return folded


def _typed(y: Any, x: np.ndarray) -> np.ndarray:
    """A result in the type of the first input, as ONNX has it."""
    return np.asarray(y) if x.dtype == object else np.asarray(y).astype(x.dtype)


def _divided(x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind == "f":
        return x / y
    if (y == 0).any():
        raise ValueError("division by zero")
    q = np.abs(x) // np.abs(y)  # toward zero
    return q * np.sign(x) * np.sign(y)


def _cast(a: given.Cast, xs: Any) -> Sequence[Any]:
    (x,) = xs
    if x.dtype == object:
        return [x]  # a shape stays one
    element = ELEMENTS.get(a.to)
    if element is None:
        raise ValueError(f"element type {a.to} is not known")
    return [x.astype(element.dtype)]


def _gather(a: given.Gather, xs: Any) -> Sequence[Any]:
    x, indices = xs
    kept = x.shape[: a.axis % x.ndim] + x.shape[a.axis % x.ndim + 1 :]
    _checked((*indices.shape, *kept))
    return [np.take(x, indices, axis=a.axis)]


def _concat(a: given.Axis, xs: Any) -> Sequence[Any]:
    _checked((sum(x.size for x in xs),))
    return [np.concatenate(xs, axis=a.axis)]


def _reshape(a: given.Reshape, xs: Any) -> Sequence[Any]:
    x, shape = xs
    sizes = [
        x.shape[k] if size == 0 and not a.allowzero else int(size)
        for k, size in enumerate(shape)
    ]
    return [x.reshape(sizes)]


def _transpose(a: given.Transpose, xs: Any) -> Sequence[Any]:
    (x,) = xs
    return [x.transpose(a.perm)]


def whole_numbers(array: np.ndarray) -> tuple[int, ...]:
    """Sizes, axes or indices; FileFormatError if they are something else."""
    if array.dtype.kind not in "iu":
        raise FileFormatError(
            "sizes and axes must be integers that do not depend on the batch, got "
            + shown(array.reshape(-1).tolist())
        )
    return tuple(array.reshape(-1).tolist())


def axes_of(a: Any, xs: Sequence[Any], place: int) -> tuple[int, ...] | None:
    """Axes, which are an attribute in older opsets and an input in newer ones."""
    if len(xs) > place and xs[place] is not None:
        return whole_numbers(xs[place])
    return a.axes


def _squeeze(a: given.Axes, xs: Any) -> Sequence[Any]:
    return [np.squeeze(xs[0], axes_of(a, xs, 1))]


def _unsqueeze(a: given.Axes, xs: Any) -> Sequence[Any]:
    axes = axes_of(a, xs, 1)
    if axes is None or len(axes) > 16:
        raise ValueError("axes are missing")
    return [np.expand_dims(xs[0], axes)]


def _slice(a: given.Slice, xs: Any) -> Sequence[Any]:
    x = xs[0]
    places: list[Any] = [slice(None)] * x.ndim
    for axis, start, end, step in slices_of(a, xs):
        places[axis] = slice(
            start, None if step < 0 and end < -x.shape[axis] else end, step
        )
    return [x[tuple(places)]]


def slices_of(a: given.Slice, xs: Sequence[Any]) -> list[tuple[int, int, int, int]]:
    """(axis, start, end, step) of a Slice, from its attributes or inputs."""
    rows: list[Any] = [a.starts, a.ends, a.axes, None]
    for k, x in enumerate(xs[1:5]):
        if x is not None:
            rows[k] = whole_numbers(x)
    starts, ends, axes, steps = rows
    if starts is None or ends is None:
        raise ValueError("starts and ends are missing")
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    return list(zip(axes, starts, ends, steps, strict=True))


def _expand(a: given.Plain, xs: Any) -> Sequence[Any]:
    """What is repeated for every sample stays of length 1 there."""
    x, shape = xs
    if shape.dtype == object and shape[0] is BATCH and x.ndim <= len(shape):
        kept = x.shape[0] if x.ndim == len(shape) else 1
        shape = np.array([kept, *shape[1:]])
    return [np.broadcast_to(x, _checked(np.broadcast_shapes(x.shape, _checked(shape))))]


def _where(a: given.Plain, xs: Any) -> Sequence[Any]:
    _checked(np.broadcast_shapes(*(x.shape for x in xs)))
    return [np.where(*xs)]


def _equal(a: given.Plain, xs: Any) -> Sequence[Any]:
    x, y = xs
    _checked(np.broadcast_shapes(x.shape, y.shape))
    return [np.asarray(x == y, bool)]


def _same(a: Any, xs: Any) -> Sequence[Any]:
    return [xs[0]]


#: Constant folding of ONNX's operators. `Shape` of a tensor that is no constant is
#: added where shapes are known.
FOLDS = {
    "Add": Row(given.Plain, _binary(lambda x, y: x + y)),
    "Cast": Row(given.Cast, _cast),
    "Concat": Row(given.Axis, _concat),
    "Constant": Row(given.Constant, _constant),
    "ConstantOfShape": Row(given.ConstantOfShape, _constant_of_shape),
    "Div": Row(given.Plain, _binary(_divided)),
    "Dropout": Row(given.Dropout, _same),
    "Equal": Row(given.Plain, _equal),
    "Expand": Row(given.Plain, _expand),
    "Gather": Row(given.Gather, _gather),
    "Identity": Row(given.Plain, _same),
    "Mul": Row(given.Plain, _binary(lambda x, y: x * y)),
    "Neg": Row(given.Plain, _unary(lambda x: -x)),
    "Pow": Row(given.Plain, _binary(lambda x, y: x**y)),
    "Reciprocal": Row(given.Plain, _unary(lambda x: 1 / x)),
    "Reshape": Row(given.Reshape, _reshape),
    "Slice": Row(given.Slice, _slice),
    "Sqrt": Row(given.Plain, _unary(np.sqrt)),
    "Squeeze": Row(given.Axes, _squeeze),
    "Sub": Row(given.Plain, _binary(lambda x, y: x - y)),
    "Transpose": Row(given.Transpose, _transpose),
    "Unsqueeze": Row(given.Axes, _unsqueeze),
    "Where": Row(given.Plain, _where),
}
