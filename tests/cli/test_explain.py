"""The command `explain`."""

import json
from pathlib import Path

import numpy as np

import kanji_np as kj
from kanji_np.cli.options import spread

from .commands import ok, run


def test_explain(train, images):
    ok(*train, "--epochs", "1")
    model = "runs/own/model.npz"
    output = ok("explain", model, "--data", images, "--plot", "layers.png")
    assert Path("layers.png").read_bytes().startswith(b"\x89PNG")
    assert "int8 beside float32, 12 images\n" in output
    assert "\ncostliest: " in output
    scored = ok("evaluate", model, "--data", images)
    percent = scored.split()[2]
    assert f"\nint8 accuracy  {percent} %\n" in output
    assert "\nfp32 accuracy  " in output

    told = json.loads(ok("explain", model, "--data", images, "--json"))
    assert told["scores"]["int8"] == float(percent) / 100
    assert [layer["name"] for layer in told["layers"]][:2] == ["normalize1", "conv1"]


def test_images_are_counted(images):
    net = kj.Sequential([kj.Normalize((0, 0, 0)), kj.Flatten(), kj.Dense(2)], (8, 8, 3))
    net.save("net.npz")
    output = ok("explain", "net.npz", "--data", images, "--images", "4")
    assert "int8 beside float32, 4 images\n" in output


def test_the_images_looked_at():
    data = kj.Dataset(
        np.arange(10, dtype=np.uint8)[:, None], np.zeros(10, np.int64), ("a",), "ten"
    )
    assert spread(data, 4).images.ravel().tolist() == [0, 2, 5, 7]
    assert spread(data, 10) is spread(data, 99) is data


def test_labels_that_do_not_fit_leave_the_layers(images):
    net = kj.Sequential([kj.Normalize((0, 0, 0)), kj.Flatten(), kj.Dense(1)], (8, 8, 3))
    net.save("net.npz")
    output = ok("explain", "net.npz", "--data", images)
    assert output.splitlines()[-1] == (
        "not scored: network has outputs (1,), own has 2 classes"
    )
    told = json.loads(ok("explain", "net.npz", "--data", images, "--json"))
    assert told["scores"] == {}


def test_a_plot_is_checked_first():
    args = ("explain", "gone.npz", "--data", "synthetic", "--plot", "layers.jpg")
    assert run(*args) == (2, "a plot's file must end in .png, got layers.jpg\n")
