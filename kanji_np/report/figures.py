"""Drawings of a network, its arena, curves and histograms, as SVG; bars as HTML.

Everything is placed by arithmetic on the figures alone, so that the same report always
has the same drawings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from kanji_np.report.cost import ArenaPiece, LayerReport, Report
from kanji_np.report.page import aligned, element, key, svg
from kanji_np.types import shape_text

# Of a node of the graph, and between nodes [pixels].
NODE_WIDTH, NODE_HEIGHT, GAP_X, GAP_Y = 214.0, 44.0, 14.0, 18.0
#: Of a graph that is drawn whole, and of the parts of a longer one.
MOST_ROWS, BAND_ROWS = 16, 11
LANE = 9.0  # between lines that pass by nodes
CHARACTER = 6.6  # how wide one of 12 pixels is at most, on the average
# Of the picture of the arena.
LEFT_AXIS, ARENA_HEIGHT, ARENA_WIDTH = 74.0, 340.0, 1080.0
NARROWEST, WIDEST = 17.0, 96.0
COLORS = {"output": "--one", "scratch": "--two", "copy": "--three"}
#: Of the outlines, for those who cannot tell the colors apart.
DASHES = {"copy": "3 2"}
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
    place: dict[str, str | float] = {"x": x, "y": y}
    if color != "--ink":
        place["fill"] = var(color)
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
    """The network from its input down to its last layer, a long one in several columns.

    `shares` are the parts, 0..1, that the layers have of `what`.
    """
    at = places(report.layers)
    wires = [
        (source, number)
        for number, layer in enumerate(report.layers, 1)
        for source in dict.fromkeys(layer.inputs)
    ]
    nodes = [_node("input", shape_text(report.input_shape), "", "input", 0.0)]
    for layer, share in zip(report.layers, shares, strict=True):
        part = f"{100 * share:.1f} %" if share else ""
        title = (
            f"{layer.name}: {layer.op}, {shape_text(layer.output_shape)}"
            + (f", {part} of the {what}" if part else "")
        )  # fmt: skip
        below = f"{layer.op}  {shape_text(layer.output_shape)}"
        nodes.append(_node(layer.name, below, part, title, share))
    starts = bands(at, wires)
    drawn = [
        _band(report.network, at, wires, nodes, start, end)
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]
    return element("div", {"class": "bands"}, *drawn)


def bands(at: Sequence[Place], wires: Sequence[tuple[int, int]]) -> list[int]:
    """The rows with which the parts of a graph begin, the first of them 0.

    A graph of more than MOST_ROWS is parted where a single connection leads on, into
    parts of about equal size; one that has no such places in reach stays whole.
    """
    rows = 1 + max(place.row for place in at)
    if rows <= MOST_ROWS:
        return [0]
    size = math.ceil(rows / math.ceil(rows / BAND_ROWS))
    starts = [0]
    while rows - starts[-1] > size:
        ends = range(starts[-1] + size, starts[-1] + size // 2, -1)
        single = [
            row
            for row in ends
            if sum(at[a].row < row <= at[b].row for a, b in wires) == 1
        ]
        if not single:
            break
        starts.append(single[0])
    return starts


def _band(
    network: str,
    at: Sequence[Place],
    wires: Sequence[tuple[int, int]],
    nodes: Sequence[Element],
    start: int,
    end: int | None,
) -> Element:
    """The rows of a graph from `start` to before `end`."""
    shown = [
        i for i, p in enumerate(at) if p.row >= start and (end is None or p.row < end)
    ]
    here = {i: Place(at[i].row - start, at[i].column) for i in shown}
    inner = [(a, b) for a, b in wires if a in here and b in here]
    columns = 1 + max(place.column for place in here.values())
    rows = 1 + max(place.row for place in here.values())
    lanes = _lanes([wire for wire in inner if _is_blocked(wire, here)], here)
    width = columns * (NODE_WIDTH + GAP_X)
    width += LANE * (1 + max(lanes.values(), default=-1))
    lines = [_wire(here, a, b, lanes.get((a, b))) for a, b in inner]
    for a, b in wires:  # to and from other parts
        if (a in here) is not (b in here):
            x, y = _corner(here[a if a in here else b])
            y += NODE_HEIGHT if a in here else -GAP_Y / 2
            path = f"M{x + NODE_WIDTH / 2:g} {y:g} v{GAP_Y / 2:g}"
            lines.append(element("path", {"d": path}))
    drawn = [
        element("g", {"fill": "none", "stroke": var("--soft"), "stroke-width": "1.5"},
            *lines)
    ]  # fmt: skip
    for i, place in here.items():
        x, y = _corner(place)
        nodes[i].set("transform", f"translate({x:g} {y:g})")
        drawn.append(nodes[i])
    height = rows * (NODE_HEIGHT + GAP_Y)
    text = f"the network {network} as a graph, {len(shown)} of {len(at)} boxes"
    return svg(width, height, text, *drawn)


def _corner(place: Place) -> tuple[float, float]:
    return (
        1 + place.column * (NODE_WIDTH + GAP_X),
        GAP_Y / 2 + place.row * (NODE_HEIGHT + GAP_Y),
    )


def _is_blocked(wire: tuple[int, int], at: Mapping[int, Place]) -> bool:
    """Whether nodes stand between the two ends of a connection."""
    a, b = at[wire[0]], at[wire[1]]
    columns = {a.column, b.column}
    return any(a.row < p.row < b.row and p.column in columns for p in at.values())


def _lanes(
    wires: Sequence[tuple[int, int]], at: Mapping[int, Place]
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


def _wire(at: Mapping[int, Place], a: int, b: int, lane: int | None) -> Element:
    (ax, ay), (bx, by) = _corner(at[a]), _corner(at[b])
    if lane is not None:
        beside = [p.column for p in at.values() if at[a].row <= p.row <= at[b].row]
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


def _node(name: str, below: str, part: str, title: str, share: float) -> Element:
    frame = element(
        "rect",
        {
            "width": NODE_WIDTH, "height": NODE_HEIGHT, "rx": "5",
            "fill": var("--panel"), "stroke": var("--line"),
        },
    )  # fmt: skip
    room = NODE_WIDTH - 16
    name = shortened(name, room - CHARACTER * (len(part) + 1))
    shown = element("text", {"x": 8, "y": 17, "font-weight": "600"}, name)
    parts = [element("title", {}, title), frame, shown]
    parts.append(label(8, 33, shortened(below, room), color="--soft"))
    if part:
        parts.append(label(NODE_WIDTH - 8, 17, part, "end"))
        parts.append(box(1, NODE_HEIGHT - 4, room * share + 1, 3, "--one"))
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
        drawn.append(
            label(LEFT_AXIS - 6, y_of(size) + 4, f"{size:,g}", "end", "--soft")
        )
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
        }
        is_peak = step in report.peak_steps
        place |= {"font-weight": "700"} if is_peak else {"fill": var("--soft")}
        drawn.append(element("text", place, shortened(name, 22 * CHARACTER)))
    drawn.append(label(4, 14, "bytes", color="--soft"))
    if report.peak_steps:
        middle = x_of(report.peak_steps[0]) + cell / 2
        in_use = report.arena_in_use[report.peak_steps[0] - 1]
        says = f"peak: {names[report.peak_steps[0] - 1]}, {in_use:,} bytes"
        anchor = "end" if middle > (LEFT_AXIS + right) / 2 else "start"
        drawn.append(label(middle, 14, says, anchor))
    text = (
        f"the arena of {report.arena_bytes:,} bytes while each of {steps} layers runs"
    )
    return svg(right + 8, bottom + below, text, *drawn)


def _piece(
    piece: ArenaPiece, x: float, y: float, width: float, height: float
) -> Element:
    during = (
        f"layer {piece.first}"
        if piece.first == piece.last
        else f"layers {piece.first} to {piece.last}"
    )
    title = (
        f"{piece.layer}: {KINDS[piece.kind]}, {piece.size:,} bytes at "
        f"{piece.offset:,}, {during}"
    )
    rectangle = _patch(piece.kind, x + 1, y, width - 2, max(height, 1.0))
    parts = [element("title", {}, title), rectangle]
    what = piece.layer if piece.kind == "output" else f"{piece.layer} {piece.kind}"
    size = f"{piece.size:,}"
    ways = [
        (lines, is_upright)
        for lines in ([what, size], [f"{what} {size}"], [size])
        for is_upright in (False, True)
    ]
    for lines, is_upright in ways:
        along, across = (height, width) if is_upright else (width, height)
        longest = max(CHARACTER * len(text) for text in lines)
        if longest + 8 <= along and 14 * len(lines) + 1 <= across:
            for i, text in enumerate(lines):
                parts.append(_written(text, x, y, height, 12 + 14 * i, is_upright))
            break
    return element("g", {"class": "piece"}, *parts)


def _patch(kind: str, x: float, y: float, width: float, height: float) -> Element:
    """A rectangle in the color of its kind."""
    place: dict[str, str | float] = {
        "x": x, "y": y, "width": width, "height": height, "fill": var(COLORS[kind]),
        "fill-opacity": "0.28", "stroke": var(COLORS[kind]),
    }  # fmt: skip
    dashes = {"stroke-dasharray": DASHES[kind]} if kind in DASHES else {}
    return element("rect", {**place, **dashes})


def _written(
    text: str, x: float, y: float, height: float, down: float, is_upright: bool
) -> Element:
    """A line of text in a rectangle, `down` from its upper or its left edge."""
    if not is_upright:
        return label(x + 5, y + down, text)
    turned = f"translate({x + down + 1:.1f} {y + height - 4:.1f}) rotate(-90)"
    return element("text", {"transform": turned}, text)


def arena_key(report: Report) -> Element:
    """What the marks of the picture of the arena mean; only those it has."""
    kinds = {piece.kind for piece in report.arena}
    marks = [
        (_patch(kind, 0.5, 0.5, 11, 11), word)
        for kind, word in KINDS.items()
        if kind in kinds
    ]
    marks.append((box(0, 0, 12, 12, "--pale"), "the peak: most is in use"))
    bound = line(0, 6, 12, 6, "--warn", "4 3")
    return key([*marks, (bound, "no layout takes less")])


def ticks(most: float, count: int = 5) -> list[float]:
    """Round numbers from 0 to the most, about so many."""
    power = 10.0 ** math.floor(math.log10(most / count))
    step = next(power * k for k in (1, 2, 5, 10) if power * k * count >= most)
    return [round(step * i, 12) for i in range(math.floor(most / step) + 1)]


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
    for row, text in zip(rows, aligned([row.text for row in rows]), strict=True):
        marks = [_span("bar", 0, row.value / most)]
        if row.low < row.high:
            marks.append(_span("range", row.low / most, row.high / most))
        track = element("td", {"class": "track"}, element("div", {}, *marks))
        name = element("th", {"class": "left", "scope": "row"}, row.name)
        shown.append(element("tr", {}, name, track, element("td", {}, text)))
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

    drawn = [element("text", {"x": "0", "y": "13",
        "font-weight": "600"}, title)]  # fmt: skip
    for mark in ticks(most, 4):
        y = y_of(mark)
        drawn.append(line(left, y, width, y))
        drawn.append(label(left - 5, y + 4, f"{mark:g}", "end", "--soft"))
    drawn.append(label(left, height - 6, "epoch 1", color="--soft"))
    drawn.append(label(width, height - 6, str(count), "end", "--soft"))
    for (name, values), color, dash in zip(
        lines, ("--one", "--two"), ("none", "6 3"), strict=False
    ):
        points = [(x_of(i), y_of(v)) for i, v in enumerate(values) if math.isfinite(v)]
        if not points:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        drawn.append(
            element("polyline", {"points": path, "fill": "none",
                "stroke": var(color), "stroke-width": "2", "stroke-dasharray": dash})
        )  # fmt: skip
        x, y = points[-1]
        drawn.append(
            element("circle", {"cx": x, "cy": y, "r": "3", "fill": var(color)})
        )
        place = left if color == "--one" else left + (width - left) / 2
        last = next(v for v in reversed(values) if math.isfinite(v))
        drawn.append(label(place, 30, f"{name} {last:.2f}", color=color))
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
    drawn = [element("text", {"x": "0", "y": "12", "font-weight": "600"},
        shortened(title, width))]  # fmt: skip
    path = [f"M0 {floor:g}"]
    for count in counts:
        tall = max((floor - head) * math.sqrt(count / most), 1.0 if count else 0.0)
        path.append(f"V{floor - tall:.4g}h{step:g}")
    outline = f"{''.join(path)}V{floor:g}z"
    drawn.append(element("path", {"d": outline, "fill": var(color)}))
    drawn.append(line(0, floor, width, floor, "--soft"))
    drawn.append(label(0, floor + 12, "-128", color="--soft"))
    drawn.append(label(width / 2, floor + 12, "0", "middle", "--soft"))
    drawn.append(label(width, floor + 12, "127", "end", "--soft"))
    drawn.append(label(0, floor + 26, shortened(below, width), color="--soft"))
    return svg(width, height, f"histogram of {title}: {below}", *drawn)
