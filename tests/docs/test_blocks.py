"""Every block of the documentation runs, in the order of its page.

The blocks of a page run in one empty directory, Python in one namespace. To take
seconds only, three things are smaller than the page says, and nothing else:

- built-in and downloaded datasets have some tens of images (`small_data`);
- a training has one epoch, also where the page asks for more;
- `verify` and `bench` are given the options in `BRIEF`.

Lines that install something are left out, and so are blocks that are followed by
`<!-- not run: reason -->`. A block that is part of a file in `examples/` or
`tests/ops/` is not run either: other tests run that file.
"""

import ast
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli.commands import ok, parse

import kanji_np as kj
from kanji_np import cli, data
from kanji_np.train import fit

from .pages import PAGES, ROOT, blocks, lines_of, name_of
from .presumed import keras_files, torch_files

INSTALLS = re.compile(r"(apt|pip|\S*/pip|python3 -m venv|\. \.venv/bin/activate)\b")
TRAIN, TEST = 60, 24
#: Later options win over those of the page.
BRIEF = {"verify": ("--limit", "2"), "bench": ("--steps", "1")}
#: Commands whose output on a page must be what they print.
EXACT = {"report", "datasets", "boards"}
SNIPPET_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


@pytest.fixture
def small_data(monkeypatch):
    """Few images under the names of the datasets."""

    def shrunk(draw):
        return lambda *directory, **options: draw(TRAIN, TEST)

    def photographs(train, test):
        return tuple(
            replace(part, name="cifar10", augment=kj.Augment())
            for part in data.synthetic(train, test)
        )

    draws = {
        name: getattr(data, name) for name in ("synthetic", "synthetic_machines")
    } | {"cifar10": photographs}
    figures = data.synthetic

    for name, draw in draws.items():
        monkeypatch.setattr(data, name, shrunk(draw))
    return figures


@pytest.fixture
def brief_training(monkeypatch):
    def brief(*arguments, **options):
        return fit(*arguments, **{**options, "epochs": 1, "show": False})

    monkeypatch.setattr(kj, "fit", brief, raising=False)


def image_folders():
    """The directory of images that the page on data is about."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind in ("apple", "pear"):
        folder = Path("my-images", kind)
        folder.mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:04}.png")


def trained_model():
    """What another page has trained."""
    Path("runs/cifar10").mkdir(parents=True)
    kj.paper_cnn((8, 8, 16)).save("runs/cifar10/model.npz")


def own_board():
    """The file that the page on costs shows."""
    page = blocks(ROOT / "docs" / "costs.md")
    (board,) = (block for block in page if block.language == "toml")
    Path("my-board.toml").write_text(board.text, encoding="utf-8")


#: What is there before a page begins.
PRESUMED = {
    "docs/costs.md": own_board,
    "docs/your-data.md": image_folders,
    "docs/firmware.md": trained_model,
    "docs/from-keras.md": keras_files,
    "docs/from-pytorch.md": torch_files,
}


FILES = [
    path.read_text(encoding="utf-8")
    for folder in ("examples", "tests/ops")
    for path in sorted((ROOT / folder).glob("*.py"))
]


def is_excerpt(block):
    return any(block.text in text for text in FILES)


def run_line(line):
    """What a command line prints."""
    program, *arguments = shlex.split(line)
    if program == "kanji-np":
        parse(arguments)  # as the page has it
        return ok(*arguments, *BRIEF.get(arguments[0], ()))
    assert program == "make", f"this test does not know how to run {line}"
    return subprocess.run(
        [program, *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.usefixtures("small_data", "brief_training")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PRESUMED.get(name_of(page), lambda: None)()
    namespace = {"__name__": "page"}
    printed = None
    for block in blocks(page):
        if block.reason is not None:
            continue
        before, printed = printed, None
        if block.language == "sh":
            lines = [line for line in lines_of(block) if not INSTALLS.match(line)]
            for line in lines:
                output = run_line(line)
            if len(lines) == 1 and shlex.split(lines[0])[1] in EXACT:
                printed = output
        elif block.language == "python" and not is_excerpt(block):
            text = "\n" * (block.line - 1) + block.text
            exec(compile(text, str(page), "exec"), namespace)
        elif block.language == "text" and before is not None:
            assert block.text == before


def test_the_page_on_operators_shows_a_whole_one():
    """All of the example but its `main`, and its cases for the conformance suite."""
    page = ROOT / "docs" / "adding-an-operator.md"
    shown = [block.text.strip() for block in blocks(page) if is_excerpt(block)]
    operator = (ROOT / "examples" / "hard_tanh.py").read_text(encoding="utf-8")
    rest = operator.partition("\ndef main")[0]
    *definition, suite = shown
    for text in definition:
        rest = rest.replace(text, "")
    assert rest.strip() == ""
    assert "class TestHardTanh(Conformance):" in suite


def test_a_line_that_installs_does_nothing_else_that_is_not_run():
    """Of the line that begins with an installation the rest is tested elsewhere."""
    rest = set()
    for page in PAGES:
        for block in blocks(page):
            if block.language == "sh" and block.reason is None:
                for line in filter(INSTALLS.match, lines_of(block)):
                    rest |= {p.strip() for p in line.split("&&")}
    rest = {command for command in rest if not INSTALLS.match(command)}
    assert rest == {".venv/bin/kanji-np quickstart", ".venv/bin/python -m pytest"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_c_compiles(page, tmp_path):
    snippets = [block for block in blocks(page) if block.language == "c"]
    if snippets:
        net = kj.Sequential(
            [kj.Normalize(0), kj.Flatten(), kj.Dense(2)], (4, 4, 1),
            name="cifar10", classes=["cat", "dog"],
        )  # fmt: skip
        kj.export(net, tmp_path / "firmware")
    for snippet in snippets:
        (tmp_path / "app.c").write_text(snippet.text)
        subprocess.run(
            ["gcc", *SNIPPET_FLAGS, f"-I{tmp_path / 'firmware'}", "-c",
             str(tmp_path / "app.c"), "-o", str(tmp_path / "app.o")], check=True,
        )  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_that_are_not_run_are_right_all_the_same(page):
    for block in blocks(page):
        if block.language == "python":
            ast.parse(block.text)
        if block.language == "sh":
            for line in lines_of(block):
                program, *arguments = shlex.split(line)
                if program == "kanji-np":
                    parse(arguments)


def test_every_command_is_shown():
    shown = {
        shlex.split(line)[1]
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh"
        for line in lines_of(block)
        if line.startswith("kanji-np ")
    }
    assert shown == set(cli.main.commands)
