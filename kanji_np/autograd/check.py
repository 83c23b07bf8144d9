"""A check of derivatives: what `backward` says against central differences.

For users and for the tests of operators. It calls the function twice for every element
of every argument: meant for small arrays. Differences mean nothing where a function
jumps or bends (integers, a maximum at a tie): keep the arguments away from there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from kanji_np.autograd.tape import Array
from kanji_np.autograd.tensor import Tensor
from kanji_np.errors import GradientError, OptionError


def check_gradients(
    function: Callable[..., Tensor],
    *arrays: ArrayLike,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    rng: np.random.Generator | None = None,
) -> float:
    """Compare the gradients of `function` with central differences, in float64.

    Parameters
    ----------
    function : callable
        Takes one Tensor for each array and returns a float64 Tensor of any shape. It
        must be deterministic. Constants, such as labels, go into a closure.
    *arrays : array_like, any shapes
        The point to differentiate at; converted to float64 copies.
    eps : float
        Half the distance between the two values of a difference.
    rtol, atol : float
        Passes where `|vjp - difference| <= atol + rtol * |difference|`.
    rng : numpy.random.Generator, optional
        If given, the output is projected on one random vector, and `backward` runs
        once. If not, every element of the output is checked by itself.

    Returns
    -------
    float
        The largest relative error, `|vjp - difference| / (atol / rtol + |difference|)`:
        at most `rtol`. Zero if there was nothing to compare.

    Raises
    ------
    GradientError
        If the two disagree or are not finite: names the argument, the index in it and
        both values. Also if `function` does not return a float64 Tensor.
    OptionError
        If `eps` or a tolerance is not positive.
    """
    for option, number in (("eps", eps), ("rtol", rtol), ("atol", atol)):
        if not number > 0:
            raise OptionError(f"check_gradients: {option} must be > 0, got {number}")
    name = getattr(function, "__name__", type(function).__name__)
    points = [np.array(array, dtype=np.float64) for array in arrays]

    shape = _output(function, [Tensor(point.copy()) for point in points]).shape
    n_out = int(np.prod(shape))
    directions = np.eye(n_out) if rng is None else rng.standard_normal((1, n_out))

    # Row by row: one backward for each direction.
    exact = [np.zeros((len(directions), point.size)) for point in points]
    for row, direction in enumerate(directions):
        leaves = [Tensor(point.copy(), requires_grad=True) for point in points]
        result = _output(function, leaves)
        if result.requires_grad:
            result.backward(direction.reshape(shape))
        for gradients, leaf in zip(exact, leaves, strict=True):
            if leaf.grad is not None:
                gradients[row] = leaf.grad.reshape(-1)

    # Column by column: one difference for each element of each argument.
    worst = 0.0
    for argument, point in enumerate(points):
        for column, index in enumerate(np.ndindex(point.shape)):
            slope = directions @ _difference(function, points, argument, index, eps)
            vjp = exact[argument][:, column]
            errors = np.abs(vjp - slope) / (atol / rtol + np.abs(slope))
            wrong = np.flatnonzero(~(errors <= rtol))  # a NaN is no success
            if wrong.size:
                row = wrong[0]
                place = f"argument {argument}, index {index}"
                if rng is None:
                    place += f", output {list(np.ndindex(shape))[row]}"
                raise GradientError(
                    f"{name}: {place}: the vjp gives {vjp[row]:.9g}, central"
                    f" differences give {slope[row]:.9g} (relative error"
                    f" {errors[row]:.1e}, allowed {rtol:.1e})"
                )
            worst = max(worst, float(errors.max(initial=0.0)))
    return worst


def _output(function: Callable[..., Tensor], arguments: list[Tensor]) -> Tensor:
    result = function(*arguments)
    if not isinstance(result, Tensor) or result.dtype != np.float64:
        came = result.dtype if isinstance(result, Tensor) else type(result).__name__
        raise GradientError(
            "check_gradients: expected the function to return a float64 Tensor, got"
            f" {came}; differences need float64 all the way"
        )
    return result


def _difference(
    function: Callable[..., Tensor],
    points: list[Array],
    argument: int,
    index: tuple[int, ...],
    eps: float,
) -> Array:
    """How fast the output, flattened, changes with one element of one argument."""
    middle = points[argument][index]
    ends, outputs = (middle - eps, middle + eps), []
    for end in ends:
        moved = [Tensor(point.copy()) for point in points]
        moved[argument].data[index] = end
        outputs.append(_output(function, moved).data.reshape(-1))
    # The distance as float64 has it, not as 2 eps, which a large `middle` may absorb.
    return np.asarray((outputs[1] - outputs[0]) / (ends[1] - ends[0]))
