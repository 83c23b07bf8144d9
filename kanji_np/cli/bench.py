"""`kanji-np bench`: how long training and evaluation take."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from kanji_np.choices import NETWORKS
from kanji_np.cli.options import (
    PATH,
    Channels,
    NetworkOptions,
    group,
    load_network,
)
from kanji_np.cli.screen import bar
from kanji_np.errors import OptionError

if TYPE_CHECKING:
    from kanji_np.bench import Bench
    from kanji_np.model import Model

#: What a network is called, and how it is made.
Case = tuple[str, Callable[[], "Model"]]


@dataclass(frozen=True)
class CaseOptions:
    """What is measured: every size, with every batch and number of threads."""

    network: Annotated[
        tuple[str, ...],
        click.option(
            "--network",
            type=click.Choice(NETWORKS),
            multiple=True,
            show_default="paper-cnn",
            help="See zoo.py; may be given again.",
        ),
    ]
    channels: Annotated[
        tuple[tuple[int, ...], ...],
        click.option(
            "--channels",
            type=Channels(),
            multiple=True,
            show_default="all four sizes of paper-cnn, of others their own",
            help="Output channels of the paper's networks; may be given again.",
        ),
    ]
    batch: Annotated[
        tuple[int, ...],
        click.option(
            "--batch",
            type=click.IntRange(1),
            multiple=True,
            show_default="128",
            help="Images in a step; may be given again.",
        ),
    ]
    threads: Annotated[
        tuple[int, ...],
        click.option(
            "--threads",
            type=click.IntRange(1),
            multiple=True,
            show_default="all",
            help="Threads that compute; may be given again.",
        ),
    ]
    steps: Annotated[
        int | None,
        click.option(
            "--steps",
            type=click.IntRange(1),
            show_default="20",
            help="Steps that each median is taken over.",
        ),
    ]

    @property
    def are_told(self) -> bool:
        """Whether an option says what to measure."""
        told = (self.network, self.channels, self.batch, self.threads, self.steps)
        return any(told)

    def measurements(
        self, measure: Callable[..., Any], model: Path | None
    ) -> list[Callable[[], Any]]:
        """Calls of `measure` in order, for the network of a file or those of options.

        Raises
        ------
        OptionError
            A network cannot be built, or options name networks beside a file.
        """
        from kanji_np.bench import BATCH, STEPS

        return [
            partial(
                measure, title, make, batch=images, threads=threads,
                steps=self.steps or STEPS,
            )
            for threads, (title, make), images in itertools.product(
                self.threads or (None,),
                self._named() if model is None else [self._read(model)],
                self.batch or (BATCH,),
            )
        ]  # fmt: skip

    def _read(self, model: Path) -> Case:
        """The network of a file."""
        if self.network or self.channels:
            raise OptionError(
                "bench takes either a MODEL file or networks: --network, --channels"
            )
        make = partial(load_network, model)
        return make().name, make

    def _named(self) -> list[Case]:
        """The networks that options name."""
        from kanji_np.zoo import PAPER_SIZES

        networks = []
        for name in self.network or ("paper-cnn",):
            own = PAPER_SIZES if name == "paper-cnn" else (None,)
            networks += [NetworkOptions(name, size) for size in self.channels or own]
        for network in networks:
            network.build({})  # nothing is measured if one of them cannot be
        return [(network.title, partial(network.build, {})) for network in networks]


@click.command()
@click.argument("model", type=PATH, required=False)
@group("cases", CaseOptions)
@click.option(
    "--layers", is_flag=True, help="Where the time of an int8 training step goes."
)
@click.option(
    "--json", "as_json", is_flag=True, help="One line of JSON per measurement."
)
@click.option(
    "--read",
    type=PATH,
    metavar="FILE",
    help="Show the measurements in a file of such lines; measure nothing.",
)
@click.option(
    "--plot", type=PATH, metavar="FILE", help="Draw the training steps as a .png file."
)
def bench(
    model: Path | None, cases: CaseOptions, layers: bool, as_json: bool,
    read: Path | None, plot: Path | None,
) -> None:  # fmt: skip
    """Time training and evaluation on random inputs.

    Measures the network of a MODEL file, or networks by name, with every size, batch
    and number of threads. The peak memory is the process's, so it is told of the first
    measurement only.

    \b
    Example:
      kanji-np bench --channels 32,32,64 --batch 128 --json
    """
    if layers and plot:
        raise OptionError("--plot draws whole steps: leave out --layers")
    if read and (model or cases.are_told or layers or as_json):
        raise OptionError("--read measures nothing: only --plot goes with it")

    from kanji_np.bench import read_measurements
    from kanji_np.loops.threads import check_limit
    from kanji_np.outputs import check_directory
    from kanji_np.plots import check_plot, plot_speed
    from kanji_np.report import speed_table

    if plot:
        check_plot(plot)
        check_directory(plot.parent)
    for count in cases.threads:
        check_limit(count)
    if layers:
        _show_layers(cases, model, as_json)
        return
    results = read_measurements(read) if read else _measure(cases, model, as_json)
    if not as_json:
        click.echo(speed_table(results))
    if plot:
        plot_speed(results, plot)


def _show_layers(cases: CaseOptions, model: Path | None, as_json: bool) -> None:
    """A table, or a line of JSON, of each training step."""
    from kanji_np.bench import measure_layers
    from kanji_np.report import breakdown_table

    for i, measure in enumerate(cases.measurements(measure_layers, model)):
        times = measure()
        if i and not as_json:
            click.echo()
        click.echo(times.json() if as_json else breakdown_table(times))


def _measure(cases: CaseOptions, model: Path | None, as_json: bool) -> list[Bench]:
    """All measurements; as JSON, each is shown when it is made."""
    from kanji_np.bench import measure

    measurements = cases.measurements(measure, model)
    results: list[Bench] = []
    with bar("measuring") as progress:
        for measure_case in measurements:
            result = measure_case()
            if results:  # the process had its peak in any of them
                result = replace(result, peak_rss_mb=None)
            results.append(result)
            if as_json:
                click.echo(result.json())
            elif progress:
                progress(len(results), len(measurements))
    return results
