"""`kanji-np train`: a network of the zoo, by the default recipe or another."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kanji_np.cli.evaluate import ACCURACY, metric_of, score_of
from kanji_np.cli.options import (
    PATH,
    PRECISIONS,
    DataOptions,
    NetworkOptions,
    TargetOptions,
    data_options,
    group,
    network_options,
    target_options,
)
from kanji_np.cli.run import (
    FIRMWARE,
    MODEL,
    channel_means,
    check_run,
    draw_curves,
    keeping,
)
from kanji_np.cli.screen import command_line
from kanji_np.errors import OptionError

if TYPE_CHECKING:
    from kanji_np.data import Augment, Dataset
    from kanji_np.model import Model
    from kanji_np.optim import Optimizer
    from kanji_np.results import Result
    from kanji_np.train import History

# The keys of tables of other modules, as those in options.py.
RANGES = ("minmax", "percentile", "learned")
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("one-cycle", "cosine", "step", "exponential", "constant")


@dataclass(frozen=True)
class RecipeOptions:
    """What the network begins with, and how it is trained."""

    start: Path | None
    ranges: str
    epochs: int
    batch: int
    optimizer: str
    lr: float | None
    momentum: float | None
    weight_decay: float | None
    schedule: str
    precision: str
    fp32_epochs: int
    averaging: float
    freeze_batch_norm: float
    label_smoothing: float
    augment: bool | None
    crop: int | None
    cutout: int
    seed: int


recipe_options = group(
    "recipe",
    RecipeOptions,
    click.option(
        "--start",
        type=PATH,
        metavar="MODEL",
        help="Begin with the weights of a trained model of this network, whatever its "
        "scheme and precision.",
    ),
    click.option(
        "--ranges",
        type=click.Choice(RANGES),
        default="minmax",
        help="How the ranges are found that scales are made from.",
    ),
    click.option("--epochs", type=click.IntRange(1), default=30),
    click.option("--batch", type=click.IntRange(1), default=64, help="Images a step."),
    click.option("--optimizer", type=click.Choice(OPTIMIZERS), default="sgd"),
    click.option(
        "--lr",
        type=click.FloatRange(0, min_open=True),
        help="Learning rate at its highest; 0.02 for sgd, 0.001 for the others.",
    ),
    click.option(
        "--momentum",
        type=click.FloatRange(0, 1, max_open=True),
        help="sgd only; 0.9 if not given.",
    ),
    click.option(
        "--weight-decay",
        type=click.FloatRange(0),
        help="0.0005 for sgd, 0 for adam, 0.01 for adamw.",
    ),
    click.option(
        "--schedule",
        type=click.Choice(SCHEDULES),
        default="one-cycle",
        help="Course of the learning rate.",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="int8",
        help="int8 trains in the device's arithmetic; fp32 is the baseline.",
    ),
    click.option(
        "--fp32-epochs",
        type=click.IntRange(0),
        default=0,
        help="So many of the epochs in fp32 first.",
    ),
    click.option(
        "--averaging",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.998,
        help="Weight of the past in the moving average of the weights that is scored "
        "and kept; 0 keeps the last weights.",
    ),
    click.option(
        "--freeze-batch-norm",
        type=click.FloatRange(0, 1),
        default=0.9,
        help="Part of the epochs after which batch normalization takes in no more "
        "batches.",
    ),
    click.option(
        "--label-smoothing", type=click.FloatRange(0, 1, max_open=True), default=0.1
    ),
    click.option(
        "--augment/--no-augment",
        default=None,
        help="Random crops by 4 pixels, and mirroring; if not told, as suits the "
        "dataset.",
    ),
    click.option(
        "--crop",
        type=click.IntRange(0),
        help="Random crops move an image so far at most [pixels].",
    ),
    click.option(
        "--cutout",
        type=click.IntRange(0),
        default=0,
        help="Side of a square painted over [pixels].",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        help="Of weights, order and augmentation.",
    ),
)


@dataclass(frozen=True)
class RunOptions:
    """What a run is called, and where its files go."""

    name: str | None
    directory: Path | None
    resume: bool
    result: Path | None


run_options = group(
    "run",
    RunOptions,
    click.option("--name", help="C identifier for files and functions; from the data."),
    click.option(
        "--directory", type=PATH, help="Where results go; runs/NAME if not given."
    ),
    click.option("--resume", is_flag=True, help="Go on with the run in the directory."),
    click.option(
        "--result",
        type=PATH,
        metavar="FILE",
        help="Write what came out to a .json file.",
    ),
)


@dataclass(frozen=True)
class Scores:
    """What a trained network reached on the test images, in 0..1."""

    metric: str
    int8: float
    fp32: float | None

    @classmethod
    def of(cls, net: Model, test: Dataset, precision: str) -> Scores:
        """In int8, and in fp32 if that is what it was trained in."""
        fp32 = score_of(net, test, "fp32") if precision == "fp32" else None
        return cls(metric_of(net, test), score_of(net, test, "int8"), fp32)


@click.command()
@data_options
@network_options(default="paper-cnn", help="See zoo.py.")
@target_options
@recipe_options
@run_options
@click.pass_obj
def train(
    arguments: tuple[str, ...], data: DataOptions, network: NetworkOptions,
    target: TargetOptions, recipe: RecipeOptions, run: RunOptions,
) -> None:  # fmt: skip
    """Train a network of the zoo by the default recipe, or as options say.

    Writes model.npz, history.csv, checkpoint.npz and curves.png.

    \b
    Example:
      kanji-np train --data cifar10 --download --channels 32,32,64
    """
    optimizer = _optimizer(
        recipe.optimizer, recipe.lr, recipe.momentum, recipe.weight_decay
    )
    if recipe.fp32_epochs > recipe.epochs:
        raise OptionError(
            f"--fp32-epochs must be at most --epochs ({recipe.epochs}), "
            f"got {recipe.fp32_epochs}"
        )
    if run.directory is not None:
        check_run(run.directory, run.resume)

    import kanji_np as kj
    from kanji_np import optim
    from kanji_np.results import check_output, write_result

    if run.result is not None:
        check_output(run.result)
    spec = target.spec()
    images, test = data.load()
    name = _identifier(images.name) if run.name is None else run.name
    mean = channel_means(images)
    net = network.build({
        "input_shape": images.input_shape,
        "inputs": images.input_shape[-1],
        "classes": len(images.classes),
        "mean": mean,
        "target": spec,
        "ranges": recipe.ranges,
        "seed": recipe.seed,
        "name": name,
    })  # fmt: skip
    if recipe.start is not None:
        net.take_weights(kj.load(recipe.start))
    by_label = network.network != "autoencoder"
    directory = run.directory or Path("runs") / name
    check_run(directory, run.resume)
    with keeping(directory, "repeat the command with --resume to go on"):
        history = kj.fit(
            net,
            images,
            epochs=recipe.epochs,
            validation=test if by_label else None,
            reproduce_inputs=not by_label,
            batch_size=recipe.batch,
            optimizer=optimizer,
            schedule=optim.SCHEDULES[recipe.schedule](),
            label_smoothing=recipe.label_smoothing,
            augment=_augment(images, recipe.augment, recipe.crop, recipe.cutout, mean),
            averaging=recipe.averaging,
            freeze_batch_norm=recipe.freeze_batch_norm,
            precision=recipe.precision,
            fp32_epochs=recipe.fp32_epochs,
            seed=recipe.seed,
            directory=directory,
            resume=run.resume,
        )
        curves = draw_curves(history, directory)
        scores = Scores.of(net, test, recipe.precision)
    if run.result is not None:
        made = _result(arguments, images.name, network, recipe, net, history, scores)
        write_result(run.result, made)
    if scores.fp32 is not None:
        click.echo(_score_line("fp32", scores.metric, scores.fp32))
    score_line = _score_line("int8", scores.metric, scores.int8)
    click.echo(f"{score_line} on {len(test):,} test images")
    click.echo(f"curves         {curves}")
    model, firmware = directory / MODEL, directory / FIRMWARE
    click.echo(f"\nnext:\n  {command_line('export', model, firmware)}")


def _optimizer(
    name: str, lr: float | None, momentum: float | None, weight_decay: float | None
) -> Optimizer:
    if momentum is not None and name != "sgd":
        raise OptionError(f"--momentum applies to --optimizer sgd only, not {name}")

    from kanji_np import optim

    given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    told = {option: value for option, value in given.items() if value is not None}
    return optim.OPTIMIZERS[name](**told)


def _augment(
    images: Dataset,
    augment: bool | None,
    crop: int | None,
    cutout: int,
    mean: tuple[int, ...],
) -> Augment | None:
    """What the dataset says of itself, as far as no option says otherwise."""
    from kanji_np.data import Augment

    wanted = images.augment or Augment.none()
    if augment is not None:
        wanted = Augment() if augment else Augment.none()
    if crop is not None:
        wanted = replace(wanted, crop_padding=crop)
    wanted = replace(wanted, cutout=cutout)
    return None if wanted == Augment.none() else replace(wanted, fill=mean)


def _identifier(text: str) -> str:
    """A C identifier in lower case that resembles `text`."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"net_{name}".rstrip("_")


def _result(
    arguments: tuple[str, ...], data: str, network: NetworkOptions,
    recipe: RecipeOptions, net: Model, history: History, scores: Scores,
) -> Result:  # fmt: skip
    """What came out, and of what."""
    from kanji_np.loops.threads import limit
    from kanji_np.results import Result, cpu_model, portable, source

    return Result(
        command=shlex.join(["kanji-np", *map(portable, arguments)]),
        source=source(),
        cpu=cpu_model(),
        threads=limit(),
        data=data,
        network=network.title,
        target=str(net.target),
        scheme=net.quantization.scheme.name,
        ranges=recipe.ranges,
        weight_bits=int(network.weight_bits or 8),
        precision=recipe.precision,
        fp32_epochs=recipe.fp32_epochs,
        is_begun=recipe.start is not None,
        epochs=recipe.epochs,
        seed=recipe.seed,
        seconds=round(sum(record.seconds for record in history.epochs), 2),
        metric=scores.metric,
        int8_score=scores.int8,
        fp32_score=scores.fp32,
        digest=net.freeze().digest(),
    )


def _score_line(precision: str, metric: str, score: float) -> str:
    text = f"{100 * score:.2f} %" if metric == ACCURACY else f"{score:.4f}"
    return f"{precision} {metric:<8}  {text}"
