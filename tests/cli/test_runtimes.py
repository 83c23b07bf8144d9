"""The command `compare-runtimes`, and the note on networks of another target."""

import json

from .commands import ok


def test_compare_runtimes(train, images):
    ok(*train, "--epochs", "1", "--scheme", "asymmetric")
    command = ("compare-runtimes", "runs/own/model.npz", "--data", images)
    output = ok(*command)
    assert output.startswith("own, 12 images, 24 output bytes\n")
    assert output.endswith("\ntrained for cmsis-nn/7.0.0/dsp/double\n")
    told = json.loads(ok(*command, "--images", "3", "--json"))
    assert told["images"] == 3
    assert [r["name"] for r in told["runtimes"]][:3] == ["tflm", "litert", "xnnpack"]


def test_another_target_is_noted(train, images):
    ok(*train, "--epochs", "1")
    model = "runs/own/model.npz"
    note = "note: own was trained for cmsis-nn/7.0.0/dsp/double; cmsis-nn/7.0.0/dsp/s"
    for command in (
        ("evaluate", model, "--data", images),
        ("explain", model, "--data", images),
        ("export", model, "firmware"),
    ):
        assert "note:" not in ok(*command)
        assert "note:" not in ok(
            *command, "--core", "mve", "--library-version", "4.0.0"
        )
        assert ok(*command, "--rounding", "single").count(note) == 1
    again = (*train, "--epochs", "1", "--start", model, "--directory", "again")
    assert note in ok(*again, "--rounding", "single")
