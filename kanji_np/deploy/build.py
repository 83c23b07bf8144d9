"""Compiles a firmware, for this computer or a device, in a folder apart.

Kernels are compiled once and linked into several programs: the network alone, and the
network with every layer observed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kanji_np.deploy.kernels import (
    KERNELS,
    Checkout,
    ccore_files,
    defines,
    own_class,
)
from kanji_np.errors import ToolError
from kanji_np.graph import Graph

COMPILERS = ("cc", "gcc", "clang")
ERROR_LINES = 5


@dataclass(frozen=True)
class Sources:
    """A network and its kernels, ready to be compiled.

    Parameters
    ----------
    directory : Path
        The firmware.
    code : Path
        Where the network's files are, and the runner for this computer.
    name : str
        Of the network.
    kernels : tuple of Path
        Sources of kernels.
    includes : tuple of Path
        Where headers are looked for, in this order.
    defines : tuple of str
        Macros for all sources.
    folder : Path
        For what is made.
    """

    directory: Path
    code: Path
    name: str
    kernels: tuple[Path, ...]
    includes: tuple[Path, ...]
    defines: tuple[str, ...]
    folder: Path

    @property
    def observe(self) -> str:
        """The macro that makes a network show what each layer computes."""
        return f"{self.name.upper()}_OBSERVE"

    @property
    def guard(self) -> str:
        """The macro that makes a network take its scratch memory from the program."""
        return f"{self.name.upper()}_GUARD"


def stage(
    directory: Path,
    graph: Graph,
    core_class: str,
    functions: Iterable[str],
    checkout: Checkout | None,
    folder: Path,
    own: Mapping[str, Path] | None = None,
) -> Sources:
    """Collect what a network is compiled from; ccore's files are copied to `folder`.

    Parameters
    ----------
    directory : Path
        Where the network's files are.
    core_class : str
        What it will run on is to the library, or what ccore is to compute as.
    functions : iterable of str
        Of the library, that the network calls.
    checkout : Checkout or None
        The real library; None links ccore.
    own : path in this project -> Path
        Files of ccore's that are to be taken instead of this project's.
    """
    target, library = graph.target, "ccore" if checkout is None else "cmsis-nn"
    kernels: list[Path] = []
    for file, package_file in ccore_files(functions, target, library).items():
        copy = folder / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile((own or {}).get(file, package_file), copy)
        if copy.suffix == ".c":
            kernels.append(copy)
    includes = [folder / include for include in KERNELS[target.library].includes]
    if checkout is not None:
        includes = [*checkout.includes, *includes]
        kernels += checkout.sources
    macros = [*defines(target, library, core_class)]
    if core_class != own_class(target):
        macros.append(f"{graph.name.upper()}_ANY_CORE")
    return Sources(
        directory,
        directory,
        graph.name,
        tuple(kernels),
        (directory, *includes),
        tuple(macros),
        folder,
    )


def host_compiler(given: str | None) -> tuple[str, ...]:
    """The command line of a C compiler for this machine."""
    named = given or os.environ.get("CC")
    candidates = [shlex.split(named)] if named else [[name] for name in COMPILERS]
    for command in candidates:
        if shutil.which(command[0]):
            return tuple(command)
    if named:
        raise ToolError(f"the C compiler {named!r} is not installed")
    raise ToolError(
        "no C compiler found (cc, gcc or clang): install gcc or clang, or set CC"
    )


# A source, the folder its object goes to, and more macros.
_Job = tuple[Path, Path, Sequence[str]]


@dataclass(frozen=True)
class Build:
    """How sources become programs.

    Parameters
    ----------
    command : tuple of str
        The compiler and its options, for compiling and linking alike.
    """

    sources: Sources
    command: tuple[str, ...]

    def program(
        self,
        name: str,
        runner: Sequence[Path],
        *,
        runner_folder: str = "runner",
        includes: Sequence[Path] = (),
        macros: Sequence[str] = (),
        link: Sequence[str] = (),
        explain: Callable[[str], str | None] = lambda said: None,
    ) -> Path:
        """Compile network and runner with `macros`, link them with the kernels; once.

        Parameters
        ----------
        name : str
            Of the program; its objects go to a folder of this name.
        runner : paths
            Sources of the program that calls the network.
        runner_folder : str
            Where their objects go.
        includes, macros, link
            More include folders and macros than the sources ask for; linker options.
        explain : str -> str or None
            What to say of the linker's message instead of quoting it.
        """
        s, here = self.sources, self.sources.folder / name
        elf = here / "program"
        if elf.exists():
            return elf
        network, data = (s.code / f"{s.name}{end}.c" for end in ("", "_data"))
        options = [f"-I{i}" for i in (*s.includes, *includes)]
        same = (*s.kernels, data)
        jobs: list[_Job] = [(path, s.folder / "kernels", ()) for path in same]
        jobs.append((network, here, macros))
        jobs += [(path, here / runner_folder, macros) for path in runner]

        def compile_one(job: _Job) -> Path:
            source, folder, extra = job
            target = folder / f"{source.stem}.o"
            if not target.exists():
                folder.mkdir(parents=True, exist_ok=True)
                flags = [f"-D{macro}" for macro in (*s.defines, *extra)]
                self._call([*flags, *options, "-c", str(source), "-o", str(target)])
            return target

        with workers() as pool:
            objects = list(pool.map(compile_one, jobs))
        self._call([*map(str, objects), *link, "-o", str(elf)], explain)
        return elf

    def _call(
        self,
        arguments: Sequence[str],
        explain: Callable[[str], str | None] = lambda said: None,
    ) -> None:
        done = subprocess.run(
            [*self.command, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            reason = explain(done.stderr)
            if reason is not None:
                raise ToolError(f"{self.sources.directory}: {reason}")
            lines = done.stderr.strip().splitlines()
            errors = [x for x in lines if re.search("error:|undefined", x)] or lines
            raise ToolError(
                f"{self.sources.directory}: {self.command[0]} failed:\n"
                + "\n".join(errors[:ERROR_LINES])
            )


@contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core, to wait for processes; none starts after an error."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
