"""Markdown: tables, and text that is shown as it is."""

from __future__ import annotations

from collections.abc import Sequence


def table_lines(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, left_columns: int
) -> list[str]:
    """A table whose first columns start at the left; cells are escaped already."""
    rule = [":--" if i < left_columns else "--:" for i in range(len(header))]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    for mark in "\\|<*_`[":
        text = text.replace(mark, f"\\{mark}")
    return text
