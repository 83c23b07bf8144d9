"""What a training run is made of, as text that another process can compare.

A number, a word or a frozen dataclass is what it says. A function is the one of its
name: what it does is not looked at. Of any other object only its class is known, and
whatever it holds, a counter or a setting, is written as `(...)`: that cannot be
compared, and whoever compares says so.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np

UNKNOWN = "(...)"
LITERALS = (type(None), bool, int, float, complex, str, bytes)


def text_of(value: Any) -> str:
    """A setting as text: equal settings have equal texts, in every process."""
    for kinds, text in TEXTS:
        if isinstance(value, kinds):
            return text(value)
    traits = getattr(type(value), "__dataclass_params__", None)
    if traits is not None and traits.frozen:
        # A field that came later and is as before it came does not count.
        own = {
            f.name: v
            for f in fields(value)
            if (v := getattr(value, f.name)) != f.default or not f.metadata.get("added")
        }
        return _called(_name(type(value)), own)
    return f"{_name(type(value))}{UNKNOWN if _holds_something(value) else '()'}"


def _name(thing: Any) -> str:
    """Module and name of a class or function; of this package, its name alone."""
    module = getattr(thing, "__module__", None) or ""
    if module.split(".")[0] == "kanji_np":
        module = ""
    return f"{module}.{thing.__qualname__}".lstrip(".")


def _called(name: str, options: Mapping[str, Any], *arguments: Any) -> str:
    words = [text_of(x) for x in arguments]
    words += [f"{key}={text_of(value)}" for key, value in options.items()]
    return f"{name}({', '.join(words)})"


def _holds_something(value: Any) -> bool:
    """Whether an object is more than its class."""
    return bool(getattr(value, "__dict__", True))


def _of_function(f: FunctionType) -> str:
    # Lambdas share a name; a closure may hold anything.
    is_known = f.__name__ != "<lambda>" and not f.__closure__
    return _name(f) + ("" if is_known else UNKNOWN)


def _of_enum(value: enum.Enum) -> str:
    return f"{_name(type(value))}.{value.name}"


#: How what is not a dataclass is written, the first row that fits.
TEXTS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (enum.Enum, _of_enum),
    (np.generic, lambda x: repr(x.item())),
    (LITERALS, repr),
    (tuple, lambda x: f"({', '.join(map(text_of, x))}{',' * (len(x) == 1)})"),
    (list, lambda x: f"[{', '.join(map(text_of, x))}]"),
    (type, _name),
    (FunctionType, _of_function),
    (BuiltinFunctionType, _name),
    (MethodType, lambda x: f"{text_of(x.__self__)}.{x.__name__}"),
    (partial, lambda x: _called(text_of(x.func), x.keywords, *x.args)),
)


def differ(stored: str | None, mine: str) -> bool | None:
    """Whether two texts are of different settings; None if they do not say.

    A stored text of None is of a checkpoint that does not have the setting; one with an
    address, of before there were such texts, when modules were not named either. Names
    that are alike but for their modules may be of one function: a script's own have
    another module when it is imported.
    """
    if stored is None or " at 0x" in stored:
        return None
    a, b = map(_plain, (stored, mine))
    if a != b and _without_modules(a) != _without_modules(b):
        return True
    return None if a != b or UNKNOWN in a else False


def _plain(text: str) -> str:
    """With whole numbers alike, be they int or float."""
    return re.sub(r"(?<=\d)\.0(?!\d)", "", text)


def _without_modules(text: str) -> str:
    return re.sub(r"(?:[A-Za-z_]\w*\.)+", "", text)
