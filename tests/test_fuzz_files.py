"""Changed files are refused in one line, or what they hold is sound."""

import importlib.util
import io
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small import images, small_net

import kanji_np as kj
from kanji_np import archive
from kanji_np.data import npz
from kanji_np.errors import DataError, FileFormatError

ROOT = Path(__file__).parents[1]


def _example():
    path = ROOT / "examples" / "fuzz_files.py"
    found = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(found)
    sys.modules[path.stem] = module  # dataclasses look there
    found.loader.exec_module(module)
    return module


fuzz_files = _example()

#: So many files of each kind; the example makes as many as one likes.
COUNTS = {
    "model": 150, "checkpoint": 60, "result": 150, "bench": 150, "manifest": 150,
    "dataset": 150,
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_changed_files_are_refused_or_sound(name, tmp_path):
    kind = fuzz_files.KINDS[name](tmp_path)
    path, outcomes = tmp_path / "file", set()
    for i in range(COUNTS[name]):
        path.write_bytes(kind.changed(np.random.default_rng((1, i))))
        outcomes.add(fuzz_files.outcome(kind, path))
    assert any(word.startswith("refused") for word in outcomes)
    assert not all(word.startswith("refused") for word in outcomes)


def crafted(path, change):
    """A model file whose digest is right, after a change of header and arrays."""
    net = small_net()
    net.calibrate(images())
    header, arrays = net.snapshot()
    header = fuzz_files.plain(header)
    change(header, arrays)
    path.write_bytes(fuzz_files.archive_bytes(header, arrays))


def attribute(layer, name, value):
    return lambda header, arrays: header["layers"][layer]["attrs"].update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (attribute(1, "filters", 10**8), r"layers\[1\]: filters must be an int in"),
        (attribute(1, "filters", 60_000), "conv1/weight must be float32 of shape"),
        (attribute(1, "weight_bits", 5), r"layers\[1\]: weight_bits must be 8 or 4"),
        (attribute(1, "dilation", [0, 0]), r"layers\[1\]: dilation_rate must be"),
        (attribute(1, "stride", [0, 1]), r"layers\[1\]: strides must be"),
        (attribute(1, "activation", "zzz"), r"layers\[1\]: activation must be None or"),
        (attribute(1, "kernel", fuzz_files.DEEP), "is no JSON"),
        (attribute(0, "shift", 64), r"layers\[0\]: shift must be an int in 0 .. 7"),
        (
            lambda header, arrays: header["layers"][3].update(inputs=[-1]),
            r"layers\[3\].inputs\[0\] must be an int in 0",
        ),
        (
            lambda header, arrays: header["layers"][3].update(inputs=[4]),
            r"layers\[3\].inputs\[0\] must be an int in 0 .. 3, got 4",
        ),
        (
            lambda header, arrays: header["layers"][4].update(inputs=[3]),
            "layers: those of the network are others",
        ),
        (
            lambda header, arrays: header.update(input_shape=[10**6, 10**6, 3]),
            "takes more than",
        ),
        (
            lambda header, arrays: arrays.update(
                {"normalize1/mean": np.array([300, -5, 3])}
            ),
            "mean must be",
        ),
        (
            lambda header, arrays: arrays.update(
                {"normalize1/mean": np.zeros((8, 8, 3), np.uint8)}
            ),
            r"the mean must have shape \(3,\)",
        ),
        (
            lambda header, arrays: arrays["conv1/weight"].fill(np.nan),
            "conv1/weight holds a value that is not finite",
        ),
        (
            lambda header, arrays: arrays.update({"conv1/more": np.zeros(3)}),
            "the array 'conv1/more' does not belong here",
        ),
    ],
)
def test_a_changed_model_is_refused_with_the_place(tmp_path, change, message):
    path = tmp_path / "net.npz"
    crafted(path, change)
    with pytest.raises(FileFormatError, match=message) as caught:
        kj.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()


def written(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_an_archive_is_not_inflated_before_it_is_known(tmp_path):
    """Zeros of 280 MB in a small file."""
    path = tmp_path / "bomb.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (280_000_000,)}
    )
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("header.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for _ in range(280):
            member.write(bytes(1_000_000))
    with pytest.raises(FileFormatError, match="compressed"):
        archive.read(path, "kanji_np model")
    with pytest.raises(FileFormatError, match="bytes would become 280,"):
        npz(path)


def test_a_shape_that_the_bytes_do_not_hold_is_refused(tmp_path):
    path = written(tmp_path / "own.npz", x=np.zeros((2, 2, 2, 1), np.uint8))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"(2, 2, 2, 1)", b"(9, 9, 9, 9)"))
    with pytest.raises(FileFormatError):
        npz(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "x.npy",
            np.lib.format.magic(1, 0) + b"\x76\x00"
            b"{'descr': '|u1', 'fortran_order': False, "
            b"'shape': (99999999999, 9, 9, 9), }" + b" " * 41 + b"\n",
        )  # fmt: skip
    with pytest.raises(FileFormatError, match="not as long as its shape"):
        npz(path)


def test_an_encrypted_archive_is_refused(tmp_path):
    path = written(tmp_path / "own.npz", x=np.zeros(3))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="encrypted"):
        npz(path)


IMAGES = np.zeros((4, 2, 2, 1), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.array([0, 1, 2, 2_147_483_647])}, "at most 65535 classes are known"),
        ({"y": np.array([0, 1, 2, 2**64 - 1], np.uint64)}, "at most 65535 classes"),
        ({"y": np.arange(4), "classes": np.array([b"a", b"\xff"])}, "must be strings"),
        ({"y": np.arange(4), "classes": np.zeros(4)}, "classes must be at most"),
    ],
)
def test_labels_and_names_of_classes_are_checked(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        npz(written(tmp_path / "own.npz", x=IMAGES, **arrays))


def test_a_pipe_is_not_waited_for(tmp_path):
    folder = tmp_path / "data" / "cat"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "x.png")
    os.mkfifo(tmp_path / "model.npz")
    with pytest.raises(FileFormatError, match=r"x.png: .* not a regular file"):
        kj.load_dataset(tmp_path / "data")
    for read in (kj.load, npz):
        with pytest.raises(FileFormatError, match=r"model.npz: .* not a regular file"):
            read(tmp_path / "model.npz")


def test_a_file_of_an_earlier_version_gives_the_same_network(tmp_path):
    """Made by the version before files were held against a schema."""
    path = Path(__file__).with_name("model_format_2.npz")
    net = kj.load(path)
    assert net.freeze().digest() == DIGEST
    net.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


DIGEST = "7c216c4d29371614b0b6248d2ff57c51c35f8d22ea1f65127ae7133754ff3f5a"
