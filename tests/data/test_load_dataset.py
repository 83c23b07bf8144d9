"""The front door finds the right reader and refuses options it would not use."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import kanji_np.data
from kanji_np.data import DATASETS, image_folders, load_dataset, npz, synthetic
from kanji_np.errors import DataError, OptionError


@pytest.mark.parametrize(
    "name, counts",
    [
        ("synthetic-keywords", (6000, 1200)),
        ("synthetic-persons", (1200, 400)),
        ("synthetic-machines", (4000, 1000)),
    ],
)
def test_small_synthetic_sets_are_as_they_are_listed(name, counts):
    info = DATASETS[name]
    train, test = load_dataset(name, seed=3)
    assert (len(train), len(test)) == counts
    assert train.name == name
    assert train.input_shape == test.input_shape == info.shape
    assert len(train.classes) == info.n_classes


def test_synthetic():
    train, test = load_dataset("synthetic", seed=3)
    expected, _ = synthetic(train=10, test=0, seed=3)
    assert (len(train), len(test)) == (8000, 2000)
    assert np.array_equal(train.images[:10], expected.images)
    assert train.input_shape == DATASETS["synthetic"].shape
    assert len(train.classes) == DATASETS["synthetic"].n_classes


@pytest.mark.parametrize("as_path", [False, True])
def test_npz(tmp_path, as_path):
    path = tmp_path / "own.npz"
    np.savez(path, x=np.zeros((10, 2, 2, 3), np.uint8), y=[0, 1] * 5)
    source = path if as_path else str(path)
    train, test = load_dataset(source, test_fraction=0.4, seed=1)
    assert (len(train), len(test)) == (6, 4)
    with pytest.raises(DataError, match="gone.npz: no such file"):
        load_dataset("gone.npz")


def test_class_folders(tmp_path):
    from PIL import Image

    (tmp_path / "cat").mkdir()
    for i in range(4):
        Image.new("RGB", (5, 5)).save(tmp_path / "cat" / f"{i}.png")
    train, test = load_dataset(
        tmp_path, size=(3, 2), channels=1, test_fraction=0.5, seed=0
    )
    assert (len(train), len(test), train.input_shape) == (2, 2, (3, 2, 1))


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (10, "batches.meta.txt"),
        (10, "batches.meta"),
        (100, "fine_label_names.txt"),
        (100, "meta"),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_cifar_directories_are_recognised(tmp_path, count, names, named):
    # An empty file of class names is enough to be taken for the layout, and refused.
    (tmp_path / names).write_bytes(b"")
    source = f"cifar{count}:{tmp_path}" if named else str(tmp_path)
    with pytest.raises(
        ValueError, match=f"{names}: (expected {count} class|not a readable)"
    ):
        load_dataset(source)


def test_cifar_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("KANJI_DATA", str(tmp_path))
    with pytest.raises(DataError, match=f"cifar10: neither .* is in {tmp_path};"):
        load_dataset("cifar10")
    for name in ("cifar10", "cifar100"):
        with pytest.raises(DataError, match=f"{name}: neither .* is in elsewhere;"):
            load_dataset(f"{name}:elsewhere")


def test_a_path_is_not_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").mkdir()
    with pytest.raises(DataError, match="^synthetic: holds no class folders$"):
        load_dataset("./synthetic")


def test_unknown():
    with pytest.raises(OptionError) as error:
        load_dataset("cifar11")
    assert str(error.value) == (
        "dataset 'cifar11': neither a known name nor an existing directory; expected "
        "synthetic, synthetic-keywords, synthetic-persons, synthetic-machines, "
        "cifar10, cifar100, cifar10:DIRECTORY, FILE.npz, FILE.csv, or a directory with "
        "one folder of images or recordings a class"
    )


@pytest.mark.parametrize(
    "source, options, message",
    [
        (
            "synthetic",
            {"size": (8, 8)},
            "dataset synthetic: size does not apply; a dataset of the kind synthetic "
            "takes seed",
        ),
        (
            "cifar10",
            {"seed": 0},
            "dataset cifar10: seed does not apply; a dataset of the kind cifar10 takes "
            "download, progress",
        ),
        (
            "own.npz",
            {"download": True},
            "dataset own.npz: download does not apply; a dataset of the kind FILE.npz "
            "takes task, test_fraction, seed",
        ),
    ],
)
def test_options_that_do_not_apply(source, options, message):
    with pytest.raises(OptionError) as error:
        load_dataset(source, **options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "kind, reader",
    [
        ("synthetic", synthetic),
        ("synthetic-keywords", kanji_np.data.synthetic_keywords),
        ("synthetic-persons", kanji_np.data.synthetic_persons),
        ("synthetic-machines", kanji_np.data.synthetic_machines),
        ("cifar10", kanji_np.data.cifar10),
        ("cifar100", kanji_np.data.cifar100),
        ("FILE.npz", npz),
        ("FILE.csv", kanji_np.data.csv_table),
        ("DIRECTORY", image_folders),
        ("DIRECTORY (.wav)", kanji_np.data.wav_folders),
        ("DIRECTORY (.csv)", kanji_np.data.csv_folders),
        ("DIRECTORY (.npy)", kanji_np.data.npy_directory),
    ],
)
def test_every_listed_option_exists(kind, reader):
    options = set(DATASETS[kind].options)
    assert options <= set(inspect.signature(reader).parameters)
    assert options <= set(inspect.signature(load_dataset).parameters)


def test_the_import_is_light():
    code = (
        "import sys, kanji_np.data; "
        "print(sorted({'numba', 'scipy', 'PIL', 'click'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
