"""The command `convert`."""

from pathlib import Path

import numpy as np
import pytest

import kanji_np as kj

from .commands import MAIN, ok, process, run


@pytest.fixture
def model():
    net = kj.Sequential(
        [kj.Conv2D(4, 3, padding="same", activation="relu"), kj.Flatten(), kj.Dense(2)],
        (6, 6, 2),
        scheme="asymmetric",
        name="small",
    )
    net.calibrate(inputs())
    net.save("small.npz")
    return "small.npz"


def inputs():
    rng = np.random.default_rng(0)
    return rng.integers(-128, 128, (8, 6, 6, 2)).astype(np.int8)


def test_there_and_back(model):
    output = ok("convert", model, "small.tflite")
    assert output.startswith("small.tflite: ") and "\noutput  int8 (1, 2)" in output
    assert ok("convert", "small.tflite", "back.npz") == "model          back.npz\n"
    x = inputs()
    expected = kj.load(model).predict(x)
    np.testing.assert_array_equal(kj.load("back.npz").predict(x), expected)

    ok("convert", model, "small.onnx")
    ok("convert", "small.onnx", "from_onnx.npz")
    answers = kj.load("from_onnx.npz").predict(x)
    assert np.abs(answers.astype(int) - expected).max() <= 1

    assert "small2.onnx: " in ok("convert", "small.tflite", "small2.onnx")
    assert kj.load_onnx("small2.onnx").input.shape == (6, 6, 2)


@pytest.mark.parametrize(
    ("source", "file", "words"),
    [
        ("small.npz", "net.txt", "net.txt: the name must end in one of .npz, .tflite,"),
        ("small.npz", "net", "net: the name must end in one of .npz, .tflite, .onnx"),
        ("gone.npz", "net.tflite", "gone.npz: no such file"),
        ("gone.onnx", "net.tflite", "gone.onnx: no such file"),
        ("text.tflite", "net.npz", "text.tflite: "),
        ("text.onnx", "net.npz", "text.onnx: "),
        ("small.npz", "text.tflite", "text.tflite: "),
        ("small.npz", "text.onnx", "text.onnx: "),
        ("text.tflite", "text.tflite", "text.tflite: "),
    ],
)
def test_what_is_refused(model, source, file, words):
    for name in ("text.tflite", "text.onnx"):
        Path(name).write_text("hello, world")
    code, output = run("convert", source, file)
    assert (code, output.count("\n")) == (2, 1), output
    assert output.startswith(words), output


@pytest.mark.parametrize("ending", [".npz", ".tflite", ".onnx"])
def test_folders_are_made(model, ending):
    ok("convert", model, f"new/folder/net{ending}")
    assert [path.name for path in Path("new/folder").iterdir()] == [f"net{ending}"]


@pytest.mark.parametrize(
    ("package", "files", "extra"),
    [
        ("tflite", ("small.npz", "net.tflite"), "tflite"),
        ("flatbuffers", ("some.tflite", "net.npz"), "tflite"),
        ("onnx", ("small.npz", "net.onnx"), "onnx"),
        ("onnx", ("some.onnx", "net.npz"), "onnx"),
    ],
)
def test_a_missing_package_is_named(model, package, files, extra):
    del model
    code = f"import sys; sys.modules[{package!r}] = None; {MAIN}"
    with process(code, "convert", *files) as command:
        output, error = command.communicate()
    (file,) = (name for name in files if not name.endswith(".npz"))
    assert (command.returncode, output) == (2, "")
    assert error.startswith(f"{file}: ")
    assert error.endswith(f": pip install 'kanji-np[{extra}]'\n")
    assert error.count("\n") == 1
