"""Fetch a file once, and unpack what was expected of it.

A transfer that breaks off leaves `NAME.part`; the next call continues it by an HTTP
Range request. The file gets its name only after its checksum was found right, so a
file that has its name is whole.
"""

from __future__ import annotations

import filecmp
import hashlib
import http.client
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from kanji_np.errors import DownloadError, FileFormatError, OptionError

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30


def cache_directory() -> Path:
    """`$KANJI_DATA`, or `~/.cache/kanji-np` where that is not set."""
    chosen = os.environ.get("KANJI_DATA")
    return Path(chosen) if chosen else Path.home() / ".cache" / "kanji-np"


def fetch(
    url: str,
    path: str | Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Download `url` to `path`, unless the right file is there already.

    Parameters
    ----------
    url : str
        http or https.
    path : path
        Where the finished file goes; missing directories are made. What has arrived so
        far stands beside it in `NAME.part`.
    sha256, md5 : str
        Exactly one of the two: the checksum in hexadecimal.
    progress : callable, optional
        Called with (bytes so far, bytes in all or None if the server does not say).

    Returns
    -------
    Path
        `path`, holding the checked file.

    Raises
    ------
    OptionError
        Not exactly one checksum was given.
    DownloadError
        The server cannot be reached, the transfer broke off (the part is kept), or a
        checksum is wrong (what was downloaded is removed; a file that stood at `path`
        before is left alone).
    """
    if (sha256 is None) == (md5 is None):
        raise OptionError(f"fetch {url}: give exactly one of sha256 and md5")
    algorithm = "sha256" if md5 is None else "md5"
    expected = (sha256 or md5 or "").lower()
    path = Path(path)
    if path.exists():
        came = _checksum(path, algorithm)
        if came != expected:
            raise DownloadError(
                f"{path} has {algorithm} {came}, expected {expected}; remove it, and "
                f"it will be downloaded from {url}"
            )
        return path
    part = path.with_name(path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _transfer(url, part, progress)
    except (OSError, http.client.HTTPException) as error:
        is_status = isinstance(error, urllib.error.HTTPError)
        reason = error if is_status else getattr(error, "reason", error)
        kept = part.stat().st_size if part.exists() else 0
        raise DownloadError(
            f"cannot download {url}: {reason}. The {kept} bytes that arrived are kept, "
            f"so try again, or fetch that address by other means and put the file at "
            f"{path}"
        ) from error
    came = _checksum(part, algorithm)
    if came != expected:
        part.unlink()
        raise DownloadError(
            f"{url} arrived with {algorithm} {came}, expected {expected}; it was "
            f"removed. Try again; if this repeats, the file on the server has changed"
        )
    part.replace(path)
    return path


def _transfer(
    url: str, part: Path, progress: Callable[[int, int | None], None] | None
) -> None:
    """Append to `part` what it lacks of `url`.

    Raises OSError or HTTPException when the whole file could not be had.
    """
    done = part.stat().st_size if part.exists() else 0
    # Identity: a byte range of a compressed transfer would not continue the file.
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        # Nothing lies behind the part: it is whole, and the checksum will tell.
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and done:
            return
        raise
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            done = 0  # the server ignores Range and sends the file from its beginning
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        with open(part, "ab" if done else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    if total is not None and done < total:
        raise http.client.HTTPException(f"the connection closed at {done} of {total}")


def _checksum(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def extract(archive: str | Path, directory: str | Path, members: Sequence[str]) -> None:
    """Unpack the named members of a tar archive, and nothing else of it.

    Parameters
    ----------
    archive : path
        Compressed in any way `tarfile` reads.
    directory : path
        Exists. Each member is written to the place in here that its name says.
    members : sequence of str
        Relative names. They are the caller's, so no name that only the archive knows
        reaches the file system. Once all are unpacked they are moved to their places
        in this order: where the last one is, all are.

    Raises
    ------
    FileFormatError
        The archive cannot be read, lacks a member, or holds a link or a device under
        its name; or something else is where a member belongs.
    """
    missing = set(members)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=directory) as unpacked:
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    if member.name in missing:
                        _extract_file(tar, member, Path(unpacked) / member.name)
                        missing.remove(member.name)
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise FileFormatError(f"{archive}: cannot be unpacked: {error}") from error
        if missing:
            raise FileFormatError(f"{archive}: lacks {', '.join(sorted(missing))}")
        targets = [Path(directory) / name for name in members]
        for name, target in zip(members, targets, strict=True):
            there = target.is_symlink() or target.exists()
            if there and not _are_equal(Path(unpacked) / name, target):
                raise FileFormatError(
                    f"{target}: is there and is not the file of {archive}: move it away"
                )
        for name, target in zip(members, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            (Path(unpacked) / name).replace(target)


def _are_equal(unpacked: Path, target: Path) -> bool:
    is_file = target.is_file() and not target.is_symlink()
    return is_file and filecmp.cmp(unpacked, target, shallow=False)


def _extract_file(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member) if member.isfile() else None
    if source is None:
        raise tarfile.TarError(f"{member.name} is not a regular file")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, open(target, "wb") as file:
        shutil.copyfileobj(source, file)
