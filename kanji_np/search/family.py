"""Families of networks: named choices, and a function that builds a network of them."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from kanji_np.checks import integer, line, lower_identifier, shown
from kanji_np.errors import FileFormatError, KanjiError, OptionError
from kanji_np.model import Model

Choice = int | float | str | bool

MOST_CHOICES = 64  # a family has
MOST_VALUES = 1000  # a choice has
MOST_CANDIDATES = 2**62  # numbers are int64
MOST_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Candidate:
    """One network of a family.

    Parameters
    ----------
    number : int
        In its family, from 0.
    choices : dict
        The value of every choice, by name.
    """

    number: int
    choices: Mapping[str, Choice]

    @property
    def name(self) -> str:
        """A C identifier in lower case, unique in its family."""
        return f"candidate_{self.number}"

    @property
    def text(self) -> str:
        """The choices on one line."""
        return " ".join(f"{name}={value}" for name, value in self.choices.items())


@dataclass(frozen=True)
class Family:
    """Networks that are alike: every combination of some choices is one.

    Candidates are numbered as nested loops over the choices would meet them, the last
    choice being the innermost loop.

    Parameters
    ----------
    name : str
        For messages.
    space : mapping of str to sequence
        The values of each choice: distinct integers, floats, texts or flags.
    make : callable
        Is called with one value for every choice, by keyword, and returns an untrained
        `Model`. Where a combination makes no network, such as one with more pooling
        than pixels, it raises a `KanjiError`: layers and `Model` do so. It must be
        picklable for rankings by several processes.

    Raises
    ------
    OptionError
        The space is empty, a choice is no identifier, or values are of another kind or
        given twice.
    """

    name: str
    space: Mapping[str, Sequence[Choice]]
    make: Callable[..., Model]

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", _checked_space(self.name, self.space))
        if not callable(self.make):
            raise OptionError(f"{self.name}: build must be a function")

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return math.prod(len(values) for values in self.space.values())

    def candidate(self, number: int) -> Candidate:
        """The candidate of a number.

        Parameters
        ----------
        number : int
            0 to `size` - 1.
        """
        number = integer("number", number, 0, self.size - 1)
        rest, chosen = number, {}
        for name, values in reversed([*self.space.items()]):
            rest, place = divmod(rest, len(values))
            chosen[name] = values[place]
        return Candidate(number, {name: chosen[name] for name in self.space})

    def number_of(self, choices: Mapping[str, Choice]) -> int:
        """The number of the candidate with these choices; see `candidate`.

        Parameters
        ----------
        choices : mapping
            The value of every choice, by name.
        """
        number = 0
        for name, values in self.space.items():
            number = number * len(values) + values.index(choices[name])
        return number

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Candidate, ...]:
        """Distinct candidates: all in order if there are no more, else by chance.

        Parameters
        ----------
        count : int
            At least 1.
        rng : Generator
        """
        count = integer("candidates", count, 1)
        if self.size <= count:
            return tuple(map(self.candidate, range(self.size)))
        drawn = rng.choice(self.size, count, replace=False)
        return tuple(map(self.candidate, drawn.tolist()))

    def build(self, candidate: Candidate) -> Model:
        """The network of a candidate, untrained.

        Parameters
        ----------
        candidate : Candidate

        Returns
        -------
        Model

        Raises
        ------
        FileFormatError
            `make` returns something else, or fails in a file.
        KanjiError
            Another: the choices make no network.
        """
        network = self.make(**candidate.choices)
        if not isinstance(network, Model):
            raise FileFormatError(
                f"{self.name}: build must return a Model, got {shown(network)} for "
                f"{candidate.text}"
            )
        return network


def _checked_space(
    owner: str, space: Mapping[str, Sequence[Choice]]
) -> dict[str, tuple[Choice, ...]]:
    """The space as plain values; OptionError if it is none."""
    if not isinstance(space, Mapping) or not space:
        raise OptionError(
            f"{owner}: space must be a dict of choices, such as "
            f"{{'width': [8, 16]}}, got {shown(space)}"
        )
    if len(space) > MOST_CHOICES:
        raise OptionError(f"{owner}: space has more than {MOST_CHOICES} choices")
    checked = {}
    for name, values in space.items():
        lower_identifier(f"{owner}: the name of a choice", name)
        checked[name] = _checked_values(f"{owner}: {name}", values)
    if math.prod(map(len, checked.values())) > MOST_CANDIDATES:
        raise OptionError(f"{owner}: space has more than 2^62 combinations")
    return checked


def _checked_values(owner: str, values: Sequence[Choice]) -> tuple[Choice, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise OptionError(f"{owner} must be a list of values, got {shown(values)}")
    if len(values) > MOST_VALUES:
        raise OptionError(f"{owner} has more than {MOST_VALUES} values")
    for value in values:
        if not isinstance(value, Choice) or value != value:
            raise OptionError(
                f"{owner}: values must be numbers, texts or flags, got {shown(value)}"
            )
    if len(set(values)) < len(values):
        raise OptionError(f"{owner} has a value twice: {shown([*values])}")
    return tuple(values)


def read_family(path: str | Path) -> Family:
    """The family of a Python file, which is run.

    Parameters
    ----------
    path : str or Path
        Of a file with two names: `space`, a dict of lists of values, and `build`, a
        function that takes one value for each name of `space` by keyword and returns
        an untrained `Model`.

    Returns
    -------
    Family

    Raises
    ------
    FileFormatError
        The file cannot be read or run, or lacks a name. The message has the line.
    OptionError
        `space` is none.
    """
    text = str(path)
    module = _module(text)
    for name in ("space", "build"):
        if not hasattr(module, name):
            raise FileFormatError(f"{text}: the file of a family must define {name}")
    if not callable(module.build):
        raise FileFormatError(f"{text}: build must be a function")
    return Family(text, module.space, FileBuild(text))


@dataclass(frozen=True)
class FileBuild:
    """The function `build` of a Python file; processes get the path.

    Parameters
    ----------
    path : str
    """

    path: str

    def __call__(self, **choices: Choice) -> Any:
        """What `build` returns; FileFormatError with the line if it fails."""
        try:
            return _module(self.path).build(**choices)
        except KanjiError:
            raise
        except Exception as error:
            raise FileFormatError(_said(self.path, error)) from error


@cache
def _module(path: str) -> ModuleType:
    """A Python file, run once."""
    try:
        with Path(path).open("rb") as file:
            source = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise FileFormatError(f"{path}: {error.strerror or error}") from None
    if len(source) > MOST_FILE_BYTES:
        raise FileFormatError(f"{path} is larger than {MOST_FILE_BYTES:,} bytes")
    module = ModuleType("family")
    module.__file__ = path
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except SyntaxError as error:
        raise FileFormatError(f"{path}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        raise FileFormatError(_said(path, error)) from error
    return module


def _said(path: str, error: Exception) -> str:
    """What went wrong, with the last line of the file that took part."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == path
    ]
    place = f"{path}, line {lines[-1]}" if lines else path
    return f"{place}: {type(error).__name__}: {line(str(error))}"
