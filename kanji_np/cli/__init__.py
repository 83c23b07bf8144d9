"""The command line: `kanji-np COMMAND`.

A command prints its results on standard output and its progress on standard error. What
a user can get wrong ends in one line and exit code 2, bytes that differ in exit code 1,
Ctrl-C in 130. Commands import what they need when they run, so that help is quick.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import itertools
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from kanji_np import __version__
from kanji_np.errors import (
    DataWarning,
    KanjiError,
    OptionError,
    ToolError,
    VerificationError,
)

if TYPE_CHECKING:
    from kanji_np.data import Augment, Dataset
    from kanji_np.deploy import Verification
    from kanji_np.model import Model
    from kanji_np.optim import Optimizer
    from kanji_np.results import Result
    from kanji_np.train import History

# The keys of tables of other modules, which importing would cost NumPy.
NETWORKS = (
    "paper-cnn", "paper-vgg", "resnet8", "ds-cnn", "mobilenet-v1-025", "autoencoder",
)  # fmt: skip
SCHEMES = ("pow2", "pow2-per-channel", "symmetric", "asymmetric")
RANGES = ("minmax", "percentile", "learned")
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("one-cycle", "cosine", "step", "exponential", "constant")
LIBRARIES = ("ccore", "cmsis-nn")

ACCURACY, AUC = "accuracy", "AUC"
QUICKSTART_CHANNELS = (16, 16, 32)
QUICKSTART_EPOCHS = 6
MODEL, CHECKPOINT, HISTORY = "model.npz", "checkpoint.npz", "history.csv"
CURVES, FIRMWARE, SUMMARY = "curves.png", "firmware", "summary.txt"


# Options that are not named after the argument they set.
DATA_OPTIONS = {"size": "--size", "channels": "--grey", "download": "--download"}
OPTIONS_OF = {
    "batch_size": "--batch", "crop_padding": "--crop", "version": "--library-version",
}  # fmt: skip


class Interrupted(KanjiError):
    """The user pressed Ctrl-C; the message says what is kept."""

    exit_code = 130


class OneLineGroup(click.Group):
    """A group whose errors are one line on standard error and an exit code."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None
    ) -> NoReturn:
        args = tuple(sys.argv[1:] if args is None else args)
        name = prog_name or "kanji-np"
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                # The arguments are kept as `obj`, for a result to say how it was made.
                code = super().main(list(args), name, standalone_mode=False, obj=args)
        except click.ClickException as error:
            # Choices are listed one a line.
            _fail(" ".join(error.format_message().split()), error.exit_code)
        except KanjiError as error:
            _fail(str(error), error.exit_code)
        except click.Abort:
            _fail("interrupted", Interrupted.exit_code)
        except OSError as error:
            # Files are named by those who write them.
            nameless = "standard output: " if error.errno == errno.ENOSPC else ""
            where = f"{error.filename}: " if error.filename else nameless
            _fail(f"{where}{error.strerror or error}", OptionError.exit_code)
        except MemoryError as error:
            text = " ".join(str(error).split())
            _fail(f"not enough memory: {text or 'ask for less'}", OptionError.exit_code)
        sys.exit(code or 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors about arguments of Python name options instead."""
        try:
            return super().invoke(ctx)
        except KanjiError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            params = command.params if command else ()
            options = {p.name: p.opts[0] for p in params if isinstance(p, click.Option)}
            _name_options(error, {**options, **OPTIONS_OF})
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None:
            names = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"no command {args[0]!r}; choose from {names}")
        return super().resolve_command(ctx, args)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: Any = None, line: str | None = None,
) -> None:  # fmt: skip
    """A warning about data on one line, any other as Python shows it."""
    text = f"warning: {message}"
    if not issubclass(category, DataWarning):
        text = warnings.formatwarning(message, category, filename, lineno, line)
    click.echo(text.rstrip(), err=True)


def _name_options(error: KanjiError, options: Mapping[str | None, str]) -> None:
    """Put options in the places of an error's arguments, `size=(...)` or `size`."""
    for name in error.arguments:
        if name in options:
            told = rf"(?<![\w-]){re.escape(name)}(=(\([^)]*\)|\w+))?(?!\w)"
            text = re.sub(told, options[name], str(error), count=1)
            error.args = (text,)
    error.arguments = ()


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)


class Channels(click.ParamType):
    """Positive integers separated by commas."""

    name = "N,N,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"[1-9]\d{0,4}(,[1-9]\d{0,4})*", value):
            self.fail(
                f"{value!r} is not a list of positive integers such as 32,32,64",
                param,
                ctx,
            )
        return tuple(map(int, value.split(",")))


class Size(click.ParamType):
    """Height and width of an image."""

    name = "HxW"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", value)
        if match is None:
            self.fail(
                f"{value!r} is not a height and a width in pixels such as 32x32",
                param,
                ctx,
            )
        return int(match[1]), int(match[2])


class PathOfFile(click.Path):
    """The path of a file or a folder; an empty one would be the folder we are in."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        if str(value) == "" or "\0" in str(value):
            self.fail(f"{value!r} is not a path", param, ctx)
        return super().convert(value, param, ctx)


PATH = PathOfFile(path_type=Path)


@dataclass(frozen=True)
class Told:
    """What options say of a network of the zoo; None where they say nothing."""

    network: str
    channels: tuple[int, ...] | None = None
    pool: str | None = None
    batch_norm: bool | None = None
    scheme: str | None = None
    weight_bits: str | None = None

    def build(self, facts: Mapping[str, Any]) -> Model:
        """The untrained network, with those of `facts` that it takes.

        Raises
        ------
        OptionError
            It does not take what was told.
        """
        from kanji_np.zoo import NETWORKS

        make = NETWORKS[self.network]
        takes = inspect.signature(make).parameters
        told = {
            "channels": self.channels,
            "pool": self.pool,
            "batch_norm": self.batch_norm,
            "scheme": self.scheme,
            "weight_bits": self.weight_bits and int(self.weight_bits),
        }
        told = {name: value for name, value in told.items() if value is not None}
        for name in told:
            if name not in takes:
                raise OptionError(
                    f"--{name.replace('_', '-')} does not apply to {self.network}"
                )
        return make(**{k: v for k, v in facts.items() if k in takes}, **told)

    @property
    def title(self) -> str:
        """Name and shape of the network, for those who compare results."""
        from kanji_np.zoo import NETWORKS

        words = [self.network]
        channels = inspect.signature(NETWORKS[self.network]).parameters.get("channels")
        if channels is not None:
            words.append(",".join(map(str, self.channels or channels.default)))
        if self.pool is not None:
            words.append(f"{self.pool} pool")
        if self.batch_norm is not None:
            words.append("batch norm" if self.batch_norm else "no batch norm")
        return " ".join(words)


def _data_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say where images come from."""
    for option in (
        click.option(
            "--grey", is_flag=True, help="Image folders: one channel, not three."
        ),
        click.option(
            "--size", type=Size(), help="Image folders: height and width to resize to."
        ),
        click.option(
            "--download", is_flag=True, help="Fetch the dataset if it is not there."
        ),
        click.option(
            "--data",
            metavar="SOURCE",
            required=True,
            help="synthetic, cifar10, cifar100:DIRECTORY, FILE.npz, DIRECTORY ...; see "
            "`kanji-np datasets`.",
        ),
    ):
        command = option(command)
    return command


def _target_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that name a target, or what is to be another than a model's own."""
    for option in (
        click.option(
            "--library-version", metavar="X.Y.Z", help="Version of the kernel library."
        ),
        click.option(
            "--rounding",
            help="How the library is built: double or single for cmsis-nn, half_up or "
            "truncate for cmsis-nn-q7.",
        ),
        click.option(
            "--core", help="c, dsp or mve, or a core such as cortex-m4; dsp at first."
        ),
        click.option(
            "--target", help="cmsis-nn, the current s8 API, or cmsis-nn-q7, CMSIS 5's."
        ),
    ):
        command = option(command)
    return command


def _network_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that name an untrained network of the zoo."""
    for option in (
        click.option(
            "--weight-bits",
            type=click.Choice(("8", "4")),
            help="Of all weights but those of depthwise layers; 8 if not given.",
        ),
        click.option(
            "--scheme",
            type=click.Choice(SCHEMES),
            help="Which scales there are; pow2 for the paper's networks and the "
            "autoencoder, symmetric for the others if not given.",
        ),
        click.option(
            "--batch-norm/--no-batch-norm",
            default=None,
            help="The paper's networks: normalize while training; of the two only "
            "paper-vgg does if not told.",
        ),
        click.option(
            "--pool",
            type=click.Choice(("max", "average")),
            help="paper-cnn; max if not given.",
        ),
        click.option(
            "--channels",
            type=Channels(),
            help="Output channels of each convolution of paper-cnn, 32,32,64 if not "
            "given, or each pair of paper-vgg.",
        ),
    ):
        command = option(command)
    return command


_gradients_option = click.option(
    "--gradients",
    type=click.Choice(("float32", "bfloat16")),
    default="float32",
    help="What gradients of int8 training are rounded to before they are multiplied; "
    "bfloat16 is faster, and needs a CPU that has it.",
)


@click.group(
    cls=OneLineGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, message="kanji-np %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Train int8 networks in a microcontroller's own arithmetic, export C that calls
    CMSIS-NN, and prove every byte equal.

    \b
    Example:
      kanji-np quickstart
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@main.command()
@click.option(
    "--directory",
    type=PATH,
    default=Path("kanji-quickstart"),
    help="Where results go.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Of weights and order.")
@click.option("--force", is_flag=True, help="Throw away a finished run and start over.")
def quickstart(directory: Path, seed: int, force: bool) -> None:
    """Train, export, compile and verify a small network in a few minutes.

    Uses images drawn by rule, so nothing is downloaded. An interrupted run goes on
    where it was.

    \b
    Example:
      kanji-np quickstart --directory ./kanji-quickstart
    """
    if (directory / SUMMARY).exists() and not force:
        raise OptionError(
            f"{directory} holds a finished run: add --force to start over, or choose "
            "another --directory"
        )

    import kanji_np as kj
    from kanji_np import outputs
    from kanji_np.deploy.project import check_export

    outputs.check_directory(directory)
    train, test = kj.load_dataset("synthetic")
    mean = _channel_means(train)
    net = kj.paper_cnn(QUICKSTART_CHANNELS, mean=mean, seed=seed, name="quickstart")
    check_export(net, directory / FIRMWARE)
    if (directory / SUMMARY).exists():
        _remove_run(directory)
    _check_run(directory, resume=True)
    if (directory / CHECKPOINT).exists():
        click.echo(f"going on with the run in {directory}", err=True)
    with _keeping(directory, "repeat the command to go on"):
        history = kj.fit(
            net,
            train,
            epochs=QUICKSTART_EPOCHS,
            validation=test,
            seed=seed,
            directory=directory,
            resume=True,
        )
        curves = _draw_curves(history, directory)
        accuracy = net.evaluate(test)
        firmware = kj.export(net, directory / FIRMWARE, images=test, force=True)
        with _bar("verifying") as progress:
            proof = kj.verify(directory / FIRMWARE, test, progress=progress)
        if not proof.ok:
            raise VerificationError(_verdict(proof))
        summary = "\n".join([
            f"int8 accuracy  {100 * accuracy:.2f} % on {len(test):,} test images",
            f"flash          {firmware.const_bytes:,} bytes of weights and tables",
            f"arena          {firmware.arena_bytes:,} bytes of RAM",
            f"verified       {_verdict(proof)}",
            f"firmware       {directory / FIRMWARE}",
            f"curves         {curves}",
            "",
            "next:",
            f"  {_command('report', directory / MODEL)}",
            f"  {shlex.join(['make', '-C', str(directory / FIRMWARE), 'test'])}",
            f"  {_command('train', '--data', 'cifar10', '--download')}",
        ])  # fmt: skip
        outputs.write(directory / SUMMARY, f"{summary}\n".encode())
    click.echo(summary)


@main.command()
@_data_options
@click.option(
    "--network", type=click.Choice(NETWORKS), default="paper-cnn", help="See zoo.py."
)
@_network_options
@_target_options
@click.option(
    "--start",
    type=PATH,
    metavar="MODEL",
    help="Begin with the weights of a trained model of this network, whatever its "
    "scheme and precision.",
)
@click.option(
    "--ranges",
    type=click.Choice(RANGES),
    default="minmax",
    help="How the ranges are found that scales are made from.",
)
@click.option("--epochs", type=click.IntRange(1), default=30)
@click.option("--batch", type=click.IntRange(1), default=64, help="Images a step.")
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), default="sgd")
@click.option(
    "--lr",
    type=click.FloatRange(0, min_open=True),
    help="Learning rate at its highest; 0.02 for sgd, 0.001 for the others.",
)
@click.option(
    "--momentum",
    type=click.FloatRange(0, 1, max_open=True),
    help="sgd only; 0.9 if not given.",
)
@click.option(
    "--weight-decay",
    type=click.FloatRange(0),
    help="0.0005 for sgd, 0 for adam, 0.01 for adamw.",
)
@click.option(
    "--schedule",
    type=click.Choice(SCHEDULES),
    default="one-cycle",
    help="Course of the learning rate.",
)
@click.option(
    "--precision",
    type=click.Choice(("int8", "fp32")),
    default="int8",
    help="int8 trains in the device's arithmetic; fp32 is the baseline.",
)
@click.option(
    "--fp32-epochs",
    type=click.IntRange(0),
    default=0,
    help="So many of the epochs in fp32 first.",
)
@_gradients_option
@click.option(
    "--averaging",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.998,
    help="Weight of the past in the moving average of the weights that is scored and "
    "kept; 0 keeps the last weights.",
)
@click.option(
    "--freeze-batch-norm",
    type=click.FloatRange(0, 1),
    default=0.9,
    help="Part of the epochs after which batch normalization takes in no more batches.",
)
@click.option(
    "--label-smoothing", type=click.FloatRange(0, 1, max_open=True), default=0.1
)
@click.option(
    "--augment/--no-augment",
    default=None,
    help="Random crops by 4 pixels, and mirroring; if not told, as suits the dataset.",
)
@click.option(
    "--crop",
    type=click.IntRange(0),
    help="Random crops move an image so far at most [pixels].",
)
@click.option(
    "--cutout",
    type=click.IntRange(0),
    default=0,
    help="Side of a square painted over [pixels].",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    help="Of weights, order and augmentation.",
)
@click.option("--name", help="C identifier for files and functions; from the data.")
@click.option(
    "--directory", type=PATH, help="Where results go; runs/NAME if not given."
)
@click.option("--resume", is_flag=True, help="Go on with the run in the directory.")
@click.option(
    "--result", type=PATH, metavar="FILE", help="Write what came out to a .json file."
)
@click.pass_obj
def train(
    arguments: tuple[str, ...], data: str, download: bool,
    size: tuple[int, int] | None, grey: bool, network: str,
    channels: tuple[int, ...] | None, pool: str | None, batch_norm: bool | None,
    scheme: str | None, weight_bits: str | None, target: str | None,
    core: str | None, rounding: str | None, library_version: str | None,
    start: Path | None, ranges: str, epochs: int, batch: int, optimizer: str,
    lr: float | None, momentum: float | None, weight_decay: float | None,
    schedule: str, precision: str, fp32_epochs: int, gradients: str,
    averaging: float, freeze_batch_norm: float, label_smoothing: float,
    augment: bool | None, crop: int | None, cutout: int, seed: int, name: str | None,
    directory: Path | None, resume: bool, result: Path | None,
) -> None:  # fmt: skip
    """Train a network of the zoo by the default recipe, or as options say.

    Writes model.npz, history.csv, checkpoint.npz and curves.png.

    \b
    Example:
      kanji-np train --data cifar10 --download --channels 32,32,64
    """
    chosen = _optimizer(optimizer, lr, momentum, weight_decay)
    if fp32_epochs > epochs:
        raise OptionError(
            f"--fp32-epochs must be at most --epochs ({epochs}), got {fp32_epochs}"
        )
    if directory is not None:
        _check_run(directory, resume)

    import kanji_np as kj
    from kanji_np.optim import SCHEDULES
    from kanji_np.results import (
        Result,
        check_output,
        cpu_model,
        portable,
        source,
        write_result,
    )
    from kanji_np.targets import target_spec
    from kanji_np.threads import limit

    if result is not None:
        check_output(result)
    spec = target_spec(
        target or "cmsis-nn", core=core, rounding=rounding, version=library_version
    )
    images, test = _load(data, download, size, grey)
    name = _identifier(images.name) if name is None else name
    mean = _channel_means(images)
    told = Told(network, channels, pool, batch_norm, scheme, weight_bits)
    net = told.build({
        "input_shape": images.input_shape,
        "inputs": images.input_shape[-1],
        "classes": len(images.classes),
        "mean": mean,
        "target": spec,
        "ranges": ranges,
        "seed": seed,
        "name": name,
    })  # fmt: skip
    if start is not None:
        net.take_weights(kj.load(start))
    by_label = network != "autoencoder"
    directory = directory or Path("runs") / name
    _check_run(directory, resume)
    with _keeping(directory, "repeat the command with --resume to go on"):
        history = kj.fit(
            net,
            images,
            epochs=epochs,
            validation=test if by_label else None,
            targets="labels" if by_label else "inputs",
            batch_size=batch,
            optimizer=chosen,
            schedule=SCHEDULES[schedule](),
            label_smoothing=label_smoothing,
            augment=_augment(images, augment, crop, cutout, mean),
            averaging=averaging,
            freeze_batch_norm=freeze_batch_norm,
            precision=precision,
            gradients=gradients,
            fp32_epochs=fp32_epochs,
            seed=seed,
            directory=directory,
            resume=resume,
        )
        curves = _draw_curves(history, directory)
        fp32_score = _score(net, test, "fp32") if precision == "fp32" else None
        score = _score(net, test, "int8")
    if result is not None:
        facts = Result(
            command=shlex.join(["kanji-np", *map(portable, arguments)]),
            source=source(),
            cpu=cpu_model(),
            threads=limit(),
            data=images.name,
            network=told.title,
            target=str(net.target),
            scheme=net.quantization.scheme.name,
            ranges=ranges,
            weight_bits=int(weight_bits or 8),
            precision=precision,
            fp32_epochs=fp32_epochs,
            is_begun=start is not None,
            epochs=epochs,
            seed=seed,
            seconds=round(sum(record.seconds for record in history.epochs), 2),
            metric=_metric(net, test),
            int8_score=score,
            fp32_score=fp32_score,
            digest=net.freeze().digest(),
        )
        write_result(result, facts)
    if fp32_score is not None:
        click.echo(_score_line("fp32", _metric(net, test), fp32_score))
    score_line = _score_line("int8", _metric(net, test), score)
    click.echo(f"{score_line} on {len(test):,} test images")
    click.echo(f"curves         {curves}")
    model, firmware = directory / MODEL, directory / FIRMWARE
    click.echo(f"\nnext:\n  {_command('export', model, firmware)}")


@main.command()
@click.argument("model", type=PATH)
@_data_options
@_target_options
@click.option("--precision", type=click.Choice(("int8", "fp32")), default="int8")
def evaluate(
    model: Path, data: str, download: bool, size: tuple[int, int] | None, grey: bool,
    target: str | None, core: str | None, rounding: str | None,
    library_version: str | None, precision: str,
) -> None:  # fmt: skip
    """Score a model on the test images: in int8, what the chip will score.

    With another target than it was trained for: what that one would score.

    \b
    Example:
      kanji-np evaluate runs/cifar10/model.npz --data cifar10
    """
    net = _load_for(model, target, core, rounding, library_version)
    _, test = _load(data, download, size, grey)
    score = _score(net, test, precision)
    if _metric(net, test) == AUC:
        click.echo(f"{precision} AUC {score:.4f} of {len(test):,} test images")
    else:
        click.echo(
            f"{precision} accuracy {100 * score:.2f} %: "
            f"{round(score * len(test)):,} of {len(test):,} test images"
        )


@main.command()
@click.argument("model", type=PATH)
@click.argument("directory", type=PATH)
@_target_options
@click.option(
    "--library",
    type=click.Choice(LIBRARIES),
    default="ccore",
    help="The kernels the firmware's Makefile builds with.",
)
@click.option(
    "--cmsis-nn",
    type=PATH,
    metavar="DIR",
    help="A CMSIS-NN checkout to look through for the functions needed.",
)
@click.option(
    "--force", is_flag=True, help="Write into a directory that holds other files."
)
def export(
    model: Path, directory: Path, target: str | None, core: str | None,
    rounding: str | None, library_version: str | None, library: str,
    cmsis_nn: Path | None, force: bool,
) -> None:  # fmt: skip
    """Write a model as C that calls CMSIS-NN, with all that is needed to build it.

    For another target than it was trained for its bytes may be others, and its
    accuracy too: `kanji-np evaluate` with the same options says what it is.

    \b
    Example:
      kanji-np export runs/cifar10/model.npz firmware/
    """
    from kanji_np.deploy import export
    from kanji_np.deploy.planner import arena_text

    net = _load_for(model, target, core, rounding, library_version)
    firmware = export(net, directory, library=library, cmsis_nn=cmsis_nn, force=force)
    click.echo(f"{len(firmware.files)} files in {firmware.directory}")
    click.echo(f"flash  {firmware.const_bytes:,} bytes of weights and tables")
    arena = arena_text(firmware.arena_bytes, firmware.lower_bound_bytes)
    click.echo(f"arena  {arena}")
    click.echo(f"\nnext:\n  {_command('verify', directory)} --data SOURCE")


@main.command()
@click.argument("directory", type=PATH)
@_data_options
@click.option("--limit", type=click.IntRange(1), help="Only the first N test images.")
@click.option(
    "--on",
    metavar="CORE",
    default="host",
    help="host, or a core to emulate: cortex-m3, -m4, -m7, -m33 or -m55.",
)
@click.option(
    "--library",
    type=click.Choice(LIBRARIES),
    help="Whose kernels to link, if not those exported with.",
)
@click.option(
    "--cmsis-nn",
    type=PATH,
    metavar="DIR",
    help="Where CMSIS-NN is, if it is linked.",
)
@click.option("--layers", is_flag=True, help="Compare the output of every layer.")
@click.option(
    "--result",
    type=PATH,
    metavar="FILE",
    help="Add what is found to the .json file that train wrote of this model.",
)
def verify(
    directory: Path,
    data: str,
    download: bool,
    size: tuple[int, int] | None,
    grey: bool,
    limit: int | None,
    on: str,
    library: str | None,
    cmsis_nn: Path | None,
    layers: bool,
    result: Path | None,
) -> None:
    """Compile exported C and compare every output byte with the golden model.

    Runs it on this computer or, with --on, on an emulated Cortex-M, whose instructions
    and memory it reports. Exits with 0 only if all bytes are equal; else names the
    first layer that differs.

    \b
    Example:
      kanji-np verify firmware/ --data cifar10 --limit 1000 --on cortex-m4
    """
    from kanji_np.deploy import verify
    from kanji_np.deploy.project import read_manifest
    from kanji_np.results import Proof, write_result

    facts = None if result is None else _result_of(directory, result)
    _, test = _load(data, download, size, grey)
    if limit is not None:
        test = test.take(min(limit, len(test)))
    with _bar("verifying") as progress:
        found = verify(
            directory,
            test,
            on=on,
            library=library,
            cmsis_nn=cmsis_nn,
            layers=layers,
            progress=progress,
        )
    if result is not None and facts is not None:
        place = found.device.core if found.device else on
        linked = library or read_manifest(directory).library
        proof = Proof(place, linked, found.images, found.differing_bytes)
        write_result(result, facts.with_proof(proof))
    if found.layers:
        click.echo(f"{_layer_table(found)}\n")
    click.echo(_verdict(found))
    for line in (found.device, found.note):
        if line:
            click.echo(line)
    if not found.ok:
        sys.exit(1)


@main.command()
@click.argument("directory", type=PATH)
def results(directory: Path) -> None:
    """Make a Markdown table of the .json files that train wrote.

    Runs that differ in their seeds alone share a line.

    \b
    Example:
      kanji-np results examples/results
    """
    from kanji_np.results import read_results, results_table

    click.echo(results_table(read_results(directory)))


@main.command()
@click.argument("directory", type=PATH)
@click.argument("out", type=PATH)
@_data_options
@click.option(
    "--images", type=click.IntRange(1), default=1, help="So many test images."
)
def vectors(
    directory: Path,
    out: Path,
    data: str,
    download: bool,
    size: tuple[int, int] | None,
    grey: bool,
    images: int,
) -> None:
    """Write what every layer must compute, as C arrays and .npz, to compare on a board.

    DIRECTORY is an export; the files go to OUT.

    \b
    Example:
      kanji-np vectors firmware/ vectors/ --data cifar10 --images 2
    """
    from kanji_np.deploy import vectors

    _, test = _load(data, download, size, grey)
    for path in vectors(directory, test, out, count=images):
        click.echo(path)


@main.command()
@click.argument("model", type=PATH, required=False)
@click.option(
    "--network", type=click.Choice(NETWORKS), help="Untrained instead of MODEL."
)
@_network_options
@_target_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def report(
    model: Path | None, network: str | None, channels: tuple[int, ...] | None,
    pool: str | None, batch_norm: bool | None, scheme: str | None,
    weight_bits: str | None, target: str | None, core: str | None,
    rounding: str | None, library_version: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show operations, flash and RAM of every layer; no training needed.

    \b
    Example:
      kanji-np report --network resnet8
    """
    from kanji_np.report import cost_report
    from kanji_np.targets import target_spec

    told = Told(network or "paper-cnn", channels, pool, batch_norm, scheme, weight_bits)
    is_told = network is not None or told != Told("paper-cnn")
    if model is not None and not is_told:
        net = _load_for(model, target, core, rounding, library_version)
    elif model is None and is_told:
        spec = target_spec(
            target or "cmsis-nn", core=core, rounding=rounding, version=library_version
        )
        net = told.build({"target": spec})
    else:
        raise OptionError(
            "report takes either a MODEL file or a network: --network, --channels ..."
        )
    result = cost_report(net)
    click.echo(result.json() if as_json else str(result))


@main.command()
def datasets() -> None:
    """List what --data takes.

    \b
    Example:
      kanji-np datasets
    """
    from kanji_np.data import DATASETS
    from kanji_np.report import text_table
    from kanji_np.types import shape_text

    rows = []
    for source, info in DATASETS.items():
        shape = shape_text(info.shape) if info.shape else "any"
        rows.append((source, shape, str(info.n_classes or "any"), info.description))
        rows.append(("", "", "", info.how_to_get))
    header = ("--data", "image", "classes", "what, and how to get it")
    click.echo(text_table(header, rows, left_columns=len(header)))


@main.command()
@click.option(
    "--network",
    type=click.Choice(NETWORKS),
    multiple=True,
    help="See zoo.py; may be given again. paper-cnn if not given.",
)
@click.option(
    "--channels",
    type=Channels(),
    multiple=True,
    help="Of the paper's networks; may be given again. If not given, all four sizes of "
    "paper-cnn, and of other networks their own.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    multiple=True,
    help="Images a step; may be given again. 128 if not given.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    multiple=True,
    help="May be given again. All if not given.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Steps that each median is taken over; 20 if not given.",
)
@_gradients_option
@click.option(
    "--layers", is_flag=True, help="Where the time of an int8 training step goes."
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON a measurement.")
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
    network: tuple[str, ...], channels: tuple[tuple[int, ...], ...],
    batch: tuple[int, ...], threads: tuple[int, ...], steps: int | None,
    gradients: str, layers: bool, as_json: bool, read: Path | None, plot: Path | None,
) -> None:  # fmt: skip
    """Time training and evaluation on random images.

    Measures every size with every batch and number of threads. The peak memory is the
    process's, so it is told of the first measurement only.

    \b
    Example:
      kanji-np bench --channels 32,32,64 --batch 128 --json
    """
    if layers and plot:
        raise OptionError("--plot draws whole steps: leave out --layers")
    if read and (network or channels or batch or threads or steps or layers or as_json):
        raise OptionError("--read measures nothing: only --plot goes with it")

    from kanji_np.bench import (
        BATCH,
        STEPS,
        measure,
        measure_layers,
        read_results,
    )
    from kanji_np.outputs import check_directory
    from kanji_np.report import breakdown_table, check_plot, plot_speed, speed_table
    from kanji_np.threads import check_limit
    from kanji_np.zoo import PAPER_SIZES

    if plot:
        check_plot(plot)
        check_directory(plot.parent)
    for count in threads:
        check_limit(count)
    steps = steps or STEPS
    networks = []
    for name in network or ("paper-cnn",):
        sizes = channels or (PAPER_SIZES if name == "paper-cnn" else (None,))
        networks += [Told(name, size) for size in sizes]
    for told in networks:
        told.build({})  # nothing is measured if one of them cannot be
    cases = list(itertools.product(threads or (None,), networks, batch or (BATCH,)))
    if layers:
        for i, (n, told, images) in enumerate(cases):
            times = measure_layers(
                told.title, partial(told.build, {}), batch=images, threads=n,
                steps=steps, gradients=gradients,
            )  # fmt: skip
            if i and not as_json:
                click.echo()
            click.echo(times.json() if as_json else breakdown_table(times))
        return
    results = read_results(read) if read else []
    with _bar("measuring") as progress:
        for n, told, images in () if read else cases:
            result = measure(
                told.title, partial(told.build, {}), batch=images, threads=n,
                steps=steps, gradients=gradients,
            )  # fmt: skip
            if results:  # the process had its peak in any of them
                result = replace(result, peak_rss_mb=None)
            results.append(result)
            if as_json:
                click.echo(result.json())
            elif progress:
                progress(len(results), len(cases))
    if not as_json:
        click.echo(speed_table(results))
    if plot:
        plot_speed(results, plot)


def _load_for(
    model: Path, target: str | None, core: str | None, rounding: str | None,
    library_version: str | None,
) -> Model:  # fmt: skip
    """A saved network for the target that options name, or for its own."""
    from kanji_np.model import load

    return load(model).for_target(
        target, core=core, rounding=rounding, version=library_version
    )


def _load(
    data: str, download: bool, size: tuple[int, int] | None, grey: bool
) -> tuple[Dataset, Dataset]:
    from kanji_np.data import load_dataset

    channels = 1 if grey else None
    try:
        if not download:
            return load_dataset(data, size=size, channels=channels)
        with _bar("downloading") as progress:
            return load_dataset(
                data, download=True, progress=progress, size=size, channels=channels
            )
    except KanjiError as error:
        _name_options(error, DATA_OPTIONS)
        raise


@contextlib.contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A function of (done, total) that draws a bar; None where nobody would see it."""
    from kanji_np.outputs import is_watched

    if not is_watched():
        yield None
        return
    with contextlib.ExitStack() as stack:
        bar: Any = None  # click does not say of what type

        def report(done: int, total: int | None) -> None:
            nonlocal bar
            if bar is None:
                bar = stack.enter_context(
                    click.progressbar(length=total, label=label, file=sys.stderr)
                )
            bar.update(done - bar.pos)

        yield report


@contextlib.contextmanager
def _keeping(directory: Path, how_to_go_on: str) -> Iterator[None]:
    """Turn Ctrl-C into a line that says what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; finished epochs are kept in {directory}: {how_to_go_on}"
        ) from None


def _check_run(directory: Path, resume: bool) -> None:
    """Before anything slow: may a run be written here?"""
    from kanji_np import outputs, report
    from kanji_np.train import check_run

    if (directory / CHECKPOINT).exists() and not resume:
        raise OptionError(
            f"{directory} holds a run: add --resume to go on with it, or choose "
            "another --directory"
        )
    outputs.check_directory(directory)
    check_run(directory, resume=resume)
    outputs.check(directory / CURVES, outputs.is_drawing, report.DRAWING)


def _remove_run(directory: Path) -> None:
    """Remove a finished quickstart but for its firmware, which is replaced; OptionError
    if not all of it is as it was written."""
    from kanji_np import archive, model, outputs, report
    from kanji_np.train import checkpoint

    files = (
        (MODEL, archive.is_kind(model.KIND), "a model"),
        (CURVES, outputs.is_drawing, report.DRAWING),
        (HISTORY, checkpoint.is_history, f"the history of {CHECKPOINT}"),
        (CHECKPOINT, archive.is_kind(checkpoint.CHECKPOINT_KIND), "a checkpoint"),
        (SUMMARY, _is_summary, "the summary of a quickstart"),
    )
    with outputs.lock(directory):
        for name, is_ours, what in files:
            outputs.check(directory / name, is_ours, what, "choose another --directory")
        for name, _, _ in files:
            (directory / name).unlink(missing_ok=True)


def _is_summary(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return text.startswith("int8 accuracy  ") and text.endswith(" --download\n")


def _optimizer(
    name: str, lr: float | None, momentum: float | None, weight_decay: float | None
) -> Optimizer:
    if momentum is not None and name != "sgd":
        raise OptionError(f"--momentum applies to --optimizer sgd only, not {name}")

    from kanji_np.optim import OPTIMIZERS

    given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    told = {option: value for option, value in given.items() if value is not None}
    return OPTIMIZERS[name](**told)


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


def _channel_means(dataset: Dataset) -> tuple[int, ...]:
    """Mean of each channel over all images, rounded."""
    # Image on image first: adding up rows of three values is slow.
    sums = dataset.images.sum(axis=0, dtype="int64")
    sums = sums.reshape(-1, sums.shape[-1]).sum(axis=0)  # (H,W,C) -> (C,)
    pixels = dataset.images[..., 0].size
    return tuple(round(float(total / pixels)) for total in sums)


def _identifier(text: str) -> str:
    """A C identifier in lower case that resembles `text`."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"net_{name}".rstrip("_")


def _verdict(result: Verification) -> str:
    counts = (
        f"{result.differing_bytes:,} differing bytes in {result.images:,} images "
        f"({result.bytes:,} output bytes compared)"
    )
    return counts if result.first is None else f"{counts}\nfirst: {result.first}"


def _metric(net: Model, data: Dataset) -> str:
    """What says how good a network is: an autoencoder gives back its inputs."""
    reproduces = net.output_shape == net.input.shape != (len(data.classes),)
    return AUC if reproduces else ACCURACY


def _score(net: Model, data: Dataset, precision: str) -> float:
    """The network's metric on a dataset, 0..1."""
    if _metric(net, data) == ACCURACY:
        return net.evaluate(data, precision=precision)
    from kanji_np.anomaly import anomaly_scores, auc

    return auc(anomaly_scores(net, data.images, precision=precision), data.labels)


def _score_line(precision: str, metric: str, score: float) -> str:
    text = f"{100 * score:.2f} %" if metric == ACCURACY else f"{score:.4f}"
    return f"{precision} {metric:<8}  {text}"


def _result_of(directory: Path, path: Path) -> Result:
    """The result in a file, which must be of the model in a firmware directory."""
    from kanji_np.model import load
    from kanji_np.results import read_result

    result = read_result(path)
    if load(directory / MODEL).freeze().digest() != result.digest:
        raise OptionError(f"{path} is not the result of the model in {directory}")
    return result


def _layer_table(result: Verification) -> str:
    from kanji_np.report import text_table

    columns = ["", "layer", "", "bytes", "host differs"]
    if result.device:
        columns += [f"{result.device.core} differs", "instructions"]
    rows = []
    for layer in result.layers:
        figures: list[int | None] = [layer.bytes, layer.host_differing]
        if result.device:
            figures += [layer.device_differing, layer.instructions]
        # a layer that computes nothing has no figures
        cells = [f"{n:,}" if layer.bytes and n is not None else "" for n in figures]
        rows.append([str(layer.number), layer.name, layer.op, *cells])
    return text_table(columns, rows, left_columns=3)


def _draw_curves(history: History, directory: Path) -> str:
    """Where the curves are, or why there are none."""
    from kanji_np.report import plot_history

    try:
        plot_history(history, directory / CURVES)
    except ToolError as error:
        return f"not drawn; {error}"
    return str(directory / CURVES)


def _command(*arguments: str | Path) -> str:
    """A line to type next; the program as it was called if its name is not enough."""
    called = sys.argv[0]
    by_path = Path(called).stem == "kanji-np" and not shutil.which("kanji-np")
    return shlex.join([called if by_path else "kanji-np", *map(str, arguments)])
