"""kanji-np compare: a table, a plot and a page."""

import json
import re
from pathlib import Path

import pytest

import kanji_np as kj

from .commands import ok, run

BOARDS = ("--board", "nucleo-f446re", "--board", "arduino-uno-r4")


def test_names_and_files_side_by_side():
    kj.paper_cnn((2, 3), name="small").save("net.npz")
    names = ("paper-cnn:4,8", "net.npz", "resnet8")
    output = ok("compare", *names, *BOARDS)
    for name in names:
        assert re.search(rf"^{name} +NUCLEO-F446RE ", output, re.M)
    assert "resnet8 on Arduino Uno R4: RAM is short by " in output
    rows = json.loads(ok("compare", *names, *BOARDS, "--json"))["rows"]
    assert [row["network"] for row in rows] == [n for n in names for _ in range(2)]
    assert ok("compare", *names, "--markdown").startswith("| network | on | ")


def test_a_plot_and_a_page_take_the_place_of_their_own_kind_alone():
    for _ in range(2):
        ok("compare", "paper-cnn:4", *BOARDS, "--plot", "a.svg", "--html", "a.html")
    assert b"<svg" in Path("a.svg").read_bytes()
    assert Path("a.html").read_text().startswith("<!DOCTYPE html>")
    for name in ("mine.svg", "mine.html"):
        Path(name).write_text("<svg>mine</svg>")
        option = "--plot" if name.endswith("svg") else "--html"
        code, output = run("compare", "paper-cnn:4", option, name)
        assert code == 2 and output.startswith(name)
        assert Path(name).read_text() == "<svg>mine</svg>"


def test_a_run_has_its_score_and_data_give_it(train, images):
    ok(*train, "--epochs", "1")
    recorded = ok("compare", "runs/own/model.npz", "--json")
    scored = ok("compare", "runs/own/model.npz", "--data", images, "--json")
    accuracies = [json.loads(t)["rows"][0]["accuracy"] for t in (recorded, scored)]
    assert accuracies[0] == accuracies[1] is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "MODEL|NETWORK"),
        (("paper-cnn:4", "--board", "z80"), "--board 'z80' is not known"),
        (("paper-cnn:4", "--target", "tvm"), "--target must be one of"),
        (("paper-cnn:4", "--target", "cmsis-nn/1"), "version must be one of"),
        (("paper-cnn:4", "--library", "tvm"), "--library.*tvm.*ccore"),
        (("paper-cnn:x",), "^paper-cnn:x: channels are integers"),
        (("nothing.npz",), "nothing.npz"),
        (("resnet9",), "^resnet9: no such file, and no network has .*resnet8"),
        (("paper-cnn:4", "--json", "--markdown"), "^--markdown and --json exclude"),
        (("paper-cnn:4", "--plot", "a.pdf"), "must end in .png or .svg, got a.pdf"),
        (("paper-cnn:4", "--scale", "2"), "do not apply: they are for the images"),
    ],
)
def test_a_mistake_gets_one_line(options, message):
    code, output = run("compare", *options)
    assert code == 2 and output.count("\n") == 1
    assert re.search(message, output)
