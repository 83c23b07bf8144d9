"""What training writes down of itself: a record an epoch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from kanji_np import schema
from kanji_np.choices import PRECISIONS
from kanji_np.errors import FileFormatError


@dataclass(frozen=True)
class EpochRecord:
    """One line of a training history.

    Parameters
    ----------
    epoch : int
        From 1.
    precision : "int8" or "fp32"
    lr : float
        The learning rate of the last step.
    train_loss : float
        Mean over the epoch, as it went.
    train_accuracy : float
        The same, 0..1.
    validation_accuracy : float
        Of the averaged weights. It is NaN without validation data; both accuracies are
        NaN if the network is trained to reproduce its inputs.
    seconds : float
        Wall-clock time of the epoch [s].
    note : str
        What went wrong before it went as it is recorded, and what was done about it.
    """

    epoch: int
    precision: str
    lr: float
    train_loss: float
    train_accuracy: float
    validation_accuracy: float
    seconds: float
    note: str = ""


MOST_BYTES = 1 << 24  # of a file that is read

COLUMNS = tuple(f.name for f in fields(EpochRecord))


@dataclass(frozen=True)
class History:
    """The epochs of one run, in order.

    Parameters
    ----------
    epochs : tuple of EpochRecord
    """

    epochs: tuple[EpochRecord, ...] = ()

    def __repr__(self) -> str:
        if not self.epochs:
            return "<History of no epoch>"
        last, count = self.epochs[-1], len(self.epochs)
        text = f"<History of {count} epoch{'s' * (count != 1)}, "
        text += (
            f"{sum(e.seconds for e in self.epochs):.0f} s: loss {last.train_loss:.4g}"
        )
        for name, score in (
            ("accuracy", last.train_accuracy),
            ("validation", last.validation_accuracy),
        ):
            if not math.isnan(score):
                text += f", {name} {100 * score:.2f} %"
        return f"{text}>"

    def _repr_html_(self) -> str:
        import kanji_np

        return kanji_np.history_html(self)

    def csv(self, columns: Sequence[str] = COLUMNS) -> str:
        """Comma-separated text with a header line.

        Parameters
        ----------
        columns : sequence of str
            Fields of `EpochRecord`.
        """
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
        """Whether a file is what was written of this history.

        It may have one epoch more, which was cut short, or fewer, where training went
        back, or be of a version of fewer columns.

        Parameters
        ----------
        path : Path
        """
        text = path.read_bytes()
        columns = text.partition(b"\n")[0].decode(errors="replace").split(",")
        if not set(columns) <= set(COLUMNS):
            return False
        mine, next_epoch = self.csv(columns).encode(), b"%d," % (len(self.epochs) + 1)
        more = text.removeprefix(mine)
        is_next = more.startswith(next_epoch) and more.count(b"\n") == 1
        is_part = text.endswith(b"\n") and mine.startswith(text)
        return is_part or (text.startswith(mine) and (is_next or not more))


def read_history(path: str | Path) -> History:
    """The history that a training run wrote.

    Parameters
    ----------
    path : path
        Its `history.csv`. Columns that an earlier version lacked may be missing.

    Returns
    -------
    History

    Raises
    ------
    FileFormatError
        It is something else.
    """
    try:
        with schema.opened(path) as file:
            text = file.read(MOST_BYTES).decode()
        rows = csv.DictReader(io.StringIO(text), strict=True)
        return History(tuple(_record(row) for row in rows))
    except (ValueError, KeyError, TypeError, csv.Error):
        raise FileFormatError(f"{path}: not the history of a training run") from None


def _record(row: Mapping[str, str]) -> EpochRecord:
    """A line of the file; ValueError, KeyError or TypeError if it is none."""
    numbers = {
        name: float(row[name])
        for name in COLUMNS
        if name not in ("epoch", "precision", "note")
    }
    if row["precision"] not in PRECISIONS:
        raise ValueError
    return EpochRecord(
        epoch=int(row["epoch"]),
        precision=row["precision"],
        note=row.get("note") or "",
        **numbers,
    )
