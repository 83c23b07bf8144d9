"""Both CIFAR-10 layouts give the same datasets; damaged and hostile files are refused.

The files are made here, with ten images a batch instead of 10,000.
"""

import dataclasses
import hashlib
import pickle
import tarfile

import numpy as np
import pytest

from kanji_np.data import Augment, cifar
from kanji_np.errors import DataError, DownloadError, FileFormatError

PUBLISHED = cifar.CIFAR10  # before the fixture below replaces it
N = 10  # images in a batch
NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()


def shrunk(layout):
    return dataclasses.replace(
        layout,
        train=tuple((file, N) for file, _ in layout.train),
        test=tuple((file, N) for file, _ in layout.test),
    )


@pytest.fixture(autouse=True)
def small_release(monkeypatch):
    release = dataclasses.replace(
        cifar.CIFAR10,
        binary=shrunk(cifar.CIFAR10.binary),
        python=shrunk(cifar.CIFAR10.python),
    )
    monkeypatch.setattr(cifar, "CIFAR10", release)


def content():
    """(planes uint8 (N, 3072), labels (N,)) of the five training and one test batch."""
    rng = np.random.default_rng(0)
    return [
        (rng.integers(0, 256, (N, 3072), np.uint8), rng.permutation(10))
        for _ in range(6)
    ]


def write_binary(root):
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    files = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for file, (planes, labels) in zip(files, content(), strict=True):
        rows = np.c_[labels.astype(np.uint8), planes]
        (folder / file).write_bytes(rows.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def write_python(root, protocol=2):
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    files = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for file, (planes, labels) in zip(files, content(), strict=True):
        batch = {b"data": planes, b"labels": labels.tolist(), b"batch_label": b"x"}
        (folder / file).write_bytes(pickle.dumps(batch, protocol))
    meta = {b"label_names": [name.encode() for name in NAMES]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol))
    return folder


def check(train, test):
    batches = content()
    planes = np.concatenate([planes for planes, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    assert (len(train), len(test)) == (5 * N, N)
    assert train.classes == test.classes == tuple(NAMES)
    images = np.concatenate([train.images, test.images])
    assert images.shape == (6 * N, 32, 32, 3)
    assert np.array_equal(np.concatenate([train.labels, test.labels]), labels)
    told = Augment(crop_padding=4, flip=True, fill=(125, 123, 114))
    assert train.augment == test.augment == told
    # Red, green and blue planes of 1024 bytes, each 32 rows of 32.
    for channel in range(3):
        plane = images[..., channel].reshape(-1, 1024)
        assert np.array_equal(plane, planes[:, channel * 1024 :][:, :1024])


@pytest.mark.parametrize("inside", [False, True])
def test_binary(tmp_path, inside):
    folder = write_binary(tmp_path)
    check(*cifar.cifar10(folder if inside else tmp_path))


@pytest.mark.parametrize("protocol", range(6))
def test_python(tmp_path, protocol):
    check(*cifar.cifar10(write_python(tmp_path, protocol)))


def test_python_in_the_directory_above(tmp_path):
    write_python(tmp_path)
    check(*cifar.cifar10(tmp_path))


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_names_of_both_numpy_generations(tmp_path, core):
    folder = write_python(tmp_path)
    for file in folder.iterdir():
        stored = file.read_bytes().replace(b"numpy._core.", b"numpy.core.")
        file.write_bytes(stored.replace(b"numpy.core.", core + b"."))
    assert core + b".multiarray" in (folder / "test_batch").read_bytes()
    check(*cifar.cifar10(folder))


def test_cache_directory_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("KANJI_DATA", str(tmp_path))
    write_binary(tmp_path)
    check(*cifar.cifar10())


def test_absent(tmp_path):
    with pytest.raises(DataError) as error:
        cifar.cifar10(tmp_path)
    assert str(error.value) == (
        f"cifar10: neither cifar-10-batches-bin nor cifar-10-batches-py is in "
        f"{tmp_path}; pass download=True, or unpack "
        f"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz there"
    )


def refused(kind, directory):
    with pytest.raises(kind) as error:
        cifar.cifar10(directory)
    return str(error.value)


@pytest.mark.parametrize("change", [-1, 1, -3073])
def test_binary_of_wrong_length(tmp_path, change):
    file = write_binary(tmp_path) / "data_batch_3.bin"
    stored = file.read_bytes()
    file.write_bytes(stored[:change] if change < 0 else stored + b"\0")
    assert refused(FileFormatError, tmp_path) == (
        f"{file}: expected 10 images of 3073 bytes = 30730 bytes, got {30730 + change}"
    )


def test_binary_label_out_of_range(tmp_path):
    file = write_binary(tmp_path) / "test_batch.bin"
    stored = bytearray(file.read_bytes())
    stored[4 * 3073] = 10
    file.write_bytes(stored)
    assert refused(FileFormatError, tmp_path) == (
        f"{file}: label 10 at index 4 is outside 0..9 (10 classes)"
    )


@pytest.mark.parametrize(
    "write, file", [(write_binary, "data_batch_2.bin"), (write_python, "test_batch")]
)
def test_batch_missing(tmp_path, write, file):
    path = write(tmp_path) / file
    path.unlink()
    message = refused(DataError, tmp_path)
    assert message == f"{path}: cannot be read: No such file or directory"


def test_too_few_names(tmp_path):
    file = write_binary(tmp_path) / "batches.meta.txt"
    file.write_text("cat dog")
    assert (
        refused(FileFormatError, tmp_path) == f"{file}: expected 10 class names, got 2"
    )


PLANES = np.zeros((N, 3072), np.uint8)
LABELS = [0] * N


@pytest.mark.parametrize(
    "batch, message",
    [
        ([1], "expected a dictionary with the key b'data'"),
        ({b"data": PLANES}, "expected a dictionary with the key b'labels'"),
        (
            {b"data": PLANES[:9], b"labels": LABELS},
            "expected data of uint8 (10, 3072), got uint8 (9, 3072)",
        ),
        (
            {b"data": PLANES.astype(np.int32), b"labels": LABELS},
            "expected data of uint8 (10, 3072), got int32 (10, 3072)",
        ),
        (
            {b"data": b"\0", b"labels": LABELS},
            "expected data of uint8 (10, 3072), got bytes",
        ),
        ({b"data": PLANES, b"labels": LABELS[:9]}, "expected 10 labels, got 9"),
        ({b"data": PLANES, b"labels": "0"}, "expected labels as a list of integers"),
        ({b"data": PLANES, b"labels": [0.5] * N}, "expected labels as a list of"),
        (
            {b"data": PLANES, b"labels": [0, 11] + LABELS[2:]},
            "label 11 at index 1 is outside 0..9 (10 classes)",
        ),
    ],
)
def test_python_batch_of_another_kind(tmp_path, batch, message):
    file = write_python(tmp_path) / "data_batch_4"
    file.write_bytes(pickle.dumps(batch))
    assert refused(FileFormatError, tmp_path).startswith(f"{file}: {message}")


def test_python_names_of_another_kind(tmp_path):
    file = write_python(tmp_path) / "batches.meta"
    file.write_bytes(pickle.dumps({b"label_names": [1]}))
    message = f"{file}: expected class names as a list of bytes"
    assert refused(FileFormatError, tmp_path) == message


class Call:
    """Pickles into a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_cannot_call_anything(tmp_path, protocol):
    mark = tmp_path / "mark"
    file = write_python(tmp_path) / "test_batch"
    attack = Call(exec, f"open({str(mark)!r}, 'w').close()")
    file.write_bytes(pickle.dumps({b"data": attack}, protocol))
    module = "__builtin__" if protocol < 3 else "builtins"
    assert refused(FileFormatError, tmp_path) == (
        f"{file}: this pickle asks for {module}.exec, which no array needs; refused"
    )
    assert not mark.exists()


def test_a_pickle_cannot_reach_through_an_allowed_module(tmp_path):
    file = write_python(tmp_path) / "test_batch"
    # GLOBAL with a dotted name: attributes of an allowed class are not allowed too.
    file.write_bytes(b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.")
    assert "asks for numpy.ndarray.dump," in refused(FileFormatError, tmp_path)


def test_a_pickle_cannot_choose_a_codec(tmp_path):
    file = write_python(tmp_path) / "test_batch"
    import _codecs

    file.write_bytes(pickle.dumps(Call(_codecs.encode, "x", "rot13"), 2))
    message = f"{file}: not a readable pickle: bytes encoded as 'rot13'"
    assert refused(FileFormatError, tmp_path) == message


@pytest.mark.parametrize("kept", [0, 1, 100, 20000])
def test_pickle_cut_off(tmp_path, kept):
    file = write_python(tmp_path) / "data_batch_1"
    file.write_bytes(file.read_bytes()[:kept])
    message = refused(FileFormatError, tmp_path)
    assert message.startswith(f"{file}: not a readable pickle: ")


def use_archive(monkeypatch, url, content):
    release = dataclasses.replace(
        cifar.CIFAR10, url=url, md5=hashlib.md5(content).hexdigest()
    )
    monkeypatch.setattr(cifar, "CIFAR10", release)


def test_an_archive_put_there_by_hand_is_unpacked(tmp_path, monkeypatch):
    made, used = tmp_path / "made", tmp_path / "used"
    made.mkdir()
    used.mkdir()
    archive = used / "small.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(write_binary(made), "cifar-10-batches-bin")
    # Port 9 of this machine answers nobody: the archive must be used as it is.
    use_archive(monkeypatch, "http://127.0.0.1:9/small.tar.gz", archive.read_bytes())
    check(*cifar.cifar10(used, download=True))
    archive.unlink()
    check(*cifar.cifar10(used, download=True))


def test_download_without_network(tmp_path, monkeypatch):
    url = "http://127.0.0.1:9/small.tar.gz"
    use_archive(monkeypatch, url, b"")
    with pytest.raises(DownloadError) as error:
        cifar.cifar10(tmp_path, download=True)
    assert f"cannot download {url}: " in str(error.value)
    assert str(error.value).endswith(f"put the file at {tmp_path / 'small.tar.gz'}")


@pytest.mark.parametrize("is_binary", [True, False])
def test_cifar100_has_its_fine_labels(tmp_path, monkeypatch, is_binary):
    release = dataclasses.replace(
        cifar.CIFAR100,
        binary=shrunk(cifar.CIFAR100.binary),
        python=shrunk(cifar.CIFAR100.python),
    )
    monkeypatch.setattr(cifar, "CIFAR100", release)
    layout = release.binary if is_binary else release.python
    folder = tmp_path / layout.folder
    folder.mkdir()
    classes = [f"class{i}" for i in range(100)]
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 256, (N, 3072), np.uint8)
    fine, coarse = rng.integers(0, 100, N, np.uint8), rng.integers(0, 20, N, np.uint8)
    for ((file, _),) in (layout.train, layout.test):
        if is_binary:
            (folder / file).write_bytes(np.c_[coarse, fine, planes].tobytes())
        else:
            batch = {b"data": planes, b"fine_labels": fine.tolist()}
            batch[b"coarse_labels"] = coarse.tolist()
            (folder / file).write_bytes(pickle.dumps(batch))
    if is_binary:
        (folder / layout.names).write_text("\n".join(classes))
    else:
        names = {b"fine_label_names": [name.encode() for name in classes]}
        (folder / layout.names).write_bytes(pickle.dumps(names))
    for part in cifar.cifar100(tmp_path):
        assert part.name == "cifar100"
        assert part.classes == tuple(classes)
        assert part.labels.tolist() == fine.tolist()
        assert part.images[0, 0, :2, 2].tolist() == planes[0, 2048:2050].tolist()
        assert part.augment == Augment(crop_padding=4, fill=(129, 124, 112))


def test_the_published_layout():
    assert PUBLISHED.md5 == "c32a1d4ab5d03f1284b67883e8d87530"
    for layout in (PUBLISHED.binary, PUBLISHED.python):
        assert [n for _, n in layout.train] == [10000] * 5
        assert [n for _, n in layout.test] == [10000]
        # Unpacked last: where the names are, the images are.
        assert layout.members[-1] == f"{layout.folder}/{layout.names}"
