"""A comparison as one page: the table, and drawings of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from kanji_np.comparison.panels import Panel, labelled, panels, series_of
from kanji_np.comparison.rows import ComparisonRow
from kanji_np.comparison.tables import columns, explanations, n_names, notes
from kanji_np.report.page import element, figure, page, paragraph, section, svg, table

COLORS = ("--one", "--two", "--three", "--four", "--five", "--six")
GRID = (
    "display: grid; gap: 1rem 2rem; "
    "grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr))"
)
WIDTH, HEIGHT = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 16.0, 14.0, 46.0


def html(rows: Sequence[ComparisonRow]) -> str:
    """The whole page."""
    made = columns(rows)
    cells = [*zip(*made.values(), strict=True)]
    drawn = [_drawing(panel, rows) for panel in panels(rows)]
    shown = [drawing for drawing in drawn if drawing is not None]
    sections = [
        section(
            "Table",
            "table",
            table(
                "Networks on a Pareto front stand out.",
                [*made],
                cells,
                left_columns=n_names(rows),
                marked=[i for i, row in enumerate(rows) if row.front],
            ),
            *map(paragraph, explanations(rows)),
        )
    ]
    if shown:
        sections.append(
            section(
                "Drawings",
                "drawings",
                _legend(series_of(rows)),
                element("div", {"style": GRID}, *shown),
            )
        )
    told = notes(rows)
    if told:
        items = [element("li", {}, note) for note in told]
        sections.append(section("Notes", "notes", element("ul", {}, *items)))
    networks = len({row.network for row in rows})
    places = len({row.place for row in rows})
    lead = paragraph(
        f"{_count(networks, 'network')} on {_count(places, 'board or core')}.",
        kind="soft",
    )
    return page("Networks side by side", [lead], sections)


def _count(number: int, noun: str) -> str:
    plural = {"network": "networks", "board or core": "boards or cores"}[noun]
    return f"{number} {noun if number == 1 else plural}"


def _legend(series: Sequence[str]) -> Element:
    items: list[Element | str] = []
    for i, name in enumerate(series):
        dot = element("circle", {"cx": 6, "cy": 6, "r": 5, "fill": _color(i)})
        items += [_inline(svg(12, 12, "", dot)), f" {name}   "]
    hint = "Filled points are on the front; lines show ranges."
    return element("p", {"class": "soft"}, *items, hint)


def _inline(drawing: Element) -> Element:
    drawing.set("style", "display: inline")
    drawing.set("aria-hidden", "true")
    return drawing


def _color(i: int) -> str:
    return f"var({COLORS[i % len(COLORS)]})"


def _drawing(panel: Panel, rows: Sequence[ComparisonRow]) -> Element | None:
    """The points of a panel; None if there are none."""
    if not panel.points:
        return None
    xs = [value for p in panel.points for value in (p.x_low, p.x_high)]
    x_ticks = ticks(0.0, max(xs))
    ys = [p.y for p in panel.points]
    y_ticks = ticks(min(ys), max(ys))
    series = series_of(rows)

    def place_x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * _share(value, x_ticks)

    def place_y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(value, y_ticks)

    parts = [_axis_x(value, place_x(value)) for value in x_ticks]
    parts += [_axis_y(value, place_y(value)) for value in y_ticks]
    lower = HEIGHT - BOTTOM
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, lower + 36, panel.x_title, "middle"))
    for point in panel.points:
        x, y, color = (
            place_x(point.x),
            place_y(point.y),
            _color(series.index(point.series)),
        )
        ends = {"x1": place_x(point.x_low), "x2": place_x(point.x_high)}
        words = f"{point.label}, {point.series}: {panel.x_title} {point.x:.4g}, "
        words += f"{panel.y_title} {point.y:.4g}"
        dot: dict[str, str | float] = {
            "cx": x, "cy": y, "r": 4.5, "stroke": color, "stroke-width": 1.6,
            "fill": color if point.is_on_front else "var(--page)",
        }  # fmt: skip
        parts.append(
            element(
                "line", {**ends, "y1": y, "y2": y, "stroke": color, "opacity": "0.45"}
            )
        )
        parts.append(element("circle", dot, element("title", {}, words)))
    names = [
        (place_x(p.x), place_y(p.y), p.label) for p in panel.points if p.is_on_front
    ]
    parts += [_text(x, y - 5, name) for x, y, name in labelled(names, WIDTH)]
    title = f"{panel.y_title} over {panel.x_title}"
    drawing = svg(WIDTH, HEIGHT, title, *parts, grows=True)
    return figure(drawing, f"{title}; {len(panel.points)} points.")


def _axis_x(value: float, x: float) -> Element:
    lower = HEIGHT - BOTTOM
    line = element(
        "line", {"x1": x, "x2": x, "y1": TOP, "y2": lower, "stroke": "var(--line)"}
    )
    return element(
        "g", {}, line, _text(x, lower + 17, f"{value:g}", "middle", "--soft")
    )


def _axis_y(value: float, y: float) -> Element:
    line = element(
        "line",
        {"x1": LEFT, "x2": WIDTH - RIGHT, "y1": y, "y2": y, "stroke": "var(--line)"},
    )
    return element("g", {}, line, _text(LEFT - 7, y + 4, f"{value:g}", "end", "--soft"))


def _text(
    x: float, y: float, words: str, anchor: str = "start", color: str = "--ink"
) -> Element:
    place: dict[str, str | float] = {"x": x, "y": y, "text-anchor": anchor}
    return element("text", place | {"fill": f"var({color})"}, words)


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
