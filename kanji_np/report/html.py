"""A report as one page."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from kanji_np.cost.estimate import Estimate, LayerEstimate
from kanji_np.cost.range import Range, significant
from kanji_np.deploy.planner import arena_text
from kanji_np.deploy.record import VerificationRecord
from kanji_np.report.cost import Report, place_of, score_text
from kanji_np.report.figures import (
    KINDS,
    Bar,
    arena_picture,
    bars,
    histogram,
    network_graph,
)
from kanji_np.report.notebook import training_curves
from kanji_np.report.page import (
    element,
    facts,
    figure,
    page,
    paragraph,
    section,
    table,
)
from kanji_np.report.scores import MOST_CLASSES, confusions_of
from kanji_np.report.trained import TrainedReport
from kanji_np.types import shape_text

TIME_IS_ESTIMATED = (
    "Time and energy are estimates: instructions come from a model fitted to emulated "
    "cores, cycles for each from published measurements of boards. The likely value "
    "stands first, the range in parentheses."
)


def html(report: Report) -> str:
    """The page: it opens from disk, loads nothing and needs no scripts."""
    lead = [paragraph(_for(report), kind="soft"), facts(_facts(report))]
    if report.estimate is not None:
        lead += [
            paragraph(shortage, kind="warn") for shortage in report.estimate.shortages
        ]
    sections = [_network(report), _layers(report), _memory(report)]
    if report.trained is not None or report.history is not None:
        sections.append(_training(report))
    if report.trained is not None:
        sections.append(_values(report.trained))
    if report.verified:
        sections.append(_verified(report.verified))
    return page(f"{report.network}: report", lead, sections)


def _for(report: Report) -> str:
    text = f"{report.target}, input {shape_text(report.input_shape)}"
    found = report.estimate
    if found is None:
        return text
    return f"{text}. Estimated for {place_of(found)}."


def _facts(report: Report) -> list[tuple[str, str, str]]:
    rows = [("multiply-accumulates", f"{report.macs:,}", "an inference")]
    found = report.estimate
    if found is not None:
        rows.append(("instructions", f"{found.instructions:,.0f}", "estimated"))
        if found.seconds is None:
            rows.append(_boxed("cycles", found.cycles, ""))
        else:
            rows.append(_boxed("time", found.seconds, "s"))
        if found.joules is not None:
            rows.append(_boxed("energy", found.joules, "J"))
        memory, board = found.memory, found.board
        rows.append((
            "flash", f"{found.flash_bytes:,} bytes",
            _of(board.flash_bytes if board else None)
            + f"code {memory.code_bytes:,}, tables {memory.const_bytes:,}",
        ))  # fmt: skip
        rows.append((
            "RAM", f"{found.ram_bytes:,} bytes",
            _of(board.ram_bytes if board else None)
            + f"arena {memory.arena_bytes:,}, stack {memory.stack_bytes:,}, static "
            f"{memory.static_bytes:,}, input and output "
            f"{memory.input_bytes + memory.output_bytes:,}",
        ))  # fmt: skip
    else:
        flash = f"{report.flash_bytes:,} bytes"
        rows.append(("flash of tables", flash, "code not included"))
        arena = f"{report.arena_bytes:,} bytes"
        least = f"no layout takes less than {report.lower_bound_bytes:,}"
        rows.append(("arena", arena, least))
    if report.trained is not None:
        trained = report.trained
        int8, fp32 = (
            score_text(trained.metric, score)
            for score in (trained.int8_score, trained.fp32_score)
        )
        remark = f"int8, {trained.images:,} images of {trained.data}; fp32 {fp32}"
        rows.append((trained.metric, int8, remark))
    return rows


def _of(there: int | None) -> str:
    return "" if there is None else f"of {there:,}; "


def _boxed(name: str, value: Range, unit: str) -> tuple[str, str, str]:
    likely, _, bounds = value.text(unit).partition(" (")
    return name, likely, f"estimated, {bounds.rstrip(')')}" if bounds else "estimated"


def _network(report: Report) -> Element:
    shares, what = _shares(report)
    drawing = network_graph(report, shares, what)
    caption = (
        f"Every layer with its operator, its output's shape and its share of the "
        f"{what}. A row runs after the one above it."
    )
    graph = figure(drawing, caption, scrolls=True)
    charts = element("div", {"class": "many charts"}, *_charts(report))
    beside = element("div", {"class": "beside"}, graph, charts)
    title = "Network, and where time, energy and flash go"
    if report.estimate is None:
        return section("Network, and where flash goes", "network", beside)
    lead = paragraph(
        "Bars are the likely values, thin lines reach from the lowest to the highest. "
        f"Estimates for {place_of(report.estimate)}."
    )
    return section(title, "network", lead, beside)


def _shares(report: Report) -> tuple[list[float], str]:
    """Each layer's part of the time, or of what is known instead."""
    found = report.estimate
    if found is None:
        values: list[float] = [layer.macs for layer in report.layers]
        what = "multiply-accumulates"
    else:
        values = [layer.cycles.likely for layer in found.layers]
        what = "estimated time"
    total = sum(values) or 1
    return [value / total for value in values], what


def _layers(report: Report) -> Element:
    found = report.estimate
    with_scale = any(layer.scale for layer in report.layers)
    header = ["layer", "operator", "output", *["scale"] * with_scale, "MAC"]
    if found is not None:
        header += ["instructions", *_ranged_header(found)]
    header += ["flash", "RAM", "functions"]
    rows = []
    for i, layer in enumerate(report.layers):
        row = [layer.name, layer.op, shape_text(layer.output_shape)]
        row += [layer.scale] * with_scale
        row.append(f"{layer.macs:,}")
        if found is not None:
            each = found.layers[i]
            row += [f"{each.instructions:,.0f}", *_ranged(each)]
        row += [f"{layer.flash_bytes:,}", f"{layer.ram_bytes:,}"]
        rows.append([*row, ", ".join(layer.functions)])
    totals = ["total", "", "", *[""] * with_scale, f"{report.macs:,}"]
    if found is not None:
        totals += [f"{found.instructions:,.0f}", *_ranged(found)]
    totals += [f"{report.flash_bytes:,}", "", ""]
    note = (
        "Flash and RAM in bytes. Flash is what a layer's weights, biases and tables "
        "take; RAM is its input, its output and its scratch memory."
    )
    parts = [paragraph(note)]
    if found is not None:
        parts.append(paragraph(TIME_IS_ESTIMATED))
    shown = table(
        "Costs of one inference, layer by layer", header, rows, left_columns=3,
        totals=totals, wrapped=[len(header) - 1],
    )  # fmt: skip
    return section("Layers", "layers", *parts, shown)


def _ranged_header(found: Estimate) -> list[str]:
    if found.seconds is None:
        return ["cycles"]
    return ["time [ms]", *["energy [mJ]"] * (found.joules is not None)]


def _ranged(each: Estimate | LayerEstimate) -> list[str]:
    if each.seconds is None:
        return [each.cycles.text("")]
    values = [each.seconds, *([each.joules] if each.joules else [])]
    return [_thousandths(value) for value in values]


def _thousandths(value: Range) -> str:
    low, likely, high = (
        significant(1e3 * x) for x in (value.low, value.likely, value.high)
    )
    return likely if low == high else f"{likely} ({low} to {high})"


def _charts(report: Report) -> list[Element]:
    """Time, energy and flash by layer."""
    found, charts = report.estimate, []
    flash = [(layer.name, layer.flash_bytes) for layer in report.layers]
    if found is not None:
        seconds = [layer.seconds for layer in found.layers]
        joules = [layer.joules for layer in found.layers]
        if found.seconds is not None:
            charts.append(_chart("Time", "s", found, seconds))
        else:
            cycles = [layer.cycles for layer in found.layers]
            charts.append(_chart("Cycles", "", found, cycles))
        if found.joules is not None:
            charts.append(_chart("Energy", "J", found, joules))
        flash.append(("code", found.memory.code_bytes))
    rows = [
        Bar(name, f"{size:,}", size, size, size) for name, size in flash if size > 0
    ]
    title = "tables by layer, and code" if found else "tables by layer"
    return [*charts, bars(f"Flash [bytes]: {title}", rows)]


def _chart(
    name: str, unit: str, found: Estimate, values: Sequence[Range | None]
) -> Element:
    rows = []
    for layer, value in zip(found.layers, values, strict=True):
        if value is not None and value.high > 0:
            text = value.text(unit).partition(" (")[0]
            rows.append(Bar(layer.name, text, value.low, value.likely, value.high))
    return bars(f"{name} by layer, estimated", rows)


def _memory(report: Report) -> Element:
    parts = [
        paragraph(
            f"Arena: {arena_text(report.arena_bytes, report.lower_bound_bytes)}. The "
            "network's input and output are the caller's memory and not in it."
        )
    ]
    if report.arena:
        caption = (
            "From left to right the layers as they run, upwards the bytes of the "
            "arena. Blue: outputs of layers; orange: scratch memory; violet: copies "
            "of inputs. Shaded: where most is in use. Dashed: no layout takes less."
        )
        parts.append(figure(arena_picture(report), caption, scrolls=True))
        parts += [_peak(report, step) for step in report.peak_steps[:3]]
    return section("Memory while it runs", "memory", *parts)


def _peak(report: Report, step: int) -> Element:
    """What lies in the arena while one layer runs."""
    pieces = report.arena_during(step)
    rows = [
        [
            piece.layer,
            KINDS[piece.kind],
            f"{report.layers[piece.first - 1].name} to "
            f"{report.layers[piece.last - 1].name}"
            if piece.first != piece.last
            else report.layers[piece.first - 1].name,
            f"{piece.size:,}",
        ]
        for piece in pieces
    ]
    name = report.layers[step - 1].name
    total = ["all", "", "", f"{sum(piece.size for piece in pieces):,}"]
    return table(
        f"In use while layer {step} ({name}) runs, which is the peak",
        ["memory of", "what", "in use during", "bytes"],
        rows,
        left_columns=3,
        totals=total,
    )


def _training(report: Report) -> Element:
    """Curves and confusions."""
    parts = []
    if report.history is not None:
        epochs = report.history.epochs
        drawn = training_curves(epochs)
        parts.append(element("div", {"class": "many charts"}, *drawn))
        parts += [
            paragraph(f"Epoch {e.epoch}: {e.note}", kind="soft")
            for e in epochs
            if e.note
        ]
    if report.trained is not None and report.trained.confusion:
        parts.append(_confusion(report.trained))
    return section("Training and score", "training", *parts)


def _confusion(trained: TrainedReport) -> Element:
    """The matrix of few classes, of many those that are confused most."""
    classes, matrix = trained.classes, trained.confusion
    of = f"{trained.images:,} images of {trained.data}, int8"
    if len(classes) <= MOST_CLASSES:
        rows = [
            [name, *(f"{n:,}" for n in row), f"{_recall(row, i):.1f} %"]
            for i, (name, row) in enumerate(zip(classes, matrix, strict=True))
        ]
        made = table(
            f"Rows: the classes of {of}. Columns: what the images were taken for",
            ["", *classes, "right"],
            rows,
        )
        _shade(made, matrix)
        return made
    rows = [
        [each.name, each.taken_for, f"{each.images:,}"]
        for each in confusions_of(classes, matrix)[:MOST_CLASSES]
    ]
    return table(
        f"Classes that are confused most, {of}",
        ["class", "taken for", "images"],
        rows,
        left_columns=2,
    )


def _recall(row: Sequence[int], right: int) -> float:
    """How many of a class were recognized [%]."""
    return 100 * row[right] / max(sum(row), 1)


def _shade(made: Element, matrix: Sequence[Sequence[int]]) -> None:
    """Color the cells of a confusion matrix by their share of the row."""
    for i, (row, counts) in enumerate(zip(made.iter("tr"), [(), *matrix], strict=True)):
        for k, (cell, n) in enumerate(zip(row[1:-1], counts, strict=False)):
            if n:
                part = 100 * n / sum(counts)
                color = "--one" if k == i - 1 else "--two"
                share = (
                    f"color-mix(in srgb, var({color}) {0.45 * part:.0f}%, transparent)"
                )
                cell.set("style", f"background:{share}")


def _values(trained: TrainedReport) -> Element:
    """Histograms of weights and outputs of each layer."""
    drawn = []
    for layer in trained.layers:
        if layer.weights:
            below = (
                f"{layer.weight_low} to {layer.weight_high}, "
                f"{_share(layer.weights_clamped)} at the ends"
            )
            title = f"{layer.name} weights"
            drawn.append(histogram(title, below, layer.weights, "--three"))
        below = f"{layer.low} to {layer.high}, {_share(layer.clamped)} clamped"
        drawn.append(histogram(f"{layer.name} outputs", below, layer.activations))
    note = (
        f"The int8 values of weights, and of outputs for {trained.sample:,} images. "
        "Clamped are outputs at -128 or 127 that are not the zero point: their range "
        "may be too small for them. Heights are square roots of the counts."
    )
    grid = element("div", {"class": "many"}, *drawn)
    return section("Values of each layer", "values", paragraph(note), grid)


def _share(part: float) -> str:
    return f"{100 * part:.2g} %" if part else "none"


def _verified(records: Sequence[VerificationRecord]) -> Element:
    def figure_of(value: int | None) -> str:
        return "" if value is None else f"{value:,}"

    header = [
        "when", "on", "library", "images", "bytes compared", "differing bytes",
        "instructions", "flash", "stack", "compiler", "target",
    ]  # fmt: skip
    rows = [
        [
            each.when, each.on, each.library, f"{each.images:,}", f"{each.bytes:,}",
            f"{each.differing_bytes:,}", figure_of(each.instructions),
            figure_of(each.flash_bytes), figure_of(each.stack_bytes), each.compiler,
            each.target,
        ]
        for each in records
    ]  # fmt: skip
    parts = [
        paragraph(
            "The exported C was compiled and run, and its outputs were compared with "
            "the model's, byte by byte. Instructions, flash and stack were measured "
            "there, not estimated."
        ),
        table("Verifications", header, rows, left_columns=3, wrapped=[9, 10]),
    ]
    parts += [
        paragraph(f"{each.on}: first difference: {each.first}", kind="warn")
        for each in records
        if each.first
    ]
    return section("Verification", "verification", *parts)
