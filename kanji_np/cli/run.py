"""The files of a training run in its directory, for the commands that train."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np.errors import KanjiError, OptionError, ToolError

if TYPE_CHECKING:
    from kanji_np.data import Dataset
    from kanji_np.train import History

MODEL, CHECKPOINT, HISTORY = "model.npz", "checkpoint.npz", "history.csv"
CURVES, FIRMWARE, SUMMARY = "curves.png", "firmware", "summary.txt"


class Interrupted(KanjiError):
    """The user pressed Ctrl-C; the message says what is kept."""

    exit_code = 130


@contextlib.contextmanager
def keeping(directory: Path, how_to_go_on: str) -> Iterator[None]:
    """Turn Ctrl-C into a line that says what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; finished epochs are kept in {directory}: {how_to_go_on}"
        ) from None


def check_run(directory: Path, resume: bool) -> None:
    """Before anything slow: may a run be written here?"""
    from kanji_np import outputs, plots, train

    if (directory / CHECKPOINT).exists() and not resume:
        raise OptionError(
            f"{directory} holds a run: add --resume to go on with it, or choose "
            "another --directory"
        )
    outputs.check_directory(directory)
    train.check_run(directory, resume=resume)
    outputs.check(directory / CURVES, outputs.is_drawing, plots.DRAWING)


def draw_curves(history: History, directory: Path) -> str:
    """Where the curves are, or why there are none."""
    import kanji_np as kj

    try:
        kj.plot_history(history, directory / CURVES)
    except ToolError as error:
        return f"not drawn; {error}"
    return str(directory / CURVES)


def channel_means(dataset: Dataset) -> tuple[int, ...] | None:
    """Mean of each channel over all images, rounded; None where they are no images."""
    if dataset.images.dtype != "uint8":
        return None
    # Image on image first: adding up rows of three values is slow.
    sums = dataset.images.sum(axis=0, dtype="int64")
    sums = sums.reshape(-1, sums.shape[-1]).sum(axis=0)  # (H,W,C) -> (C,)
    pixels = dataset.images[..., 0].size
    return tuple(round(float(total / pixels)) for total in sums)
