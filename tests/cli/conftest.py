"""A directory of its own for each test, and small data, runs and firmware in it."""

import re
from pathlib import Path

import numpy as np
import pytest

from .commands import ok


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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


@pytest.fixture
def firmware(train):
    ok(*train, "--epochs", "1")
    output = ok("export", "runs/own/model.npz", "firmware")
    assert re.search(r"flash  [\d,]+ bytes", output)
    assert output.endswith("  kanji-np verify firmware --data SOURCE\n")
    return Path("firmware")
