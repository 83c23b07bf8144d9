"""Compares what random networks compute on every road there is, byte by byte.

    python examples/fuzz.py --seconds 600 --on cortex-m4 --cmsis-nn ~/CMSIS-NN

`random_networks.py` draws the networks. For each, the program compares

- the definition of every operator, one after the other;
- the fast path (`Graph.run`), also after the network was saved and loaded;
- the forward pass of training, before and after a step;
- the network that is read from a `.tflite` file, and from an ONNX file, of this one;
- every layer of the exported C, compiled by gcc and by clang with sanitizers, on
  emulated cores, and with the kernels of the real libraries.

A block of networks shares a target, and becomes one program if C is generated for it.
Refused networks are counted by reason. The exit code is 1 if a byte differed or
anything failed; each failure says how to repeat it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from random_networks import BLOCK, draw, reason, target_of

import kanji_np as kj
from kanji_np.autograd import Tensor
from kanji_np.deploy.build import Build, Sources, stage
from kanji_np.deploy.cwriter import Program, program, write
from kanji_np.deploy.emulator import MACHINES, Emulator, machine_of
from kanji_np.deploy.kernels import class_of, find, own_class
from kanji_np.errors import KanjiError, ToolError, UnsupportedOp, VerificationError
from kanji_np.formats.builder import Builder
from kanji_np.formats.onnx import convert as onnx_convert
from kanji_np.formats.onnx import reader as onnx_reader
from kanji_np.graph import Graph, Node
from kanji_np.layers import Activation
from kanji_np.loops.products import VARIABLE, available_products
from kanji_np.targets import generates_c
from kanji_np.types import TargetSpec, TensorSpec

SANITIZED = (
    "-std=c99", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
)  # fmt: skip
COMPILERS = {
    "gcc": ("gcc", "-O2", *SANITIZED),
    "clang": ("clang", "-O1", *SANITIZED),
    "none": (),
}
LIBRARY_OPTIONS = {"cmsis-nn": "--cmsis-nn", "cmsis-nn-q7": "--cmsis-5"}
HERE = "this computer"
BATCH = "batch"
NOT_ENOUGH, GUARD_BROKEN = 1000, 2000


# ------------------------------------------------- one network, without a compiler


@dataclass(frozen=True)
class Case:
    """A network, and what its layers must compute.

    Parameters
    ----------
    number : int
    graph : Graph
    images : uint8 or int8 (N, *input shape)
    layers : tuple of int8 (N, ...)
    files : tuple of str
        The formats of other tools through which it came back as it was.
    """

    number: int
    graph: Graph
    images: np.ndarray
    layers: tuple[np.ndarray, ...]
    files: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.graph.name

    @cached_property
    def program(self) -> Program:
        """Of a library that C is generated for."""
        return program(self.graph)

    @property
    def observed(self) -> list[int]:
        """The layers that compute something, from 1 as in the C."""
        calls, copies = self.program.calls, self.program.plan.copies
        return [i for i in range(1, len(calls) + 1) if calls[i - 1] or copies[i - 1]]

    @property
    def record_bytes(self) -> int:
        """What `batch_run` writes of the network: status, layers, output [bytes]."""
        return 4 + self.answer(0).nbytes

    def answer(self, image: int) -> np.ndarray:
        """What the C must give for an image: every layer it observes, the output."""
        numbers = [*self.observed, len(self.layers)]
        return np.concatenate([self.layers[n - 1][image].ravel() for n in numbers])


class Differs(Exception):
    """Two roads that must give the same do not, by so many bytes."""

    def __init__(self, message: str, differing: int = 0) -> None:
        super().__init__(message)
        self.differing = differing


def case_of(number: int, refused: Counter[str]) -> Case | None:
    """The network of a number after the roads that need no compiler, or None.

    Its products are multiplied in one of the ways that this CPU has.
    """
    ways = available_products()
    os.environ[VARIABLE] = ways[number % len(ways)]
    drawn = draw(number)
    refused.update(drawn.refused)
    for kind in drawn.refused:
        if "\n" in kind:
            raise Differs(f"a refusal of several lines: {kind!r}")
    if drawn.model is None or drawn.images is None:
        return None
    model, images = drawn.model, drawn.images
    graph = model.freeze()
    layers = tuple(graph.layers(images))
    _check_definitions(graph, images, layers)
    for i in range(len(images)):
        alone = graph.run(images[i : i + 1])
        _check_equal(alone[0], layers[-1][i], f"image {i} alone and among others")
    loaded = _loaded(model)
    if loaded.freeze().digest() != graph.digest():
        raise Differs("the network and the one loaded from its file differ")
    _check_training(loaded, images, refused)
    files = [f.name for f in FORMATS if _comes_back(f, model, images, refused)]
    return Case(number, graph, images, layers, tuple(files))


def _check_definitions(
    graph: Graph, images: np.ndarray, layers: Iterable[np.ndarray]
) -> None:
    """Every layer computes what its operator is defined to do."""
    values = [images]
    for node, y in zip(graph.nodes, layers, strict=True):
        xs = tuple(values[i] for i in node.inputs)
        expected = node.operator.forward_int(node.attrs, node.ints, xs)
        _check_equal(y, expected, f"{node.name} and its definition, {node.attrs}")
        values.append(y)


def _check_training(model: kj.Model, images: np.ndarray, refused: Counter[str]) -> None:
    """Training goes forward as the device does, before and after a step."""
    try:
        _check_forward(model, images)
        _step(model, images)
        _check_forward(model, images)
    except KanjiError as error:
        refused[f"training: {reason(error)}"] += 1


def _check_forward(model: kj.Model, images: np.ndarray) -> None:
    graph = model.freeze()
    nodes = graph.nodes[: len(graph.nodes) - graph.nodes[-1].operator.is_in_loss]
    layers = tuple(graph.layers(images))
    _check_definitions(graph, images, layers)
    if nodes:  # a network may be a softmax alone
        y = Activation(Tensor(layers[len(nodes) - 1]), nodes[-1].output.qparams)
        logits = model.logits(images).data
        _check_equal(logits, y.values(), "training and the device")


def _step(model: kj.Model, images: np.ndarray) -> None:
    """One that moves every parameter by a hundredth of its size."""
    y = model.logits(images, track=True)
    if not y.requires_grad:
        return
    y.backward(np.sign(y.data))
    for name, parameter in model.named_parameters():
        if parameter.grad is None or not np.isfinite(parameter.grad).all():
            raise Differs(f"the gradient of {name} is not finite")
        largest = np.abs(parameter.data).max()
        parameter.data = parameter.data - largest / 100 * np.sign(parameter.grad)


def _check_equal(one: np.ndarray, other: np.ndarray, what: str) -> None:
    if one.shape != other.shape or one.dtype != other.dtype:
        raise Differs(f"{what}: {one.dtype} {one.shape}, {other.dtype} {other.shape}")
    differing = int(np.sum(one != other))
    if differing:
        raise Differs(f"{what}: {differing} of {one.size} bytes differ", differing)


def _loaded(model: kj.Model) -> kj.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        model.save(path)
        return kj.load(path)


# ------------------------------------------------- files of other tools


@dataclass(frozen=True)
class Format:
    """A format of files that networks are written in, and read from.

    Parameters
    ----------
    name : str
        And the end of the name of a file.
    packages : tuple of str
    save : (graph, path) -> what is known of the file
    read_back : (path, graph, values) -> int8
        What the network that a file of this graph holds computes for the graph's input,
        the first of `values`; or for the output of its first layer, the second of them.
    has_images : bool
        Whether a layer that reads images comes back.
    keeps : node -> bool
        Whether a layer comes back as one that rounds in the same way.
    """

    name: str
    packages: tuple[str, ...]
    save: Callable[[Graph, Path], object]
    read_back: Callable[[Path, Graph, Sequence[np.ndarray]], np.ndarray]
    has_images: bool
    keeps: Callable[[Node], bool] = lambda node: True


def _by_tflite(path: Path, graph: Graph, values: Sequence[np.ndarray]) -> np.ndarray:
    """A softmax of a single row at the end has become flat."""
    again = kj.load_tflite(path, graph.target)
    is_cut = again.input.dtype != graph.input.dtype
    y, last = again.predict(values[is_cut]), graph.output.shape
    is_row = graph.nodes[-1].op == "softmax" and y.shape[1:] == last[-1:]
    return y.reshape(-1, *last) if is_row else y


def _channels_first(a: np.ndarray) -> np.ndarray:
    """Images and rows (N, ..., C) as ONNX has them, (N, C, ...)."""
    return np.moveaxis(a, -1, 1) if a.ndim in (3, 4) else a


def _channels_last(a: np.ndarray) -> np.ndarray:
    return np.moveaxis(a, 1, -1) if a.ndim in (3, 4) else a


def _by_onnx(path: Path, graph: Graph, values: Sequence[np.ndarray]) -> np.ndarray:
    """Axes lie as the reader has found that the file has them."""
    builder = Builder(graph.target, graph.name)
    again = onnx_convert.convert(onnx_reader.read(path), builder)
    x = _channels_first(values[0])
    x = x.transpose(0, *(axis + 1 for axis in again.inputs))
    y = again.imported.network.predict(x)
    y = y.transpose(0, *(again.outputs.index(axis) + 1 for axis in range(y.ndim - 1)))
    return _channels_last(y)


def _is_kept_by_onnx(node: Node) -> bool:
    """Some operators come back as others; and no file says the word "same", which
    XNNPACK's arithmetic of transposed convolutions depends on."""
    if node.op == "transpose_conv2d":
        return node.attrs.padding != "same"
    return node.op not in ("mean", "requantize", "with_constant")


#: Those whose packages are installed.
FORMATS = [
    each
    for each in (
        Format("tflite", ("tflite", "flatbuffers"), kj.save_tflite, _by_tflite, True),
        Format(
            "onnx",
            ("onnx",),
            kj.save_onnx,
            _by_onnx,
            False,
            _is_kept_by_onnx,
        ),
    )
    if all(map(find_spec, each.packages))
]


def _comes_back(
    kind: Format, model: kj.Model, images: np.ndarray, refused: Counter[str]
) -> bool:
    """Whether a network is written and read again; Differs if it is another then.

    Files have scales of float32, and so have networks for a runtime.
    """
    try:
        if generates_c(model.target):
            model = model.for_target("tflm")
        graph = model.freeze()
        values = [images, *graph.layers(images)]
        if not kind.has_images and graph.nodes[0].operator.reads_image:
            graph, values = _without_images(graph), values[1:]
        if not graph.nodes or not all(map(kind.keeps, graph.nodes)):
            return False
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"network.{kind.name}"
            kind.save(graph, path)
            y = kind.read_back(path, graph, values)
    except UnsupportedOp as error:
        refused[f"{kind.name}: {reason(error)}"] += 1
        return False
    _check_equal(y, values[-1], f"{kind.name} and network")
    return True


def _without_images(graph: Graph) -> Graph:
    """The network after the layer that reads images."""
    first, *others = graph.nodes
    nodes = (replace(node, inputs=tuple(i - 1 for i in node.inputs)) for node in others)
    return replace(graph, input=first.output, nodes=tuple(nodes))


# ------------------------------------------------- many networks in one program

SOURCE = """\
/* Runs every network of a batch on an input of its own. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
{includes}
/* A core has the scratch memory of its class, and guard bytes behind arena and output.
 * A host is given what its kernels want, and a sanitizer watches. */
#ifdef __arm__
#define GUARD 64
#else
#define GUARD 1
static void *scratch;
#endif

static int8_t *record; /* of one network: status, what its layers compute, output */
static size_t used, most;

static void append(const void *data, size_t bytes)
{{
    if (used + bytes <= most)
    {{
        memcpy(record + used, data, bytes);
    }}
    used += bytes;
}}

static int whole(const void *guard)
{{
    size_t i;

    for (i = 0; i < GUARD; i++)
    {{
        if (((const uint8_t *)guard)[i] != 0x5A)
        {{
            return 0;
        }}
    }}
    return 1;
}}
{networks}
int32_t batch_check(void)
{{
    return 0;
}}

int32_t batch_run(const uint8_t *input, int8_t *output, void *arena)
{{
    (void)arena;
    memset(output, 0, BATCH_OUTPUT_BYTES);
{calls}    return 0;
}}
"""

NETWORK = """\

void {name}_observe(int32_t layer, const int8_t *data, int32_t bytes)
{{
    (void)layer;
    append(data, (size_t)bytes);
}}

#ifdef {upper}_GUARD
void *{name}_scratch(int32_t layer, int32_t bytes)
{{
    (void)layer;
    free(scratch);
    scratch = malloc((size_t)(bytes > 0 ? bytes : 1));
    return scratch;
}}

void {name}_guard(int32_t layer)
{{
    (void)layer;
}}
#endif

static void run_{name}(const uint8_t *input, int8_t *output)
{{
    static {type} x[{upper}_INPUT_BYTES];
    static int8_t y[{upper}_OUTPUT_BYTES + GUARD];
    static uint8_t arena[{upper}_ARENA_BYTES + GUARD] __attribute__((aligned(16)));
    int32_t status = {name}_check();

    record = output;
    used = sizeof status;
    most = {record};
    memcpy(x, input, sizeof x);
    memset(y + {upper}_OUTPUT_BYTES, 0x5A, GUARD);
    memset(arena + {upper}_ARENA_BYTES, 0x5A, GUARD);
    if (status != 0)
    {{
        status += {not_enough};
    }}
    else
    {{
        status = {name}_run(x, y, arena);
        append(y, {upper}_OUTPUT_BYTES);
        if (!whole(arena + {upper}_ARENA_BYTES) || !whole(y + {upper}_OUTPUT_BYTES))
        {{
            status = {broken};
        }}
    }}
    memcpy(record, &status, sizeof status);
}}
"""

HEADER = """\
#include <stdint.h>

#define BATCH_INPUT_BYTES {input}
#define BATCH_OUTPUT_BYTES {output}
#define BATCH_ARENA_BYTES 0

int32_t batch_check(void);
int32_t batch_run(const uint8_t *input, int8_t *output, void *arena);
"""

MAIN = """\
#include <stdio.h>

#include "batch.h"

int main(void)
{
    static uint8_t input[BATCH_INPUT_BYTES];
    static int8_t output[BATCH_OUTPUT_BYTES];

    while (fread(input, 1, sizeof input, stdin) == sizeof input)
    {
        if (batch_run(input, output, NULL) != 0
            || fwrite(output, 1, sizeof output, stdout) != sizeof output)
        {
            return 1;
        }
    }
    return 0;
}
"""


@dataclass(frozen=True)
class Batch:
    """Networks of one target as one, which `Emulator` takes for a network."""

    cases: tuple[Case, ...]
    folder: Path

    @property
    def target(self) -> TargetSpec:
        return self.cases[0].graph.target

    @property
    def graph(self) -> Graph:
        spec = TensorSpec((sum(c.images[0].size for c in self.cases),), "uint8")
        return Graph(BATCH, self.target, spec, ())

    @property
    def inputs(self) -> np.ndarray:
        """uint8 (images, bytes): of those with fewer images, the last one again."""
        count = max(len(case.images) for case in self.cases)
        rows = [
            case.images[np.minimum(np.arange(count), len(case.images) - 1)]
            for case in self.cases
        ]
        return np.concatenate([x.reshape(count, -1).view(np.uint8) for x in rows], 1)

    def write(self) -> None:
        """The C of all of them, and what calls it."""
        self.folder.mkdir()
        texts = {"batch_main.c": MAIN, "batch_data.c": "typedef int nothing;\n"}
        includes = networks = calls = ""
        x = y = 0
        for case in self.cases:
            name, upper = case.name, case.name.upper()
            texts |= write(case.program)
            includes += f'#include "{name}.h"\n'
            networks += NETWORK.format(
                name=name, upper=upper, type=f"{case.graph.input.dtype}_t",
                record=case.record_bytes, not_enough=NOT_ENOUGH, broken=GUARD_BROKEN,
            )  # fmt: skip
            calls += f"    run_{name}(input + {x}, output + {y});\n"
            x, y = x + case.images[0].size, y + case.record_bytes
        texts["batch.h"] = HEADER.format(input=x, output=y)
        texts["batch.c"] = SOURCE.format(
            includes=includes, networks=networks, calls=calls
        )
        for file, text in texts.items():
            (self.folder / file).write_text(text)

    def failures(self, dump: bytes) -> Iterator[tuple[int, Differs]]:
        """Numbers of networks of which the C gave something else, and what."""
        rows = np.frombuffer(dump, np.int8).reshape(len(self.inputs), -1)
        start = 0
        for case in self.cases:
            record = rows[: len(case.images), start : start + case.record_bytes]
            start += case.record_bytes
            try:
                for image, row in enumerate(record):
                    _check_record(case, image, row)
            except Differs as difference:
                yield case.number, difference


def _check_record(case: Case, image: int, record: np.ndarray) -> None:
    """Differs if the C of a network wrote anything else for an image."""
    status = int(record[:4].view(np.int32)[0])
    if NOT_ENOUGH < status < GUARD_BROKEN:
        layer = status - NOT_ENOUGH
        raise Differs(f"layer {layer} wants more scratch memory than it has")
    if status == GUARD_BROKEN:
        raise Differs(f"image {image}: writes behind arena or output")
    if status:
        raise Differs(f"image {image}: returns {status}")
    wrong = np.flatnonzero(record[4:] != case.answer(image))
    if len(wrong):
        where = _place(case, int(wrong[0]))
        text = f"image {image}: {len(wrong)} bytes differ, from {where} on"
        raise Differs(text, len(wrong))


def _place(case: Case, byte: int) -> str:
    """The layer that a byte of `Case.answer` is of."""
    for number in case.observed:
        node = case.graph.nodes[number - 1]
        if byte < node.output.size:
            return f"layer {number} ({node.name}, {node.attrs}), byte {byte}"
        byte -= node.output.size
    return f"output, byte {byte}"


# ------------------------------------------------- where programs run

# The folder of a batch, and what it runs as: what the program answers.
Run = Callable[[Batch, Sources], bytes]


@dataclass(frozen=True)
class Place:
    """Kernels, a compiler and something that runs what comes out.

    Parameters
    ----------
    name : str
    options : str
        That run networks there.
    core_class : str or None
        Only for targets of it, as the library sees it; None: for all.
    library : (library, path) or None
        The real one that is linked; None links ccore.
    run : Run
    macros : tuple of str
        Which macros of a generated header are defined, after the network's name.
    """

    name: str
    options: str
    core_class: str | None
    library: tuple[str, Path] | None
    run: Run
    macros: tuple[str, ...] = ("OBSERVE",)

    def takes(self, target: TargetSpec) -> bool:
        if not generates_c(target):
            return False
        if self.library and self.library[0] != target.library:
            return False
        own = self.core_class and class_of(self.core_class, target)
        return own in (None, own_class(target))


def host(command: Sequence[str]) -> Run:
    def run(batch: Batch, sources: Sources) -> bytes:
        main = [batch.folder / "batch_main.c"]
        elf = Build(sources, tuple(command)).program("host", main)
        x = batch.inputs.tobytes()
        done = subprocess.run([elf], input=x, capture_output=True, check=False)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            reports = [line for line in said if "rror" in line] or said
            raise VerificationError(f"exit code {done.returncode}: {reports[:2]}")
        return done.stdout

    return run


def emulated(core: str) -> Run:
    def run(batch: Batch, sources: Sources) -> bytes:
        emulator = Emulator(machine_of(core), batch.graph, sources)
        return emulator.program(observe=False)(batch.inputs, 0)

    return run


def places(
    compilers: Iterable[str], cores: Iterable[str], libraries: dict[str, Path]
) -> list[Place]:
    """Hosts and cores with ccore; cores with each of the real libraries too."""
    commands = {name: COMPILERS[name] for name in compilers if COMPILERS[name]}
    found = [
        Place(
            f"host, {name}", f"--compiler {name}", None, None, host(command),
            ("OBSERVE", "GUARD"),
        )
        for name, command in commands.items()
    ]  # fmt: skip
    for library in (None, *libraries.items()):
        for core in cores:
            name, options = f"{core}, ccore", f"--compiler none --on {core}"
            if library:
                name = f"{core}, {library[1]}"
                options += f" {LIBRARY_OPTIONS[library[0]]} {library[1]}"
            core_class = MACHINES[core].core_class
            found.append(Place(name, options, core_class, library, emulated(core)))
    return found


# ------------------------------------------------- all of it


@dataclass
class Fuzz:
    """What was run, and what came of it."""

    places: Sequence[Place]
    folder: Path
    networks: int = 0
    differing: int = 0
    layers: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    failures: dict[int, list[str]] = field(default_factory=dict)

    def block(self, numbers: Sequence[int]) -> None:
        """Run some networks of one target."""
        cases = []
        for number in numbers:
            with self.watching(number, HERE, "--compiler none"):
                case = case_of(number, self.refused)
                cases += [case] if case else []
        self.networks += len(cases)
        self.files.update(name for case in cases for name in case.files)
        self.layers.update(node.op for case in cases for node in case.graph.nodes)
        for place in self.places:
            if cases and place.takes(cases[0].graph.target):
                self.compare(place, cases)

    def compare(self, place: Place, cases: Sequence[Case]) -> None:
        """Run a batch; each network of it alone where more is wrong than bytes."""
        with (
            tempfile.TemporaryDirectory(dir=self.folder) as name,
            self.watching(cases[0].number, place.name, place.options),
        ):
            try:
                self.answered(place, cases, Path(name) / BATCH)
            except (VerificationError, ToolError):
                if len(cases) == 1:
                    raise
                for case in cases:
                    self.compare(place, [case])

    def answered(self, place: Place, cases: Sequence[Case], folder: Path) -> None:
        batch = Batch(tuple(cases), folder)
        functions = sorted({f for case in cases for f in case.program.functions})
        target, checkout = batch.target, None
        if place.library:
            try:
                checkout = find(place.library[1], target, functions)
            except KanjiError as error:
                self.refused[f"{place.name}: {reason(error)}"] += 1
                return
        batch.write()
        work = folder / "work"
        core_class = own_class(target)
        sources = stage(folder, batch.graph, core_class, functions, checkout, work)
        macros = sources.defines
        sources = replace(
            sources,
            kernels=(*sources.kernels, *sorted(folder.glob("net_*.c"))),
            defines=(
                *macros,
                *(f"{c.name.upper()}_{m}" for c in cases for m in place.macros),
            ),
        )
        self.reuse_objects(" ".join([place.name, target.library, *macros]), work)
        for number, difference in batch.failures(place.run(batch, sources)):
            with self.watching(number, place.name, place.options):
                raise difference
        self.compared[place.name] += len(cases)

    def reuse_objects(self, key: str, work: Path) -> None:
        """Compile kernels once for a place and its macros; the networks' go again."""
        objects = self.folder / "objects" / key.replace("/", "_")
        objects.mkdir(parents=True, exist_ok=True)
        for path in objects.glob("net_*.o"):
            path.unlink()
        (work / "kernels").symlink_to(objects)

    @contextmanager
    def watching(self, number: int, where: str, options: str) -> Iterator[None]:
        """What goes wrong in this context is a network's failure; warnings too."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                yield
            return
        except Differs as error:
            self.differing += error.differing
            what = str(error)
        except (VerificationError, ToolError) as error:
            what = str(error)
        except Exception as error:  # whatever it is, the next network is run
            frame = traceback.extract_tb(error.__traceback__)[-1]
            line = f"{Path(frame.filename).name}:{frame.lineno}"
            what = f"{type(error).__name__} ({line}): {error}"
        self.failures.setdefault(number, []).append(f"{where}: {what}")
        print(
            f"network {number} ({target_of(number)}), {where}: {what}\n"
            f"    python examples/fuzz.py --seed {number} --networks 1 {options}",
            flush=True,
        )

    def summary(self, seconds: float) -> str:
        def table(title: str, counts: Counter[str]) -> list[str]:
            rows = (f"{count:>9,}  {name}" for name, count in counts.most_common())
            return ["", title, *rows]

        found = (
            f"{len(self.failures):,} with failures, {self.differing:,} differing bytes"
        )
        lines = [
            f"{self.networks:,} networks in {seconds:,.0f} s: {found}",
            *table("networks compared, layer by layer:", self.compared),
            *table("networks that came back from files:", self.files),
            *table("layers:", self.layers),
            *table("refused:", self.refused),
        ]
        return "\n".join(lines)


def blocks(first: int, count: int | None) -> Iterator[range]:
    """Numbers from `first` on, those of one target at a time."""
    end = None if count is None else first + count
    while end is None or first < end:
        stop = (first // BLOCK + 1) * BLOCK
        yield range(first, stop if end is None else min(stop, end))
        first = stop


def at_least(lowest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text} is less than {lowest}")
        return int(text)

    return number


def existing(text: str) -> Path:
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"{text} does not exist")
    return Path(text)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    option = parser.add_argument
    option("--seconds", type=float, default=60.0, help="begin no block after that")
    option("--seed", type=at_least(0), default=0, help="the first network")
    option("--networks", type=at_least(1), help="only so many of them")
    option(
        "--compiler", dest="compilers", choices=COMPILERS, action="append",
        help="for this computer; gcc and clang by default; may be repeated",
    )  # fmt: skip
    option(
        "--on", dest="cores", choices=MACHINES, action="append", default=[],
        help="an emulated core; may be repeated",
    )  # fmt: skip
    option("--cmsis-nn", type=existing, help="the real CMSIS-NN, for emulated cores")
    option(
        "--cmsis-5", type=existing,
        help="the real CMSIS 5, for q7 networks on emulated cores",
    )  # fmt: skip
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    named = {"cmsis-nn": options.cmsis_nn, "cmsis-nn-q7": options.cmsis_5}
    libraries = {library: path for library, path in named.items() if path}
    compilers = options.compilers or ("gcc", "clang")
    started = told = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kanji-np-fuzz-") as folder:
        fuzz = Fuzz(places(compilers, options.cores, libraries), Path(folder))
        for numbers in blocks(options.seed, options.networks):
            fuzz.block(numbers)
            now = time.monotonic()
            if now - told > 60:
                told = now
                said = f"... {numbers.stop}: {fuzz.networks:,} networks"
                print(said, file=sys.stderr)
            if now - started > options.seconds:
                break
    print(fuzz.summary(time.monotonic() - started))
    return int(bool(fuzz.failures))


if __name__ == "__main__":
    sys.exit(main())
