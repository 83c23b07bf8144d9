"""Tables and plots say what the graph says."""

import json
import math
import sys

import numpy as np
import pytest

from kanji_np import (
    Add,
    Concatenate,
    Conv2D,
    Flatten,
    Input,
    Model,
    ReLU,
    ReLU6,
    Sequential,
    Softmax,
    paper_cnn,
)
from kanji_np.deploy.planner import lower, plan
from kanji_np.errors import ToolError
from kanji_np.plots import plot_history
from kanji_np.report import cost_report, text_table
from kanji_np.train import EpochRecord, History


def history(epochs, precision="int8", validation=0.5):
    return tuple(
        EpochRecord(i, precision, 0.01, 1 / i, 1 - 1 / (i + 1), validation, 1.0)
        for i in epochs
    )


def test_layers_are_the_graphs():
    graph = paper_cnn((4, 6)).freeze()
    result = cost_report(graph)
    assert [layer.name for layer in result.layers] == [
        node.name for node in graph.nodes
    ]
    for layer, node in zip(result.layers, graph.nodes, strict=True):
        assert layer.output_shape == node.output.shape
        assert layer.macs == graph.cost(node).macs
        assert layer.flash_bytes == graph.cost(node).flash_bytes
    assert result.arena_bytes == plan(graph, lower(graph)).arena_bytes


def test_totals_are_sums():
    result = cost_report(paper_cnn((4, 6)))
    assert result.macs == 32 * 32 * 25 * 3 * 4 + 16 * 16 * 25 * 4 * 6 + 8 * 8 * 6 * 10
    assert result.flash_bytes == sum(layer.flash_bytes for layer in result.layers)
    (totals,) = (line for line in str(result).splitlines() if line[:6] == "total ")
    assert f"{result.macs:,}" in totals


def test_ram_is_input_output_and_scratch():
    layers = [Conv2D(4, 3, padding="same"), ReLU(), Flatten(), Softmax()]
    conv, relu, flatten, softmax = cost_report(Sequential(layers, (8, 8, 2))).layers
    assert conv.ram_bytes == 8 * 8 * (2 + 4) + 2 * 2 * 20  # 3*3*2 padded to 20, twice
    assert relu.ram_bytes == flatten.ram_bytes == 8 * 8 * 4
    assert softmax.ram_bytes == 2 * 8 * 8 * 4


def test_a_report_changes_nothing():
    net = paper_cnn((2,))
    before, _ = net.snapshot()
    cost_report(net)
    assert net.snapshot()[0] == before


def test_json_holds_everything_on_one_line():
    result = cost_report(paper_cnn((2,)))
    assert "\n" not in result.json()
    data = json.loads(result.json())
    assert (data["macs"], data["flash_bytes"]) == (result.macs, result.flash_bytes)
    assert data["layers"][1]["output_shape"] == [32, 32, 2]


def test_text_table():
    table = text_table(("a", "long"), [("name", "1"), ("b", "20")], left_columns=1)
    assert table.splitlines() == [
        "a     long",
        "----  ----",
        "name     1",
        "b       20",
    ]


@pytest.mark.parametrize(
    "records",
    [
        history([1]),
        history(range(1, 9)),
        history(range(1, 4), validation=math.nan),
        history([1, 2], "fp32") + history([3, 4]),
    ],
    ids=["one epoch", "several", "no validation", "two precisions"],
)
def test_plot_is_a_picture(tmp_path, records):
    from PIL import Image

    plot_history(History(records), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (432, 1080)
    assert pixels.max() == 255 and 0.01 < (pixels < 200).mean() < 0.2


def test_plot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ToolError, match=r"pip install 'kanji-np\[plot\]'"):
        plot_history(History(history([1])), tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_ram_of_several_inputs_counts_each_tensor_once():
    x = Input((8, 8, 2))
    y = ReLU6()(x)
    out = Add()(Concatenate()(x, y), Concatenate()(y, y))
    _, first, second, add = cost_report(Model(x, out)).layers
    assert first.ram_bytes == 8 * 8 * (2 + 2 + 4)
    assert second.ram_bytes == 8 * 8 * (2 + 4)
    assert add.ram_bytes == 3 * 8 * 8 * 4
