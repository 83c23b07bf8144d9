"""A report as one page."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from kanji_np.cost.estimate import Estimate, LayerEstimate
from kanji_np.cost.range import Range
from kanji_np.deploy.planner import arena_text
from kanji_np.deploy.record import VerificationRecord
from kanji_np.report.cost import (
    MOST_PEAKS,
    Report,
    flash_parts,
    next_peaks,
    place_of,
    ram_parts,
    score_text,
    share_text,
    when_text,
)
from kanji_np.report.figures import (
    KINDS,
    Bar,
    arena_key,
    arena_picture,
    bars,
    histogram,
    network_graph,
)
from kanji_np.report.notebook import training_curves
from kanji_np.report.page import (
    aligned,
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
from kanji_np.report.units import Unit, unit_of
from kanji_np.types import shape_text

TIME_IS_ESTIMATED = (
    "Time and energy are estimates: instructions come from a model fitted to emulated "
    "cores, cycles for each from published measurements of boards. The likely value "
    "stands first, its range beside it."
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
        rows.append(("flash", f"{found.flash_bytes:,} bytes", flash_parts(found)))
        rows.append(("RAM", f"{found.ram_bytes:,} bytes", ram_parts(found)))
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


def _boxed(name: str, value: Range, unit: str) -> tuple[str, str, str]:
    likely, _, bounds = value.text(unit).partition(" (")
    return name, likely, f"estimated, {bounds.rstrip(')')}" if bounds else "estimated"


def _network(report: Report) -> Element:
    shares, what = _shares(report)
    drawing = network_graph(report, shares, what)
    caption = (
        f"Every layer with its operator, its output's shape and its share of the "
        f"{what}. Lines lead down from each layer to those that read it"
    )
    is_long = len(drawing) > 1
    caption += ", and from a column to the next." if is_long else "."
    graph = figure(drawing, caption, scrolls=True)
    graph.set("class", "graph long" if is_long else "graph")
    charts = element("div", {"class": "many charts"}, *_charts(report))
    beside = element("div", {"class": "beside"}, graph, charts)
    found = report.estimate
    if found is None:
        return section("Network, and where flash goes", "network", beside)
    time = "cycles" if found.seconds is None else "time"
    spent = f"{time}, energy and flash" if found.joules else f"{time} and flash"
    lead = paragraph(
        "Bars are the likely values, thin lines reach from the lowest to the highest. "
        f"Estimates for {place_of(found)}."
    )
    return section(f"Network, and where {spent} go", "network", lead, beside)


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
    layers = report.layers
    columns = {
        "layer": [*(layer.name for layer in layers), "total"],
        "operator": [*(layer.op for layer in layers), ""],
        "output": [*(shape_text(layer.output_shape) for layer in layers), ""],
    }
    left = len(columns)
    if any(layer.scale for layer in layers):
        columns["scale"] = [*(layer.scale for layer in layers), ""]
    columns["MAC"] = [f"{n:,}" for n in (*(each.macs for each in layers), report.macs)]
    columns |= _estimated(report)
    columns["flash\n[bytes]"] = [
        f"{n:,}" for n in (*(each.flash_bytes for each in layers), report.flash_bytes)
    ]
    columns["RAM\n[bytes]"] = [*(f"{layer.ram_bytes:,}" for layer in layers), ""]
    columns["library functions"] = [
        *("\n".join(layer.functions) for layer in layers), ""
    ]  # fmt: skip
    header = [*columns]
    *rows, totals = zip(*columns.values(), strict=True)
    note = (
        "Flash is what a layer's weights, biases and tables take; RAM is its input, "
        "its output and its scratch memory."
    )
    parts = [paragraph(note)]
    if report.estimate is not None:
        parts.append(paragraph(TIME_IS_ESTIMATED))
    kinds = {name: "soft" for name in header if name.startswith("range of")}
    kinds |= {"operator": "screen", "library functions": "left"}
    shown = table(
        "Costs of one inference, layer by layer", header, rows, left_columns=left,
        totals=totals, kinds=kinds,
    )  # fmt: skip
    return section("Costs of each layer", "layers", *parts, shown)


def _estimated(report: Report) -> dict[str, list[str]]:
    """The columns of what is estimated, the sums in the last row."""
    found = report.estimate
    if found is None:
        return {}
    every: list[Estimate | LayerEstimate] = [*found.layers, found]
    columns = {"instructions": [f"{each.instructions:,.0f}" for each in every]}
    costs: dict[str, tuple[list[Range | None], Unit]]
    if found.seconds is None:
        costs = {"cycles": ([each.cycles for each in every], Unit("", 1.0))}
    else:
        seconds = [each.seconds for each in every]
        costs = {"time": (seconds, unit_of([found.seconds], "s"))}
        if found.joules is not None:
            joules = [each.joules for each in every]
            costs["energy"] = (joules, unit_of([found.joules], "J"))
    for name, (values, unit) in costs.items():
        of = f"\n[{unit.name}]" if unit.name else ""
        columns[f"{name}{of}"] = aligned([unit.likely(value) for value in values])
        columns[f"range of\n{name}"] = [unit.bounds(value) for value in values]
    return columns


def _charts(report: Report) -> list[Element]:
    """Time, energy and flash by layer."""
    found, charts = report.estimate, []
    flash = [(layer.name, layer.flash_bytes) for layer in report.layers]
    if found is not None:
        if found.seconds is not None:
            seconds = [layer.seconds for layer in found.layers]
            charts.append(_chart("Time", unit_of([found.seconds], "s"), found, seconds))
        else:
            cycles = [layer.cycles for layer in found.layers]
            charts.append(_chart("Cycles", Unit("", 1.0), found, cycles))
        if found.joules is not None:
            joules = [layer.joules for layer in found.layers]
            charts.append(_chart("Energy", unit_of([found.joules], "J"), found, joules))
        flash.append(("code", found.memory.code_bytes))
    rows = [
        Bar(name, f"{size:,}", size, size, size) for name, size in flash if size > 0
    ]
    title = "tables by layer, and code" if found else "tables by layer"
    return [*charts, bars(f"Flash [bytes]: {title}", rows)]


def _chart(
    name: str, unit: Unit, found: Estimate, values: Sequence[Range | None]
) -> Element:
    rows = [
        Bar(layer.name, unit.likely(value), value.low, value.likely, value.high)
        for layer, value in zip(found.layers, values, strict=True)
        if value is not None and value.high > 0
    ]
    of = f" [{unit.name}]" if unit.name else ""
    return bars(f"{name}{of} by layer, estimated", rows)


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
            "arena. Each rectangle is memory, as wide as the layers that need it."
        )
        key = arena_key(report)
        parts.append(figure(arena_picture(report), caption, key=key, scrolls=True))
        parts += [_peak(report, step) for step in report.peak_steps[:MOST_PEAKS]]
        after = next_peaks(report)
        if after:
            parts.append(paragraph(f"Largest after the peak: {after}."))
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
    total = ["total", "", "", f"{sum(piece.size for piece in pieces):,}"]
    return table(
        f"The peak: in use while layer {step} ({name}) runs",
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
    """Histograms of outputs and weights of each layer."""
    outputs = [
        histogram(
            each.name,
            f"{each.low} to {each.high}, {share_text(each.clamped)} clamped",
            each.activations,
        )
        for each in trained.layers
    ]
    weights = [
        histogram(
            each.name,
            f"{each.weight_low} to {each.weight_high}, "
            f"{share_text(each.weights_clamped)} at the ends",
            each.weights,
            "--three",
        )
        for each in trained.layers
        if each.weights
    ]
    note = (
        f"How often each int8 value occurs, in outputs for {trained.sample:,} images "
        "and in weights. Heights are square roots of the counts. Clamped are outputs "
        "at -128 or 127 that are not the zero point: their range may be too small for "
        "them."
    )
    parts = [paragraph(note)]
    for name, drawn in (("Outputs", outputs), ("Weights", weights)):
        if drawn:
            parts.append(element("h3", {}, f"{name} of each layer"))
            parts.append(element("div", {"class": "many"}, *drawn))
    return section("Values of each layer", "values", *parts)


def _verified(records: Sequence[VerificationRecord]) -> Element:
    def figure_of(value: int | None) -> str:
        return "" if value is None else f"{value:,}"

    header = [
        "when", "on", "library", "images", "bytes\ncompared", "differing\nbytes",
        "instructions", "flash\n[bytes]", "stack\n[bytes]", "compiler", "target",
    ]  # fmt: skip
    rows = [
        [
            when_text(each),
            each.on,
            each.library,
            f"{each.images:,}",
            f"{each.bytes:,}",
            f"{each.differing_bytes:,}",
            figure_of(each.instructions),
            figure_of(each.flash_bytes),
            figure_of(each.stack_bytes),
            each.compiler,
            each.target,
        ]
        for each in records
    ]
    parts = [
        paragraph(
            "The exported C was compiled and run, and its outputs were compared with "
            "the model's, byte by byte. Instructions, flash and stack were measured "
            "there, not estimated."
        ),
        table(
            "The latest run of each place and library",
            header,
            rows,
            left_columns=3,
            kinds={"compiler": "left", "target": "left"},
        ),
    ]
    parts += [
        paragraph(f"{each.on}: first difference: {each.first}", kind="warn")
        for each in records
        if each.first
    ]
    return section("Verification", "verification", *parts)
