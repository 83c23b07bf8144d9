"""`Tensor`, an array that remembers how it was computed, and its functions.

A tensor is a leaf if somebody made it, and has a node on the tape if a function did.
`record` makes such tensors: the one way in, for the functions here and for yours.

The functions are NumPy's, under NumPy's names; `log_softmax` is PyTorch's. Their
derivatives are in `vjps.py`. Arguments may be tensors, arrays or numbers; results are
tensors. Values, broadcasting, result dtypes and complaints about shapes and axes are
NumPy's own: int8 + int8 is int8 and wraps, int8 / int8 is floating, and a Python number
adapts to the dtype it meets. Every function raises GradientError if a gradient is asked
of an argument that has no rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from kanji_np.autograd.tape import Array, Node, Vjp, backward, is_recording
from kanji_np.autograd.vjps import VJPS, Pull, unbroadcast
from kanji_np.errors import GradientError, OptionError, ShapeError

__all__ = [
    "Tensor",
    "add",
    "astype",
    "concatenate",
    "divide",
    "exp",
    "getitem",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "maximum",
    "mean",
    "multiply",
    "needs_gradient",
    "negative",
    "power",
    "record",
    "reshape",
    "sqrt",
    "subtract",
    "sum",
    "tanh",
    "transpose",
]

Axis: TypeAlias = int | tuple[int, ...] | None
Operand: TypeAlias = "Tensor | ArrayLike"

#: Types of numbers without a dtype of their own; NumPy's scalars are of other types.
PYTHON_NUMBERS = (bool, int, float)


def add(x: Operand, y: Operand) -> Tensor:
    """x + y, broadcast."""
    return _numpys("add", x, y)


def subtract(x: Operand, y: Operand) -> Tensor:
    """x - y, broadcast."""
    return _numpys("subtract", x, y)


def multiply(x: Operand, y: Operand) -> Tensor:
    """x * y, broadcast."""
    return _numpys("multiply", x, y)


def divide(x: Operand, y: Operand) -> Tensor:
    """x / y, broadcast."""
    return _numpys("divide", x, y)


def power(x: Operand, exponent: Operand) -> Tensor:
    """x ** exponent, broadcast; the exponent is a constant and has no rule."""
    return _numpys("power", x, exponent)


def negative(x: Operand) -> Tensor:
    """-x."""
    return _numpys("negative", x)


def maximum(x: Operand, y: Operand) -> Tensor:
    """The larger of x and y, broadcast; equal elements share the gradient equally.

    So `maximum(x, 0)` has gradient 1/2 at 0, not 0 as a ReLU is often given.
    """
    return _numpys("maximum", x, y)


def matmul(x: Operand, y: Operand) -> Tensor:
    """x @ y: (..., n, k) by (..., k, m) gives (..., n, m), leading axes broadcast.

    A 1-D x is a row and a 1-D y a column, whose axis the result does not have.
    """
    return _numpys("matmul", x, y)


def exp(x: Operand) -> Tensor:
    """e ** x, elementwise."""
    return _numpys("exp", x)


def log(x: Operand) -> Tensor:
    """The natural logarithm, elementwise."""
    return _numpys("log", x)


def sqrt(x: Operand) -> Tensor:
    """The square root, elementwise; its gradient at 0 is infinite, with a warning."""
    return _numpys("sqrt", x)


def tanh(x: Operand) -> Tensor:
    """The hyperbolic tangent, elementwise."""
    return _numpys("tanh", x)


def log_softmax(x: Operand, axis: int = -1) -> Tensor:
    """The logarithm of the softmax along an axis: x - log(sum(exp(x))).

    It is finite for finite x: exp does not overflow on the way.

    Parameters
    ----------
    x : Tensor or array_like
    axis : int
    """
    array = np.asarray(_value(x))
    largest = array.max(axis=axis, keepdims=True)
    shifted = array - np.where(np.isfinite(largest), largest, 0)
    value = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return _taped("log_softmax", value, (x,), axis)


def sum(x: Operand, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The sum over one axis, several, or all (None). Integers add up in 64 bits.

    Parameters
    ----------
    x : Tensor or array_like
    axis : int, tuple of int or None
    keepdims : bool
        Whether these axes stay, with length 1.
    """
    return _numpys("sum", x, axis=axis, keepdims=keepdims)


def mean(x: Operand, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several, or all (None). That of integers is float64.

    Parameters
    ----------
    x : Tensor or array_like
    axis : int, tuple of int or None
    keepdims : bool
        Whether these axes stay, with length 1.
    """
    return _numpys("mean", x, axis=axis, keepdims=keepdims)


def max(x: Operand, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The largest over one axis, several, or all (None).

    Elements that tie for the largest share the gradient equally.

    Parameters
    ----------
    x : Tensor or array_like
    axis : int, tuple of int or None
    keepdims : bool
        Whether these axes stay, with length 1.
    """
    return _numpys("max", x, axis=axis, keepdims=keepdims)


def reshape(x: Operand, shape: int | Sequence[int]) -> Tensor:
    """x with the same elements in another shape; one length may be -1."""
    return _taped("reshape", np.reshape(_value(x), shape), (x,))


def transpose(x: Operand, axes: Sequence[int] | None = None) -> Tensor:
    """x with axis `axes[i]` as axis i; reversed if `axes` is None."""
    return _numpys("transpose", x, axes=axes)


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

    Parameters
    ----------
    x : Tensor or array_like
    dtype : dtype
    """
    return _taped("astype", np.asarray(_value(x)).astype(dtype), (x,))


class Tensor:
    """An array on the tape.

    Operators and methods are functions: `x @ w` is `matmul(x, w)`, as `x.exp()` is
    `exp(x)`.

    Parameters
    ----------
    data : array_like, any shape, boolean, integer or floating
        The value. An array is kept as it is, not copied.
    requires_grad : bool
        Whether `backward` should leave a gradient here.

    Attributes
    ----------
    data : ndarray
        The value. Do not change it in place between a function and its `backward`.
    grad : ndarray of `gradient_dtype`, shape of `data`, or None
        What `backward` has added up since this was last None. Leaves only; its memory
        belongs to this tensor alone.
    requires_grad : bool
        Whether gradients flow here.

    Raises
    ------
    OptionError
        If `data` has complex numbers, text, objects or other values.
    GradientError
        If `data` is or contains a Tensor.
    """

    __slots__ = ("__weakref__", "_node", "data", "grad", "requires_grad")

    __array_ufunc__ = None  # so that `ndarray * Tensor` asks the Tensor

    def __init__(self, data: ArrayLike, *, requires_grad: bool = False) -> None:
        self.data: Array = np.asarray(data)
        if self.data.dtype.kind not in "buif":
            raise OptionError(
                f"Tensor: expected booleans, integers or floats, got {self.data.dtype}"
            )
        self.grad: Array | None = None
        self.requires_grad = requires_grad
        self._node: Node | None = None

    def backward(self, gradient: ArrayLike | Tensor | None = None) -> None:
        """Add the gradient of this value to the `grad` of every leaf it came from.

        The tape behind the value is freed on the way, so this works once. Equal
        programs add in equal order and give equal bytes.

        Parameters
        ----------
        gradient : array_like, shape of this tensor, optional
            The gradient of whatever follows with respect to this value. May be
            left out for a single element, and is 1 then.

        Raises
        ------
        GradientError
            If nothing here requires a gradient, if the tape was freed by an earlier
            call, or if a recorded vjp returns gradients of wrong number or shape.
        ShapeError
            If `gradient` has another shape, or is missing for several elements.
        """
        if not self.requires_grad:
            raise GradientError(
                "backward: this value was not computed from any tensor with"
                " requires_grad=True, or was computed under no_grad"
            )
        if gradient is None:
            if self.size != 1:
                raise ShapeError(
                    f"backward: a value of shape {self.shape} has {self.size} elements,"
                    " not one: reduce it (sum, mean) or pass a gradient of this shape"
                )
            gradient = np.ones(self.shape)
        values = gradient.data if isinstance(gradient, Tensor) else gradient
        start = np.asarray(values, dtype=self.gradient_dtype)
        if start.shape != self.shape:
            raise ShapeError(
                f"backward: the gradient has shape {start.shape}, the value has shape"
                f" {self.shape}"
            )
        backward(_origin(self), start)

    def detach(self) -> Tensor:
        """The same data (not a copy) as a leaf that requires no gradient."""
        return Tensor(self.data)

    def numpy(self) -> Array:
        """The data itself, not a copy."""
        return self.data

    def item(self) -> float:
        """The only element, as a Python number."""
        return self.data.item()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `data`."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of `data`."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def gradient_dtype(self) -> np.dtype[Any]:
        """float64 if the data is, else float32, also for integers."""
        return np.dtype(np.float64 if self.dtype == np.float64 else np.float32)

    def __repr__(self) -> str:
        return f"Tensor({self.data!r}, requires_grad={self.requires_grad})"

    # No array comes back, which tells type checkers that a Tensor is no array_like.
    def __array__(self, dtype: object = None, copy: object = None) -> object:
        raise GradientError(
            "a Tensor does not turn into an array by itself, as its gradient would be"
            " lost: use the functions of kanji_np.autograd, or tensor.numpy()"
        )

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.data)

    # On the right of each `=` stands the function of the module.
    __getitem__ = getitem
    __neg__ = negative
    __add__ = __radd__ = add
    __sub__ = subtract
    __mul__ = __rmul__ = multiply
    __truediv__ = divide
    __pow__ = power
    __matmul__ = matmul
    exp = exp
    log = log
    log_softmax = log_softmax
    sqrt = sqrt
    tanh = tanh
    sum = sum
    mean = mean
    max = max
    astype = astype

    def __rsub__(self, other: Operand) -> Tensor:
        return subtract(other, self)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return divide(other, self)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return matmul(other, self)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """The same elements in another shape.

        Parameters
        ----------
        *shape : int or tuple of int
            The lengths, singly or as one tuple; one may be -1.
        """
        return reshape(self, _unwrapped(shape))

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        """The axes in another order.

        Parameters
        ----------
        *axes : int or tuple of int
            Which axis comes first, and so on, singly or as one tuple. Without any they
            are reversed.
        """
        return transpose(self, _unwrapped(axes) if axes else None)

    @property
    def T(self) -> Tensor:
        """The tensor with its axes reversed."""
        return transpose(self)


def _origin(tensor: Tensor) -> Node | Tensor:
    """Where gradients of `tensor` go: to its node, or to itself if it is a leaf."""
    return tensor if tensor._node is None else tensor._node


def needs_gradient(*values: Operand | None) -> bool:
    """Whether a function of `values` would go on the tape now.

    Asking first saves the work of keeping what only a vjp would use.
    """
    return is_recording() and any(
        isinstance(value, Tensor) and value.requires_grad for value in values
    )


def record(
    value: ArrayLike, parents: Sequence[Operand | None], vjp: Vjp, name: str
) -> Tensor:
    """Put an operation on the tape: the one way in, for everybody.

    Parameters
    ----------
    value : array_like, any shape, boolean, integer or floating
        The result, already computed.
    parents : sequence of Tensor or anything else
        The arguments. Whatever is not a Tensor that requires a gradient is a constant.
    vjp : callable
        `vjp(gradient) -> tuple`: from the gradient with respect to `value`
        (C-contiguous, shape of `value`, float64 if `value` is, else float32) the
        gradient with respect to each parent: array_like of exactly the parent's shape,
        or None for a constant or for a gradient of zero. Called at most once, then let
        go of. It must not change `gradient` in place; it may return it.
    name : str
        What errors call the operation.

    Returns
    -------
    Tensor
        `value`, requiring a gradient if a parent does and recording is on.

    Notes
    -----
    The tape keeps `vjp`, and with it whatever arrays it refers to, until `backward`.

    Examples
    --------
    Rounding to int8 whose gradient passes straight through:

    >>> x = Tensor([0.6, 2.4], requires_grad=True)
    >>> q = record(np.rint(x.data).astype(np.int8), [x], lambda g: (g,), "round")
    >>> q.sum().backward()
    >>> q.data, x.grad
    (array([1, 2], dtype=int8), array([1., 1.]))
    """
    result = Tensor(value)
    if needs_gradient(*parents):
        origins = tuple(
            _origin(x) if isinstance(x, Tensor) and x.requires_grad else None
            for x in parents
        )
        result.requires_grad = True
        result._node = Node(name, origins, vjp, result.shape, result.gradient_dtype)
    return result


def _value(x: Operand) -> Any:
    """An array; but a Python number stays one, since NumPy lets it adapt its dtype."""
    if isinstance(x, Tensor):
        return x.data
    return x if isinstance(x, int | float) else np.asarray(x)


def _numpys(name: str, *operands: Operand, **options: Any) -> Tensor:
    """NumPy's function of that name, on the tape."""
    arrays = _adapted([_value(x) for x in operands])
    value = getattr(np, name)(*arrays, **options)
    return _taped(name, value, operands, *options.values())


def _adapted(operands: list[Any]) -> list[Any]:
    """Operands with a Python number in the floating dtype that it meets.

    NumPy does so from version 2 on; before, a float32 array without axes and a Python
    number gave float64.
    """
    arrays = [x for x in operands if type(x) not in PYTHON_NUMBERS]
    dtype = np.result_type(*arrays) if 0 < len(arrays) < len(operands) else None
    if dtype is None or dtype.kind != "f":
        return operands
    return [dtype.type(x) if type(x) in PYTHON_NUMBERS else x for x in operands]


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


def _unwrapped(numbers: tuple[int | Sequence[int], ...]) -> tuple[int, ...]:
    """(2, 3) from (2, 3) and from ((2, 3),), the two spellings NumPy's methods take."""
    if len(numbers) == 1 and isinstance(numbers[0], Sequence):
        return tuple(numbers[0])
    return cast("tuple[int, ...]", numbers)
