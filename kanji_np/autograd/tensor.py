"""`Tensor`, an array that remembers how it was computed, and `record`, the one way in.

A tensor is a leaf if somebody made it, and has a node on the tape if a function did.
Operators and methods are NumPy's, and every one is a function of `functions.py`. A
tensor is not an array: NumPy's own functions refuse it, as they would lose its past.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from kanji_np.autograd.tape import Array, Node, Vjp, backward, is_recording
from kanji_np.errors import GradientError, OptionError, ShapeError

Axis: TypeAlias = int | tuple[int, ...] | None


class Tensor:
    """An array on the tape.

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

    def item(self) -> Any:
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

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
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

    def __getitem__(self, index: Any) -> Tensor:
        return functions.getitem(self, index)

    def __neg__(self) -> Tensor:
        return functions.negative(self)

    def __add__(self, other: Operand) -> Tensor:
        return functions.add(self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return functions.add(other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return functions.subtract(self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return functions.subtract(other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return functions.multiply(self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return functions.multiply(other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return functions.divide(self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return functions.divide(other, self)

    def __pow__(self, exponent: Operand) -> Tensor:
        return functions.power(self, exponent)

    def __matmul__(self, other: Operand) -> Tensor:
        return functions.matmul(self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return functions.matmul(other, self)

    def sum(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """See `functions.sum`."""
        return functions.sum(self, axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """See `functions.mean`."""
        return functions.mean(self, axis, keepdims=keepdims)

    def max(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """See `functions.max`."""
        return functions.max(self, axis, keepdims=keepdims)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """See `functions.reshape`; the lengths may come singly or as one tuple."""
        return functions.reshape(self, _unwrapped(shape))

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        """See `functions.transpose`; the axes may come singly or as one tuple."""
        return functions.transpose(self, _unwrapped(axes) if axes else None)

    @property
    def T(self) -> Tensor:
        """The tensor with its axes reversed."""
        return functions.transpose(self)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """See `functions.astype`."""
        return functions.astype(self, dtype)

    def exp(self) -> Tensor:
        """See `functions.exp`."""
        return functions.exp(self)

    def log(self) -> Tensor:
        """See `functions.log`."""
        return functions.log(self)

    def sqrt(self) -> Tensor:
        """See `functions.sqrt`."""
        return functions.sqrt(self)

    def tanh(self) -> Tensor:
        """See `functions.tanh`."""
        return functions.tanh(self)


Operand: TypeAlias = Tensor | ArrayLike


def _unwrapped(numbers: tuple[int | Sequence[int], ...]) -> tuple[int, ...]:
    """(2, 3) from (2, 3) and from ((2, 3),), the two spellings NumPy's methods take."""
    if len(numbers) == 1 and isinstance(numbers[0], Sequence):
        return tuple(numbers[0])
    return cast("tuple[int, ...]", numbers)


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


# The functions need Tensor and Tensor's operators need the functions.
from kanji_np.autograd import functions  # noqa: E402
