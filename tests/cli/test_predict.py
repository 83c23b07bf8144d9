"""The command `predict`, and models that remember what they are given."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kanji_np as kj
from kanji_np.formats.save import save_tflite

from .commands import ok, run

SHADES = {"dark": 40, "light": 200}


def told(*args):
    """The lines below the header, in words."""
    header, _, *lines = ok("predict", *args).splitlines()
    assert header.split() == ["file", "class", "probability"]
    return [line.split() for line in lines]


def picture(path, shade, size=(30, 20), mode="RGB"):
    rng = np.random.default_rng(shade)
    pixels = rng.integers(-30, 30, (*size, 3)) + shade
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    image.convert(mode).save(path)
    return str(path)


@pytest.fixture
def folders():
    """Pictures of two classes, of one size."""
    for name, shade in SHADES.items():
        folder = Path("shades", name)
        folder.mkdir(parents=True)
        for i in range(10):
            picture(folder / f"{i}.png", shade + i)
    return "shades"


@pytest.fixture
def model():
    """A grey network for 8x8 that tells dark from light by its weights."""
    layers = [kj.Normalize(128), kj.Flatten(), kj.Dense(2)]
    net = kj.Sequential(layers, (8, 8, 1), name="shades", classes=[*SHADES])
    sign = np.array([[-1.0], [1.0]], np.float32)
    net.load_weights(
        {"dense1/weight": np.repeat(sign, 64, axis=1) / 64, "dense1/bias": np.zeros(2)}
    )
    net.calibrate(np.arange(256, dtype=np.uint8).repeat(64).reshape(-1, 8, 8, 1))
    net.save("shades.npz")
    return "shades.npz"


def test_images_are_resized_and_made_grey_as_the_model_says(model):
    dark, light = picture("a.png", 30), picture("b.jpg", 220, (9, 50), "L")
    lines = told(model, dark, light)
    assert [line[:2] for line in lines] == [["a.png", "dark"], ["b.jpg", "light"]]
    assert all(line[3] == "%" for line in lines)


def test_folders_need_no_options_where_a_model_is_there(model, folders):
    output = ok("evaluate", model, "--data", folders)
    assert output.startswith("int8 accuracy 100.00 %: 4 of 4 test images\n")
    assert len(told(model, "shades/dark")) == 10
    ok("export", model, "firmware")
    assert ok("verify", "firmware", "--data", folders).startswith("0 differing bytes")
    ok("explain", model, "--data", folders)


def test_probabilities_are_those_of_python(model):
    path = picture("a.png", 150)
    (line,) = ok("predict", model, path, "--top", "5", "--json").splitlines()
    facts = json.loads(line)
    pixels = np.asarray(Image.open(path).convert("L").resize((8, 8), 2))
    expected = kj.load(model).probabilities(pixels[..., None])
    assert (facts["file"], facts["sample"]) == ("a.png", 0)
    found = {each["class"]: each for each in facts["classes"]}
    assert [found[i]["name"] for i in range(2)] == ["dark", "light"]
    for i in range(2):
        assert found[i]["probability"] == pytest.approx(expected[i], abs=1e-6)
    assert facts["classes"][0]["probability"] >= facts["classes"][1]["probability"]
    first, second = told(model, path, "--top", "2")
    assert {first[1], second[0]} == {"dark", "light"}


def test_arrays_have_a_line_for_each_sample(model):
    x = np.array([10, 240, 20], np.uint8).repeat(64).reshape(3, 8, 8)
    np.save("three.npy", x)
    np.savez("two.npz", x=x[:2, ..., None], labels=np.zeros(2))
    np.save("one.npy", x[1, ..., None])
    lines = told(model, "three.npy", "two.npz", "one.npy")
    assert [line[:2] for line in lines] == [
        ["three.npy[0]", "dark"], ["three.npy[1]", "light"], ["three.npy[2]", "dark"],
        ["two.npz[0]", "dark"], ["two.npz[1]", "light"], ["one.npy", "light"],
    ]  # fmt: skip


def test_real_values_and_classes_without_names():
    net = kj.Sequential([kj.Dense(3)], (4,), input_range=(-1, 1), scheme="asymmetric")
    net.calibrate(np.random.default_rng(0).normal(size=(50, 4)))
    net.save("real.npz")
    x = np.random.default_rng(1).normal(size=(4, 4))
    np.save("x.npy", x)
    said = [line[1] for line in told("real.npz", "x.npy")]
    assert said == [str(k) for k in net.classify(x)]
    fp32 = told("real.npz", "x.npy", "--precision", "fp32")
    assert [line[1] for line in fp32] == [
        str(k) for k in net.classify(x, precision="fp32")
    ]


def test_files_of_other_programs(model):
    save_tflite(kj.load(model), "net.tflite")
    ((file, label, *_),) = told("net.tflite", picture("a.png", 30))
    assert (file, label) == ("a.png", "0")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("gone.png", "gone.png: no such file"),
        ("notes.txt", "notes.txt: expected an image (.png, "),
        ("empty", "empty: holds no images"),
        ("torn.png", "torn.png: not a readable image: "),
        ("torn.npy", "torn.npy: not a .npy file: "),
        ("torn.npz", "torn.npz: not a .npz file of plain arrays: "),
        ("several.npz", "several.npz: expected one array, or one of images, x, x_test"),
        (
            "wide.npy",
            "shades takes uint8 (N, 8, 8, 1), N at least 1; got uint8 (2, 9, ",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(model, file, message):
    Path("empty").mkdir()
    for name in ("notes.txt", "torn.png", "torn.npy", "torn.npz"):
        Path(name).write_text("no picture")
    np.savez("several.npz", a=np.zeros(3), b=np.zeros(3))
    np.save("wide.npy", np.zeros((2, 9, 9, 1), np.uint8))
    code, output = run("predict", model, file)
    assert code == 2 and len(output.splitlines()) == 1
    assert output.startswith(message)


def test_networks_that_name_no_class_are_refused(model):
    kj.autoencoder().save("auto.npz")
    code, output = run("predict", "auto.npz", "x.npy")
    assert (code, output.startswith("auto.npz gives back its inputs")) == (2, True)
    net = kj.Sequential([kj.Dense(3)], (4,))
    net.save("vector.npz")
    code, output = run("predict", "vector.npz", picture("a.png", 30))
    assert code == 2
    assert output == (
        "a.png: network takes 4, which no image has: give samples as .npy or .npz\n"
    )
