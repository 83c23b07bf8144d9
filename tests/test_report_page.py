"""The page of a report in a real browser, and what stands in its tables."""

import json
import re
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest
from browser import check_layout, chromium

import kanji_np as kj
from kanji_np.cost.range import Range
from kanji_np.data import Dataset
from kanji_np.deploy.record import add_record, read_records, record_of
from kanji_np.errors import FileFormatError, OptionError
from kanji_np.report import cost_report
from kanji_np.report.figures import Place, bands, places
from kanji_np.report.html import html
from kanji_np.report.page import aligned
from kanji_np.report.scores import confusions_of
from kanji_np.report.units import unit_of
from kanji_np.train import EpochRecord, History

NAME = "<b>conv</b> & co"

#: Of text and the color it stands on, as WCAG 2 has it.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d",
    { willReadFrequently: true });
  const luminance = color => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(
      v => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(document.documentElement);
  const of = name => luminance(style.getPropertyValue(name).trim());
  const pairs = [["--ink", "--page"], ["--soft", "--page"], ["--ink", "--panel"],
    ["--soft", "--panel"], ["--one", "--page"], ["--two", "--page"],
    ["--warn", "--page"], ["--ink", "--pale"]];
  return pairs.map(pair => {
    const [low, high] = pair.map(of).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  });
}"""


def branched():
    x = kj.Input((12, 12, 2))
    y = kj.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    z = kj.Concatenate()(
        kj.Conv2D(4, 1, name="left")(y), kj.MaxPool2D(3, 1, padding="same")(y)
    )
    out = kj.Add()(z, kj.Concatenate()(y, y))
    return kj.Model(x, kj.Dense(3)(kj.Flatten()(out)), name="branched")


@pytest.fixture(scope="module")
def looked_at():
    """A report with all it may have, some of it invented, and hostile names."""
    rng = np.random.default_rng(0)
    images = rng.integers(-128, 128, (30, 12, 12, 2)).astype(np.int8)
    data = Dataset(images, np.arange(30) % 3, ("a", "<i>b</i>", "c"), "noise")
    net = branched()
    net.calibrate(images)
    from kanji_np.report.trained import trained_report

    found = cost_report(net, board="nucleo-f446re")
    layers = (replace(found.layers[0], name=NAME), *found.layers[1:])
    epochs = tuple(
        EpochRecord(i, "int8", 0.1, 2 / i, 0.4, 0.5, 1.0, "<u>note</u>") for i in (1, 2)
    )
    return replace(
        found,
        layers=layers,
        trained=trained_report(net, data),
        history=History(epochs),
    )


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def test_the_page_in_a_browser(looked_at, browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(html(looked_at), encoding="utf-8")
    said, asked = [], []
    page = browser.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert min(page.evaluate(CONTRASTS)) >= 4.5
    nodes = page.locator("svg g.node").all_text_contents()
    pieces = page.locator("svg g.piece").count()
    tags = page.locator("main b, main i, main u").count()
    text = page.locator("main").inner_text()
    printed = page.pdf()
    page.close()
    check_layout(browser, path)
    assert said == []
    assert asked == [path.as_uri()]
    assert len(nodes) == 1 + len(looked_at.layers)
    assert any(NAME in node for node in nodes)
    assert pieces == len(looked_at.arena)
    assert tags == 0 and NAME in text and "<u>note</u>" in text
    assert printed.startswith(b"%PDF")


def test_long_names_and_a_long_network_have_their_place(browser, tmp_path):
    path = tmp_path / "page.html"
    report = kj.html_report(kj.mobilenet_v1_025(), path, board="nucleo-f446re")
    check_layout(browser, path)
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    assert page.locator("svg g.node").count() == 1 + len(report.layers)
    assert page.locator(".bands > svg").count() == 3
    scrolled = page.locator("#layers .wide")
    scrolled.evaluate("e => { e.scrollLeft = 200 }")
    lefts = scrolled.evaluate(
        "e => [e, ...e.querySelectorAll('th:first-child')].map("
        "x => x.getBoundingClientRect().left)"
    )
    page.close()
    assert len({round(left) for left in lefts}) == 1


def test_columns_of_a_graph_begin_where_one_connection_leads_on():
    chain = [Place(row, 0) for row in range(31)]
    wires = [(i, i + 1) for i in range(30)]
    assert bands(chain, wires) == [0, 11, 22]
    assert bands(chain[:16], wires[:15]) == [0]
    shortcut = [(i, i + 5) for i in range(0, 26, 5)]  # leaves no place
    assert bands(chain, wires + shortcut) == [0]


def test_a_page_is_made_of_the_report_alone(looked_at):
    page = html(looked_at)
    assert page == html(looked_at)
    assert not re.search(r"https?://|<script|@import|url\(", page)
    for told in ("estimated", "NUCLEO-F446RE", "180 MHz", "ccore", "arm-none-eabi-gcc"):
        assert told in page


def test_branches_stand_beside_each_other():
    layers = cost_report(branched()).layers
    at = places(layers)
    assert len(set(at)) == len(at) == len(layers) + 1
    by_name = dict(zip([layer.name for layer in layers], at[1:], strict=True))
    left, pool = by_name["left"], by_name["pool1"]
    assert left.row == pool.row and left.column != pool.column
    for place, layer in zip(at[1:], layers, strict=True):
        assert place.row > max(at[i].row for i in layer.inputs)


def test_the_arena_has_what_the_plan_says():
    report = cost_report(kj.resnet8())
    assert max(p.offset + p.size for p in report.arena) == report.arena_bytes
    (step,) = report.peak_steps
    assert sum(p.size for p in report.arena_during(step)) == max(report.arena_in_use)
    assert max(report.arena_in_use) <= report.lower_bound_bytes
    for a in report.arena:  # what is in use at once does not overlap
        for b in report.arena:
            if a is not b and a.first <= b.last and b.first <= a.last:
                assert a.offset + a.size <= b.offset or b.offset + b.size <= a.offset


def test_values_and_confusions(looked_at):
    trained = looked_at.trained
    assert sum(map(sum, trained.confusion)) == trained.images == 30
    right = sum(row[i] for i, row in enumerate(trained.confusion))
    assert right / 30 == pytest.approx(trained.int8_score)
    for layer, shape in zip(trained.layers, looked_at.layers, strict=True):
        assert sum(layer.activations) == 30 * np.prod(shape.output_shape)
    first = trained.layers[0]
    assert sum(first.weights) == 4 * 3 * 3 * 2
    assert -127 <= first.weight_low < first.weight_high <= 127


def test_markdown_and_json_say_the_same(looked_at):
    lines = looked_at.markdown().splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == len(looked_at.layers) + 3
    assert len({row.replace("\\|", "").count("|") for row in rows}) == 1
    assert r"\<b>conv\</b> & co" in rows[2]
    facts = json.loads(looked_at.json())
    assert facts["estimate"]["board"] == "nucleo-f446re"
    seconds = facts["estimate"]["seconds"]
    assert 0 < seconds["low"] <= seconds["likely"] <= seconds["high"]
    assert facts["history"][1]["epoch"] == 2


def test_text_and_markdown_tell_what_the_page_shows(looked_at):
    text, markdown = str(looked_at), looked_at.markdown().replace("\\", "")
    (step,) = looked_at.peak_steps
    made = looked_at.estimate
    found = looked_at.trained
    most = confusions_of(found.classes, found.confusion)[0].images
    clamped = [layer.clamped for layer in found.layers]
    for shown in (text, markdown):
        assert f"peak of the arena: {looked_at.layers[step - 1].name}, " in shown
        for piece in looked_at.arena_during(step):
            assert f"{piece.kind} of {piece.layer} {piece.size:,}" in shown
        for layer in looked_at.layers:
            for function in layer.functions:
                assert f"{function}: " in shown
        assert (
            f"of {made.board.flash_bytes:,}; code {made.memory.code_bytes:,}" in shown
        )
        assert f"stack {made.memory.stack_bytes:,}" in shown
        assert "epoch 2: training loss 1.00, accuracy in training 40.00 %" in shown
        assert f"images mistaken most: {most} of " in shown
        assert ("outputs clamped most: " in shown) is any(clamped)


def test_a_column_has_one_unit():
    found = [Range.within(seconds, 0.1) for seconds in (0.389, 0.00044, 0.0)]
    unit = unit_of(found, "s")
    assert unit.name == "ms"
    assert [unit.likely(each) for each in found] == ["389", "0.44", "0"]
    assert [unit.bounds(each) for each in found] == ["350 to 428", "0.40 to 0.48", ""]
    assert (unit.likely(None), unit.bounds(None)) == ("", "")
    assert unit_of([Range.exact(20.0)], "s").name == "s"
    assert unit_of([Range.exact(0.005)], "s").name == "us"
    assert unit_of([Range.exact(5e6)], "").likely(Range.exact(5e6)) == "5,000,000"


def test_decimal_points_stand_below_each_other():
    figures = aligned(["1,460", "32.1", "6.48", ""])
    assert [len(text.rstrip()) for text in figures] == [5, 4, 4, 0]
    ends = [len(text) - text.find(".") for text in figures[1:3]]
    assert ends == [3, 3] and len(figures[0]) == len("1,460") + 3
    assert aligned(["1", "22"]) == ["1", "22"]


def test_records_are_kept_by_place_and_library(tmp_path):
    graph = kj.paper_cnn((2,)).outline()
    found = kj.Verification(3, 30, 0, None, 1.0)
    times = [datetime(2026, 3, day, 12, tzinfo=timezone.utc) for day in (1, 2)]
    path = tmp_path / "verification.json"
    for when in times:
        add_record(path, record_of(found, graph, "ccore", when))
    add_record(path, record_of(found, graph, "cmsis-nn", times[0]))
    records = read_records(path)
    assert [(r.library, r.when) for r in records] == [
        ("ccore", "2026-03-02T12:00:00Z"), ("cmsis-nn", "2026-03-01T12:00:00Z"),
    ]  # fmt: skip
    path.write_text("{}")
    with pytest.raises(FileFormatError, match="not a file of `kanji-np verify"):
        read_records(path)
    with pytest.raises(OptionError, match="is there and is not"):
        add_record(path, records[0])


def test_a_history_is_read_as_it_was_written(tmp_path):
    epochs = tuple(
        EpochRecord(i, "int8", 0.1, 1 / i, 0.5, 0.25, 2.0, "a, note") for i in (1, 2)
    )
    path = tmp_path / "history.csv"
    path.write_text(History(epochs).csv())
    assert kj.read_history(path) == History(epochs)
    path.write_text("epoch,precision\n1,fp16\n")
    with pytest.raises(FileFormatError, match="not the history of a training run"):
        kj.read_history(path)


def test_a_page_takes_the_place_of_a_page_alone(tmp_path):
    path = tmp_path / "page.html"
    report = kj.html_report(kj.paper_cnn((2,)), path)
    assert report.estimate.core == "cortex-m4"
    kj.html_report(kj.paper_cnn((2,)), path)
    path.write_text("<p>mine</p>")
    with pytest.raises(OptionError, match="is there and is not a page"):
        kj.html_report(kj.paper_cnn((2,)), path)
    assert path.read_text() == "<p>mine</p>"
