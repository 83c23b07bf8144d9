"""`kanji-np evaluate`, and the metric that a network is scored by."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kanji_np.choices import PRECISIONS
from kanji_np.cli.chance import note_chance, note_classes
from kanji_np.cli.options import (
    PATH,
    DataOptions,
    TargetOptions,
    check_trained,
    data_options,
    target_options,
)
from kanji_np.cli.pixels import PixelOptions, matched, pixel_options
from kanji_np.errors import OptionError

if TYPE_CHECKING:
    from kanji_np.data import Dataset
    from kanji_np.model import Model

ACCURACY, AUC = "accuracy", "AUC"


@click.command()
@click.argument("model", type=PATH)
@data_options
@pixel_options
@target_options
@click.option("--precision", type=click.Choice(PRECISIONS), default="int8")
@click.option(
    "--plot", type=PATH, metavar="FILE", help="Draw the confusions as a .png file."
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def evaluate(
    model: Path, data: DataOptions, pixels: PixelOptions, target: TargetOptions,
    precision: str, plot: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Score a model on the test images: in int8, what the chip will score.

    Prints the accuracy, precision and recall of each class, and how often it was taken
    for another. With another target than it was trained for: what that one would score.

    \b
    Example:
      kanji-np evaluate runs/cifar10/model.npz --data cifar10
    """
    from kanji_np import formats
    from kanji_np.outputs import check_directory
    from kanji_np.plots import check_plot, plot_confusion
    from kanji_np.report import scores

    if plot:
        check_plot(plot)
        check_directory(plot.parent)
    net = target.load(model)
    _, test = data.load(net.input.shape)
    net, test = matched(net, model, test, partial(target.load, model), pixels)
    if precision == "int8":
        check_trained(net, model)
    if metric_of(net, test) == AUC:
        if plot:
            raise OptionError(f"--plot draws classes, and {model} has none")
        score = score_of(net, test, precision)
        facts = {"metric": AUC, "score": score, "images": len(test)}
        text = f"{precision} AUC {score:.4f} of {len(test):,} test images"
        click.echo(json.dumps(facts) if as_json else text)
        return
    found = scores(net, test, precision=precision)
    click.echo(found.json() if as_json else found)
    note_classes(net, test)
    if formats.is_foreign(model):
        note_chance(net, test, found.accuracy)
    if plot:
        plot_confusion(found, plot)


def metric_of(net: Model, data: Dataset) -> str:
    """What says how good a network is: an autoencoder gives back its inputs."""
    reproduces = net.output_shape == net.input.shape != (len(data.classes),)
    return AUC if reproduces else ACCURACY


def score_of(net: Model, data: Dataset, precision: str) -> float:
    """The network's metric on a dataset, 0..1."""
    if metric_of(net, data) == ACCURACY:
        return net.evaluate(data, precision=precision)
    from kanji_np.anomaly import anomaly_scores, auc

    return auc(anomaly_scores(net, data.images, precision=precision), data.labels)


def score_line(precision: str, metric: str, score: float) -> str:
    """A score as commands show it: "int8 accuracy  87.50 %"."""
    text = f"{100 * score:.2f} %" if metric == ACCURACY else f"{score:.4f}"
    return f"{precision} {metric:<8}  {text}"
