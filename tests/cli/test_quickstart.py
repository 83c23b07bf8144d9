"""The command `quickstart`."""

from pathlib import Path

import pytest

import kanji_np
from kanji_np import cli
from kanji_np.data import synthetic
from kanji_np.deploy import Difference, Verification

from .commands import commands_in, ok, parse, run


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
