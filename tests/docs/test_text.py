"""What the pages name is there: links, anchors, files, names of the package."""

import re

import pytest
from markdown import Markdown

import kanji_np
from kanji_np.formats.onnx.operators import OPERATORS
from kanji_np.formats.tflite.operators import ROWS

from .pages import PAGES, ROOT, name_of, prose

LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
#: Files of the repository that a page names in its text.
PATH = re.compile(
    r"`((?:examples|kanji_np|tests|docs|ccore|\.ci)/[\w./-]*|[A-Z]+\.md)`"
)
NAME = re.compile(r"\bkj\.([A-Za-z]\w*)")


def anchors(page):
    """The anchors of a page's headings."""
    parser = Markdown(extensions=["toc", "tables", "pymdownx.superfences"])
    html = parser.convert(page.read_text(encoding="utf-8"))
    return set(re.findall(r'<h\d id="([^"]+)"', html))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in LINK.findall(prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{target} is not there"
        assert not anchor or anchor in anchors(file), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page):
    for path in PATH.findall(prose(page)):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_names_of_the_package_exist(page):
    names = set(NAME.findall(page.read_text(encoding="utf-8"))) - {"NAME"}
    assert names <= set(kanji_np.__all__)


@pytest.mark.parametrize(
    ("page", "operators"), [("from-tflite", ROWS), ("from-pytorch", OPERATORS)]
)
def test_a_page_on_a_format_names_every_operator(page, operators):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert set(operators) <= set(re.findall(r"`(\w+)`", text))


def test_the_readme_is_short_and_leads_to_every_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 120
    linked = {target.partition("#")[0] for target in LINK.findall(text)}
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages - linked == {"docs/index.md"}


def test_the_architecture_has_a_place_for_every_part():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "kanji_np"
    parts = [path.name for path in package.glob("*.py") if path.stem != "__init__"]
    parts += [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    assert [part for part in parts if f"`{part}`" not in text] == []


def test_the_tests_are_run_as_the_readme_says():
    """`.ci/run` takes the command from there."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    (command,) = [line for line in lines if "-m pytest" in line]
    assert command.endswith(".venv/bin/python -m pytest")
    assert "'.[test]'" in command
