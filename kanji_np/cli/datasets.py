"""`kanji-np datasets`: what --data takes."""

from __future__ import annotations

import click


@click.command()
def datasets() -> None:
    """List what --data takes.

    \b
    Example:
      kanji-np datasets
    """
    from kanji_np.data import DATASETS
    from kanji_np.report import text_table
    from kanji_np.types import shape_text

    rows = []
    for source, info in DATASETS.items():
        shape = shape_text(info.shape) if info.shape else "any"
        rows.append((source, shape, str(info.n_classes or "any"), info.description))
        rows.append(("", "", "", info.how_to_get))
    header = ("--data", "image", "classes", "what, and how to get it")
    click.echo(text_table(header, rows, left_columns=len(header)))
