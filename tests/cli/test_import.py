"""The command `import`, and other commands on files from elsewhere."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

import kanji_np as kj
from kanji_np.choices import SCHEMES
from kanji_np.cli.pixels import PixelOptions
from kanji_np.errors import OptionError
from kanji_np.results import read_result

from .commands import ok, run


@pytest.fixture
def int8_file(images):
    """A small int8 network that takes pixels less 128, on a scale of 0..1."""
    net = kj.Sequential(
        [
            kj.Conv2D(4, 3, padding="same", activation="relu"),
            kj.MaxPool2D(4),
            kj.Flatten(),
            kj.Dense(2),
        ],
        (8, 8, 3),
        scheme="asymmetric",
        input_qparams=kj.QParams(1 / 255, -128),
    )
    x = np.load(images)["images"]
    net.calibrate((x.astype(int) - 128).astype(np.int8))
    kj.save_tflite(net, "small.tflite")
    return "small.tflite"


@pytest.fixture
def float_file():
    """A dense layer on the mean of each channel of (3, 8, 8), as ONNX has it."""
    weight = np.array([[-1.0, 1], [-0.5, 0.5], [-1, 1]], np.float32)
    nodes = [
        onnx.helper.make_node("GlobalAveragePool", ["x"], ["p"], name="pool"),
        onnx.helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        onnx.helper.make_node("Gemm", ["f", "w", "b"], ["y"], name="dense"),
    ]
    of_floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "small",
        [onnx.helper.make_tensor_value_info("x", of_floats, (1, 3, 8, 8))],
        [onnx.helper.make_tensor_value_info("y", of_floats, (1, 2))],
        [
            onnx.numpy_helper.from_array(weight, "w"),
            onnx.numpy_helper.from_array(np.array([1.25, -1.25], np.float32), "b"),
        ],
    )
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, "small.onnx")
    return "small.onnx"


def test_an_int8_file_says_what_a_pixel_is(int8_file, images):
    output = ok("import", int8_file, "--data", images)
    assert output.startswith("small for cmsis-nn/7.0.0/dsp/double, input 8x8x3\n")
    assert "\nfile    int8 8x8x3: real value 0.00392157 * (q + 128), 0 to 1\n" in output
    pixels = "real value pixel * 0.00392157, 0 to 1; q = pixel - 128"
    assert f"\npixels  {pixels}\n\n" in output
    assert re.search(r"\n\(images\) +rescaling1 +rescaling +8x8x3 ", output)
    assert re.search(r"\nCONV_2D +conv1 +conv2d +8x8x4 ", output)
    assert re.search(r"\nfp32 accuracy +[\d.]+ % on 12 images\n", output)
    net = kj.load("runs/small/model.npz")
    # The image layer and the file's integers, and no training.
    test = np.load(images)["images"][:5]
    file_net = kj.load_tflite(int8_file)
    shifted = (test.astype(int) - 128).astype(np.int8)
    np.testing.assert_array_equal(net.predict(test), file_net.predict(shifted))


def test_pixels_beyond_what_the_file_holds(int8_file, images):
    options = ("--mean", "0.5,0.5,0", "--std", "0.5")
    output = ok("import", int8_file, "--data", images, *options)
    assert (
        "\npixels  real value pixel * 0.00784314 + (-1, -1, 0), -1 to 2; "
        "the file holds 0 to 1 and clamps the rest\n"
    ) in output


def test_firmware_of_a_file_is_verified_with_images(int8_file, images):
    ok("export", int8_file, "firmware")
    verify = ("verify", "firmware", "--data", images)
    assert "0 differing bytes in 12 images" in ok(*verify)
    assert "0 differing bytes in 12 images" in ok(*verify, "--scale", "1/128")
    assert run(*verify, "--scale", "1,1") == (
        2,
        "rescaling: scale must be one number or 3 for an input (8, 8, 3), got 2\n",
    )
    ok("vectors", "firmware", "vectors", "--data", images, "--images", "2")
    with np.load("vectors/small_vectors.npz") as arrays:
        given = arrays["input"]
    net = kj.load_tflite(int8_file)
    _, test = kj.load_dataset(images)
    expected = (test.images[:2].astype(int) - 128).astype(np.int8)
    np.testing.assert_array_equal(given, expected)
    assert given.dtype == net.input.dtype


def test_a_score_at_chance_says_what_to_look_at(float_file, images):
    command = ("--data", images, "--scale", "1/2550")  # all images are dark
    for name in ("import", "evaluate"):
        fp32 = ("--precision", "fp32") if name == "evaluate" else ()
        output = ok(name, float_file, *command, *fp32)
        note = output[output.index("note: ") :].splitlines()
        assert note[0] == (
            "note: 50.00 % is at chance: always answering the most frequent label "
            "gives 50.00 %. Look at"
        )
        assert note[1].startswith(
            "  pixels:  the network is given pixel * 0.000392157;"
        )
        assert note[2].endswith("in the order of the data: 0 0, 1 1")
        assert note[3].endswith("(8, 8, 3), in the order red, green, blue")
    output = ok("import", float_file, "--data", images, "--scale", "1/255")
    assert "note" not in output


def test_real_values_at_chance(float_file):
    x = np.zeros((40, 8, 8, 3), np.float32)
    x[0] = -3
    np.savez("real.npz", x=x, y=np.arange(40) % 2)
    output = ok("import", float_file, "--data", "real.npz")
    assert "\nfile    float32 8x8x3: real values\n\n" in output
    assert "values:  real holds " in output


def test_fewer_classes_than_outputs(float_file, images):
    with np.load(images) as arrays:
        x = arrays["images"]
    np.savez("one.npz", x=x, y=np.zeros(len(x), int), classes=["light"])
    output = ok("import", float_file, "--data", "one.npz", "--scale", "1/255")
    assert (
        "note: small has 2 outputs, one has 1 classes: outputs from number 1 on are "
        "always wrong\n"
    ) in output


def test_training_on(int8_file, images):
    options = ("--epochs", "2", "--plot", "scores.png", "-o", "tuned.npz")
    output = ok("import", int8_file, "--data", images, *options)
    assert re.search(r"\nint8 accuracy +[\d.]+ % after epoch 2\n", output)
    assert "model          tuned.npz\n" in output
    assert Path("scores.png").read_bytes().startswith(b"\x89PNG")
    written = {path.name for path in Path("runs/small").iterdir()}
    assert {"model.npz", "checkpoint.npz", "history.csv", "curves.png"} <= written
    tuned = kj.load("tuned.npz")
    assert tuned.trained_for == tuned.target
    assert "runs/small holds a run" in run(
        "import", int8_file, "--data", images, "--epochs", "2"
    )[1]  # fmt: skip
    ok("import", int8_file, "--data", images, "--epochs", "2", "--resume")


def test_a_float_file_is_calibrated(float_file, images):
    code, output = run("import", float_file, "--data", images)
    assert (code, output.count("\n")) == (2, 1)
    assert "small.onnx does not say what a pixel is to it: give --scale" in output
    output = ok("import", float_file, "--data", images, "--scale", "1/255")
    assert "fp32 accuracy  100.00 % on 12 images\n" in output
    assert "int8 accuracy  100.00 % on 12 images\n" in output
    model = kj.load("runs/small/model.npz")
    assert model.is_calibrated
    assert "100.00 %" in ok("evaluate", "runs/small/model.npz", "--data", images)
    output = ok(
        "import", float_file, "--data", images, "--scale", "1/255", "--ranges",
        "percentile", "--directory", "other",
    )  # fmt: skip
    assert kj.load("other/model.npz").quantization.ranges == "percentile"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_float_file_is_quantized_as_told(float_file, images, scheme):
    options = ("--scale", "1/255", "--scheme", scheme, "--ranges", "percentile")
    ok("import", float_file, "--data", images, *options, "-o", "net.npz")
    net = kj.load("net.npz")
    assert net.quantization.scheme.name == scheme
    assert net.quantization.ranges == "percentile"
    scales = [node.output.qparams.scale for node in net.freeze().nodes]
    if scheme.startswith("pow2"):
        assert {np.frexp(scale)[0] for scale in scales} == {0.5}


def test_weights_of_4_bits_and_a_result(float_file, images):
    options = ("--scale", "1/255", "--weight-bits", "4", "--epochs", "1")
    command = ("import", float_file, "--data", images, *options)
    output = ok(*command, "--result", "small.json")
    assert kj.load("runs/small/model.npz").layers[-1].attrs.weight_bits == 4
    result = read_result("small.json")
    assert (result.network, result.weight_bits, result.epochs) == ("small", 4, 1)
    assert result.is_begun and result.command.startswith("kanji-np import small.onnx")
    assert f"int8 accuracy  {100 * result.int8_score:.2f} % after epoch 1" in output
    assert "| small |" in ok("results", ".")


def test_a_model_is_trained_on(int8_file, images):
    ok("import", int8_file, "--data", images, "-o", "net.npz")
    before = kj.load("net.npz")
    options = ("--epochs", "1", "--optimizer", "adam", "--lr", "0.001")
    command = ("train", "--data", images, "--start", "net.npz", *options)
    assert "test images" in ok(*command, "--name", "tuned")
    net = kj.load("runs/tuned/model.npz")
    assert [layer.name for layer in net.layers] == [x.name for x in before.layers]
    assert net.quantization == before.quantization
    assert net.trained_for == net.target
    ok(*command, "--scheme", "symmetric", "--ranges", "minmax", "--directory", "new")
    assert kj.load("new/model.npz").quantization.scheme.name == "symmetric"
    assert run("train", "--data", images, "--start", int8_file) == (
        2,
        "small.tflite must be converted before it is trained on: `kanji-np import "
        "small.tflite --data SOURCE --epochs N` does both\n",
    )


def test_commands_are_told_what_a_pixel_is(images):
    """Where an int8 file does not say it."""
    net = kj.Sequential(
        [kj.Flatten(), kj.Dense(2)],
        (8, 8, 3),
        scheme="asymmetric",
        input_qparams=kj.QParams(0.0157, -1),
    )
    net.calibrate(np.zeros((1, 8, 8, 3), np.int8))
    kj.save_tflite(net, "normed.tflite")
    pixels = ("--mean", "0.5", "--std", "0.25")
    ok("import", "normed.tflite", "--data", images, *pixels, "-o", "net.npz")
    for command in ("evaluate", "explain", "compare-runtimes"):
        code, output = run(command, "normed.tflite", "--data", images)
        assert code == 2 and "does not say what a pixel is to it: give --" in output
        told = ok(command, "normed.tflite", "--data", images, *pixels)
        assert re.split("\n\ntrained for|note: ", told)[0] in ok(
            command, "net.npz", "--data", images
        )
    code, output = run("evaluate", "net.npz", "--data", images, *pixels)
    assert code == 2 and "net.npz is a model file, which says it itself" in output


def test_commands_take_files_from_elsewhere(int8_file, images):
    assert "12 test images" in ok("evaluate", int8_file, "--data", images)
    assert "int8 beside float32" in ok("explain", int8_file, "--data", images)
    assert "runtime" in ok("compare-runtimes", int8_file, "--data", images)
    assert "conv1" in ok("report", int8_file)
    assert "bytes of weights" in ok("export", int8_file, "firmware")


def test_a_float_file_is_explained_with_ranges_of_the_data(float_file):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 0.4, (60, 8, 8, 3)) + np.arange(60)[:, None, None, None] % 2
    np.savez("features.npz", x=x.astype(np.float32), y=np.arange(60) % 2)
    output = ok("explain", float_file, "--data", "features.npz")
    assert re.findall(r"accuracy +([\d.]+) %", output) == ["100.00", "100.00"]


def test_a_float_file_is_not_deployed_without_ranges(float_file, images):
    for command in (
        ("export", float_file, "firmware"),
        ("compare-runtimes", float_file, "--data", images),
    ):
        code, output = run(*command)
        assert code == 2 and output.count("\n") == 1, output
    assert "has no ranges for int8 yet: convert it with" in run(
        "export", float_file, "firmware"
    )[1]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scale", "x"), "--scale.*'x' is not a number such as 0.5 or 1/255"),
        (("--scale", "1/0"), "'1/0' is not a number"),
        (("--scale", "1", "--mean", "0"), "--scale and --offset exclude --mean"),
        (("--mean", "0,0,0", "--std", "1,1"), "--mean has 3 numbers and --std has 2"),
        (("--std", "0"), "--std must be positive, got 0"),
        (("--ranges", "percentile"), "small.tflite is int8, .* leave out --scheme, --"),
        (("--scheme", "pow2"), "small.tflite is int8, and its integers are kept"),
        (("--weight-bits", "4"), "small.tflite is int8, and its integers are kept"),
        (("--result", "own.npz"), "own.npz: is there and is not a result"),
        (("--resume",), "--resume goes on with a training: give its --epochs"),
        (("--plot", "scores.jpg"), "must end in .png"),
        (("-o", "own.npz"), "own.npz: is there and is not a model"),
    ],
)
def test_what_is_refused(int8_file, images, options, words):
    code, output = run("import", int8_file, "--data", images, *options)
    assert (code, output.count("\n")) == (2, 1)
    assert re.search(words, output), output


def test_what_is_no_network(images):
    code, output = run("import", images, "--data", images)
    assert (code, output.count("\n")) == (2, 1)
    assert "the name must end in .tflite or .onnx" in output


def test_training_on_files_is_timed(int8_file, float_file):
    for file in (int8_file, float_file):
        figures = json.loads(ok("bench", file, "--batch", 2, "--steps", 1, "--json"))
        assert figures["network"] == "small"
        assert all(figures[key] > 0 for key in figures if key.endswith("_ms"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("net.h5", "a Keras model: write it as .tflite with"),
        ("net.keras", "a Keras model: write it as .tflite with"),
        ("net.pt", "a PyTorch file: load the model there and write it with"),
        ("net.pth", "a PyTorch file: load the model there and write it with"),
        ("net.pb", "a TensorFlow model: write it as .tflite with"),
        ("folder", "a TensorFlow model: write it as .tflite with"),
    ],
)
def test_other_files_say_how_to_convert_them(images, name, words):
    Path("folder").mkdir()
    Path("folder/saved_model.pb").touch()
    if name != "folder":
        Path(name).write_bytes(b"anything")
    for command in (
        ("import", name, "--data", images),
        ("evaluate", name, "--data", images),
        ("export", name, "firmware"),
        ("convert", name, "out.tflite"),
        ("report", name),
        ("bench", name),
    ):
        code, output = run(*command)
        assert (code, output.count("\n")) == (2, 1)
        assert output.startswith(f"{name} is {words}")


def test_pixels_of_images_only(float_file):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 8, 8, 3)).astype(np.float32)
    np.savez("real.npz", x=x, y=np.arange(40) % 2)
    code, output = run("import", float_file, "--data", "real.npz", "--scale", "1")
    assert code == 2
    assert output == (
        "--scale, --offset, --mean and --std do not apply: real has float32\n"
    )
    assert "fp32 accuracy" in ok("import", float_file, "--data", "real.npz")


def test_a_file_that_takes_images(images):
    net = kj.Sequential(
        [kj.Normalize((120, 120, 120)), kj.Flatten(), kj.Dense(2)],
        (8, 8, 3),
        scheme="asymmetric",
    )
    x = np.load(images)["images"]
    net.calibrate(x)
    kj.save_tflite(net, "pixels.tflite")
    ok("import", "pixels.tflite", "--data", images)
    taken = kj.load("runs/pixels/model.npz")
    assert taken.input.dtype == "uint8"
    code, output = run("import", "pixels.tflite", "--data", images, "--scale", "1")
    assert code == 2 and "pixels.tflite takes uint8 images as they are" in output


def test_the_layer_of_pixels():
    pixels = np.arange(256, dtype=np.float64)
    layer = PixelOptions(mean=(0.5, 0.25), std=(0.5,)).layer(Path("f"), None)
    grey = np.stack([pixels, pixels], axis=1)
    expected = (grey / 255 - (0.5, 0.25)) / 0.5
    np.testing.assert_allclose(layer.attrs.of(grey), expected)
    own = PixelOptions().layer(Path("f"), kj.QParams(1.0, -128))
    np.testing.assert_array_equal(own.attrs.of(pixels[:, None])[:, 0], pixels)
    with pytest.raises(OptionError, match="does not say what a pixel is"):
        PixelOptions().layer(Path("f"), kj.QParams(1.0, 0))
