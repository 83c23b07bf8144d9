"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from kanji_np.deploy.planner import arena_text
from kanji_np.report.cost import LEFT, Report, cost_columns, estimate_lines
from kanji_np.types import shape_text

#: The last line, by which an earlier report is known.
MARK = "<!-- kanji-np report -->"


def markdown(report: Report) -> str:
    """The table of layers and what stands below it."""
    columns = cost_columns(report)
    *rows, totals = zip(*columns.values(), strict=True)
    bold = [cell and f"**{cell}**" for cell in map(escaped, totals)]
    lines = [
        f"# {escaped(report.network)}",
        "",
        f"For {report.target}, input {shape_text(report.input_shape)}.",
        "",
        *table_lines([*columns], [*([*map(escaped, r)] for r in rows), bold]),
        "",
        "Flash and RAM in bytes; code not included.",
        "",
        f"- arena: {arena_text(report.arena_bytes, report.lower_bound_bytes)}",
        *(f"- {name}: {escaped(text)}" for name, text in estimate_lines(report)),
    ]
    if report.estimate is not None:
        lines += ["", "Time and energy are estimates."]
    return "\n".join([*lines, "", MARK])


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table whose first columns start at the left; cells are escaped already."""
    rule = [":--" if i < LEFT else "--:" for i in range(len(header))]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    for mark in "\\|<*_`[":
        text = text.replace(mark, f"\\{mark}")
    return text
