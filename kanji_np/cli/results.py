"""`kanji-np results`: the table of many trainings."""

from __future__ import annotations

from pathlib import Path

import click

from kanji_np.cli.options import PATH


@click.command()
@click.argument("directory", type=PATH)
def results(directory: Path) -> None:
    """Make a Markdown table of the .json files that train wrote.

    Runs that differ in their seeds alone share a line.

    \b
    Example:
      kanji-np results examples/results
    """
    from kanji_np.results import read_results, results_table

    click.echo(results_table(read_results(directory)))
