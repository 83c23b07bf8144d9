"""What a network costs, layer by layer; it need not be trained.

Shapes, operations and memory follow from the operators alone, and are exact. Time and
energy are estimates for a board, see `cost.estimate`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kanji_np.cost.boards import Board
from kanji_np.cost.estimate import (
    Estimate,
    LayerEstimate,
    estimated,
    laid_out,
    outlined,
)
from kanji_np.deploy.cwriter import program
from kanji_np.deploy.planner import Plan, arena_text, scratch_bytes, works_in_place
from kanji_np.deploy.record import VerificationRecord
from kanji_np.graph import Graph
from kanji_np.markdown import escaped, table_lines
from kanji_np.model import Model
from kanji_np.report.scores import confusions_of
from kanji_np.report.tables import text_table
from kanji_np.report.trained import TrainedReport
from kanji_np.report.units import unit_of
from kanji_np.train import History
from kanji_np.types import Shape, shape_text

#: Of every report in JSON.
KIND = "kanji-np report"
#: The last line of every report in Markdown.
MARK = "<!-- kanji-np report -->"


@dataclass(frozen=True)
class LayerReport:
    """One layer of a network.

    Parameters
    ----------
    name, op : str
        Of the layer and of its operator.
    output_shape : tuple of int
    scale : str
        Of the output, for reading: "2^-5", or a number. Empty as long as the network
        has no ranges.
    macs : int
        Multiply-accumulates of one inference [MAC].
    flash_bytes : int
        Weights, biases and tables [bytes].
    ram_bytes : int
        What must be in memory while the layer runs: its input, its output unless that
        takes the input's place, and its scratch [bytes].
    functions : tuple of str
        The library functions that compute it, in order; none where a layer only gives
        its input another shape.
    inputs : tuple of int
        What it reads: 0 is the network's input, n the output of layer n, from 1.
    """

    name: str
    op: str
    output_shape: Shape
    scale: str
    macs: int
    flash_bytes: int
    ram_bytes: int
    functions: tuple[str, ...] = ()
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class ArenaPiece:
    """Memory of the arena that is in use from one layer to another.

    Parameters
    ----------
    layer : str
        Whose memory it is.
    kind : "output", "scratch" or "copy"
        What the layer writes; memory it works in; or a copy of its input, which it
        overwrites.
    offset, size : int
        Where it begins in the arena, and how large it is [bytes].
    first, last : int
        The layers during which it is in use, from 1, both included.
    """

    layer: str
    kind: str
    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Report:
    """The layers of a network in order, and their sums.

    Parameters
    ----------
    network, target : str
    input_shape : tuple of int
    layers : tuple of LayerReport
    arena_bytes : int
        Working memory of one inference as the exported C lays it out: activations and
        scratch [bytes]. The network's input and output are the caller's, not in it.
    lower_bound_bytes : int
        No layout of the same does with less [bytes].
    arena : tuple of ArenaPiece
        What lies in it, the largest first.
    estimate : Estimate or None
        Instructions, time, energy and all memory, if a board or a core was named.
    trained : TrainedReport or None
        Scores and values, if the network was looked at with data.
    history : History or None
        Of its training, if it is known.
    verified : tuple of VerificationRecord
        Where its C was compared with it, and when.
    """

    network: str
    target: str
    input_shape: Shape
    layers: tuple[LayerReport, ...]
    arena_bytes: int
    lower_bound_bytes: int
    arena: tuple[ArenaPiece, ...] = ()
    estimate: Estimate | None = None
    trained: TrainedReport | None = None
    history: History | None = None
    verified: tuple[VerificationRecord, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference [MAC]."""
        return sum(layer.macs for layer in self.layers)

    @property
    def flash_bytes(self) -> int:
        """Weights, biases and tables [bytes]; code not included."""
        return sum(layer.flash_bytes for layer in self.layers)

    @property
    def peak_steps(self) -> tuple[int, ...]:
        """The layers, from 1, during which most bytes of the arena are in use."""
        in_use = self.arena_in_use
        most = max(in_use, default=0)
        return tuple(i for i, size in enumerate(in_use, 1) if size == most > 0)

    @property
    def arena_in_use(self) -> tuple[int, ...]:
        """Bytes of the arena that are in use during each layer [bytes]."""
        return tuple(
            sum(piece.size for piece in self.arena_during(step))
            for step in range(1, len(self.layers) + 1)
        )

    def arena_during(self, step: int) -> tuple[ArenaPiece, ...]:
        """What lies in the arena while a layer runs, the largest first.

        Parameters
        ----------
        step : int
            The layer, from 1.
        """
        return tuple(p for p in self.arena if p.first <= step <= p.last)

    def json(self) -> str:
        """The report as one JSON object on one line."""
        facts = {name: value for name, value in vars(self).items() if name in PLAIN}
        return json.dumps(
            {
                "kind": KIND,
                **facts,
                "layers": [asdict(layer) for layer in self.layers],
                "arena": [asdict(piece) for piece in self.arena],
                "macs": self.macs,
                "flash_bytes": self.flash_bytes,
                "peak_steps": self.peak_steps,
                "estimate": _estimate_facts(self.estimate) if self.estimate else None,
                "trained": asdict(self.trained) if self.trained else None,
                "history": _history_facts(self.history) if self.history else None,
                "verified": [asdict(each) for each in self.verified],
            }
        )

    def markdown(self) -> str:
        """The report as Markdown."""
        columns = cost_columns(self)
        *rows, totals = zip(*columns.values(), strict=True)
        bold = [cell and f"**{cell}**" for cell in map(escaped, totals)]
        cells = [*([*map(escaped, row)] for row in rows), bold]
        lines = [
            f"# {escaped(self.network)}",
            "",
            f"For {self.target}, input {shape_text(self.input_shape)}.",
            "",
            *table_lines([*columns], cells, left_columns=LEFT),
            "",
            "Flash and RAM in bytes; code not included.",
            "",
            *(f"- {escaped(name)}: {escaped(text)}" for name, text in _lines(self)),
        ]
        return "\n".join([*lines, "", MARK])

    def __str__(self) -> str:
        columns = cost_columns(self)
        table = text_table(
            [*columns], [*zip(*columns.values(), strict=True)], left_columns=LEFT
        )
        return "\n".join(
            [
                f"{self.network} for {self.target}, "
                f"input {shape_text(self.input_shape)}",
                *("", table, ""),
                "flash and RAM in bytes; code not included",
                *(f"{name}: {text}" for name, text in _lines(self)),
            ]
        )


#: Layers that are told of where several need as much of the arena.
MOST_PEAKS = 3
#: Pairs of classes, and layers, of which the text tells.
MOST_TOLD = 3
#: Fields of a report that are plain data, as JSON has them.
PLAIN = ("network", "target", "input_shape", "arena_bytes", "lower_bound_bytes")
LEFT = 3  # columns of words


def cost_columns(report: Report) -> dict[str, list[str]]:
    """The columns of the table of layers, the totals in the last row."""
    layers = report.layers
    columns = {
        "layer": [*(layer.name for layer in layers), "total"],
        "operator": [*(layer.op for layer in layers), ""],
        "output": [*(shape_text(layer.output_shape) for layer in layers), ""],
        "scale": [*(layer.scale for layer in layers), ""],
        "MAC": [f"{n:,}" for n in (*(layer.macs for layer in layers), report.macs)],
        "flash": [
            f"{n:,}"
            for n in (*(layer.flash_bytes for layer in layers), report.flash_bytes)
        ],
        "RAM": [*(f"{layer.ram_bytes:,}" for layer in layers), ""],
    }
    if not any(columns["scale"]):
        del columns["scale"]
    if report.estimate is not None:
        whole = report.estimate
        every: list[Estimate | LayerEstimate] = [*whole.layers, whole]
        columns["instructions"] = [f"{each.instructions:,.0f}" for each in every]
        if whole.seconds is not None:
            unit = unit_of([whole.seconds], "s")
            columns[unit.name] = [unit.likely(each.seconds) for each in every]
        if whole.joules is not None:
            unit = unit_of([whole.joules], "J")
            columns[unit.name] = [unit.likely(each.joules) for each in every]
    return columns


def place_of(found: Estimate) -> str:
    """What an estimate is for: board, core and clock, library, compiler."""
    clock = found.board.clock_hz if found.board else None
    facts = found.core if clock is None else f"{found.core}, {clock / 1e6:g} MHz"
    place = f"{found.board.title} ({facts})" if found.board else facts
    return ", ".join(filter(None, (place, found.library, found.memory.compiler)))


def _lines(report: Report) -> Iterator[tuple[str, str]]:
    """Names and texts of all that stands below the table of layers."""
    arena = arena_text(report.arena_bytes, report.lower_bound_bytes)
    yield "arena", f"{arena}; everything between input and output"
    for step in report.peak_steps[:MOST_PEAKS]:
        yield "peak of the arena", _peak_text(report, step)
    if after := next_peaks(report):
        yield "largest after the peak", after
    yield from _function_lines(report)
    yield from _estimate_lines(report)
    yield from _trained_lines(report)


def _peak_text(report: Report, step: int) -> str:
    """What lies in the arena while one layer runs."""
    pieces = report.arena_during(step)
    shown = ", ".join(f"{p.kind} of {p.layer} {p.size:,}" for p in pieces)
    in_use = sum(piece.size for piece in pieces)
    return f"{report.layers[step - 1].name}, {in_use:,} bytes: {shown}"


def next_peaks(report: Report) -> str:
    """The layers behind the peak and what is in use then; empty if there are none."""
    most = max(report.arena_in_use, default=0)
    rest = [
        (-size, step)
        for step, size in enumerate(report.arena_in_use)
        if 0 < size < most
    ]
    return ", ".join(
        f"{report.layers[step].name} {-size:,} bytes"
        for size, step in sorted(rest)[:MOST_TOLD]
    )


def _function_lines(report: Report) -> Iterator[tuple[str, str]]:
    """The library's functions, and the layers that each computes."""
    users: dict[str, list[str]] = {}
    for layer in report.layers:
        for function in dict.fromkeys(layer.functions):
            users.setdefault(function, []).append(layer.name)
    for function, layers in users.items():
        yield function, ", ".join(layers)


def flash_parts(found: Estimate) -> str:
    """What there is of flash, and what takes it."""
    memory, board = found.memory, found.board
    there = _of(board.flash_bytes if board else None)
    return f"{there}code {memory.code_bytes:,}, tables {memory.const_bytes:,}"


def ram_parts(found: Estimate) -> str:
    """What there is of RAM, and what takes it."""
    memory, board = found.memory, found.board
    return (
        f"{_of(board.ram_bytes if board else None)}arena {memory.arena_bytes:,}, "
        f"stack {memory.stack_bytes:,}, static {memory.static_bytes:,}, "
        f"input and output {memory.input_bytes + memory.output_bytes:,}"
    )


def _of(there: int | None) -> str:
    return "" if there is None else f"of {there:,}; "


def _estimate_lines(report: Report) -> Iterator[tuple[str, str]]:
    """Names and texts of what was estimated for the whole network."""
    found = report.estimate
    if found is None:
        return
    yield "estimate for", place_of(found)
    if found.seconds is not None:
        yield "time", f"{found.seconds.text('s')}, estimated"
    else:
        yield "cycles", f"{found.cycles.text('')}, estimated"
    if found.joules is not None:
        yield "energy", f"{found.joules.text('J')}, estimated"
    yield "flash with code", f"{found.flash_bytes:,} bytes {flash_parts(found)}"
    yield "RAM in all", f"{found.ram_bytes:,} bytes {ram_parts(found)}"
    for shortage in found.shortages:
        yield "does not fit", shortage


def _trained_lines(report: Report) -> Iterator[tuple[str, str]]:
    """Names and texts of how good the network is, and of what was verified."""
    if report.history is not None and report.history.epochs:
        yield f"epoch {report.history.epochs[-1].epoch}", _epoch_text(report.history)
    found = report.trained
    if found is not None:
        for precision, score in (
            ("int8", found.int8_score),
            ("fp32", found.fp32_score),
        ):
            text = score_text(found.metric, score)
            where = f"of {found.images:,} images of {found.data}"
            yield f"{precision} {found.metric}", f"{text} {where}"
        if pairs := confusions_of(found.classes, found.confusion)[:MOST_TOLD]:
            shown = (f"{p.images:,} of {p.name} for {p.taken_for}" for p in pairs)
            yield "images mistaken most", ", ".join(shown)
        clamped = [each for each in found.layers if each.clamped]
        clamped.sort(key=lambda each: -each.clamped)
        if clamped:
            yield (
                "outputs clamped most",
                ", ".join(
                    f"{each.name} {share_text(each.clamped)}"
                    for each in clamped[:MOST_TOLD]
                ),
            )
    for record in report.verified:
        yield "verified", verified_text(record)


def _epoch_text(history: History) -> str:
    """What the last epoch came to."""
    last = history.epochs[-1]
    facts = (
        ("training loss", f"{last.train_loss:.2f}", last.train_loss),
        ("accuracy in training", _percent(last.train_accuracy), last.train_accuracy),
        ("in validation", _percent(last.validation_accuracy), last.validation_accuracy),
    )
    return ", ".join(f"{name} {text}" for name, text, x in facts if math.isfinite(x))


def _percent(part: float) -> str:
    return f"{100 * part:.2f} %"


def share_text(part: float) -> str:
    """A small share in percent; what rounds to nothing is "less than"."""
    if not part:
        return "none"
    return "< 0.01 %" if part < 1e-4 else f"{100 * part:.2g} %"


def score_text(metric: str, score: float) -> str:
    """A score as reports show it."""
    return f"{100 * score:.2f} %" if metric == "accuracy" else f"{score:.4f}"


def verified_text(record: VerificationRecord) -> str:
    """One verification in a line."""
    measured = (
        (record.instructions, "instructions"),
        (record.flash_bytes, "bytes of flash"),
        (record.stack_bytes, "bytes of stack"),
    )
    images = f"{record.images:,} image{'s' if record.images != 1 else ''}"
    facts = [
        f"{record.differing_bytes:,} differing bytes in {images} on {record.on} with "
        f"{record.library} for {record.target}, {when_text(record)}"
    ]
    facts += [f"{value:,} {what}" for value, what in measured if value is not None]
    facts += [record.compiler] if record.compiler else []
    facts += [f"first difference: {record.first}"] if record.first else []
    return "; ".join(facts)


def when_text(record: VerificationRecord) -> str:
    """Its time for reading: "2026-03-01 12:00 UTC"."""
    day, _, time = record.when.partition("T")
    return f"{day} {time[:5]} UTC" if time else day


def _history_facts(history: History) -> list[dict[str, Any]]:
    """The epochs as plain data; what is not known is null."""
    return [
        {name: None if value != value else value for name, value in asdict(e).items()}
        for e in history.epochs
    ]


def _estimate_facts(found: Estimate) -> dict[str, Any]:
    """An estimate as plain data."""

    def costs(each: Estimate | LayerEstimate) -> dict[str, Any]:
        return {
            "instructions": each.instructions,
            "cycles": asdict(each.cycles),
            "seconds": asdict(each.seconds) if each.seconds else None,
            "joules": asdict(each.joules) if each.joules else None,
        }

    return {
        "target": str(found.target),
        "core": found.core,
        "library": found.library,
        "board": None if found.board is None else found.board.name,
        "clock_hz": None if found.board is None else found.board.clock_hz,
        **costs(found),
        "flash_bytes": found.flash_bytes,
        "ram_bytes": found.ram_bytes,
        "memory": asdict(found.memory),
        "shortages": found.shortages,
        "layers": [{"name": each.name, **costs(each)} for each in found.layers],
    }


def cost_report(
    network: Model | Graph,
    *,
    board: str | Path | Board | None = None,
    core: str | None = None,
    library: str = "ccore",
) -> Report:
    """What a network costs on the device; it need not be trained.

    Parameters
    ----------
    network : Model or Graph
        Not changed. A Model for a runtime costs what it does with CMSIS-NN.
    board : str, path or Board, optional
        Where instructions, time and energy are estimated for. The network is laid out
        for the class of its core.
    core : str, optional
        "cortex-m4" and so on, instead of a board: instructions and cycles only.
    library : "ccore" or "cmsis-nn"
        Whose kernels the estimate is for.

    Returns
    -------
    Report
        Prints as a table.

    Raises
    ------
    OptionError
        Board, core or library are not known or do not fit each other.
    FileFormatError
        The file of a board is none.
    UnsupportedOp
        The library has no kernel for a layer, or a Graph is for a runtime.
    """
    if board is None and core is None:
        made, found = program(outlined(network)), None
    else:
        made, platform = laid_out(network, board=board, core=core, library=library)
        found = estimated(made, platform)
    graph, planned = made.graph, made.plan
    has_ranges = isinstance(network, Graph) or network.is_calibrated
    layers = []
    rows = zip(graph.nodes, made.calls, made.costs, planned.copies, strict=True)
    for node, calls, cost, copies in rows:
        x_bytes = sum(graph.tensors[tensor].size for tensor in {*node.inputs})
        y = node.output
        shares_input = (not calls or works_in_place(calls)) and not copies
        layers.append(
            LayerReport(
                name=node.name,
                op=node.op,
                output_shape=y.shape,
                scale=str(y.qparams) if has_ranges else "",
                macs=cost.macs,
                flash_bytes=cost.flash_bytes,
                ram_bytes=x_bytes
                + (0 if shares_input else y.size)
                + scratch_bytes(calls),
                functions=tuple(call.function for call in calls),
                inputs=node.inputs,
            )
        )
    return Report(
        network=graph.name,
        target=str(graph.target),
        input_shape=graph.input.shape,
        layers=tuple(layers),
        arena_bytes=planned.arena_bytes,
        lower_bound_bytes=planned.lower_bound_bytes,
        arena=_pieces(graph, planned),
        estimate=found,
    )


def _pieces(graph: Graph, planned: Plan) -> tuple[ArenaPiece, ...]:
    """What the plan lays into the arena."""
    names = [node.name for node in graph.nodes]
    tensors = {number - 1: place for number, place in planned.tensors.items()}
    kinds = (
        ("output", tensors),
        ("copy", planned.inputs),
        ("scratch", planned.scratch),
    )
    pieces = [
        ArenaPiece(names[i], kind, offset, need.size, need.first, need.last)
        for kind, places in kinds
        for i, (offset, need) in places.items()
    ]
    return tuple(sorted(pieces, key=lambda piece: (-piece.size, piece.first)))
