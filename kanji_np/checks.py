"""Checks of values that come from outside: arguments, options, fields of files.

Each returns the value in the one form the rest of the package holds it in, a plain int
for any kind of integer and a float for any kind of real number, or raises OptionError,
which names the value, what is allowed, and what came.
"""

from __future__ import annotations

import contextlib
import math
import numbers
import operator
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from kanji_np.errors import OptionError

MOST_LISTED = 8  # names in one message


def integer(name: str, value: Any, least: int, most: int | None = None) -> int:
    """An integer in ``least .. most``, of Python's or NumPy's types; not a bool."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if is_integer and least <= value and (most is None or value <= most):
        return operator.index(value)
    limits = f"of at least {least}" if most is None else f"in {least} .. {most}"
    raise _refusal(name, f"an int {limits}, got {shown(value)}")


def number(
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    below: float | None = None,
) -> float:
    """A finite real number in ``least .. most``; not a bool.

    `below`, in place of `most`, is a limit that is not reached.
    """
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    with contextlib.suppress(OverflowError):  # of an int beyond floats
        fits = is_real and math.isfinite(value) and least <= value <= most
        if fits and (below is None or value < below):
            return float(value)
    limits = "" if (least, most) == (-math.inf, math.inf) else f" in {least} .. {most}"
    if below is not None:
        limits = f" in [{least}, {below})"
    raise _refusal(name, f"a finite number{limits}, got {shown(value)}")


def hold_number(
    settings: Any, name: str, *limits: float, below: float | None = None
) -> None:
    """Check a field of a frozen dataclass by `number`, and hold it as a plain one.

    An int stays an int, for it to be written as it was given.
    """
    value = getattr(settings, name)
    checked = number(name, value, *limits, below=below)
    object.__setattr__(settings, name, value if type(value) is int else checked)


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """One of a few words."""
    allowed = tuple(allowed)
    if isinstance(value, str) and value in allowed:
        return value
    raise _refusal(name, f"one of {', '.join(allowed)}; got {shown(value)}")


def _refusal(name: str, allowed: str) -> OptionError:
    """The error of an argument; its owner may stand before it, "batches: seed", or
    behind it, "rounding of cmsis-nn"."""
    argument = name.rpartition(": ")[2].split()[0]
    return OptionError(f"{name} must be {allowed}", arguments=(argument,))


def lower_identifier(name: str, value: Any) -> str:
    """What C, file names and `make` take as a name on every system."""
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_]*", value):
        return value
    raise OptionError(
        f"{name} must be a C identifier in lower case, got {shown(value)}",
        arguments=("name",),
    )


def flag(name: str, value: Any) -> bool:
    """True or False, of Python's or NumPy's type."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise _refusal(name, f"True or False, got {shown(value)}")


def integers(
    name: str, value: Any, least: int, most: int, lengths: tuple[int, int]
) -> tuple[int, ...]:
    """A tuple of so many integers, each in ``least .. most``, from a tuple or list."""
    shortest, longest = lengths
    if isinstance(value, tuple | list) and shortest <= len(value) <= longest:
        with contextlib.suppress(OptionError):
            return tuple(integer(name, each, least, most) for each in value)
    count = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    raise _refusal(name, f"{count} ints in {least} .. {most}, got {shown(value)}")


def pair(name: str, value: Any, least: int, most: int) -> tuple[int, int]:
    """Two integers in ``least .. most``; a single one stands for both."""
    both = value if isinstance(value, tuple | list) else (value, value)
    with contextlib.suppress(OptionError):
        first, second = integers(name, both, least, most, (2, 2))
        return first, second
    allowed = f"an int in {least} .. {most} or a pair of them"
    raise _refusal(name, f"{allowed}, got {shown(value)}")


def shown(value: Any, most: int = 80) -> str:
    """A value as messages show it: on one line, cut where it is long."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # of an endless int, of lists in lists
        text = f"a {type(value).__name__} that is too long to show"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def listed(texts: Iterable[object], between: str = ", ") -> str:
    """Texts as messages show them: in a row, of many the first few; "none" of none."""
    each = [*map(str, texts)]
    more = len(each) - MOST_LISTED
    if more > 0:
        each[MOST_LISTED:] = [f"{more} more"]
    return between.join(each) or "none"


def line(text: str) -> str:
    """Text as messages show it: as it is where it is one line, else in quotes."""
    return text if text.isprintable() else repr(text)
