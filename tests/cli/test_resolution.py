"""Images of another resolution than the network's, for every command with both."""

import json
from pathlib import Path

import numpy as np
import pytest

import kanji_np as kj

from .commands import ok, run

NOTE = "note: images 16x24 resized to 8x8\n"


@pytest.fixture
def model(images):
    """A network for images of 8x8 with its firmware, which need not be good."""
    layers = [kj.Normalize((128, 128, 128)), kj.Conv2D(2, 3), kj.Flatten(), kj.Dense(2)]
    net = kj.Sequential(layers, (8, 8, 3), name="small")
    net.calibrate(np.load(images)["images"])
    net.save("model.npz")
    ok("export", "model.npz", "firmware")
    return "model.npz"


@pytest.fixture
def large(images):
    """The same dataset under the same name at 16x24: each pixel is a block."""
    Path("large").mkdir()
    with np.load(images) as file:
        blocks = np.ones((1, 2, 3, 1), np.uint8)
        large = np.kron(file["images"], blocks)
        np.savez("large/own.npz", images=large, labels=file["labels"])
    return "large/own.npz"


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "model.npz"),
        ("explain", "model.npz"),
        ("compare-runtimes", "model.npz"),
        ("report", "model.npz"),
        ("verify", "firmware"),
        ("vectors", "firmware", "golden"),
    ],
    ids=lambda command: command[0],
)
def test_they_are_resized_and_a_line_says_so(command, model, images, large):
    shown = ok(*command, "--data", large)
    assert shown.count(NOTE) == 1
    assert shown.replace(NOTE, "") == ok(*command, "--data", images)


def test_each_network_of_a_comparison_has_them_in_its_size(model, images, large):
    def rows(data):
        return json.loads(ok("compare", model, "--data", data, "--json"))["rows"]

    (row,), (expected,) = rows(large), rows(images)
    assert row == expected | {"notes": ["images 16x24 resized to 8x8"]}


def test_a_training_that_goes_on_has_them_in_the_size_of_its_network(
    model, images, large
):
    options = ("--start", model, "--epochs", "1", "--batch", "8", "--no-augment")
    ok("train", "--data", images, *options, "--directory", "a")
    assert NOTE in ok("train", "--data", large, *options, "--directory", "b")
    assert Path("a/model.npz").read_bytes() == Path("b/model.npz").read_bytes()


def test_an_imported_network_has_them_in_its_size(model, images, large):
    kj.save_tflite(kj.load(model), "small.tflite")
    made = []
    for data in (images, large):
        shown = ok("import", "small.tflite", "--data", data, "-o", "imported.npz")
        assert (NOTE in shown) is (data == large)
        made.append(Path("imported.npz").read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize("command", [("evaluate", "model.npz"), ("verify", "firmware")])
def test_what_differs_in_channels_is_refused_in_a_line(command, model):
    np.savez("grey.npz", images=np.zeros((9, 9, 9, 1), np.uint8), labels=[0, 1, 2] * 3)
    code, output = run(*command, "--data", "grey.npz")
    assert (code, output.count("\n")) == (2, 1)
    assert output.startswith("small takes ") and "8, 8, 3), " in output
