"""The tape: what is remembered of a computation, and the walk back over it.

A node stands for one computed value. It holds the value's shape, the nodes or leaf
tensors the value was computed from, and a function that turns the gradient of the value
into gradients of those parents (a vector-Jacobian product, vjp). It does not hold the
value: an array lives on only where some vjp needs it.

Nodes point to their parents alone, so a tape nobody can reach any more is gone. There
is no global list of operations, and no graph object.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kanji_np.errors import GradientError

if TYPE_CHECKING:
    from kanji_np.autograd.tensor import Tensor

Array: TypeAlias = NDArray[Any]
Vjp: TypeAlias = Callable[[Array], tuple[ArrayLike | None, ...]]

_births = itertools.count()


class Node:
    """One computed value on the tape; `parents` has None for each constant."""

    __slots__ = ("birth", "gradient_dtype", "name", "parents", "shape", "vjp")

    def __init__(
        self,
        name: str,
        parents: tuple[Node | Tensor | None, ...],
        vjp: Vjp,
        shape: tuple[int, ...],
        gradient_dtype: DTypeLike,
    ) -> None:
        self.birth = next(_births)
        self.name = name
        self.parents = parents
        self.vjp: Vjp | None = vjp  # None once backward has passed
        self.shape = shape
        self.gradient_dtype = gradient_dtype


def backward(root: Node | Tensor, gradient: Array) -> None:
    """Add to the `grad` of every leaf behind `root` what `gradient` amounts to there.

    `gradient` has the shape and gradient dtype of `root`. The tape is freed on the way;
    leaves change only if the whole walk succeeds.
    """
    nodes = _newest_first(root) if isinstance(root, Node) else []
    for node in nodes:
        if node.vjp is None:
            raise GradientError(
                f"backward: the tape behind this value was freed at {node.name!r} by an"
                " earlier backward; compute the value again, or add the losses and"
                " call backward once"
            )
    pending: dict[Node | Tensor, Array] = {root: gradient}
    for node in nodes:
        _pull(node, pending)
    for leaf, total in pending.items():
        if not isinstance(leaf, Node):
            # A copy or a sum, never `total` itself: a vjp may hand one array to
            # several parents, and the optimizer may change grad in place.
            leaf.grad = (
                total.copy() if leaf.grad is None else np.asarray(leaf.grad + total)
            )


def _newest_first(root: Node) -> list[Node]:
    """All nodes behind `root`, each before its parents, for parents are born first."""
    found, unexplored = {root}, [root]
    while unexplored:
        for parent in unexplored.pop().parents:
            if isinstance(parent, Node) and parent not in found:
                found.add(parent)
                unexplored.append(parent)
    return sorted(found, key=lambda node: node.birth, reverse=True)


def _pull(node: Node, pending: dict[Node | Tensor, Array]) -> None:
    """Move the gradient waiting at `node` on to its parents, and free the node."""
    gradient = pending.pop(node, None)
    vjp, parents = node.vjp, node.parents
    node.vjp, node.parents = None, ()
    if gradient is None or vjp is None:  # no gradient came this way
        return
    parts = vjp(np.asarray(gradient, order="C"))
    if not isinstance(parts, tuple) or len(parts) != len(parents):
        came = f"{len(parts)}" if isinstance(parts, tuple) else type(parts).__name__
        raise GradientError(
            f"{node.name}: the vjp must return a tuple of {len(parents)} gradients, one"
            f" for each argument; got {came}"
        )
    for index, (parent, part) in enumerate(zip(parents, parts, strict=True)):
        if parent is None or part is None:
            continue
        share = np.asarray(part, dtype=parent.gradient_dtype)
        if share.shape != parent.shape:
            raise GradientError(
                f"{node.name}: the vjp's gradient for argument {index} has shape"
                f" {share.shape}, the argument has shape {parent.shape}"
            )
        sooner = pending.get(parent)
        pending[parent] = share if sooner is None else np.asarray(sooner + share)


class _Pauses(threading.local):
    """How many `no_grad` blocks the current thread is inside of."""

    depth = 0


_pauses = _Pauses()


def is_recording() -> bool:
    """Whether the current thread is outside every `no_grad` block."""
    return _pauses.depth == 0


class no_grad(ContextDecorator):
    """Compute without recording: `with no_grad():`, or `@no_grad()` over a function.

    Results do not require a gradient, whatever they were computed from. Blocks nest,
    and other threads are not affected.
    """

    def __enter__(self) -> None:
        _pauses.depth += 1

    def __exit__(self, *exception: object) -> None:
        _pauses.depth -= 1
