"""Everything that goes wrong gets one line."""

import re
from pathlib import Path

import numpy as np
import pytest

import kanji_np
from kanji_np import paper_cnn

from .commands import MAIN, ok, process, run

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
        (*TRAIN, "--target", "tflite"),
        "^--target must be one of cmsis-nn, cmsis-nn-q7, tflm, litert, xnnpack; got",
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
    (
        ("verify", "net.npz", "--data", "synthetic"),
        "^net.npz: a file, not a firmware.*: run `kanji-np export net.npz DIR` first$",
    ),
    (("vectors", "net.npz", "o", "--data", "synthetic"), "`kanji-np export net.npz D"),
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
    (("bench", "net.npz", "--read", "file"), "--read measures nothing"),
    (("bench", "net.npz", "--channels", "2"), "either a MODEL file or networks"),
    (("bench", "gone.npz"), "gone.npz: no such file"),
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


@pytest.mark.filterwarnings("default")
def test_a_class_that_is_not_tested_is_one_line():
    images = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3), np.uint8)
    np.savez("own.npz", images=images, labels=[0] * 10 + [1])
    output = ok("train", "--data", "own.npz", "--channels", "2", "--epochs", "1")
    line = output.splitlines()[0]
    assert line.startswith("warning: own: the test set has no image of 1: too few")
