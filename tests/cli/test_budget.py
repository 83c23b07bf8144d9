"""--budget and --board: what is too much fails before anything slow."""

import re
from pathlib import Path

import pytest

import kanji_np as kj

from .commands import ok, run

BOARD = ("--board", "nucleo-f446re")


@pytest.fixture
def model():
    kj.paper_cnn((2, 3), name="small").save("net.npz")
    return "net.npz"


def test_train_fails_before_it_trains(train):
    code, output = run(*train, "--budget", "ram=1K,latency=1us", *BOARD)
    assert code == 2
    assert output.startswith("own does not fit the budget on NUCLEO-F446RE:\nRAM ")
    assert "\n  with " in output and "epoch" not in output
    assert not Path("runs").exists()


def test_export_fails_before_it_writes(model):
    code, output = run("export", model, "out", "--budget", "flash=1K")
    assert code == 2 and output.startswith("small does not fit the budget on ")
    assert not Path("out").exists()


def test_report_shows_what_does_not_fit_a_board_but_not_what_breaks_a_budget():
    network = ("report", "--network", "mobilenet-v1-025")
    assert "total" in ok(*network, "--board", "arduino-uno-r4")
    code, output = run(*network, "--budget", "ram=1K")
    assert code == 2 and output.startswith("mobilenet does not fit the budget on ")
    assert "total" not in output


def test_import_fails_before_it_trains(images):
    net = kj.Sequential([kj.Conv2D(2, 3), kj.Flatten(), kj.Dense(2)], (8, 8, 3))
    kj.save_tflite(net, "net.tflite")
    options = ("--data", images, "--scale", "1/255", "--budget", "flash=1K")
    code, output = run("import", "net.tflite", *options)
    assert code == 2 and "net does not fit the budget on " in output
    assert not Path("runs").exists()


def test_a_budget_that_is_kept_says_what_is_not_sure(model):
    made = kj.estimate(kj.load(model), board=BOARD[1])
    limit = (made.seconds.likely + made.seconds.high) / 2
    budget = str(kj.Budget(seconds=limit))
    output = ok("export", model, "out", "--budget", budget, *BOARD)
    assert "note: latency is estimated as " in output


@pytest.mark.parametrize(
    ("board", "core"), [("arduino-uno-r4", "dsp"), ("nucleo-f103rb", "c")]
)
def test_a_board_names_the_core_class(model, board, core):
    ok("export", model, "out", "--board", board)
    assert kj.load("out/model.npz").target.core == core


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--budget", "ram=1"), "^--budget: ram=1 has no unit: write 1B or 1K or 1M"),
        (("--budget", ""), "^--budget: must be such as flash=256K"),
        (("--budget", "latency=1s"), "^--board must be named to limit latency: "),
        (("--board", "z80"), "^--board 'z80' is not known"),
        (("--board", "own.toml"), "^own.toml"),
        (
            (*BOARD, "--core", "c"),
            "^--core c does not fit --board nucleo-f446re, whose",
        ),
        (
            ("--board", "esp32-c3-devkitm-1", "--library", "cmsis-nn"),
            "CMSIS-NN is for Cortex-M",
        ),
    ],
)
def test_a_mistake_gets_one_line(model, options, message):
    code, output = run("export", model, "out", *options)
    assert code == 2 and output.count("\n") == 1
    assert re.search(message, output)
    assert not Path("out").exists()
