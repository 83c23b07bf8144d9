"""What a package is: where files lie, what is in them, which kernels it can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kanji_np.deploy.cwriter import Program
from kanji_np.deploy.layout import Layout

VERSION = "1.0.0"  # of every package; a model's digest tells one from another


@dataclass(frozen=True)
class Packed:
    """What a package holds beside the files that say how it is built.

    Parameters
    ----------
    program : Program
    library : "ccore" or "cmsis-nn"
        Whose kernels are linked.
    sources : tuple of str
        The C files of network and kernels, relative to the firmware, sorted.
    macros : tuple of str
        What the sources are compiled with where `kanji_config.h` cannot say it.
    """

    program: Program
    library: str
    sources: tuple[str, ...]
    macros: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.program.graph.name

    def listed(self, pattern: str, parent: str = "") -> str:
        """The sources, each in its line, named from a folder of the firmware."""
        return "".join(
            pattern.format(source.removeprefix(parent)) for source in self.sources
        )


Words = Mapping[str, object]


def no_words(packed: Packed) -> Words:
    return {}


def accept(packed: Packed) -> None:
    """Whatever is packed can be built."""


@dataclass(frozen=True)
class Package:
    """What one build system expects.

    Parameters
    ----------
    title : str
        Its name, as its makers write it.
    layout : Layout
    files : mapping of str to str
        Path and content of each file; both are templates.
    readme : str
        The part of README.md that says how it is built, a template.
    entry : str
        How the example begins: `example.MAIN` or another.
    kernels : "shared" or "private"
        Unless chosen: whether kernels keep their names, so that the linker takes one
        copy for several networks.
    takes_cmsis_nn : bool
        What is built with it can link CMSIS-NN.
    copies_library : bool
        CMSIS-NN is copied into the package, as the build system cannot find it.
    words : (Packed) -> words
        What templates need beside the words that all packages have.
    check : (Packed) -> None
        OptionError or UnsupportedOp if the build system cannot build it.
    """

    title: str
    layout: Layout
    files: Mapping[str, str]
    readme: str
    entry: str = ""
    kernels: str = "shared"
    takes_cmsis_nn: bool = True
    copies_library: bool = False
    words: Callable[[Packed], Words] = no_words
    check: Callable[[Packed], None] = accept
