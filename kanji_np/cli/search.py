"""`kanji-np search`: from a board and a budget to trained, verified networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from kanji_np.cli.options import (
    PATH,
    BoardOptions,
    DataOptions,
    Typed,
    board_options,
    data_options,
    group,
)
from kanji_np.cli.run import channel_means, keeping
from kanji_np.cli.screen import command_line
from kanji_np.cli.train import TrainingOptions, augment_of
from kanji_np.errors import OptionError

if TYPE_CHECKING:
    from kanji_np.data import Dataset
    from kanji_np.search.family import Family


class Choices(Typed):
    """A name and values, separated by commas."""

    name = "NAME=V,V,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int | float | str, ...]]:
        if isinstance(value, tuple):
            return value
        name, equals, values = value.partition("=")
        if not name or not equals or not all(values.split(",")):
            self.fail(f"{value!r} is not like width=8,16,24", param, ctx)
        return name, tuple(map(_value, values.split(",")))

    def typed(self, value: tuple[str, tuple[Any, ...]]) -> str:
        """The text that stands for a value."""
        return f"{value[0]}={','.join(map(str, value[1]))}"


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@dataclass(frozen=True)
class FamilyOptions:
    """Which networks are searched."""

    family: Annotated[
        Path | None,
        click.option(
            "--family",
            type=PATH,
            metavar="FILE.py",
            show_default="networks for images",
            help="A Python file that defines `space`, lists of values by name, and "
            "`build`, a function of one value for each name that returns a network.",
        ),
    ]
    choice: Annotated[
        tuple[tuple[str, tuple[int | float | str, ...]], ...],
        click.option(
            "--choice",
            type=Choices(),
            multiple=True,
            help="Values of one choice of the networks for images: resolution, block "
            "(conv, depthwise, residual), width, growth, stages, depth, kernel, "
            "shrink (pool, stride) or head (flatten, average). May be repeated.",
        ),
    ]

    def load(self, images: Dataset, seed: int) -> Family:
        """The family, for a dataset."""
        from kanji_np.search.family import read_family
        from kanji_np.search.images import image_family

        if self.family is not None:
            if self.choice:
                raise OptionError(
                    "--choice is for networks for images, and --family has its own"
                )
            return read_family(self.family)
        space = dict(self.choice)
        if len(space) < len(self.choice):
            raise OptionError("--choice names a choice twice: list all values in one")
        return image_family(
            images.input_shape,
            len(images.classes),
            space,
            mean=channel_means(images),
            seed=seed,
        )


@dataclass(frozen=True)
class SearchOptions:
    """How candidates are drawn, and how many are trained by whom."""

    budget: Annotated[
        str | None,
        click.option(
            "--budget",
            metavar="LIMITS",
            help="flash=256K,ram=64K,latency=100ms,energy=5mJ or a part of it.",
        ),
    ]
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
@board_options
@group("family", FamilyOptions)
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
    data: DataOptions, board: BoardOptions, family: FamilyOptions,
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
    from kanji_np.search.run import search_networks
    from kanji_np.search.workers import USUAL_PROCESSES

    place = board.load()
    images, test = data.load()
    found = family.load(images, recipe.seed)
    if not options.train:
        ranking = rank(
            found, options.candidates, board=place, library=board.library,
            budget=options.budget, sampler=options.sampler, seed=recipe.seed,
            workers=options.workers or USUAL_PROCESSES,
        )  # fmt: skip
        click.echo(ranking)
        return
    assert output is not None
    mean = channel_means(images)
    augment = augment_of(images, recipe.augment, recipe.crop, recipe.cutout, mean)
    with keeping(output, "repeat the command to go on"):
        networks = search_networks(
            found, (images, test), output, board=place,
            recipe=replace(wanted, augment=augment), seed=recipe.seed,
            library=board.library, **vars(options),
        )  # fmt: skip
    click.echo(networks)
    if networks.finalists:
        model = networks.finalists[0].directory / "model.npz"
        click.echo(f"\nnext:\n  {command_line('evaluate', model)} --data SOURCE")
