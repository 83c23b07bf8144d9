"""The settings of a training run, checked once where they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kanji_np.checks import flag, hold_number, integer, one_of, shown
from kanji_np.data import Augment
from kanji_np.errors import OptionError
from kanji_np.model import PRECISIONS
from kanji_np.optim import SGD, OneCycle, Optimizer, Schedule


def _check_kind(name: str, value: Any, kind: type, example: str) -> None:
    """OptionError unless a value has the methods of a protocol; a class itself, which
    lacks its brackets, has them too."""
    if isinstance(value, type) or not isinstance(value, kind):
        raise OptionError(
            f"{name} must have the methods of kanji_np.optim.{kind.__name__}, such as "
            f"{example}, got {shown(value)}"
        )


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights a run ends with, beside network and data.

    What is not said otherwise trains a small network on CIFAR-10 well.

    Parameters
    ----------
    epochs, batch_size : int
        A last batch that gives some normalized layer fewer than `STATISTICAL` values a
        channel is joined to the batch before it.
    optimizer : Optimizer
        Of all parameters but learned ranges, which have `RANGE_OPTIMIZER`.
    schedule : Schedule
        Factor of both learning rates over the whole run.
    precision : "int8" or "fp32"
        A network trained in fp32 alone gets its ranges from training images at the end.
    fp32_epochs : int
        With "int8": so many epochs in fp32 first.
    reproduce_inputs : bool
        Trains an autoencoder: its outputs are compared not with labels but with the
        real values of its inputs (see `anomaly`).
    label_smoothing : float
    augment : Augment or None
    averaging : float
        Weight of the past in the moving average of all parameters that is scored and
        kept (see `optim.average`), 0 <= averaging < 1; 0 keeps the last weights.
    freeze_batch_norm : float
        Part of the epochs, 0..1, after which batch normalization stops taking in
        batches and goes by its moving statistics, as it does on the device. Without
        those of each batch large steps diverge: learning rates must be low by then.
        Where the loss rises by more than `JUMP` of itself in such an epoch,
        normalization goes on with batches, and the epoch is gone through again. It
        stays frozen in another `fit`, which then trains the folded weights alone:
        `Model.thaw_batch_norm` ends that.
    seed : int
        Of order and augmentation; the weights' own seed is the network's.
    """

    epochs: int = 30
    batch_size: int = 64
    optimizer: Optimizer = SGD()
    schedule: Schedule = OneCycle()
    precision: str = "int8"
    fp32_epochs: int = 0
    reproduce_inputs: bool = False
    label_smoothing: float = 0.1
    augment: Augment | None = None
    averaging: float = 0.998
    freeze_batch_norm: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1), ("batch_size", 1), ("fp32_epochs", 0), ("seed", 0),
        ):  # fmt: skip
            value = integer(name, getattr(self, name), least)
            object.__setattr__(self, name, value)
        if self.fp32_epochs > self.epochs:
            raise OptionError(
                f"fp32_epochs must be at most epochs ({self.epochs}), got "
                f"{self.fp32_epochs}",
                arguments=("fp32_epochs", "epochs"),
            )
        _check_kind("optimizer", self.optimizer, Optimizer, "SGD()")
        _check_kind("schedule", self.schedule, Schedule, "OneCycle()")
        one_of("precision", self.precision, PRECISIONS)
        reproduces = flag("reproduce_inputs", self.reproduce_inputs)
        object.__setattr__(self, "reproduce_inputs", reproduces)
        if not isinstance(self.augment, Augment | None):
            raise OptionError(
                'augment must be an Augment, None or "default", got '
                f"{shown(self.augment)}"
            )
        hold_number(self, "label_smoothing", 0, below=1)
        hold_number(self, "averaging", 0, below=1)
        hold_number(self, "freeze_batch_norm", 0, 1)

    def freezes_batch_norm(self, epoch: int) -> bool:
        """Whether batch normalization is frozen in an epoch.

        Parameters
        ----------
        epoch : int
            From 0.
        """
        return epoch >= self.freeze_batch_norm * self.epochs

    def precision_of(self, epoch: int) -> str:
        """The precision of an epoch, "int8" or "fp32".

        Parameters
        ----------
        epoch : int
            From 0.
        """
        return "fp32" if epoch < self.fp32_epochs else self.precision


DEFAULT = Recipe()
