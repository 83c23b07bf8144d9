"""Changes files that the package reads, and sees that it never does anything odd.

    python examples/fuzz_files.py --kind model --count 10000 --seed 0

Each file is a good one with one to three values changed and a digest that is right, or
with bytes flipped, cut out or put in. Either the package refuses it in one line, or
what it read is sound: a network then computes what the definitions of its operators
say, and comes back from a file of its own as the same network. Anything else, a
traceback, more than ten seconds of work or more than one GiB, is printed with what made
it, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import io
import json
import math
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import kanji_np as kj
from kanji_np import archive, bench, results
from kanji_np.deploy import project
from kanji_np.errors import DataWarning
from kanji_np.graph import Graph, noise

SECONDS = 10
BYTES = 2**30
MOST_WORK = 30_000  # values and products that the slow definitions are run for
MOST_RUN = 20_000_000

DEEP = "@deep@"  # stands for lists in lists, deeper than any recursion
LONG = "@long@"  # stands for an integer of 10,000 digits
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 5, 7, 16, 64, 255, 256, 32_767, 32_768, 65_535,
    65_536, 2**31 - 1, 2**31, 2**53, 2**63, 10**8, 10**30, 10**400, -(2**31), 0.5, 1.0,
    -0.0, 1e-320, 1e-40, 1e-7, 1e7, 1e38, 3.4e38, 1e300, math.inf, -math.inf, math.nan,
    "", "zzz", "same", "valid", "relu", "relu6", "linear", "dense", "conv2d", "add",
    "softmax", "normalize", "reshape", "pad", "symmetric", "asymmetric", "pow2",
    "learned", "percentile", "a b", "a\nb", "\x00", "../x", "/x", "ä", "\ud800",
    "q" * 70_000, [], {}, [[]], [0], [1, 1], [-1, -1], [0, 0], [3, 3], [[1, 1], [1, 1]],
    [[0, 9999], [0, 0]], [1, 2, 3], [10**9, 10**9], {"a": 1}, DEEP, LONG,
)  # fmt: skip
NUMBERS = (0.0, 1e-45, 1e-30, 1e10, 1e30, 3e38, -3e38, math.inf, -math.inf, math.nan)
DTYPES = ("f8", "f2", "i1", "u1", "i8", "u8", "c8", ">f4", "U4", "S4", "?", "O")


def changed_json(value: Any, rng: np.random.Generator) -> Any:
    """A JSON value with one of its parts changed."""
    places = list(_places(value))
    path = places[rng.integers(len(places))]
    return _changed_at(value, path, rng)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(
        value, list
    ) else ()  # fmt: skip
    if path:
        yield path
    for key in keys:
        yield from _places(value[key], (*path, key))


def _changed_at(value: Any, path: tuple[Any, ...], rng: np.random.Generator) -> Any:
    """A copy of `value` with the part at `path` replaced, removed or doubled."""
    key, *rest = path
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[key] = _changed_at(value[key], tuple(rest), rng)
        return copy
    way = rng.integers(10)
    if way == 0:
        del copy[key]
    elif way == 1 and isinstance(copy, list):
        copy.insert(key, copy[key])
    elif way == 1:
        copy[f"{key}x"] = copy[key]
    elif way == 2:
        other = list(copy)[rng.integers(len(copy))] if isinstance(copy, dict) else (
            rng.integers(len(copy))
        )  # fmt: skip
        copy[key], copy[other] = copy[other], copy[key]
    elif way < 6 and _is_small(copy[key]):
        number = copy[key]
        near = (
            number + 1, number - 1, -number, number * 2, number * 1e20, number / 1e20,
            number + 0.5, int(number),
        )  # fmt: skip
        copy[key] = near[rng.integers(len(near))]
    else:
        copy[key] = VALUES[rng.integers(len(VALUES))]
    return copy


def _is_small(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e200


def json_text(value: Any) -> bytes:
    text = json.dumps(value)
    text = text.replace(f'"{DEEP}"', "[" * 50_000 + "]" * 50_000)
    return text.replace(f'"{LONG}"', "9" * 10_000).encode()


def changed_arrays(
    arrays: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The arrays with one of them changed."""
    names = sorted(arrays)
    name, other = (names[i] for i in rng.integers(len(names), size=2))
    array = arrays[name]
    way = rng.integers(12)
    if way == 0:
        return {key: value for key, value in arrays.items() if key != name}
    if way == 1:
        return arrays | {f"{name}x": array}
    if way == 2:
        return arrays | {name: arrays[other], other: array}
    if way == 3:
        dtype = np.dtype(DTYPES[rng.integers(len(DTYPES))])
        is_plain = array.dtype.kind in "biuf" and np.isfinite(array).all()
        with np.errstate(all="ignore"):
            other = array.astype(dtype) if is_plain else np.zeros(array.shape, dtype)
        return arrays | {name: other}
    if way == 4:
        rows = array[None]
        shapes = (array.ravel(), rows, array.T, np.atleast_1d(array)[:-1], rows[:0])
        return arrays | {name: np.array(shapes[rng.integers(len(shapes))])}
    copy = np.array(array)
    with np.errstate(all="ignore"):
        if way < 7 and copy.dtype.kind == "f":
            copy *= copy.dtype.type(2.0 ** rng.integers(-120, 120))
        elif copy.size and copy.dtype.kind in "biuf":
            at = rng.integers(copy.size, size=rng.integers(1, 4))
            value = np.float64(NUMBERS[rng.integers(len(NUMBERS))])
            copy.reshape(-1)[at] = value.astype(copy.dtype)
    return arrays | {name: copy}


def changed_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped, bytes cut out or put in."""
    at, length = rng.integers(len(data)), rng.integers(1, 40)
    way = rng.integers(4)
    if way == 0:
        return data[:at]
    if way == 1:
        return data[:at] + data[at + length :]
    if way == 2:
        return data[:at] + rng.bytes(int(length)) + data[at:]
    flipped = bytearray(data)
    for position in rng.integers(len(data), size=rng.integers(1, 4)):
        flipped[position] ^= 1 << rng.integers(8)
    return bytes(flipped)


def archive_bytes(header: Any, arrays: dict[str, np.ndarray]) -> bytes:
    """What `archive.write` writes, with a digest that is right."""
    content: dict[str, Any] = {
        archive.HEADER: np.frombuffer(json_text(header), np.uint8),
        **arrays,
    }
    content[archive.DIGEST] = np.frombuffer(archive._digest(content), np.uint8)
    file = io.BytesIO()
    np.savez(file, **content)
    return file.getvalue()


@dataclass(frozen=True)
class Kind:
    """A kind of file: good ones, and what reading one must lead to.

    `changed` makes the bytes of a changed file, `outcome` reads one and says in a word
    what became of it; it raises KanjiError where the file is refused, and something
    else where it should not.
    """

    changed: Callable[[np.random.Generator], bytes]
    outcome: Callable[[Path], str]


def networks() -> list[kj.Model]:
    """Small networks that have every operator, scheme, target and kind of range."""
    rng = np.random.default_rng(0)

    def trained(net: kj.Model, count: int = 2) -> kj.Model:
        for _ in range(count):
            net.logits(rows(net, 4), track=True)
        return net

    def rows(net: kj.Model, count: int) -> np.ndarray:
        low, high = (0, 256) if net.input.dtype == "uint8" else (-128, 128)
        x = rng.integers(low, high, (count, *net.input.shape))
        return x.astype(net.input.dtype)

    def row(scheme: str, ranges: str, strides: Any = (1, 2), **more: Any) -> kj.Model:
        layers = [
            kj.Normalize((120, 130), shift=1),
            kj.Conv2D(3, 3, strides, "same", activation="relu"),
            kj.MaxPool2D(2),
            kj.Flatten(),
            kj.Dense(3),
        ]
        return kj.Sequential(layers, (4, 4, 2), scheme=scheme, ranges=ranges, **more)

    def branches(scheme: str, ranges: str) -> kj.Model:
        x = kj.Input((4, 4, 2))
        a = kj.Conv2D(3, 1, batch_norm=True, weight_bits=4, activation="relu6")(x)
        b = kj.DepthwiseConv2D(3, padding=((1, 1), (1, 1)))(a)
        c = kj.Concatenate()([kj.Add("relu")(a, b), kj.Multiply()(b, a)])
        d = kj.AvgPool2D(2, padding="same", ceil_mode=False)(kj.ZeroPadding2D(1)(c))
        e = kj.Reshape((3, 2))(kj.GlobalAvgPool2D()(kj.ReLU6()(kj.ReLU()(d))))
        f = kj.Conv1D(3, 2, padding=(1, 0), dilation_rate=2)(e)
        g = kj.Softmax()(kj.Dense(3)(kj.Flatten()(f)))
        return kj.Model(x, g, scheme=scheme, ranges=ranges, core="c", input_scale=0.25)

    nets = [
        trained(row("pow2", "minmax")),
        trained(row("symmetric", "learned")),
        trained(row("asymmetric", "percentile", rounding="single")),
        trained(row("pow2", "minmax", 1, target="cmsis-nn-q7")),
        trained(branches("pow2-per-channel", "learned")),
        trained(branches("asymmetric", "minmax")),
        trained(kj.Sequential([kj.Standardize(), kj.Conv2D(2, 3)], (3, 3, 1))),
        row("pow2", "minmax"),
        trained(kj.Sequential([kj.Dense(4, batch_norm=True), kj.Dense(2)], (5,))),
    ]
    nets[-1].freeze_batch_norm()
    return nets


def same_by_definition(graph: Graph, x: np.ndarray) -> str:
    """Compare every layer of the fast path with the definition of its operator."""
    work = graph.input.size + sum(
        node.output.size + graph.cost(node).macs for node in graph.nodes
    )
    if work > MOST_RUN:
        return "read, too large to run"
    if work > MOST_WORK:
        graph.run(x)
        return "read, too large to compare"
    values = [x]
    for node, y in zip(graph.nodes, graph.layers(x), strict=True):
        xs = tuple(values[i] for i in node.inputs)
        expected = node.operator.forward_int(node.attrs, node.ints, xs)
        assert expected.dtype == y.dtype and expected.shape == y.shape, node
        assert (expected == y).all(), f"{node.name} differs from its definition"
        values.append(y)
    return "read, as defined"


def model_outcome(path: Path) -> str:
    net = kj.load(path)
    graph = net.freeze()
    word = same_by_definition(graph, noise(graph.input, 2))
    again = path.with_name("again.npz")
    net.save(again)
    assert kj.load(again).freeze().digest() == graph.digest(), "comes back as another"
    return word


def changed_archive(
    good: list[tuple[Any, dict[str, np.ndarray]]],
) -> Callable[[np.random.Generator], bytes]:
    """Headers and arrays of archives with one to three changes, or changed bytes."""
    whole = [archive_bytes(header, arrays) for header, arrays in good]

    def change(rng: np.random.Generator) -> bytes:
        i = rng.integers(len(good))
        header, arrays = good[i]
        if rng.random() < 0.1:
            return changed_bytes(whole[i], rng)
        for _ in range(rng.integers(1, 4)):
            if rng.random() < 0.75 and isinstance(header, dict) and header:
                header = changed_json(header, rng)
            elif arrays:
                arrays = changed_arrays(arrays, rng)
        return archive_bytes(header, arrays)

    return change


def changed_texts(good: list[Any]) -> Callable[[np.random.Generator], bytes]:
    """JSON files with one to three changes, or changed bytes."""

    def change(rng: np.random.Generator) -> bytes:
        value = good[rng.integers(len(good))]
        if rng.random() < 0.2:
            return changed_bytes(json_text(value), rng)
        for _ in range(rng.integers(1, 4)):
            if isinstance(value, dict) and value:
                value = changed_json(value, rng)
        return json_text(value)

    return change


def plain(header: Any) -> Any:
    """As it comes back from a file."""
    return json.loads(json.dumps(header))


def model_kind(folder: Path) -> Kind:
    states = [net.snapshot() for net in networks()]
    return Kind(
        changed_archive([(plain(h), arrays) for h, arrays in states]), model_outcome
    )


def checkpoint_kind(folder: Path) -> Kind:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 4, 4, 2)).astype(np.uint8)
    data = kj.Dataset(images, np.arange(8) % 3, ("a", "b", "c"), "data")

    def run(where: Path, i: int, *, resume: bool) -> None:
        ranges, optimizer = (("learned", kj.Adam()), ("minmax", kj.SGD()))[i]
        layers = [kj.Normalize((120, 130)), kj.Flatten(), kj.Dense(3, batch_norm=True)]
        net = kj.Sequential(layers, (4, 4, 2), ranges=ranges)
        kj.fit(
            net, data, epochs=2, optimizer=optimizer, directory=where, show=False,
            resume=resume,
        )  # fmt: skip

    good = []
    for i in range(2):
        run(folder / f"run{i}", i, resume=False)
        path = folder / f"run{i}" / "checkpoint.npz"
        good.append(archive.read(path, "kanji_np checkpoint"))

    def outcome(path: Path) -> str:
        where = folder / "again"
        where.mkdir(exist_ok=True)
        path.replace(where / "checkpoint.npz")
        is_learned = b"learned" in (where / "checkpoint.npz").read_bytes()
        run(where, 0 if is_learned else 1, resume=True)
        return "resumed"

    return Kind(changed_archive(good), outcome)


def result_kind(folder: Path) -> Kind:
    result = results.Result(
        command="kanji-np train --data cifar10 --lr 0.05 --no-augment",
        options={"data": "cifar10", "lr": 0.05, "augment": False},
        source="0123", cpu="a processor", threads=1, data="cifar10", network="paper-32",
        target="cmsis-nn/7.0.0/c/double", scheme="pow2", ranges="minmax", weight_bits=8,
        precision="int8", fp32_epochs=0, is_begun=False, epochs=30, seed=0,
        seconds=480.25, metric="accuracy", int8_score=0.8202, fp32_score=None,
        digest="ab12",
        proofs=(results.Proof("host", "ccore", 10_000, 0),),
    )  # fmt: skip
    other = replace(result, fp32_score=0.5, metric="AUC", precision="fp32", proofs=())
    good = []
    for each in (result, other):
        results.write_result(folder / "good.json", each)
        good.append(json.loads((folder / "good.json").read_text()))

    def outcome(path: Path) -> str:
        read = results.read_result(path)
        results.results_table([read, result]).encode()
        results.write_result(path, read)
        assert results.read_result(path) == read
        return "read"

    return Kind(changed_texts(good), outcome)


def bench_kind(folder: Path) -> Kind:
    from kanji_np.report import speed_table

    good = bench.Bench("paper-cnn 32", 64, 2, "a cpu", 1.5, 2.5, 0.5, 0.75, 99.5)

    def outcome(path: Path) -> str:
        speed_table(bench.read_measurements(path)).encode()
        return "read"

    facts = json.loads(good.json())
    return Kind(changed_texts([facts, facts | {"peak_rss_mb": None}]), outcome)


def manifest_kind(folder: Path) -> Kind:
    good = {
        "kind": project.KIND,
        "name": "network",
        "library": "ccore",
        "files": ["Makefile", "ccore/Source/a.c", "network.c"],
    }

    def outcome(path: Path) -> str:
        path.replace(path.with_name(project.MANIFEST))
        manifest = project.read_manifest(path.parent)
        root = path.parent.resolve()
        for file in manifest.files:
            assert (root / file).resolve().is_relative_to(root), file
        return "read"

    return Kind(changed_texts([good]), outcome)


def dataset_kind(folder: Path) -> Kind:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 4, 5, 3)).astype(np.uint8)
    labels = np.arange(12) % 3
    names = np.array(["a", "b", "ä"])
    good: list[dict[str, Any]] = [
        {"x": images, "y": labels},
        {"x": images / 255, "y": labels},
        {"images": images[..., 0], "labels": labels[:, None], "classes": names},
        {
            "x_train": images, "y_train": labels, "x_test": images[:3],
            "y_test": labels[:3], "classes": np.char.encode(names, "utf-8"),
        },
    ]  # fmt: skip

    def change(rng: np.random.Generator) -> bytes:
        arrays = good[rng.integers(len(good))]
        changes = rng.integers(1, 4) if rng.random() < 0.6 else 0
        for _ in range(changes):
            arrays = changed_arrays(arrays, rng) if arrays else arrays
        file = io.BytesIO()
        save = np.savez if rng.random() < 0.5 else np.savez_compressed
        save(file, **arrays)
        data = file.getvalue()
        return data if changes else changed_bytes(data, rng)

    def outcome(path: Path) -> str:
        path = path.replace(path.with_name("data.npz"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # of classes of few images
            sets = kj.load_dataset(path, seed=0)
        for data in sets:
            "".join(data.classes).encode()
            assert data.images.dtype in (np.uint8, np.float32, np.int16, np.int8)
            assert np.isfinite(data.images).all() and np.isfinite(data.labels).all()
            if data.task != "classification":
                assert data.labels.shape == (len(data), len(data.classes))
            else:
                assert len(data) == 0 or data.labels.max() < len(data.classes)
        return "read"

    return Kind(change, outcome)


KINDS: dict[str, Callable[[Path], Kind]] = {
    "model": model_kind,
    "checkpoint": checkpoint_kind,
    "result": result_kind,
    "bench": bench_kind,
    "manifest": manifest_kind,
    "dataset": dataset_kind,
}


def outcome(kind: Kind, path: Path) -> str:
    """What became of a file in a few words; an error is one that should not be."""
    try:
        return kind.outcome(path)
    except kj.KanjiError as error:
        message = str(error)
        assert message.isprintable(), f"not one line: {message!r}"
        assert "MemoryError" not in message, message
        return f"refused ({type(error).__name__})"


def timed(kind: Kind, path: Path, data: bytes) -> str:
    """`outcome` of a file's bytes, or TimeoutError if it takes long twice: the first
    time it may compile a kernel."""
    faulthandler.dump_traceback_later(60 * SECONDS, exit=True)  # of what only waits
    try:
        for attempt in range(2):
            path.write_bytes(data)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                return outcome(kind, path)
            except TimeoutError:
                if attempt:
                    raise
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    finally:
        faulthandler.cancel_dump_traceback_later()
    raise AssertionError


def fuzz(kind: Kind, path: Path, count: int, seed: int) -> collections.Counter[str]:
    """Count outcomes of so many files; the number of a file decides it, with `seed`.

    Control-C ends it early, with what has been counted by then.
    """
    found: collections.Counter[str] = collections.Counter()
    for i in range(count):
        data = kind.changed(np.random.default_rng((seed, i)))
        try:
            found[timed(kind, path, data)] += 1
        except KeyboardInterrupt:
            break
        except Exception:
            found["WRONG"] += 1
            print(f"file {i} of seed {seed}:", file=sys.stderr)
            traceback.print_exc()
    return found


def _too_long(number: int, frame: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} seconds")


def limit_memory() -> None:
    """From here on no more than BYTES more than there is now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", choices=KINDS, default="model")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGPROF, _too_long)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
    with tempfile.TemporaryDirectory() as folder:
        kind = KINDS[options.kind](Path(folder))
        fuzz(kind, Path(folder) / "file", 100, options.seed + 1)  # compiles kernels
        limit_memory()
        found = fuzz(kind, Path(folder) / "file", options.count, options.seed)
    for word, count in sorted(found.items()):
        print(f"{count:8,}  {word}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{found.total():8,}  {options.kind} files, peak memory {peak:.0f} MiB")
    return int(found["WRONG"] > 0)


if __name__ == "__main__":
    sys.exit(main())
