"""`kanji-np import`: a network from elsewhere, converted, scored, trained on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kanji_np.choices import OPTIMIZERS, PRECISIONS, SCHEDULES
from kanji_np.cli.chance import is_chance, note_chance, note_classes
from kanji_np.cli.evaluate import ACCURACY, metric_of, score_line, score_of
from kanji_np.cli.options import (
    PATH,
    BudgetOptions,
    DataOptions,
    QuantizationOptions,
    TargetOptions,
    budget_options,
    data_options,
    group,
    quantization_options,
    spread,
    target_options,
)
from kanji_np.cli.pixels import (
    PixelOptions,
    at_resolution,
    input_text,
    pixel_options,
    pixel_text,
    said_of_input,
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
from kanji_np.cli.train import (
    RunOptions,
    Scores,
    TrainingOptions,
    augment_of,
    result_of,
)
from kanji_np.errors import DataError, OptionError, ShapeError
from kanji_np.recipe import help_of

if TYPE_CHECKING:
    from kanji_np.data import Dataset
    from kanji_np.formats.builder import Imported
    from kanji_np.model import Model
    from kanji_np.recipe import Recipe

CALIBRATION_IMAGES = 500
#: Learning rates to go on with: those of a training from scratch undo what was learned.
#: Adam's steps do not grow with the inputs, whatever features those are.
FINE_TUNING = {"sgd": 0.0001, "adam": 5e-5, "adamw": 5e-5}


@dataclass(frozen=True)
class Conversion:
    """The scores of a network on its way, 0..1; what could not be scored is left out.

    Parameters
    ----------
    metric : str
    scores : mapping of precision to score
        Before it is trained on.
    epochs : tuple of float
        In int8 after each epoch.
    seconds : float
        Of training [s].
    """

    metric: str
    scores: dict[str, float] = field(default_factory=dict)
    epochs: tuple[float, ...] = ()
    seconds: float = 0.0


@click.command("import")
@click.argument("file", type=PATH)
@data_options
@pixel_options
@target_options
@quantization_options
@group(
    "training",
    TrainingOptions,
    {
        "epochs": click.option(
            "--epochs",
            type=click.IntRange(0),
            default=0,
            help="Passes over the training images after conversion.",
        ),
        "optimizer": click.option(
            "--optimizer",
            type=click.Choice(OPTIMIZERS),
            default="adam",
            help=help_of("optimizer"),
        ),
        "lr": click.option(
            "--lr",
            type=click.FloatRange(0, min_open=True),
            show_default="0.00005 for adam and adamw, 0.0001 for sgd",
            help="Learning rate at its highest.",
        ),
        "schedule": click.option(
            "--schedule",
            type=click.Choice(SCHEDULES),
            default="cosine",
            help=help_of("schedule"),
        ),
        "label_smoothing": click.option(
            "--label-smoothing",
            type=click.FloatRange(0, 1, max_open=True),
            default=0.0,
            help=help_of("label_smoothing"),
        ),
    },
)
@group("run", RunOptions)
@budget_options()
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="MODEL",
    show_default="model.npz in the directory",
    help="Where the model file goes.",
)
@click.option(
    "--plot", type=PATH, metavar="FILE", help="Draw the scores as a .png file."
)
@click.pass_context
def import_(
    context: click.Context, file: Path, data: DataOptions, pixels: PixelOptions,
    target: TargetOptions, quantization: QuantizationOptions,
    training: TrainingOptions, run: RunOptions, costs: BudgetOptions,
    output: Path | None, plot: Path | None,
) -> None:  # fmt: skip
    """Convert a .tflite or ONNX network, score it, and train it on in int8.

    Shows what became of every operator. The integers of an int8 file are kept; a float
    network gets its ranges from training images. With --epochs it is trained on in the
    target's own integers.

    \b
    Example:
      kanji-np import resnet.tflite --data cifar10 --epochs 2 -o resnet.npz
    """
    recipe = _recipe(training) if training.epochs else None
    if recipe is None and run.resume:
        raise OptionError("--resume goes on with a training: give its --epochs")

    target = costs.target(target)
    costs.limits()

    from kanji_np import modelfile, outputs
    from kanji_np.data import fitted
    from kanji_np.plots import check_plot
    from kanji_np.results import check_output, write_result

    if run.result is not None:
        check_output(run.result)
    if plot is not None:
        check_plot(plot)
        outputs.check_directory(plot.parent)
    if output is not None:
        outputs.check(output, modelfile.is_model, "a model", "choose another name")
    if run.directory is not None:
        check_run(run.directory, run.resume)
    images, test = data.load()
    imported, takes = _read(file, images, pixels, target, quantization, run.name)
    net = replace(quantization, scheme=None).of(imported.network)
    costs.check(net)
    images, test = fitted(images, net.input.shape), at_resolution(net, test)
    if not net.is_calibrated:
        net.calibrate(spread(images, CALIBRATION_IMAGES).images)
    click.echo(f"{_table(imported, net, takes)}\n")
    found = _scored(net, test)
    directory = run.directory or Path("runs") / net.name
    model = output or directory / MODEL
    if recipe is not None:
        augment = training.augment, training.crop, training.cutout
        recipe = replace(
            recipe,
            augment=augment_of(images, *augment, channel_means(images)),
            reproduce_inputs=found.metric != ACCURACY,
        )
        found = _train(net, images, test, recipe, directory, run, found)
    if recipe is None or output is not None:
        net.save(model)
    if plot is not None:
        _draw(found, net.name, plot)
    if run.result is not None:
        made = result_of(
            context, images.name, net.name, training, net,
            Scores.of(net, test, training.precision if training.epochs else "fp32"),
            weight_bits=int(quantization.weight_bits or 8), is_begun=True,
            seconds=found.seconds,
        )  # fmt: skip
        write_result(run.result, made)
    click.echo(f"model          {model}")
    firmware = directory / FIRMWARE
    click.echo(f"\nnext:\n  {command_line('export', model, firmware)}")


def _recipe(training: TrainingOptions) -> Recipe:
    lr = training.lr or FINE_TUNING[training.optimizer]
    return replace(training, lr=lr).recipe()


def _read(
    file: Path, images: Dataset, pixels: PixelOptions, target: TargetOptions,
    quantization: QuantizationOptions, name: str | None,
) -> tuple[Imported, list[str]]:  # fmt: skip
    """The network of a file, with a layer for images if that is what there is; and what
    it takes, as lines."""
    from kanji_np import formats
    from kanji_np.formats.conditioning import condition

    spec = target.spec()
    imported = formats.read(file, spec, name=name)
    net = imported.network
    if net.is_calibrated:
        quantization.check_unused(file)
    takes = [f"file    {input_text(net)}"]
    layer = pixels.layer_for(net, file, images)
    if layer is not None:
        takes.append(f"pixels  {pixel_text(layer.attrs, said_of_input(net))}")
    if layer is None and quantization.scheme is None:
        return imported, takes
    imported = formats.read(
        file, spec, name=name, image_layer=layer, scheme=quantization.scheme
    )
    condition(imported.network)
    return imported, takes


def _table(imported: Imported, net: Model, takes: list[str]) -> str:
    """What the file takes, and what became of every operator of it."""
    from kanji_np.report import text_table
    from kanji_np.types import shape_text

    made = {row.layer: row for row in imported.layers}
    header = ("in the file", "layer", "operator", "output", "scale", "")
    rows = []
    for node in net.freeze().nodes:
        row = made.get(node.name)
        y = node.output
        rows.append((
            row.source if row else "(images)",
            node.name,
            node.op,
            shape_text(y.shape),
            str(y.qparams),
            ", ".join(row.notes) if row else "",
        ))  # fmt: skip
    lines = [f"{net.name} for {net.target}, input {shape_text(net.input.shape)}"]
    lines += [*takes, ""]
    lines.append(text_table(header, rows, left_columns=len(header)))
    lines += [f"left out: {text}" for text in imported.dropped]
    return "\n".join(lines)


def _scored(net: Model, test: Dataset) -> Conversion:
    """The float network's score, and the converted one's."""
    metric = metric_of(net, test)
    try:
        scores = {p: score_of(net, test, p) for p in reversed(PRECISIONS)}
    except (DataError, ShapeError) as error:
        click.echo(f"not scored: {error}")
        return Conversion(metric)
    for precision, score in scores.items():
        click.echo(f"{score_line(precision, metric, score)} on {len(test):,} images")
    if metric == ACCURACY:
        _note(net, test, scores)
    return Conversion(metric, scores)


def _note(net: Model, test: Dataset, scores: dict[str, float]) -> None:
    """What to look at where the labels do not fit, or the scores are at chance."""
    note_classes(net, test)
    note_chance(net, test, scores["fp32"])
    if is_chance(scores["int8"], test) and not is_chance(scores["fp32"], test):
        click.echo(
            "note: only int8 is at chance: `kanji-np explain` with the model file "
            "shows the layers that lose accuracy",
            err=True,
        )


def _train(
    net: Model, images: Dataset, test: Dataset, recipe: Recipe, directory: Path,
    run: RunOptions, found: Conversion,
) -> Conversion:  # fmt: skip
    """Train on; scores after each epoch, or of an autoencoder after the last."""
    import kanji_np as kj

    check_run(directory, run.resume)
    by_label = found.metric == ACCURACY
    with keeping(directory, "repeat the command with --resume to go on"):
        history = kj.fit(
            net,
            images,
            validation=test if by_label else None,
            directory=directory,
            resume=run.resume,
            callbacks=run.callbacks(),
            **vars(recipe),
        )
        curves = draw_curves(history, directory)
    if by_label:
        epochs = tuple(record.validation_accuracy for record in history.epochs)
    else:
        epochs = (score_of(net, test, "int8"),)
    for i, score in enumerate(epochs):
        number = i + 1 if by_label else len(history.epochs)
        click.echo(f"{score_line('int8', found.metric, score)} after epoch {number}")
    click.echo(f"curves         {curves}")
    seconds = sum(record.seconds for record in history.epochs)
    return replace(found, epochs=epochs, seconds=seconds)


def _draw(found: Conversion, name: str, path: Path) -> None:
    from kanji_np.plots import plot_conversion

    factor = 100 if found.metric == ACCURACY else 1
    plot_conversion(
        f"{found.metric}{' [%]' if factor == 100 else ''}, {name}",
        {precision: factor * score for precision, score in found.scores.items()},
        [factor * score for score in found.epochs],
        path,
    )
