"""Files that are whole or refused: written atomically, damaged ones never read."""

import io
import json
import zipfile

import numpy as np
import pytest

from kanji_np import archive
from kanji_np.errors import FileFormatError

HEADER = {"kind": "test", "b": [1, 2.5, None], "a": "ä"}
ARRAYS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "empty": np.zeros((0, 4), np.int8),
    "scalar": np.array(7),
}


@pytest.fixture
def path(tmp_path):
    archive.write(tmp_path / "file.npz", HEADER, ARRAYS)
    return tmp_path / "file.npz"


def refused(path):
    with pytest.raises(FileFormatError) as caught:
        archive.read(path, "test")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_what_was_written_is_read(path):
    header, arrays = archive.read(path, "test")
    assert header == HEADER
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_numpy_opens_the_file(path):
    with np.load(path) as stored:
        np.testing.assert_array_equal(stored["weight"], ARRAYS["weight"])


def test_equal_content_gives_equal_bytes(path, tmp_path):
    other = tmp_path / "new" / "folder" / "other.npz"
    archive.write(other, dict(reversed(HEADER.items())), ARRAYS)
    assert other.read_bytes() == path.read_bytes()


def test_a_file_cut_anywhere_is_refused(path):
    whole = path.read_bytes()
    for length in [0, 1, *range(7, len(whole), 41), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path)


def test_a_flipped_bit_is_refused_or_changes_nothing(path):
    """In every byte in turn; a bit of a date in the directory changes nothing."""
    whole = bytearray(path.read_bytes())
    harmless = 0
    for at in range(len(whole)):
        whole[at] ^= 1 << at % 8
        path.write_bytes(whole)
        try:
            header, arrays = archive.read(path, "test")
        except FileFormatError as error:
            assert "\n" not in str(error)
        else:
            harmless += 1
            assert header == HEADER
            assert arrays.keys() == ARRAYS.keys()
            for name, array in ARRAYS.items():
                assert arrays[name].tobytes() == array.tobytes()
        whole[at] ^= 1 << at % 8
    assert harmless < len(whole) / 3


def rezipped(path, change):
    """The file's members, changed, in a sound new archive."""
    with np.load(path) as stored:
        content = {name: stored[name] for name in stored.files}
    change(content)
    with path.open("wb") as file:
        np.savez(file, **content)


def other_weight(content):
    content["weight"] = content["weight"] + 1


def other_shape(content):
    content["weight"] = content["weight"].reshape(3, 2)


def other_dtype(content):
    content["weight"] = content["weight"].view(np.int32)


def other_header(content):
    text = json.dumps(HEADER | {"a": "b"}).encode()
    content["header"] = np.frombuffer(text, np.uint8)


def one_more(content):
    content["more"] = np.zeros(1)


def one_less(content):
    del content["scalar"]


@pytest.mark.parametrize(
    "change",
    [other_weight, other_shape, other_dtype, other_header, one_more, one_less],
)
def test_an_altered_file_is_refused(path, change):
    rezipped(path, change)
    assert "SHA-256 does not match" in refused(path)


@pytest.mark.parametrize("name", ["header", "sha256"])
def test_a_file_without_header_or_digest_is_refused(path, name):
    rezipped(path, lambda content: content.pop(name))
    assert "no header" in refused(path)


@pytest.mark.parametrize("text", [b"{", b"[]", b"7", b"\xff", b""])
def test_a_header_that_is_no_object_is_refused(path, text):
    content = {"header": np.frombuffer(text, np.uint8)}
    content["sha256"] = np.frombuffer(archive._digest(content), np.uint8)
    with path.open("wb") as file:
        np.savez(file, **content)
    refused(path)


def test_other_files_are_refused(path, tmp_path):
    archive.write(path, HEADER | {"kind": "something else"}, ARRAYS)
    assert "a something else file, not a test file" in refused(path)
    assert "no such file" in refused(tmp_path / "missing.npz")
    refused(tmp_path)
    for name, content in {
        "text": b"not a zip file",
        "pickle": b"\x80\x04N.",
        "npy": _bytes(lambda file: np.save(file, np.zeros(3))),
        "zip": _bytes(_other_zip),
        "objects": _bytes(lambda f: np.savez(f, header=np.array([{}], object))),
    }.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name)


def _bytes(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _other_zip(file):
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("header", "text")
        other.writestr("sha256", "text")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    before = path.read_bytes()

    def fail(*_):
        raise RuntimeError

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr("os.fsync", fail)
        archive.write(path, {"kind": "other"}, ARRAYS)
    with pytest.raises(TypeError):
        archive.write(path, {"kind": object()}, ARRAYS)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
