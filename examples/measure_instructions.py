"""Counts instructions of layers on an emulated core, and fits the tables of
`kanji_np.cost` to them.

    python examples/measure_instructions.py --core cortex-m4 --cmsis-nn DIR --zoo
    python examples/measure_instructions.py --core cortex-m4 --library ccore
    python examples/measure_instructions.py --core cortex-m4 --fit

Networks of `layer_shapes.py` are exported and run on the core, every layer observed.
What was counted is kept in `results/instructions/`, a file for each provider of
kernels: a row for each layer with the integers of its calls, a column for each core.
With `--fit` nothing is run.

The fit takes two networks of three. A kernel's instructions are a sum: how often each
part of it runs, which `kanji_np.cost.work` says, times the instructions of that part,
which are not negative and make the squares of the relative errors least. Errors are
those of the other networks. They are printed for each kernel, for blind networks, which
nobody looked at while `kanji_np.cost.work` was written, and for the networks of the zoo
from end to end.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import layer_shapes
import numpy as np
from scipy.optimize import nnls

import kanji_np as kj
from kanji_np.cost.instructions import (
    TABLES,
    Kernel,
    Table,
    table_text,
)
from kanji_np.cost.instructions import table as read_table
from kanji_np.cost.provider import COUNTED, core_class_of, provider_of
from kanji_np.cost.work import integers, work_of
from kanji_np.cost.work.loops import ENTERED, Integers, Work
from kanji_np.deploy.build import stage
from kanji_np.deploy.cwriter import program
from kanji_np.deploy.emulator import QEMU, Emulator, compiler, machine_of
from kanji_np.deploy.kernels import CCORE, find
from kanji_np.deploy.planner import lower, plan
from kanji_np.errors import KanjiError
from kanji_np.graph import Graph, noise
from kanji_np.targets import target_spec
from kanji_np.types import KernelCall, TargetSpec

RESULTS = Path(__file__).parent / "results" / "instructions"
SCRIPT = "examples/measure_instructions.py"
ARGUMENTS = RESULTS / "arguments.csv"
ZOO_RESULTS = RESULTS / "zoo.csv"
NAME = "net"  # of every network, so that each takes the place of the one before
#: Networks of these numbers modulo `FOLDS` are held out of the fit.
FOLDS, HELD_OUT = 3, 0
DIGITS = 6
SEEDS = "0:90,1000:1021,2000:2040,3000:3024,5000:5012,7000:7056"
#: Instructions of a part of which nothing is known, of entering a loop, and the weight
#: of these guesses beside a relative error of 1.
GUESS, GUESS_TO_ENTER, GUESS_WEIGHT = 20.0, 5.0, 3e-4

ZOO: dict[str, Callable[[TargetSpec], kj.Model]] = {
    "paper-cnn": lambda target: kj.paper_cnn(target=target),
    "resnet8": lambda target: kj.resnet8(target=target),
    "ds-cnn": lambda target: kj.ds_cnn(target=target),
    "mobilenet-v1-025": lambda target: kj.mobilenet_v1_025(target=target),
    "autoencoder": lambda target: kj.autoencoder(target=target),
}


# ------------------------------------------------- what was counted


@dataclass(frozen=True)
class Call:
    """A kernel call as kept: its integers in the order of `arguments.csv`."""

    function: str
    given: tuple[int, ...]

    def __str__(self) -> str:
        return " ".join((self.function, *map(str, self.given)))


@dataclass(frozen=True)
class Layer:
    """A layer of a drawn network."""

    network: int
    number: int
    calls: tuple[Call, ...]


@dataclass
class Results:
    """What was counted of one provider: instructions by layer and core.

    `name` is the provider's, and of the kernels for Helium a name of its own.
    """

    provider: str
    name: str
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    counts: dict[Layer, dict[str, int]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return RESULTS / f"{self.name}.csv"

    @classmethod
    def read(cls, provider: str, core_class: str) -> Results:
        is_helium = core_class == "mve" and provider != CCORE
        name = f"{provider}-mve" if is_helium else provider
        found = cls(provider, name, _names())
        for row in _rows(found.path):
            calls = tuple(_call(text) for text in row["calls"].split("; "))
            layer = Layer(int(row["network"]), int(row["layer"]), calls)
            counts = {core: int(row[core]) for core in COUNTED if row[core]}
            found.counts[layer] = counts
        return found

    def add(
        self, network: int, number: int, calls: Sequence[KernelCall], core: str, n: int
    ) -> None:
        kept = []
        for call in calls:
            given = integers(call)
            names = self.names.setdefault(call.function, tuple(given))
            if names != tuple(given):
                raise ValueError(f"{call.function} has other integers than before")
            kept.append(Call(call.function, tuple(given.values())))
        layer = Layer(network, number, tuple(kept))
        self.counts.setdefault(layer, {})[core] = n

    def write(self) -> None:
        RESULTS.mkdir(parents=True, exist_ok=True)
        names = _names() | self.names
        rows_of_names = [(f, " ".join(names[f])) for f in sorted(names)]
        _write(ARGUMENTS, ("function", "integers"), rows_of_names)
        rows = [
            (
                *(layer.network, layer.number, "; ".join(map(str, layer.calls))),
                *(counts.get(core, "") for core in COUNTED),
            )
            for layer, counts in self.counts.items()
        ]
        rows.sort(key=lambda row: row[:3])
        _write(self.path, ("network", "layer", "calls", *COUNTED), rows)

    def integers(self, call: Call) -> Integers:
        return dict(zip(self.names[call.function], call.given, strict=True))


def _names() -> dict[str, tuple[str, ...]]:
    """The names of each function's integers."""
    return {r["function"]: tuple(r["integers"].split()) for r in _rows(ARGUMENTS)}


def _call(text: str) -> Call:
    function, *given = text.split()
    return Call(function, tuple(map(int, given)))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.is_file():
        with open(path, newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """At once, so that who reads it meanwhile finds all rows."""
    new = path.with_suffix(".new")
    with open(new, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    new.replace(path)


# ------------------------------------------------- counting


@dataclass(frozen=True)
class Bench:
    """A core and the kernels that are linked for it.

    `folder` keeps the kernels' objects from one network to the next.
    """

    core: str
    library: str
    target: TargetSpec
    cmsis_nn: Path | None
    folder: Path

    @property
    def core_class(self) -> str:
        """What the core is to the kernels."""
        return core_class_of(self.core, self.target)

    @property
    def provider(self) -> str:
        """Of the kernels that are measured."""
        if self.library == CCORE:
            return CCORE
        return f"{self.target.library}-{self.target.version}"

    def emulator(self, net: kj.Model) -> Emulator:
        """A network on the core; the one before it is forgotten."""
        graph = net.freeze()
        firmware = self.folder / "firmware"
        shutil.rmtree(firmware, ignore_errors=True)
        for made in ("runner", "observer"):
            shutil.rmtree(self.folder / made, ignore_errors=True)
        (self.folder / "kernels" / f"{graph.name}_data.o").unlink(missing_ok=True)
        kj.export(net, firmware, library=self.library)
        functions = program(graph).functions
        real = self.library != CCORE
        checkout = find(self.cmsis_nn or "", graph.target, functions) if real else None
        sources = stage(
            firmware, graph, self.core_class, functions, checkout, self.folder
        )
        return Emulator(machine_of(self.core), graph, sources)

    def layers(self, net: kj.Model) -> dict[int, int]:
        """Instructions of each layer, by its number from 1, over one image."""
        emulator = self.emulator(net)
        found = emulator.instructions(noise(emulator.graph.input, 1), observe=True)
        return {number: int(counts.max()) for number, counts in found.items()}

    def inference(self, net: kj.Model) -> int:
        """Instructions of the network, not observed."""
        emulator = self.emulator(net)
        found = emulator.instructions(noise(emulator.graph.input, 1), observe=False)
        return int(found[0].max())


def measure(bench: Bench, numbers: Iterable[int]) -> None:
    """Count networks of these numbers, and keep the layers of the provider linked."""
    results = Results.read(bench.provider, bench.core_class)
    for number in numbers:
        net = layer_shapes.network(number, bench.target)
        try:
            counts = bench.layers(net)
        except KanjiError as error:
            print(f"network {number}: {error}", flush=True)
            continue
        graph = net.freeze()
        skipped = _not_alone(graph)
        for layer, calls in enumerate(lower(graph), 1):
            providers = {provider_of(c, bench.target, bench.library) for c in calls}
            if providers != {bench.provider} or layer not in counts or layer in skipped:
                continue
            results.add(number, layer, calls, bench.core, counts[layer])
        results.write()
        print(f"network {number}: {len(counts)} layers", flush=True)


def _not_alone(graph: Graph) -> set[int]:
    """Layers whose instructions are not those of their kernels on any data.

    Some copy their input first, to work in place. Others find one number everywhere,
    or its neighbour.
    """
    planned = plan(graph, lower(graph))
    copied = {i for i, copies in enumerate(planned.copies, 1) if copies}
    copied |= {i + 1 for i in planned.inputs}
    outputs = enumerate(graph.layers(noise(graph.input, 1)), 1)
    return copied | {
        i for i, y in outputs if y.size > 1 and int(y.max()) - int(y.min()) < 2
    }


def measure_zoo(bench: Bench) -> None:
    """Count the networks of the zoo, and keep that."""
    kept = {(r["library"], r["core"], r["network"]): r for r in _rows(ZOO_RESULTS)}
    for name, make in ZOO.items():
        try:
            count = bench.inference(make(bench.target))
        except KanjiError as error:
            print(f"{name}: {error}", flush=True)
            continue
        row = {
            "library": _linked(bench.library, bench.target),
            "core": bench.core,
            "network": name,
            "instructions": str(count),
        }
        kept[row["library"], row["core"], row["network"]] = row
        print(f"{name}: {count:,}", flush=True)
    head = ("library", "core", "network", "instructions")
    _write(ZOO_RESULTS, head, [[kept[key][h] for h in head] for key in sorted(kept)])


def _linked(library: str, target: TargetSpec) -> str:
    """Target and kernels in one word, as the results of the zoo have it."""
    name = f"{target.library}-{target.version}"
    return f"{name} by ccore" if library == CCORE else name


# ------------------------------------------------- fitting


@dataclass(frozen=True)
class Sample:
    """What a layer does, and the instructions it took."""

    layer: Layer
    works: tuple[Work, ...]
    counted: int

    @property
    def is_held_out(self) -> bool:
        return self.is_blind or self.layer.network % FOLDS == HELD_OUT

    @property
    def is_blind(self) -> bool:
        """Whether it was also kept from those who made the model."""
        return self.layer.network >= layer_shapes.FIRST_BLIND


def samples(results: Results, core: str, target: TargetSpec) -> list[Sample]:
    """The layers counted on a core of whose functions the work is known."""
    core_class, found, unknown = core_class_of(core, target), [], set[str]()
    for layer, counts in results.counts.items():
        if core not in counts:
            continue
        try:
            works = tuple(
                work_of(c.function, results.integers(c), results.provider, core_class)
                for c in layer.calls
            )
        except KanjiError as error:
            unknown.add(str(error))
            continue
        found.append(Sample(layer, works, counts[core]))
    for line in sorted(unknown):
        print(line)
    return found


def fitted(those: Sequence[Sample]) -> Kernel:
    """Instructions of each part of one kernel, and how well they hold."""
    terms = sorted({name for s in those for w in s.works for name in w.counts})
    counted = np.array([s.counted for s in those], float)
    amounts = np.zeros((len(those), len(terms)))
    for row, sample in zip(amounts, those, strict=True):
        for work in sample.works:
            row += [work.counts.get(name, 0.0) for name in terms]
    held = np.array([s.is_held_out for s in those])
    if held.all():
        held[:] = False
    relative = amounts / counted[:, None]
    guesses = np.array([GUESS_TO_ENTER if ENTERED in t else GUESS for t in terms])
    found = _least_squares(relative[~held], guesses)
    weights = [float(f"{w:.{DIGITS}g}") for w in found]
    errors = np.abs(relative @ weights - 1)
    shown = errors[held] if held.any() else errors
    return Kernel(
        terms=dict(zip(terms, weights, strict=True)),
        fitted=int((~held).sum()),
        held_out=int(held.sum()),
        median_error=round(float(np.median(shown)), 5),
        worst_error=round(float(shown.max()), 5),
    )


def _least_squares(relative: np.ndarray, guesses: np.ndarray) -> np.ndarray:
    """Instructions of each part, of which each row's sum should be 1.

    Parts that the rows do not tell apart are drawn towards their guesses, with next to
    no weight beside what was counted.
    """
    n_parts = relative.shape[1]
    rows = np.vstack([relative, np.diag(GUESS_WEIGHT / guesses)])
    sums = np.concatenate([np.ones(len(relative)), np.full(n_parts, GUESS_WEIGHT)])
    size = np.linalg.norm(rows, axis=0)  # for the solver's sake
    found, _ = nnls(rows / size, sums)
    return found / size


def fit(results: Results, core: str, target: TargetSpec) -> Table:
    """The table of a provider on a core, from what was counted."""
    by_kernel, several = defaultdict(list), []
    for sample in samples(results, core, target):
        kernels = {work.kernel for work in sample.works}
        if len(kernels) == 1:
            by_kernel[kernels.pop()].append(sample)
        elif not sample.is_held_out:
            several.append(sample)
    alone = {name: fitted(those) for name, those in by_kernel.items()}
    for sample in several:
        name, part = _largest_part(sample, alone)
        if part is not None:
            by_kernel[name].append(part)
    return Table(
        provider=results.provider,
        core=core,
        compiler=compiler(),
        emulator=_emulator(),
        script=SCRIPT,
        kernels={name: fitted(those) for name, those in sorted(by_kernel.items())},
    )


def _largest_part(
    sample: Sample, alone: Mapping[str, Kernel]
) -> tuple[str, Sample | None]:
    """The kernel that takes most of a layer of several, and the layer without the rest.

    The rest is predicted from layers of one kernel. None if it is not known, or is more
    than half of the layer.
    """
    shares = dict[str, float]()
    for work in sample.works:
        terms = alone[work.kernel].terms if work.kernel in alone else {}
        count = sum(terms.get(name, 0.0) * n for name, n in work.counts.items())
        shares[work.kernel] = shares.get(work.kernel, 0.0) + (count or np.inf)
    largest = max(shares, key=lambda name: shares[name])
    rest = sum(count for name, count in shares.items() if name != largest)
    if rest > sample.counted / 2:
        return largest, None
    works = tuple(work for work in sample.works if work.kernel == largest)
    return largest, Sample(sample.layer, works, round(sample.counted - rest))


def _emulator() -> str:
    said = subprocess.run([QEMU, "--version"], capture_output=True, text=True).stdout
    version = said.split()[3]
    return f"{QEMU} {version} -icount"


# ------------------------------------------------- what the tables are worth


def show(table: Table, results: Results, target: TargetSpec) -> None:
    """A row for each kernel, and one for all layers that were held out."""
    print(f"\n{table.provider} on {table.core}: error of held-out layers\n")
    print("| kernel | fitted | held out | median | worst |")
    print("|---|---|---|---|---|")
    for name, k in table.kernels.items():
        _row(name, k.fitted, k.held_out, k.median_error, k.worst_error)
    held = [
        sample
        for sample in samples(results, table.core, target)
        if sample.is_held_out and all(w.kernel in table.kernels for w in sample.works)
    ]
    errors = [abs(predicted(table, sample) / sample.counted - 1) for sample in held]
    blind = [e for sample, e in zip(held, errors, strict=True) if sample.is_blind]
    fitted_all = sum(k.fitted for k in table.kernels.values())
    for name, those in (("all", errors), ("blind", blind)):
        if those:
            _row(name, fitted_all, len(those), float(np.median(those)), max(those))
    if errors:
        print(f"\n19 of 20 within {np.quantile(errors, 0.95):.2%}")


def _row(name: str, n_fit: int, n_held: int, median: float, worst: float) -> None:
    print(f"| {name} | {n_fit} | {n_held} | {median:.2%} | {worst:.2%} |")


def predicted(table: Table, sample: Sample) -> float:
    return sum(
        table.kernels[work.kernel].terms[name] * count
        for work in sample.works
        for name, count in work.counts.items()
    )


def show_zoo(core: str, library: str, target: TargetSpec) -> None:
    """Networks of the zoo from end to end."""
    print("\n| network | counted | predicted | error |")
    print("|---|---|---|---|")
    for row in _rows(ZOO_RESULTS):
        if (row["library"], row["core"]) != (_linked(library, target), core):
            continue
        graph = ZOO[row["network"]](target).outline()
        try:
            made = kj.estimate(graph, core=core, library=library)
        except KanjiError as error:
            print(f"| {row['network']} | {error} |")
            continue
        counted = int(row["instructions"])
        off = f"{made.instructions / counted - 1:+.2%}"
        print(f"| {row['network']} | {counted:,} | {made.instructions:,.0f} | {off} |")


def _range(text: str) -> range:
    first, end = map(int, text.split(":"))
    return range(first, end)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--core", required=True, choices=COUNTED)
    parser.add_argument("--library", default="cmsis-nn", choices=("cmsis-nn", CCORE))
    parser.add_argument("--target", default="cmsis-nn")
    parser.add_argument("--version", help="of the target")
    parser.add_argument("--cmsis-nn", type=Path, help="where the real library is")
    parser.add_argument("--seeds", default=SEEDS, help="FIRST:END of networks, ..")
    parser.add_argument("--folder", type=Path, help="keeps compiled kernels")
    parser.add_argument("--fit", action="store_true", help="run nothing, only fit")
    parser.add_argument(
        "--zoo", action="store_true", help="count the zoo's networks, too"
    )
    given = parser.parse_args()

    target = target_spec(given.target, core=given.core, version=given.version)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(given.core, given.library, target, given.cmsis_nn, folder)
        if not given.fit and given.seeds:
            parts = map(_range, given.seeds.split(","))
            measure(bench, [number for part in parts for number in part])
        if given.zoo:
            measure_zoo(bench)
    results = Results.read(bench.provider, bench.core_class)
    made = fit(results, given.core, target)
    TABLES.mkdir(parents=True, exist_ok=True)
    path = TABLES / f"{bench.provider}-{given.core}.json"
    path.write_text(table_text(made), encoding="utf-8")
    read_table.cache_clear()
    show(made, results, target)
    show_zoo(given.core, given.library, target)


if __name__ == "__main__":
    main()
