"""The command line: what it prints, what it leaves behind, how it refuses."""

import contextlib
import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import kanji_np
from kanji_np import Sequential, cli, optim, paper_cnn
from kanji_np.data import Augment, Dataset, synthetic
from kanji_np.deploy import Difference, Verification
from kanji_np.deploy.kernels import LIBRARIES
from kanji_np.model import PRECISIONS
from kanji_np.quantize import SCHEMES
from kanji_np.ranges import TRACKERS
from kanji_np.results import Proof, read_result, results_table
from kanji_np.train import Recipe
from kanji_np.zoo import NETWORKS

ROOT = Path(kanji_np.__file__).parents[1]
README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*args):
    """Exit code and everything that was printed."""
    result = CliRunner().invoke(cli.main, [str(arg) for arg in args])
    # The group itself turns what it expects into SystemExit; the rest is a traceback.
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    return result.exit_code, result.output


def ok(*args):
    code, output = run(*args)
    assert code == 0, output
    return output


def process(code, *args, **options):
    """A Python process on `code` with the command line's arguments."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        env={**os.environ, "PYTHONPATH": path},
        **{
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
        },
    )


MAIN = "from kanji_np.cli import main; main()"


@pytest.fixture
def images():
    """A small dataset: dark images and light ones, 8x8 with 3 channels."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    noise = rng.integers(0, 128, (60, 8, 8, 3))
    np.savez(
        "own.npz",
        images=(noise + 128 * labels[:, None, None, None]).astype(np.uint8),
        labels=labels,
    )
    return "own.npz"


@pytest.fixture
def train(images):
    return "train", "--data", images, "--channels", "2", "--batch", "8"


def commands_in(text):
    """The arguments of every `kanji-np` command line in a text."""
    whole = text.replace("\\\n", "")  # lines that go on in the next
    lines = re.findall(r"^\s*kanji-np (.+)$", whole, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def parse(args):
    """Parse a command line without running it; click raises if it is wrong."""
    command = cli.main.commands[args[0]]
    with contextlib.suppress(click.exceptions.Exit):  # --help
        command.make_context(args[0], args[1:])


# Help


def test_commands():
    assert set(cli.main.commands) == {
        "quickstart", "train", "evaluate", "export", "verify", "report", "datasets",
        "bench", "vectors", "results",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(cli.main.commands))
def test_help_has_an_example_that_parses(name):
    output = ok(name, "--help")
    (example,) = commands_in(output.partition("Example:")[2])
    assert example[0] == name
    parse(example)


def test_every_option_of_the_readme_exists():
    examples = commands_in(README.read_text(encoding="utf-8"))
    assert len(examples) >= 5
    for example in examples:
        parse(example)


def test_without_a_command_comes_the_help():
    assert run() == run("--help")
    assert ok("--version") == f"kanji-np {kanji_np.__version__}\n"


@pytest.mark.parametrize("command", ["", "train", "verify"])
def test_help_loads_nothing_heavy(command):
    code = (
        "import atexit, sys\n"
        "heavy = {'numpy', 'numba', 'scipy', 'matplotlib'}\n"
        "atexit.register(lambda: print(heavy & set(sys.modules), file=sys.stderr))\n"
        + MAIN
    )
    help_ = process(code, *filter(None, [command]), "--help")
    output, loaded = help_.communicate()
    assert (help_.returncode, loaded) == (0, "set()\n")
    assert "Example:" in output


def test_choices_are_the_tables():
    assert set(cli.train.OPTIMIZERS) == set(optim.OPTIMIZERS)
    assert set(cli.train.SCHEDULES) == set(optim.SCHEDULES)
    assert set(cli.train.RANGES) == set(TRACKERS)
    assert cli.options.LIBRARIES == LIBRARIES
    assert cli.options.PRECISIONS == PRECISIONS
    assert set(cli.options.NETWORKS) == set(NETWORKS)
    assert set(cli.options.SCHEMES) == set(SCHEMES)


def test_defaults_are_the_recipes():
    told = {option.name: option.default for option in cli.main.commands["train"].params}
    recipe = Recipe()
    assert told["ranges"] == paper_cnn((2,)).quantization.ranges
    for name in (
        "epochs", "averaging", "freeze_batch_norm", "label_smoothing", "precision",
        "fp32_epochs", "seed",
    ):  # fmt: skip
        assert told[name] == getattr(recipe, name), name
    assert told["batch"] == recipe.batch_size
    assert isinstance(recipe.optimizer, optim.OPTIMIZERS[told["optimizer"]])
    assert isinstance(recipe.schedule, optim.SCHEDULES[told["schedule"]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((None, None, 0), Augment(4, True, 0, (1, 2))),
        ((None, 2, 3), Augment(2, True, 3, (1, 2))),
        ((False, None, 0), None),
        ((False, 2, 0), Augment(2, False, 0, (1, 2))),
        ((True, None, 0), Augment(4, True, 0, (1, 2))),
    ],
)
def test_a_dataset_is_augmented_as_it_says_unless_told(options, expected):
    images, labels = np.zeros((1, 2, 2, 1), np.uint8), np.zeros(1, np.int64)
    photographs = Dataset(images, labels, ("a",), "photographs", Augment())
    figures = replace(photographs, augment=None)
    assert cli.train._augment(photographs, *options, mean=(1, 2)) == expected
    if options == (None, None, 0):
        expected = None
    elif options[0] is None:
        expected = replace(expected, flip=False)
    assert cli.train._augment(figures, *options, mean=(1, 2)) == expected


# Refusals

TRAIN = ("train", "--data", "synthetic")
WRONG = [
    (("frobnicate",), "no command 'frobnicate'; choose from .*quickstart"),
    (("--frobnicate",), "--frobnicate"),
    (("train",), "--data"),
    ((*TRAIN, "--frobnicate"), "--frobnicate"),
    ((*TRAIN, "--epochs", "0"), "--epochs.*0.*x>=1"),
    ((*TRAIN, "--epochs", "many"), "--epochs.*many.*integer"),
    ((*TRAIN, "--batch", "-3"), "--batch.*-3.*x>=1"),
    ((*TRAIN, "--lr", "0"), "--lr.*0.*x>0"),
    ((*TRAIN, "--lr", "nan"), "^--lr must be a finite number in .*, got nan"),
    ((*TRAIN, "--momentum", "1"), "--momentum.*1.*0<=x<1"),
    ((*TRAIN, "--momentum", "0.5", "--optimizer", "adam"), "--momentum.*sgd.*adam"),
    ((*TRAIN, "--weight-decay", "-1"), "--weight-decay.*-1.*x>=0"),
    ((*TRAIN, "--optimizer", "lion"), "--optimizer.*lion.*sgd.*adam.*adamw"),
    ((*TRAIN, "--schedule", "zigzag"), "--schedule.*zigzag.*one-cycle"),
    ((*TRAIN, "--precision", "int4"), "--precision.*int4.*int8.*fp32"),
    ((*TRAIN, "--fp32-epochs", "3", "--epochs", "2"), r"--fp32-epochs.*2.*got 3"),
    ((*TRAIN, "--label-smoothing", "1"), "--label-smoothing.*0<=x<1"),
    ((*TRAIN, "--network", "vgg"), "--network.*vgg.*paper-cnn.*resnet8"),
    (
        (*TRAIN, "--network", "resnet8", "--channels", "2"),
        "^--channels does not apply to resnet8",
    ),
    (
        (*TRAIN, "--network", "paper-vgg", "--pool", "max"),
        "^--pool does not apply to paper-vgg",
    ),
    (
        (*TRAIN, "--network", "ds-cnn", "--no-batch-norm"),
        "^--batch-norm does not apply to ds-cnn",
    ),
    ((*TRAIN, "--scheme", "tflite"), "--scheme.*tflite.*asymmetric"),
    ((*TRAIN, "--ranges", "kl"), "--ranges.*kl.*learned"),
    ((*TRAIN, "--weight-bits", "2"), "--weight-bits.*2.*8.*4"),
    (
        (*TRAIN, "--target", "cmsis-nn-q7", "--scheme", "symmetric"),
        "cmsis-nn-q7.*symmetric",
    ),
    ((*TRAIN, "--averaging", "1"), "--averaging.*0<=x<1"),
    ((*TRAIN, "--freeze-batch-norm", "2"), "--freeze-batch-norm.*0<=x<=1"),
    ((*TRAIN, "--result", "file/a.json"), "file"),
    ((*TRAIN, "--cutout", "-1"), "--cutout.*-1.*x>=0"),
    ((*TRAIN, "--crop", "-1"), "--crop.*-1.*x>=0"),
    (
        (*TRAIN, "--target", "tflm"),
        "^--target must be one of cmsis-nn, cmsis-nn-q7; got",
    ),
    ((*TRAIN, "--core", "z80"), "^--core must be one of c, dsp, mve, .*got 'z80'"),
    ((*TRAIN, "--rounding", "up"), "^--rounding of cmsis-nn must be one of double"),
    (
        (*TRAIN, "--library-version", "1"),
        "^--library-version must be one of 7.0.0, 4.0.0; got",
    ),
    ((*TRAIN, "--pool", "min"), "--pool.*min.*max.*average"),
    ((*TRAIN, "--seed", "-1"), "--seed.*-1.*x>=0"),
    ((*TRAIN, "--channels", "32,,64"), "--channels.*32,,64.*such as 32,32,64"),
    ((*TRAIN, "--channels", "0"), "--channels.*such as 32,32,64"),
    ((*TRAIN, "--size", "32"), "--size.*32.*such as 32x32"),
    ((*TRAIN, "--size", "32x32"), "synthetic: --size does not apply.*seed"),
    ((*TRAIN, "--grey"), "synthetic: --grey does not apply.*seed"),
    ((*TRAIN, "--name", "Not C"), "--name must be a C identifier.*Not C"),
    ((*TRAIN, "--directory", "file/run"), "file/run: Not a directory"),
    ((*TRAIN, "--directory", ""), "--directory.*'' is not a path"),
    ((*TRAIN, "--result", "a\0b"), "--result.*is not a path"),
    ((*TRAIN, "--name", ""), "--name must be a C identifier.*got ''"),
    ((*TRAIN, "--crop", "9" * 20), "--crop must be an int in 0 .. 9999, got 9{20}"),
    ((*TRAIN, "--lr", "1e39"), "^--lr must be a finite number in .*, got 1e"),
    (("train", "--data", "nothing-here"), "nothing-here.*synthetic.*FILE.npz"),
    (("train", "--data", "gone.npz"), "gone.npz: no such file"),
    (("train", "--data", "cifar10:."), "cifar10.*pass --download, or"),
    (("quickstart", "--seed", "x"), "--seed.*x.*integer"),
    (("quickstart", "--directory", "file"), "file: is a file, not a directory"),
    (("evaluate", "--data", "synthetic"), "MODEL"),
    (("evaluate", "gone.npz", "--data", "synthetic"), "gone.npz: no such file"),
    (("evaluate", "file", "--data", "synthetic"), "file: not a kanji_np model"),
    (("export", "gone.npz", "firmware"), "gone.npz: no such file"),
    (("export", "net.npz", "full"), "full: holds files.*or pass --force$"),
    (("export", "net.npz", "file"), "file: is a file"),
    (("export", "net.npz", "f", "--library", "tflm"), "--library.*ccore.*cmsis-nn"),
    (("export", "net.npz", "f", "--cmsis-nn", "gone"), "gone"),
    (("export", "net.npz", "f", "--rounding", "half_up"), "rounding of cmsis-nn must"),
    (("verify", "gone", "--data", "synthetic"), "gone: not a firmware directory"),
    (("verify", "gone", "--data", "synthetic", "--limit", "0"), "--limit.*0.*x>=1"),
    (("verify", "gone", "--data", "synthetic", "--library", "x"), "--library.*ccore"),
    (
        ("verify", "gone", "--data", "synthetic", "--on", "m0"),
        "^--on must be .*cortex-m3",
    ),
    (("vectors", "gone", "out", "--data", "synthetic"), "gone: not a firmware direct"),
    (("vectors", "f", "o", "--data", "synthetic", "--images", "0"), "--images.*x>=1"),
    (("report",), "MODEL.*--channels"),
    (("report", "net.npz", "--channels", "2"), "MODEL.*--channels"),
    (("report", "gone.npz"), "gone.npz: no such file"),
    (("datasets", "extra"), "extra"),
    (("results", "full"), "full holds no .json files of results"),
    (("results", "gone"), "gone: no such directory"),
    (("bench", "--steps", "0"), "--steps.*0.*x>=1"),
    (("bench", "--batch", "0"), "--batch.*0.*x>=1"),
    (("bench", "--batch", "9" * 20), "^--batch must be an int in 1 .. 65536, got 9"),
    (("bench", "--channels", "x"), "--channels.*x.*such as 32,32,64"),
    (("bench", "--threads", "0"), "--threads.*0.*x>=1"),
    (
        ("bench", "--threads", "9999"),
        r"^--threads must be .*\d, got 9999",
    ),
    (("bench", "--plot", "speed.jpg"), "must end in .png, got speed.jpg"),
    (("bench", "--plot", "file/speed.png"), "file"),
    (("bench", "--plot", "speed.png", "--layers"), "--plot.*leave out --layers"),
    (("bench", "--read", "gone.jsonl"), "gone.jsonl: no such file"),
    (("bench", "--read", "file"), "file, line 1: not a line of `kanji-np bench"),
    (("bench", "--read", "file", "--batch", "2"), "--read measures nothing"),
]


@pytest.mark.parametrize(
    ("args", "words"), WRONG, ids=[" ".join(args) for args, _ in WRONG]
)
def test_a_wrong_value_gets_one_line(args, words):
    Path("file").write_text("not a model")
    Path("full").mkdir()
    Path("full/letter.txt").write_text("keep me")
    paper_cnn((2,)).save("net.npz")
    code, output = run(*args)
    assert code == 2
    assert re.search(words, output), output
    assert output.endswith("\n") and output.count("\n") == 1, output
    assert Path("full/letter.txt").read_text() == "keep me"


def test_a_full_disk_gets_one_line(train, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device", "runs/own/checkpoint.npz")

    monkeypatch.setattr("kanji_np.archive.write", full)
    code, output = run(*train, "--epochs", "1")
    assert code == 2
    last = output.splitlines()[-1]
    assert last == "runs/own/checkpoint.npz: No space left on device"


def test_a_full_standard_output_gets_one_line():
    with open("/dev/full", "w") as full:
        command = process(MAIN, "datasets", stdout=full)
        _, said = command.communicate()
    assert (command.returncode, said) == (
        2, "standard output: No space left on device\n"
    )  # fmt: skip


def test_too_little_memory_gets_one_line(train, monkeypatch):
    def greedy(*args, **options):
        raise MemoryError("Unable to allocate 2.79 TiB for\nan array")

    monkeypatch.setattr(kanji_np, "fit", greedy)
    code, output = run(*train)
    assert (code, output) == (
        2, "not enough memory: Unable to allocate 2.79 TiB for an array\n"
    )  # fmt: skip


def test_a_resumed_run_keeps_its_name(train):
    ok(*train, "--epochs", "1", "--directory", "run", "--name", "one")
    before = Path("run/model.npz").read_bytes()
    again = (*train, "--epochs", "1", "--directory", "run", "--resume")
    code, output = run(*again, "--name", "two")
    assert (code, output.count("\n")) == (2, 1)
    assert "run/checkpoint.npz is of a network with --name one, not two" in output
    assert Path("run/model.npz").read_bytes() == before
    ok(*again, "--name", "one")


@pytest.mark.filterwarnings("default")
def test_a_class_that_is_not_tested_is_one_line():
    images = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3), np.uint8)
    np.savez("own.npz", images=images, labels=[0] * 10 + [1])
    output = ok("train", "--data", "own.npz", "--channels", "2", "--epochs", "1")
    line = output.splitlines()[0]
    assert line.startswith("warning: own: the test set has no image of 1: too few")


# Training


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
    assert "\nnormalize1  8x8x3" in ok("report", "out/model.npz")


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
    assert re.search("training diverged.*; it did at 0.00098 of it, too$", last)
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


# Firmware


@pytest.fixture
def firmware(train):
    ok(*train, "--epochs", "1")
    output = ok("export", "runs/own/model.npz", "firmware")
    assert re.search(r"flash  [\d,]+ bytes", output)
    assert output.endswith("  kanji-np verify firmware --data SOURCE\n")
    return Path("firmware")


def test_exported_c_has_no_differing_byte(firmware, images):
    output = ok("verify", firmware, "--data", images)
    assert output.startswith("0 differing bytes in 12 images")
    output = ok("verify", firmware, "--data", images, "--limit", "5")
    assert output.startswith("0 differing bytes in 5 images")
    assert "1,000" not in ok("verify", firmware, "--data", images, "--limit", "1000")


def test_a_target_is_trained_for_scored_and_exported(train, images):
    legacy = ("--target", "cmsis-nn-q7", "--core", "cortex-m4")
    ok(*train, "--epochs", "1", *legacy, "--pool", "average", "--name", "old")
    model = "runs/old/model.npz"
    assert "cmsis-nn-q7/5.9.0/dsp/half_up" in ok("report", model)
    assert "cmsis-nn-q7/5.9.0/c/truncate" in ok(
        "report", model, "--core", "c", "--rounding", "truncate"
    )
    single = ("--target", "cmsis-nn", "--rounding", "single")
    ok("evaluate", model, "--data", images, *single)
    for options in ((), ("--core", "cortex-m3"), ("--target", "cmsis-nn")):
        ok("export", model, "firmware", *options)
        output = ok("verify", "firmware", "--data", images)
        assert output.startswith("0 differing bytes in 12 images")


def test_an_emulated_core_is_measured(firmware, images):
    output = ok("verify", firmware, "--data", images, "--on", "m3", "--layers")
    table, _, rest = output.partition("\n\n")
    header, rule, *rows = table.splitlines()
    assert header.split("  ")[-1] == "instructions" and set(rule) == {"-", " "}
    assert [row.split()[1] for row in rows] == [
        "normalize1", "conv1", "pool1", "flatten1", "dense1",
    ]  # fmt: skip
    assert re.fullmatch(r"2 +conv1 +conv2d +[\d,]+ +0 +0 +[\d,]+", rows[1])
    verdict, device, note = rest.splitlines()
    assert verdict.startswith("0 differing bytes in 12 images")
    assert re.match(
        r"cortex-m3: [\d,]+( to [\d,]+)? instructions an inference; bytes: flash "
        r"[\d,]+, RAM [\d,]+ \+ 0, stack \d+ \(mps2-an385, arm-none-eabi-gcc ",
        device,
    )
    assert note == "the firmware is for core class dsp, cortex-m3 is c"


def test_layers_are_compared_on_the_host(firmware, images):
    output = ok("verify", firmware, "--data", images, "--layers")
    assert "host differs\n" in output and "instructions" not in output


def test_missing_tools_get_one_line(firmware, images, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, output = run("verify", firmware, "--data", images, "--on", "cortex-m4")
    assert (code, output.count("\n")) == (2, 1)
    assert "apt install gcc-arm-none-eabi" in output


def test_results_are_written_proven_and_shown(train, images):
    options = ("--epochs", "2", "--fp32-epochs", "1", "--directory", "run")
    output = ok(*train, *options, "--result", "results/a.json")
    result = read_result("results/a.json")
    assert f"int8 accuracy  {100 * result.int8_score:.2f} %" in output
    command = " ".join(["kanji-np", *train, *options, "--result results/a.json"])
    assert result.command == command
    assert (result.data, result.seed, result.epochs) == ("own", 0, 2)
    net = kanji_np.load("run/model.npz")
    assert result.digest == net.freeze().digest()
    assert result.target == str(net.target)
    assert result.fp32_score is None and result.seconds > 0

    ok("export", "run/model.npz", "firmware")
    verify = ("verify", "firmware", "--data", images, "--result")
    ok(*verify, "results/a.json", "--limit", "3")
    ok(*verify, "results/a.json")
    proven = result.with_proof(Proof("host", "ccore", 12, 0))
    assert read_result("results/a.json") == proven
    assert ok("results", "results") == f"{results_table([proven])}\n"

    ok(*train, "--epochs", "1", "--precision", "fp32", "--result", "results/b.json")
    other = read_result("results/b.json")
    assert other.fp32_score is not None
    code, output = run(*verify, "results/b.json")
    assert (code, output.count("\n")) == (2, 1)
    assert "results/b.json is not the result of the model in firmware" in output
    assert read_result("results/b.json") == other


def test_vectors(firmware, images):
    output = ok("vectors", firmware, "out", "--data", images, "--images", "2")
    assert output.split() == [f"out/own_vectors.{end}" for end in ("h", "c", "npz")]
    assert "OWN_VECTORS_IMAGES 2\n" in Path("out/own_vectors.h").read_text()


def test_an_altered_weight_is_found_and_its_layer_named(firmware, images):
    source = firmware / "own_data.c"
    altered, n = re.subn(
        r"(_conv1_weight\[\d+\] = \{\s*)(-?\d+),",
        lambda m: f"{m[1]}{-127 if int(m[2]) > 0 else 127},",
        source.read_text(),
    )
    assert n == 1
    source.write_text(altered)
    code, output = run("verify", firmware, "--data", images)
    assert code == 1
    assert re.match(r"[1-9]\d* differing bytes in 12 images", output)
    assert re.search(r"\nfirst: image \d+, layer 2 \(conv1\)", output)


# Quickstart


@pytest.fixture
def small_quickstart(monkeypatch):
    monkeypatch.setattr(cli.quickstart, "CHANNELS", (2,))
    monkeypatch.setattr(cli.quickstart, "EPOCHS", 2)
    monkeypatch.setattr("kanji_np.data.synthetic", lambda: synthetic(200, 40))


@pytest.mark.usefixtures("small_quickstart")
def test_quickstart():
    output = ok("quickstart")
    assert "0 differing bytes in 40 images" in output
    run_directory = Path("kanji-quickstart")
    assert {path.name for path in run_directory.iterdir()} == {
        "checkpoint.npz", "model.npz", "history.csv", "curves.png", "firmware",
        "summary.txt",
    }  # fmt: skip
    assert output.endswith((run_directory / "summary.txt").read_text())
    for command in commands_in(output):
        parse(command)

    before = (run_directory / "model.npz").read_bytes()
    code, output = run("quickstart")
    assert (code, output.count("\n")) == (2, 1)
    assert "--force" in output and "--directory" in output
    ok("quickstart", "--force")
    assert (run_directory / "model.npz").read_bytes() == before


@pytest.mark.usefixtures("small_quickstart")
def test_an_interrupted_quickstart_goes_on(monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kanji_np, "export", interrupt)
        code, output = run("quickstart", "--directory", "q")
    assert code == 130
    assert output.splitlines()[-1].endswith("kept in q: repeat the command to go on")
    output = ok("quickstart", "--directory", "q")
    assert "going on with the run in q" in output
    assert "epoch 1/2" not in output


@pytest.mark.usefixtures("small_quickstart")
def test_a_quickstart_that_differs_has_not_finished(monkeypatch):
    difference = Difference(3, 2, "conv1", (0, 5, 1), 7, 8)
    proof = Verification(40, 400, 1, difference, 1.0)
    monkeypatch.setattr(kanji_np, "verify", lambda *args, **options: proof)
    code, output = run("quickstart")
    assert code == 1
    assert "\n1 differing bytes in 40 images" in output and "(conv1)" in output
    assert not Path("kanji-quickstart/summary.txt").exists()


# Reports


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
