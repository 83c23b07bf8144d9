"""The shell of every page: one HTML file that opens from disk and loads nothing.

Pages are trees of `xml.etree` elements, whose writer escapes all text. Colors are CSS
variables, so that drawings follow the light and the dark scheme of the reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from xml.etree.ElementTree import Element, tostring

from kanji_np import outputs

MARK = '<meta name="generator" content="kanji-np">'
WHAT = "a page of this program"

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1d2329; --soft: #56616c; --line: #d5dbe1; --panel: #f4f6f8;
  --one: #0b6e99; --two: #b4530f; --three: #6b4fa0; --four: #3f7a3a; --five: #a1355b;
  --six: #6d6a2c; --pale: #cfe3ee; --warn: #b3261e; --shade: #0004;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181c; --ink: #e6eaee; --soft: #a5b0ba; --line: #38424b;
    --panel: #1d2329; --one: #58b4dc; --two: #f0995a; --three: #b49ae4;
    --four: #8cc686; --five: #eb8fb0; --six: #cbc57a; --pale: #24475a;
    --warn: #ff8a80; --shade: #fff5;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(0.8rem, 3vw, 2.5rem) 3rem; max-width: 84rem;
  background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { margin: 0 0 0.2rem; font-size: 1.7rem; line-height: 1.2; }
h1, h2, h3, p, dd, dt, figcaption { overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 0.6rem; font-size: 1.25rem; }
h3 { margin: 1.6rem 0 0.4rem; font-size: 1rem; }
p { max-width: 46rem; margin: 0.5rem 0; }
.soft, figcaption, caption { color: var(--soft); }
ul { padding-left: 1.2rem; }
.warn { color: var(--warn); font-weight: 600; }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; margin: 1rem 0 0; }
a { color: var(--one); }
.facts {
  display: grid; gap: 0.7rem; margin: 1.2rem 0;
  grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr));
}
.facts > div {
  padding: 0.6rem 0.8rem; border-radius: 0.4rem; background: var(--panel);
}
.facts dt { color: var(--soft); font-size: 0.82rem; }
.facts dd {
  margin: 0; font-size: 1.12rem; font-weight: 600; font-variant-numeric: tabular-nums;
}
.facts .more {
  display: block; color: var(--soft); font-size: 0.82rem; font-weight: 400;
}
figure { margin: 0.8rem 0; }
figcaption, caption { font-size: 0.88rem; text-align: left; }
figcaption { max-width: 46rem; }
caption { padding-bottom: 0.3rem; }
.table figcaption { margin: 0 0 0.3rem; }
.key {
  display: flex; flex-wrap: wrap; gap: 0.1rem 1.3rem; margin: 0.3rem 0;
  font-size: 0.88rem;
}
.key span { white-space: nowrap; }
.key svg { display: inline; vertical-align: -0.1em; margin-right: 0.45em; }
.wide {
  overflow-x: auto;
  background:
    linear-gradient(to right, var(--page) 40%, transparent) left / 2.5rem 101% local,
    linear-gradient(to left, var(--page) 40%, transparent) right / 2.5rem 101% local,
    linear-gradient(to right, var(--shade), transparent) left / 0.9rem 100% scroll,
    linear-gradient(to left, var(--shade), transparent) right / 0.9rem 100% scroll;
  background-repeat: no-repeat;
}
.wide:focus-visible { outline: 2px solid var(--one); }
table { border-collapse: collapse; font-size: 0.86rem; }
th, td {
  padding: 0.26rem 0.4rem; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; white-space: pre;
}
th { color: var(--soft); font-weight: 600; }
thead th { vertical-align: bottom; line-height: 1.25; }
tbody th { color: var(--ink); }
.wide th:first-child { position: sticky; left: 0; background: var(--page); }
.left { text-align: left; }
tfoot th, tfoot td { border-bottom: 0; color: var(--ink); font-weight: 600; }
.marked > * { background: var(--panel); font-weight: 600; }
.wide .marked th:first-child { background: var(--panel); }
td.soft, .soft > th { color: var(--soft); font-weight: 400; }
.many {
  display: grid; gap: 0.6rem 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(16rem, 100%), 1fr));
}
.charts {
  gap: 1.2rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr));
}
.bars { width: 100%; align-self: start; }
.bars th {
  max-width: 9rem; overflow: hidden; text-overflow: ellipsis; font-weight: 400;
}
.bars th, .bars td { padding: 0.12rem 0.3rem; border: 0; }
.bars .track { width: 62%; }
.track div { position: relative; height: 1rem; background: var(--panel); }
.track span { position: absolute; }
.track .bar { top: 0; bottom: 0; background: var(--one); }
.track .range {
  top: 50%; height: 2px; margin-top: -1px; background: var(--ink);
  outline: 1px solid var(--page);
}
svg { display: block; max-width: 100%; height: auto; fill: var(--ink); }
.wide svg { max-width: none; }
svg text {
  font-size: 12px; paint-order: stroke; stroke: var(--page); stroke-width: 0;
}
.front { fill: none; stroke-width: 1.5px; }
.front ~ text { stroke-width: 3px; }
.panels {
  display: grid; gap: 0.6rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr));
}
.pairs { max-width: 60rem; }
.beside { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; }
.beside > * { min-width: 0; max-width: 100%; }
.beside figcaption { max-width: 20rem; }
.beside > .charts { flex: 1 1 21rem; align-content: start; }
.bands { display: flex; flex-wrap: wrap; align-items: start; column-gap: 1.6rem; }
.beside > .long { flex-basis: 100%; }
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb;
    --panel: #f2f2f2; --one: #0b6e99; --two: #b4530f; --three: #6b4fa0;
    --four: #3f7a3a; --five: #a1355b; --six: #6d6a2c; --pale: #cfe3ee;
    --warn: #b3261e;
  }
  @page { size: A4; margin: 14mm 10mm; }
  html { font-size: 13px; }
  * { print-color-adjust: exact; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h2, h3, p:not(:last-child) { break-after: avoid; }
  h2 { margin-top: 1.6rem; }
  p, figure, table, tr, .facts > div, svg { break-inside: avoid; }
  .facts { gap: 0.4rem; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); }
  .facts > div { padding: 0.4rem 0.5rem; }
  .facts dd { font-size: 1rem; }
  .beside:not(:has(.long)) { flex-wrap: nowrap; }
  .graph { flex: 0 1 45%; }
  .graph .wide svg { width: auto; max-height: 155mm; min-width: 0; }
  .bands { flex-wrap: nowrap; column-gap: 0.6rem; }
  .beside > .charts { gap: 0.7rem 1.5rem; grid-template-columns: 1fr; }
  .beside > .long + .charts { grid-template-columns: repeat(3, 1fr); }
  .track div { height: 0.7rem; }
  .bars th, .bars td { padding: 0 0.2rem; line-height: 1.3; }
  .panels { grid-template-columns: 1fr 1fr; }
  .wide { overflow: visible; background: none; }
  .wide th:first-child { position: static; }
  table { font-size: 6.5pt; }
  th, td { padding: 0.1rem 0.15rem; }
  .screen { display: none; }
  tfoot { display: table-row-group; }
  svg, .wide svg { max-width: 100%; max-height: 240mm; }
}
"""


def element(
    name: str, attributes: Mapping[str, str | float], *children: Element | str
) -> Element:
    """An element with text and elements in it.

    Parameters
    ----------
    name : str
        The tag.
    attributes : mapping of str to str or number
        Numbers are rounded to a tenth.
    children : Element or str
        Texts are escaped when the page is written.
    """
    made = Element(name, {key: attribute(value) for key, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def attribute(value: str | float) -> str:
    """The text of an attribute."""
    return value if isinstance(value, str) else f"{round(value, 1):g}"


def paragraph(*children: Element | str, kind: str = "") -> Element:
    """Text; `kind` is "soft", "warn" or nothing."""
    return element("p", {"class": kind} if kind else {}, *children)


def section(title: str, anchor: str, *children: Element) -> Element:
    """A part of the page with a heading; `anchor` is what links name."""
    heading = element("h2", {"id": f"{anchor}-title"}, title)
    facts = {"id": anchor, "aria-labelledby": f"{anchor}-title"}
    return element("section", facts, heading, *children)


def facts(rows: Sequence[tuple[str, str, str]]) -> Element:
    """The figures that matter most, in boxes: name, figure, and a remark or nothing."""
    boxes = []
    for name, figure, remark in rows:
        more = [element("span", {"class": "more"}, remark)] if remark else []
        shown = element("dd", {}, figure, *more)
        boxes.append(element("div", {}, element("dt", {}, name), shown))
    return element("dl", {"class": "facts"}, *boxes)


def wide(label: str, child: Element) -> Element:
    """What may be wider than the page: it scrolls by itself, also with the keyboard."""
    region = {"class": "wide", "role": "region", "tabindex": "0", "aria-label": label}
    return element("div", region, child)


def table(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left_columns: int = 1,
    totals: Sequence[str] = (),
    kinds: Mapping[str, str] = MappingProxyType({}),
    marked: Sequence[int] = (),
    faded: Sequence[int] = (),
) -> Element:
    """Cells under a header, in a region that scrolls, with the caption above.

    Parameters
    ----------
    caption : str
    header : sequence of str
        A line break parts a name from its unit.
    rows : sequence of sequence of str
        The first cell of each names the row, and stays in sight.
    left_columns : int
        So many columns start at the left; the others are figures.
    totals : sequence of str, optional
        A last row.
    kinds : mapping of str to str, optional
        Classes of columns, by their header: "left", "soft" for what stands back, and
        "screen" for what is not printed.
    marked, faded : sequence of int, optional
        Rows that stand out, and rows that stand back.
    """

    def cells(values: Sequence[str], scope: str, is_header: bool) -> list[Element]:
        made = []
        for i, value in enumerate(values):
            words = "left" if i < left_columns else ""
            words = f"{words} {kinds.get(header[i], '')}".strip()
            kind = {"class": words} if words else {}
            if is_header or i == 0:
                made.append(element("th", kind | {"scope": scope}, value))
            else:
                made.append(element("td", kind, value))
        return made

    head = element("thead", {}, element("tr", {}, *cells(header, "col", True)))
    body = []
    for i, row in enumerate(rows):
        kind = "marked" if i in marked else "soft" if i in faded else ""
        shown = cells(row, "row", False)
        body.append(element("tr", {"class": kind} if kind else {}, *shown))
    parts = [head, element("tbody", {}, *body)]
    if totals:
        foot = element("tr", {}, *cells(totals, "row", False))
        parts.append(element("tfoot", {}, foot))
    region = wide(caption, element("table", {}, *parts))
    words = element("figcaption", {}, caption)
    return element("figure", {"class": "table"}, words, region)


def aligned(figures: Sequence[str]) -> list[str]:
    """Figures of a column with their decimal points below each other.

    Spaces as wide as a digit and as a point stand where others have decimals.

    Parameters
    ----------
    figures : sequence of str
        What is empty stays so.
    """
    most = max((len(_decimals(text)) for text in figures), default=0)
    made = []
    for text in figures:
        lacks = most - len(_decimals(text)) if text else 0
        point = "\N{PUNCTUATION SPACE}" if lacks and "." not in text else ""
        made.append(text + point + "\N{FIGURE SPACE}" * (lacks - len(point)))
    return made


def _decimals(text: str) -> str:
    """What stands from the decimal point on."""
    return "".join(text.partition(".")[1:])


def svg(
    width: float, height: float, label: str, *children: Element, grows: bool = False
) -> Element:
    """A drawing of so many pixels, which shrinks with the page.

    `label` says in words what it shows; one that `grows` fills the width.
    """
    size: dict[str, str | float] = (
        {"width": "100%"} if grows else {"width": width, "height": height}
    )
    view = f"0 0 {attribute(width)} {attribute(height)}"
    return element(
        "svg",
        {"viewBox": view, **size, "role": "img", "aria-label": label},
        *children,
    )


def figure(
    drawing: Element, caption: str, *, key: Element | None = None, scrolls: bool = False
) -> Element:
    """A drawing with words below, and the key to its marks; one that `scrolls` keeps
    its size on a phone."""
    shown = wide(caption, drawing) if scrolls else drawing
    keys = [] if key is None else [key]
    return element("figure", {}, shown, *keys, element("figcaption", {}, caption))


def key(items: Sequence[tuple[Element, str]]) -> Element:
    """What marks mean: each a drawing of 12 by 12 pixels, and a word."""
    shown = []
    for mark, word in items:
        sample = svg(12, 12, "", mark)
        sample.set("aria-hidden", "true")
        shown.append(element("span", {}, sample, word))
    return element("div", {"class": "key soft"}, *shown)


def page(title: str, lead: Sequence[Element], sections: Sequence[Element]) -> str:
    """A whole page.

    Parameters
    ----------
    title : str
    lead : sequence of Element
        What stands below the title.
    sections : sequence of Element
        As `section` makes them; links to all of them stand above.
    """
    links = [
        element("a", {"href": f"#{part.get('id')}"}, part[0].text or "")
        for part in sections
    ]
    links = [element("nav", {"aria-label": "sections"}, *links)] if links else []
    header = element("header", {}, element("h1", {}, title), *lead, *links)
    body = element("body", {}, header, element("main", {}, *sections))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"{MARK}\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{_text(element('title', {}, title))}\n"
        '<link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style>\n</head>\n{_text(body)}\n</html>\n"
    )


def _text(made: Element) -> str:
    return tostring(made, encoding="unicode", method="html")


def is_page(path: Path) -> bool:
    """Whether a file is a page that this program wrote."""
    with open(path, "rb") as file:
        return MARK.encode() in file.read(1024)


def check_page(path: str | Path) -> None:
    """Before anything slow: OptionError or OSError unless a page may be written."""
    outputs.check(path, is_page, WHAT, "name another file")
    outputs.check_directory(Path(path).parent)


def write_page(path: str | Path, text: str) -> None:
    """Write a page; it takes the place of an earlier one, and of nothing else."""
    outputs.check(path, is_page, WHAT, "name another file")
    outputs.write(path, text.encode())
