"""Commands that print a table: report, datasets and bench."""

import json

from kanji_np import paper_cnn

from .commands import ok


def test_report_of_channels_and_of_a_model():
    paper_cnn((2, 3), name="small").save("net.npz")
    by_channels = json.loads(ok("report", "--channels", "2,3", "--json"))
    by_model = json.loads(ok("report", "net.npz", "--json"))
    assert by_model.pop("network") == "small"
    assert by_channels.pop("network") == "cifar10"
    assert by_model == by_channels
    assert "total" in ok("report", "--channels", "2,3")


def test_datasets():
    output = ok("datasets")
    for source in ("synthetic", "cifar10", "FILE.npz", "DIRECTORY"):
        assert f"\n{source} " in output
    assert max(map(len, output.splitlines())) <= 100


def test_bench():
    options = ("bench", "--channels", "2,2", "--batch", "2", "--steps", "1")
    output = ok(*options, "--json")
    assert output.count("\n") == 1
    figures = json.loads(output)
    assert set(figures) == {
        "network", "batch", "threads", "cpu", "int8_train_ms", "fp32_train_ms",
        "int8_eval_ms", "fp32_eval_ms", "peak_rss_mb",
    }  # fmt: skip
    assert (figures["network"], figures["batch"]) == ("paper-cnn 2,2", 2)
    assert all(figures[key] > 0 for key in figures if key.endswith(("_ms", "_mb")))
    assert "ms a batch" in ok(*options)
