"""Nobody's files are lost: what may be replaced, what is refused, before any work."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
from click.testing import CliRunner
from small import small_net, stripes

import kanji_np as kj
from kanji_np import cli, outputs
from kanji_np.data import synthetic
from kanji_np.deploy import vectors
from kanji_np.errors import FileFormatError, KanjiError, OptionError
from kanji_np.plots import plot_history
from kanji_np.train import EpochRecord, History

MINE = b"of somebody else"


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dense(name="n"):
    return kj.Sequential([kj.Dense(2)], (3,), name=name)


def everything(folder="."):
    """The content of every file below a folder, links as where they lead."""
    return {
        str(path): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_symlink() or path.is_file()
    }


def refused(work, words, kind=OptionError):
    """`work` fails in one line, and no file is written, changed or removed."""
    before = everything()
    with pytest.raises(kind, match=words) as caught:
        work()
    assert "\n" not in str(caught.value)
    assert everything() == before


def fit(directory="run", **options):
    return kj.fit(
        small_net(), stripes(48), epochs=1, directory=directory, show=False, **options
    )


def command(*args):
    result = CliRunner().invoke(cli.main, [str(arg) for arg in args])
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    return result.exit_code, result.output


# Exports


@pytest.mark.parametrize(
    "name",
    ["/thesis", "../thesis", "a/../../thesis", "C:\\thesis", "..\\thesis", "", 3],
)
@pytest.mark.parametrize("keep", ["list", "digests"])
def test_a_manifest_reaches_no_file_outside(name, keep, tmp_path):
    Path("thesis").write_bytes(MINE)
    kj.export(dense(), "firmware")
    manifest = Path("firmware/firmware.json")
    content = json.loads(manifest.read_text())
    if name == "/thesis":
        name = f"{tmp_path}/thesis"
    listed = {str(name): [outputs.digest(MINE)]}
    content["files"] = listed if keep == "digests" else [name]
    manifest.write_text(json.dumps(content))
    if keep == "digests" and name == 3:
        return  # keys of JSON are text
    refused(lambda: kj.export(dense(), "firmware"), "damaged", FileFormatError)


def test_what_a_manifest_without_digests_names_stays():
    Path("firmware").mkdir()
    Path("firmware/thesis").write_bytes(MINE)
    content = {
        "kind": "kanji_np firmware", "name": "n", "library": "ccore",
        "files": ["thesis", "firmware.json"],
    }  # fmt: skip
    Path("firmware/firmware.json").write_text(json.dumps(content))
    refused(lambda: kj.export(dense(), "firmware"), "thesis: .*no digests.*move it")


def test_an_export_of_a_version_without_digests_is_repeated_if_nothing_differs():
    files = kj.export(dense(), "firmware").files
    before = everything()
    manifest = Path("firmware/firmware.json")
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "files": list(files)}))
    kj.export(dense(), "firmware")
    assert everything() == before


@pytest.mark.parametrize("force", [False, True])
def test_a_network_named_as_a_file_of_the_users_is_refused(force):
    kj.export(dense(), "firmware")
    Path("firmware/main.c").write_bytes(MINE)
    refused(
        lambda: kj.export(dense("main"), "firmware", force=force),
        "firmware/main.c: is there and was not written by this program: move it away",
    )


def test_force_replaces_no_file():
    Path("firmware").mkdir()
    Path("firmware/Makefile").write_bytes(MINE)
    refused(lambda: kj.export(dense(), "firmware", force=True), "Makefile: is there")


@pytest.mark.parametrize("name", ["Makefile", "n.c", "model.npz"])
def test_a_file_that_was_changed_is_kept(name):
    kj.export(dense(), "firmware")
    Path("firmware", name).write_bytes(MINE)
    other = small_net(name="other")  # another one's files, so that some would go
    for net in (dense(), other):
        refused(lambda net=net: kj.export(net, "firmware"), f"{name}: was changed")
    Path("firmware", name).unlink()
    kj.export(other, "firmware")
    assert not Path("firmware/n.c").exists()


@pytest.mark.parametrize("name", ["n.c", "firmware.json", "model.npz", "ccore"])
def test_nothing_is_written_through_a_link(name, tmp_path):
    kj.export(dense(), "firmware")
    place, aside = Path("firmware", name), tmp_path / "aside"
    place.rename(aside)
    place.symlink_to(aside)
    refused(
        lambda: kj.export(small_net(name="n"), "firmware"), "link|folder of its own"
    )


def test_a_link_to_a_new_place_is_not_followed(tmp_path):
    kj.export(dense(), "firmware")
    Path("firmware/other.c").symlink_to(tmp_path / "elsewhere.c")
    refused(
        lambda: kj.export(dense("other"), "firmware"), "other.c: is a symbolic link"
    )


def test_an_export_that_is_cut_short_can_be_repeated(monkeypatch):
    kj.export(dense(), "firmware")
    kj.export(small_net(name="other"), "whole")
    write = outputs.write
    for cut in range(0, 12, 3):
        left = [cut]

        def fail(path, data, left=left):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write(path, data)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(outputs, "write", fail)
            kj.export(small_net(name="other") if cut % 2 else dense(), "firmware")
    kj.export(small_net(name="other"), "firmware")
    names = [
        {
            path.removeprefix(f"{folder}/"): data
            for path, data in everything(folder).items()
        }
        for folder in ("firmware", "whole")
    ]
    assert names[0] == names[1]


# Vectors, drawings, models, results


def test_vectors_replace_their_own_alone():
    kj.export(dense("own"), "firmware")
    images = np.zeros((2, 3), np.int8)
    vectors("firmware", images, "out", count=1)
    vectors("firmware", images, "out", count=2)
    for end in ("h", "c", "npz", "json"):
        path = Path(f"out/own_vectors.{end}")
        kept = path.read_bytes()
        path.write_bytes(MINE)
        refused(lambda: vectors("firmware", images, "out"), f"{path}: ")
        path.write_bytes(kept)


def test_a_drawing_replaces_no_other_picture():
    history = History((EpochRecord(1, "int8", 0.1, 1.0, 0.5, 0.5, 1.0),))
    plot_history(history, "curves.png")
    plot_history(history, "curves.png")
    matplotlib.figure.Figure().savefig("other.png")
    refused(
        lambda: plot_history(history, "other.png"), "other.png: is there and is not"
    )
    before = everything()
    args = ("bench", "--channels", "2", "--steps", "1", "--plot", "other.png")
    code, output = command(*args)
    assert (code, output.count("\n")) == (2, 1)
    assert everything() == before


def test_a_model_replaces_models_alone():
    net = small_net()
    net.save("net.npz")
    net.save("net.npz")
    np.savez("data.npz", x=np.arange(3))
    refused(lambda: net.save("data.npz"), "data.npz: is there and is not a model")
    Path("folder").mkdir()
    refused(lambda: net.save("folder"), "folder: is a directory")
    Path("link.npz").symlink_to("net.npz")
    refused(lambda: net.save("link.npz"), "link.npz: is a symbolic link")
    refused(lambda: net.save("/dev/null"), "/dev/null: is no regular file")


@pytest.fixture
def train():
    data = stripes(30)
    np.savez("own.npz", images=data.images, labels=data.labels)
    return "train", "--data", "own.npz", "--channels", "2", "--epochs", "1"


def test_a_result_replaces_results_alone_and_is_checked_before_training(train):
    Path("letter.json").write_bytes(MINE)
    Path("folder").mkdir()
    for path in ("letter.json", "folder", "letter.json/a.json", "/dev/null"):
        before = everything()
        code, output = command(*train, "--result", path)
        assert (code, output.count("\n")) == (2, 1), output
        assert path.split("/a")[0] in output
        assert everything() == before
    assert command(*train, "--result", "a.json")[0] == 0
    assert command(*train, "--resume", "--result", "a.json")[0] == 0


# Training


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["model.npz", "history.csv"])
def test_a_run_replaces_no_file_where_there_is_no_checkpoint(name, resume):
    Path("run").mkdir()
    Path("run", name).write_bytes(MINE)
    refused(lambda: fit(resume=resume), f"{name}: is there")


@pytest.mark.parametrize("resume", [False, True])
def test_a_trained_model_without_a_checkpoint_is_no_run(resume):
    small_net().save("run/model.npz")
    refused(lambda: fit(resume=resume), "model.npz: is there without a checkpoint.npz")


@pytest.mark.parametrize("name", ["model.npz", "history.csv"])
def test_a_run_goes_on_only_over_its_own_files(name):
    fit()
    kept = Path("run", name).read_bytes()
    Path("run", name).write_bytes(kept + b"a note\n" if name == "history.csv" else MINE)
    refused(lambda: fit(resume=True), f"{name}: is there and is not")
    Path("run", name).write_bytes(kept)
    fit(resume=True)


def test_an_epoch_that_was_not_kept_does_not_hinder(monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("kanji_np.train.checkpoint.save", interrupt)
        fit()
    assert {path.name for path in Path("run").iterdir()} == {"history.csv"}
    fit(resume=True)


def interrupt(*_):
    raise KeyboardInterrupt


def test_curves_are_checked_before_training(train):
    Path("runs/own").mkdir(parents=True)
    matplotlib.figure.Figure().savefig("runs/own/curves.png")
    before = everything()
    code, output = command(*train)
    assert (code, output.count("\n")) == (2, 1)
    assert "runs/own/curves.png: is there and is not a drawing" in output
    assert everything() == before


# Locks

HOLD = """
import sys, time
from kanji_np import outputs
with outputs.lock("run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_of_two_trainings_in_a_directory_the_second_is_refused(train):
    root = Path(kj.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as other:  # fmt: skip
        try:
            assert other.stdout.readline() == b"held\n"
            words = rf"run: another process \({other.pid}\) is writing there"
            refused(fit, words)
            code, output = command(*train, "--directory", "run")
            assert (code, output.count("\n")) == (2, 1)
        finally:
            other.kill()
    assert Path("run", outputs.LOCK).exists()
    fit()
    assert not Path("run", outputs.LOCK).exists()


def test_a_lock_is_not_taken_twice_and_not_somebody_elses():
    with outputs.lock("run"), pytest.raises(OptionError), outputs.lock("run"):
        pass
    assert not everything("run")
    Path("run", outputs.LOCK).write_bytes(MINE)
    refused(fit, "is no lock of this program")


def test_without_locks_on_the_file_system_there_is_none(monkeypatch):
    def no_locks(file):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(outputs, "_take", no_locks)
    fit()


# Quickstart


def test_quickstart_starts_over_only_over_its_own_files(monkeypatch):
    monkeypatch.setattr(cli.quickstart, "CHANNELS", (2,))
    monkeypatch.setattr(cli.quickstart, "EPOCHS", 1)
    monkeypatch.setattr("kanji_np.data.synthetic", lambda: synthetic(60, 20))
    quickstart = ("quickstart", "--directory", "q", "--force")
    assert command(*quickstart)[0] == 0
    Path("q/firmware/notes.txt").write_bytes(MINE)
    for name, words in (
        ("firmware/quickstart.c", "was changed"),
        ("model.npz", "is there and is not a model"),
        ("summary.txt", "is there and is not"),
        ("history.csv", "is there and is not"),
        ("curves.png", "is there and is not"),
        ("checkpoint.npz", "is there and is not"),
    ):
        kept = Path("q", name).read_bytes()
        Path("q", name).write_bytes(MINE)
        before = everything()
        code, output = command(*quickstart)
        assert (code, output.count("\n")) == (2, 1), output
        place = "q/history.csv" if name == "checkpoint.npz" else f"q/{name}"
        assert f"{place}: {words}" in output
        assert everything() == before
        Path("q", name).write_bytes(kept)
    assert command(*quickstart)[0] == 0
    assert Path("q/firmware/notes.txt").read_bytes() == MINE


# Full disks


def test_a_full_disk_names_the_file():
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    net = small_net()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        for work, name in (
            (lambda: net.save("net.npz"), "net.npz"),
            (lambda: kj.export(net, "firmware"), "firmware/firmware.json"),
        ):
            with pytest.raises(OSError) as caught:
                work()
            assert not isinstance(caught.value, KanjiError)
            assert caught.value.filename == name and caught.value.strerror
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not everything()
