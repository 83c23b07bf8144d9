"""What commands show while they run, and what they suggest to type next."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click


@contextlib.contextmanager
def bar(label: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A function of (done, total) that draws a bar; None where nobody would see it."""
    from kanji_np.outputs import is_watched

    if not is_watched():
        yield None
        return
    with contextlib.ExitStack() as stack:
        shown: Any = None  # click does not say of what type

        def report(done: int, total: int | None) -> None:
            nonlocal shown
            if shown is None:
                shown = stack.enter_context(
                    click.progressbar(length=total, label=label, file=sys.stderr)
                )
            shown.update(done - shown.pos)

        yield report


def command_line(*arguments: str | Path) -> str:
    """A line to type next; the program as it was called if its name is not enough."""
    called = sys.argv[0]
    by_path = Path(called).stem == "kanji-np" and not shutil.which("kanji-np")
    return shlex.join([called if by_path else "kanji-np", *map(str, arguments)])
