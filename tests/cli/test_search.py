"""The command `search`: networks ranked, trained and verified, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import kanji_np as kj

from .commands import ok, run

SPACE = (
    "--widths", "4", "--growths", "1", "--stages", "2", "--depths", "1", "--kernels",
    "3", "--blocks", "conv", "--heads", "flatten",
)  # fmt: skip


@pytest.fixture
def search():
    """Dark images and light ones, 8x8, for a family of six networks."""
    labels = np.arange(80) % 2
    noise = np.random.default_rng(0).integers(0, 128, (80, 8, 8, 3))
    images = (noise + 128 * labels[:, None, None, None]).astype(np.uint8)
    np.savez("own.npz", images=images, labels=labels)
    return (
        "search", "--data", "own.npz", "--board", "nucleo-f446re", "--workers", "1",
        *SPACE,
    )  # fmt: skip


def test_without_training_it_ranks(search):
    output = ok(*search)
    assert re.search(r"^6 of 6 candidates of images: 6 fit ", output)
    assert not Path("runs").exists()


def test_the_best_are_trained_exported_and_verified(search):
    search = (
        *search, "--train", "4", "--finalists", "2", "--epochs", "3", "--batch", "16",
        "-o", "out",
    )  # fmt: skip
    output = ok(*search)
    assert "0 differing bytes between C and model in all 4 networks" in output
    finalists = sorted(path.name for path in Path("out/finalists").iterdir())
    others = sorted(path.name for path in Path("out/others").iterdir())
    assert (len(finalists), len(others)) == (2, 2)
    for name in finalists:
        place = Path("out/finalists") / name
        model, firmware = kj.load(place / "model.npz"), place / "firmware"
        assert model.name == name and (firmware / f"{name}.c").exists()
        assert "bytes" in (place / "report.txt").read_text()
        assert name in (place / "report.html").read_text(encoding="utf-8")
    for name in ("search.html", "front.png", "front.svg"):
        assert (Path("out") / name).stat().st_size > 1000
    # The same command has nothing left to do, another one its own directory.
    journal = Path("out/journal.jsonl")
    before = journal.read_bytes()
    assert ok(*search).endswith(output[-200:])
    assert journal.read_bytes() == before
    kinds = [json.loads(line)["kind"] for line in before.splitlines()]
    assert kinds.count("epoch") == 4 * 1 + 2 * 3
    code, output = run(*search, "--seed", "1")
    assert (code, output.count("\n")) == (2, 1)
    assert "journal.jsonl is of a search with" in output
    assert "choose another directory" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--train", "2"), "--train needs a directory for what is trained: add -o DIR"),
        (("--budget", "flash=1"), "flash=1 has no unit"),
        (("--budget", "flash=1K"), "the lowest of each cost that was found: flash"),
        (
            ("--train", "2", "-o", "out", "--budget", "flash=1K"),
            "none of 6 candidates fits the board and the budget",
        ),
    ],
)
def test_what_is_refused_is_refused_in_one_line(search, options, message):
    code, output = run(*search, *options)
    assert code == 2
    assert message in output.splitlines()[-1]
