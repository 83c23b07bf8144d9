"""`kanji-np compare`: networks, targets and boards side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kanji_np.choices import KERNEL_LIBRARIES, NETWORKS
from kanji_np.cli.options import PATH, DataOptions, group, load_network
from kanji_np.cli.pixels import PixelOptions, for_images, pixel_options
from kanji_np.errors import OptionError

if TYPE_CHECKING:
    from kanji_np.comparison.compare import Named
    from kanji_np.data import Dataset


@click.command()
@click.argument("networks", nargs=-1, required=True, metavar="MODEL|NETWORK...")
@click.option(
    "--board",
    metavar="NAME|FILE.toml",
    multiple=True,
    help="Estimate costs on this board; may be given again. See `kanji-np boards`.",
)
@click.option(
    "--target",
    metavar="LIBRARY[/VERSION]",
    multiple=True,
    show_default="each network's own",
    help="cmsis-nn, cmsis-nn/4.0.0, cmsis-nn-q7 ...; may be given again.",
)
@click.option(
    "--library",
    type=click.Choice(KERNEL_LIBRARIES),
    multiple=True,
    default=("ccore",),
    help="The kernels that are linked; may be given again.",
)
@group(
    "data",
    DataOptions,
    {
        "data": click.option(
            "--data",
            metavar="SOURCE",
            show_default="what training recorded beside a model",
            help="Score trained models on these test images; see `kanji-np datasets`.",
        )
    },
)
@pixel_options
@click.option("--markdown", is_flag=True, help="A table in Markdown.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
@click.option(
    "--plot", type=PATH, metavar="FILE", help="Draw it as a .png or .svg file."
)
@click.option(
    "--html", type=PATH, metavar="FILE", help="Write a page that opens from disk."
)
def compare(
    networks: tuple[str, ...], board: tuple[str, ...], target: tuple[str, ...],
    library: tuple[str, ...], data: DataOptions, pixels: PixelOptions, markdown: bool,
    as_json: bool, plot: Path | None, html: Path | None,
) -> None:  # fmt: skip
    """Show what networks score and cost on boards, and mark the Pareto front.

    A NETWORK is one that `train --network` has, untrained, with channels behind a
    colon where it has some.

    \b
    Example:
      kanji-np compare paper-cnn:16,16,32 paper-cnn resnet8 --board nucleo-f446re
    """
    if markdown and as_json:
        raise OptionError("--markdown and --json exclude each other")

    from kanji_np.comparison.compare import compare_named
    from kanji_np.plots import check_plot, plot_comparison
    from kanji_np.report.page import check_page, write_page

    if plot is not None:
        check_plot(plot, (".png", ".svg"))
    if html is not None:
        check_page(html)
    if data.data is None:
        pixels.check_unused("they are for the images of --data")
    test = None if data.data is None else data.load()[1]
    found = compare_named(
        [_named(network, test, pixels) for network in networks],
        boards=board, targets=target, libraries=library, data=test,
    )  # fmt: skip
    if plot is not None:
        plot_comparison(found, plot)
    if html is not None:
        write_page(html, found.html())
    shown = found.markdown() if markdown else found.json() if as_json else str(found)
    click.echo(shown)


def _named(text: str, test: Dataset | None, pixels: PixelOptions) -> Named:
    """A network by its name or of a file, for the images it is scored on."""
    from kanji_np.comparison.compare import Named, file_of, named

    if text.partition(":")[0] in NETWORKS:
        return named(text)
    path = file_of(text)
    net = load_network(path)
    if test is not None and net.is_calibrated:
        net = for_images(
            net, path, test, lambda layer: load_network(path, image_layer=layer), pixels
        )
    return Named(text, net, path)
