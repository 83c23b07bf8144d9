"""What goes into every file of a firmware directory but its manifest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

import numpy as np

from kanji_np import archive
from kanji_np.deploy import cwriter, templates
from kanji_np.deploy.cwriter import Program, table
from kanji_np.deploy.emulator import MACHINES
from kanji_np.deploy.kernels import (
    CONFIG,
    KERNELS,
    Checkout,
    ccore_files,
    config_text,
    defines,
)
from kanji_np.deploy.layout import Layout, inside
from kanji_np.deploy.packages import PACKAGES, example
from kanji_np.deploy.packages.package import Package, Packed
from kanji_np.deploy.planner import ALIGNMENT, arena_text
from kanji_np.model import Model
from kanji_np.targets import LIBRARIES, release_of
from kanji_np.types import TargetSpec, shape_text

MODEL = "model.npz"
# The core that a README names for a core class.
CORES = {"c": "cortex-m3", "dsp": "cortex-m4", "mve": "cortex-m55"}


@dataclass(frozen=True)
class Choice:
    """What an export is made as.

    Parameters
    ----------
    package : str
        A name of `PACKAGES`.
    library : "ccore" or "cmsis-nn"
        Whose kernels are linked.
    kernels : "shared" or "private"
        Whether those in the firmware keep their names.
    checkout : Checkout or None
        CMSIS-NN, whose sources are copied if the package wants that.
    """

    package: str
    library: str
    kernels: str
    checkout: Checkout | None = None

    @property
    def form(self) -> Package:
        return PACKAGES[self.package]


def layout_of(package: str, name: str) -> Layout:
    """Where the files of a network of some name lie."""
    layout = PACKAGES[package].layout
    return replace(layout, code=Template(layout.code).substitute(name=name))


def contents(
    net: Model, p: Program, choice: Choice, inputs: np.ndarray
) -> dict[str, bytes]:
    """Paths and contents; `inputs` become the self-test.

    Raises
    ------
    OptionError, UnsupportedOp
        The package cannot be built with these kernels.
    """
    name, form = p.graph.name, choice.form
    layout = layout_of(choice.package, name)
    places = layout.network(name)
    files = {places[f]: text.encode() for f, text in cwriter.write(p).items()}
    files |= _kernels(p, choice, layout)
    sources = sorted(file for file in files if file.endswith(".c"))
    packed = Packed(p, choice.library, tuple(sources), _macros(p, choice))
    form.check(packed)

    words = _words(p, choice, layout) | _golden(p, inputs)
    for word, text in (*form.words(packed).items(), ("usage", form.readme)):
        words[word] = _filled(str(text), words)
    texts = {_filled(file, words): text for file, text in form.files.items()}
    texts |= {
        "README.md": templates.README,
        inside(layout.example, "cycles.c"): example.CYCLES_C,
        inside(layout.example, "cycles.h"): example.CYCLES_H,
        inside(layout.example, "golden.h"): example.GOLDEN_H,
    }
    files |= {file: _filled(text, words).encode() for file, text in texts.items()}
    return {MODEL: archive.to_bytes(*net.snapshot()), **files}


def runner(p: Program) -> dict[str, str]:
    """The program that verifies a firmware on this computer, for one without it."""
    choice = Choice("make", "ccore", "shared")
    words = _words(p, choice, layout_of(choice.package, p.graph.name))
    return {
        "host_runner.c": _filled(templates.HOST_RUNNER_C, words),
        "guard.h": _filled(templates.GUARD_H, words),
    }


def _filled(template: str, words: dict[str, object]) -> str:
    return Template(template).substitute(words)


def _kernels(p: Program, choice: Choice, layout: Layout) -> dict[str, bytes]:
    """ccore's part, and CMSIS-NN's where it is copied."""
    target = p.graph.target
    own = ccore_files(p.functions, target, choice.library)
    files = {file: source.read_bytes() for file, source in own.items()}
    config = _config(p, choice, [path for path in own.values() if path.suffix == ".c"])
    if config:
        files[CONFIG] = config.encode()
    files = {layout.kernel(file): content for file, content in files.items()}
    if choice.library == "cmsis-nn" and choice.form.copies_library and choice.checkout:
        for file, source in choice.checkout.files().items():
            files[inside(layout.code, file)] = source.read_bytes()
    return files


def _config(p: Program, choice: Choice, sources: list[Path]) -> str | None:
    """`kanji_config.h`, if it says anything."""
    target, layout = p.graph.target, choice.form.layout
    own = choice.library == "ccore"
    macros = defines(target, choice.library) if own and layout.flat else ()
    prefix, whose = "", f"{target.rounding} rounding"
    if choice.kernels == "private":
        prefix, whose = p.graph.name, "the network"
    elif own and target.rounding != _usual_rounding(target):
        prefix = target.rounding
    if not (prefix or macros):
        return None
    reason = "As the network wants them."
    if prefix:
        reason = (
            f"Their names begin with that of {whose}, so that other\n"
            " * kernels can be in the same program."
        )
    return config_text(sources, prefix, reason, macros)


def _usual_rounding(target: TargetSpec) -> str:
    return LIBRARIES[target.library].roundings[0]


def _macros(p: Program, choice: Choice) -> tuple[str, ...]:
    """What the build system must define, as kanji_config.h does not reach it."""
    own = choice.library == "ccore"
    return () if own else defines(p.graph.target, choice.library)


def _golden(p: Program, inputs: np.ndarray) -> dict[str, object]:
    """The inputs, and what the golden model makes of them."""
    arrays = (("input", inputs), ("output", p.graph.run(inputs)))

    def tables(prefix: str, count: int) -> str:
        return "".join(
            "\n" + table(f"static const {a.dtype}_t {prefix}_{kind}[{a.size}]", a)
            for kind, a in ((kind, a[:count]) for kind, a in arrays)
        )

    return {
        "selftest_images": len(inputs),
        "selftest_tables": tables("selftest", len(inputs)),
        "golden_tables": tables("golden", 1),
    }


def _words(p: Program, choice: Choice, layout: Layout) -> dict[str, object]:
    """What every template may name."""
    graph, own = p.graph, choice.library == "ccore"
    name, x, y = graph.name, graph.input, graph.output
    kernels, machine = KERNELS[graph.target.library], MACHINES[CORES[graph.target.core]]
    has_arena, has_label = p.plan.arena_bytes > 0, len(y.shape) == 1 and y.size > 1
    words: dict[str, object] = {
        "name": name,
        "NAME": name.upper(),
        "alignment": ALIGNMENT,
        "arena": "arena" if has_arena else "NULL",
        "arena_bytes": f"{p.plan.arena_bytes:,}",
        "input_type": f"{x.dtype}_t",
        "input": f"{x.dtype} {shape_text(x.shape)}",
        "output": f"{y.dtype} {shape_text(y.shape)}",
        "title": f"Neural network {name}: {shape_text(x.shape)} {x.dtype} -> "
        f"{shape_text(y.shape)} {y.dtype}.",
        "input_bytes": x.size,
        "output_bytes": y.size,
        "target": graph.target,
        "core": machine.core,
        "Core": machine.core.title(),
        "core_flags": " ".join(machine.flags),
        "release": release_of(graph.target),
        "title_of_library": kernels.title,
        "library": "ccore" if own else f"{kernels.title} {graph.target.version}",
        "digest": graph.digest(),
        "arena_text": arena_text(p.plan.arena_bytes, p.plan.lower_bound_bytes),
        "const_bytes": f"{p.const_bytes:,}",
        "macs": f"{p.macs:,}",
        "memory": _memory_rows(p),
        "make_option": "" if own else " CMSIS_NN=<directory>",
        "cmake_option": "" if own else " -DCMSIS_NN=<directory>",
        "verify_option": "" if own else " --cmsis-nn DIRECTORY",
        "export_option": _export_options(choice),
        "kernels_place": f"`{layout.code}/` holds" if layout.flat else "`ccore/` holds",
        "entry": choice.form.entry,
    }
    parts = {
        "arena_declaration": templates.ARENA_DECLARATION
        if has_arena
        else templates.NO_ARENA_DECLARATION,
        "plain_arena": templates.PLAIN_ARENA if has_arena else templates.NO_PLAIN_ARENA,
        "arena_memory": example.ARENA_MEMORY if has_arena else "",
        "kernels_note": _kernels_note(choice),
        "label": example.LABEL if has_label else "",
        "print_label": example.PRINT_LABEL if has_label else "",
        "say_label": example.SAY_LABEL if has_label else "",
    }
    return words | {word: _filled(text, words) for word, text in parts.items()}


def _kernels_note(choice: Choice) -> str:
    if choice.library != "ccore":
        return templates.NOTE_CMSIS_NN
    note = templates.NOTE_CCORE
    return note + templates.NOTE_FASTER * choice.form.takes_cmsis_nn


def _export_options(choice: Choice) -> str:
    options = []
    if choice.library != "ccore":
        options.append(" --library cmsis-nn")
    if choice.library != "ccore" and choice.form.copies_library:
        options.append(" --cmsis-nn DIRECTORY")
    if choice.package != "make":
        options.append(f" --for {choice.package}")
    if choice.kernels != choice.form.kernels:
        options.append(f" --kernels {choice.kernels}")
    return "".join(options)


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
