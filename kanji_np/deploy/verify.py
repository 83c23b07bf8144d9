"""Compiles a firmware directory and compares it with the golden model, byte by byte."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kanji_np import model
from kanji_np.data import Dataset
from kanji_np.deploy.project import MODEL, Manifest, images_of, read_manifest
from kanji_np.errors import (
    FileFormatError,
    OptionError,
    ToolError,
    VerificationError,
)
from kanji_np.graph import Graph

COMPILERS = ("cc", "gcc", "clang")
# -O3 makes GCC's code for ccore's inner product two to three times slower
FLAGS = ("-std=c99", "-O2")
CHUNK_BYTES = 1 << 19  # of input to one process
ERROR_LINES = 5


@dataclass(frozen=True)
class Difference:
    """The first byte at which C and golden model part.

    Parameters
    ----------
    image : int
    layer : int
        From 1, as in the generated C.
    name : str
        Of the layer.
    index : tuple of int
        Position in the layer's output: (h, w, c) or (k,).
    device, golden : int
        What the C computed, and what the model does.
    """

    image: int
    layer: int
    name: str
    index: tuple[int, ...]
    device: int
    golden: int

    def __str__(self) -> str:
        axes = ("h", "w", "c") if len(self.index) == 3 else ("index",)
        place = ", ".join(f"{a} {i}" for a, i in zip(axes, self.index, strict=True))
        return (
            f"image {self.image}, layer {self.layer} ({self.name}), {place}: the C "
            f"computes {self.device}, the model {self.golden}"
        )


@dataclass(frozen=True)
class Verification:
    """What a comparison found.

    Parameters
    ----------
    images, bytes : int
        Compared.
    differing_bytes : int
    first : Difference or None
        In the first image that differs, the first layer that does.
    seconds : float
        Compilation included [s].
    """

    images: int
    bytes: int
    differing_bytes: int
    first: Difference | None
    seconds: float

    @property
    def ok(self) -> bool:
        return self.differing_bytes == 0


def verify(
    directory: str | Path,
    images: np.ndarray | Dataset,
    *,
    compiler: str | None = None,
    cmsis_nn: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Run images through the compiled C and through the model; compare every byte.

    Parameters
    ----------
    directory : path
        What `export` wrote; nothing in it is changed.
    images : uint8 or int8 (N, *input shape), or Dataset
    compiler : str, optional
        A C compiler and its options; else $CC, cc, gcc or clang.
    cmsis_nn : path, optional
        Where CMSIS-NN is, if the export links it; it is compiled as plain C.
    progress : (images done, images in all) -> None, optional

    Raises
    ------
    FileFormatError
        The directory is not an export.
    OptionError
        The export links CMSIS-NN, and `cmsis_nn` does not say where it is.
    ToolError
        There is no C compiler, or it failed.
    VerificationError
        C and model are of different networks, or the compiled program failed.
    ShapeError, DataError
        `images` do not fit the network.
    """
    started = time.monotonic()
    directory = Path(directory)
    manifest = read_manifest(directory)
    graph = model.load(directory / MODEL).freeze()
    _check_digest(directory, manifest, graph)
    images = images_of(images, graph)
    with tempfile.TemporaryDirectory(prefix="kanji-np-") as folder:
        build = _Build(directory, manifest, _compiler(compiler), cmsis_nn, Path(folder))
        runner = build.runner(observe=False)
        differing, first = 0, None
        for start, expected, outputs in _outputs(runner, graph, images, progress):
            wrong = expected != outputs
            differing += int(wrong.sum())
            if first is None and wrong.any():
                first = start + int(wrong.reshape(len(wrong), -1).any(1).argmax())
        difference = None if first is None else _locate(build, graph, images, first)
    seconds = time.monotonic() - started
    count = len(images)
    return Verification(
        count, count * graph.output.size, differing, difference, seconds
    )


def _check_digest(directory: Path, manifest: Manifest, graph: Graph) -> None:
    header = directory / f"{manifest.name}.h"
    try:
        text = header.read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise FileFormatError(f"{header}: missing; export the network again") from None
    found = re.search(r"^ \* model +([0-9a-f]{64})$", text, re.MULTILINE)
    if not found or found[1] != graph.digest():
        stated = found[1][:16] if found else "none"
        raise VerificationError(
            f"{header} is of model {stated}, {MODEL} is model {graph.digest()[:16]}; "
            "export the network again"
        )


def _compiler(given: str | None) -> list[str]:
    """The compiler's command line."""
    named = given or os.environ.get("CC")
    candidates = [shlex.split(named)] if named else [[name] for name in COMPILERS]
    for command in candidates:
        if shutil.which(command[0]):
            return command
    if named:
        raise ToolError(f"the C compiler {named!r} is not installed")
    raise ToolError(
        "no C compiler found (cc, gcc or clang): install gcc or clang, or set CC"
    )


@dataclass(frozen=True)
class _Build:
    """How a firmware directory is compiled for this machine."""

    directory: Path
    manifest: Manifest
    compiler: list[str]
    cmsis_nn: str | Path | None
    folder: Path

    def runner(self, *, observe: bool) -> Path:
        """The compiled `host_runner.c`, with every layer's output if `observe`."""
        name = self.manifest.name
        here = self.directory
        includes, kernels = [], sorted((here / "ccore" / "Source").glob("*.c"))
        if self.manifest.library == "cmsis-nn":
            if self.cmsis_nn is None:
                raise OptionError(f"{here}: links CMSIS-NN; say where it is (cmsis_nn)")
            library = Path(self.cmsis_nn)
            includes.append(library / "Include")
            kernels += sorted((library / "Source").glob("*/*.c"))
        includes += [here / "ccore" / "Include", here]
        sources = [here / f for f in (f"{name}.c", f"{name}_data.c", "host_runner.c")]
        program = self.folder / ("observer" if observe else "runner")
        command = [
            *self.compiler,
            *FLAGS,
            *([f"-D{name.upper()}_OBSERVE"] if observe else []),
            *(f"-I{include}" for include in includes),
            *map(str, [*sources, *kernels]),
            "-o",
            str(program),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            errors = [x for x in lines if re.search("error:|undefined", x)] or lines
            raise ToolError(
                f"{here}: {self.compiler[0]} failed:\n"
                + "\n".join(errors[:ERROR_LINES])
            )
        return program


def _outputs(
    runner: Path,
    graph: Graph,
    images: np.ndarray,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(first image, the model's outputs, the program's) of one chunk after another."""
    count = max(1, CHUNK_BYTES // graph.input.size)
    starts = range(0, len(images), count)
    with _workers() as pool:
        runs = [pool.submit(_run, runner, images[s : s + count]) for s in starts]
        for start, run in zip(starts, runs, strict=True):
            expected = graph.run(images[start : start + count])
            answer = run.result()
            if len(answer) != expected.nbytes:
                raise VerificationError(
                    f"the compiled network wrote {len(answer)} bytes, "
                    f"{expected.nbytes} expected"
                )
            outputs = np.frombuffer(answer, np.int8).reshape(expected.shape)
            yield start, expected, outputs
            if progress:
                progress(start + len(expected), len(images))


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core, to wait for processes; none starts after an error."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _run(runner: Path, images: np.ndarray) -> bytes:
    """What the program writes for a batch of images."""
    done = subprocess.run(
        [runner], input=images.tobytes(), capture_output=True, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        code = done.returncode
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else "failed"
        raise VerificationError(f"the compiled network {how}{': ' * bool(said)}{said}")
    return done.stdout


def _locate(build: _Build, graph: Graph, images: np.ndarray, image: int) -> Difference:
    """The first layer at which one image differs."""
    one = images[image : image + 1]
    dump = _run(build.runner(observe=True), one)
    golden = list(graph.layers(one))
    for layer, data in _records(dump, graph):
        expected = golden[layer - 1][0]
        device = np.frombuffer(data, np.int8).reshape(expected.shape)
        wrong = np.argwhere(device != expected)
        if len(wrong):
            index = tuple(wrong[0].tolist())
            name = graph.nodes[layer - 1].name
            return Difference(
                image, layer, name, index, int(device[index]), int(expected[index])
            )
    raise VerificationError(
        f"image {image} differs, but not when its layers are observed: the C depends "
        "on more than its input"
    )


def _records(dump: bytes, graph: Graph) -> Iterator[tuple[int, bytes]]:
    """(layer, output) of each layer that computes one; the network's output ends the
    dump."""
    at = 0
    while at + graph.output.size < len(dump):
        layer, size = np.frombuffer(dump, np.int32, 2, at).tolist()
        yield layer, dump[at + 8 : at + 8 + size]
        at += 8 + size
