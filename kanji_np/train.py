"""The training loop: the only one.

Everything random comes from (seed, epoch, batch), nothing from the clock, so the same
call gives the same weights, bit for bit; and a run that was killed goes on from its
last checkpoint to the very bytes it would have ended with.

Beside the weights goes a moving average of them; it is the average, quantized, that is
scored after every epoch and that the network holds in the end.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from kanji_np import archive, outputs, schema
from kanji_np.anomaly import check_reproduces, real_inputs
from kanji_np.autograd import Tensor
from kanji_np.checks import hold_number, integer, number, one_of, shown
from kanji_np.data import Augment, Dataset, ahead, batches, n_batches
from kanji_np.errors import (
    AccumulatorOverflow,
    FileFormatError,
    KanjiError,
    OptionError,
    RangeError,
)
from kanji_np.jit import event
from kanji_np.losses import cross_entropy, mean_squared_error
from kanji_np.model import HEADER, KIND, PRECISIONS, Model
from kanji_np.ops.products import check_gradient_kind
from kanji_np.optim import SGD, Adam, OneCycle, Optimizer, Schedule, Slots, average
from kanji_np.settings import differ, text_of

Loss = Callable[[Tensor, np.ndarray], Tensor]

TARGETS = ("labels", "inputs")
CALIBRATION_IMAGES = 500
# Of learned ranges: as fast where the weights take small steps as where they take large
# ones. 0.01, the rate of Jain et al., 2020, is for weights that were trained before:
# from scratch ranges ran away, and ten epochs of CIFAR-10 ended three points lower.
THRESHOLDS = Adam(lr=0.002, eps=1e-12)
# A training has diverged if its mean loss over an epoch is FAR times what outputs of zero
# would cost, and what it began with; over the last one, NEAR times. It has something to
# go back to once it is at most LEARNED times the first: else its beginning is better.
FAR, NEAR, LEARNED = 10.0, 1.5, 0.9
# Learning rates after it went back: each time so many times those before, at most so
# often.
BACKOFF, MOST_SETBACKS = 0.25, 5
# Losses of known size, for which there are such limits.
KNOWN_LOSSES = (cross_entropy, mean_squared_error)
# A loss that rises by this part in an epoch with batch normalization frozen.
JUMP = 0.25
# Values a channel that statistics of a batch are taken from. Of two values the variance
# may be next to nothing, and what is folded with it is several times too large for the
# ranges; it is always nothing of one.
STATISTICAL = 8
COMPILING = "compiling kernels (first run only)"
CHECKPOINT_KIND = "kanji_np checkpoint"
CHECKPOINT, MODEL, HISTORY = "checkpoint.npz", "model.npz", "history.csv"


@dataclass(frozen=True)
class EpochRecord:
    """One line of a training history.

    Losses and accuracies (0..1) of training are means over the epoch, as it went;
    `validation_accuracy`, of the averaged weights, is NaN without validation data, and
    both are if targets are not labels.
    `seconds` is wall-clock time of the epoch [s]. `note` says what went wrong before
    it went as it is recorded, and what was done about it.
    """

    epoch: int
    precision: str
    lr: float
    train_loss: float
    train_accuracy: float
    validation_accuracy: float
    seconds: float
    note: str = ""


COLUMNS = tuple(f.name for f in fields(EpochRecord))


@dataclass(frozen=True)
class History:
    """The epochs of one run, in order."""

    epochs: tuple[EpochRecord, ...] = ()

    def csv(self, columns: Sequence[str] = COLUMNS) -> str:
        """Comma-separated text with a header line."""
        out = io.StringIO()
        writer = csv.DictWriter(
            out, columns, lineterminator="\n", extrasaction="ignore"
        )
        writer.writeheader()
        for record in self.epochs:
            row = asdict(record)
            row["seconds"] = f"{record.seconds:.2f}"
            writer.writerow(row)
        return out.getvalue()

    def is_in(self, path: Path) -> bool:
        """Whether a file is what was written of this history, perhaps with one epoch
        more, which was cut short, or with fewer, where training went back, or by a
        version of fewer columns."""
        text = path.read_bytes()
        columns = text.partition(b"\n")[0].decode(errors="replace").split(",")
        if not set(columns) <= set(COLUMNS):
            return False
        mine, next_epoch = self.csv(columns).encode(), b"%d," % (len(self.epochs) + 1)
        more = text.removeprefix(mine)
        is_next = more.startswith(next_epoch) and more.count(b"\n") == 1
        is_part = text.endswith(b"\n") and mine.startswith(text)
        return is_part or (text.startswith(mine) and (is_next or not more))


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
        Of all parameters but learned ranges, which have `THRESHOLDS`.
    schedule : Schedule
        Factor of both learning rates over the whole run.
    precision : "int8" or "fp32"
        A network trained in fp32 alone gets its ranges from training images at the end.
    fp32_epochs : int
        With "int8": so many epochs in fp32 first.
    targets : "labels" or "inputs"
        What outputs are compared with; "inputs" trains an autoencoder, to give back the
        real values of what it was given (see `anomaly`).
    label_smoothing : float
    augment : Augment or None
    averaging : float
        Weight of the past in the moving average of all parameters that is scored and
        kept (see `optim.average`), 0 <= averaging < 1; 0 keeps the last weights.
    freeze_batch_norm : float
        Part of the epochs, 0..1, after which batch normalization stops taking in
        batches and goes by its moving statistics, as it does on the device. Without
        those of each batch large steps diverge: learning rates must be low by then.
        Where the loss rises by more than `JUMP` of itself in such an epoch, normalization
        goes on with batches, and the epoch is gone through again. It stays frozen in
        another `fit`, which then trains the folded weights alone:
        `Model.thaw_batch_norm` ends that.
    gradients : "float32" or "bfloat16"
        What gradients are rounded to before they are multiplied, in int8 epochs;
        bfloat16 is faster where the CPU multiplies it.
    seed : int
        Of order and augmentation; the weights' own seed is the network's.
    """

    epochs: int = 30
    batch_size: int = 64
    optimizer: Optimizer = SGD()
    schedule: Schedule = OneCycle()
    precision: str = "int8"
    fp32_epochs: int = 0
    targets: str = "labels"
    label_smoothing: float = 0.1
    augment: Augment | None = None
    averaging: float = 0.998
    freeze_batch_norm: float = 0.9
    gradients: str = "float32"
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
        one_of("targets", self.targets, TARGETS)
        if not isinstance(self.augment, Augment | None):
            raise OptionError(
                'augment must be an Augment, None or "default", got '
                f"{shown(self.augment)}"
            )
        hold_number(self, "label_smoothing", 0, below=1)
        hold_number(self, "averaging", 0, below=1)
        hold_number(self, "freeze_batch_norm", 0, 1)
        check_gradient_kind(self.gradients)
        if self.gradients != "float32" and self.precision != "int8":
            raise OptionError(
                f"gradients {self.gradients!r} go with precision 'int8', whose weights "
                f"they multiply exactly; got {self.precision!r}",
                arguments=("gradients", "precision"),
            )

    def freezes_batch_norm(self, epoch: int) -> bool:
        """Whether batch normalization is frozen in an epoch, counted from 0."""
        return epoch >= self.freeze_batch_norm * self.epochs

    def precision_of(self, epoch: int) -> str:
        """The precision of an epoch, counted from 0."""
        return "fp32" if epoch < self.fp32_epochs else self.precision


DEFAULT = Recipe()


def fit(
    net: Model,
    train: Dataset,
    *,
    epochs: int = DEFAULT.epochs,
    validation: Dataset | None = None,
    batch_size: int = DEFAULT.batch_size,
    optimizer: Optimizer = DEFAULT.optimizer,
    schedule: Schedule = DEFAULT.schedule,
    loss: Loss | None = None,
    targets: str = DEFAULT.targets,
    label_smoothing: float = DEFAULT.label_smoothing,
    augment: Augment | None | Literal["default"] = "default",
    averaging: float = DEFAULT.averaging,
    freeze_batch_norm: float = DEFAULT.freeze_batch_norm,
    precision: str = DEFAULT.precision,
    fp32_epochs: int = DEFAULT.fp32_epochs,
    gradients: str = DEFAULT.gradients,
    seed: int = DEFAULT.seed,
    directory: str | Path | None = None,
    resume: bool = False,
    show: bool = True,
) -> History:
    """Train a network in place.

    Parameters
    ----------
    net : Model
    train, validation : Dataset
        `validation` is scored after every epoch, in the epoch's precision; it goes with
        labels as targets.
    epochs, batch_size, optimizer, schedule, targets, label_smoothing, averaging, \
freeze_batch_norm, precision, fp32_epochs, gradients, seed
        See `Recipe`.
    augment : Augment, None or "default"
        "default" is what `train` says of itself: see `Dataset.augment`.
    loss : callable or None
        (outputs Tensor (N, K), targets) -> scalar Tensor. None: of labels (N,),
        smoothed, the cross-entropy; of inputs (N, K) the mean squared error.
    directory : path or None
        Where `checkpoint.npz` (after every epoch), `model.npz` (at the end) and
        `history.csv` go.
    resume : bool
        Go on from the directory's checkpoint if there is one, of a run with the same
        settings. A loss, schedule or optimizer of one's own is compared by name, and
        by its fields if it is a frozen dataclass; a line on standard error names what
        cannot be compared.
    show : bool
        Progress on standard error: a bar on a terminal, a line an epoch elsewhere.

    Returns
    -------
    History

    Raises
    ------
    OptionError
        On a bad value, or if `directory` holds another run.
    RangeError
        If the loss is no longer finite, or far above what saying nothing would cost, or
        no gradient reaches the first layer, at the lowest learning rate too.

    Notes
    -----
    A training that diverges goes back to its last good epoch, or its beginning, and on
    from there with a fourth of the learning rate, five times at most. A line on
    standard error and the `note` of the next record say so. Of a loss of one's own
    only what is not finite is known to be too large.
    """
    if not isinstance(net, Model):
        raise OptionError(f"net must be a Model, got {shown(net)}")
    net.check_labels(train)
    if validation is not None:
        net.check_labels(validation)
    recipe = Recipe(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        schedule=schedule,
        precision=precision,
        fp32_epochs=fp32_epochs,
        targets=targets,
        label_smoothing=label_smoothing,
        augment=train.augment if augment == "default" else augment,
        averaging=averaging,
        freeze_batch_norm=freeze_batch_norm,
        gradients=gradients,
        seed=seed,
    )
    if loss is not None and not callable(loss):
        raise OptionError(
            f"loss must be a function of (outputs, targets) or None, got {shown(loss)}"
        )
    _check_batches(net, recipe, len(train))
    if targets == "inputs":
        check_reproduces(net)
        if validation is not None:
            raise OptionError(
                "validation scores classes: score an autoencoder with anomaly_scores"
            )
        loss = loss or mean_squared_error
    elif loss is None:
        loss = partial(cross_entropy, label_smoothing=recipe.label_smoothing)

    if resume and directory is None:
        raise OptionError("resume needs the directory of the run")
    run = _Run(net, recipe, loss, train)
    directory = None if directory is None else Path(directory)
    if directory is None:
        return _train(run, validation, None, show)
    with outputs.lock(directory):
        check_run(directory, resume=resume)
        run.resume(directory / CHECKPOINT)
        outputs.check(directory / HISTORY, run.history.is_in, "of this run")
        return _train(run, validation, directory, show)


def check_run(directory: Path, *, resume: bool) -> None:
    """OptionError unless a run may go to a directory: what it would replace is a run's.

    What its history holds is looked at when the run is there to be compared.
    """
    checkpoint, model, history = (
        directory / name for name in (CHECKPOINT, MODEL, HISTORY)
    )
    for path in (checkpoint, history):
        outputs.check_place(path)
    if checkpoint.exists() and not resume:
        raise OptionError(
            f"{directory} holds a run already: resume it, or choose another directory"
        )
    if not checkpoint.exists():
        # An interrupted run may have a history before its first checkpoint.
        for path in (model,) if resume else (model, history):
            if path.exists():
                raise OptionError(
                    f"{path}: is there without a {CHECKPOINT}, so it is of no run to "
                    "go on with: move it away, or choose another directory"
                )
    outputs.check(model, archive.is_kind(KIND), "a model", "choose another directory")


def is_history(path: Path) -> bool:
    """Whether a file is the history of the checkpoint beside it, as it was written."""
    try:
        header, _ = archive.read(path.with_name(CHECKPOINT), CHECKPOINT_KIND)
        records = tuple(EpochRecord(**record) for record in header["history"])
    except (FileFormatError, KeyError, TypeError):
        return False
    return History(records).is_in(path)


def _train(
    run: _Run, validation: Dataset | None, directory: Path | None, show: bool
) -> History:
    """All epochs that are left."""
    net, recipe, train = run.net, run.recipe, run.train
    while run.epoch < recipe.epochs:
        began = time.perf_counter()
        precision = recipe.precision_of(run.epoch)
        run.begin_epoch()
        score = math.nan
        try:
            with _progress(run, show) as report:
                mean_loss, accuracy = run.one_epoch(report)
            if validation is not None:
                with run.averaged():
                    score = net.evaluate(validation, precision=precision)
            run.judge(mean_loss)
        except (RangeError, AccumulatorOverflow) as error:
            told = run.go_back(error)
            if show:
                click.echo(told, err=True)
            _keep(run, directory)
            continue
        if told := run.learned_nothing(accuracy, score):
            run.notes.append(told)
        record = EpochRecord(
            run.epoch, precision, run.rate(run.step - 1), mean_loss, accuracy, score,
            time.perf_counter() - began, run.take_notes(),
        )  # fmt: skip
        run.history = History((*run.history.epochs, record))
        if show:
            click.echo(_line(record, recipe.epochs, len(train)), err=True)
            if told:
                click.echo(told, err=True)
        _keep(run, directory)
    run.take_averages()
    if not net.is_calibrated:  # trained in fp32 alone
        net.calibrate(run.sample)
    if directory is not None:
        net.save(directory / MODEL)
    return run.history


def _keep(run: _Run, directory: Path | None) -> None:
    """Write down where a run is, for it to be gone on with from there."""
    if directory is not None:
        # In this order: a finished run is not gone through again for its history.
        outputs.write(directory / HISTORY, run.history.csv().encode())
        run.save(directory / CHECKPOINT)


def _check_batches(net: Model, recipe: Recipe, images: int) -> None:
    """OptionError if normalization could not take a variance from a batch."""
    values = {} if recipe.freezes_batch_norm(0) else net.values_normalized()
    names = [name for name, count in values.items() if count == 1]
    for what, value in (("batch_size", recipe.batch_size), ("training images", images)):
        if names and value < 2:
            raise OptionError(
                f"layer {names[0]!r} normalizes over the samples of a batch: {what} "
                f"must be at least 2, got {value}"
            )


_SCORE = schema.or_nan(schema.number(0, 1))

#: What training goes on from, beside arrays.
_STATE = {
    "model": HEADER,
    "epoch": schema.integer(),
    "step": schema.integer(),
    "first_loss": schema.nullable(schema.number()),
    "is_silent": schema.flag,
    "history": schema.array(
        schema.record(
            {
                "epoch": schema.integer(1),
                "precision": schema.one_of(PRECISIONS),
                "lr": schema.number(),
                "train_loss": schema.number(),
                "train_accuracy": _SCORE,
                "validation_accuracy": _SCORE,
                "seconds": schema.number(0),
                "note": schema.string,
            },
            optional=("note",),
        )
    ),
}
#: What a run that never went back does without, and files of before there was such.
_SETBACKS = {
    "setbacks": schema.integer(0, MOST_SETBACKS),
    "is_normalized": schema.flag,
    "is_thawed": schema.flag,
    "notes": schema.array(schema.string),
    "went_to": schema.nullable(schema.integer()),
    "first": schema.nullable(schema.string),
    "good": schema.record(_STATE),
}
CHECKPOINT_HEADER = schema.record(
    {
        "kind": schema.text,
        "settings": schema.mapping(schema.string),
        **_STATE,
        **_SETBACKS,
    },
    optional=("first_loss", "is_silent", *_SETBACKS),
)
GOOD = "good/"

State = tuple[dict[str, Any], dict[str, np.ndarray]]


class _Run:
    """The state of a training run: what a checkpoint holds."""

    def __init__(self, net: Model, recipe: Recipe, loss: Loss, train: Dataset) -> None:
        self.net = net
        self.recipe = recipe
        self.loss = loss
        self.train = train
        self.epoch = 0
        self.step = 0
        self.history = History()
        learned = net.thresholds()
        others = [p for p in net.parameters() if all(p is not t for t in learned)]
        kinds = (recipe.optimizer, others), (THRESHOLDS, learned)
        self.groups = [(kind, params, kind.slots(params)) for kind, params in kinds]
        self.averages: list[np.ndarray] = []
        self._begin_averages()
        self.is_normalized = net.is_normalized
        fewest = min(net.values_normalized().values(), default=STATISTICAL)
        #: A last batch of fewer images goes with the one before it.
        self.least = -(-STATISTICAL // fewest)
        self.steps_per_epoch = n_batches(len(train), recipe.batch_size, self.least)
        self.first_loss: float | None = None
        self.is_silent = False
        self.setbacks = 0
        self.is_thawed = False
        self.notes: list[str] = []
        #: Where to go back to: before this epoch, before all went wrong, and where that
        #: does not help, the beginning, if it is known.
        self.first: State | None = self.state()
        self.start = self.good = self.first
        self.went_to: int | None = None

    def _begin_averages(self) -> None:
        if self.recipe.averaging:
            self.averages = [np.array(p.data) for p in self.net.parameters()]

    @property
    def slots(self) -> Slots:
        """What the optimizers remember."""
        return [slot for _, _, slots in self.groups for slot in slots]

    @cached_property
    def sample(self) -> np.ndarray:
        """Training images to calibrate with, drawn at random: they may be sorted by
        class, or have their classes in turn."""
        count = min(CALIBRATION_IMAGES, len(self.train))
        rng = np.random.default_rng(self.recipe.seed)
        return self.train.images[rng.choice(len(self.train), count, replace=False)]

    @cached_property
    def data_digest(self) -> str:
        """Number and hash of the training images, once a checkpoint asks for it."""
        images, labels = self.train.images, self.train.labels
        digest = hashlib.blake2b(np.ascontiguousarray(images), digest_size=8)
        digest.update(np.ascontiguousarray(labels))
        return f"{len(labels)} images {digest.hexdigest()}"

    def factor(self, step: int) -> float:
        """Factor of learning rates at a step."""
        steps = self.recipe.epochs * self.steps_per_epoch
        factor = self.recipe.schedule.factor(step, steps, self.steps_per_epoch)
        return number("the schedule's factor", factor) * BACKOFF**self.setbacks

    def rate(self, step: int) -> float:
        """The learning rate at a step."""
        return self.recipe.optimizer.lr * self.factor(step)

    @cached_property
    def chance(self) -> float:
        """The loss of outputs that are all zero; of a loss that is not known, infinity.

        With labels those give every class the same probability.
        """
        if getattr(self.loss, "func", self.loss) not in KNOWN_LOSSES:
            return math.inf
        images = self.sample
        targets = np.zeros(len(images), np.int64)
        if self.recipe.targets == "inputs":
            targets = real_inputs(self.net, images)
        zeros = np.zeros((len(images), *self.net.output_shape), np.float32)
        return self.loss(Tensor(zeros), targets).item()

    def begin_epoch(self) -> None:
        """Keep the state that the next epoch starts from."""
        self.start = self.state()
        if self.is_good:
            self.good = self.start

    @property
    def is_good(self) -> bool:
        """Whether the run as it is can be gone back to."""
        records = self.history.epochs
        has_learned = records and records[-1].train_loss <= LEARNED * self.chance
        return not records or (has_learned and not self.is_silent)

    def check_loss(self, mean_loss: float, limit: float = FAR) -> None:
        """RangeError if the mean loss of an epoch is that of a training that diverged.

        A network may begin far above what it would cost to say nothing.
        """
        at_most = limit * max(self.chance, self.first_loss or 0.0)
        if mean_loss > at_most:
            raise RangeError(
                f"the loss of epoch {self.begun} is {mean_loss:.4g}, with outputs of "
                f"zero it would be {self.chance:.4g}: training diverged, lower the "
                "learning rate"
            )

    def judge(self, mean_loss: float) -> None:
        """RangeError if an epoch that was gone through is not one to go on from."""
        is_last = self.epoch == self.recipe.epochs
        self.check_loss(mean_loss, NEAR if is_last else FAR)
        weights = {name: p.data for name, p in self.net.named_parameters()}
        for name, array in (weights | self.memory()).items():
            if not np.isfinite(array).all():
                raise RangeError(
                    f"{name} is no longer finite at step {self.step}: training "
                    "diverged, lower the learning rate"
                )
        before = self.history.epochs[-1].train_loss if self.history.epochs else math.inf
        if self.is_frozen_here and mean_loss > before + JUMP * abs(before):
            raise RangeError(
                f"the loss rose from {before:.4g} to {mean_loss:.4g} in epoch "
                f"{self.begun}"
            )

    @property
    def begun(self) -> int:
        """The epoch that was begun last, counted from 1."""
        return self.start[0]["epoch"] + 1

    @property
    def is_frozen_here(self) -> bool:
        """Whether this run, and not one before it, has frozen batch normalization."""
        return self.is_normalized and not self.net.is_normalized

    def learned_nothing(self, accuracy: float, score: float) -> str:
        """A line, if after the last epoch neither weights nor averages know more than
        which class is the most frequent; else nothing."""
        share = np.bincount(self.train.labels).max() / len(self.train)
        knows = math.isnan(accuracy) or np.fmax(accuracy, score) > share
        if self.epoch < self.recipe.epochs or knows:
            return ""
        return (
            "the network has learned nothing: always naming the most frequent class is "
            f"right for {100 * share:.2f} % of the training images"
        )

    def go_back(self, trouble: KanjiError) -> str:
        """Put back a state that was good, and do differently from there.

        Batch normalization that was frozen is thawed, and stays so. Else learning rates
        are lowered.

        Returns
        -------
        A line that says so.

        Raises
        ------
        RangeError
            If they were lowered as often as they may be, or no step was made.
        """
        records = self.history.epochs
        if self.is_frozen_here:
            self.restore(*self.start)
            self.net.thaw_batch_norm()
            self.is_thawed = True
            done = "batch normalization is not frozen, but goes on with batches"
        elif self.step == self.good[0]["step"]:
            raise trouble
        elif self.setbacks == MOST_SETBACKS:
            raise RangeError(
                f"{trouble}; it did at {BACKOFF**MOST_SETBACKS:.2g} of it, too"
            ) from trouble
        else:
            if self.went_to == self.good[0]["step"] and self.first is not None:
                self.good = self.first
            self.went_to = self.good[0]["step"]
            self.restore(*self.good)
            self.setbacks += 1
            done = f"learning rate times {BACKOFF**self.setbacks:.4g}"
        line = f"{trouble}; back to the end of epoch {self.epoch}: {done}"
        undone = [record.note for record in records[self.epoch :] if record.note]
        self.notes = [*undone, *self.notes, line]
        return line

    def take_notes(self) -> str:
        """What is to be said with the next record."""
        notes, self.notes = "; ".join(self.notes), []
        return notes

    def one_epoch(
        self, report: Callable[[float, float, int], None]
    ) -> tuple[float, float]:
        """Mean loss and accuracy of one pass over the training data."""
        recipe, net = self.recipe, self.net
        precision = recipe.precision_of(self.epoch)
        parameters = net.parameters()
        if net.is_normalized:
            freezes = recipe.freezes_batch_norm(self.epoch) and not self.is_thawed
        else:  # it may have been frozen otherwise, or have other weights since
            freezes = self.epoch == 0
        if freezes:
            self._freeze_batch_norm()
        by_label = recipe.targets == "labels"
        total_loss = seen = silent = 0
        correct = 0 if by_label else math.nan
        stream = ahead(
            batches(
                self.train, recipe.batch_size, seed=recipe.seed, epoch=self.epoch,
                augment=recipe.augment, least=self.least,
            )
        )  # fmt: skip
        with closing(stream):
            for images, labels in stream:
                outputs = net.logits(
                    images, precision=precision, track=True, gradients=recipe.gradients
                )
                targets = labels if by_label else real_inputs(net, images)
                value = self.loss(outputs, targets)
                if not isinstance(value, Tensor) or value.data.size != 1:
                    raise OptionError(
                        "loss must return a Tensor of one number, got "
                        f"{shown(getattr(value, 'data', value))}"
                    )
                if self.first_loss is None:
                    self.first_loss = value.item()
                if not math.isfinite(value.item()):
                    raise RangeError(
                        f"the loss is {value.item()} at step {self.step}: training "
                        "diverged, lower the learning rate"
                    )
                for parameter in parameters:
                    parameter.grad = None
                value.backward()
                self.is_silent = self._hears_nothing()
                silent += self.is_silent
                factor = self.factor(self.step)
                self.step += 1
                for optimizer, own, slots in self.groups:
                    optimizer.step(own, slots, optimizer.lr * factor, self.step)
                if self.averages:
                    average(self.averages, parameters, recipe.averaging, self.step)
                seen += len(labels)
                total_loss += value.item() * len(labels)
                correct += int((outputs.data.argmax(axis=1) == labels).sum())
                self.check_loss(total_loss / len(self.train))
                report(total_loss / seen, correct / seen, seen)
        self.epoch += 1
        if silent == self.steps_per_epoch and total_loss > 0 and correct != seen:
            raise RangeError(
                f"no gradient reaches the first layer in epoch {self.begun}: every "
                "image gives the same outputs"
            )
        return total_loss / seen, correct / seen

    def _hears_nothing(self) -> bool:
        """Whether no gradient at all reaches the first parameters.

        Where every value of some layer is clamped there is none any more.
        """
        for layer in self.net.layers:
            own = layer.named_parameters().values()
            gradients = [p.grad for p in own if p.grad is not None]
            if gradients:
                return not any(g.any() for g in gradients)
        return True

    def _freeze_batch_norm(self) -> None:
        """What optimizers remember goes with weights that are so many times larger, and
        with gradients that are so many times smaller."""
        changed = {id(weight): by for weight, by in self.net.freeze_batch_norm()}
        for optimizer, parameters, slots in self.groups:
            powers = getattr(optimizer, "powers", ())
            for parameter, slot in zip(parameters, slots, strict=True):
                if id(parameter) in changed:
                    for power, array in zip(powers, slot, strict=False):
                        array /= changed[id(parameter)] ** power
        self._begin_averages()  # those there are go with other statistics

    def take_averages(self) -> None:
        """Put the averaged weights into the network, with the ranges they have.

        Batch normalization that is not frozen gets statistics of them; ranges of
        activations stay those that training tracked.
        """
        if not self.averages:
            return
        parameters = self.net.parameters()
        for parameter, mean in zip(parameters, self.averages, strict=True):
            parameter.data = np.array(mean)
        self.net.renew_batch_norm(self.sample)
        self.net.renew_weight_ranges()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the network is as `take_averages` leaves it; then as it was."""
        header, arrays = self.net.snapshot()
        self.take_averages()
        try:
            yield
        finally:
            self.net.restore(header, arrays)

    def settings(self) -> dict[str, str]:
        """What must be equal for a checkpoint to be this run's."""
        net = self.net
        layers = [
            (x.name, x.op.name, x.attrs, wires, list(x.named_parameters()))
            for x, wires in zip(net.layers, net.wiring, strict=True)
        ]
        return {
            **{f.name: text_of(getattr(self.recipe, f.name)) for f in fields(Recipe)},
            "loss": text_of(self.loss),
            "network": repr(layers),
            "target": str(net.target),
            "scheme": net.quantization.scheme.name,
            "ranges": net.quantization.ranges,
            "training data": self.data_digest,
        }

    def memory(self) -> dict[str, np.ndarray]:
        """What the run remembers beside the network, by the names in a checkpoint."""
        slots = {
            f"slot/{i}/{k}": array
            for i, slot in enumerate(self.slots)
            for k, array in enumerate(slot)
        }
        return slots | {f"average/{i}": mean for i, mean in enumerate(self.averages)}

    def state(self) -> State:
        """Header and arrays, copied, that training goes on from."""
        model, arrays = self.net.snapshot()
        header = {
            "model": model,
            "epoch": self.epoch,
            "step": self.step,
            "first_loss": self.first_loss,
            "is_silent": self.is_silent,
            "history": [asdict(record) for record in self.history.epochs],
        }
        arrays |= self.memory()
        return header, {name: np.array(array) for name, array in arrays.items()}

    def restore(self, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave."""
        self.net.restore(header["model"], arrays)
        memory = self.memory()
        archive.check_names(arrays, {*self.net.snapshot()[1], *memory})
        for name, array in memory.items():
            array[...] = archive.stored(arrays, name, array.shape, array.dtype)
        self.epoch = integer("epoch", header["epoch"], 0, self.recipe.epochs)
        self.step = header["step"]
        self.first_loss = header.get("first_loss")
        self.is_silent = header.get("is_silent", False)
        records = [EpochRecord(**record) for record in header["history"]]
        self.history = History(tuple(records))

    def save(self, path: Path) -> None:
        header, arrays = self.state()
        header |= {
            "kind": CHECKPOINT_KIND,
            "settings": self.settings(),
            "setbacks": self.setbacks,
            "is_normalized": self.is_normalized,
            "is_thawed": self.is_thawed,
            "notes": self.notes,
            "went_to": self.went_to,
            "first": self.first and archive.digest(self.first[1]),
        }
        if not self.is_good:
            good, good_arrays = self.good
            header["good"] = good
            arrays |= {f"{GOOD}{name}": array for name, array in good_arrays.items()}
        archive.write(path, header, arrays)

    def resume(self, path: Path) -> None:
        """Take over a checkpoint if there is one."""
        if not path.exists():
            return
        header, arrays = archive.read(path, CHECKPOINT_KIND)
        with schema.refusing(f"{path}: not a checkpoint of this version"):
            header = CHECKPOINT_HEADER("", header)
        stored, mine = header["settings"], self.settings()
        of_recipe = {f.name for f in fields(Recipe)}
        for name in mine:
            theirs = stored.get(name)
            is_other = differ(theirs, mine[name])
            if is_other:
                raise OptionError(
                    f"{path} is of a run with {name} {theirs}, not {mine[name]}",
                    arguments=(name,) if name in of_recipe else (),
                )
            if is_other is None:
                click.echo(
                    f"{path} is of a run with {name} {theirs or 'unknown'}: whether "
                    f"{mine[name]} is the same cannot be told",
                    err=True,
                )
        if header["model"]["name"] != self.net.name:
            raise OptionError(
                f"{path} is of a network with name {header['model']['name']}, not "
                f"{self.net.name}",
                arguments=("name",),
            )
        try:
            good = {n: a for n, a in arrays.items() if n.startswith(GOOD)}
            now = {n: a for n, a in arrays.items() if n not in good}
            if "good" in header:
                arrays = {n.removeprefix(GOOD): a for n, a in good.items()}
                self.restore(header["good"], arrays)
                self.good = self.state()
            else:
                archive.check_names(good, ())
            self.restore(header, now)
            if "good" not in header:
                self.good = self.state()
        except KanjiError as error:
            raise FileFormatError(
                f"{path}: not a checkpoint of this version: {error}"
            ) from None
        self.setbacks = header.get("setbacks", 0)
        self.is_normalized = header.get("is_normalized", self.is_normalized)
        self.is_thawed = header.get("is_thawed", False)
        self.notes = list(header.get("notes", ()))
        self.went_to = header.get("went_to")
        if header.get("first") != archive.digest(self.first[1]):
            self.first = None  # resumed with a network that begins otherwise


@contextmanager
def _progress(run: _Run, show: bool) -> Iterator[Callable[[float, float, int], None]]:
    """A function that is told of every step; a bar if standard error is a terminal."""
    if not show:
        yield lambda loss, accuracy, seen: None
        return
    if not outputs.is_watched():
        with _on_compilation(lambda: click.echo(COMPILING, err=True)):
            yield lambda loss, accuracy, seen: None
        return
    began = time.perf_counter()
    with click.progressbar(
        length=run.steps_per_epoch,
        label=f"epoch {run.epoch + 1}/{run.recipe.epochs}",
        file=sys.stderr,
        item_show_func=lambda text: text,
    ) as bar:

        def report(loss: float, accuracy: float, seen: int) -> None:
            rate = seen / (time.perf_counter() - began)
            scores = f"loss {loss:.3f}{_percent('accuracy', accuracy, 1)}"
            bar.update(1, f"{scores}  {rate:.0f} images/s")

        def explain() -> None:
            bar.current_item = COMPILING
            bar.render_progress()

        with _on_compilation(explain):
            yield report


def _on_compilation(explain: Callable[[], None]) -> AbstractContextManager[object]:
    """Inside, `explain` is called when Numba first compiles what no cache holds."""
    return event.install_listener("numba:compile", _Compilation(explain))


class _Compilation(event.Listener):
    """Listens for the first event of its kind."""

    def __init__(self, explain: Callable[[], None]) -> None:
        self.explain = explain
        self.is_explained = False

    def on_start(self, compilation: event.Event) -> None:
        if not self.is_explained:
            self.is_explained = True
            self.explain()

    def on_end(self, compilation: event.Event) -> None:
        pass


def _percent(name: str, value: float, digits: int) -> str:
    """A score after others on a line; nothing if there is none."""
    return "" if math.isnan(value) else f"  {name} {100 * value:.{digits}f} %"


def _line(record: EpochRecord, epochs: int, images: int) -> str:
    left = (epochs - record.epoch) * record.seconds
    return (
        f"epoch {record.epoch}/{epochs}  {record.precision}  "
        f"loss {record.train_loss:.4f}"
        f"{_percent('accuracy', record.train_accuracy, 2)}"
        f"{_percent('validation', record.validation_accuracy, 2)}  "
        f"{images / record.seconds:.0f} images/s  "
        f"{left // 60:.0f}:{left % 60:02.0f} left"
    )
