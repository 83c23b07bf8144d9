"""The options that name a family of networks."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from kanji_np.cli.options import PATH, Decorator, Typed, group, name_options
from kanji_np.errors import KanjiError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from kanji_np.search.family import Choice, Family
    from kanji_np.types import Shape

WORD = r"[a-z]{1,20}"
INTEGER = r"\d{1,5}"
NUMBER = r"\d{1,5}(?:\.\d{1,5})?"


class Values(Typed):
    """Values of a choice, separated by commas."""

    def __init__(self, pattern: str, kind: type, example: str) -> None:
        self.pattern, self.kind, self.example = pattern, kind, example

    name = "A,B,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Choice, ...]:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(f"{self.pattern}(?:,{self.pattern})*", value):
            self.fail(f"{value!r} is not a list such as {self.example}", param, ctx)
        return tuple(map(self.kind, value.split(",")))

    def typed(self, value: tuple[Choice, ...]) -> str:
        """The text that stands for a value."""
        return ",".join(map(str, value))


def _values(
    option: str, pattern: str, kind: type, default: str, help: str
) -> Decorator:
    return click.option(
        option, type=Values(pattern, kind, default), show_default=default, help=help
    )


@dataclass(frozen=True)
class FamilyOptions:
    """The networks among which a search looks: a Python file, or those for images."""

    family: Annotated[
        Path | None,
        click.option(
            "--family",
            type=PATH,
            metavar="FILE.py",
            help="Python file with `space`, a dict of lists, and `build`, a function "
            "that makes a network of one value each. The file is run.",
        ),
    ] = None
    resolutions: Annotated[
        tuple[int, ...] | None,
        click.option(
            "--resolutions",
            type=Values(INTEGER, int, "32,24,16"),
            show_default="all, 3/4 and 1/2 of square images",
            help="Heights that images are resized to.",
        ),
    ] = None
    blocks: Annotated[
        tuple[str, ...] | None,
        _values(
            "--blocks", WORD, str, "conv,depthwise,residual",
            "Ordinary, depthwise-separable or residual convolutions.",
        ),
    ] = None  # fmt: skip
    widths: Annotated[
        tuple[int, ...] | None,
        _values(
            "--widths", INTEGER, int, "8,16,24,32,48", "Channels of the first stage."
        ),
    ] = None
    growths: Annotated[
        tuple[float, ...] | None,
        _values(
            "--growths", NUMBER, float, "1,1.5,2",
            "How many times as wide each stage is as the one before.",
        ),
    ] = None  # fmt: skip
    stages: Annotated[
        tuple[int, ...] | None,
        _values("--stages", INTEGER, int, "2,3,4", "Each halves the resolution."),
    ] = None
    depths: Annotated[
        tuple[int, ...] | None,
        _values("--depths", INTEGER, int, "1,2", "Blocks in a stage."),
    ] = None
    kernels: Annotated[
        tuple[int, ...] | None,
        _values("--kernels", INTEGER, int, "3,5", "Sides of kernels."),
    ] = None
    shrinks: Annotated[
        tuple[str, ...] | None,
        _values("--shrinks", WORD, str, "pool,stride", "How a stage halves."),
    ] = None
    heads: Annotated[
        tuple[str, ...] | None,
        _values(
            "--heads", WORD, str, "flatten,average",
            "What the last layer reads: all values, or the mean of each channel.",
        ),
    ] = None  # fmt: skip

    def load(
        self,
        input_shape: Shape,
        classes: int,
        *,
        mean: ArrayLike | None,
        target: str = "cmsis-nn",
        scheme: str = "symmetric",
        seed: int = 0,
    ) -> Family:
        """The family; errors name options. See `image_family`.

        Raises
        ------
        OptionError
            A value is out of range, or given beside a file.
        FileFormatError
            The file is not one of a family.
        """
        from kanji_np.search.family import read_family
        from kanji_np.search.images import image_family

        space = self._space()
        if self.family is not None:
            if space:
                told = ", ".join(OPTIONS[name] for name in space)
                raise OptionError(f"--family and {told} exclude each other")
            return read_family(self.family)
        try:
            return image_family(
                input_shape, classes, space, mean=mean, target=target, scheme=scheme,
                seed=seed,
            )  # fmt: skip
        except KanjiError as error:
            name_options(error, OPTIONS)
            raise

    def _space(self) -> dict[str, Sequence[Choice]]:
        """The choices that were told, by their names in the family."""
        values = {name: getattr(self, OPTION_FIELDS[name]) for name in OPTION_FIELDS}
        return {name: given for name, given in values.items() if given is not None}


#: The field of each choice of the family of images.
OPTION_FIELDS = {
    field.name if field.name == "stages" else field.name.removesuffix("s"): field.name
    for field in fields(FamilyOptions)
    if field.name != "family"
}
OPTIONS = {name: f"--{field}" for name, field in OPTION_FIELDS.items()}

family_options = group("family", FamilyOptions)
