"""What readers and writers of all formats share: names of networks, places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kanji_np.checks import line
from kanji_np.errors import KanjiError, OptionError, UnsupportedOp


def network_name(path: str | Path) -> str:
    """The name of a file as a C identifier in lower case."""
    name = re.sub(r"[^a-z0-9]+", "_", Path(path).stem.lower()).strip("_")
    return name if name[:1].isalpha() else f"network_{name}".rstrip("_")


@contextmanager
def naming(place: object) -> Iterator[None]:
    """Errors of this package that leave this context begin with a place.

    Their kind stays, but an OptionError becomes an UnsupportedOp: nobody gave the
    option, and what is on the one side has no counterpart on the other.

    Parameters
    ----------
    place : object
        The file, or a tensor, an operator or a layer, as messages call it. It is not
        said twice.
    """
    try:
        yield
    except KanjiError as error:
        where, message = line(str(place)), str(error)
        kind = UnsupportedOp if isinstance(error, OptionError) else type(error)
        if not message.startswith(where):
            message = f"{where}: {message}"
        raise kind(message) from None
