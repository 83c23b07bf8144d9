"""The rungs of a search, one after the other, with all of it on disk at any time.

In the search's directory `networks/NAME.npz` is a network before training, and
`runs/RUNG/NAME/` holds its checkpoint, its history and in the end the trained model.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np import outputs
from kanji_np.errors import FileFormatError, KanjiError
from kanji_np.search.halving import Rung, best
from kanji_np.search.journal import Chosen, Epoch, Failed, Journal, Lost, Trained, known
from kanji_np.search.training import Failure, Progress, Step, recipe_of
from kanji_np.search.workers import Workers
from kanji_np.train.checkpoint import CHECKPOINT, HISTORY, MODEL

if TYPE_CHECKING:
    from kanji_np.recipe import Recipe

#: How often a network's worker may end before the network is given up.
MOST_LOST = 3


class Rounds:
    """The training of a search.

    Parameters
    ----------
    directory : Path
    journal : Journal
        With every candidate that is `Chosen`.
    recipe : Recipe
        Of the last rung.
    rungs : sequence of Rung
    tell : (str) -> None
        Is told a line as things happen.
    """

    def __init__(
        self,
        directory: Path,
        journal: Journal,
        recipe: Recipe,
        rungs: Sequence[Rung],
        tell: Callable[[str], None],
    ) -> None:
        self.directory = directory
        self.journal = journal
        self.recipe = recipe
        self.rungs = tuple(rungs)
        self.tell = tell
        self.began = time.monotonic()
        self.epochs = 0  # that were trained since then

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        return all(not self.left(rung) for rung in self.rungs)

    def names(self, rung: Rung) -> tuple[str, ...]:
        """Who is trained in a rung, once the rung before is over."""
        if rung.number == 1:
            chosen = self.journal.of(Chosen)
            return tuple(record.name for record in chosen[: rung.networks])
        return best(self.accuracies(self.rungs[rung.number - 2]), rung.networks)

    def accuracies(self, rung: Rung) -> dict[str, float]:
        """What a rung's networks reached on held-out images, in the rung's order."""
        reached = {
            record.name: record.accuracy
            for record in self.journal.of(Trained)
            if record.rung == rung.number
        }
        names = [name for name in self.names(rung) if name in reached]
        return {name: reached[name] or 0.0 for name in names}

    def left(self, rung: Rung) -> list[str]:
        """Who is still to be trained in a rung."""
        over = {
            record.name
            for record in self.journal.records
            if isinstance(record, Trained | Failed) and record.rung == rung.number
        }
        return [name for name in self.names(rung) if name not in over]

    def run(self, workers: Workers) -> None:
        """Train what is left.

        Raises
        ------
        KanjiError
            Every network of a rung failed, or the workers are gone for good.
        """
        for rung in self.rungs:
            left = self.left(rung)
            if left:
                held = "no images" if rung.is_last else "some images"
                self.tell(
                    f"rung {rung.number} of {len(self.rungs)}: "
                    f"{len(self.names(rung))} networks, "
                    f"{_count(rung.epochs, 'epoch')} each, {held} held out"
                )
                self._rung(rung, left, workers)
            if not self.accuracies(rung):
                reason = self.journal.of(Failed)[-1].reason
                raise KanjiError(
                    f"every network of rung {rung.number} failed; the last: {reason}"
                )

    def _rung(self, rung: Rung, left: Iterable[str], workers: Workers) -> None:
        places = {name: place for place, name in enumerate(self.names(rung))}
        lost: Counter[str] = Counter()

        def submit(name: str) -> None:
            workers.submit(name, self._step(rung, name), places[name])

        under_way = set(left)
        for name in left:
            submit(name)
        while under_way:
            name, outcome = workers.next()
            if isinstance(outcome, Progress):
                self._keep(rung, name, outcome)
                if outcome.network is None:
                    submit(name)
                    continue
            elif isinstance(outcome, Failure):
                self._fail(rung, name, outcome.reason)
            else:
                lost[name] += 1
                if lost[name] < MOST_LOST:
                    self.journal.add(Lost(rung.number, name))
                    self.tell(f"  {name}: its worker ended; the epoch is trained again")
                    submit(name)
                    continue
                self._fail(rung, name, f"its worker ended {MOST_LOST} times")
            under_way.remove(name)

    def _step(self, rung: Rung, name: str) -> Step:
        """The next epoch of a network."""
        network = self.directory / "networks" / f"{name}.npz"
        checkpoint = self.run_of(rung, name) / CHECKPOINT
        data = network.read_bytes()
        chosen = next(r for r in self.journal.of(Chosen) if r.name == name)
        if outputs.digest(data) != chosen.digest:
            raise FileFormatError(
                f"{network}: was changed since the search was begun: choose another "
                "directory"
            )
        return Step(
            network=data,
            checkpoint=checkpoint.read_bytes() if checkpoint.exists() else None,
            recipe=recipe_of(self.recipe, rung.epochs),
            is_last=rung.is_last,
        )

    def run_of(self, rung: Rung, name: str) -> Path:
        """The directory of a training."""
        return self.directory / "runs" / str(rung.number) / name

    def _keep(self, rung: Rung, name: str, progress: Progress) -> None:
        """Have an epoch on disk, and say so."""
        run, last = self.run_of(rung, name), progress.epochs[-1]
        outputs.write(run / HISTORY, progress.history)
        outputs.write(run / CHECKPOINT, progress.checkpoint)
        written = self._epochs(rung, name)
        for record in progress.epochs:  # the search may have ended before it wrote one
            if record.epoch not in written:
                reached = known(record.validation_accuracy)
                seconds = round(record.seconds, 2)
                self.journal.add(
                    Epoch(rung.number, name, record.epoch, reached, seconds)
                )
        self.epochs += 1
        accuracy = known(last.validation_accuracy)
        if progress.network is None:
            return
        outputs.write(run / MODEL, progress.network)
        digest = outputs.digest(progress.network)
        self.journal.add(Trained(rung.number, name, accuracy, digest))
        (run / CHECKPOINT).unlink()
        done = len(self.names(rung)) - len(self.left(rung))
        score = last.train_accuracy if accuracy is None else accuracy
        of_what = "of its training images" if accuracy is None else "held out"
        self.tell(
            f"  {done}/{len(self.names(rung))}  {name}  {100 * score:.2f} % {of_what}"
            f"  {self._left_text(rung)}"
        )

    def _epochs(self, rung: Rung, name: str) -> set[int]:
        """The epochs of a network that the journal has."""
        key = rung.number, name
        epochs = self.journal.of(Epoch)
        return {r.epoch for r in epochs if (r.rung, r.name) == key}

    def _fail(self, rung: Rung, name: str, reason: str) -> None:
        self.journal.add(Failed(rung.number, name, reason))
        self.tell(f"  {name} failed: {reason}")

    def _left_text(self, now: Rung) -> str:
        """How long the rest will take, as it has been going."""
        later = (r for r in self.rungs if r.number > now.number)
        trained = sum(record.rung == now.number for record in self.journal.of(Epoch))
        left = sum(r.networks * r.epochs for r in later)
        left += len(self.names(now)) * now.epochs - trained
        seconds = round((time.monotonic() - self.began) * left / max(1, self.epochs))
        return f"about {seconds // 60}:{seconds % 60:02d} left"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
