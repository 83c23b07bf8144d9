"""What notebooks show of networks and trainings: pieces of HTML without a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element, tostring

from kanji_np.report.figures import curve
from kanji_np.report.page import element, table
from kanji_np.report.tables import percent
from kanji_np.train import EpochRecord, History

#: The colors of drawings where no page gives them; text has that of the notebook.
STYLE = (
    "--one:#0b6e99;--two:#b4530f;--ink:currentColor;--soft:#7a8691;--line:#c4ccd3;"
    "font-size:12px"
)
#: Epochs in a table: of more the first and the last ones.
MOST_EPOCHS = 20


def fragment(*children: Element) -> str:
    """Elements as one piece of HTML."""
    return tostring(element("div", {"style": STYLE}, *children), encoding="unicode")


def training_curves(epochs: Sequence[EpochRecord]) -> list[Element]:
    """Loss and, where there are any, accuracies by epoch."""
    accuracies = [
        ("training", [100 * e.train_accuracy for e in epochs]),
        ("validation", [100 * e.validation_accuracy for e in epochs]),
    ]
    drawn = [
        curve("training loss", [("loss", [e.train_loss for e in epochs])], top=None)
    ]
    if any(math.isfinite(v) for _, values in accuracies for v in values):
        drawn.append(curve("accuracy [%]", accuracies, top=100.0))
    return drawn


def history_html(history: History) -> str:
    """The curves and epochs of a training as a piece of HTML: what notebooks show.

    Parameters
    ----------
    history : History

    Returns
    -------
    str
        One element with its styles, which needs no script and loads nothing.
    """
    epochs = history.epochs
    rows: list[tuple[str, ...]] = [
        (
            str(e.epoch),
            e.precision,
            f"{e.lr:.3g}",
            f"{e.train_loss:.4f}",
            percent(e.train_accuracy),
            percent(e.validation_accuracy),
            f"{e.seconds:.1f}",
        )
        for e in epochs
    ]
    if len(rows) > MOST_EPOCHS:
        half = MOST_EPOCHS // 2
        rows[half:-half] = [("...", *[""] * 6)]
    header = (
        "epoch", "precision", "rate", "loss", "accuracy", "validation", "seconds",
    )  # fmt: skip
    shown = [table(f"{len(epochs)} epochs", header, rows)]
    if epochs:
        side = {"style": "display:flex;flex-wrap:wrap;gap:2em"}
        shown.insert(0, element("div", side, *training_curves(epochs)))
    return fragment(*shown)
