"""Pages in a real browser: what it lays out, and whether anything sticks out."""

import shutil
from contextlib import contextmanager

#: Of a phone, a tablet and a desk, and of A4 without the margins [pixels].
WIDTHS, PAPER = (360, 390, 820, 1440), 718

#: What is wider than the page; what scrolls in its own box is not.
STICKING_OUT = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = e => getComputedStyle(e).overflowX === "auto";
  const held = e => e.parentElement &&
    (scrolls(e.parentElement) || held(e.parentElement));
  return [...document.querySelectorAll("body *")].filter(e => {
    const box = e.getBoundingClientRect();
    return !held(e) && (box.right > width + 1 || box.left < -1);
  }).map(e => `${e.tagName} ${e.className}`);
}"""

#: Cells whose text takes more lines than it has.
BROKEN = """() => [...document.querySelectorAll(".wide td, .wide th")].filter(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const tops = new Set([...range.getClientRects()].map(r => Math.round(r.top)));
  return cell.textContent && tops.size > cell.textContent.split("\\n").length;
}).map(cell => cell.textContent)"""


@contextmanager
def chromium():
    """A browser that asks nobody."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox"],
        )
        yield found
        found.close()


def check_layout(browser, path):
    """Nothing sticks out at any width nor on paper, and no cell breaks its text."""
    page = browser.new_page()
    page.goto(path.as_uri())
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(STICKING_OUT) == [], width
        assert page.evaluate(BROKEN) == [], width
    page.set_viewport_size({"width": PAPER, "height": 1000})
    page.emulate_media(media="print")
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate(BROKEN) == []
    page.close()
