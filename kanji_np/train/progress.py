"""What a training says while it runs, on standard error."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import click

from kanji_np import outputs
from kanji_np.jit import event
from kanji_np.train.history import EpochRecord
from kanji_np.train.run import Run

COMPILING = "compiling kernels (first run only)"


@contextmanager
def progress(run: Run, show: bool) -> Iterator[Callable[[float, float, int], None]]:
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


def line_of(record: EpochRecord, epochs: int, images: int) -> str:
    left = (epochs - record.epoch) * record.seconds
    return (
        f"epoch {record.epoch}/{epochs}  {record.precision}  "
        f"loss {record.train_loss:.4f}"
        f"{_percent('accuracy', record.train_accuracy, 2)}"
        f"{_percent('validation', record.validation_accuracy, 2)}  "
        f"{images / record.seconds:.0f} images/s  "
        f"{left // 60:.0f}:{left % 60:02.0f} left"
    )
