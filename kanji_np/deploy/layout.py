"""Where the files of a firmware lie, which depends on what it is packed for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

CODE = (".c", "_data.c", "_data.h")  # of a network, after its name


@dataclass(frozen=True)
class Layout:
    """Folders of a firmware, relative to it; "" is the firmware's own.

    Parameters
    ----------
    header : str
        Of `NAME.h`, which applications include.
    code : str
        Of the network's other files.
    example : str
        Of the program that shows how the network is called.
    flat : bool
        Kernels and their headers lie beside the code, where the compiler finds them
        without being told a folder. If not, they lie under `ccore/`, as in this
        project.
    """

    header: str
    code: str
    example: str
    flat: bool = True

    def network(self, name: str) -> dict[str, str]:
        """Where each of a network's files lies, by its own name."""
        places = {f"{name}.h": inside(self.header, f"{name}.h")}
        for end in CODE:
            places[f"{name}{end}"] = inside(self.code, f"{name}{end}")
        return places

    def kernel(self, file: str) -> str:
        """Where a file of ccore lies, by its place in this project."""
        return inside(self.code, PurePosixPath(file).name) if self.flat else file


def inside(folder: str, file: str) -> str:
    return f"{folder}/{file}" if folder else file
