"""Optimizers and learning-rate schedules, as plain data.

An optimizer is a frozen set of numbers; what it remembers between steps lies in arrays
that the training loop owns, so that a checkpoint holds them without asking. Names and
formulas are PyTorch's; a step goes over memory once. A schedule gives the factor of the
learning rate at each step.

Weight decay acts on weights: parameters of two dimensions or more. Biases, gamma and
beta of a batch normalization and learned ranges are left to the loss.
"""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

from kanji_np.arguments import known_arguments
from kanji_np.autograd import Tensor
from kanji_np.checks import hold_number, shown
from kanji_np.errors import OptionError, ShapeError

K = TypeVar("K", bound=type)
Slots = list[tuple[np.ndarray, ...]]
Numbers = tuple[np.float32 | bool, ...]

#: The largest number for the kernels, which have float32's.
MOST = 1e38


@runtime_checkable
class Optimizer(Protocol):
    """What the training loop needs of an optimizer.

    It may have `powers`, the power of the gradient that each array of its memory goes
    with: weights may be written so many times larger when normalization is frozen.
    """

    @property
    def lr(self) -> float:
        """Learning rate before the schedule."""

    def slots(self, parameters: Sequence[Tensor]) -> Slots:
        """What it remembers between steps, as zeros before the first.

        Parameters
        ----------
        parameters : sequence of Tensor

        Returns
        -------
        list of tuples of ndarray
            One tuple for each parameter, arrays in the parameter's shape and dtype.
        """

    def step(
        self, parameters: Sequence[Tensor], slots: Slots, lr: float, count: int
    ) -> None:
        """Change every parameter that has a gradient, in place.

        Parameters
        ----------
        parameters : sequence of Tensor
        slots : list of tuples of ndarray
            What `slots` gave for them; changed in place.
        lr : float
            The learning rate of this step.
        count : int
            Number of this step, from 1.
        """


def _zeros(parameters: Sequence[Tensor], number: int) -> Slots:
    return [tuple(np.zeros_like(p.data) for _ in range(number)) for p in parameters]


def _update(
    kernel: Callable[..., None],
    parameters: Sequence[Tensor],
    slots: Slots,
    of_weights: Numbers,
    of_others: Numbers,
) -> None:
    """Run a kernel in place over the memory of every parameter with a gradient.

    Its last arguments are `of_weights` where weight decay acts, else `of_others`.
    """
    for i, (p, slot) in enumerate(zip(parameters, slots, strict=True)):
        if p.grad is None:
            continue
        if p.dtype not in (np.float32, np.float64):
            raise OptionError(
                f"parameter {i}: an optimizer takes float32 or float64, got {p.dtype}"
            )
        for array in (p.grad, *slot):  # the kernels check no bounds
            if array.shape != p.shape:
                raise ShapeError(
                    f"parameter {i} has shape {p.shape}, its gradient or the "
                    f"optimizer's memory of it has {array.shape}"
                )
        arrays = (p.data, *slot)
        lines = [array.reshape(-1) for array in arrays]
        numbers = of_weights if p.ndim >= 2 else of_others
        kernel(*lines, p.grad.astype(p.dtype, copy=False).reshape(-1), *numbers)
        for array, line in zip(arrays, lines, strict=True):
            if not np.may_share_memory(array, line):  # its memory is not one line
                array[...] = line.reshape(array.shape)


def average(
    averages: Sequence[np.ndarray],
    parameters: Sequence[Tensor],
    decay: float,
    count: int,
) -> None:
    """A step of the exponential moving average of every parameter, in place.

    The past weighs ``min(decay, (1 + count) / (10 + count))``: little at first, when it
    holds weights that nothing has been learned for.

    Parameters
    ----------
    averages : sequence of ndarray
        In the shapes of the parameters.
    decay : float
        Weight of the past in a long run, 0 <= decay < 1.
    count : int
        Steps taken so far, this one included.
    """
    new = np.float32(1 - min(decay, (1 + count) / (10 + count)))
    for mean, p in zip(averages, parameters, strict=True):
        mean[...] += new * (p.data - mean)


class BoundOptimizer:
    """An optimizer with the parameters it changes, for a training loop of one's own.

        optimizer = kj.SGD(lr=0.1).bind(net.parameters())
        ...
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    Parameters
    ----------
    optimizer : Optimizer
        "SGD(lr=0.1)", or one of your own.
    parameters : iterable of Tensor

    Attributes
    ----------
    lr : float
        The learning rate of the next step; it may be set.
    count : int
        Steps taken so far.
    slots : list of tuples of ndarray
        What is remembered between steps: `Optimizer.slots`.
    """

    def __init__(self, optimizer: Optimizer, parameters: Iterable[Tensor]) -> None:
        self.optimizer = optimizer
        self.parameters = list(parameters)
        for i, parameter in enumerate(self.parameters):
            if not isinstance(parameter, Tensor):
                raise OptionError(
                    f"parameter {i} must be a Tensor, as net.parameters() gives them; "
                    f"got {shown(parameter)}"
                )
        self.lr = optimizer.lr
        self.count = 0
        self.slots = optimizer.slots(self.parameters)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient, in place."""
        self.count += 1
        self.optimizer.step(self.parameters, self.slots, self.lr, self.count)

    def __repr__(self) -> str:
        return (
            f"<{self.optimizer} of {len(self.parameters)} parameters, {self.count} "
            f"steps taken, lr {self.lr:g}>"
        )


class _Recipe:
    """What the optimizers of this module share."""

    def bind(self: Optimizer, parameters: Iterable[Tensor]) -> BoundOptimizer:
        """The optimizer of these parameters, which remembers what it must by itself.

        Parameters
        ----------
        parameters : iterable of Tensor
            `net.parameters()`.

        Returns
        -------
        BoundOptimizer
            With `step()` and `zero_grad()`, as in PyTorch.
        """
        return BoundOptimizer(self, parameters)


def _recipe(kind: K) -> K:
    """A class decorator: arguments that are PyTorch's end in a line that says so."""
    init: Callable[..., None] = vars(known_arguments(kind))["__init__"]

    @functools.wraps(init)
    def called(self: Any, *args: Any, **named: Any) -> None:
        if args and not isinstance(args[0], numbers.Number):
            raise OptionError(
                f"{kind.__name__} takes lr first, got {shown(args[0], 40)}; of the "
                "parameters of a loop of your own make "
                f"{kind.__name__}(lr=...).bind(net.parameters())"
            )
        init(self, *args, **named)

    kind.__init__ = called  # type: ignore[misc]
    return kind


@_recipe
@dataclass(frozen=True)
class SGD(_Recipe):
    """Stochastic gradient descent with momentum; `torch.optim.SGD`.

    Parameters
    ----------
    lr, momentum : float
    weight_decay : float
        Of weights alone; the same in the other optimizers.
    nesterov : bool
    """

    lr: float = 0.02
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4

    #: The power of the gradient that each array of its memory has.
    powers: ClassVar = (1,)

    def __post_init__(self) -> None:
        hold_number(self, "lr", 0, MOST)
        hold_number(self, "momentum", 0, below=1)
        hold_number(self, "weight_decay", 0, MOST)
        if not isinstance(self.nesterov, bool):
            raise OptionError(
                f"nesterov must be True or False, got {shown(self.nesterov)}"
            )

    def slots(self, parameters: Sequence[Tensor]) -> Slots:
        """See `Optimizer.slots`."""
        return _zeros(parameters, 1)

    def step(
        self, parameters: Sequence[Tensor], slots: Slots, lr: float, count: int
    ) -> None:
        """See `Optimizer.step`."""
        from kanji_np.loops.optim import sgd

        def numbers(decay: float) -> Numbers:
            return *map(np.float32, (lr, self.momentum, decay)), self.nesterov

        _update(sgd, parameters, slots, numbers(self.weight_decay), numbers(0.0))


@_recipe
@dataclass(frozen=True)
class Adam(_Recipe):
    """Adam; `torch.optim.Adam`, its weight decay added to the gradient.

    Parameters
    ----------
    lr : float
    beta1, beta2 : float
        Weight of the past in the means of gradients and of their squares, 0..1.
    eps : float
        Added to the root of the mean square.
    weight_decay : float
        As in `SGD`.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    powers: ClassVar = (1, 2)
    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        hold_number(self, "lr", 0, MOST)
        hold_number(self, "beta1", 0, below=1)
        hold_number(self, "beta2", 0, below=1)
        hold_number(self, "eps", 0, MOST)
        hold_number(self, "weight_decay", 0, MOST)

    def slots(self, parameters: Sequence[Tensor]) -> Slots:
        """See `Optimizer.slots`."""
        return _zeros(parameters, 2)

    def step(
        self, parameters: Sequence[Tensor], slots: Slots, lr: float, count: int
    ) -> None:
        """See `Optimizer.step`."""
        from kanji_np.loops.optim import adam

        def numbers(decay: float) -> Numbers:
            values = (
                lr / (1 - self.beta1**count),
                math.sqrt(1 - self.beta2**count),
                1 - self.beta1,
                1 - self.beta2,
                self.eps,
                1 - lr * decay if self.decoupled else decay,
            )
            return *map(np.float32, values), self.decoupled

        _update(adam, parameters, slots, numbers(self.weight_decay), numbers(0.0))


@_recipe
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay; `torch.optim.AdamW`.

    Parameters
    ----------
    lr, beta1, beta2, eps : float
        As in `Adam`.
    weight_decay : float
        Part of each weight that a step of rate 1 takes off.
    """

    weight_decay: float = 1e-2

    decoupled: ClassVar[bool] = True


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
}


@runtime_checkable
class Schedule(Protocol):
    """What the training loop needs of a schedule."""

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """The factor of the learning rate at one step.

        Parameters
        ----------
        step : int
            0..steps-1.
        steps, steps_per_epoch : int
            Of the whole run; of one epoch.
        """


@known_arguments
@dataclass(frozen=True)
class Constant:
    """The learning rate as it is."""

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """See `Schedule.factor`."""
        return 1.0


@known_arguments
@dataclass(frozen=True)
class Step:
    """The learning rate falls by a factor every few epochs.

    Parameters
    ----------
    every : int
        Epochs.
    gamma : float
        The factor.
    """

    every: int = 10
    gamma: float = 0.1

    def __post_init__(self) -> None:
        hold_number(self, "every", 1, MOST)
        hold_number(self, "gamma", 0, MOST)

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """See `Schedule.factor`."""
        return self.gamma ** (step // (self.every * steps_per_epoch))


@known_arguments
@dataclass(frozen=True)
class Exponential:
    """The learning rate falls by a factor every epoch, a little at each step.

    Parameters
    ----------
    gamma : float
        The factor.
    """

    gamma: float = 0.9

    def __post_init__(self) -> None:
        hold_number(self, "gamma", 0, MOST)

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """See `Schedule.factor`."""
        return self.gamma ** (step / steps_per_epoch)


@known_arguments
@dataclass(frozen=True)
class Cosine:
    """The learning rate falls along half a cosine.

    Parameters
    ----------
    final : float
        Factor at the end; it is 1 at the beginning.
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        hold_number(self, "final", 0, MOST)

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """See `Schedule.factor`."""
        wave = 0.5 * (1 + math.cos(math.pi * step / steps))
        return self.final + (1 - self.final) * wave


@known_arguments
@dataclass(frozen=True)
class OneCycle:
    """The learning rate rises linearly, then falls linearly.

    Parameters
    ----------
    warmup : float
        Part of the run in which it rises, 0..1.
    initial, final : float
        Factors at the beginning and at the end; it is 1 between them.

    References
    ----------
    Smith and Topin, "Super-Convergence", 2018.
    """

    warmup: float = 0.2
    initial: float = 0.1
    final: float = 0.001

    def __post_init__(self) -> None:
        hold_number(self, "warmup", 0, below=1)
        hold_number(self, "initial", 0, MOST)
        hold_number(self, "final", 0, MOST)

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """See `Schedule.factor`."""
        at, rise = step / steps, self.warmup
        if at < rise:
            return self.initial + (1 - self.initial) * at / rise
        return 1 + (self.final - 1) * (at - rise) / (1 - rise)


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "cosine": Cosine,
    "one-cycle": OneCycle,
}
