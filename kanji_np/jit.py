"""Numba, as the package uses it: no other module imports it.

What the environment says of it is checked before it is loaded, and what it compiles is
kept wherever there is a place for it, so that the next process need not compile again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import cache as once
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from kanji_np.errors import OptionError

THREADS, DISABLED = "NUMBA_NUM_THREADS", "NUMBA_DISABLE_JIT"


def _check_environment() -> None:
    """OptionError where Numba would fail, or could not do what is wanted of it."""
    count = os.environ.get(THREADS)
    if count is not None and not (count.isdecimal() and int(count) > 0):
        raise OptionError(f"{THREADS} must be an int of at least 1, got {count!r}")
    if os.environ.get(DISABLED, "0") not in ("", "0"):
        raise OptionError(
            f"{DISABLED} is set, but the kernels are made by the compiler: unset it"
        )


_check_environment()

# ruff: noqa: E402 - Numba reads the environment when it is imported
import numba
from numba import extending
from numba import types as nb
from numba.core import event
from numba.core.caching import FunctionCache

#: Numba's settings, which it makes from the environment.
config: Any = numba.config

__all__ = ["Compiled", "config", "event", "intrinsic", "nb", "njit"]

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class Compiled(Protocol[P, R]):
    """A function that is compiled when it is first called."""

    @property
    def py_func(self) -> Callable[P, R]:
        """The same text, not compiled."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """`numba.extending.intrinsic`: a function that writes the code of its calls."""
    return extending.intrinsic(function)


def njit(*, cache: bool, **options: Any) -> Callable[[Callable[P, R]], Compiled[P, R]]:
    """`numba.njit`, which keeps what it compiles if `cache` says so and it can."""

    def compiled(function: Callable[P, R]) -> Compiled[P, R]:
        made = numba.njit(**options)(function)
        if cache:
            with contextlib.suppress(RuntimeError):  # there is no place for it
                made._cache = _Kept(function)
                return made
            with contextlib.suppress(RuntimeError):
                _keep_in_the_temporary_folder()
                made._cache = _Kept(function)
        return made

    return compiled


class _Kept(FunctionCache):
    """Numba's cache of a function, which forgets what it cannot read.

    An entry names the types it was compiled for. Where an earlier version of this
    package has written it, a type may be gone by now.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except (AttributeError, ImportError):
            self.flush()
            return None


@once
def _keep_in_the_temporary_folder() -> None:
    """Tell Numba to keep there what it compiles, and the user."""
    folder = _private_folder()
    if folder is None:
        said = "nothing compiled can be kept, so every start takes longer"
    else:
        config.CACHE_DIR = str(folder)
        said = f"what is compiled is kept in {folder}"
    if sys.stderr is not None:
        print(
            f"kanji_np: neither its own folder nor the home folder can be written; "
            f"{said} (NUMBA_CACHE_DIR names another place)",
            file=sys.stderr,
        )


def _private_folder() -> Path | None:
    """A folder in the temporary one that nobody else can write to: what it holds is
    run."""
    try:
        if not hasattr(os, "getuid"):  # on Windows the temporary folder is the user's
            folder = Path(tempfile.gettempdir()) / "kanji_np"
            folder.mkdir(exist_ok=True)
            return folder
        folder = Path(tempfile.gettempdir()) / f"kanji_np-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(folder)
        is_mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        return folder if is_mine and not found.st_mode & 0o022 else None
    except OSError:
        return None
