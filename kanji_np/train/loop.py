"""The training loop: the only one.

Everything random comes from (seed, epoch, batch), nothing from the clock, so the same
call gives the same weights, bit for bit; and a run that was killed goes on from its
last checkpoint to the very bytes it would have ended with.
"""

from __future__ import annotations

import math
import time
from functools import partial
from pathlib import Path
from typing import Literal

import click

from kanji_np import outputs
from kanji_np.anomaly import check_reproduces
from kanji_np.checks import integer, one_of, shown
from kanji_np.data import Augment, Dataset, SignalAugment
from kanji_np.deprecation import former_argument
from kanji_np.errors import AccumulatorOverflow, OptionError, RangeError
from kanji_np.losses import cross_entropy, mean_squared_error
from kanji_np.model import Model
from kanji_np.optim import Optimizer, Schedule
from kanji_np.recipe import Recipe
from kanji_np.train import checkpoint
from kanji_np.train.checkpoint import CHECKPOINT, HISTORY, MODEL, check_run
from kanji_np.train.history import EpochRecord, History
from kanji_np.train.progress import line_of, progress
from kanji_np.train.run import Loss, Run

DEFAULT = Recipe()


def _reproduces(targets: str) -> bool:
    """What the former argument `targets` said."""
    return one_of("targets", targets, ("labels", "inputs")) == "inputs"


@former_argument("targets", "reproduce_inputs", _reproduces)
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
    reproduce_inputs: bool = DEFAULT.reproduce_inputs,
    label_smoothing: float = DEFAULT.label_smoothing,
    augment: Augment | SignalAugment | None | Literal["default"] = "default",
    averaging: float = DEFAULT.averaging,
    freeze_batch_norm: float = DEFAULT.freeze_batch_norm,
    precision: str = DEFAULT.precision,
    fp32_epochs: int = DEFAULT.fp32_epochs,
    seed: int = DEFAULT.seed,
    directory: str | Path | None = None,
    resume: bool = False,
    stop_after: int | None = None,
    show: bool = True,
) -> History:
    """Train a network in place.

    Parameters
    ----------
    net : Model
    train : Dataset
    validation : Dataset, optional
        It is scored after every epoch, in the epoch's precision. An autoencoder takes
        none.
    epochs, batch_size, optimizer, schedule, reproduce_inputs, label_smoothing, \
averaging, freeze_batch_norm, precision, fp32_epochs, seed
        See `Recipe`.
    augment : Augment, SignalAugment, None or "default"
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
    stop_after : int, optional
        Leave the run after so many epochs of this call, for `resume` to go on from its
        checkpoint: `epochs` and the schedule stay those of the whole run. The network
        is finished, and `model.npz` written, by the call that trains the last epoch.
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
        reproduce_inputs=reproduce_inputs,
        label_smoothing=label_smoothing,
        augment=train.augment if augment == "default" else augment,
        averaging=averaging,
        freeze_batch_norm=freeze_batch_norm,
        seed=seed,
    )
    if loss is not None and not callable(loss):
        raise OptionError(
            f"loss must be a function of (outputs, targets) or None, got {shown(loss)}"
        )
    _check_batches(net, recipe, len(train))
    if recipe.reproduce_inputs:
        check_reproduces(net)
        if validation is not None:
            raise OptionError(
                "validation scores classes: score an autoencoder with anomaly_scores"
            )
        loss = loss or mean_squared_error
    elif loss is None:
        loss = partial(cross_entropy, label_smoothing=recipe.label_smoothing)

    for option, is_given in (("resume", resume), ("stop_after", stop_after)):
        if is_given and directory is None:
            raise OptionError(f"{option} needs the directory of the run")
    if stop_after is not None:
        stop_after = integer("stop_after", stop_after, 1)
    run = Run(net, recipe, loss, train)
    directory = None if directory is None else Path(directory)
    if directory is None:
        return _train(run, validation, None, show, recipe.epochs)
    with outputs.lock(directory):
        check_run(directory, resume=resume)
        checkpoint.resume(run, directory / CHECKPOINT)
        outputs.check(directory / HISTORY, run.history.is_in, "of this run")
        until = recipe.epochs if stop_after is None else run.epoch + stop_after
        return _train(run, validation, directory, show, until)


def _train(
    run: Run,
    validation: Dataset | None,
    directory: Path | None,
    show: bool,
    until: int,
) -> History:
    """The epochs that are left, or those up to `until`."""
    net, recipe, train = run.net, run.recipe, run.train
    while run.epoch < min(until, recipe.epochs):
        began = time.perf_counter()
        precision = recipe.precision_of(run.epoch)
        run.begin_epoch()
        score = math.nan
        try:
            with progress(run, show) as report:
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
        if told := run.learned_nothing(accuracy, score, validation):
            run.notes.append(told)
        record = EpochRecord(
            run.epoch, precision, run.rate(run.step - 1), mean_loss, accuracy, score,
            time.perf_counter() - began, run.take_notes(),
        )  # fmt: skip
        run.history = History((*run.history.epochs, record))
        if show:
            click.echo(line_of(record, recipe.epochs, len(train)), err=True)
            if told:
                click.echo(told, err=True)
        _keep(run, directory)
    if run.epoch < recipe.epochs:
        return run.history
    run.take_averages()
    if not net.is_calibrated:  # trained in fp32 alone
        net.calibrate(run.sample)
    if recipe.precision_of(recipe.epochs - 1) == "int8":
        net.trained_for = net.target
    if directory is not None:
        net.save(directory / MODEL)
    return run.history


def _keep(run: Run, directory: Path | None) -> None:
    """Write down where a run is, for it to be gone on with from there."""
    if directory is not None:
        # In this order: a finished run is not gone through again for its history.
        outputs.write(directory / HISTORY, run.history.csv().encode())
        checkpoint.save(run, directory / CHECKPOINT)


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
