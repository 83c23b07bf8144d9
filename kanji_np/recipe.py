"""The settings of a training run, each stated once: name, type, range, default, help.

`fit` takes its defaults from `Recipe`. The command line makes its options of the
fields, and its help of the first sentence that the docstring has on each. This module
imports nothing heavy, so that help is quick. Its annotations are not postponed: ranges
are read from them.
"""

import inspect
import math
import re
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args

from kanji_np.choices import PRECISIONS
from kanji_np.errors import OptionError

if TYPE_CHECKING:
    from kanji_np.data import Augment, SignalAugment
    from kanji_np.optim import Optimizer, Schedule


@dataclass(frozen=True)
class Range:
    """What a number may be: ``least .. most``, or less than `below`."""

    least: int
    most: int | None = None
    below: int | None = None


def _sgd() -> "Optimizer":
    from kanji_np.optim import SGD

    return SGD()


def _one_cycle() -> "Schedule":
    from kanji_np.optim import OneCycle

    return OneCycle()


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights a run ends with, beside network and data.

    The defaults train a small network on CIFAR-10 well.

    Parameters
    ----------
    epochs : int
        Passes over the training images.
    batch_size : int
        Images in a step. A last batch that gives some normalized layer too few values
        per channel for its statistics is joined to the batch before it.
    optimizer : Optimizer
        Of all parameters but learned ranges, which have an Adam of their own.
    schedule : Schedule
        Course of the learning rate. It is a factor of both learning rates over the
        whole run.
    precision : "int8" or "fp32"
        int8 trains in the device's arithmetic; fp32 is the baseline. A network trained
        in fp32 alone gets its ranges from training images at the end.
    fp32_epochs : int
        How many of the epochs of an int8 run are in fp32 first.
    reproduce_inputs : bool
        Trains an autoencoder: its outputs are compared not with labels but with the
        real values of its inputs (see `anomaly`).
    label_smoothing : float
        Part of each label that is spread evenly over all classes.
    augment : Augment, SignalAugment or None
        What happens to training images.
    averaging : float
        Weight of the past in the moving average of all parameters that is scored and
        kept; 0 keeps the last weights. See `optim.average`.
    freeze_batch_norm : float
        Part of the epochs after which batch normalization goes by its moving
        statistics, as it does on the device. Without those of each batch large steps
        diverge: learning rates must be low by then. Where the loss rises by more than
        a fourth of itself in such an epoch, normalization goes on with batches, and the
        epoch is gone through again. It stays frozen in another `fit`, which then trains
        the folded weights alone: `Model.thaw_batch_norm` ends that.
    seed : int
        Of order and augmentation. The weights' own seed is the network's.
    """

    epochs: Annotated[int, Range(1)] = 30
    batch_size: Annotated[int, Range(1)] = 64
    optimizer: "Optimizer" = field(default_factory=_sgd)
    schedule: "Schedule" = field(default_factory=_one_cycle)
    precision: Annotated[str, PRECISIONS] = "int8"
    fp32_epochs: Annotated[int, Range(0)] = 0
    reproduce_inputs: bool = False
    label_smoothing: Annotated[float, Range(0, below=1)] = 0.1
    augment: "Union[Augment, SignalAugment, None]" = None
    averaging: Annotated[float, Range(0, below=1)] = 0.998
    freeze_batch_norm: Annotated[float, Range(0, 1)] = 0.9
    seed: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        from kanji_np.checks import shown
        from kanji_np.data import Augmentation
        from kanji_np.optim import Optimizer, Schedule

        for setting in settings().values():
            setting.hold(self)
        if self.fp32_epochs > self.epochs:
            raise OptionError(
                f"fp32_epochs must be at most epochs ({self.epochs}), got "
                f"{self.fp32_epochs}",
                arguments=("fp32_epochs", "epochs"),
            )
        _check_kind("optimizer", self.optimizer, Optimizer, "SGD()")
        _check_kind("schedule", self.schedule, Schedule, "OneCycle()")
        if not isinstance(self.augment, Augmentation | None):
            raise OptionError(
                'augment must be an Augment, a SignalAugment, None or "default", got '
                f"{shown(self.augment)}"
            )

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


def _check_kind(name: str, value: Any, kind: type, example: str) -> None:
    """OptionError unless a value has the methods of a protocol; a class itself, which
    lacks its brackets, has them too."""
    from kanji_np.checks import shown

    if isinstance(value, type) or not isinstance(value, kind):
        raise OptionError(
            f"{name} must have the methods of kanji_np.optim.{kind.__name__}, such as "
            f"{example}, got {shown(value)}"
        )


@dataclass(frozen=True)
class Setting:
    """A field of `Recipe` that is a number, a word or a flag.

    Parameters
    ----------
    name : str
    kind : int, float, str or bool
    allowed : Range or tuple of str
        Empty for a flag.
    default : int, float, str or bool
    help : str
        A sentence.
    """

    name: str
    kind: type
    allowed: Any
    default: Any
    help: str

    def hold(self, recipe: Recipe) -> None:
        """Check the field, and hold it as a plain value; OptionError if it is wrong."""
        from kanji_np import checks

        value = getattr(recipe, self.name)
        if self.kind is float:
            r: Range = self.allowed
            most = math.inf if r.most is None else r.most
            checks.hold_number(recipe, self.name, r.least, most, below=r.below)
            return
        if self.kind is int:
            value = checks.integer(self.name, value, self.allowed.least)
        elif self.kind is str:
            value = checks.one_of(self.name, value, self.allowed)
        else:
            value = checks.flag(self.name, value)
        object.__setattr__(recipe, self.name, value)


@cache
def settings() -> dict[str, Setting]:
    """The fields of `Recipe` that are numbers, words or flags, by name."""
    found = {}
    for f in fields(Recipe):
        kind, allowed = get_args(f.type) or (f.type, ())
        if isinstance(kind, type):  # others are objects, and their types postponed
            found[f.name] = Setting(f.name, kind, allowed, f.default, help_of(f.name))
    return found


def help_of(name: str) -> str:
    """The first sentence of what the docstring of `Recipe` says of a field."""
    text = inspect.getdoc(Recipe) or ""  # Python leaves it out with -OO
    entry = re.search(rf"^{name} : .*\n((?:    .*\n?)+)", text, re.MULTILINE)
    said = " ".join(entry[1].split()) if entry else ""
    return re.sub(r"(?<=\.) .*", "", said)
