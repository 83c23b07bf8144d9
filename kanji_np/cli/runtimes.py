"""`kanji-np compare-runtimes`: one network as several runtimes compute it."""

from __future__ import annotations

from pathlib import Path

import click

from kanji_np.cli.options import (
    PATH,
    DataOptions,
    check_calibrated,
    data_options,
    load_network,
    spread,
)
from kanji_np.cli.pixels import PixelOptions, matched, pixel_options

IMAGES = 1000


@click.command("compare-runtimes")
@click.argument("model", type=PATH)
@data_options
@pixel_options
@click.option(
    "--images",
    type=click.IntRange(1),
    default=IMAGES,
    help="How many test images, spread evenly over all of them.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def compare_runtimes(
    model: Path, data: DataOptions, pixels: PixelOptions, images: int, as_json: bool
) -> None:
    """Score a model as TFLite Micro, LiteRT, XNNPACK and CMSIS-NN compute it.

    Shows how many output bytes differ between each two of them, the first layer whose
    bytes do, and the smallest input found that shows it.

    \b
    Example:
      kanji-np compare-runtimes runs/cifar10/model.npz --data cifar10
    """
    from kanji_np.runtimes import compare_runtimes

    net = load_network(model)
    test = spread(data.load(net.input.shape)[1], images)
    net, test = matched(
        net, model, test, lambda layer: load_network(model, image_layer=layer), pixels
    )
    check_calibrated(net, model)
    found = compare_runtimes(net, test)
    if as_json:
        click.echo(found.json())
        return
    click.echo(found)
    if net.trained_for is not None:
        click.echo(f"\ntrained for {net.trained_for}")
