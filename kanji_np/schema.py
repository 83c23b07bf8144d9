"""What a file's JSON may be, said as data and checked before anything is made of it.

A rule takes a place and a value and gives the value in the form the package holds it
in, or raises OptionError that names the place: ``layers[3].inputs[0] must be an int in
0 .. 3, got -1``. Rules for records and lists are made of other rules. `read` is the one
way from a file of JSON to checked values.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from kanji_np import checks
from kanji_np.errors import FileFormatError, OptionError

Rule = Callable[[str, Any], Any]

MOST_COUNT = 2**53  # every integer up to it is a float too
MOST_TEXT = 100_000
MOST_JSON_BYTES = 2**26


def integer(least: int = 0, most: int | None = MOST_COUNT) -> Rule:
    return partial(_call, checks.integer, least=least, most=most)


def version(known: int) -> Rule:
    """The number of a format, of which this program reads one."""

    def check(place: str, value: Any) -> int:
        if type(value) is int and value == known:
            return value
        raise OptionError(
            f"{place} {checks.shown(value)} is not the one that is read here, {known}"
        )

    return check


def number(least: float = -math.inf, most: float = math.inf) -> Rule:
    return partial(_call, checks.number, least=least, most=most)


def one_of(allowed: Collection[str]) -> Rule:
    """One of what `allowed` holds when a file is read."""
    return partial(_call, checks.one_of, allowed=allowed)


def _call(check: Callable[..., Any], place: str, value: Any, **limits: Any) -> Any:
    return check(place, value, **limits)


def flag(place: str, value: Any) -> bool:
    return checks.flag(place, value)


def text(place: str, value: Any) -> str:
    """Text of one line, without control characters."""
    if isinstance(value, str) and len(value) <= MOST_TEXT and value.isprintable():
        return value
    raise OptionError(f"{place} must be text of one line, got {checks.shown(value)}")


def string(place: str, value: Any) -> str:
    """Text of any kind."""
    if isinstance(value, str):
        return value
    raise OptionError(f"{place} must be text, got {checks.shown(value)}")


def anything(place: str, value: Any) -> Any:
    """For what is checked by whoever it is given to."""
    return value


def nullable(rule: Rule) -> Rule:
    """The same, or null, which is None."""
    return lambda place, value: None if value is None else rule(place, value)


def or_nan(rule: Rule) -> Rule:
    """The same, or a float that is not a number."""

    def check(place: str, value: Any) -> Any:
        is_nan = isinstance(value, float) and value != value
        return value if is_nan else rule(place, value)

    return check


def array(rule: Rule, least: int = 0, most: int = MOST_COUNT) -> Rule:
    """A list of so many values that keep to a rule; gives a tuple."""

    def check(place: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            count = f"{least}" if least == most else f"at least {least}"
            raise OptionError(
                f"{place} must be a list of {count} values, got {checks.shown(value)}"
            )
        return tuple(rule(f"{place}[{i}]", each) for i, each in enumerate(value))

    return check


def columns(*rules: Rule) -> Rule:
    """A list of as many values as there are rules, each with its own."""
    whole = array(anything, len(rules), len(rules))

    def check(place: str, value: Any) -> tuple[Any, ...]:
        values = enumerate(zip(rules, whole(place, value), strict=True))
        return tuple(rule(f"{place}[{i}]", each) for i, (rule, each) in values)

    return check


def mapping(rule: Rule) -> Rule:
    """An object of any keys whose values keep to a rule."""

    def check(place: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise OptionError(
                f"{place or 'the file'} must be an object, got {checks.shown(value)}"
            )
        return {
            text(f"a key of {place or 'the file'}", key): rule(_inside(place, key), v)
            for key, v in value.items()
        }

    return check


def record(rules: Mapping[str, Rule], optional: Collection[str] = ()) -> Rule:
    """An object of these keys and no others; those that are optional may be missing."""
    whole = mapping(anything)

    def check(place: str, value: Any) -> dict[str, Any]:
        value = whole(place, value)
        for key in rules:
            if key not in value and key not in optional:
                raise OptionError(f"{_inside(place, key)} is missing")
        for key in value:
            if key not in rules:
                raise OptionError(f"{_inside(place, key)} is not known here")
        return {key: rules[key](_inside(place, key), v) for key, v in value.items()}

    return check


def _inside(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def parse(data: bytes) -> Any:
    """The value of JSON in UTF-8; OptionError if it is none.

    A key twice in an object is refused: which of them counts would be left to chance.
    """
    if len(data) > MOST_JSON_BYTES:
        raise OptionError(f"{len(data):,} bytes of JSON are too many")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"is no JSON: {' '.join(str(error).split())}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {checks.shown(twice)} stands twice in one object")
    return found


def read(path: str | Path, rule: Rule, otherwise: str) -> Any:
    """The checked content of a JSON file; `otherwise` is what it is called if refused.

    Raises
    ------
    FileFormatError
        It is missing, no regular file, no JSON, or does not keep to the rule.
    """
    with opened(path) as file:
        data = file.read(MOST_JSON_BYTES + 1)
    with refusing(f"{path}: {otherwise}"):
        return rule("", parse(data))


@contextmanager
def refusing(where: str | Path) -> Iterator[None]:
    """OptionErrors that leave this context are FileFormatErrors of the file."""
    try:
        yield
    except OptionError as error:
        raise FileFormatError(f"{where}: {error}") from None


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """A regular file, open for reading; FileFormatError if it is none."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise FileFormatError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: of a path with a null byte
        raise FileFormatError(
            f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    with file:
        yield file


def open_regular(path: str | Path) -> BinaryIO:
    """A regular file, open for reading; OSError if it is none or cannot be read.

    Anything else may never end, or never begin: a pipe waits until somebody writes.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("it is not a regular file")
    return open(path, "rb")
