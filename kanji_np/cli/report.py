"""`kanji-np report`: what a network costs, trained or not."""

from __future__ import annotations

from pathlib import Path

import click

from kanji_np.cli.options import (
    PATH,
    NetworkOptions,
    TargetOptions,
    network_options,
    target_options,
)
from kanji_np.errors import OptionError


@click.command()
@click.argument("model", type=PATH, required=False)
@network_options(help="Untrained instead of MODEL.")
@target_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def report(
    model: Path | None, network: NetworkOptions, target: TargetOptions, as_json: bool
) -> None:
    """Show operations, flash and RAM of every layer; no training needed.

    \b
    Example:
      kanji-np report --network resnet8
    """
    from kanji_np.report import cost_report

    is_told = network != NetworkOptions()
    if model is not None and not is_told:
        net = target.load(model)
    elif model is None and is_told:
        net = network.build({"target": target.spec()})
    else:
        raise OptionError(
            "report takes either a MODEL file or a network: --network, --channels ..."
        )
    result = cost_report(net)
    click.echo(result.json() if as_json else str(result))
