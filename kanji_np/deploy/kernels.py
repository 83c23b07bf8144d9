"""Where kernels come from, and how they are compiled: one row for each target library.

The firmware's Makefile, `verify` and the emulator all read the same table. Generated C
calls a library's functions; they are ccore's (portable, copied into the firmware) or
those of the real library (found by the build). The functions named `kanji_...`, which
no library has, are always ccore's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kanji_np.checks import one_of
from kanji_np.choices import KERNEL_LIBRARIES
from kanji_np.errors import OptionError, ToolError, UnsupportedOp
from kanji_np.targets import LIBRARIES, has
from kanji_np.targets.arm import HEADER as NN_HEADER
from kanji_np.targets.kanji_nn import HEADER as OWN_HEADER
from kanji_np.types import TargetSpec

CCORE, OWN_INCLUDE = "ccore", "ccore/Include"
SHARED_HEADER = "kanji_support.h"  # of ccore's kernels for both APIs
CONFIG = f"{OWN_INCLUDE}/kanji_config.h"
# A function's name and opening parenthesis where its definition or prototype begins.
DEFINED = re.compile(
    r"^(?!static|typedef)[A-Za-z_][\w \t*]*?[\s*](\w+)\(", re.MULTILINE
)


@dataclass(frozen=True)
class KernelLibrary:
    """How one target library's kernels are found and compiled.

    Parameters
    ----------
    title : str
        The real library's name.
    ccore : str
        Folder with the `Include` and `Source` of its portable twin.
    beside : tuple of str
        Folders beside the real library's that hold headers it includes, where they
        exist.
    required : tuple of str
        Those of `beside` that it cannot do without.
    with_core : tuple of str
        Versions that include headers of CMSIS Core, and intrinsics of Arm's.
    rounding, classes : mapping of str to str
        The macro a rounding needs, and the one that makes ccore compute as a core class
        does; none if not listed.
    treated_as : mapping of str to str
        Core classes on which the library does as on another.
    tells_scratch : bool
        It has functions that say how much scratch memory its kernels want.
    """

    title: str
    ccore: str
    beside: tuple[str, ...]
    required: tuple[str, ...] = ()
    with_core: tuple[str, ...] = ()
    rounding: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    treated_as: Mapping[str, str] = field(default_factory=dict)
    tells_scratch: bool = True

    @property
    def includes(self) -> tuple[str, ...]:
        """Include folders of a firmware that links ccore."""
        return tuple(dict.fromkeys((f"{self.ccore}/Include", OWN_INCLUDE)))

    @property
    def sources(self) -> tuple[str, ...]:
        """Source folders of a firmware that links ccore."""
        return tuple(dict.fromkeys((f"{self.ccore}/Source", f"{CCORE}/Source")))


CORE_INCLUDES = ("../Core/Include", "../cmsis_core/Include")
KERNELS: dict[str, KernelLibrary] = {
    "cmsis-nn": KernelLibrary(
        title="CMSIS-NN",
        ccore=CCORE,
        beside=CORE_INCLUDES,
        with_core=("4.0.0",),
        rounding={"single": "CMSIS_NN_USE_SINGLE_ROUNDING"},
    ),
    "cmsis-nn-q7": KernelLibrary(
        title="CMSIS 5's CMSIS/NN",
        ccore=f"{CCORE}/legacy",
        beside=("../Core/Include", "../DSP/Include"),
        required=("../Core/Include", "../DSP/Include"),
        rounding={"truncate": "ARM_NN_TRUNCATE"},
        classes={"c": "KANJI_NN_PLAIN_C", "dsp": "ARM_MATH_DSP"},
        treated_as={"mve": "c"},  # it has no code for Helium
        tells_scratch=False,
    ),
}


# Functions that only one of the libraries declares.
LEGACY_FUNCTION, CURRENT_FUNCTION = (
    "arm_convolve_HWC_q7_basic",
    "arm_elementwise_add_s8",
)
CORE_HEADER = "cmsis_compiler.h"
# With these, versions that include Arm's intrinsics do without them.
HOST_MACROS = ("__GNUC_PYTHON__", "__RESTRICT=__restrict")
INTRINSICS = "arm_acle.h"


@dataclass(frozen=True)
class Checkout:
    """The real library, as it lies on this machine.

    `host_macros` are what it takes to compile it for another processor than Arm's.
    """

    directory: Path
    includes: tuple[Path, ...]
    sources: tuple[Path, ...]
    host_macros: tuple[str, ...] = ()

    def files(self) -> dict[str, Path]:
        """Its sources and headers by the places they have in one folder."""
        include = self.directory / "Include"
        headers = sorted(include.rglob("*.h"))
        return {
            **{path.relative_to(include).as_posix(): path for path in headers},
            **{path.name: path for path in self.sources},
        }


def check_library(library: str) -> None:
    """OptionError if kernels of that name cannot be linked."""
    one_of("library", library, KERNEL_LIBRARIES)


def folders_beside(target: TargetSpec) -> tuple[str, ...]:
    """The folders beside the real library's that a firmware's own build looks in."""
    kernels = KERNELS[target.library]
    return kernels.beside if target.version in kernels.with_core else kernels.required


def host_macros(target: TargetSpec) -> tuple[str, ...]:
    """What it takes to compile the target's library for a processor not Arm's."""
    return HOST_MACROS * (target.version in KERNELS[target.library].with_core)


def class_of(core: str, target: TargetSpec) -> str:
    """What a core of some class is to the target's library."""
    return KERNELS[target.library].treated_as.get(core, core)


def own_class(target: TargetSpec) -> str:
    """What the target's cores are to its library."""
    return class_of(target.core, target)


def defines(
    target: TargetSpec, library: str, core_class: str | None = None
) -> tuple[str, ...]:
    """Macros for kernels and generated C alike: the rounding and, with ccore, the core
    class that is computed, by default the target's own."""
    kernels = KERNELS[target.library]
    macros = [kernels.rounding.get(target.rounding)]
    if library == "ccore":
        macros.append(kernels.classes.get(core_class or own_class(target)))
    return tuple(macro for macro in macros if macro)


def ccore_directory() -> Path:
    """Where ccore's sources are: inside the installed package, or beside it in a
    checkout."""
    package = Path(__file__).resolve().parents[1]
    for place in (package / CCORE, package.parent / CCORE):
        if (place / "Include" / OWN_HEADER).is_file():
            return place
    raise ToolError("ccore's sources are missing; install kanji_np again")


def check_scratch(target: TargetSpec, core_class: str, where: str) -> None:
    """OptionError if the real library would want scratch memory that is not there.

    Where the library can be asked how much it wants, that is left to the program.
    """
    kernels, own = KERNELS[target.library], own_class(target)
    if kernels.tells_scratch or own == core_class or (own, core_class) == ("dsp", "c"):
        return
    raise OptionError(
        f"{where}: a firmware for core class {target.core} has no scratch memory for "
        f"{kernels.title} on core class {core_class}; link ccore"
    )


def ccore_files(
    functions: Iterable[str], target: TargetSpec, library: str
) -> dict[str, Path]:
    """ccore's part of a firmware: path in the firmware, path it comes from."""
    kernels, root = KERNELS[target.library], ccore_directory().parent
    headers = [root / CCORE / "Include" / OWN_HEADER, root / CONFIG]
    sources = sorted((root / CCORE / "Source").glob("kanji_*.c"))
    if library == "ccore":
        headers += (root / kernels.ccore / "Include").glob("*.h")
        # ReLU serves both APIs
        sources += sorted((root / CCORE / "Source").glob("*.c"))
        sources += sorted((root / kernels.ccore / "Source").glob("*.c"))
    chosen = needed(sources, functions)
    shared = (SHARED_HEADER in _text(path) for path in chosen)
    if library == "ccore" or any(shared):
        headers.append(root / CCORE / "Include" / SHARED_HEADER)
    paths = sorted({*headers, *chosen})
    return {path.relative_to(root).as_posix(): path for path in paths}


def config_text(
    sources: Iterable[Path], prefix: str, reason: str, macros: Iterable[str] = ()
) -> str:
    """`kanji_config.h` of kernels that have names, or a build, of their own.

    Parameters
    ----------
    sources : iterable of Path
        ccore's, whose functions are given other names.
    prefix : str
        What the names then begin with.
    reason : str
        Why that is so, as the file's comment says it.
    macros : iterable of str
        What the kernels are built with.
    """
    built = "".join(f"#ifndef {m}\n#define {m}\n#endif\n" for m in macros)
    names = sorted(_definitions(sources)) if prefix else []
    renamed = "".join(f"#define {name} {prefix}_{name}\n" for name in names)
    sections = "\n".join(section for section in (built, renamed) if section)
    return f"""\
/* How the kernels here are built. {reason} */
#ifndef KANJI_CONFIG_H
#define KANJI_CONFIG_H

{sections}
#endif
"""


def find(
    directory: str | Path, target: TargetSpec, functions: Iterable[str]
) -> Checkout:
    """The real library at a path; OptionError or UnsupportedOp if it is not all there.

    CMSIS 5 may be named by its root, by its CMSIS folder, or by CMSIS/NN.
    """
    kernels, given = KERNELS[target.library], Path(directory)
    places = (given, given / "NN", given / "CMSIS" / "NN")
    here = next((p for p in places if (p / "Include" / NN_HEADER).is_file()), None)
    if here is None:
        raise OptionError(f"{given}: not {kernels.title} (no Include/{NN_HEADER})")
    header = _text(here / "Include" / NN_HEADER)
    _check_api(given, header, target)
    for folder in kernels.required:
        if not (here / folder).is_dir():
            raise OptionError(
                f"{given}: {kernels.title} needs {(here / folder).resolve()}, which is "
                "not there"
            )
    _check_version(given, header, target)
    beside = [here / f for f in kernels.beside if (here / f).is_dir()]
    headers = "".join(map(_text, sorted((here / "Include").glob("*.h"))))
    if CORE_HEADER in headers and not any((f / CORE_HEADER).is_file() for f in beside):
        core = (here / kernels.beside[0]).resolve()
        raise OptionError(
            f"{given}: this {kernels.title} includes {CORE_HEADER} of CMSIS Core, and "
            f"there is no {core}"
        )
    sources = sorted((here / "Source").glob("*/*.c"))
    called = [f for f in functions if not f.startswith("kanji_")]
    found = _definitions(sources)
    missing = [f for f in called if f not in found]
    if missing:
        names = ", ".join(missing)
        raise UnsupportedOp(f"{given}: this {kernels.title} has no {names}")
    includes = (here / "Include", *beside)
    macros = HOST_MACROS if INTRINSICS in headers else ()
    return Checkout(here, includes, tuple(needed(sources, called)), macros)


def _check_api(given: Path, header: str, target: TargetSpec) -> None:
    """OptionError if the library there is the other one, whose header has one name."""
    is_legacy = LEGACY_FUNCTION in header
    wants_legacy = target.library == "cmsis-nn-q7"
    if wants_legacy and not is_legacy and CURRENT_FUNCTION in header:
        raise OptionError(
            f"{given}: is CMSIS-NN without the q7 functions, which only "
            f"{KERNELS[target.library].title} has; name that, or export for target "
            "cmsis-nn"
        )
    if is_legacy and not wants_legacy:
        raise OptionError(
            f"{given}: is the legacy library, CMSIS 5's CMSIS/NN; a firmware for "
            f"{target.library} {target.version} needs CMSIS-NN, which is a repository "
            "of its own; name that, or export for target cmsis-nn-q7"
        )


def _check_version(given: Path, header: str, target: TargetSpec) -> None:
    """OptionError if the checkout is of another version where that decides bytes.

    On MVE cores it decides what a dense layer is handed; elsewhere it does not matter.
    """
    if target.core != "mve":
        return
    for function, first in LIBRARIES[target.library].since.items():
        there = re.search(rf"\b{function}\(", header) is not None
        if there != has(target, function):
            raise OptionError(
                f"{given}: is not {target.library} {target.version}, "
                f"{'as it has' if there else 'for want of'} {function} (from {first} "
                "on); export for the version it is, which decides calls on MVE cores"
            )


def needed(sources: Iterable[Path], functions: Iterable[str]) -> list[Path]:
    """The sources that define these functions, and those these call in turn, sorted.

    Calls are told by name alone, so a source too many may be among them.
    """
    sources = list(sources)
    found = _definitions(sources)
    chosen: set[Path] = set()
    wanted = {*functions} & {*found}
    while wanted:
        paths = {found[name] for name in wanted} - chosen
        chosen |= paths
        words = {word for path in paths for word in re.findall(r"\w+", _text(path))}
        wanted = {name for name in words & {*found} if found[name] not in chosen}
    return sorted(chosen)


def _definitions(sources: Iterable[Path]) -> dict[str, Path]:
    """The source that defines each function."""
    return {name: path for path in sources for name in DEFINED.findall(_text(path))}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
