"""Options that several commands share: their types, and groups of them as one object.

A group reaches its command as a frozen dataclass. Each field is annotated with its
option, as ``epochs: Annotated[int, click.option("--epochs")]``.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import click

from kanji_np.choices import KERNEL_LIBRARIES, NETWORKS, RANGES, SCHEMES, TASKS
from kanji_np.cli.screen import bar, command_line
from kanji_np.errors import KanjiError, OptionError

if TYPE_CHECKING:
    from kanji_np.cost.boards import Board
    from kanji_np.cost.budget import Budget
    from kanji_np.data import Dataset
    from kanji_np.layers import Layer
    from kanji_np.model import Model
    from kanji_np.types import Shape, TargetSpec

COMMANDLINE = click.core.ParameterSource.COMMANDLINE

Command = Callable[..., None]
Decorator = Callable[[Command], Command]

# Options that are not named after the argument they set.
DATA_OPTIONS = {
    "size": "--size", "channels": "--grey", "download": "--download",
    "label": "--label", "task": "--task", "window": "--window", "step": "--step",
}  # fmt: skip
OPTIONS_OF = {"crop_padding": "--crop", "version": "--library-version"}


def name_options(error: KanjiError, options: Mapping[str, str]) -> None:
    """Put options in the places of an error's arguments, `size=(...)` or `size`."""
    for name in error.arguments:
        if name in options:
            told = rf"(?<![\w-]){re.escape(name)}(=(\([^)]*\)|\w+))?(?!\w)"
            text = re.sub(told, options[name], str(error), count=1)
            error.args = (text,)
    error.arguments = ()


class Typed(click.ParamType):
    """A type whose values are no plain data, and are typed as a text."""

    def typed(self, value: Any) -> str:
        """The text that stands for a value."""
        raise NotImplementedError


class Channels(Typed):
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

    def typed(self, value: tuple[int, ...]) -> str:
        """The text that stands for a value."""
        return ",".join(map(str, value))


class Size(Typed):
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

    def typed(self, value: tuple[int, int]) -> str:
        """The text that stands for a value."""
        return "x".join(map(str, value))


class PathOfFile(click.Path):
    """The path of a file or a folder; an empty one would be the folder we are in."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        if str(value) == "" or "\0" in str(value):
            self.fail(f"{value!r} is not a path", param, ctx)
        return super().convert(value, param, ctx)


PATH = PathOfFile(path_type=Path)


def given(context: click.Context) -> dict[str, bool | int | float | str]:
    """The options that a command was given, in the order of its help, as plain data.

    By their names without dashes in front. Absolute paths are shown by their last part.
    """
    from kanji_np.results import portable

    found: dict[str, bool | int | float | str] = {}
    for option in context.command.params:
        is_option = isinstance(option, click.Option)
        if is_option and context.get_parameter_source(option.name or "") is COMMANDLINE:
            value = context.params[option.name or ""]
            if isinstance(option.type, Typed):
                value = option.type.typed(value)
            if isinstance(value, str | Path):
                value = portable(str(value))
            found[max(option.opts, key=len).removeprefix("--")] = value
    return found


def group(
    name: str, kind: type, options: Mapping[str, Decorator] | None = None
) -> Decorator:
    """Options that a command takes as one object, in the order of its fields.

    Parameters
    ----------
    name : str
        The command's parameter.
    kind : type
        A dataclass. Each field has the name of the argument that its option sets.
    options : dict, optional
        For fields whose option is another one for this command.
    """
    hints = get_type_hints(kind, include_extras=True)
    own = {field: hint.__metadata__[0] for field, hint in hints.items()}
    own |= options or {}

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def grouped(*args: Any, **values: Any) -> None:
            told = kind(**{field: values.pop(field) for field in own})
            return command(*args, **{name: told}, **values)

        decorated: Command = grouped
        for option in reversed(own.values()):
            decorated = option(decorated)
        return decorated

    return decorate


@dataclass(frozen=True)
class DataOptions:
    """Where images come from."""

    data: Annotated[
        str,
        click.option(
            "--data",
            metavar="SOURCE",
            required=True,
            help="synthetic, cifar10, FILE.npz, FILE.csv, DIRECTORY ...; see `kanji-np "
            "datasets`.",
        ),
    ]
    download: Annotated[
        bool,
        click.option(
            "--download", is_flag=True, help="Fetch the dataset if it is not there."
        ),
    ]
    size: Annotated[
        tuple[int, int] | None,
        click.option(
            "--size", type=Size(), help="Image folders: height and width to resize to."
        ),
    ]
    grey: Annotated[
        bool,
        click.option(
            "--grey", is_flag=True, help="Image folders: one channel, not three."
        ),
    ]
    label: Annotated[
        str | None,
        click.option(
            "--label",
            metavar="COLUMN[,COLUMN...]",
            show_default="label, class, target or y, or the last",
            help="CSV files: the column that is learned, or several; a number where "
            "they have no names.",
        ),
    ]
    task: Annotated[
        str | None,
        click.option(
            "--task",
            type=click.Choice(TASKS),
            show_default="by the labels",
            help="Arrays and CSV files: what labels are.",
        ),
    ]
    window: Annotated[
        int | None,
        click.option(
            "--window",
            type=click.IntRange(1),
            metavar="ROWS",
            help="CSV and WAV files: cut recordings into windows of so many rows.",
        ),
    ]
    step: Annotated[
        int | None,
        click.option(
            "--step",
            type=click.IntRange(1),
            metavar="ROWS",
            show_default="that of --window",
            help="From one window to the next.",
        ),
    ]

    def load(self, shape: Shape | None = None) -> tuple[Dataset, Dataset]:
        """Training and test images; errors name options.

        Parameters
        ----------
        shape : tuple of int, optional
            Input shape of the network they are for; see `load_dataset`.
        """
        from kanji_np.data import load_dataset

        load = functools.partial(
            load_dataset, self.data, size=self.size, channels=1 if self.grey else None,
            label=self.label, task=self.task, window=self.window, step=self.step,
            shape=shape,
        )  # fmt: skip
        try:
            if not self.download:
                return load()
            with bar("downloading") as progress:
                return load(download=True, progress=progress)
        except KanjiError as error:
            name_options(error, DATA_OPTIONS)
            raise


data_options = group("data", DataOptions)


def spread(data: Dataset, count: int) -> Dataset:
    """So many images at equal distances: files may be in the order of their labels."""
    import numpy as np

    if count >= len(data):
        return data
    return data.select(np.arange(count) * len(data) // count)


@dataclass(frozen=True)
class TargetOptions:
    """A target, or the parts of a model's own that are replaced; None leaves a part."""

    target: Annotated[
        str | None,
        click.option(
            "--target",
            show_default="the model's own, cmsis-nn for a new network",
            help="cmsis-nn, the current s8 API; cmsis-nn-q7, CMSIS 5's; or a runtime "
            "whose arithmetic it computes: tflm, litert or xnnpack.",
        ),
    ]
    core: Annotated[
        str | None,
        click.option(
            "--core",
            show_default="the model's own, dsp for a new network",
            help="c, dsp or mve, or a core such as cortex-m4.",
        ),
    ]
    rounding: Annotated[
        str | None,
        click.option(
            "--rounding",
            help="How the library is built: double or single for cmsis-nn, half_up or "
            "truncate for cmsis-nn-q7.",
        ),
    ]
    library_version: Annotated[
        str | None,
        click.option(
            "--library-version",
            metavar="X.Y.Z",
            show_default="the model's own, the newest for a new network",
            help="Version of the kernel library.",
        ),
    ]

    def spec(self) -> TargetSpec:
        """The target of a network yet to be made."""
        from kanji_np.targets import target_spec

        return target_spec(
            self.target or "cmsis-nn",
            core=self.core,
            rounding=self.rounding,
            version=self.library_version,
        )

    def load(self, path: Path, image_layer: Layer | None = None) -> Model:
        """A network of a file for this target, or for its own; see `load_network`."""
        return load_network(
            path,
            self.target,
            core=self.core,
            rounding=self.rounding,
            version=self.library_version,
            image_layer=image_layer,
        )


@dataclass(frozen=True)
class BoardOptions:
    """What costs are estimated for: a board, and whose kernels are linked."""

    board: Annotated[
        str | None,
        click.option(
            "--board",
            metavar="NAME|FILE.toml",
            help="Estimate time, energy and memory on this board; see `kanji-np "
            "boards`.",
        ),
    ] = None
    library: Annotated[
        str,
        click.option(
            "--library",
            type=click.Choice(KERNEL_LIBRARIES),
            default="ccore",
            help="The kernels that are linked.",
        ),
    ] = "ccore"

    def load(self) -> Board | None:
        """The board that is named, if one is."""
        from kanji_np.cost.boards import board

        return None if self.board is None else board(self.board)

    def place(self, told: TargetOptions) -> tuple[Board | None, str | None]:
        """The board that is named, or else the core that --core names; None of a
        class."""
        from kanji_np.cost.boards import BOARD_CORES

        board = self.load()
        names_core = board is None and told.core in BOARD_CORES
        return board, told.core if names_core else None


board_options = group("board", BoardOptions)


@dataclass(frozen=True)
class BudgetOptions(BoardOptions):
    """The same, and what the network may cost there."""

    budget: Annotated[
        str | None,
        click.option(
            "--budget",
            metavar="KEY=AMOUNT,...",
            help="Fail before anything slow if the network takes more, such as "
            "flash=256K,ram=64K,latency=100ms,energy=5mJ, or some of them. Flash and "
            "RAM of --board are limits, too.",
        ),
    ] = None

    def limits(self) -> Budget:
        """The budget that is told; OptionError if the text says none."""
        from kanji_np.cost.budget import Budget

        return Budget() if self.budget is None else Budget.parse(self.budget)

    def target(self, told: TargetOptions) -> TargetOptions:
        """The target for the core class of the board, as --core would name it."""
        from kanji_np.targets import generates_c

        board = self.load()
        if board is None or not generates_c(told.spec()):
            return told
        if told.core is None:
            return replace(told, core=board.core_class)
        if told.spec().core != board.core_class:
            raise OptionError(
                f"--core {told.core} does not fit --board {self.board}, whose "
                f"{board.core} is of class {board.core_class}: leave out --core"
            )
        return told

    def check(self, net: Model) -> None:
        """BudgetError if a network takes more; notes where it is not sure."""
        if self.board is None and self.budget is None:
            return
        from kanji_np.cost.limits import check, notes

        budget = self.limits()
        made = check(net, budget, board=self.board, library=self.library)
        for note in notes(made, budget):
            click.echo(f"note: {note}", err=True)


def budget_options(options: Mapping[str, Decorator] | None = None) -> Decorator:
    """The options --board, --library and --budget, as the argument `costs`."""
    return group("costs", BudgetOptions, options)


def load_network(
    path: Path,
    target: str | None = None,
    *,
    core: str | None = None,
    rounding: str | None = None,
    version: str | None = None,
    image_layer: Layer | None = None,
) -> Model:
    """A network that was saved here, or one from elsewhere by the end of its name.

    Its own target is that of the file, or cmsis-nn; the others replace a part. Before
    one from elsewhere an image layer may come.
    """
    import kanji_np as kj
    from kanji_np import formats

    if not formats.is_foreign(path):
        formats.check_known(path)
        return kj.load(path).for_target(
            target, core=core, rounding=rounding, version=version
        )
    return formats.read(
        path, target or "cmsis-nn", core=core, rounding=rounding, version=version,
        image_layer=image_layer,
    ).network  # fmt: skip


def check_trained(net: Model, path: Path) -> None:
    """Before a network is scored or deployed: it must have ranges, and a note says so
    where it was trained for another target."""
    check_calibrated(net, path)
    note_other_target(net)


def check_calibrated(net: Model, path: Path) -> None:
    """OptionError of a network from elsewhere that has no ranges."""
    from kanji_np import formats

    if formats.is_foreign(path) and not net.is_calibrated:
        raise OptionError(
            f"{path}: a float network has no ranges for int8 yet: convert it with "
            f"`{command_line('import', path)} --data SOURCE`"
        )


def note_other_target(net: Model, target: TargetSpec | None = None) -> None:
    """Say so on standard error where a network was trained for another target than
    `target`, by default its own."""
    from kanji_np.targets import same_arithmetic

    used, trained_for = target or net.target, net.trained_for
    if trained_for is not None and not same_arithmetic(trained_for, used):
        click.echo(
            f"note: {net.name} was trained for {trained_for}; {used} computes other "
            "bytes, which may score lower",
            err=True,
        )


target_options = group("target", TargetOptions)


def _scheme(default: str) -> Decorator:
    return click.option(
        "--scheme",
        type=click.Choice(SCHEMES),
        show_default=default,
        help="Quantization scheme: what scales weights and activations have.",
    )


def _ranges(default: str) -> Decorator:
    return click.option(
        "--ranges",
        type=click.Choice(RANGES),
        show_default=default,
        help="How the ranges are tracked that scales are made from.",
    )


def _weight_bits(default: str) -> Decorator:
    return click.option(
        "--weight-bits",
        type=click.Choice(("8", "4")),
        show_default=default,
        help="Of all weights but those of depthwise layers.",
    )


ranges_option = _ranges("minmax")


@dataclass(frozen=True)
class QuantizationOptions:
    """How a network that exists is quantized; None leaves it as it is."""

    scheme: Annotated[str | None, _scheme("asymmetric")]
    ranges: Annotated[str | None, _ranges("minmax")]
    weight_bits: Annotated[str | None, _weight_bits("8")]

    @property
    def are_told(self) -> bool:
        """Whether anything is to be another way."""
        return any((self.scheme, self.ranges, self.weight_bits))

    def check_unused(self, path: Path) -> None:
        """OptionError if a file of integers is to be quantized otherwise."""
        if self.are_told:
            raise OptionError(
                f"{path} is int8, and its integers are kept: leave out --scheme, "
                "--ranges and --weight-bits, or take the float32 file that it was "
                "made from"
            )

    def of(self, net: Model) -> Model:
        """The network, quantized so."""
        if not self.are_told:
            return net
        return net.with_quantization(
            scheme=self.scheme,
            ranges=self.ranges,
            weight_bits=int(self.weight_bits) if self.weight_bits else None,
        )


quantization_options = group("quantization", QuantizationOptions)


def _network(help: str, default: str | None = None) -> Decorator:
    return click.option(
        "--network", type=click.Choice(NETWORKS), show_default=default or False,
        help=help,
    )  # fmt: skip


@dataclass(frozen=True)
class NetworkOptions:
    """An untrained network of the zoo; None is the network's own default."""

    network: Annotated[str | None, _network("See zoo.py.")] = None
    channels: Annotated[
        tuple[int, ...] | None,
        click.option(
            "--channels",
            type=Channels(),
            show_default="32,32,64 for paper-cnn",
            help="Output channels of each convolution of paper-cnn, or each pair of "
            "paper-vgg.",
        ),
    ] = None
    pool: Annotated[
        str | None,
        click.option(
            "--pool",
            type=click.Choice(("max", "average")),
            show_default="max",
            help="Of paper-cnn.",
        ),
    ] = None
    batch_norm: Annotated[
        bool | None,
        click.option(
            "--batch-norm/--no-batch-norm",
            default=None,
            show_default="of paper-vgg alone",
            help="Normalize the paper's networks while training.",
        ),
    ] = None
    scheme: Annotated[
        str | None,
        _scheme(
            "pow2 for the paper's networks and the autoencoder, symmetric for the "
            "others"
        ),
    ] = None
    weight_bits: Annotated[str | None, _weight_bits("8")] = None

    @property
    def is_named(self) -> bool:
        """Whether an option says which network it is."""
        told = (self.network, self.channels, self.pool, self.batch_norm)
        return any(value is not None for value in told)

    def build(self, facts: Mapping[str, Any]) -> Model:
        """The untrained network, with those of `facts` that it takes.

        Raises
        ------
        OptionError
            It does not take what was told.
        """
        takes = inspect.signature(self._make()).parameters
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
                    f"--{name.replace('_', '-')} does not apply to {self._name}"
                )
        return self._make()(**{k: v for k, v in facts.items() if k in takes}, **told)

    @property
    def title(self) -> str:
        """Name and shape of the network, for those who compare results."""
        words = [self._name]
        channels = inspect.signature(self._make()).parameters.get("channels")
        if channels is not None:
            words.append(",".join(map(str, self.channels or channels.default)))
        if self.pool is not None:
            words.append(f"{self.pool} pool")
        if self.batch_norm is not None:
            words.append("batch norm" if self.batch_norm else "no batch norm")
        return " ".join(words)

    @property
    def _name(self) -> str:
        return self.network or "paper-cnn"

    def _make(self) -> Callable[..., Model]:
        from kanji_np import zoo

        return zoo.NETWORKS[self._name]


def network_options(help: str, default: str | None = None) -> Decorator:
    """The options that name an untrained network; `help` is that of --network."""
    return group("network", NetworkOptions, {"network": _network(help, default)})
