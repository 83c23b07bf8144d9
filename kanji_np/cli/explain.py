"""`kanji-np explain`: where a quantized network loses its accuracy."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click

from kanji_np.choices import PRECISIONS
from kanji_np.cli.evaluate import metric_of, score_line, score_of
from kanji_np.cli.options import (
    PATH,
    DataOptions,
    TargetOptions,
    data_options,
    note_other_target,
    spread,
    target_options,
)
from kanji_np.cli.pixels import PixelOptions, matched, pixel_options
from kanji_np.errors import DataError, ShapeError

IMAGES = 256


@click.command()
@click.argument("model", type=PATH)
@data_options
@pixel_options
@target_options
@click.option(
    "--images",
    type=click.IntRange(1),
    default=IMAGES,
    help="How many test images, spread evenly over all of them.",
)
@click.option(
    "--plot", type=PATH, metavar="FILE", help="Draw the layers as a .png file."
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def explain(
    model: Path, data: DataOptions, pixels: PixelOptions, target: TargetOptions,
    images: int, plot: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Compare every layer in int8 with the same network in float32.

    Shows the noise that quantization adds in each layer, what it does to the output,
    and which ranges are too small or too wide.

    \b
    Example:
      kanji-np explain runs/cifar10/model.npz --data cifar10 --plot layers.png
    """
    from kanji_np.explanation import explain
    from kanji_np.network import CALIBRATION_IMAGES
    from kanji_np.outputs import check_directory
    from kanji_np.plots import check_plot, plot_explanation

    if plot:
        check_plot(plot)
        check_directory(plot.parent)
    net = target.load(model)
    test = spread(data.load(net.input.shape)[1], images)
    net, test = matched(net, model, test, partial(target.load, model), pixels)
    note_other_target(net)
    if not net.is_calibrated:  # the scores are those of the layers shown
        net.calibrate(spread(test, CALIBRATION_IMAGES).images)
    found = explain(net, test.images)
    metric, scores, lines = metric_of(net, test), {}, []
    try:
        scores = {precision: score_of(net, test, precision) for precision in PRECISIONS}
        lines = [score_line(name, metric, score) for name, score in scores.items()]
    except (DataError, ShapeError) as error:  # a layer may be looked at all the same
        lines = [f"not scored: {error}"]
    if as_json:
        told = {"metric": metric, "scores": scores}
        click.echo(json.dumps(json.loads(found.json()) | told))
    else:
        click.echo("\n".join([f"{found}\n", *lines]))
    if plot:
        plot_explanation(found, plot)
