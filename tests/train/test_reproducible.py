"""The same call gives the same bytes, whatever happens to the process."""

import csv
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from small import small_net

import kanji_np as kj
from kanji_np import archive
from kanji_np.errors import ShapeError
from kanji_np.train.checkpoint import CHECKPOINT, HISTORY, MODEL

from .runs import DATA, settings, trained, weights

TESTS = Path(__file__).parents[1]


def test_the_same_call_gives_the_same_bytes():
    (one, history), (other, again) = trained(), trained()
    assert weights(one) == weights(other)
    assert one.snapshot()[0] == other.snapshot()[0]
    without_time = [
        [(r.train_loss, r.train_accuracy, r.validation_accuracy) for r in h.epochs]
        for h in (history, again)
    ]
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize(
    "option",
    [
        {"seed": 1},
        {"batch_size": 19},
        {"augment": None},
        {"label_smoothing": 0.0},
        {"averaging": 0.0},
        {"averaging": 0.1},
        {"fp32_epochs": 0},
        {"precision": "fp32"},
        {"optimizer": kj.Adam(lr=0.02)},
        {"schedule": kj.Constant()},
        {"loss": lambda logits, labels: kj.cross_entropy(logits, labels) * 2.0},
    ],
    ids=lambda option: next(iter(option)),
)
def test_every_setting_decides_the_weights(option):
    assert weights(trained(**option)[0]) != weights(trained()[0])


def test_training_is_in_the_targets_arithmetic():
    s8, q7 = (weights(trained(target)[0]) for target in ("cmsis-nn", "cmsis-nn-q7"))
    assert s8 != q7
    assert weights(trained(core="mve")[0]) == s8
    # their average pools differ
    assert weights(trained("cmsis-nn-q7", core="c")[0]) != q7
    assert weights(trained("cmsis-nn-q7", core="mve")[0]) == weights(
        trained("cmsis-nn-q7", core="c")[0]
    )


def test_freezing_on_the_way_changes_nothing():
    net = small_net()
    net.freeze()
    kj.fit(net, DATA, **settings())
    assert weights(net) == weights(trained()[0])


#: Trains as `trained` does; dies at the `deadly`-th loss, fsync or replace.
CHILD = """
import os, signal, sys
import kanji_np as kj
from small import small_net
from train.runs import DATA, settings

directory, deadly = sys.argv[1], int(sys.argv[2])
events = 0

def mortal(function):
    def wrapper(*arguments, **options):
        global events
        events += 1
        if events == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return wrapper

def loss(logits, labels):
    return kj.cross_entropy(logits, labels, label_smoothing=0.1)

os.fsync, os.replace = mortal(os.fsync), mortal(os.replace)
kj.fit(
    small_net(), DATA, loss=mortal(loss), directory=directory, resume=True, **settings()
)
"""


def child(directory, deadly=0, threads=2):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, str(directory), str(deadly)],
        env={
            **os.environ,
            "NUMBA_NUM_THREADS": str(threads),
            "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent))),
        },
        capture_output=True,
        text=True,
        check=False,  # killed is what it should be
    )
    assert run.returncode in (0, -signal.SIGKILL), run.stderr
    return run.returncode


@pytest.mark.parametrize("threads", [1, 2])
def test_another_process_and_number_of_threads_gives_the_same_bytes(
    tmp_path, model_bytes, threads
):
    assert child(tmp_path, threads=threads) == 0
    assert (tmp_path / MODEL).read_bytes() == model_bytes


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    tmp_path, model_bytes
):
    """An epoch is three losses, then fsync and replace of history and checkpoint."""
    epochs = []
    for deadly in (2, 6, 7, 9, 13, 5):  # before, in and after each file
        assert child(tmp_path, deadly) == -signal.SIGKILL
        if (tmp_path / CHECKPOINT).exists():
            header, _ = archive.read(tmp_path / CHECKPOINT, "kanji_np checkpoint")
            assert header["step"] == 3 * header["epoch"]
            epochs.append(header["epoch"])
        assert not (tmp_path / MODEL).exists()
    assert epochs == [1, 2, 2]
    assert child(tmp_path) == 0
    assert (tmp_path / MODEL).read_bytes() == model_bytes
    rows = list(csv.DictReader(io.StringIO((tmp_path / HISTORY).read_text())))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]


def test_an_error_in_a_step_or_a_batch_arrives_and_leaves_no_thread():
    def interrupted(logits, labels):
        raise KeyboardInterrupt

    before = threading.enumerate()
    with pytest.raises(KeyboardInterrupt):
        trained(loss=interrupted)
    with pytest.raises(ShapeError, match="fill has 2 values, images have 3 channels"):
        trained(augment=kj.Augment(fill=(1, 2)))
    assert threading.enumerate() == before
