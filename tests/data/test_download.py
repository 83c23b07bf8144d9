"""Fetching from a server on this machine: whole, broken off, resumed, or wrong."""

import hashlib
import http.server
import io
import tarfile
import threading
from pathlib import Path

import pytest

from kanji_np.data import cache_directory, fetch
from kanji_np.data.download import extract
from kanji_np.errors import DownloadError, FileFormatError, OptionError

CONTENT = bytes(range(256)) * 4000  # about a megabyte, so it goes in several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT as the server's attributes say, and writes down what was asked."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if self.path == "/missing":
            self.send_error(404)
            return
        start = 0
        if asked and server.knows_range:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if server.tells_length:
            self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : server.breaks_at])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.knows_range = server.tells_length = True
        server.breaks_at = None
        server.url = f"http://127.0.0.1:{server.server_port}/file.bin"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def files(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("checksum", [{"sha256": SHA256}, {"md5": MD5.upper()}])
def test_whole(server, tmp_path, checksum):
    path = tmp_path / "new" / "file.bin"
    assert fetch(server.url, path, **checksum) == path
    assert path.read_bytes() == CONTENT
    assert files(path.parent) == ["file.bin"]


def test_present_file_is_not_asked_for_again(server, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    fetch(server.url, path, md5=MD5)
    assert server.asked == []


def test_present_wrong_file_is_left_alone(server, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"mine")
    with pytest.raises(DownloadError) as error:
        fetch(server.url, path, md5=MD5)
    assert str(error.value) == (
        f"{path} has md5 {hashlib.md5(b'mine').hexdigest()}, expected {MD5}; remove "
        f"it, and it will be downloaded from {server.url}"
    )
    assert path.read_bytes() == b"mine"
    assert server.asked == []


@pytest.mark.parametrize("knows_range", [True, False])
def test_broken_off_then_resumed(server, tmp_path, knows_range):
    path = tmp_path / "file.bin"
    server.breaks_at = 300_000
    server.knows_range = knows_range
    with pytest.raises(DownloadError) as error:
        fetch(server.url, path, sha256=SHA256)
    assert str(error.value) == (
        f"cannot download {server.url}: the connection closed at 300000 of 1024000. "
        f"The 300000 bytes that arrived are kept, so try again, or fetch that address "
        f"by other means and put the file at {path}"
    )
    assert files(tmp_path) == ["file.bin.part"]
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:300_000]

    server.breaks_at = None
    calls = []
    fetch(server.url, path, sha256=SHA256, progress=lambda *call: calls.append(call))
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == ["file.bin"]
    assert server.asked == [None, "bytes=300000-"]
    counts = [done for done, _ in calls]
    assert counts == sorted(counts)
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    # What is counted begins behind the part, or anew where Range was ignored.
    assert (counts[0] > 300_000) == knows_range


def test_several_interruptions(server, tmp_path):
    path = tmp_path / "file.bin"
    for server.breaks_at in (1, 70_000, 1_023_999):
        with pytest.raises(DownloadError):
            fetch(server.url, path, md5=MD5)
    server.breaks_at = None
    assert fetch(server.url, path, md5=MD5).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1023999-"


def test_part_that_was_already_whole(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    path = tmp_path / "file.bin"
    assert fetch(server.url, path, md5=MD5).read_bytes() == CONTENT
    assert server.asked == ["bytes=1024000-"]


def test_length_not_told(server, tmp_path):
    server.tells_length = False
    totals = set()
    path = fetch(
        server.url,
        tmp_path / "file.bin",
        md5=MD5,
        progress=lambda done, total: totals.add(total),
    )
    assert path.read_bytes() == CONTENT
    assert totals == {None}


def test_wrong_checksum_is_removed(server, tmp_path):
    with pytest.raises(DownloadError) as error:
        fetch(server.url, tmp_path / "file.bin", sha256="0" * 64)
    assert str(error.value) == (
        f"{server.url} arrived with sha256 {SHA256}, expected {'0' * 64}; it was "
        f"removed. Try again; if this repeats, the file on the server has changed"
    )
    assert files(tmp_path) == []


def test_part_of_another_file_is_removed(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"other")
    with pytest.raises(DownloadError, match="it was removed"):
        fetch(server.url, tmp_path / "file.bin", md5=MD5)
    fetch(server.url, tmp_path / "file.bin", md5=MD5)
    assert server.asked == ["bytes=5-", None]


def test_address_unknown_to_the_server(server, tmp_path):
    url = server.url.replace("file.bin", "missing")
    (tmp_path / "file.bin.part").write_bytes(b"begun")
    with pytest.raises(DownloadError) as error:
        fetch(url, tmp_path / "file.bin", md5=MD5)
    assert str(error.value).startswith(
        f"cannot download {url}: HTTP Error 404: Not Found. The 5 bytes that arrived"
    )
    assert files(tmp_path) == ["file.bin.part"]


def test_nobody_answers(tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_port}/file.bin"
    path = tmp_path / "file.bin"
    with pytest.raises(DownloadError) as error:
        fetch(url, path, md5=MD5)
    message = str(error.value)
    assert message.startswith(f"cannot download {url}: ")
    assert "urlopen error" not in message
    assert message.endswith(f"by other means and put the file at {path}")


def test_directory_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot download http://x/y: .*file"):
        fetch("http://x/y", tmp_path / "file" / "below" / "z", md5=MD5)


@pytest.mark.parametrize("checksums", [{}, {"md5": MD5, "sha256": SHA256}])
def test_exactly_one_checksum(tmp_path, checksums):
    with pytest.raises(OptionError, match="give exactly one of sha256 and md5"):
        fetch("http://x/y", tmp_path / "y", **checksums)


def test_cache_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("KANJI_DATA", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("KANJI_DATA")
    assert cache_directory() == Path.home() / ".cache" / "kanji-np"


def make_archive(path, members):
    """`members` maps names to bytes, or to the target of a symbolic link."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def test_extract_takes_only_what_is_expected(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    archive = make_archive(
        tmp_path / "a.tar.gz",
        {
            "../outside": b"1",
            str(tmp_path / "absolute"): b"2",
            "set/link": "/etc/passwd",
            "set/extra": b"3",
            "set/a": b"4",
            "set/b": b"5",
        },
    )
    extract(archive, inside, ["set/a", "set/b"])
    assert files(tmp_path) == ["a.tar.gz", "inside"]
    assert files(inside) == ["set"]
    assert files(inside / "set") == ["a", "b"]
    assert (inside / "set" / "b").read_bytes() == b"5"


@pytest.mark.parametrize(
    "members, message",
    [
        ({"set/a": b"1"}, "lacks set/b"),
        (
            {"set/a": b"1", "set/b": "/etc/passwd"},
            "cannot be unpacked: set/b is not a regular file",
        ),
    ],
)
def test_extract_all_or_nothing(tmp_path, members, message):
    archive = make_archive(tmp_path / "a.tar.gz", members)
    with pytest.raises(FileFormatError) as error:
        extract(archive, tmp_path, ["set/a", "set/b"])
    assert str(error.value) == f"{archive}: {message}"
    assert files(tmp_path) == ["a.tar.gz"]


@pytest.mark.parametrize("kept", [0, 5, 200, 900])
def test_extract_archive_cut_off(tmp_path, kept):
    noise = hashlib.shake_128(b"").digest(2000)  # does not compress
    archive = make_archive(tmp_path / "a.tar.gz", {"set/a": noise})
    archive.write_bytes(archive.read_bytes()[:kept])
    with pytest.raises(FileFormatError, match="cannot be unpacked"):
        extract(archive, tmp_path, ["set/a"])
    assert files(tmp_path) == ["a.tar.gz"]


def test_extract_replaces_no_other_file(tmp_path):
    archive = make_archive(tmp_path / "a.tar.gz", {"set/a": b"1", "set/b": b"2"})
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "b").write_bytes(b"mine")
    with pytest.raises(FileFormatError, match="set/b: is there and is not the file"):
        extract(archive, tmp_path, ["set/a", "set/b"])
    assert files(tmp_path / "set") == ["b"]
    (tmp_path / "set" / "b").write_bytes(b"2")
    extract(archive, tmp_path, ["set/a", "set/b"])
    assert files(tmp_path / "set") == ["a", "b"]
