"""`kanji-np train`: a network of the zoo, by the default recipe or another."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from kanji_np.choices import OPTIMIZERS, SCHEDULES
from kanji_np.cli.evaluate import ACCURACY, metric_of, score_line, score_of
from kanji_np.cli.options import (
    PATH,
    BudgetOptions,
    DataOptions,
    Decorator,
    NetworkOptions,
    QuantizationOptions,
    TargetOptions,
    budget_options,
    data_options,
    given,
    group,
    load_network,
    network_options,
    note_other_target,
    ranges_option,
    target_options,
)
from kanji_np.cli.pixels import at_resolution
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
from kanji_np.recipe import Recipe, help_of, settings

if TYPE_CHECKING:
    from kanji_np.data import Augmentation, Dataset
    from kanji_np.model import Model
    from kanji_np.optim import Optimizer
    from kanji_np.results import Result
    from kanji_np.train import Callback


def setting(flag: str, name: str, help: str | None = None) -> Decorator:
    """The option of a field of `Recipe`, which says all but how it is typed."""
    own = settings()[name]
    allowed = own.allowed
    kind: click.Choice[str] | click.IntRange | click.FloatRange
    if own.kind is str:
        kind = click.Choice(allowed)
    elif own.kind is int:
        kind = click.IntRange(allowed.least)
    elif allowed.below is None:
        kind = click.FloatRange(allowed.least, allowed.most)
    else:
        kind = click.FloatRange(allowed.least, allowed.below, max_open=True)
    help = help or own.help
    return click.option(flag, name, type=kind, default=own.default, help=help)


@dataclass(frozen=True)
class StartOptions:
    """What a network begins with."""

    start: Annotated[
        Path | None,
        click.option(
            "--start",
            type=PATH,
            metavar="MODEL",
            help="Train a model file on. With --network, --channels, --pool or "
            "--batch-norm that network begins with the file's weights, whatever its "
            "scheme and precision.",
        ),
    ]
    ranges: Annotated[str | None, ranges_option]


@dataclass(frozen=True)
class TrainingOptions:
    """How a network is trained."""

    epochs: Annotated[int, setting("--epochs", "epochs")]
    batch_size: Annotated[int, setting("--batch", "batch_size")]
    optimizer: Annotated[
        str,
        click.option(
            "--optimizer",
            type=click.Choice(OPTIMIZERS),
            default="sgd",
            help=help_of("optimizer"),
        ),
    ]
    lr: Annotated[
        float | None,
        click.option(
            "--lr",
            type=click.FloatRange(0, min_open=True),
            show_default="0.02 for sgd, 0.001 for adam and adamw",
            help="Learning rate at its highest.",
        ),
    ]
    momentum: Annotated[
        float | None,
        click.option(
            "--momentum",
            type=click.FloatRange(0, 1, max_open=True),
            show_default="0.9",
            help="Of sgd.",
        ),
    ]
    weight_decay: Annotated[
        float | None,
        click.option(
            "--weight-decay",
            type=click.FloatRange(0),
            show_default="0.0005 for sgd, 0 for adam, 0.01 for adamw",
            help="Of weights, not of biases.",
        ),
    ]
    schedule: Annotated[
        str,
        click.option(
            "--schedule",
            type=click.Choice(SCHEDULES),
            default="one-cycle",
            help=help_of("schedule"),
        ),
    ]
    precision: Annotated[str, setting("--precision", "precision")]
    fp32_epochs: Annotated[int, setting("--fp32-epochs", "fp32_epochs")]
    averaging: Annotated[float, setting("--averaging", "averaging")]
    freeze_batch_norm: Annotated[
        float, setting("--freeze-batch-norm", "freeze_batch_norm")
    ]
    label_smoothing: Annotated[float, setting("--label-smoothing", "label_smoothing")]
    augment: Annotated[
        bool | None,
        click.option(
            "--augment/--no-augment",
            default=None,
            show_default="as suits the dataset",
            help="Random crops and mirroring.",
        ),
    ]
    crop: Annotated[
        int | None,
        click.option(
            "--crop",
            type=click.IntRange(0),
            show_default="4 with --augment",
            help="The most that a random crop moves an image [pixels].",
        ),
    ]
    cutout: Annotated[
        int,
        click.option(
            "--cutout",
            type=click.IntRange(0),
            default=0,
            help="Side of a square painted over [pixels].",
        ),
    ]
    seed: Annotated[
        int, setting("--seed", "seed", help="Of weights, order and augmentation.")
    ]

    def recipe(self) -> Recipe:
        """All of it but augmentation, which depends on the images."""
        from kanji_np import optim

        shared = vars(self).keys() & settings()
        return Recipe(
            optimizer=_optimizer(
                self.optimizer, self.lr, self.momentum, self.weight_decay
            ),
            schedule=optim.SCHEDULES[self.schedule](),
            **{name: getattr(self, name) for name in shared},
        )


@dataclass(frozen=True)
class RecipeOptions(TrainingOptions, StartOptions):
    """Both, those of the start first."""


@dataclass(frozen=True)
class PlaceOptions:
    """What a run is called, and where its files go."""

    name: Annotated[
        str | None,
        click.option(
            "--name",
            show_default="from the data's name",
            help="C identifier for files and functions.",
        ),
    ]
    directory: Annotated[
        Path | None,
        click.option(
            "--directory",
            type=PATH,
            show_default="runs/NAME",
            help="Where results go.",
        ),
    ]
    resume: Annotated[
        bool,
        click.option(
            "--resume", is_flag=True, help="Go on with the run in the directory."
        ),
    ]


@dataclass(frozen=True)
class RunOptions(PlaceOptions):
    """The same, and where what came out is told."""

    result: Annotated[
        Path | None,
        click.option(
            "--result",
            type=PATH,
            metavar="FILE",
            help="Write what came out to a .json file.",
        ),
    ]
    tensorboard: Annotated[
        Path | None,
        click.option(
            "--tensorboard",
            type=PATH,
            metavar="DIR",
            help="Log every epoch for TensorBoard there.",
        ),
    ]

    def callbacks(self) -> list[Callback]:
        """What is to be told of every epoch."""
        from kanji_np.train import TensorBoard

        return [] if self.tensorboard is None else [TensorBoard(self.tensorboard)]


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
@network_options(default="paper-cnn, or that of --start", help="See zoo.py.")
@target_options
@group("recipe", RecipeOptions)
@group("run", RunOptions)
@budget_options()
@click.pass_context
def train(
    context: click.Context, data: DataOptions, network: NetworkOptions,
    target: TargetOptions, recipe: RecipeOptions, run: RunOptions, costs: BudgetOptions,
) -> None:  # fmt: skip
    """Train a network of the zoo, or that of a file, by the default recipe or another.

    Writes model.npz, history.csv, checkpoint.npz and curves.png.

    \b
    Example:
      kanji-np train --data cifar10 --download --channels 32,32,64
    """
    wanted = recipe.recipe()
    target = costs.target(target)
    costs.limits()
    if run.directory is not None:
        check_run(run.directory, run.resume)

    import kanji_np as kj
    from kanji_np.data import fitted
    from kanji_np.results import check_output, write_result

    if run.result is not None:
        check_output(run.result)
    images, test = data.load()
    mean = channel_means(images)
    if recipe.start is not None and not network.is_named:
        net = _network_of(recipe.start, target, network, recipe, run.name)
        images, test = fitted(images, net.input.shape), at_resolution(net, test)
        title = net.name
    else:
        net = _of_the_zoo(network, images, mean, target, recipe, run.name)
        title = network.title
    costs.check(net)
    by_label = metric_of(net, images) == ACCURACY
    wanted = replace(
        wanted,
        reproduce_inputs=not by_label,
        augment=augment_of(images, recipe.augment, recipe.crop, recipe.cutout, mean),
    )
    directory = run.directory or Path("runs") / net.name
    check_run(directory, run.resume)
    with keeping(directory, "repeat the command with --resume to go on"):
        history = kj.fit(
            net,
            images,
            validation=test if by_label else None,
            directory=directory,
            resume=run.resume,
            callbacks=run.callbacks(),
            **vars(wanted),
        )
        curves = draw_curves(history, directory)
        scores = Scores.of(net, test, recipe.precision)
    if run.result is not None:
        made = result_of(
            context, images.name, title, recipe, net, scores,
            weight_bits=int(network.weight_bits or 8),
            is_begun=recipe.start is not None,
            seconds=sum(record.seconds for record in history.epochs),
        )  # fmt: skip
        write_result(run.result, made)
    if scores.fp32 is not None:
        click.echo(score_line("fp32", scores.metric, scores.fp32))
    text = score_line("int8", scores.metric, scores.int8)
    click.echo(f"{text} on {len(test):,} test images")
    click.echo(f"curves         {curves}")
    model, firmware = directory / MODEL, directory / FIRMWARE
    click.echo(f"\nnext:\n  {command_line('export', model, firmware)}")


def _of_the_zoo(
    network: NetworkOptions, images: Dataset, mean: tuple[int, ...] | None,
    target: TargetOptions, recipe: RecipeOptions, name: str | None,
) -> Model:  # fmt: skip
    """A network by name, with the weights of another one if --start names it."""
    net = network.build({
        "input_shape": images.input_shape,
        "inputs": images.input_shape[-1],
        "classes": len(images.classes),
        "mean": mean,
        "target": target.spec(),
        "ranges": recipe.ranges or "minmax",
        "seed": recipe.seed,
        "name": _identifier(images.name) if name is None else name,
    })  # fmt: skip
    if recipe.start is not None:
        start = load_network(recipe.start)
        note_other_target(start, net.target)
        net.take_weights(start)
    return net


def _network_of(
    start: Path, target: TargetOptions, network: NetworkOptions,
    recipe: RecipeOptions, name: str | None,
) -> Model:  # fmt: skip
    """The network of a model file."""
    from kanji_np import formats
    from kanji_np.checks import lower_identifier

    if formats.is_foreign(start):
        raise OptionError(
            f"{start} must be converted before it is trained on: "
            f"`{command_line('import', start)} --data SOURCE --epochs N` does both"
        )
    net = target.load(start)
    note_other_target(net)
    wanted = QuantizationOptions(network.scheme, recipe.ranges, network.weight_bits)
    net = wanted.of(net)
    if name is not None:
        net.name = lower_identifier("name", name)
    return net


def _optimizer(
    name: str, lr: float | None, momentum: float | None, weight_decay: float | None
) -> Optimizer:
    if momentum is not None and name != "sgd":
        raise OptionError(f"--momentum applies to --optimizer sgd only, not {name}")

    from kanji_np import optim

    given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    told = {option: value for option, value in given.items() if value is not None}
    return optim.OPTIMIZERS[name](**told)


def augment_of(
    images: Dataset,
    augment: bool | None,
    crop: int | None,
    cutout: int,
    mean: tuple[int, ...] | None,
) -> Augmentation | None:
    """What the dataset says of itself, as far as no option says otherwise."""
    from kanji_np.data import Augment

    wanted = images.augment or Augment.none()
    if not isinstance(wanted, Augment):  # of signals
        if augment is None and crop is None and not cutout:
            return wanted
        wanted = Augment.none()
    if augment is not None:
        wanted = Augment() if augment else Augment.none()
    if crop is not None:
        wanted = replace(wanted, crop_padding=crop)
    wanted = replace(wanted, cutout=cutout)
    if wanted == Augment.none():
        return None
    if mean is None:
        raise OptionError(
            f"--augment, --crop and --cutout are for uint8 images; {images.name} has "
            f"{images.images.dtype}"
        )
    return replace(wanted, fill=mean)


def _identifier(text: str) -> str:
    """A C identifier in lower case that resembles `text`."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"net_{name}".rstrip("_")


def result_of(
    context: click.Context, data: str, network: str, recipe: TrainingOptions,
    net: Model, scores: Scores, *, weight_bits: int, is_begun: bool, seconds: float,
) -> Result:  # fmt: skip
    """What came out, and of what."""
    from kanji_np.loops.threads import limit
    from kanji_np.results import Result, cpu_model, portable, source

    return Result(
        command=shlex.join(["kanji-np", *map(portable, context.obj)]),
        options=given(context),
        source=source(),
        cpu=cpu_model(),
        threads=limit(),
        data=data,
        network=network,
        target=str(net.target),
        scheme=net.quantization.scheme.name,
        ranges=net.quantization.ranges,
        weight_bits=weight_bits,
        precision=recipe.precision,
        fp32_epochs=recipe.fp32_epochs,
        is_begun=is_begun,
        epochs=recipe.epochs,
        seed=recipe.seed,
        seconds=round(seconds, 2),
        metric=scores.metric,
        int8_score=scores.int8,
        fp32_score=scores.fp32,
        digest=net.freeze().digest(),
    )
