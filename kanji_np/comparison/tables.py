"""A comparison as a table, of text or of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kanji_np.comparison.rows import (
    ComparisonRow,
    Measure,
    has_accuracy,
    measures_of,
)
from kanji_np.markdown import escaped, table_lines
from kanji_np.report.tables import text_table

#: What names a row: a column each, those of the last three only where rows differ.
NAMES: dict[str, Callable[[ComparisonRow], str]] = {
    "network": lambda row: row.network,
    "on": lambda row: row.place,
    "target": lambda row: row.target,
    "library": lambda row: row.library,
}


def columns(rows: Sequence[ComparisonRow]) -> dict[str, list[str]]:
    """The cells of every column, by its head."""
    found = {name: [of(row) for row in rows] for name, of in NAMES.items()}
    for name in ("target", "library"):
        if len(set(found[name])) == 1:
            del found[name]
    if has_accuracy(rows):
        found["accuracy"] = [_percent(row.accuracy) for row in rows]
    for measure in measures_of(rows):
        head = f"{measure.name} [bytes]" if measure.unit == "bytes" else measure.name
        found[head] = [amount(row, measure) for row in rows]
    found["fits"] = ["yes" if row.fits else "no" for row in rows]
    found["front"] = [", ".join(row.front) for row in rows]
    return found


def n_names(rows: Sequence[ComparisonRow]) -> int:
    """How many columns name a row."""
    return len(columns(rows).keys() & NAMES.keys())


def amount(row: ComparisonRow, measure: Measure) -> str:
    """What a row takes of something, with its range."""
    used = measure.used(row)
    if used is None:
        return ""
    return used.text(measure.unit) if measure.is_estimate else f"{used.likely:,.0f}"


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


def text(rows: Sequence[ComparisonRow]) -> str:
    """The table, and what it means."""
    made = columns(rows)
    table = text_table(
        [*made], [*zip(*made.values(), strict=True)], left_columns=n_names(rows)
    )
    parts = [table, "\n".join(explanations(rows)), "\n".join(notes(rows))]
    return "\n\n".join(part for part in parts if part)


def markdown(rows: Sequence[ComparisonRow]) -> str:
    """The same; rows on a front are bold."""
    made = columns(rows)
    shown = []
    for row, cells in zip(rows, zip(*made.values(), strict=True), strict=True):
        bold = "**" if row.front else ""
        shown.append([cell and f"{bold}{escaped(cell)}{bold}" for cell in cells])
    lines = table_lines([*made], shown, left_columns=n_names(rows))
    below = [escaped(line) for line in explanations(rows)]
    listed = [f"- {escaped(note)}" for note in notes(rows)]
    parts = ["\n".join(lines), "\n".join(below), "\n".join(listed)]
    return "\n\n".join(part for part in parts if part)


def _percent(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{100 * accuracy:.2f} %"
