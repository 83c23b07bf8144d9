"""Former names: they keep working, and a warning says what to write instead.

Every warning reads alike: "X is now called Y; X goes with version 0.3".
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from kanji_np.errors import OptionError

P = ParamSpec("P")
R = TypeVar("R")

#: The version that former names are gone in.
GONE_IN = "0.3"


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is now called {new}; {old} goes with version {GONE_IN}",
        DeprecationWarning,
        stacklevel=3,  # the line of whoever wrote the former name
    )


def former_name(
    old: str, function: Callable[P, R], *, owner: str | None = None
) -> Callable[P, R]:
    """A function or method under the name it had before.

    `owner` is the class that users know a method by; None: the one it is defined in.
    """
    place, _, name = function.__qualname__.rpartition(".")
    new, former = (f"{owner or place}.{n}".lstrip(".") for n in (name, old))

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        _warn(former, new)
        return function(*args, **kwargs)

    called.__name__, called.__qualname__ = old, former
    called.__doc__ = f"The former name of `{new}`."
    return called


def former_argument(
    old: str, new: str, meaning: Callable[[Any], Any]
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: the function takes a keyword argument under its former name too.

    Its signature shows the new name alone.

    Parameters
    ----------
    old, new : str
    meaning : callable
        Gives the new argument's value from the former one's.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__qualname__

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            if old in kwargs:
                if new in kwargs:
                    raise OptionError(
                        f"{name} takes {new}, or {old}, its former name; got both"
                    )
                _warn(f"{name}({old}=...)", f"{name}({new}=...)")
                kwargs[new] = meaning(kwargs.pop(old))
            return function(*args, **kwargs)

        return called

    return decorate
