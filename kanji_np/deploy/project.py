"""Writes a firmware directory: the network's C, its kernels, and what checks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kanji_np import checks, outputs, schema
from kanji_np.choices import KERNEL_LIBRARIES, KERNEL_NAMES
from kanji_np.data import Dataset
from kanji_np.deploy.contents import Choice, contents
from kanji_np.deploy.cwriter import program
from kanji_np.deploy.kernels import check_library, find
from kanji_np.deploy.names import check_network_name
from kanji_np.deploy.packages import PACKAGES
from kanji_np.errors import DataError, FileFormatError, OptionError
from kanji_np.graph import Graph, noise
from kanji_np.model import Model

MANIFEST = "firmware.json"
SELFTEST_IMAGES = 4
KIND = "kanji_np firmware"
# Of manifests that name none: there was no other.
FIRST_PACKAGE = "make"


@dataclass(frozen=True)
class Firmware:
    """What an export wrote.

    Parameters
    ----------
    directory : Path
    files : tuple of str
        Relative to `directory`, sorted.
    const_bytes : int
        Flash for tables [bytes].
    arena_bytes : int
        RAM for the arena [bytes].
    lower_bound_bytes : int
        No arena could do with less [bytes].
    macs : int
        Multiply-accumulates of one inference [MAC].
    digest : str
        `Graph.digest` of the network.
    """

    directory: Path
    files: tuple[str, ...]
    const_bytes: int
    arena_bytes: int
    lower_bound_bytes: int
    macs: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """What a firmware directory says of itself.

    Parameters
    ----------
    name : str
        Of the network.
    library : str
    package : str
        What it was packed for.
    files : name -> digests
        What was written; see `outputs.known_files`.
    """

    name: str
    library: str
    package: str
    files: Mapping[str, tuple[str, ...]]


_MANIFEST = schema.record({
    "kind": schema.one_of((KIND,)),
    "name": checks.lower_identifier,
    "library": schema.one_of(KERNEL_LIBRARIES),
    "package": schema.one_of(PACKAGES),
    "files": outputs.known_files,
}, optional=("package",))  # fmt: skip


def export(
    net: Model,
    directory: str | Path,
    *,
    library: str = "ccore",
    package: str = "make",
    kernels: str | None = None,
    cmsis_nn: str | Path | None = None,
    images: np.ndarray | Dataset | None = None,
    force: bool = False,
) -> Firmware:
    """Write the network as C, with kernels, build files, self-test and golden model.

    Parameters
    ----------
    net : Model
    directory : path
        Created, or an earlier export, whose files are replaced; those that are not as
        they were exported are kept, and the export refused.
    library : "ccore" or "cmsis-nn"
        Whose kernels are linked. ccore's are copied in; CMSIS-NN is found by the build.
    package : str
        What the directory is to drop into: "make", "cmake", "arduino", "platformio",
        "zephyr", "esp-idf" or "cmsis-pack". Each has an example that runs the first of
        `images` and prints the time.
    kernels : "shared" or "private", optional
        Whether the functions copied in keep their names, so that several networks in
        one program share them, or begin with the network's. Shared functions need a
        build system that links archives, so they are private in a CMSIS pack by
        default.
    cmsis_nn : path, optional
        A CMSIS-NN checkout to look through for the functions the network calls. For
        Arduino and PlatformIO their sources are copied from there.
    images : uint8, int8 or floating (N, *input shape), or Dataset, optional
        The first few become the self-test; else noise, the same for every export.
    force : bool
        Write into a directory that holds other files; none of them is replaced.

    Returns
    -------
    Firmware
        What was written, and its memory [bytes].

    Raises
    ------
    OptionError
        An option is wrong, or the directory holds other files, or another process
        writes to it.
    UnsupportedOp
        The target, or the CMSIS-NN given, lacks a function the network needs.
    ShapeError, DataError
        `images` do not fit the network.
    """
    directory = Path(directory)
    check_library(library)
    form = PACKAGES[checks.one_of("package", package, PACKAGES)]
    kernels = checks.one_of("kernels", kernels or form.kernels, KERNEL_NAMES)
    check_network_name(net.name)
    graph = net.freeze()
    p = program(graph)
    checkout = None
    if cmsis_nn is not None:
        checkout = find(cmsis_nn, graph.target, p.functions)
    if images is None:
        inputs = noise(graph.input, SELFTEST_IMAGES)
    else:
        inputs = images_of(images, graph)
    if library != "ccore" and not form.takes_cmsis_nn:
        raise OptionError(
            f"{form.title} builds for processors that are no Cortex-M, for which "
            "CMSIS-NN has nothing: export with library ccore",
            arguments=("library",),
        )
    if form.copies_library and library == "cmsis-nn" and checkout is None:
        raise OptionError(
            f"{form.title} finds no CMSIS-NN: say where it is, so that its sources are "
            "copied: --cmsis-nn on the command line, cmsis_nn= in Python",
            arguments=("cmsis_nn",),
        )
    choice = Choice(package, library, kernels, checkout)
    content = contents(net, p, choice, inputs[:SELFTEST_IMAGES])
    facts = {
        "kind": KIND,
        "name": graph.name,
        "library": library,
        "package": package,
    }
    with outputs.lock(directory):
        old = _old_files(directory, force)
        outputs.write_set(directory, MANIFEST, facts, content, old)
    files = tuple(sorted({*content, MANIFEST}))
    return Firmware(
        directory,
        files,
        p.const_bytes,
        p.plan.arena_bytes,
        p.plan.lower_bound_bytes,
        p.macs,
        graph.digest(),
    )


def check_export(net: Model, directory: str | Path) -> None:
    """OptionError unless `export` may write this network, trained further, to a
    directory that may hold other files; see there."""
    directory, p = Path(directory), program(net.freeze())
    inputs = noise(p.graph.input, SELFTEST_IMAGES)
    if directory.exists():
        old = _old_files(directory, force=True)
        choice = Choice(FIRST_PACKAGE, "ccore", PACKAGES[FIRST_PACKAGE].kernels)
        outputs.check_set(directory, contents(net, p, choice, inputs), old)


def images_of(source: np.ndarray | Dataset, graph: Graph) -> np.ndarray:
    """The images of an array or dataset, as the graph takes them; DataError if there
    are none, ShapeError if they do not fit."""
    images = source.images if isinstance(source, Dataset) else source
    if isinstance(images, np.ndarray) and images.shape[:1] == (0,):
        raise DataError(f"{graph.name}: there are no images to run")
    return graph.quantize_inputs(images)


def read_manifest(directory: Path) -> Manifest:
    """FileFormatError if the directory is not an export."""
    path = directory / MANIFEST
    if not path.exists():
        raise FileFormatError(f"{directory}: not a firmware directory")
    content = schema.read(path, _MANIFEST, "damaged")
    files = outputs.without(content["files"], MANIFEST)
    package = content.get("package", FIRST_PACKAGE)
    return Manifest(content["name"], content["library"], package, files)


def _old_files(directory: Path, force: bool) -> Mapping[str, tuple[str, ...]]:
    """Files of the export that is there; OptionError if something else is."""
    if (directory / MANIFEST).exists():
        return read_manifest(directory).files
    others = any(path.name != outputs.LOCK for path in directory.iterdir())
    if others and not force:
        raise OptionError(
            f"{directory}: holds files that are not an earlier export; name another "
            "directory, or pass force=True",
            arguments=("force",),
        )
    return {}
