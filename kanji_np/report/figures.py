"""Drawings of a network, its arena, curves and histograms, as SVG; bars as HTML.

Everything is placed by arithmetic on the figures alone, so that the same report always
has the same drawings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from kanji_np.report.cost import ArenaPiece, LayerReport, Report
from kanji_np.report.page import element, svg
from kanji_np.types import shape_text

# Of a node of the graph, and between nodes [pixels].
NODE_WIDTH, NODE_HEIGHT, GAP_X, GAP_Y = 214.0, 44.0, 14.0, 18.0
LANE = 9.0  # between lines that pass by nodes
CHARACTER = 6.6  # how wide one of 12 pixels is at most, on the average
# Of the picture of the arena.
LEFT_AXIS, ARENA_HEIGHT, ARENA_WIDTH = 74.0, 340.0, 1000.0
NARROWEST, WIDEST = 17.0, 96.0
COLORS = {"output": "--one", "scratch": "--two", "copy": "--three"}
KINDS = {
    "output": "output of a layer",
    "scratch": "scratch memory",
    "copy": "copy of an input",
}


def var(color: str) -> str:
    """A color of the page."""
    return f"var({color})"


def label(
    x: float, y: float, text: str, anchor: str = "start", color: str = "--ink"
) -> Element:
    """Text in a drawing; `anchor` is the end of it that stands at x."""
    place: dict[str, str | float] = {"x": x, "y": y, "fill": var(color)}
    if anchor != "start":
        place["text-anchor"] = anchor
    return element("text", place, text)


def line(
    x1: float, y1: float, x2: float, y2: float, color: str = "--line", dash: str = ""
) -> Element:
    """A straight line."""
    place: dict[str, str | float] = {
        "x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": var(color)
    }  # fmt: skip
    return element("line", place | ({"stroke-dasharray": dash} if dash else {}))


def box(
    x: float, y: float, width: float, height: float, color: str, opacity: str = "1"
) -> Element:
    """A filled rectangle."""
    return element(
        "rect",
        {
            "x": x, "y": y, "width": width, "height": height, "fill": var(color),
            "fill-opacity": opacity,
        },
    )  # fmt: skip


def shortened(text: str, width: float) -> str:
    """Text that fits into so many pixels."""
    room = int(width / CHARACTER)
    return text if len(text) <= room else f"{text[: max(room - 1, 1)]}…"


@dataclass(frozen=True)
class Place:
    """Where a node of the graph stands: row and column, from 0."""

    row: int
    column: int


def places(layers: Sequence[LayerReport]) -> list[Place]:
    """Where the input and every layer stand, by what they read.

    A row below all that a layer reads, in the column of its first input if that is
    free, else in the first free one.
    """
    found = [Place(0, 0)]
    taken = {(0, 0)}
    for layer in layers:
        row = 1 + max(found[i].row for i in layer.inputs)
        column = found[layer.inputs[0]].column
        if (row, column) in taken:
            column = next(c for c in range(len(layers)) if (row, c) not in taken)
        taken.add((row, column))
        found.append(Place(row, column))
    return found


def network_graph(report: Report, shares: Sequence[float], what: str) -> Element:
    """The network from its input down to its last layer.

    `shares` are the parts, 0..1, that the layers have of `what`.
    """
    at = places(report.layers)
    columns = 1 + max(place.column for place in at)
    rows = 1 + max(place.row for place in at)
    wires = [
        (source, number)
        for number, layer in enumerate(report.layers, 1)
        for source in dict.fromkeys(layer.inputs)
    ]
    lanes = _lanes([wire for wire in wires if _is_blocked(wire, at)], at)
    width = columns * (NODE_WIDTH + GAP_X)
    width += LANE * (1 + max(lanes.values(), default=-1))
    drawn = [
        element("g", {"fill": "none", "stroke": var("--soft"), "stroke-width": "1.5"},
            *(_wire(at, a, b, lanes.get((a, b))) for a, b in wires))
    ]  # fmt: skip
    drawn.append(
        _node(at[0], "input", shape_text(report.input_shape), "", "input", 0.0)
    )
    for place, layer, share in zip(at[1:], report.layers, shares, strict=True):
        part = f"{100 * share:.1f} %" if share else ""
        title = (
            f"{layer.name}: {layer.op}, {shape_text(layer.output_shape)}"
            + (f", {part} of the {what}" if part else "")
        )  # fmt: skip
        below = f"{layer.op}  {shape_text(layer.output_shape)}"
        drawn.append(_node(place, layer.name, below, part, title, share))
    height = rows * (NODE_HEIGHT + GAP_Y) - GAP_Y + 2
    text = f"the network {report.network} as a graph of {len(report.layers)} layers"
    return svg(width, height, text, *drawn)


def _corner(place: Place) -> tuple[float, float]:
    return (
        1 + place.column * (NODE_WIDTH + GAP_X),
        1 + place.row * (NODE_HEIGHT + GAP_Y),
    )


def _is_blocked(wire: tuple[int, int], at: Sequence[Place]) -> bool:
    """Whether nodes stand between the two ends of a connection."""
    a, b = at[wire[0]], at[wire[1]]
    columns = {a.column, b.column}
    return any(a.row < p.row < b.row and p.column in columns for p in at)


def _lanes(
    wires: Sequence[tuple[int, int]], at: Sequence[Place]
) -> dict[tuple[int, int], int]:
    """Lanes beside all nodes, so that connections in one lane do not meet."""
    lanes: dict[tuple[int, int], int] = {}
    ends: list[int] = []  # the row where the last connection of each lane ends
    for a, b in sorted(wires, key=lambda wire: (at[wire[0]].row, at[wire[1]].row)):
        free = [i for i, end in enumerate(ends) if end <= at[a].row]
        lane = free[0] if free else len(ends)
        ends[lane : lane + 1] = [at[b].row]
        lanes[a, b] = lane
    return lanes


def _wire(at: Sequence[Place], a: int, b: int, lane: int | None) -> Element:
    (ax, ay), (bx, by) = _corner(at[a]), _corner(at[b])
    if lane is not None:
        beside = [p.column for p in at if at[a].row <= p.row <= at[b].row]
        x = (1 + max(beside)) * (NODE_WIDTH + GAP_X) + lane * LANE
        ax, bx = ax + NODE_WIDTH, bx + NODE_WIDTH
        ay, by = ay + 0.7 * NODE_HEIGHT, by + 0.3 * NODE_HEIGHT
        path = (
            f"M{ax:g} {ay:g} H{x - 5:g} Q{x:g} {ay:g} {x:g} {ay + 5:g} "
            f"V{by - 5:g} Q{x:g} {by:g} {x - 5:g} {by:g} H{bx:g}"
        )
    else:
        ax, bx = ax + NODE_WIDTH / 2, bx + NODE_WIDTH / 2
        ay += NODE_HEIGHT
        bend = GAP_Y
        path = (
            f"M{ax:g} {ay:g} C{ax:g} {ay + bend:g} {bx:g} {by - bend:g} {bx:g} {by:g}"
        )
    return element("path", {"d": path})


def _node(
    place: Place, name: str, below: str, part: str, title: str, share: float
) -> Element:
    x, y = _corner(place)
    frame = element(
        "rect",
        {
            "x": x, "y": y, "width": NODE_WIDTH, "height": NODE_HEIGHT, "rx": "5",
            "fill": var("--panel"), "stroke": var("--line"),
        },
    )  # fmt: skip
    room = NODE_WIDTH - 16
    name = shortened(name, room - CHARACTER * (len(part) + 1))
    shown = element(
        "text",
        {"x": x + 8, "y": y + 17, "fill": var("--ink"), "font-weight": "600"},
        name,
    )
    parts = [element("title", {}, title), frame, shown]
    parts.append(label(x + 8, y + 33, shortened(below, room), color="--soft"))
    if part:
        parts.append(label(x + NODE_WIDTH - 8, y + 17, part, "end"))
        parts.append(box(x + 1, y + NODE_HEIGHT - 4, room * share + 1, 3, "--one"))
    return element("g", {"class": "node"}, *parts)


def arena_picture(report: Report) -> Element:
    """What lies in the arena while each layer runs."""
    steps = len(report.layers)
    cell = min(max(ARENA_WIDTH / steps, NARROWEST), WIDEST)
    names = [layer.name for layer in report.layers]
    below = 14 + CHARACTER * min(max(map(len, names)), 22)
    top, bottom = 26.0, 26.0 + ARENA_HEIGHT
    right = LEFT_AXIS + cell * steps
    most = max(report.arena_bytes, 1)

    def x_of(step: float) -> float:
        return LEFT_AXIS + cell * (step - 1)

    def y_of(size: float) -> float:
        return bottom - ARENA_HEIGHT * size / most

    drawn = [
        box(x_of(step), top, cell, ARENA_HEIGHT, "--pale", "0.55")
        for step in report.peak_steps
    ]
    for size in ticks(most):
        drawn.append(line(LEFT_AXIS, y_of(size), right, y_of(size)))
        drawn.append(label(LEFT_AXIS - 6, y_of(size) + 4, f"{size:,}", "end", "--soft"))
    for piece in report.arena:
        x, y = x_of(piece.first), y_of(piece.offset + piece.size)
        width = cell * (piece.last - piece.first + 1)
        drawn.append(_piece(piece, x, y, width, ARENA_HEIGHT * piece.size / most))
    bound = y_of(report.lower_bound_bytes)
    drawn.append(line(LEFT_AXIS, bound, right, bound, "--warn", "6 4"))
    drawn.append(line(LEFT_AXIS, bottom, right, bottom, "--soft"))
    for step, name in enumerate(names, 1):
        x, y = x_of(step) + cell / 2 + 4, bottom + 8
        place: dict[str, str | float] = {
            "transform": f"translate({x:.1f} {y:.1f}) rotate(-90)",
            "text-anchor": "end",
            "fill": var("--ink" if step in report.peak_steps else "--soft"),
        }
        if step in report.peak_steps:
            place["font-weight"] = "700"
        drawn.append(element("text", place, shortened(name, 22 * CHARACTER)))
    drawn.append(label(4, 14, "bytes", color="--soft"))
    if report.peak_steps:
        middle = x_of(report.peak_steps[0]) + cell / 2
        in_use = report.arena_in_use[report.peak_steps[0] - 1]
        says = f"peak: {names[report.peak_steps[0] - 1]}, {in_use:,}"
        anchor = "end" if middle > (LEFT_AXIS + right) / 2 else "start"
        drawn.append(label(middle, 14, says, anchor))
    text = (
        f"the arena of {report.arena_bytes:,} bytes while each of {steps} layers runs"
    )
    return svg(right + 8, bottom + below, text, *drawn)


def _piece(
    piece: ArenaPiece, x: float, y: float, width: float, height: float
) -> Element:
    color = COLORS[piece.kind]
    during = (
        f"layer {piece.first}"
        if piece.first == piece.last
        else f"layers {piece.first} to {piece.last}"
    )
    title = (
        f"{piece.layer}: {KINDS[piece.kind]}, {piece.size:,} bytes at "
        f"{piece.offset:,}, {during}"
    )
    rectangle = element(
        "rect",
        {
            "x": x + 1, "y": y, "width": width - 2, "height": max(height, 1.0),
            "fill": var(color), "fill-opacity": "0.28", "stroke": var(color),
        },
    )  # fmt: skip
    parts = [element("title", {}, title), rectangle]
    what = piece.layer if piece.kind == "output" else f"{piece.layer} {piece.kind}"
    lines = [what, f"{piece.size:,}"]
    if height >= 32 and width >= 40:
        parts += [
            label(x + 5, y + 14 + 14 * i, shortened(text, width - 8))
            for i, text in enumerate(lines)
        ]
    elif height >= 15 and width >= 40:
        parts.append(label(x + 5, y + 12, shortened(" ".join(lines), width - 8)))
    elif width < 40 <= height:  # upwards, in a narrow column
        place: dict[str, str | float] = {
            "transform": (
                f"translate({x + width / 2 + 4:.1f} {y + height - 5:.1f}) rotate(-90)"
            ),
            "fill": var("--ink"),
        }
        shown = shortened(" ".join(lines), height - 8)
        parts.append(element("text", place, shown))
    return element("g", {"class": "piece"}, *parts)


def ticks(most: float, count: int = 5) -> list[int]:
    """Round numbers from 0 to the most, about so many."""
    step = 10 ** math.floor(math.log10(max(most / count, 1)))
    step = next(step * k for k in (1, 2, 5, 10) if step * k * count >= most)
    return list(range(0, int(most) + 1, int(step)))


@dataclass(frozen=True)
class Bar:
    """A bar with its name and text; `low` and `high` bound the value."""

    name: str
    text: str
    low: float
    value: float
    high: float


def bars(caption: str, rows: Sequence[Bar]) -> Element:
    """Bars under each other; a thin line reaches from the low to the high bound."""
    most = max((row.high for row in rows), default=0.0) or 1.0
    shown: list[Element] = []
    for row in rows:
        marks = [_span("bar", 0, row.value / most)]
        if row.low < row.high:
            marks.append(_span("range", row.low / most, row.high / most))
        track = element("td", {"class": "track"}, element("div", {}, *marks))
        name = element("th", {"class": "left", "scope": "row"}, row.name)
        shown.append(element("tr", {}, name, track, element("td", {}, row.text)))
    heading = element("caption", {}, caption)
    body = element("tbody", {}, *shown)
    return element("table", {"class": "bars"}, heading, body)


def _span(kind: str, start: float, end: float) -> Element:
    style = f"left:{100 * start:.1f}%;width:{100 * (end - start):.1f}%"
    return element("span", {"class": kind, "style": style})


def curve(
    title: str, lines: Sequence[tuple[str, Sequence[float]]], *, top: float | None
) -> Element:
    """Values by epoch, a line each; NaN draws nothing. `top` ends the axis."""
    width, height, left, head, foot = 340.0, 200.0, 44.0, 42.0, 24.0
    known = [v for _, values in lines for v in values if math.isfinite(v)]
    most = top or max(known, default=1.0) or 1.0
    count = max(len(values) for _, values in lines)
    floor = height - foot

    def x_of(i: int) -> float:
        return left + (width - left - 12) * (i / (count - 1) if count > 1 else 0.5)

    def y_of(value: float) -> float:
        return floor - (floor - head) * value / most

    drawn = [element("text", {"x": "0", "y": "13", "fill": var("--ink"),
        "font-weight": "600"}, title)]  # fmt: skip
    for part in (0.0, 0.5, 1.0):
        y = y_of(part * most)
        drawn.append(line(left, y, width, y))
        drawn.append(label(left - 5, y + 4, f"{part * most:.3g}", "end", "--soft"))
    drawn.append(label(left, height - 6, "epoch 1", color="--soft"))
    drawn.append(label(width, height - 6, str(count), "end", "--soft"))
    for (name, values), color in zip(lines, ("--one", "--two"), strict=False):
        points = [(x_of(i), y_of(v)) for i, v in enumerate(values) if math.isfinite(v)]
        if not points:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        drawn.append(
            element("polyline", {"points": path, "fill": "none",
                "stroke": var(color), "stroke-width": "2"})
        )  # fmt: skip
        x, y = points[-1]
        drawn.append(
            element("circle", {"cx": x, "cy": y, "r": "3", "fill": var(color)})
        )
        place = left if color == "--one" else left + (width - left) / 2
        last = next(v for v in reversed(values) if math.isfinite(v))
        drawn.append(label(place, 30, f"{name} {last:.4g}", color=color))
    return svg(width, height, f"{title}, {count} epochs", *drawn)


def histogram(
    title: str, below: str, counts: Sequence[int], color: str = "--one"
) -> Element:
    """Counts of int8 values from -128 to 127, in bins of equal width.

    Heights are square roots: a ReLU's many zeros leave the other values visible.
    """
    width, height, head, foot = 256.0, 104.0, 18.0, 30.0
    most, floor = max(counts, default=0) or 1, height - foot
    step = width / len(counts)
    drawn = [element("text", {"x": "0", "y": "12", "fill": var("--ink"),
        "font-weight": "600"}, shortened(title, width))]  # fmt: skip
    for i, count in enumerate(counts):
        tall = (floor - head) * math.sqrt(count / most)
        if count:
            tall = max(tall, 1.0)
            drawn.append(box(i * step, floor - tall, step - 1, tall, color))
    drawn.append(line(0, floor, width, floor, "--soft"))
    drawn.append(label(0, floor + 12, "-128", color="--soft"))
    drawn.append(label(width / 2, floor + 12, "0", "middle", "--soft"))
    drawn.append(label(width, floor + 12, "127", "end", "--soft"))
    drawn.append(label(0, floor + 26, shortened(below, width), color="--soft"))
    return svg(width, height, f"histogram of {title}: {below}", *drawn)
