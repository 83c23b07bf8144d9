"""What readers of every format do with the name of the file they read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kanji_np.errors import FileFormatError, KanjiError, OptionError


def network_name(path: str | Path) -> str:
    """The name of a file as a C identifier in lower case."""
    name = re.sub(r"[^a-z0-9]+", "_", Path(path).stem.lower()).strip("_")
    return name if name[:1].isalpha() else f"network_{name}".rstrip("_")


@contextmanager
def naming_file(path: str | Path) -> Iterator[None]:
    """Errors of this package that leave this context name the file.

    A wrong option is one of the file's, so that it becomes a FileFormatError.
    """
    try:
        yield
    except FileFormatError:  # `schema.opened` names the file itself
        raise
    except KanjiError as error:
        kind = FileFormatError if isinstance(error, OptionError) else type(error)
        raise kind(f"{path}: {error}") from None
