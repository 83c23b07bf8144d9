"""`kanji-np search`: from a board and a budget to trained, verified networks."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import click

from kanji_np.cli.family import FamilyOptions, family_options
from kanji_np.cli.options import (
    PATH,
    BudgetOptions,
    DataOptions,
    budget_options,
    data_options,
    group,
)
from kanji_np.cli.run import MODEL, channel_means, keeping
from kanji_np.cli.screen import command_line
from kanji_np.cli.train import TrainingOptions, augment_of
from kanji_np.errors import BudgetError, OptionError, VerificationError


@dataclass(frozen=True)
class SearchOptions:
    """How candidates are drawn, and how many are trained by whom."""

    candidates: Annotated[
        int,
        click.option(
            "--candidates",
            type=click.IntRange(1),
            default=2000,
            help="Networks that are costed and ranked without training.",
        ),
    ]
    sampler: Annotated[
        str,
        click.option(
            "--sampler",
            type=click.Choice(("random", "optuna")),
            default="random",
            help="Who proposes candidates.",
        ),
    ]
    train: Annotated[
        int,
        click.option(
            "--train",
            type=click.IntRange(0),
            default=0,
            help="Networks to train, the best of the ranking; 0 ranks only.",
        ),
    ]
    finalists: Annotated[
        int,
        click.option(
            "--finalists",
            type=click.IntRange(1),
            default=3,
            help="Networks that are trained for all epochs; the others for fewer.",
        ),
    ]
    held_out: Annotated[
        float,
        click.option(
            "--held-out",
            type=click.FloatRange(0.01, 0.5),
            default=0.1,
            help="Part of the training images that networks are compared by, before "
            "the finalists train on all of them.",
        ),
    ]
    workers: Annotated[
        int | None,
        click.option(
            "--workers",
            type=click.IntRange(1, 256),
            show_default="one for every core, at most 8",
            help="Processes, which share the cores.",
        ),
    ]
    scheduler: Annotated[
        str | None,
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Train on the workers of a Dask scheduler, such as "
            "tcp://10.0.0.1:8786; needs the extra `cluster`.",
        ),
    ]
    on: Annotated[
        str,
        click.option(
            "--on",
            metavar="CORE",
            default="host",
            help="Where C and model are compared: host, or a core to emulate, such as "
            "cortex-m4.",
        ),
    ]


@click.command()
@data_options
@budget_options(
    {
        "budget": click.option(
            "--budget",
            metavar="KEY=AMOUNT,...",
            help="Only networks that take no more, such as flash=256K,ram=64K,"
            "latency=100ms,energy=5mJ, or some of them. Flash and RAM of --board are "
            "limits, too.",
        )
    }
)
@family_options
@group("options", SearchOptions)
@group("recipe", TrainingOptions)
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="DIR",
    help="Where the search is kept: what is trained, and how to go on.",
)
def search(
    data: DataOptions, costs: BudgetOptions, family: FamilyOptions,
    options: SearchOptions, recipe: TrainingOptions, output: Path | None,
) -> None:  # fmt: skip
    """Find networks that fit a board and a budget: rank many, train the best.

    Candidates are ranked without training. With --train the best of them are trained
    by successive halving, exported and verified. The same command goes on where it
    was stopped.

    \b
    Example:
      kanji-np search --data cifar10 --board nucleo-f446re --budget \\
        flash=128K,ram=64K --train 20 -o runs/search
    """
    wanted = recipe.recipe()
    if options.train and output is None:
        raise OptionError("--train needs a directory for what is trained: add -o DIR")

    from kanji_np.search.rank import rank
    from kanji_np.search.run import PAGE, search_networks
    from kanji_np.search.workers import USUAL_PROCESSES

    place, limits = costs.load(), costs.limits()
    images, test = data.load()
    mean = channel_means(images)
    augment = augment_of(images, recipe.augment, recipe.crop, recipe.cutout, mean)
    networks = family.load(
        images.input_shape, len(images.classes), mean=mean, seed=recipe.seed
    )
    if not options.train:
        ranking = rank(
            networks, options.candidates, board=place, library=costs.library,
            budget=limits, sampler=options.sampler, seed=recipe.seed,
            workers=options.workers or USUAL_PROCESSES,
        )  # fmt: skip
        click.echo(ranking)
        if not ranking.fitting:
            sys.exit(BudgetError.exit_code)
        return
    assert output is not None
    with keeping(output, "repeat the command to go on"):
        found = search_networks(
            networks, (images, test), output, board=place, budget=limits,
            recipe=replace(wanted, augment=augment), seed=recipe.seed,
            library=costs.library, **vars(options),
        )  # fmt: skip
    click.echo(found)
    click.echo(f"page  {output / PAGE}")
    if any(each.differing_bytes for each in found.networks):
        sys.exit(VerificationError.exit_code)
    if found.finalists:
        model = found.finalists[0].directory / MODEL
        click.echo(f"\nnext:\n  {command_line('report', model)}")
