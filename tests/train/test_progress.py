"""What a run prints, and the history it returns."""

import io
import math
import re
import sys

import numba
import pytest

import kanji_np as kj
from kanji_np.recipe import Recipe
from kanji_np.train import EpochRecord, progress
from kanji_np.train.progress import COMPILING

from .runs import trained


def test_a_line_an_epoch_where_there_is_no_terminal(capsys):
    trained()  # compiles
    trained(show=True)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(
        r"epoch 1/3  fp32  loss \d\.\d{4}  accuracy \d+\.\d\d %  validation \d+\.\d\d %"
        r"  \d+ images/s  \d+:\d\d left",
        lines[0],
    )
    trained(show=False)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    trained(show=True)
    text = sys.stderr.getvalue()
    assert "epoch 3/3" in text
    assert "100%" in text
    assert re.search(r"loss \d\.\d{3}  accuracy \d+\.\d %  \d+ images/s", text)


def compiling_loss(logits, labels):
    """A loss that compiles a function at every step."""
    numba.njit(lambda: 0)()
    return kj.cross_entropy(logits, labels)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)


def test_compilation_that_takes_no_time_is_not_worth_a_word(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 1000.0)
    trained(show=True, loss=compiling_loss)
    assert COMPILING not in capsys.readouterr().err


@pytest.mark.usefixtures("impatient")
def test_compilation_is_explained_once_and_only_then(capsys):
    trained(show=False, loss=compiling_loss)
    assert capsys.readouterr().err == ""
    trained(show=True, loss=compiling_loss)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if not line.startswith("epoch ")] == [COMPILING]
    trained(show=True)
    assert COMPILING not in capsys.readouterr().err


@pytest.mark.usefixtures("impatient")
def test_compilation_is_explained_beside_the_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    trained(show=True, loss=compiling_loss)
    assert re.search(rf"epoch 1/3 .*{re.escape(COMPILING)}", sys.stderr.getvalue())


def test_time_left_and_images_a_second_do_not_count_compilation(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    clock = progress.Clock()
    with clock.epoch():
        now[0] = 10.0
        clock.on_start(None)  # with another one inside it
        now[0] = 20.0
        clock.on_start(None)
        now[0] = 50.0
        clock.on_end(None)
        now[0] = 90.0
        clock.on_end(None)
        now[0] = 100.0
    assert (clock.seconds, clock.compiled, clock.working) == (100.0, 80.0, 20.0)
    record = EpochRecord(1, "int8", 0.05, 1.25, 0.5, math.nan, clock.seconds)
    assert progress.line_of(record, 4, 2000, clock.working).endswith(
        "  100 images/s  1:00 left"
    )
    with clock.epoch():
        pass
    assert clock.compiled == 0.0


def test_history_is_csv_with_a_header_line():
    record = EpochRecord(1, "int8", 0.05, 1.25, 0.5, math.nan, 2.0)
    text = kj.History((record,)).csv()
    assert text == (
        "epoch,precision,lr,train_loss,train_accuracy,validation_accuracy,seconds,note\n"
        "1,int8,0.05,1.25,0.5,nan,2.00,\n"
    )
    assert Recipe(5, fp32_epochs=2).precision_of(1) == "fp32"
    assert Recipe(5, fp32_epochs=2).precision_of(2) == "int8"
