"""Reads golden vectors: what the real kernels of a library answered, case by case.

The format is described in golden/README.md. `KANJI_GOLDEN_DIR` names another folder of
such files to be read instead of golden/.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

OWN_FOLDER = Path(__file__).with_name("golden")


@dataclass(frozen=True)
class Case:
    """One call of a library function.

    Parameters
    ----------
    file : str
        Name of the file, which names the library and its version.
    number : int
        The case's number in that file.
    function : str
        The C function that was called.
    params : dict of str to int
        Its integer arguments by name, and `status_<core>`, what it returned.
    arrays : dict of str to ndarray
        Its array arguments by name, and `out_<core>`, what it wrote.
    """

    file: str
    number: int
    function: str
    params: dict[str, int]
    arrays: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return f"{self.file}:{self.number}"

    @property
    def api(self) -> str:
        """The legacy API is "q7", the other "s8"; some functions are in both."""
        return "q7" if self.file.endswith("-q7.npz") else "s8"

    @property
    def answers(self) -> dict[str, np.ndarray]:
        """What each core class wrote, by core class: "c", "dsp", "mve"."""
        prefix = "out_"
        return {
            key.removeprefix(prefix): array
            for key, array in self.arrays.items()
            if key.startswith(prefix)
        }


def folder() -> Path:
    """The folder that `cases` reads by default."""
    return Path(os.environ.get("KANJI_GOLDEN_DIR") or OWN_FOLDER)


def cases(source: Path | None = None) -> Iterator[Case]:
    """Every case of every ``*.npz`` in a folder, by file name and number.

    Raises
    ------
    FileNotFoundError
        The folder has no such file.
    """
    source = source or folder()
    files = sorted(source.glob("*.npz"))
    if not files:
        raise FileNotFoundError(f"no golden vectors (*.npz) in {source}")
    for path in files:
        yield from _read(path)


def _read(path: Path) -> Iterator[Case]:
    with np.load(path, allow_pickle=False) as archive:
        arrays: dict[int, dict[str, np.ndarray]] = {}
        for key in archive.files:
            number, _, name = key.partition(".")
            if name:
                arrays.setdefault(int(number), {})[name] = archive[key]
        index = json.loads(str(archive["index"]))
    for entry in index:
        number, function = entry["case"], entry["function"]
        params = {k: v for k, v in entry.items() if k not in ("case", "function")}
        yield Case(path.name, number, function, params, arrays[number])
