"""Cycles per instruction from published times of boards, and how well they predict.

    python examples/calibrate_cycles.py            # every figure beside its range
    python examples/calibrate_cycles.py --write    # and writes what it found

It writes `kanji_np/cost/cycles.toml` and `examples/results/cycles.md`.

`examples/results/published_times.jsonl` holds the published measurements, each with its
source. Their `use` says what for:

- "calibration": CMSIS-NN of 2022 and later, built for speed, networks of 100,000 MAC or
  more. In smaller ones the interpreter of the runtime takes a good part of the time.
- "check": CMSIS-NN, but a smaller network, or a runtime whose build is not told.
- "other build": CMSIS-NN of 2020 and 2021, or built for size.
- "comparison": other kernels.

A network's cycles divided by its predicted instructions are its cycles per instruction.
Those of a kind of kernel are, over the networks in which it takes a quarter of the
instructions or more, the least, the median and the most. The least and the most are
moved a tenth outwards, for the networks that nobody has published; by three tenths
where fewer than three networks were.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import kanji_np as kj
from kanji_np.cost import cycles
from kanji_np.cost.boards import BOARD_CORES
from kanji_np.cost.range import sum_of

RESULTS = Path(__file__).parent / "results"
PUBLISHED = RESULTS / "published_times.jsonl"
FIGURES = RESULTS / "cycles.md"
LEAST_SHARE = 0.25
MARGIN, FEW, MARGIN_OF_FEW = 0.1, 3, 0.3

#: Cores without published times of CMSIS-NN: cycles per instruction, what they rest on,
#: and where that was read.
MANUAL = {
    "cortex-m0plus": (
        (1.2, 1.5, 2.1),
        "manual",
        "Arm DDI 0484C, Cortex-M0+ technical reference manual, table 3.1: loads and "
        "stores 2 cycles, taken branches 2, multiplication 1 (of chips with the fast "
        "multiplier), the rest 1",
    ),
    "cortex-m3": (
        (1.2, 1.6, 2.3),
        "manual",
        "Arm DDI 0337I, Cortex-M3 technical reference manual, table 3.1: loads 2 "
        "cycles, 1 behind another load, taken branches 2 to 4, MLA 2, the rest 1",
    ),
    "hazard3": (
        (1.0, 1.4, 2.8),
        "manual",
        "Wren6991/Hazard3@0efb6f5 doc/sections/instruction_timings.adoc: loads 1 cycle, "
        "2 if the next instruction needs the value, branches 1 if predicted, else 2, "
        "multiplication 1, the rest 1",
    ),
    "rv32imc": (
        (1.0, 1.3, 2.6),
        "other kernels",
        "espressif/esp-nn@d45b843 README.md: person detection on the ESP32-C3, C",
    ),
    "xtensa-lx6": (
        (1.0, 1.7, 3.4),
        "other kernels",
        "espressif/esp-nn@d45b843 README.md: person detection on the ESP32, C",
    ),
    "xtensa-lx7": (
        (1.0, 1.7, 3.4),
        "other kernels",
        "espressif/esp-nn@d45b843 README.md: person detection on the ESP32, in C; its "
        "core is a generation older",
    ),
}


def convolutions(
    rows: Sequence[tuple[int, int, int]], dense: Sequence[int], shape: kj.Shape
) -> Callable[[kj.TargetSpec], kj.Model]:
    """EdgeMark's networks: (filters, kernel, stride), 0 filters for a pool, and a 0 for
    the kernel of the one over all that is left; then dense layers."""

    def make(target: kj.TargetSpec) -> kj.Model:
        layers: list[kj.Layer] = []
        side = shape[0]
        for filters, kernel, stride in rows:
            if filters:
                side = -(-side // stride)
                layers.append(
                    kj.Conv2D(
                        filters, kernel, stride, padding="same", activation="relu"
                    )
                )
            elif kernel:
                side = -(-side // stride)
                layers.append(kj.MaxPool2D(kernel, stride, padding="same"))
            else:
                layers.append(kj.AvgPool2D(side))
        layers.append(kj.Flatten())
        layers += [kj.Dense(units, activation="relu") for units in dense[:-1]]
        layers.append(kj.Dense(dense[-1]))
        return kj.Sequential(layers, shape, target, scheme="symmetric")

    return make


def dense(units: Sequence[int], inputs: int) -> Callable[[kj.TargetSpec], kj.Model]:
    def make(target: kj.TargetSpec) -> kj.Model:
        layers: list[kj.Layer] = [
            kj.Dense(each, activation="relu") for each in units[:-1]
        ]
        layers.append(kj.Dense(units[-1]))
        return kj.Sequential(layers, (inputs,), target, scheme="symmetric")

    return make


def image_example(target: kj.TargetSpec) -> kj.Model:
    """`mltk_image_example1` of Silicon Labs."""
    layers: list[kj.Layer] = [
        kj.Conv2D(24, 3, 2, padding="same", activation="relu"),
        kj.AvgPool2D(2, 2),
        kj.Conv2D(16, 3, 2, activation="relu"),
        kj.Conv2D(24, 3, activation="relu"),
        kj.AvgPool2D(2, 2),
        kj.Flatten(),
        kj.Dense(3),
    ]
    return kj.Sequential(layers, (96, 96, 1), target, scheme="symmetric")


MNIST, CIFAR = (28, 28, 1), (32, 32, 3)
NETWORKS: dict[str, Callable[[kj.TargetSpec], kj.Model]] = {
    "resnet8": lambda target: kj.resnet8(mean=None, target=target),
    "ds-cnn": lambda target: kj.ds_cnn(mean=None, target=target),
    "mobilenet-v1-025": lambda target: kj.mobilenet_v1_025(mean=None, target=target),
    "autoencoder": lambda target: kj.autoencoder(mean=None, target=target),
    "person-detection": lambda target: kj.mobilenet_v1_025(
        input_shape=(96, 96, 1), mean=None, target=target
    ),
    "mltk-image": image_example,
    "edgemark-cnn-1": convolutions(
        [(4, 3, 2), (6, 3, 2), (8, 3, 2), (0, 0, 0)], [10], MNIST
    ),
    "edgemark-cnn-2": convolutions(
        [(6, 3, 2), (8, 3, 2), (8, 3, 2), (10, 3, 2)], [10], MNIST
    ),
    "edgemark-cnn-3": convolutions(
        [(4, 3, 1), (8, 3, 2), (12, 3, 2), (16, 3, 2), (20, 3, 2)], [10], MNIST
    ),
    "edgemark-cnn-4": convolutions(
        [(8, 3, 1), (8, 3, 2), (16, 3, 1), (16, 3, 2), (32, 3, 1), (0, 0, 0)],
        [64, 16, 10],
        MNIST,
    ),
    "edgemark-cnn-5": convolutions(
        [(16, 3, 1), (16, 3, 1), (0, 2, 2), (32, 3, 2), (32, 3, 1), (0, 0, 0)],
        [64, 32, 10],
        CIFAR,
    ),
    "edgemark-cnn-6": convolutions(
        [
            *((16, 3, 1), (16, 3, 1), (0, 2, 2), (32, 3, 1), (32, 3, 1), (0, 2, 2)),
            *((64, 3, 1), (0, 0, 0)),
        ],
        [100, 50, 10],
        CIFAR,
    ),
    "edgemark-cnn-7": convolutions(
        [
            *((16, 3, 1), (16, 3, 1), (0, 2, 2), (32, 3, 1), (32, 3, 1), (0, 2, 2)),
            *((64, 3, 1), (64, 3, 1), (0, 2, 2), (128, 3, 1), (0, 0, 0)),
        ],
        [128, 64, 10],
        CIFAR,
    ),
    "edgemark-fc-0": dense([1], 1),
    "edgemark-fc-1": dense([5, 1], 1),
    "edgemark-fc-2": dense([10, 10, 1], 1),
    "edgemark-fc-3": dense([16, 8, 10], 50),
    "edgemark-fc-4": dense([32, 16, 10], 50),
    "edgemark-fc-5": dense([64, 32, 16, 1], 13),
    "edgemark-fc-6": dense([64, 64, 64, 1], 13),
    "edgemark-fc-7": dense([64, 32, 16, 10], 128),
    "edgemark-fc-8": dense([128, 128, 128, 1], 13),
    "edgemark-fc-9": dense([60, 32, 16, 10], 784),
    "edgemark-fc-10": dense([64, 32, 16, 10], 3072),
    "cmsis-nn-cifar10": lambda target: kj.paper_cnn(
        (32, 32, 64), mean=None, target=target
    ),
}


@dataclass(frozen=True)
class Row:
    """A published measurement; the fields of the file that are needed here."""

    id: str
    network: str
    board: str | None
    hardware: str
    core: str
    clock_mhz: float
    runtime: str
    kernels: str
    use: str
    ms: float
    source: str
    optimization: str = ""
    uj: float | None = None
    energy_mode_ms: float | None = None
    volts: float | None = None
    instructions: float | None = None
    layer_cycles: Sequence[Any] = ()
    layer_instructions: Sequence[float] = ()
    note: str = ""

    @property
    def cycles(self) -> float:
        return self.ms * 1e3 * self.clock_mhz


def published() -> list[Row]:
    lines = PUBLISHED.read_text(encoding="utf-8").splitlines()
    return [Row(**json.loads(line)) for line in lines]


@cache
def predicted(network: str, core: str, board: str | None) -> kj.Estimate:
    """What the network takes with CMSIS-NN, or, on other cores, with ccore."""
    is_arm = core.startswith("cortex-")
    target = kj.target_spec("cmsis-nn", core=BOARD_CORES[core])
    return kj.estimate(
        NETWORKS[network](target),
        board=board,
        core=core,
        library="cmsis-nn" if is_arm else "ccore",
    )


def shares(estimate: kj.Estimate) -> dict[str, float]:
    """The share of each kind of kernel in the instructions."""
    found = dict.fromkeys(cycles.KINDS, 0.0)
    for layer in estimate.layers:
        found[cycles.kind_of(layer.op)] += layer.instructions
    return {kind: count / estimate.instructions for kind, count in found.items()}


def calibrated(rows: Sequence[Row]) -> dict[str, kj.Range]:
    """Cycles per instruction by kind, of the calibrating rows of one core."""
    seen: dict[str, list[float]] = {kind: [] for kind in cycles.KINDS}
    every = []
    for row in rows:
        for kind, per in observed(row):
            every.append(per)
            if kind is not None:
                seen[kind].append(per)
    few = len({row.network for row in rows}) < FEW
    margin = MARGIN_OF_FEW if few else MARGIN
    return {kind: spread(values or every, margin) for kind, values in seen.items()}


def observed(row: Row) -> Iterator[tuple[str | None, float]]:
    """Cycles per instruction that a measurement shows, and of which kind of kernels;
    None: it cannot be told."""
    if row.layer_instructions:
        for (op, taken), count in zip(
            row.layer_cycles, row.layer_instructions, strict=True
        ):
            yield cycles.kind_of("dense" if op == "fc" else op), taken / count
    elif row.instructions:
        yield None, row.cycles / row.instructions
    else:
        estimate = predicted(row.network, row.core, None)
        for kind, share in shares(estimate).items():
            if share >= LEAST_SHARE:
                yield kind, row.cycles / estimate.instructions


def spread(values: Sequence[float], margin: float) -> kj.Range:
    """The median, between bounds."""
    low, high = min(values) * (1 - margin), max(values) * (1 + margin)
    low, likely, high = (round(x, 3) for x in (low, median(values), high))
    return kj.Range(low, likely, high)


def without(row: Row, rows: Sequence[Row]) -> kj.Range | None:
    """Cycles of a calibrating row's network by a table made without that network."""
    others = [
        other
        for other in rows
        if (other.core, other.use) == (row.core, row.use)
        and other.network != row.network
    ]
    if not others:
        return None
    cpi = calibrated(others)
    layers = predicted(row.network, row.core, row.board).layers
    return sum_of(
        cpi[cycles.kind_of(layer.op)].scaled(layer.instructions) for layer in layers
    )


def table(rows: Sequence[Row]) -> str:
    """The text of cycles.toml."""
    lines = [
        "# Cycles per instruction: [low, likely, high] by core and kind of kernel.",
        "# Written by examples/calibrate_cycles.py.",
    ]
    calibrating = [row for row in rows if row.use == "calibration"]
    for core in sorted({row.core for row in calibrating}):
        own = [row for row in calibrating if row.core == core]
        boards = sorted({row.board for row in own if row.board})
        repositories = sorted({row.source.split()[0] for row in own})
        lines += ["", f"[{core}]"]
        lines += [
            f"{kind} = [{cpi.low}, {cpi.likely}, {cpi.high}]"
            for kind, cpi in calibrated(own).items()
        ]
        lines += [
            'basis = "boards"',
            f"measurements = {len(own)}",
            f"boards = {json.dumps(boards)}",
            f"sources = {json.dumps(repositories)}",
        ]
    for core, (cpi, basis, source) in MANUAL.items():
        lines += ["", f"[{core}]"]
        lines += [f"{kind} = {[*cpi]}" for kind in cycles.KINDS]
        lines += [f'basis = "{basis}"', f"sources = {json.dumps([source])}"]
    return "\n".join(lines) + "\n"


def compared(row: Row) -> tuple[kj.Range, float, bool]:
    """Predicted milliseconds, the error of the likely ones, and whether the published
    time lies within."""
    taken = predicted(row.network, row.core, row.board).cycles
    ms = taken.scaled(1e-3 / row.clock_mhz)
    return ms, ms.likely / row.ms - 1, ms.low <= row.ms <= ms.high


def runtime(row: Row) -> str:
    """The runtime without versions, and how it was built."""
    name = re.split(r" [\d(+e]", row.runtime)[0]
    level = re.match(r"-O\w+", row.optimization)
    return f"{name} {level[0]}" if level else name


def groups(rows: Sequence[Row]) -> Iterator[str]:
    """How well each group of measurements is predicted."""
    yield "| use | core | board | kernels | figures | within | median error | worst |"
    yield "|---|---|---|---|---|---|---|---|"
    found: dict[tuple[str, ...], list[tuple[float, bool]]] = {}
    for row in rows:
        _, error, within = compared(row)
        key = row.use, row.core, row.hardware, runtime(row)
        found.setdefault(key, []).append((error, within))
    for group, each in found.items():
        errors = [error for error, _ in each]
        yield (
            f"| {' | '.join(group)} | {len(each)} | {sum(w for _, w in each)} "
            f"| {median(errors):+.0%} | {max(errors, key=abs):+.0%} |"
        )
    yield ""
    for use in dict.fromkeys(row.use for row in rows):
        each = [compared(row)[1:] for row in rows if row.use == use]
        yield f"{use}: {summary(each)}"
    yield f"calibration without the network itself: {summary(left_out(rows))}"


def figures(rows: Sequence[Row]) -> Iterator[str]:
    """Every measurement beside its prediction."""
    yield "| use | core | board | network | kernels | published | predicted | error |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        ms, error, within = compared(row)
        yield (
            f"| {row.use} | {row.core} | {row.hardware} | {row.network} "
            f"| {runtime(row)} | {row.ms:.4g} ms "
            f"| {ms.likely:.4g} ({ms.low:.4g} to {ms.high:.4g}) ms "
            f"| {error:+.0%}{'' if within else ', outside'} |"
        )


def left_out(rows: Sequence[Row]) -> list[tuple[float, bool]]:
    """Error of each calibrating row by the others, and whether it lies within."""
    found = []
    for row in rows:
        if row.use == "calibration" and (taken := without(row, rows)) is not None:
            within = taken.low <= row.cycles <= taken.high
            found.append((taken.likely / row.cycles - 1, within))
    return found


def summary(found: Sequence[tuple[float, bool]]) -> str:
    inside = sum(within for _, within in found)
    sizes = [abs(error) for error, _ in found]
    return (
        f"{inside} of {len(found)} within their range; median error "
        f"{median(sizes):.0%}, worst {max(sizes):.0%}"
    )


def power(row: Row) -> kj.Range | None:
    """Active power at the row's voltage; where none is told, at any that is known."""
    board = kj.boards().get(row.board or "")
    known = board.power if board else ()
    told = [p.watts for p in known if p.volts == row.volts]
    powers = told or ([p.watts for p in known] if row.volts is None else [])
    if not powers:
        return None
    return kj.Range(
        min(p.low for p in powers),
        sum(p.likely for p in powers) / len(powers),
        max(p.high for p in powers),
    )


def energies(rows: Sequence[Row]) -> Iterator[str]:
    """Measured energies of CMSIS-NN beside power times time."""
    yield ("| use | board | network | kernels | volts | measured | predicted | error |")
    yield "|---|---|---|---|---|---|---|---|"
    found = []
    for row in rows:
        watts = power(row)
        if row.uj is None or watts is None or row.use == "comparison":
            continue
        taken = predicted(row.network, row.core, row.board).cycles
        uj = taken.scaled(1 / row.clock_mhz).scaled(watts)
        within = uj.low <= row.uj <= uj.high
        found.append((uj.likely / row.uj - 1, within))
        yield (
            f"| {row.use} | {row.hardware} | {row.network} "
            f"| {runtime(row)} | {row.volts or 'not told'} "
            f"| {row.uj:,.0f} uJ | {uj.likely:,.0f} ({uj.low:,.0f} to {uj.high:,.0f}) "
            f"uJ | {found[-1][0]:+.0%}{'' if within else ', outside'} |"
        )
    yield ""
    yield f"energy: {summary(found)}"


def text(rows: Sequence[Row]) -> str:
    """All tables, as Markdown."""
    parts = (
        ("# Published times and energies, beside what is predicted", ()),
        ("## By board and kernels", groups(rows)),
        ("## Every time", figures(rows)),
        ("## Energies", energies(rows)),
    )
    return "\n".join("\n".join([title, "", *lines, ""]) for title, lines in parts)


if __name__ == "__main__":
    measured = published()
    write = "--write" in sys.argv[1:]
    if write:
        cycles.TABLE.write_text(table(measured), encoding="utf-8")
        for cached in (
            cycles.cores,
            cycles.cycles_per_instruction,
            cycles.flash_factor,
            predicted,
        ):
            cached.cache_clear()
    found = text(measured)
    if write:
        FIGURES.write_text(found, encoding="utf-8")
    print(found)
