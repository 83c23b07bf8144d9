"""A training run: its steps, how it is judged, and how it goes back.

Beside the weights goes a moving average of them; it is the average, quantized, that is
scored after every epoch and that the network holds in the end.

An epoch that diverged is undone: the run goes back to a state that was good, and on
from there with a lower learning rate.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from kanji_np import archive
from kanji_np.anomaly import real_inputs
from kanji_np.autograd import Tensor
from kanji_np.checks import integer, number, shown
from kanji_np.data import Dataset, ahead, batches, n_batches
from kanji_np.errors import KanjiError, OptionError, RangeError
from kanji_np.losses import cross_entropy, mean_squared_error
from kanji_np.model import Model
from kanji_np.optim import Adam, Slots, average
from kanji_np.recipe import Recipe
from kanji_np.train.history import EpochRecord, History

Loss = Callable[[Tensor, np.ndarray], Tensor]
State = tuple[dict[str, Any], dict[str, np.ndarray]]

SAMPLE_IMAGES = 500
DROPOUT = 1  # of generators that draw what is dropped
# Learned ranges move as fast where the weights take small steps as where they take
# large ones. 0.01, the rate of Jain et al., 2020, is for weights that were trained
# before: from scratch ranges ran away, and ten epochs of CIFAR-10 ended three points
# lower.
RANGE_OPTIMIZER = Adam(lr=0.002, eps=1e-12)
# A training has diverged if its mean loss over an epoch is FAR times what outputs of
# zero would cost, and what it began with; over the last one, NEAR times. It has
# something to go back to once it is at most LEARNED times the first: else its beginning
# is better.
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


class Run:
    """The state of a training run: what a checkpoint holds."""

    def __init__(self, net: Model, recipe: Recipe, loss: Loss, train: Dataset) -> None:
        self.net = net
        self.recipe = recipe
        self.loss = loss
        self.train = train
        self.epoch = 0
        self.step = 0
        self.history = History()
        if net.input_range is not None:
            net.calibrate_inputs(self.sample)
        learned = net.learned_ranges()
        others = [p for p in net.parameters() if all(p is not t for t in learned)]
        kinds = (recipe.optimizer, others), (RANGE_OPTIMIZER, learned)
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
        self.is_stopped = False
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
        count = min(SAMPLE_IMAGES, len(self.train))
        rng = np.random.default_rng(self.recipe.seed)
        return self.train.images[rng.choice(len(self.train), count, replace=False)]

    @cached_property
    def data_digest(self) -> str:
        """Number and hash of the training images, once a checkpoint asks for it."""
        images, labels = self.train.images, self.train.labels
        digest = hashlib.blake2b(np.ascontiguousarray(images).data, digest_size=8)
        digest.update(np.ascontiguousarray(labels).data)
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
        if self.recipe.reproduce_inputs:
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
        if not records:
            return True
        return records[-1].train_loss <= LEARNED * self.chance and not self.is_silent

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

    def learned_nothing(
        self, accuracy: float, score: float, validation: Dataset | None
    ) -> str:
        """A line, if after the last epoch the network knows no more than which class is
        the most frequent, of its training images or of others; else nothing."""
        if self.epoch < self.recipe.epochs:
            return ""
        share = _most_frequent(self.train)
        if np.fmax(accuracy, score) <= share:  # never of NaN, where there are no labels
            return (
                "the network has learned nothing: always naming the most frequent "
                f"class is right for {100 * share:.2f} % of the training images"
            )
        if validation is not None and score <= (share := _most_frequent(validation)):
            return (
                "the network has learned nothing that holds for other images: always "
                f"naming the most frequent class is right for {100 * share:.2f} % of "
                "the validation images"
            )
        return ""

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
                f"{trouble}; training diverged at {BACKOFF**MOST_SETBACKS:.2g} of the "
                "learning rate, too"
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
        by_label = not recipe.reproduce_inputs
        total_loss, seen, silent = 0.0, 0, 0
        correct: float = 0 if by_label else math.nan
        stream = ahead(
            batches(
                self.train, recipe.batch_size, seed=recipe.seed, epoch=self.epoch,
                augment=recipe.augment, least=self.least,
            )
        )  # fmt: skip
        with closing(stream):
            for batch, (images, labels) in enumerate(stream):
                outputs = net.logits(
                    images, precision=precision, track=True, dropout=self.dropout(batch)
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

    def dropout(self, batch: int) -> np.random.Generator | None:
        """What values of a batch, from 0, are dropped by, if any are.

        Seed, epoch and batch decide it, so that a run goes on as if it had not been
        stopped. Augmentation draws from another generator of the same batch.
        """
        if not self.net.dropouts:
            return None
        return np.random.default_rng((self.recipe.seed, self.epoch, batch + 1, DROPOUT))

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


def _most_frequent(data: Dataset) -> float:
    """The share of the most frequent class, 0..1."""
    return np.bincount(data.labels).max() / len(data)
