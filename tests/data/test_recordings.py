"""Recordings: folders of CSV and WAV files, windows, and tests on unseen recordings."""

import re
import wave

import numpy as np
import pytest

from kanji_np.data import csv_folders, csv_table, load_dataset, wav_folders
from kanji_np.errors import DataError, DataWarning, OptionError


def write_csv(path, values, header=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(map(str, row)) for row in values]
    path.write_text("\n".join([header] * bool(header) + lines) + "\n")


def write_wav(path, samples, rate=8000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())


def numbered(n, start=0, channels=2):
    """Row i of every column holds start + i."""
    return np.repeat(np.arange(start, start + n)[:, None], channels, axis=1)


def rest_and_run(root, n=5, length=20, header="x,y"):
    """Recording i of class k holds numbers from 1000 * (5 * k + i)."""
    for k, name in enumerate(("rest", "run")):
        for i in range(n):
            values = numbered(length, 1000 * (n * k + i))
            write_csv(root / name / f"{i}.csv", values, header)


def sources(data):
    """Which recording each window is from."""
    return (data.images[:, 0, 0] // 1000).tolist()


def test_each_file_is_a_sample(tmp_path):
    rest_and_run(tmp_path)
    train, test = load_dataset(tmp_path, test_fraction=0.4)
    assert (len(train), len(test)) == (6, 4)
    assert (train.classes, train.input_shape) == (("rest", "run"), (20, 2))
    assert train.images.dtype == np.int16
    for part in (train, test):
        assert [source >= 5 for source in sources(part)] == part.labels.tolist()
        assert (np.diff(part.images, axis=1) == 1).all()


def test_training_and_test_folders(tmp_path):
    rest_and_run(tmp_path / "train")
    rest_and_run(tmp_path / "test", n=1)
    train, test = load_dataset(tmp_path)
    assert (len(train), len(test)) == (10, 2)
    train, test = load_dataset(tmp_path, window=5, step=5)
    assert (len(train), len(test)) == (40, 8)


def test_windows_and_their_steps(tmp_path):
    rest_and_run(tmp_path)
    train, test = csv_folders(tmp_path, window=8, step=4)
    assert train.input_shape == (8, 2)
    # (20 - 8) / 4 + 1 = 4 of each recording
    assert (len(train), len(test)) == (4 * 8, 4 * 2)
    starts = train.images[:, 0, 0] % 1000
    assert sorted(set(starts.tolist())) == [0, 4, 8, 12]
    train, test = csv_folders(tmp_path, window=8)
    assert len(train) + len(test) == 2 * 10


def test_no_recording_is_on_both_sides(tmp_path):
    rest_and_run(tmp_path)
    for seed in range(4):
        train, test = csv_folders(tmp_path, window=8, step=2, seed=seed)
        assert not set(sources(train)) & set(sources(test))
        assert set(test.labels.tolist()) == {0, 1}


def test_a_class_of_one_recording_is_divided_in_time(tmp_path):
    write_csv(tmp_path / "rest" / "1.csv", numbered(100))
    rest_and_run(tmp_path / "more")
    (tmp_path / "more" / "run").rename(tmp_path / "run")
    (tmp_path / "more" / "rest").rename(tmp_path / "other")
    (tmp_path / "more").rmdir()
    train, test = csv_folders(tmp_path, window=10, step=1, test_fraction=0.3)
    assert train.classes == ("other", "rest", "run")
    rows = [part.images[part.labels == 1][..., 0] for part in (train, test)]
    assert rows[0].max() == 69 and rows[1].min() == 70  # no row is on both sides
    # There is one window at least on either side.
    for fraction in (0.05, 0.95):
        with pytest.warns(DataWarning, match="the test set has no image of other, run"):
            parts = csv_folders(tmp_path, window=15, test_fraction=fraction)
        assert min((part.labels == 1).sum() for part in parts) == 1


def test_a_recording_too_short_to_be_divided_is_for_training(tmp_path):
    rest_and_run(tmp_path)
    write_csv(tmp_path / "sit" / "1.csv", numbered(12))
    with pytest.warns(DataWarning, match="the test set has no image of sit: too few"):
        train, test = csv_folders(tmp_path, window=10)
    assert (train.labels == 2).sum() == 1
    assert set(test.labels.tolist()) == {0, 1}


def test_shorter_recordings_are_left_out(tmp_path):
    rest_and_run(tmp_path)
    write_csv(tmp_path / "train" / "x.csv", numbered(3))
    (tmp_path / "train" / "x.csv").rename(tmp_path / "run" / "short.csv")
    (tmp_path / "train").rmdir()
    with pytest.warns(DataWarning) as caught:
        csv_folders(tmp_path, window=20)
    assert str(caught[0].message) == (
        f"{tmp_path}: shorter than a window of 20: run/short.csv (3); left out"
    )
    with pytest.raises(DataError, match="no recording is as long as a window of 21$"):
        csv_folders(tmp_path, window=21)


def test_times_and_labels_in_recordings_are_left_out(tmp_path):
    for name in ("rest", "run"):
        for i in range(5):
            values = np.c_[numbered(20), np.full(20, name == "run") * 1]
            write_csv(tmp_path / name / f"{i}.csv", values, "timestamp,accX,label")
    with pytest.warns(DataWarning) as caught:
        train, _ = csv_folders(tmp_path)
    assert train.input_shape == (20, 1)
    assert str(caught[0].message) == (
        f"{tmp_path / 'rest' / '0.csv'}: left out by their names are the columns "
        "'timestamp', 'label'"
    )


def test_text_files_with_spaces(tmp_path):
    for name in ("rest", "run"):
        for i in range(5):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{i}.txt").write_text(" 1.0e+0  2\n 3.5 -4\n")
    train, _ = load_dataset(tmp_path)
    assert train.images.dtype == np.float32
    assert train.images[0].tolist() == [[1, 2], [3.5, -4]]


@pytest.mark.parametrize(
    ("values", "header", "message"),
    [
        (numbered(9), "x,y", "has 9 rows, but most files have 20; pass window to cut"),
        (numbered(20, channels=3), "x,y,z", "has 3 columns, but "),
        (numbered(20), "x,z", "has the column 'z', where "),
        ([["1", "fast"]] * 20, "x,y", "line 2, column 'y': 'fast' is not a finite num"),
    ],
)
def test_recordings_that_differ(tmp_path, values, header, message):
    rest_and_run(tmp_path)
    path = tmp_path / "run" / "odd.csv"
    write_csv(path, values, header)
    with pytest.raises(DataError, match=f"^{path}: {re.escape(message)}"):
        csv_folders(tmp_path)


def test_a_table_in_windows(tmp_path):
    path = tmp_path / "long.csv"
    labels = ["rest"] * 30 + ["run"] * 25 + ["rest"] * 30 + ["run"] * 5
    lines = [f"{i},{-i},{label}" for i, label in enumerate(labels)]
    path.write_text("\n".join(["a,b,activity", *lines]))
    with pytest.warns(DataWarning, match=r"shorter than a window of 10: line 87 \(5\)"):
        train, test = csv_table(path, window=10, step=5, test_fraction=0.5)
    assert train.input_shape == (10, 2)
    for part in (train, test):
        firsts, lasts = part.images[:, 0, 0], part.images[:, -1, 0]
        for first, last, label in zip(firsts, lasts, part.labels, strict=True):
            own = set(labels[first : last + 1])
            assert own == {train.classes[label]}  # no window spans two
    rows = [set(part.images[..., 0].ravel().tolist()) for part in (train, test)]
    assert not rows[0] & rows[1]


def test_values_of_windows_are_those_of_the_last_row(tmp_path):
    path = tmp_path / "long.csv"
    lines = [f"{i},{i / 2}" for i in range(100)]
    path.write_text("\n".join(["a,target", *lines]))
    train, test = load_dataset(path, window=10, step=10, task="regression")
    assert (len(train), len(test)) == (8, 2)
    for part in (train, test):
        assert np.array_equal(part.labels[:, 0], part.images[:, -1, 0] / 2)


def test_too_little_to_divide(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("\n".join(f"{i},x" for i in range(15)))
    with pytest.raises(OptionError) as error:
        csv_table(path, window=10)
    assert str(error.value) == (
        f"{path}: test_fraction=0.2 of recordings in windows of 10 leaves 0 for testing"
    )
    with pytest.raises(OptionError, match="test_fraction must lie between 0 and 1"):
        csv_table(path, window=10, test_fraction=2)


def sounds(root, lengths=(80,) * 5, **options):
    for k, name in enumerate(("no", "yes")):
        for i, length in enumerate(lengths):
            samples = np.arange(1, length + 1) + 1000 * (len(lengths) * k + i)
            write_wav(root / name / f"{i}.wav", samples, **options)


def test_sounds(tmp_path):
    sounds(tmp_path)
    train, test = load_dataset(tmp_path)
    assert (train.classes, train.input_shape) == (("no", "yes"), (80, 1))
    assert (train.images.dtype, len(train), len(test)) == (np.int16, 8, 2)
    train, test = load_dataset(tmp_path, window=40, step=20)
    assert (train.input_shape, len(train), len(test)) == ((40, 1), 24, 6)
    assert not set(sources(train)) & set(sources(test))


def test_sounds_of_many_lengths(tmp_path):
    sounds(tmp_path, (80, 80, 80, 50, 90))
    with pytest.warns(DataWarning) as caught:
        train, test = wav_folders(tmp_path, test_fraction=0.4)
    assert str(caught[0].message) == (
        f"{tmp_path}: sounds have 50 to 90 samples: all are cut or filled up with "
        "zeros to 80"
    )
    both = np.concatenate([train.images, test.images])[..., 0]
    ends = {int(row[0]) // 1000: row[50:].tolist() for row in both}
    assert ends[3] == [0] * 30
    assert ends[4] == [*range(4051, 4081)]
    with pytest.warns(DataWarning, match="window of 60: .*; filled up with zeros"):
        wav_folders(tmp_path, window=60)


def test_sounds_that_differ(tmp_path):
    sounds(tmp_path)
    path = tmp_path / "yes" / "other.wav"
    write_wav(path, [1, 2], rate=44100)
    with pytest.raises(DataError) as error:
        wav_folders(tmp_path)
    assert str(error.value) == (
        f"{path}: has 44100 Hz, but 8000 Hz was the sample rate so far; all must have "
        "the same"
    )
    write_wav(path, [])
    with pytest.raises(DataError, match="other.wav: holds no samples"):
        wav_folders(tmp_path)


def test_sounds_of_several_channels_are_noted(tmp_path):
    sounds(tmp_path, channels=2)
    with pytest.warns(DataWarning) as caught:
        train, _ = wav_folders(tmp_path)
    assert train.input_shape == (40, 1)
    assert str(caught[0].message) == (
        f"{tmp_path}: 10 sounds have several channels: taken is their mean"
    )


def test_pictures_and_sounds_exclude_each_other(tmp_path):
    sounds(tmp_path)
    (tmp_path / "yes" / "1.png").write_bytes(b"")
    with pytest.raises(DataError) as error:
        load_dataset(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: holds images (yes/1.png) and WAV files (no/0.wav); keep those of "
        "one kind"
    )


def test_notes_beside_sounds_are_passed_over(tmp_path):
    sounds(tmp_path)
    (tmp_path / "yes" / "speakers.csv").write_text("a,b\n")
    (tmp_path / "yes" / "readme.txt").write_text("hello")
    assert load_dataset(tmp_path)[0].input_shape == (80, 1)


def test_the_shape_of_a_network_stands_for_options(tmp_path):
    sounds(tmp_path)
    assert load_dataset(tmp_path, shape=(16, 1))[0].input_shape == (16, 1)
    assert load_dataset(tmp_path, shape=(16, 1), window=20)[0].input_shape == (20, 1)
    rest_and_run(tmp_path / "csv")
    assert load_dataset(tmp_path / "csv", shape=(5, 2))[0].input_shape == (5, 2)
    from PIL import Image

    (tmp_path / "pictures" / "cat").mkdir(parents=True)
    for i in range(4):
        Image.new("RGB", (9, 7)).save(tmp_path / "pictures" / "cat" / f"{i}.png")
    pictures, _ = load_dataset(
        tmp_path / "pictures", shape=(3, 5, 1), test_fraction=0.5
    )
    assert pictures.input_shape == (3, 5, 1)
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 4)), y=[0, 1, 0] * 3)
    assert load_dataset(tmp_path / "a.npz", shape=(3,))[0].input_shape == (4,)
