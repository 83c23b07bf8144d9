"""Networks side by side: rows, scores, fronts, and how they are shown."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import check_layout, chromium
from small import small_net, stripes

import kanji_np as kj
from kanji_np.comparison.page import ticks
from kanji_np.comparison.panels import labelled, panels
from kanji_np.comparison.rows import with_fronts
from kanji_np.report.units import unit_of

BOARDS = ("nucleo-f446re", "arduino-uno-r4")


def test_networks_boards_targets_and_libraries_make_the_rows():
    network = small_net(name="small")
    found = kj.compare(
        ["paper-cnn:4,8", network, network],
        boards=BOARDS,
        targets=["cmsis-nn", "cmsis-nn/4.0.0"],
        libraries=["ccore", "cmsis-nn"],
    )
    assert len(found.rows) == 3 * 2 * 2 * 2
    names = list(dict.fromkeys(row.network for row in found.rows))
    assert names == ["paper-cnn:4,8", "small (1)", "small (2)"]
    for row in found.rows:
        net = kj.paper_cnn((4, 8)) if row.network == names[0] else network
        board = row.estimate.board
        version = row.target.split("/")[1]
        again = net.for_target("cmsis-nn", version=version)
        assert row.estimate == kj.estimate(again, board=board, library=row.library)
        assert row.place == board.title and row.accuracy is None
    assert "target" in str(found) and "library" in str(found)


def test_without_a_board_instructions_stand_for_time():
    found = kj.compare(["paper-cnn:4", "paper-cnn:8"])
    assert [row.place for row in found.rows] == ["cortex-m4"] * 2
    text = str(found)
    assert "instructions" in text and "latency" not in text
    assert [row.front for row in found.rows] == [("costs",), ()]


def test_what_does_not_fit_is_shown_as_such():
    found = kj.compare(["mobilenet-v1-025"], boards=BOARDS)
    on_f446, on_uno = found.rows
    assert on_f446.fits and not on_uno.fits
    assert on_uno.estimate is not None and on_uno.front == ()
    assert "mobilenet-v1-025 on Arduino Uno R4: RAM is short by " in str(found)
    assert "mobilenet" in found.html()


def test_a_target_without_a_kernel_is_a_note():
    found = kj.compare([kj.resnet8()], targets=["cmsis-nn-q7"], boards=BOARDS)
    assert [row.estimate for row in found.rows] == [None, None]
    assert "cmsis-nn-q7" in found.rows[0].notes[0]
    assert "no" in str(found).splitlines()[2].split()


def test_trained_networks_are_scored():
    data = stripes()
    trained, raw = small_net(name="trained"), small_net(name="raw")
    trained.calibrate(data.images)
    found = kj.compare([trained, raw], data=data)
    assert [row.accuracy for row in found.rows] == [trained.evaluate(data), None]
    assert found.rows[1].notes == ("not scored: it is not trained",)
    other = kj.Dataset(
        np.zeros((4, 5, 5, 1), np.uint8), np.zeros(4, np.int64), ("a",), "other"
    )
    (row,) = kj.compare([trained], data=other).rows
    assert row.accuracy is None and row.notes[0].startswith("not scored: ")


def test_what_training_recorded_is_the_score(tmp_path):
    data = stripes()
    net = small_net()
    history = kj.fit(
        net, data, epochs=1, batch_size=32, validation=data, directory=tmp_path
    )
    path = tmp_path / "model.npz"
    (row,) = kj.compare([path]).rows
    assert row.accuracy == history.epochs[-1].validation_accuracy
    # Another library computes other bytes: what it scores is not known.
    (other,) = kj.compare([path], targets=["litert"]).rows
    assert other.accuracy is None
    (tmp_path / "history.csv").write_text("epoch,validation_accuracy\n1,much\n")
    (tmp_path / "broken.json").write_text("{")
    assert kj.compare([path]).rows[0].accuracy is None


def row(accuracy, flash, ram):
    made = kj.estimate(kj.paper_cnn((2,)), board=BOARDS[0])
    memory = replace(made.memory, flash_bytes=flash, arena_bytes=ram)
    made = replace(made, memory=memory)
    return kj.ComparisonRow("n", "t", "here", "ccore", accuracy, made)


def test_fronts():
    rows = [row(0.8, 100, 9), row(0.9, 200, 5), row(0.7, 300, 9), row(None, 1, 1)]
    fronts = [set(r.front) for r in with_fronts(rows)]
    assert {"flash"} <= fronts[0] and "RAM" not in fronts[0]
    assert {"flash", "RAM", "latency", "energy"} <= fronts[1]
    assert fronts[2:] == [set(), set()]
    # Of equals both are on the front; other boards do not count.
    twins = with_fronts([row(0.8, 1, 1), row(0.8, 1, 1)])
    assert all("flash" in r.front for r in twins)
    apart = [row(0.8, 100, 9), replace(row(0.9, 1, 1), place="there")]
    assert all("flash" in r.front for r in with_fronts(apart))
    # Without scores a network is on the front unless another is cheaper in all.
    costs = [row(None, 1, 9), row(None, 9, 1), row(None, 9, 9)]
    assert [r.front for r in with_fronts(costs)] == [("costs",), ("costs",), ()]


def test_text_markdown_and_json_say_the_same():
    found = kj.compare(["paper-cnn:4,8"], boards=BOARDS[:1])
    (row,) = found.rows
    seconds = row.estimate.seconds
    unit = unit_of([seconds], "s")
    for shown in (str(found), found.markdown().replace("**", "")):
        assert f"{row.estimate.flash_bytes:,}" in shown
        assert f"latency [{unit.name}]" in shown
        assert f"{unit.likely(seconds)} ({unit.bounds(seconds)})" in shown
        assert "estimates" in shown
    (facts,) = json.loads(found.json())["rows"]
    assert facts["flash_bytes"] == row.estimate.flash_bytes
    assert facts["seconds"]["likely"] == row.estimate.seconds.likely
    assert found.markdown().splitlines()[1].startswith("| :-- | :-- | --: |")


def test_the_page_needs_no_network_and_names_every_point():
    found = kj.compare(["paper-cnn:4,8", "ds-cnn"], boards=BOARDS)
    text = found.html()
    assert text == found.html()
    assert not re.search(r"(src|href)=\"(?!#|data:)|url\(|@import", text)
    n_points = sum(len(panel.points) for panel in panels(found.rows))
    assert n_points and text.count("<title>") == 1 + n_points


def test_the_page_has_its_place_and_a_line_for_every_front(tmp_path):
    found = kj.compare(
        ["paper-cnn:4,8", "autoencoder", "resnet8"], boards=[*BOARDS, "nucleo-h743zi"]
    )
    rows = [replace(row, about="<i>what it is</i>") for row in found.rows]
    path = tmp_path / "page.html"
    path.write_text(kj.Comparison(tuple(rows)).html("Found <b>here</b>"), "utf-8")
    with chromium() as browser:
        check_layout(browser, path)
        page = browser.new_page()
        page.goto(path.as_uri())
        lines = page.locator("path.front").count()
        text = page.locator("body").inner_text()
    fronts = [
        panel.front(series)
        for panel in panels(found.rows)
        for series in {point.series for point in panel.points}
    ]
    assert lines == len(fronts) and all(fronts)
    assert "Found <b>here</b>" in text
    assert "resnet8: <i>what it is</i>" in text


def test_the_line_of_a_front_passes_through_the_best_points():
    rows = [row(0.8, 1024, 9), row(0.9, 2048, 9), row(0.85, 4096, 9), row(0.8, 512, 9)]
    flash = panels(with_fronts(rows))[0]
    line = flash.front("here")
    assert [(p.x, p.y) for p in line] == [(0.5, 80.0), (2.0, 90.0)]
    assert {p for p in flash.points if p.is_on_front} == {*line}
    costs = [row(None, 2048, 1024), row(None, 1024, 2048), row(None, 4096, 4096)]
    (panel, *_) = panels(with_fronts(costs))
    assert len(panel.front("here")) == 2 and panel.front("there") == ()


def test_names_cover_neither_points_nor_names():
    points = [(50.0, 50.0), (70.0, 48.0), (390.0, 90.0)]
    named = [(*point, name) for point, name in zip(points, "abc", strict=True)]
    made = labelled(named, 400.0, left=20.0, free_of=points)
    assert [text for _, _, text in made] == ["a", "b", "c"]
    starts = {text: x for x, _, text in made}
    assert starts["a"] < 50 and starts["b"] > 70 and starts["c"] < 390
    assert labelled([(30.0, 50.0, "a long name")], 60.0, left=20.0) == []


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.1, 99.7), (88.2, 88.2), (0, 0), (3, 5000)]
)
def test_ticks_are_few_and_hold_all(low, high):
    marks = ticks(low, high)
    assert marks[0] <= low and high <= marks[-1] and 2 <= len(marks) <= 9


@pytest.mark.parametrize("name", ["plot.png", "plot.svg"])
def test_the_plot_is_a_drawing_that_may_be_drawn_again(tmp_path, name):
    found = kj.compare(["paper-cnn:4,8", "ds-cnn"], boards=BOARDS)
    path = tmp_path / name
    kj.plot_comparison(found, path)
    first = path.read_bytes()
    kj.plot_comparison(found, path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "networks must be a list of one network or more"),
        (("resnet8",), "networks must be a list of one network or more"),
        (([3],), "a network is a Model, a path or a name, got 3"),
        ((["paper-cnn:4,x"],), "paper-cnn:4,x: channels are integers, as in paper-cnn"),
        ((["paper-cnn:"],), "paper-cnn:: channels are integers"),
        ((["resnet8:4"],), "resnet8:4: resnet8 has no channels to choose"),
    ],
)
def test_a_mistake_gets_one_line(arguments, message):
    with pytest.raises(kj.OptionError, match=f"^{re.escape(message)}"):
        kj.compare(*arguments)


def test_a_file_that_is_none_is_refused():
    with pytest.raises(kj.FileFormatError, match=r"nothing\.npz"):
        kj.compare([Path("nothing.npz")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"libraries": ["ccore"] * 1001}, "1,001 rows are too many: at most 1,000"),
        ({"libraries": ["tvm"]}, "libraries must be one of ccore, cmsis-nn; got 'tvm'"),
        ({"boards": ["z80"]}, "board 'z80' is not known"),
        ({"targets": ["tvm"]}, "target must be one of cmsis-nn"),
    ],
)
def test_a_wrong_option_gets_one_line(options, message):
    with pytest.raises(kj.OptionError, match=f"^{re.escape(message)}"):
        kj.compare(["paper-cnn:2"], **options)
