"""Tables of numbers as text: CSV files, and what programs write instead of them.

Columns are separated by commas, semicolons, tabs or spaces; the first row may name
them. Numbers have a decimal point.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kanji_np import schema
from kanji_np.checks import listed, shown
from kanji_np.errors import DataError, FileFormatError

SUFFIXES = (".csv", ".tsv", ".txt")
#: Names of the column that is learned, in the order they are looked for.
LABEL_NAMES = ("label", "class", "target")
#: One of these, too, unless it is an axis of a sensor, beside x and z.
LAST_NAME, ITS_NEIGHBOUR = "y", "z"
INTEGER = re.compile(r"\s*[+-]?\d+\s*")
#: What stands where there should be a number.
NUMBER_LIKE = re.compile(r"[+-]?([\d.,_e+-]*|nan|inf(inity)?|n/?a|null|none)", re.I)
#: Columns that count rows: they would tell the class by where a row stands.
INDEX_NAMES = ("", "unnamed: 0", "index")


@dataclass(frozen=True)
class Table:
    """The cells of a file.

    Parameters
    ----------
    path : path
    names : tuple of str
        Of the columns; empty if the file names none.
    rows : list of list of str
        All of one length.
    lines : list of int
        The line of each row in the file, from 1.
    """

    path: Path
    names: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.rows[0])

    def column_text(self, column: int) -> str:
        """A column as messages call it."""
        return (
            f"column {self.names[column]!r}" if self.names else f"column {column + 1}"
        )

    def column(self, column: int) -> list[str]:
        """The cells of a column, without spaces around them."""
        return [row[column].strip() for row in self.rows]

    def numbers(self, columns: Sequence[int]) -> np.ndarray:
        """Some columns as float64 (rows, columns).

        Raises
        ------
        DataError
            A cell is not a finite number; the message names line and column.
        """
        values = np.empty((len(self.rows), len(columns)))
        for i, row in enumerate(self.rows):
            for j, column in enumerate(columns):
                value = _number(row[column])
                if value is None:
                    why = _what_is(row[column])
                    raise DataError(f"{self.place(i, column)}: {why}")
                values[i, j] = value
        return values

    def place(self, row: int, column: int) -> str:
        """A cell as messages call it."""
        text = self.column_text(column)
        return f"{self.path}: line {self.lines[row]}, {text}"

    def not_numbers(self, column: int) -> list[int]:
        """Rows whose cell is not a finite number."""
        return [i for i, row in enumerate(self.rows) if _number(row[column]) is None]

    def are_integers(self, columns: Iterable[int]) -> bool:
        """Whether every cell of some columns is written as an integer."""
        chosen = list(columns)
        return all(
            INTEGER.fullmatch(row[column]) for row in self.rows for column in chosen
        )


def _what_is(cell: str) -> str:
    """Why a cell is no number, and what to do."""
    if not cell.strip():
        return "the cell is empty; give it a number, or leave out the row"
    if re.fullmatch(r"\s*[+-]?\d+,\d+\s*", cell):
        return f"{shown(cell)} is not a number; numbers have a decimal point"
    return f"{shown(cell)} is not a finite number"


def _number(cell: str) -> float | None:
    """A finite number, if the cell is one."""
    try:
        value = float(cell) if "_" not in cell else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_table(path: Path) -> Table:
    """The cells of a file.

    Parameters
    ----------
    path : path
        Of text in UTF-8. Empty lines, and lines that begin with #, are passed over, and
        so are columns at the end that have no name and no values.

    Raises
    ------
    DataError
        It holds no rows, or rows of different lengths.
    FileFormatError
        It cannot be read, or is no text.
    """
    with schema.opened(path) as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{path}: not text in UTF-8: byte {error.start} is {data[error.start]}"
        ) from None
    lines = re.split(r"\r\n|\r|\n", text)
    rows, numbers = [], []
    separator = _separator(lines)
    if separator is None:
        cells = ((i + 1, line.split()) for i, line in enumerate(lines))
    else:
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        cells = ((reader.line_num, row) for row in reader)
    try:
        for number, row in cells:
            if any(cell.strip() for cell in row) and not row[0].startswith("#"):
                rows.append(row)
                numbers.append(number)
    except csv.Error as error:
        raise FileFormatError(f"{path}: line {reader.line_num}: {error}") from None
    if not rows:
        raise DataError(f"{path}: holds no rows")
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(rows[0]):
            raise DataError(
                f"{path}: line {number} has {len(row)} columns, line {numbers[0]} has "
                f"{len(rows[0])}"
            )
    while len(rows[0]) > 1 and not any(row[-1].strip() for row in rows):
        rows = [row[:-1] for row in rows]
    names: tuple[str, ...] = ()
    if _is_header(rows):
        names = tuple(cell.strip() for cell in rows[0])
        rows, numbers = rows[1:], numbers[1:]
        if not rows:
            raise DataError(f"{path}: names columns, but holds no rows")
    return Table(path, names, rows, numbers)


def _separator(lines: list[str]) -> str | None:
    """What parts the cells of the first line that holds any; None of spaces."""
    first = next(
        (line for line in lines if line.strip() and not line.startswith("#")), ""
    )
    for mark in ";\t,":  # commas may be those of decimals
        if mark in first:
            return mark
    return None if " " in first.strip() else ","


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first row names columns: a name is one that labels have, or most
    cells are text, where the next row has a number."""
    first = [cell.strip() for cell in rows[0]]
    if any(_is_label_name(cell) or cell.lower() == LAST_NAME for cell in first):
        return True
    is_text = [_is_text(cell) for cell in first]
    if len(rows) == 1:
        return all(is_text)
    return 2 * sum(is_text) >= len(first) and any(
        text and _number(cell) is not None
        for text, cell in zip(is_text, rows[1], strict=True)
    )


def _is_text(cell: str) -> bool:
    """Whether a cell is neither a number nor meant to be one."""
    return _number(cell) is None and not NUMBER_LIKE.fullmatch(cell.strip())


def _is_label_name(name: str) -> bool:
    return name.lower() in LABEL_NAMES


def label_columns(table: Table, told: Sequence[str]) -> tuple[list[int], bool]:
    """The columns that are learned, and whether there is any doubt.

    Parameters
    ----------
    table : Table
    told : sequence of str
        Names of columns, or numbers from 1; empty if none is told.

    Raises
    ------
    DataError
        There is no such column, or it has the same name as another.
    """
    if told:
        return [_column_of(table, name) for name in told], False
    lower = [name.lower() for name in table.names]
    for name in LABEL_NAMES:
        if name in lower:
            return [_column_of(table, table.names[lower.index(name)])], False
    if LAST_NAME in lower and ITS_NEIGHBOUR not in lower:
        return [_column_of(table, table.names[lower.index(LAST_NAME)])], False
    texts = [j for j, cell in enumerate(table.rows[0]) if _is_text(cell)]
    if len(texts) == 1:
        return texts, False
    is_number = _number(table.rows[0][-1]) is not None
    return [table.width - 1], bool(table.names) and is_number


def _column_of(table: Table, name: str) -> int:
    found = [j for j, each in enumerate(table.names) if each == name]
    if not table.names and name.isdigit() and 1 <= int(name) <= table.width:
        return int(name) - 1
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{table.path}: {len(found)} columns are named {name!r}")
    columns = (
        f"it has {listed(table.names)}"
        if table.names
        else f"its columns have no names: give a number, 1 to {table.width}"
    )
    raise DataError(
        f"{table.path}: no column {name!r}; {columns}", arguments=("label",)
    )
