"""The training loop: the only one.

Everything random comes from (seed, epoch, batch), nothing from the clock, so the same
call gives the same weights, bit for bit; and a run that was killed goes on from its
last checkpoint to the very bytes it would have ended with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import click
import numpy as np
from numpy.typing import ArrayLike

from kanji_np import outputs
from kanji_np.anomaly import check_reproduces
from kanji_np.arguments import known_arguments
from kanji_np.checks import integer, one_of, shown
from kanji_np.data import Augment, Dataset, SignalAugment, from_arrays
from kanji_np.deprecation import former_argument
from kanji_np.errors import AccumulatorOverflow, OptionError, RangeError
from kanji_np.losses import cross_entropy, mean_squared_error
from kanji_np.model import Model
from kanji_np.optim import Optimizer, Schedule
from kanji_np.recipe import Recipe
from kanji_np.train import checkpoint
from kanji_np.train.callbacks import Callback
from kanji_np.train.checkpoint import CHECKPOINT, HISTORY, MODEL, check_run
from kanji_np.train.history import EpochRecord, History
from kanji_np.train.progress import Clock, line_of, progress
from kanji_np.train.run import Loss, Run

DEFAULT = Recipe()


def _reproduces(targets: str) -> bool:
    """What the former argument `targets` said."""
    return one_of("targets", targets, ("labels", "inputs")) == "inputs"


@former_argument("targets", "reproduce_inputs", _reproduces)
@known_arguments
def fit(
    net: Model,
    train: Dataset | tuple[ArrayLike, ArrayLike],
    *,
    epochs: int = DEFAULT.epochs,
    validation: Dataset | tuple[ArrayLike, ArrayLike] | None = None,
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
    callbacks: Sequence[Callback] = (),
    show: bool = True,
) -> History:
    """Train a network in place.

    Parameters
    ----------
    net : Model
    train : Dataset or (samples, labels)
        Arrays become a dataset by `data.from_arrays`.
    validation : Dataset or (samples, labels), optional
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
    callbacks : sequence of callables
        Each is called as (record, net) after every epoch: with its `EpochRecord`, and
        the network with the weights that were scored. What one does to the network does
        not touch the training. Where one gives True the training ends after this epoch,
        as if it had been the last.
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
    train = _dataset("train", train, net)
    net.check_labels(train)
    if validation is not None:
        validation = _dataset("validation", validation, net)
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
    for callback in (callbacks := tuple(callbacks)):
        if not callable(callback):
            raise OptionError(
                f"callbacks must be functions of (record, net), got {shown(callback)}"
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
    if not recipe.reproduce_inputs:
        _name_classes(net, train)
    run = Run(net, recipe, loss, train)
    directory = None if directory is None else Path(directory)
    if directory is None:
        return _train(run, validation, None, show, recipe.epochs, callbacks)
    with outputs.lock(directory):
        check_run(directory, resume=resume)
        checkpoint.resume(run, directory / CHECKPOINT)
        outputs.check(directory / HISTORY, run.history.is_in, "of this run")
        until = recipe.epochs if stop_after is None else run.epoch + stop_after
        return _train(run, validation, directory, show, until, callbacks)


def _train(
    run: Run,
    validation: Dataset | None,
    directory: Path | None,
    show: bool,
    until: int,
    callbacks: Sequence[Callback],
) -> History:
    """The epochs that are left, or those up to `until`."""
    net, recipe, train = run.net, run.recipe, run.train
    clock = Clock()
    while run.epoch < min(until, recipe.epochs) and not run.is_stopped:
        precision = recipe.precision_of(run.epoch)
        run.begin_epoch()
        score = math.nan
        try:
            with clock.epoch():
                with progress(run, show, clock) as report:
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
            clock.seconds, run.take_notes(),
        )  # fmt: skip
        run.history = History((*run.history.epochs, record))
        if show:
            click.echo(
                line_of(record, recipe.epochs, len(train), clock.working), err=True
            )
            if told:
                click.echo(told, err=True)
        _keep(run, directory)
        if callbacks and _is_ended(run, record, callbacks):
            run.is_stopped = True
            _keep(run, directory)
            if show and run.epoch < recipe.epochs:
                click.echo(
                    f"a callback ends the training at epoch {run.epoch}", err=True
                )
    if run.epoch < recipe.epochs and not run.is_stopped:
        return run.history
    run.take_averages()
    if not net.is_calibrated:  # trained in fp32 alone
        net.calibrate(run.sample)
    if recipe.precision_of(run.epoch - 1) == "int8":
        net.trained_for = net.target
    if directory is not None:
        net.save(directory / MODEL)
    return run.history


def _is_ended(run: Run, record: EpochRecord, callbacks: Sequence[Callback]) -> bool:
    """Whether a callback wants the training to end; all of them are called."""
    with run.averaged():
        return any([callback(record, run.net) is True for callback in callbacks])


def _dataset(
    name: str, data: Dataset | tuple[ArrayLike, ArrayLike], net: Model
) -> Dataset:
    """Arrays as a dataset."""
    if isinstance(data, tuple | list) and len(data) == 2:
        x, y = map(np.asarray, data)
        return from_arrays(x, y, classes=net.classes, name=name)
    return data  # `check_labels` refuses what is none


def _keep(run: Run, directory: Path | None) -> None:
    """Write down where a run is, for it to be gone on with from there."""
    if directory is not None:
        # In this order: a finished run is not gone through again for its history.
        outputs.write(directory / HISTORY, run.history.csv().encode())
        checkpoint.save(run, directory / CHECKPOINT)


def _name_classes(net: Model, train: Dataset) -> None:
    """Call the outputs what the labels are called, unless those are only numbered."""
    names = train.classes
    is_named = names != tuple(map(str, range(len(names))))
    if is_named and (len(names),) == net.output_shape:
        net.classes = names


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
