"""What a training says while it runs, on standard error."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from kanji_np import outputs
from kanji_np.jit import event
from kanji_np.train.history import EpochRecord
from kanji_np.train.run import Run

COMPILING = "compiling kernels (first run only)"
#: Seconds of compilation that need no explanation [s].
PATIENCE = 1.0


class Clock(event.Listener):
    """The time of an epoch, and how much of it Numba compiled what no cache held.

    Attributes
    ----------
    compiled : float
        Seconds of this epoch in which something was compiled, on any thread [s].
    """

    def __init__(self) -> None:
        self.explain: Callable[[], None] = lambda: None
        self._is_explained = False
        self._lock = threading.Lock()
        self._restart()

    def _restart(self) -> None:
        self.compiled = 0.0
        self._began = time.perf_counter()
        self._depth = 0
        self._since = 0.0

    @contextmanager
    def epoch(self) -> Iterator[None]:
        """Inside is an epoch."""
        self._restart()
        with event.install_listener("numba:compile", self):
            yield

    @property
    def seconds(self) -> float:
        """Since the epoch began [s]."""
        return time.perf_counter() - self._began

    @property
    def working(self) -> float:
        """The same without what was compiled [s]."""
        return self.seconds - self.compiled

    def on_start(self, compilation: event.Event) -> None:
        with self._lock:
            now = time.perf_counter()
            if self._depth == 0:
                self._since = now
            self._depth += 1
            spent = self.compiled + now - self._since
            is_long = spent > PATIENCE and not self._is_explained
            self._is_explained |= is_long
        if is_long:
            self.explain()

    def on_end(self, compilation: event.Event) -> None:
        with self._lock:
            if self._depth == 0:  # it was begun before the epoch
                return
            self._depth -= 1
            if self._depth == 0:
                self.compiled += time.perf_counter() - self._since


@contextmanager
def progress(
    run: Run, show: bool, clock: Clock
) -> Iterator[Callable[[float, float, int], None]]:
    """A function that is told of every step; a bar if standard error is a terminal."""
    if not show:
        yield lambda loss, accuracy, seen: None
        return
    if not outputs.is_watched():
        clock.explain = lambda: click.echo(COMPILING, err=True)
        yield lambda loss, accuracy, seen: None
        return
    with click.progressbar(
        length=run.steps_per_epoch,
        label=f"epoch {run.epoch + 1}/{run.recipe.epochs}",
        file=sys.stderr,
        item_show_func=lambda text: text,
    ) as bar:

        def report(loss: float, accuracy: float, seen: int) -> None:
            rate = seen / clock.working
            scores = f"loss {loss:.3f}{_percent('accuracy', accuracy, 1)}"
            bar.update(1, f"{scores}  {rate:.0f} images/s")

        def explain() -> None:
            bar.current_item = COMPILING
            bar.render_progress()

        clock.explain = explain
        yield report


def _percent(name: str, value: float, digits: int) -> str:
    """A score after others on a line; nothing if there is none."""
    return "" if math.isnan(value) else f"  {name} {100 * value:.{digits}f} %"


def line_of(record: EpochRecord, epochs: int, images: int, working: float) -> str:
    """An epoch in a line; `working` are its seconds without compilation [s]."""
    left = (epochs - record.epoch) * working
    return (
        f"epoch {record.epoch}/{epochs}  {record.precision}  "
        f"loss {record.train_loss:.4f}"
        f"{_percent('accuracy', record.train_accuracy, 2)}"
        f"{_percent('validation', record.validation_accuracy, 2)}  "
        f"{images / working:.0f} images/s  "
        f"{left // 60:.0f}:{left % 60:02.0f} left"
    )
