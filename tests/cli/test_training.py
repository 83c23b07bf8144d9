"""The command `train`: what it leaves behind, and how it goes on."""

import csv
import json
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import kanji_np
from kanji_np import Sequential, cli
from kanji_np.cli.options import given
from kanji_np.results import read_result

from .commands import MAIN, ok, process, run


def test_a_resumed_run_keeps_its_name(train):
    ok(*train, "--epochs", "1", "--directory", "run", "--name", "one")
    before = Path("run/model.npz").read_bytes()
    again = (*train, "--epochs", "1", "--directory", "run", "--resume")
    code, output = run(*again, "--name", "two")
    assert (code, output.count("\n")) == (2, 1)
    assert "run/checkpoint.npz is of a network with --name one, not two" in output
    assert Path("run/model.npz").read_bytes() == before
    ok(*again, "--name", "one")


def test_train_leaves_everything_behind(train):
    output = ok(*train, "--epochs", "2", "--lr", "0.02", "--fp32-epochs", "1")
    written = {path.name for path in Path("runs/own").iterdir()}
    assert written == {"model.npz", "checkpoint.npz", "history.csv", "curves.png"}
    with open("runs/own/history.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [
        "epoch", "precision", "lr", "train_loss", "train_accuracy",
        "validation_accuracy", "seconds", "note",
    ]  # fmt: skip
    assert [row[:2] for row in rows] == [["1", "fp32"], ["2", "int8"]]
    assert re.search(r"int8 accuracy  \d+\.\d\d % on 12 test images", output)
    assert output.endswith("  kanji-np export runs/own/model.npz runs/own/firmware\n")


@pytest.mark.parametrize(
    "options",
    [
        ("--optimizer", "adam", "--schedule", "cosine", "--no-augment"),
        ("--optimizer", "adamw", "--weight-decay", "0.1", "--cutout", "3"),
        (
            "--momentum",
            "0.5",
            "--no-augment",
            "--cutout",
            "3",
            "--label-smoothing",
            "0.1",
        ),
    ],
)
def test_options_of_train(train, options):
    ok(*train, "--epochs", "1", "--directory", "out", "--name", "n", *options)
    assert re.search(r"\nnormalize1 +\w+ +8x8x3", ok("report", "out/model.npz"))


@pytest.mark.parametrize(
    ("options", "title", "quantization"),
    [
        (
            ("--scheme", "asymmetric", "--ranges", "percentile", "--batch-norm"),
            "paper-cnn 2 batch norm",
            ("asymmetric", "percentile", 8),
        ),
        (
            ("--network", "paper-vgg", "--scheme", "pow2-per-channel"),
            "paper-vgg 2",
            ("pow2-per-channel", "minmax", 8),
        ),
        (
            ("--weight-bits", "4", "--ranges", "learned", "--pool", "average"),
            "paper-cnn 2 average pool",
            ("pow2", "learned", 4),
        ),
    ],
)
def test_networks_of_the_zoo_are_trained(train, options, title, quantization):
    ok(*train, "--epochs", "1", "--name", "n", "--result", "a.json", *options)
    result = read_result("a.json")
    assert result.network == title
    assert (result.scheme, result.ranges, result.weight_bits) == quantization
    net = kanji_np.load("runs/n/model.npz")
    assert result.digest == net.freeze().digest()
    assert net.quantization.scheme.name == result.scheme


def test_the_options_that_were_given_are_data():
    command = cli.main.commands["train"]
    typed = (
        "--no-augment --lr=5e-2 --cutout 0 --batch-norm --channels 4,8 --grey "
        "--size 8x16 --data cifar10:/home/me/data --start /home/me/model.npz"
    )
    assert list(given(command.make_context("train", typed.split())).items()) == [
        ("data", "cifar10:data"), ("size", "8x16"), ("grey", True),
        ("channels", "4,8"), ("batch-norm", True), ("start", "model.npz"),
        ("lr", 0.05), ("augment", False), ("cutout", 0),
    ]  # fmt: skip


def test_training_begins_with_the_weights_of_another_run(train, images):
    ok(*train, "--epochs", "3", "--precision", "fp32", "--batch-norm", "--name", "one")
    model = "runs/one/model.npz"
    more = (*train, "--epochs", "1", "--start", model, "--result", "a.json")
    other = ("--scheme", "asymmetric", "--weight-bits", "4", "--target", "cmsis-nn")
    ok(*more, "--batch-norm", "--lr", "1e-9", "--name", "two", *other)
    one, two = kanji_np.load(model), kanji_np.load("runs/two/model.npz")
    assert (two.name, two.quantization.scheme.name) == ("two", "asymmetric")
    result = read_result("a.json")
    assert result.is_begun and result.weight_bits == 4
    for (name, a), (_, b) in zip(
        one.named_parameters(), two.named_parameters(), strict=True
    ):
        np.testing.assert_allclose(a.data, b.data, atol=1e-6, err_msg=name)
    for options in ((), ("--batch-norm", "--channels", "3")):
        code, output = run(*more, *options, "--name", "three")
        assert (code, output.count("\n")) == (2, 1)
        assert re.match("the weights of one do not fit three: .*conv1/", output)


def test_an_autoencoder_is_scored_by_its_auc():
    rng = np.random.default_rng(0)
    normal = rng.integers(60, 190, (40, 2)).repeat(8, axis=1)
    strange = rng.integers(0, 256, (20, 16))
    np.savez(
        "sounds.npz", x_train=normal[:20].astype(np.uint8), y_train=np.zeros(20, int),
        x_test=np.concatenate([normal[20:], strange]).astype(np.uint8),
        y_test=np.arange(40) // 20, classes=["normal", "strange"],
    )  # fmt: skip
    data = ("--data", "sounds.npz")
    output = ok(
        "train", *data, "--network", "autoencoder", "--epochs", "2", "--batch", "8",
        "--precision", "fp32", "--directory", "run", "--result", "a.json",
    )  # fmt: skip
    assert re.search(r"fp32 AUC +[01]\.\d{4}\nint8 AUC +[01]\.\d{4} on 40 test", output)
    result = read_result("a.json")
    assert (result.metric, result.network) == ("AUC", "autoencoder")
    assert ok("evaluate", "run/model.npz", *data) == (
        f"int8 AUC {result.int8_score:.4f} of 40 test images\n"
    )


def test_fp32_is_calibrated_on_images(train, images):
    output = ok(*train, "--epochs", "4", "--precision", "fp32")
    assert re.search(
        r"fp32 accuracy  \d+\.\d\d %\nint8 accuracy  \d+\.\d\d % on", output
    )
    assert "of 12 test images" in ok("evaluate", "runs/own/model.npz", "--data", images)
    fp32 = ok("evaluate", "runs/own/model.npz", "--data", images, "--precision", "fp32")
    assert fp32.startswith("fp32 accuracy ")


def test_curves_need_matplotlib(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    output = ok(*train, "--epochs", "1")
    assert "not drawn; drawing curves needs matplotlib" in output
    assert not Path("runs/own/curves.png").exists()


def test_a_run_is_not_overwritten(train):
    ok(*train, "--epochs", "1")
    code, output = run(*train, "--epochs", "1")
    assert (code, output.count("\n")) == (2, 1)
    assert "runs/own holds a run: add --resume" in output
    ok(*train, "--epochs", "1", "--resume")
    code, output = run(*train, "--epochs", "2", "--resume")
    assert (code, output.count("\n")) == (2, 1)
    assert "--epochs 1, not 2" in output


def test_a_training_that_diverges_is_one_line_and_no_model(train):
    code, output = run(*train, "--epochs", "2", "--lr", "1e30")
    *told, last = output.splitlines()
    assert code == 2
    assert all("back to the end of epoch 0: learning rate times 0." in x for x in told)
    assert re.search("training diverged at 0.00098 of the learning rate, too$", last)
    assert "next:" not in output
    assert not Path("runs/own/model.npz").exists()


def test_an_interrupted_run_goes_on_to_the_same_bytes(train, monkeypatch):
    ok(*train, "--epochs", "3", "--directory", "whole")

    scored = []
    evaluate = Sequential.evaluate

    def interrupted(*args, **options):
        scored.append(evaluate(*args, **options))
        if len(scored) == 2:
            raise KeyboardInterrupt
        return scored[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Sequential, "evaluate", interrupted)
        code, output = run(*train, "--epochs", "3", "--directory", "cut")
    assert code == 130
    assert output.splitlines()[-1] == (
        "interrupted; finished epochs are kept in cut: "
        "repeat the command with --resume to go on"
    )
    ok(*train, "--epochs", "3", "--directory", "cut", "--resume")
    assert Path("cut/model.npz").read_bytes() == Path("whole/model.npz").read_bytes()


def test_ctrl_c_in_a_process(train):
    # In the background a shell has its programs ignore Ctrl-C, and so their children.
    listening = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    )
    running = process(f"{listening}; {MAIN}", *train, "--epochs", "100000")
    try:
        checkpoint = Path("runs/own/checkpoint.npz")
        give_up = time.monotonic() + 60
        while not checkpoint.exists() and time.monotonic() < give_up:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130
    assert errors.splitlines()[-1].startswith("interrupted; finished epochs are kept")
    assert "Traceback" not in errors
    assert checkpoint.exists()


@pytest.fixture
def features():
    """Real values for the same networks, without an image layer."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    values = rng.normal(-30, 20, (60, 8, 8, 3)) + 60 * labels[:, None, None, None]
    np.savez("mfcc.npz", x=values, y=labels)
    return "mfcc.npz"


def test_real_values_go_all_the_way(features):
    train = ("train", "--data", features, "--channels", "2", "--batch", "8")
    ok(*train, "--epochs", "1")
    model = "runs/mfcc/model.npz"
    assert re.search(r"int8 accuracy \d+", ok("evaluate", model, "--data", features))
    ok("export", model, "firmware")
    assert ok("verify", "firmware", "--data", features).startswith("0 differing bytes")
    ok("vectors", "firmware", "vectors", "--data", features)
    code, output = run(*train, "--augment", "--directory", "other")
    assert (code, output.count("\n")) == (2, 1)
    assert "--augment, --crop and --cutout are for uint8 images; mfcc has fl" in output


def test_a_network_that_reads_images_is_not_given_real_values(train, features):
    ok(*train, "--epochs", "1")
    code, output = run("evaluate", "runs/own/model.npz", "--data", features)
    assert (code, output.count("\n")) == (2, 1)
    assert "own takes uint8 images, which its first layer reads; mfcc has fl" in output


def test_evaluate_tells_each_class(train, images):
    ok(*train, "--epochs", "1")
    model = "runs/own/model.npz"
    output = ok("evaluate", model, "--data", images, "--plot", "confusion.png")
    assert output.startswith("int8 accuracy ")
    assert "\n\nclass  images  precision " in output
    assert "\n\ntaken for " in output
    assert Path("confusion.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads(ok("evaluate", model, "--data", images, "--json"))
    assert told["images"] == 12
    assert output.split()[2] == f"{100 * told['accuracy']:.2f}"


def test_a_log_for_tensorboard(train):
    ok(*train, "--epochs", "1", "--tensorboard", "logs/own")
    (log,) = Path("logs/own").iterdir()
    assert b"loss/training" in log.read_bytes()
