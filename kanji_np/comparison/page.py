"""A comparison as one page: the table, and drawings of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from kanji_np.comparison.panels import Panel, labelled, panels, series_of
from kanji_np.comparison.rows import ComparisonRow, has_accuracy
from kanji_np.comparison.tables import (
    FRONT,
    abouts,
    columns,
    explanations,
    n_names,
    notes,
)
from kanji_np.report.page import (
    aligned,
    element,
    figure,
    key,
    page,
    paragraph,
    section,
    svg,
    table,
)

COLORS = ("--one", "--two", "--three", "--four", "--five", "--six")
#: Of points, by their board or core, around (0, 0) [pixels].
SHAPES = (
    "m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",  # circle
    "m-4 -4h8v8h-8z",  # square
    "m0 -6l5.5 6l-5.5 6l-5.5 -6z",  # diamond
    "m0 -5.5l5.5 9.5h-11z",  # triangle
    "m0 5.5l5.5 -9.5h-11z",  # on its tip
    "m-2 -5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5z",  # cross
)
#: Of fronts, so that one is seen below another.
DASHES = ("none", "8 4", "3 3", "12 3 3 3", "1 3", "8 8")
#: That are named above the page.
MOST_PLACES = 4
WIDTH, HEIGHT = 420.0, 310.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 22.0, 28.0, 46.0


def html(rows: Sequence[ComparisonRow], title: str) -> str:
    """The whole page."""
    sections = [_table(rows)]
    drawn = [panel for panel in panels(rows) if panel.points]
    if drawn:
        sections.append(_drawings(drawn, rows))
    for heading, anchor, lines in (
        ("What each network is", "networks", abouts(rows)),
        ("What does not fit or has no score, and why", "notes", notes(rows)),
    ):
        if lines:
            items = [element("li", {}, line) for line in lines]
            sections.append(section(heading, anchor, element("ul", {}, *items)))
    networks = len({row.network for row in rows})
    places = list(dict.fromkeys(row.place for row in rows if row.place))
    shown = ", ".join(places) if len(places) <= MOST_PLACES else f"{len(places)} boards"
    on = f" on {shown}" if places else ""
    count = f"{networks} network{'s' if networks != 1 else ''}"
    return page(title, [paragraph(f"{count}{on}.", kind="soft")], sections)


def _table(rows: Sequence[ComparisonRow]) -> Element:
    """What every network scores and takes."""
    made: dict[str, Sequence[str]] = {}
    for each in columns(rows):
        of = f"\n[{each.unit}]" if each.unit else ""
        made[f"{each.name}{of}"] = aligned(each.cells) if each.ranges else each.cells
        if each.ranges:
            made[f"range of\n{each.name}"] = each.ranges
    header = [*made]
    kinds = {name: "soft" for name in header if name.startswith("range of")}
    kinds[FRONT] = "left"
    is_odd = not all(row.fits for row in rows)
    shown = table(
        "Networks on a Pareto front stand out"
        + (", those that do not fit stand back." if is_odd else "."),
        header,
        [*zip(*made.values(), strict=True)],
        left_columns=n_names(rows),
        kinds=kinds,
        marked=[i for i, row in enumerate(rows) if row.front],
        faded=[i for i, row in enumerate(rows) if not row.fits],
    )
    title = "Accuracy and costs" if has_accuracy(rows) else "Costs"
    return section(title, "table", shown, *map(paragraph, explanations(rows)))


def _drawings(drawn: Sequence[Panel], rows: Sequence[ComparisonRow]) -> Element:
    series = series_of(rows)
    scored = drawn[0].has_scores
    side = "above" if scored else "below"
    odd = "" if all(row.fits for row in rows) else " What does not fit is left out."
    note = (
        f"Filled points are on the front. The stepped line is the front of the two "
        f"axes: nothing on that board is {side} it or left of it. Thin lines are the "
        f"ranges of estimates.{odd}"
    )
    marks = [(_point(6, 6, i, is_filled=True), name) for i, name in enumerate(series)]
    figures = [_drawing(panel, series) for panel in drawn]
    title = "Accuracy over each cost" if scored else "Flash over the other costs"
    beside = "panels" if len(drawn) % 3 == 0 else "panels pairs"
    shown = element("div", {"class": beside}, *figures)
    return section(title, "drawings", paragraph(note), key(marks), shown)


def _point(x: float, y: float, series: int, *, is_filled: bool) -> Element:
    """The mark of a board or core."""
    color = _color(series)
    return element(
        "path",
        {
            "d": f"M{x:.1f} {y:.1f}{SHAPES[series % len(SHAPES)]}", "stroke": color,
            "stroke-width": 1.6, "fill": color if is_filled else "var(--page)",
        },
    )  # fmt: skip


def _color(i: int) -> str:
    return f"var({COLORS[i % len(COLORS)]})"


def _drawing(panel: Panel, series: Sequence[str]) -> Element:
    """The points of a panel, with ranges and fronts."""
    x_ticks = ticks(0.0, max(p.x_high for p in panel.points))
    ys = [p.y for p in panel.points]
    y_ticks = ticks(min(ys), max(ys))

    def place_x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * _share(value, x_ticks)

    def place_y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(value, y_ticks)

    lower = HEIGHT - BOTTOM
    parts = [_axis_x(value, place_x(value)) for value in x_ticks]
    parts += [_axis_y(value, place_y(value)) for value in y_ticks]
    parts.append(_text(LEFT - 7, 14, panel.y_title, weight="600"))
    parts.append(_text(WIDTH - RIGHT, lower + 36, panel.x_title, "end", weight="600"))
    for i, name in enumerate(series):
        front = [(place_x(p.x), place_y(p.y)) for p in panel.front(name)]
        if front:
            start = lower if panel.has_scores else TOP
            steps = "".join(f"H{x:.1f}V{y:.1f}" for x, y in front)[1:].partition("V")
            path = f"M{steps[0]} {start:g}V{steps[2]}H{WIDTH - RIGHT:g}"
            style = {"stroke": _color(i), "stroke-dasharray": DASHES[i % len(DASHES)]}
            parts.append(element("path", {"d": path, "class": "front", **style}))
    for p in panel.points:
        x, y, i = place_x(p.x), place_y(p.y), series.index(p.series)
        words = f"{p.label}, {p.series}: {panel.x_title} {p.x:.4g}, "
        words += f"{panel.y_title} {p.y:.4g}"
        mark = _point(x, y, i, is_filled=p.is_on_front)
        mark.append(element("title", {}, words))
        if p.x_low < p.x_high:
            ends = {"x1": place_x(p.x_low), "x2": place_x(p.x_high), "y1": y, "y2": y}
            color = {"stroke": _color(i), "opacity": "0.55"}
            parts.append(element("line", {**ends, **color}))
        parts.append(mark)
    names = [
        (place_x(p.x), place_y(p.y), p.label)
        for p in sorted(panel.points, key=lambda p: (not p.is_on_front, p.x, p.y))
    ]
    names = [*dict.fromkeys(names)]
    dots = [(x, y) for x, y, _ in names]
    placed = labelled(names, WIDTH, left=LEFT, free_of=dots)
    parts += [_text(x, y - 7, name) for x, y, name in placed]
    title = f"{panel.y_title} over {panel.x_title}"
    return figure(svg(WIDTH, HEIGHT, title, *parts, grows=True), title)


def _axis_x(value: float, x: float) -> Element:
    lower = HEIGHT - BOTTOM
    line = element(
        "line", {"x1": x, "x2": x, "y1": TOP, "y2": lower, "stroke": "var(--line)"}
    )
    words = _text(x, lower + 17, f"{value:,.6g}", "middle", "--soft")
    return element("g", {}, line, words)


def _axis_y(value: float, y: float) -> Element:
    line = element(
        "line",
        {"x1": LEFT, "x2": WIDTH - RIGHT, "y1": y, "y2": y, "stroke": "var(--line)"},
    )
    return element(
        "g", {}, line, _text(LEFT - 7, y + 4, f"{value:,.6g}", "end", "--soft")
    )


def _text(
    x: float,
    y: float,
    words: str,
    anchor: str = "start",
    color: str = "",
    weight: str = "",
) -> Element:
    place: dict[str, str | float] = {"x": x, "y": y}
    for name, value in (
        ("text-anchor", anchor if anchor != "start" else ""),
        ("fill", f"var({color})" if color else ""),
        ("font-weight", weight),
    ):
        if value:
            place[name] = value
    return element("text", place, words)


def _share(value: float, marks: Sequence[float]) -> float:
    return (value - marks[0]) / (marks[-1] - marks[0])


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers at equal distances, from below `low` to above `high`."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(
        power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * (1 - 1e-9)
    )
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(k * step, 12) for k in range(first, last + 1)]
