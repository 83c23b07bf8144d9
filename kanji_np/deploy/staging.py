"""Collects what a firmware is compiled from, whatever it was packed for."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from kanji_np.deploy.build import Sources, stage
from kanji_np.deploy.contents import layout_of, runner
from kanji_np.deploy.cwriter import Program
from kanji_np.deploy.kernels import CONFIG, Checkout, ccore_files, own_class
from kanji_np.deploy.project import Manifest


def stage_firmware(
    directory: Path,
    made: Program,
    manifest: Manifest,
    core_class: str,
    checkout: Checkout | None,
    folder: Path,
) -> Sources:
    """Copy the firmware's files to a folder, and what it lacks: ccore's if it was
    exported for the real library, and the program that runs it here.

    Parameters
    ----------
    made : Program
        What the network's C was printed from.
    core_class : str
        What it will run on is to the library, or what ccore is to compute as.
    checkout : Checkout or None
        The real library; None links ccore.
    """
    target, name = made.graph.target, made.graph.name
    layout = layout_of(manifest.package, name)
    code = folder / "network"
    code.mkdir(parents=True, exist_ok=True)
    for file, place in layout.network(name).items():
        shutil.copyfile(directory / place, code / file)
    for file, text in runner(made).items():
        own_file = directory / file
        (code / file).write_text(own_file.read_text() if own_file.is_file() else text)

    exported = ccore_files(made.functions, target, manifest.library)
    own = {file: directory / layout.kernel(file) for file in exported}
    library = "ccore" if checkout is None else "cmsis-nn"
    if (library, core_class) != (manifest.library, own_class(target)):
        del own[CONFIG]  # it is for the kernels and the core exported for
    own = {file: path for file, path in own.items() if path.is_file()}
    functions = made.functions
    sources = stage(code, made.graph, core_class, functions, checkout, folder, own)
    return replace(sources, directory=directory)
