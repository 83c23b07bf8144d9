"""Writes a firmware directory: the network's C, its kernels, and what checks them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np

from kanji_np import archive, checks, outputs, schema
from kanji_np.choices import KERNEL_LIBRARIES
from kanji_np.data import Dataset
from kanji_np.deploy import cwriter, templates
from kanji_np.deploy.cwriter import Program, program, table
from kanji_np.deploy.emulator import MACHINES
from kanji_np.deploy.kernels import (
    KERNELS,
    OWN_INCLUDE,
    ccore_files,
    check_library,
    defines,
    find,
    folders_beside,
    host_macros,
    own_class,
)
from kanji_np.deploy.names import check_network_name
from kanji_np.deploy.planner import ALIGNMENT, arena_text
from kanji_np.deploy.prediction import Prediction
from kanji_np.errors import DataError, FileFormatError, OptionError
from kanji_np.graph import Graph, noise
from kanji_np.model import Model
from kanji_np.targets import release_of
from kanji_np.types import shape_text

MANIFEST = "firmware.json"
MODEL = "model.npz"
SELFTEST_IMAGES = 4
# The core that a README names for a core class.
CORES = {"c": "cortex-m3", "dsp": "cortex-m4", "mve": "cortex-m55"}
KIND = "kanji_np firmware"


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
    files : name -> digests
        What was written; see `outputs.known_files`.
    """

    name: str
    library: str
    files: Mapping[str, tuple[str, ...]]


_MANIFEST = schema.record({
    "kind": schema.one_of((KIND,)),
    "name": checks.lower_identifier,
    "library": schema.one_of(KERNEL_LIBRARIES),
    "files": outputs.known_files,
})  # fmt: skip


def export(
    net: Model,
    directory: str | Path,
    *,
    library: str = "ccore",
    cmsis_nn: str | Path | None = None,
    images: np.ndarray | Dataset | None = None,
    prediction: Prediction | None = None,
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
    cmsis_nn : path, optional
        A CMSIS-NN checkout to look through for the functions the network calls.
    images : uint8, int8 or floating (N, *input shape), or Dataset, optional
        The first few become the self-test; else noise, the same for every export.
    prediction : Prediction, optional
        Flash and stack on a core, for header and README: `estimate(...).prediction` of
        the same network.
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
    check_network_name(net.name)
    graph = net.freeze()
    p = program(graph)
    if prediction is not None:
        prediction.check(graph.target, library, p.const_bytes, p.plan.arena_bytes)
    if cmsis_nn is not None:
        find(cmsis_nn, graph.target, p.functions)
    if images is None:
        inputs = noise(graph.input, SELFTEST_IMAGES)
    else:
        inputs = images_of(images, graph)
    content = _content(net, p, library, inputs[:SELFTEST_IMAGES], prediction)
    facts = {"kind": KIND, "name": graph.name, "library": library}
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
        outputs.check_set(directory, _content(net, p, "ccore", inputs), old)


def _content(
    net: Model,
    p: Program,
    library: str,
    inputs: np.ndarray,
    prediction: Prediction | None = None,
) -> dict[str, bytes]:
    """What goes into every file but the manifest."""
    texts = {
        **cwriter.write(p, prediction),
        "selftest_vectors.h": _vectors(p.graph, inputs),
        **_from_templates(p, library, prediction),
    }
    kernels = ccore_files(p.functions, p.graph.target, library)
    return {
        MODEL: archive.to_bytes(*net.snapshot()),
        **{file: text.encode() for file, text in texts.items()},
        **{file: source.read_bytes() for file, source in kernels.items()},
    }


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
    return Manifest(content["name"], content["library"], files)


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


def _vectors(graph: Graph, images: np.ndarray) -> str:
    """`selftest_vectors.h`: inputs, and what the golden model makes of them."""
    count = len(images)
    arrays = (("input", images), ("output", graph.run(images)))
    tables = "".join(
        "\n" + table(f"static const {a.dtype}_t selftest_{kind}[{a.size}]", a)
        for kind, a in arrays
    )
    return f"""\
/* Images with known answers for {graph.name}, one after the other. */
#include <stdint.h>

#define SELFTEST_IMAGES {count}
{tables}"""


def _from_templates(
    p: Program, library: str, prediction: Prediction | None
) -> dict[str, str]:
    graph, name = p.graph, p.graph.name
    own = library == "ccore"
    kernels = KERNELS[graph.target.library]
    macros = defines(graph.target, library)
    machine = MACHINES[CORES[graph.target.core]]
    includes = kernels.includes if own else (OWN_INCLUDE,)
    words: dict[str, object] = {
        "name": name,
        "NAME": name.upper(),
        "alignment": ALIGNMENT,
        "arena": "arena" if p.plan.arena_bytes else "NULL",
        "input_type": f"{graph.input.dtype}_t",
        "input": f"{graph.input.dtype} {shape_text(graph.input.shape)}",
        "output": f"{graph.output.dtype} {shape_text(graph.output.shape)}",
        "input_bytes": graph.input.size,
        "output_bytes": graph.output.size,
        "target": graph.target,
        "core": machine.core,
        "Core": machine.core.title(),
        "core_flags": " ".join(machine.flags),
        "release": release_of(graph.target),
        "title": kernels.title,
        "library": "`ccore/`" if own else f"{kernels.title} {graph.target.version}",
        "digest": graph.digest(),
        "arena_text": arena_text(p.plan.arena_bytes, p.plan.lower_bound_bytes),
        "const_bytes": f"{p.const_bytes:,}",
        "macs": f"{p.macs:,}",
        "predicted_rows": _predicted_rows(prediction),
        "predicted_note": _predicted_note(prediction),
        "memory": _memory_rows(p),
        "make_option": "" if own else " CMSIS_NN=<directory>",
        "host_option": "" if own else _host_option(graph),
        "export_option": ("" if own else " --library cmsis-nn")
        + (f" {prediction.option}" if prediction else ""),
        "verify_option": "" if own else " --cmsis-nn DIRECTORY",
        "include_options": _each(" -I{}", includes),
        "includes": _each(" {}", includes),
        "source_patterns": _each(" {}/*.c", kernels.sources),
        "beside_options": _each(" -I$(CMSIS_NN)/{}", folders_beside(graph.target)),
        "beside_folders": _each(' "${{CMSIS_NN}}/{}"', folders_beside(graph.target)),
        "macros": f", all with{_each(' `-D{}`', macros)}" if macros else "",
        "makefile_defines": f"DEFINES :={_each(' -D{}', macros)}\n" if macros else "",
        "makefile_use": " $(DEFINES)" if macros else "",
        "cmake_defines": f"target_compile_definitions({name}_network PUBLIC"
        f"{_each(' {}', macros)})\n"
        if macros
        else "",
    }

    def fill(template: str) -> str:
        return Template(template).substitute(words)

    def fill_build(template: str, kernels: str) -> str:
        return Template(template).substitute(words, kernels=fill(kernels))

    words["arena_declaration"] = fill(
        templates.ARENA_DECLARATION
        if p.plan.arena_bytes
        else templates.NO_ARENA_DECLARATION
    )
    words["plain_arena"] = fill(
        templates.PLAIN_ARENA if p.plan.arena_bytes else templates.NO_PLAIN_ARENA
    )
    words["kernels_note"] = fill(
        templates.NOTE_CCORE if own else templates.NOTE_CMSIS_NN
    )
    make, cmake = (
        (templates.KERNELS_CCORE_MK, templates.KERNELS_CCORE_CMAKE)
        if own
        else (templates.KERNELS_CMSIS_NN_MK, templates.KERNELS_CMSIS_NN_CMAKE)
    )
    return {
        "selftest.c": fill(templates.SELFTEST_C),
        "guard.h": fill(templates.GUARD_H),
        "host_runner.c": fill(templates.HOST_RUNNER_C),
        "Makefile": fill_build(templates.MAKEFILE, make),
        "CMakeLists.txt": fill_build(templates.CMAKELISTS, cmake),
        "README.md": fill(templates.README),
    }


def _host_option(graph: Graph) -> str:
    """What the real library is told where it is compiled for this computer.

    It is plain C there, whereas ccore does as the firmware's core class.
    """
    macros = [*host_macros(graph.target)]
    if KERNELS[graph.target.library].classes and own_class(graph.target) != "c":
        macros.append(f"{graph.name.upper()}_ANY_CORE")
    return f' CFLAGS="-O2{_each(" -D{}", macros)}"' if macros else ""


def _each(pattern: str, items: Iterable[str]) -> str:
    return "".join(map(pattern.format, items))


def _predicted_rows(prediction: Prediction | None) -> str:
    if prediction is None:
        return ""
    return (
        f"| flash with code | {prediction.flash_bytes:,} bytes, predicted |\n"
        f"| stack | at most {prediction.stack_bytes:,} bytes, predicted |\n"
    )


def _predicted_note(prediction: Prediction | None) -> str:
    if prediction is None:
        return ""
    return f"Predicted for {prediction.basis}.\n\n"


def _memory_rows(p: Program) -> str:
    rows = []
    for i, node in enumerate(p.graph.nodes):
        size = f"{shape_text(node.output.shape)}, {node.output.size} bytes"
        place, scratch = p.plan.memory[i + 1].value, ""
        if p.plan.owner[i + 1] in p.plan.tensors:
            offset, need = p.plan.tensors[p.plan.owner[i + 1]]
            place = f"{offset}, until layer {need.last}"
        if i in p.plan.scratch:
            offset, need = p.plan.scratch[i]
            scratch = f"{offset}, {need.size} bytes"
        rows.append(f"| {i + 1} | {node.name} | {size} | {place} | {scratch} |")
    return "\n".join(rows)
