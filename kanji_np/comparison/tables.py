"""A comparison as a table, of text or of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kanji_np.comparison.rows import (
    ComparisonRow,
    Measure,
    has_accuracy,
    measures_of,
)
from kanji_np.markdown import escaped, table_lines
from kanji_np.report.tables import text_table
from kanji_np.report.units import unit_of

#: What names a row: a column each, those of the last three only where rows differ.
NAMES: dict[str, Callable[[ComparisonRow], str]] = {
    "network": lambda row: row.network,
    "on": lambda row: row.place,
    "target": lambda row: row.target,
    "library": lambda row: row.library,
}
FRONT = "front"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Parameters
    ----------
    name, unit : str
        What stands above; the unit may be empty.
    cells : tuple of str
    ranges : tuple of str
        Of estimates, from the lowest to the highest; else none.
    """

    name: str
    unit: str
    cells: tuple[str, ...]
    ranges: tuple[str, ...] = ()


def columns(rows: Sequence[ComparisonRow]) -> list[Column]:
    """All columns; one that measures has one unit for all rows."""
    names = {name: tuple(of(row) for row in rows) for name, of in NAMES.items()}
    for name in ("target", "library"):
        if len(set(names[name])) == 1:
            del names[name]
    found = [Column(name, "", cells) for name, cells in names.items()]
    if has_accuracy(rows):
        scores = tuple(_percent(row.accuracy) for row in rows)
        found.append(Column("accuracy", "%", scores))
    found += [_measured(rows, measure) for measure in measures_of(rows)]
    fits = tuple("yes" if row.fits else "no" for row in rows)
    fronts = tuple(", ".join(row.front) for row in rows)
    return [*found, Column("fits", "", fits), Column(FRONT, "", fronts)]


def _measured(rows: Sequence[ComparisonRow], measure: Measure) -> Column:
    used = [measure.used(row) for row in rows]
    if not measure.is_estimate:
        cells = tuple("" if each is None else f"{each.likely:,.0f}" for each in used)
        return Column(measure.name, measure.unit, cells)
    unit = unit_of(used, measure.unit)
    return Column(
        measure.name,
        unit.name,
        tuple(map(unit.likely, used)),
        tuple(map(unit.bounds, used)),
    )


def n_names(rows: Sequence[ComparisonRow]) -> int:
    """How many columns name a row."""
    return sum(column.name in NAMES for column in columns(rows))


def _cells(rows: Sequence[ComparisonRow]) -> dict[str, list[str]]:
    """The columns by their heads, likely values with their ranges behind."""
    return {
        f"{each.name} [{each.unit}]" if each.unit else each.name: [
            f"{cell} ({between})" if between else cell
            for cell, between in zip(
                each.cells, each.ranges or [""] * len(each.cells), strict=True
            )
        ]
        for each in columns(rows)
    }


def explanations(rows: Sequence[ComparisonRow]) -> list[str]:
    """What stands below the table."""
    lines = [front_text(rows)]
    if any(m.is_estimate for m in measures_of(rows)):
        lines.append(
            "Latency and energy are estimates: the likely value, and its range."
        )
    same = {(row.target, row.library) for row in rows}
    if len(same) == 1:
        ((target, library),) = same
        lines.append(f"All for {target}, linked with {library}.")
    return lines


def front_text(rows: Sequence[ComparisonRow]) -> str:
    """What "front" means here."""
    if has_accuracy(rows):
        return (
            "front: the costs for which no other network on the same board is more "
            "accurate and as cheap, or cheaper and as accurate."
        )
    return "front: no other network on the same board is cheaper in all costs."


def notes(rows: Sequence[ComparisonRow]) -> list[str]:
    """Of each row why it does not fit, or is not scored."""
    found = [
        f"{row.network}{f' on {row.place}' if row.place else ''}: {note}"
        for row in rows
        for note in row.notes
    ]
    return [*dict.fromkeys(found)]


def abouts(rows: Sequence[ComparisonRow]) -> list[str]:
    """Of each network what tells it from others, where its name does not."""
    return [*dict.fromkeys(f"{row.network}: {row.about}" for row in rows if row.about)]


def text(rows: Sequence[ComparisonRow]) -> str:
    """The table, and what it means."""
    made = _cells(rows)
    table = text_table(
        [*made], [*zip(*made.values(), strict=True)], left_columns=n_names(rows)
    )
    below = (explanations(rows), abouts(rows), notes(rows))
    parts = [table, *map("\n".join, below)]
    return "\n\n".join(part for part in parts if part)


def markdown(rows: Sequence[ComparisonRow]) -> str:
    """The same; rows on a front are bold."""
    made = _cells(rows)
    shown = []
    for row, cells in zip(rows, zip(*made.values(), strict=True), strict=True):
        bold = "**" if row.front else ""
        shown.append([cell and f"{bold}{escaped(cell)}{bold}" for cell in cells])
    lines = table_lines([*made], shown, left_columns=n_names(rows))
    below = [escaped(line) for line in explanations(rows)]
    lists = [
        "\n".join(f"- {escaped(line)}" for line in told)
        for told in (abouts(rows), notes(rows))
    ]
    parts = ["\n".join(lines), "\n".join(below), *lists]
    return "\n\n".join(part for part in parts if part)


def _percent(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{100 * accuracy:.2f}"
