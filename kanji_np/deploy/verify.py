"""Compiles a firmware directory, for this computer or for an emulated Cortex-M, and
compares it with the golden model, byte by byte."""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from kanji_np import model
from kanji_np.data import Dataset
from kanji_np.deploy.build import Build, Sources, host_compiler, workers
from kanji_np.deploy.contents import MODEL, layout_of
from kanji_np.deploy.cwriter import Program as Made
from kanji_np.deploy.cwriter import program
from kanji_np.deploy.emulator import (
    Device,
    Emulator,
    Machine,
    machine_of,
    require_tools,
)
from kanji_np.deploy.kernels import (
    KERNELS,
    Checkout,
    check_library,
    check_scratch,
    class_of,
    find,
    own_class,
)
from kanji_np.deploy.project import Manifest, images_of, read_manifest
from kanji_np.deploy.staging import stage_firmware
from kanji_np.errors import FileFormatError, OptionError, VerificationError
from kanji_np.graph import Graph
from kanji_np.targets import LIBRARIES
from kanji_np.types import TargetSpec

HOST, HOST_CLASS = "host", "c"
# -O3 makes GCC's code for ccore's inner product two to three times slower
FLAGS = ("-std=c99", "-O2")
CHUNK_BYTES = 1 << 19  # of input to one process on this computer
# What messages call the axes of a layer's output, by their number.
AXES = {1: ("index",), 2: ("t", "c"), 3: ("h", "w", "c")}
COUNTED_IMAGES = 4  # a count hardly depends on the image


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
        Position in the layer's output: (h, w, c), (t, c), (k,) or what a `Reshape`
        made of them.
    device : int
        What the C computed.
    golden : int
        What the model computes.
    on : str
        "host", or the core the C ran on.
    """

    image: int
    layer: int
    name: str
    index: tuple[int, ...]
    device: int
    golden: int
    on: str = HOST

    def __str__(self) -> str:
        axes = AXES.get(len(self.index))
        place = f"index {self.index}"
        if axes:
            named = zip(axes, self.index, strict=True)
            place = ", ".join(f"{axis} {i}" for axis, i in named)
        where = "" if self.on == HOST else f" on {self.on}"
        return (
            f"image {self.image}, layer {self.layer} ({self.name}), {place}: the C"
            f"{where} computes {self.device}, the model {self.golden}"
        )


@dataclass(frozen=True)
class LayerResult:
    """One layer over all images.

    Parameters
    ----------
    number : int
        From 1, as in the generated C.
    name, op : str
    bytes : int
        Compared; 0 for a layer that computes nothing.
    host_differing : int
        Bytes at which the C on this computer differs.
    device_differing : int or None
        The same on the emulated core.
    instructions : int or None
        On the core, the most of the images counted.
    """

    number: int
    name: str
    op: str
    bytes: int
    host_differing: int
    device_differing: int | None = None
    instructions: int | None = None


@dataclass(frozen=True)
class Verification:
    """What a comparison found.

    Parameters
    ----------
    images : int
        How many were compared.
    bytes : int
        Bytes of the network's outputs that were compared.
    differing_bytes : int
        How many of them differ.
    first : Difference or None
        In the first image that differs, the first layer that does.
    seconds : float
        Compilation included [s].
    device : Device or None
        The emulated core's figures.
    layers : tuple of LayerResult
        If they were asked for.
    note : str
        If the firmware is for another core class than the core's: which two.
    """

    images: int
    bytes: int
    differing_bytes: int
    first: Difference | None
    seconds: float
    device: Device | None = None
    layers: tuple[LayerResult, ...] = ()
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether every byte is the same."""
        return self.first is None


# Images and the number of the first -> their outputs; if layers are observed, before
# each output every layer's, as `runner.c` says.
Program = Callable[[np.ndarray, int], bytes]


class Runner(Protocol):
    """Something the firmware runs on: this computer or an emulated core."""

    @property
    def on(self) -> str:
        """What `Difference.on` says."""

    def chunk(self, count: int) -> int:
        """How many of `count` images one process is given."""

    def program(self, *, observe: bool) -> Program:
        """Compiles the firmware."""


def verify(
    directory: str | Path,
    images: np.ndarray | Dataset,
    *,
    on: str = HOST,
    library: str | None = None,
    cmsis_nn: str | Path | None = None,
    layers: bool = False,
    compiler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Run images through the compiled C and through the model; compare every byte.

    Parameters
    ----------
    directory : path
        What `export` wrote; nothing in it is changed.
    images : uint8, int8 or floating (N, *input shape), or Dataset
    on : str
        "host", or the core to emulate: "cortex-m0plus", "cortex-m3", "cortex-m4",
        "cortex-m7", "cortex-m33" or "cortex-m55".
    library : "ccore" or "cmsis-nn", optional
        Whose kernels are linked, if not those the firmware was exported with.
    cmsis_nn : path, optional
        Where the real library is, if it is linked; on the host as plain C.
    layers : bool
        Compare every layer's output too, on the host and on the core.
    compiler : str, optional
        A C compiler for the host and its options; else $CC, cc, gcc or clang.
    progress : (images done, images in all) -> None, optional

    Returns
    -------
    Verification
        Its `ok` says whether every byte is the same, and `first` where one is not.

    Raises
    ------
    FileFormatError
        The directory is not an export.
    OptionError
        No such core or library; the real library is linked and `cmsis_nn` does not say
        where it is; the firmware lacks scratch memory for it on this core.
    UnsupportedOp
        The real library lacks a function the network calls.
    ToolError
        A compiler or the emulator is missing or failed.
    VerificationError
        C and model are of different networks, or the compiled program failed.
    ShapeError, DataError
        `images` do not fit the network.
    """
    started = time.monotonic()
    machine = None if on == HOST else machine_of(on)
    if machine:
        require_tools()
    firmware = _firmware(Path(directory), library, cmsis_nn, machine)
    graph, images = firmware.graph, images_of(images, firmware.graph)
    with tempfile.TemporaryDirectory(prefix="kanji-np-") as name:
        emulator = firmware.emulator(Path(name)) if machine else None
        runners: list[Runner] = [emulator] if emulator else []
        if layers or not emulator:
            runners.append(firmware.host(Path(name), compiler))
        passes = [(r, observe) for r in runners for observe in {False, layers}]
        step = _counter(progress, len(passes) * len(images))
        found = {
            (runner.on, observe): _compare(runner, graph, images, observe, step)
            for runner, observe in passes
        }
        counted, device, counts = images[:COUNTED_IMAGES], None, {}
        if emulator:
            emulator.check_guards(counted)
            device = emulator.measure(counted)
            counts = emulator.instructions(counted, observe=True) if layers else {}
        first = _first(runners, found, graph, images)
        output = found[runners[0].on, False]
        rows = _layer_results(graph, firmware.on, found, counts) if layers else ()
    return Verification(
        images=len(images),
        bytes=int(output.compared[0]),
        differing_bytes=int(output.differing[0]),
        first=first,
        seconds=time.monotonic() - started,
        device=device,
        layers=rows,
        note=firmware.note,
    )


@dataclass(frozen=True)
class _Firmware:
    """What is compiled, and for what.

    `made` is what its C was printed from, `checkout` the real library if it is linked;
    without a `machine` it is for the host, and `core_class` is what the place is to the
    library.
    """

    directory: Path
    manifest: Manifest
    made: Made
    checkout: Checkout | None
    machine: Machine | None
    core_class: str

    @property
    def graph(self) -> Graph:
        return self.made.graph

    @property
    def on(self) -> str:
        return self.machine.core if self.machine else HOST

    @property
    def note(self) -> str:
        """Which two core classes meet, if not the same."""
        own = own_class(self.graph.target)
        if own == self.core_class:
            return ""
        return f"the firmware is for core class {own}, {self.on} is {self.core_class}"

    def emulator(self, folder: Path) -> Emulator:
        assert self.machine
        sources = self._stage(self.core_class, self.checkout, folder / self.on)
        return Emulator(self.machine, self.graph, sources, self._is_for_here)

    @property
    def _is_for_here(self) -> bool:
        """Whether scratch memory was planned for this core and these kernels; ccore
        wants what the newest version does."""
        target = self.graph.target
        newest = target.version == LIBRARIES[target.library].versions[0]
        same_kernels = self.checkout is not None or newest
        return own_class(target) == self.core_class and same_kernels

    def host(self, folder: Path, compiler: str | None) -> _Host:
        """Beside a core the host is a second opinion, so it links ccore."""
        checkout = None if self.machine else self.checkout
        core_class = _class_on(None, self.graph.target, checkout)
        sources = self._stage(core_class, checkout, folder / HOST)
        if checkout:
            macros = (*sources.defines, *checkout.host_macros)
            sources = replace(sources, defines=macros)
        return _Host(self.graph, sources, compiler)

    def _stage(
        self, core_class: str, checkout: Checkout | None, folder: Path
    ) -> Sources:
        return stage_firmware(
            self.directory, self.made, self.manifest, core_class, checkout, folder
        )


def _firmware(
    directory: Path,
    library: str | None,
    cmsis_nn: str | Path | None,
    machine: Machine | None,
) -> _Firmware:
    """Read and check a firmware directory."""
    manifest = read_manifest(directory)
    graph = model.load(directory / MODEL).freeze()
    header = _header(directory, manifest, graph)
    made = program(graph)
    library = library or manifest.library
    checkout = _checkout(directory, library, cmsis_nn, graph.target, made.functions)
    core_class = _class_on(machine, graph.target, checkout)
    if checkout:
        check_scratch(graph.target, core_class, str(directory))
        _check_guard(directory, header, graph, core_class)
    return _Firmware(directory, manifest, made, checkout, machine, core_class)


def _class_on(
    machine: Machine | None, target: TargetSpec, checkout: Checkout | None
) -> str:
    """The core class that the kernels compute as; on the host ccore does as any."""
    if machine:
        return class_of(machine.core_class, target)
    return HOST_CLASS if checkout else own_class(target)


def _check_guard(directory: Path, header: str, graph: Graph, core_class: str) -> None:
    """OptionError if kernels for another core class would overwrite memory."""
    own = own_class(graph.target)
    if own != core_class and f"{graph.name.upper()}_GUARD" not in header:
        raise OptionError(
            f"{directory}: an export of an earlier version has the scratch memory of "
            f"core class {own} only; export the network again to run it as core class "
            f"{core_class}"
        )


def _header(directory: Path, manifest: Manifest, graph: Graph) -> str:
    """The text of the network's header; VerificationError if it is of another model."""
    header = (
        directory
        / layout_of(manifest.package, manifest.name).network(manifest.name)[
            f"{manifest.name}.h"
        ]
    )
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
    return text


def _checkout(
    directory: Path,
    library: str,
    cmsis_nn: str | Path | None,
    target: TargetSpec,
    functions: Iterable[str],
) -> Checkout | None:
    """The real library, if it is to be linked."""
    check_library(library)
    if library == "ccore":
        if cmsis_nn is not None:
            raise OptionError(
                f"{directory}: links ccore; cmsis_nn is for library cmsis-nn"
            )
        return None
    if cmsis_nn is None:
        title = KERNELS[target.library].title
        raise OptionError(
            f"{directory}: links {title}; say where it is: --cmsis-nn on the command "
            "line, cmsis_nn= in Python"
        )
    return find(cmsis_nn, target, functions)


@dataclass(frozen=True)
class _Host:
    """This computer."""

    graph: Graph
    sources: Sources
    compiler: str | None

    @property
    def on(self) -> str:
        return HOST

    def chunk(self, count: int) -> int:
        return max(1, CHUNK_BYTES // self.graph.input.size)

    def program(self, *, observe: bool) -> Program:
        sources = self.sources
        build = Build(sources, (*host_compiler(self.compiler), *FLAGS))
        elf = build.program(
            "observer" if observe else "runner",
            [sources.code / "host_runner.c"],
            macros=[sources.guard, *[sources.observe] * observe],
        )
        return lambda images, number: _run(elf, images, self.graph)


def _run(elf: Path, images: np.ndarray, graph: Graph) -> bytes:
    """What the program writes for a batch of images."""
    done = subprocess.run(
        [elf], input=images.tobytes(), capture_output=True, check=False
    )
    if done.returncode:
        said = re.sub(
            r"^layer (\d+)",
            lambda found: graph.layer_text(int(found[1])),
            done.stderr.decode(errors="replace").strip(),
        )
        code = done.returncode
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else "failed"
        raise VerificationError(f"the compiled network {how}{': ' * bool(said)}{said}")
    return done.stdout


@dataclass(frozen=True)
class _Found:
    """Bytes compared and differing, of the network's output (0) and each layer's;
    the first image with one that differs."""

    compared: np.ndarray
    differing: np.ndarray
    image: int | None


def _compare(
    runner: Runner,
    graph: Graph,
    images: np.ndarray,
    observe: bool,
    step: Callable[[int], None],
) -> _Found:
    """Run all images, chunk by chunk, while the model computes the same."""
    run = runner.program(observe=observe)
    compared, differing = np.zeros((2, len(graph.nodes) + 1), np.int64)
    wrong_images = np.zeros(len(images), bool)
    count = runner.chunk(len(images))
    starts = range(0, len(images), count)
    with workers() as pool:
        runs = [pool.submit(run, images[s : s + count], s) for s in starts]
        for start, answer in zip(starts, runs, strict=True):
            part = slice(start, start + count)
            golden = _golden(graph, images[part], observe)
            for layer, data in _tensors(answer.result(), golden):
                wrong = data != golden[layer]
                compared[layer] += wrong.size
                differing[layer] += wrong.sum()
                wrong_images[part] |= wrong.any(1)
            step(len(golden[0]))
    image = int(wrong_images.argmax()) if wrong_images.any() else None
    return _Found(compared, differing, image)


def _golden(graph: Graph, images: np.ndarray, observe: bool) -> list[np.ndarray]:
    """int8 (N, bytes): the network's outputs, then every layer's if `observe`."""
    layers = list(graph.layers(images)) if observe else []
    output = layers[-1] if observe else graph.run(images)
    return [y.reshape(len(images), -1) for y in (output, *layers)]


def _tensors(
    dump: bytes, golden: Sequence[np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    """(layer, int8 (N, bytes)) of each layer that computes something, if they were
    observed; the network's outputs, layer 0, at last."""
    count, n_bytes = golden[0].shape
    rows = np.frombuffer(dump, np.int8, len(dump) // count * count).reshape(count, -1)
    at, end = 0, rows.shape[1] - n_bytes
    while len(golden) > 1 and at + 8 <= end:
        layer, size = np.frombuffer(rows[0, at : at + 8].tobytes(), np.int32).tolist()
        if not 0 < layer < len(golden) or size != golden[layer].shape[1]:
            raise VerificationError(f"layer {layer} was observed with {size:,} bytes")
        if at + 8 + size > end:
            break
        yield layer, rows[:, at + 8 : at + 8 + size]
        at += 8 + size
    if at != end or len(dump) % count:
        beside = " beside its layers" if len(golden) > 1 else ""
        raise VerificationError(
            f"the compiled network wrote {len(dump):,} bytes, {golden[0].nbytes:,} "
            f"expected{beside}"
        )
    yield 0, rows[:, at:]


def _first(
    runners: Sequence[Runner],
    found: Mapping[tuple[str, bool], _Found],
    graph: Graph,
    images: np.ndarray,
) -> Difference | None:
    """The first difference, on the first runner that has one."""
    for runner in runners:
        wrong = [f.image for (on, _), f in found.items() if on == runner.on]
        numbers = [image for image in wrong if image is not None]
        if numbers:
            return _locate(runner, graph, images, min(numbers))
    return None


def _locate(runner: Runner, graph: Graph, images: np.ndarray, image: int) -> Difference:
    """The first layer at which one image differs."""
    one = images[image : image + 1]
    golden = _golden(graph, one, observe=True)
    dump = runner.program(observe=True)(one, image)
    for layer, data in _tensors(dump, golden):
        wrong = np.flatnonzero(data[0] != golden[layer][0])
        if layer and len(wrong):
            node, at = graph.nodes[layer - 1], wrong[0]
            index = tuple(map(int, np.unravel_index(at, node.output.shape)))
            device, expected = int(data[0, at]), int(golden[layer][0, at])
            return Difference(
                image, layer, node.name, index, device, expected, runner.on
            )
    raise VerificationError(
        f"image {image} differs, but not when its layers are observed: the C depends "
        "on more than its input"
    )


def _layer_results(
    graph: Graph,
    on: str,
    found: Mapping[tuple[str, bool], _Found],
    counts: Mapping[int, np.ndarray],
) -> tuple[LayerResult, ...]:
    host, device = found[HOST, True], found[on, True] if on != HOST else None
    return tuple(
        LayerResult(
            number=i,
            name=node.name,
            op=node.op,
            bytes=int(host.compared[i]),
            host_differing=int(host.differing[i]),
            device_differing=int(device.differing[i]) if device else None,
            instructions=int(counts[i].max()) if i in counts else None,
        )
        for i, node in enumerate(graph.nodes, 1)
    )


def _counter(
    progress: Callable[[int, int], None] | None, total: int
) -> Callable[[int], None]:
    """Adds up the images that are done."""
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    return step
