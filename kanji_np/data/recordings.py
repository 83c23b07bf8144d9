"""Recordings of sensors and sounds, in class folders or tables, and windows of them.

Windows of one recording overlap, or at least follow each other: a network that is
tested on them should not have seen their neighbours. So whole recordings go to the test
set; and where a class has too few of them, the end of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kanji_np.checks import integer, listed, one_of, shown
from kanji_np.choices import TASKS
from kanji_np.data.dataset import (
    MULTILABEL,
    REGRESSION,
    Dataset,
    check_fraction,
    in_test_of,
    note_lost,
)
from kanji_np.data.folders import Listing, kind_of, listings
from kanji_np.data.labels import labels_of
from kanji_np.data.notes import note
from kanji_np.data.tables import (
    INDEX_NAMES,
    LABEL_NAMES,
    Table,
    label_columns,
    read_table,
)
from kanji_np.data.wav import read_wav
from kanji_np.errors import DataError, OptionError

TRAIN, TEST = "train.csv", "test.csv"
#: Columns of a recording that say when a row was read, and nothing of what was.
TIME_NAMES = ("time", "timestamp", "t", "date", "datetime")


@dataclass(frozen=True)
class Recording:
    """Values in the order of time.

    Parameters
    ----------
    name : str
        What messages call it.
    values : ndarray (T, C)
    labels : ndarray (T,) or (T, K)
        Of each row.
    """

    name: str
    values: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Windows:
    """How recordings are cut.

    Parameters
    ----------
    length, step : int
        Rows of a window, and from one to the next.
    pads : bool
        Whether a shorter recording is filled up with zeros; else it is left out.
    """

    length: int
    step: int
    pads: bool

    @classmethod
    def of(
        cls, where: object, window: int | None, step: int | None, *, pads: bool
    ) -> Windows | None:
        """The windows that options tell, if they do; OptionError if they are wrong."""
        if window is None:
            if step is not None:
                raise OptionError(
                    f"{where}: step applies to windows: give window, too",
                    arguments=("step", "window"),
                )
            return None
        window = integer(f"{where}: window", window, 1)
        step = window if step is None else integer(f"{where}: step", step, 1)
        return cls(window, step, pads)

    def long_enough(
        self, parts: Sequence[Sequence[Recording]], where: object
    ) -> list[list[Recording]]:
        """Recordings of which none is shorter than a window.

        Raises
        ------
        DataError
            None is left of training or test set.
        """
        short: list[str] = []
        kept = [[self._filled(each, short) for each in part] for part in parts]
        if not all(any(each is not None for each in part) for part in kept):
            raise DataError(
                f"{where}: no recording is as long as a window of {self.length}"
            )
        if short:
            done = "filled up with zeros" if self.pads else "left out"
            note(
                f"{where}: shorter than a window of {self.length}: {listed(short)}; "
                f"{done}"
            )
        return [[each for each in part if each is not None] for part in kept]

    def _filled(self, recording: Recording, short: list[str]) -> Recording | None:
        x, y = recording.values, recording.labels
        missing = self.length - len(x)
        if missing <= 0:
            return recording
        short.append(f"{recording.name} ({len(x)})")
        if not self.pads:
            return None
        x = np.pad(x, ((0, missing), (0, 0)))
        return replace(recording, values=x, labels=np.pad(y, (0, missing), "edge"))

    def cut(self, recordings: Sequence[Recording]) -> tuple[np.ndarray, np.ndarray]:
        """All windows (N, length, C), and the label of the last row of each."""
        values, labels = [], []
        for recording in recordings:
            x, y = recording.values, recording.labels
            for start in range(0, len(x) - self.length + 1, self.step):
                values.append(x[start : start + self.length])
                labels.append(y[start + self.length - 1])
        return np.stack(values), np.stack(labels)


def csv_table(
    path: str | Path,
    *,
    label: str | Sequence[str] | None = None,
    task: str | None = None,
    window: int | None = None,
    step: int | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """Read a table: a row a sample, or with windows a row a reading.

    Parameters
    ----------
    path : path
        A file in UTF-8 with commas, semicolons or tabs between columns, whose first row
        may name them; or a directory with `train.csv` and `test.csv`.
    label : str or sequence of str, optional
        The column that is learned, or several; numbers from 1 if they have no names. By
        default the one named label, class, target or y, the only one that holds text,
        or the last.
    task : "classification", "regression", "multilabel" or None
        None: text and whole numbers are classes, other numbers values to predict.
    window, step : int, optional
        Cut runs of rows with one label into windows of so many rows, so many rows from
        one to the next; by default as many as a window has. Values and several labels
        are those of the last row of a window.
    test_fraction : float
        Part of each class that goes to the test set, of a single file.
    seed : int
        Decides which rows those are.

    Returns
    -------
    train, test : Dataset
        Samples (N, K), or windows (N, window, K): int16 if all are written as integers
        and in its range, float32 otherwise.

    Raises
    ------
    DataError
        A cell is not a number, or a column is not there; the message names the line.
    FileFormatError
        It is no text.
    OptionError
        An option is out of range, or leaves one side empty.
    """
    path = Path(path)
    windows = Windows.of(path, window, step, pads=False)
    if task is not None:
        one_of("task", task, TASKS)
    paths = [path / TRAIN, path / TEST] if path.is_dir() else [path]
    name = path.resolve().name if path.is_dir() else path.stem
    tables = [read_table(each) for each in paths]
    told = (label,) if isinstance(label, str) else tuple(label or ())
    told = tuple(part.strip() for each in told for part in each.split(","))
    columns, is_doubtful = label_columns(tables[0], told)
    features = [j for j in range(tables[0].width) if j not in columns]
    left_out = (*INDEX_NAMES, *(TIME_NAMES if windows else ()))
    features = _without(tables[0], features, left_out)
    _check_alike(tables)
    if not features:
        raise DataError(f"{paths[0]}: holds no column beside that of the labels")
    samples = _values(tables, features)
    labels, classes = _learned(tables, columns, task)
    if is_doubtful:
        note(
            f"{paths[0]}: its last column, {tables[0].names[columns[0]]!r}, is what is "
            "learned; --label, or label=, names another"
        )
    if windows is None:
        sets = [
            Dataset(x, y, classes, name) for x, y in zip(samples, labels, strict=True)
        ]
        if len(sets) == 2:
            return sets[0], sets[1]
        return sets[0].split(test_fraction, seed=seed)
    parts = [
        _runs(table, x, y) for table, x, y in zip(tables, samples, labels, strict=True)
    ]
    return _cut(parts, windows, classes, name, paths[0], test_fraction, seed)


def holds_tables(directory: Path) -> bool:
    """Whether a directory is for `csv_table`."""
    return all((directory / name).is_file() for name in (TRAIN, TEST))


def csv_folders(
    root: str | Path,
    *,
    window: int | None = None,
    step: int | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """Read `root/{train,test}/CLASS/*.csv`, or `root/CLASS/*.csv` and split it.

    Parameters
    ----------
    root : path
        Each file is a recording: a row a reading, a column a channel. Columns may have
        names; those that count rows or say the time are left out by their names.
        Files ending in `.txt` may have spaces between columns.
    window, step : int, optional
        Cut recordings into windows of so many rows, so many rows from one to the next;
        by default as many as a window has. Without windows each recording is a sample,
        and all are of one length.
    test_fraction : float
        Part of the recordings of each class that goes to the test set, if `root` holds
        class folders. Of a class of too few recordings it is the last part of each.
    seed : int
        Decides which recordings those are.

    Returns
    -------
    train, test : Dataset
        Windows (N, T, C): int16 if all are written as integers and in its range,
        float32 otherwise.

    Raises
    ------
    DataError
        A folder is missing or empty, a cell is not a number, or lengths differ.
    FileFormatError
        A file is no text.
    OptionError
        An option is out of range, or leaves one side empty.
    """
    root = Path(root)
    windows = Windows.of(root, window, step, pads=False)
    is_text = root.is_dir() and kind_of(root) == "text files"
    sets = listings(root, "text files" if is_text else "CSV files")
    tables = [[read_table(file) for file in each.files] for each in sets]
    flat = [table for each in tables for table in each]
    _check_alike(flat)
    left_out = (*INDEX_NAMES, *TIME_NAMES, *LABEL_NAMES)
    features = _without(flat[0], range(flat[0].width), left_out)
    if not features:
        raise DataError(f"{flat[0].path}: holds no column of readings")
    values = _values(flat, features)
    if windows is None:
        lengths = Counter(len(each) for each in values)
        (length, _), *others = lengths.most_common()
        if others:
            odd = next(i for i, each in enumerate(values) if len(each) != length)
            raise DataError(
                f"{flat[odd].path}: has {len(values[odd])} rows, but most files have "
                f"{length}; pass window to cut them",
                arguments=("window",),
            )
    return _of_listings(sets, values, windows, root, test_fraction, seed)


def wav_folders(
    root: str | Path,
    *,
    window: int | None = None,
    step: int | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """Read `root/{train,test}/CLASS/*.wav`, or `root/CLASS/*.wav` and split it.

    Parameters
    ----------
    root : path
        WAV files of one sample rate: PCM of 8 to 32 bits, or floating. Several channels
        become their mean.
    window, step : int, optional
        Cut sounds into windows of so many samples, so many from one to the next; by
        default as many as a window has. Without windows each sound is a sample, cut or
        filled up with zeros to the length that most have.
    test_fraction, seed
        See `csv_folders`.

    Returns
    -------
    train, test : Dataset
        Windows (N, T, 1) of int16.

    Raises
    ------
    DataError
        A folder is missing or empty, or sample rates differ.
    FileFormatError
        A file is not a WAV file that can be read.
    OptionError
        An option is out of range, or leaves one side empty.

    Warns
    -----
    DataWarning
        Sounds are of different lengths, or have several channels.
    """
    root = Path(root)
    windows = Windows.of(root, window, step, pads=True)
    sets = listings(root, "WAV files")
    values, several, rate = [], 0, None
    for file in (file for each in sets for file in each.files):
        sound = read_wav(file)
        rate = rate or sound.rate
        if sound.rate != rate:
            raise DataError(
                f"{file}: has {sound.rate} Hz, but {rate} Hz was the sample rate so "
                "far; all must have the same"
            )
        if not len(sound.samples):
            raise DataError(f"{file}: holds no samples")
        several += sound.channels > 1
        values.append(sound.samples[:, None])  # (T,) -> (T, 1)
    if several:
        note(f"{root}: {several} sounds have several channels: taken is their mean")
    if windows is None:
        lengths = Counter(len(each) for each in values)
        # Of those that are as frequent the longest.
        length = max(lengths, key=lambda each: (lengths[each], each))
        if len(lengths) > 1:
            note(
                f"{root}: sounds have {min(lengths)} to {max(lengths)} samples: all "
                f"are cut or filled up with zeros to {length}"
            )
        values = [_fitted(each, length) for each in values]
    return _of_listings(sets, values, windows, root, test_fraction, seed)


def _fitted(values: np.ndarray, length: int) -> np.ndarray:
    missing = max(length - len(values), 0)
    return np.pad(values[:length], ((0, missing), (0, 0)))


def _check_alike(tables: Sequence[Table]) -> None:
    """DataError unless all have the same columns."""
    first = tables[0]
    for table in tables:
        if table.width != first.width:
            raise DataError(
                f"{table.path}: has {table.width} columns, but {first.path} has "
                f"{first.width}"
            )
        if table.names and first.names and table.names != first.names:
            other = next(
                (a, b) for a, b in zip(table.names, first.names, strict=True) if a != b
            )
            raise DataError(
                f"{table.path}: has the column {other[0]!r}, where {first.path} has "
                f"{other[1]!r}"
            )


def _without(
    table: Table, columns: Sequence[int], left_out: Sequence[str]
) -> list[int]:
    """Columns but those whose names say that they tell of no reading."""
    if not table.names:
        return list(columns)
    odd = [j for j in columns if table.names[j].lower() in left_out]
    if odd:
        names = listed(repr(table.names[column]) for column in odd)
        note(f"{table.path}: left out by their names are the columns {names}")
    return [column for column in columns if column not in odd]


def _values(tables: Sequence[Table], columns: Sequence[int]) -> list[np.ndarray]:
    """Columns of tables as one dtype, int16 or float32."""
    values = [table.numbers(columns) for table in tables]
    ends = np.iinfo(np.int16)
    is_int16 = all(
        each.min() >= ends.min and each.max() <= ends.max for each in values
    ) and all(table.are_integers(columns) for table in tables)
    dtype = np.int16 if is_int16 else np.float32
    with np.errstate(over="ignore"):  # `Dataset` refuses what is not finite
        return [each.astype(dtype) for each in values]


def _learned(
    tables: Sequence[Table], columns: Sequence[int], task: str | None
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Labels of each table as in Dataset, and the names of classes or columns."""
    first = tables[0]
    where = f"{first.path}: {', '.join(map(first.column_text, columns))}"
    names = tuple(first.names[j] for j in columns) if first.names else ()
    if len(columns) > 1:
        rows = [table.numbers(columns) for table in tables]
        return labels_of(rows, name=where, classes=names, task=task)
    (column,) = columns
    if task == MULTILABEL:
        raise DataError(
            f"{where}: {MULTILABEL} takes several columns of zeros and ones",
            arguments=("label",),
        )
    if _are_texts(tables, column, task):
        texts = [np.array(table.column(column)) for table in tables]
        return labels_of(texts, name=where)
    is_whole = all(table.are_integers(columns) for table in tables)
    if task == REGRESSION or not is_whole:
        values = [table.numbers(columns)[:, 0] for table in tables]
        labels, classes = labels_of(values, name=where, task=task)
        return labels, names if labels[0].dtype == np.float32 else classes
    numbers = [[int(cell) for cell in table.column(column)] for table in tables]
    present = sorted({number for each in numbers for number in each})
    places = {number: k for k, number in enumerate(present)}
    indices = [np.array([places[n] for n in each], np.int64) for each in numbers]
    labels, _ = labels_of(indices, name=where, task=task)
    return labels, tuple(map(str, present))


def _are_texts(tables: Sequence[Table], column: int, task: str | None) -> bool:
    """Whether the labels are text; DataError where some cell is not as the others."""
    odd = [table.not_numbers(column) for table in tables]
    n_odd = sum(map(len, odd))
    n_rows = sum(len(table.rows) for table in tables)
    for table, rows in zip(tables, odd, strict=True):
        for row in rows:
            place, cell = table.place(row, column), table.rows[row][column].strip()
            if not cell:
                raise DataError(f"{place}: the label is missing")
            if task == REGRESSION or (task is None and 2 * n_odd < n_rows):
                raise DataError(
                    f"{place}: {shown(cell)} is not a finite number, as most labels are"
                    if task is None
                    else f"{place}: {shown(cell)} is not a finite number"
                )
    return n_odd > 0


def _runs(table: Table, values: np.ndarray, labels: np.ndarray) -> list[Recording]:
    """The recordings of a table: rows of one class that follow each other; all of them,
    where labels are no classes."""
    if labels.dtype != np.int64:
        return [Recording(str(table.path), values, labels)]
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts = [0, *edges.tolist()]
    return [
        Recording(f"line {table.lines[start]}", x, y)
        for start, x, y in zip(
            starts, np.split(values, edges), np.split(labels, edges), strict=True
        )
    ]


def _of_listings(
    sets: Sequence[Listing],
    values: Sequence[np.ndarray],
    windows: Windows | None,
    root: Path,
    test_fraction: float,
    seed: int,
) -> tuple[Dataset, Dataset]:
    """Datasets of the files of class folders."""
    name, classes = root.resolve().name, sets[0].classes
    rest = iter(values)
    parts = [
        [
            (file, label, next(rest))
            for file, label in zip(s.files, s.labels, strict=True)
        ]
        for s in sets
    ]
    if windows is not None:
        recordings = [
            [
                Recording(str(file.relative_to(root)), x, np.full(len(x), label))
                for file, label, x in part
            ]
            for part in parts
        ]
        return _cut(recordings, windows, classes, name, root, test_fraction, seed)
    made = [
        Dataset(
            np.stack([x for _, _, x in part]),
            np.array([label for _, label, _ in part], np.int64),
            classes,
            name,
        )
        for part in parts
    ]
    if len(made) == 1:
        return made[0].split(test_fraction, seed=seed)
    return made[0], made[1]


def _cut(
    parts: list[list[Recording]],
    windows: Windows,
    classes: tuple[str, ...],
    name: str,
    where: Path,
    test_fraction: float,
    seed: int,
) -> tuple[Dataset, Dataset]:
    """Training and test set of recordings, those divided first if they are not."""
    is_divided = len(parts) == 2
    parts = windows.long_enough(parts, where)
    if not is_divided:
        parts = _divided(parts[0], windows, classes, name, test_fraction, seed)
    if not parts[1]:
        raise OptionError(
            f"{where}: test_fraction={test_fraction} of recordings in windows of "
            f"{windows.length} leaves 0 for testing"
        )
    train, test = (Dataset(*windows.cut(part), classes, name) for part in parts)
    if not is_divided:
        note_lost(train, test, test_fraction)
    return train, test


def _divided(
    recordings: list[Recording],
    windows: Windows,
    classes: tuple[str, ...],
    name: str,
    test_fraction: float,
    seed: int,
) -> list[list[Recording]]:
    """Recordings to train on and to test on; see the top of this file."""
    check_fraction(test_fraction, name)
    is_class = recordings[0].labels.dtype == np.int64
    labels = np.array([int(r.labels[0]) if is_class else 0 for r in recordings])
    counts = np.bincount(labels)
    in_test = np.round(counts * test_fraction)
    is_shared = ((in_test > 0) & (in_test < counts))[labels]
    goes = np.zeros(len(recordings), bool)
    if is_shared.any():
        rows = np.flatnonzero(is_shared)
        goes[rows] = in_test_of(labels[rows], classes, test_fraction, seed, name)
    sides: list[list[Recording]] = [[], []]
    for recording, whole, far in zip(recordings, is_shared, goes, strict=True):
        if whole:
            sides[int(far)].append(recording)
            continue
        n = len(recording.values)
        rest = max(round(n * test_fraction), windows.length)
        edge = max(n - rest, windows.length) if n >= 2 * windows.length else n
        for side, own in zip(sides, (slice(edge), slice(edge, n)), strict=True):
            x, y = recording.values[own], recording.labels[own]
            if len(x):
                side.append(replace(recording, values=x, labels=y))
    return sides
