"""Writing files without losing any.

Nothing is replaced or removed that this program did not write, or that was changed
since: what stands at a place is judged by its content, before any work is done for it.
Links, devices and folders are never written to, and a file takes the place of an older
one only when it is complete on disk.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from kanji_np import checks, schema
from kanji_np.errors import OptionError

LOCK = ".kanji_np.lock"
LOCK_TEXT = b"kanji_np writes here, process "
# Far behind the text: Windows lets nobody read what is locked.
LOCK_OFFSET = 1 << 30
SOFTWARE = "kanji_np"
MOST_NAME = 255  # characters that file systems take
PNG = b"\x89PNG\r\n\x1a\n"


def check(
    path: str | Path, is_ours: Callable[[Path], bool], what: str, advice: str = ""
) -> None:
    """OptionError unless nothing is at a path, or a file that may be replaced.

    Parameters
    ----------
    path : path
    is_ours : (path) -> bool
        Whether a file's content is what this program wrote.
    what : str
        What it would be then: "a result of `kanji-np train`".
    advice : str
        What to do instead of moving the file away: "choose another --directory".
    """
    path = Path(path)
    check_place(path)
    if path.exists() and not is_ours(path):
        otherwise = f", or {advice}" if advice else ""
        raise OptionError(
            f"{path}: is there and is not {what}: move it away{otherwise}"
        )


def check_place(path: Path) -> None:
    """OptionError unless a path is free or a regular file, and no link."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    for is_kind, kind in (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a directory"),
    ):
        if is_kind(mode):
            raise OptionError(f"{path}: is {kind}, a file is to be written there")
    if not stat.S_ISREG(mode):
        raise OptionError(f"{path}: is no regular file, one is to be written there")


def check_directory(directory: str | Path) -> None:
    """Make a directory if need be; OptionError or OSError unless files can be written
    in it."""
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise OptionError(f"{directory}: is a file, not a directory")
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass


def is_watched() -> bool:
    """Whether somebody sees standard error at a terminal, and not all programs have
    one."""
    is_terminal = getattr(sys.stderr, "isatty", None)
    return is_terminal is not None and is_terminal()


def is_drawing(path: Path) -> bool:
    """Whether a file is a .png or .svg that this program drew."""
    with open(path, "rb") as file:
        start = file.read(4096)
    if start.startswith(PNG):
        return f"tEXtSoftware\0{SOFTWARE}".encode() in start
    return b"<svg" in start and f"<dc:title>{SOFTWARE}</dc:title>".encode() in start


def write(path: str | Path, data: bytes) -> None:
    """Write a whole file, or leave what is there.

    A killed process leaves the old file or the new one, never half of one.

    Raises
    ------
    OptionError
        Something else than a regular file is there.
    OSError
        The file cannot be written, for want of space for example; names `path`.
    """
    path = Path(path)
    # One name, so that what a killed process left behind is used up by the next.
    partial = path.parent / f".{path.name}.partial"
    check_place(path)
    check_place(partial)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        if isinstance(error, OSError):  # a full disk says no name, or the other one
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def digest(data: bytes) -> str:
    """The SHA-256 of a file's content, as manifests have it."""
    return hashlib.sha256(data).hexdigest()


def known_files(place: str, value: Any) -> dict[str, tuple[str, ...]]:
    """The rule of the files that a manifest names, with the digests of what each may
    hold: one, two where writing was cut short, none where a version before kept none.

    Raises
    ------
    OptionError
        It names what does not lie below its own folder.
    """
    if isinstance(value, list):
        names = schema.array(schema.text)(place, value)
        files: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    else:
        files = schema.mapping(schema.array(schema.text))(place, value)
    for name in files:
        if not is_inside(name) or len(name) > MOST_NAME:
            raise OptionError(
                f"{place} must name files inside the folder, got {checks.shown(name)}"
            )
    return files


def without(
    files: Mapping[str, tuple[str, ...]], itself: str
) -> dict[str, tuple[str, ...]]:
    """The files of a manifest but for the manifest."""
    return {name: digests for name, digests in files.items() if name != itself}


def is_inside(name: object) -> bool:
    """Whether a name is one of a file below some folder."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    windows = PureWindowsPath(name)
    parts = (*PurePosixPath(name).parts, *windows.parts)
    return not windows.anchor and not name.startswith("/") and ".." not in parts


def check_set(
    directory: Path,
    files: Mapping[str, bytes],
    known: Mapping[str, Collection[str]],
) -> None:
    """OptionError unless files may be written and earlier ones removed.

    Parameters
    ----------
    directory : Path
    files : name -> content
        What is to be written.
    known : name -> digests
        What was written before, with the contents each file may have had; none if
        that is not known.
    """
    for name in sorted({*files, *known}):
        path = directory / name
        for parent in reversed(PurePosixPath(name).parents[:-1]):
            folder = directory / parent
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                raise OptionError(f"{folder}: is not a folder of its own: move it away")
        check_place(path)
        if not path.exists():
            continue
        found = digest(path.read_bytes())
        if found in known.get(name, ()) or (
            name in files and found == digest(files[name])
        ):
            continue
        if name not in known:
            why = "is there and was not written by this program"
        elif known[name]:
            why = "was changed since this program wrote it"
        else:
            why = "is of a version that kept no digests, and may have been changed"
        raise OptionError(f"{path}: {why}: move it away, or choose another directory")


def write_set(
    directory: Path,
    manifest: str,
    facts: Mapping[str, object],
    files: Mapping[str, bytes],
    known: Mapping[str, Collection[str]],
) -> None:
    """Write files and a manifest of them, and remove those of an earlier one.

    Parameters
    ----------
    directory : Path
    manifest : str
        The name of that file.
    facts : name -> value
        What else it says.
    files, known
        As `check_set` has them, which is called before anything is written.
    """
    check_set(directory, files, known)
    final = {name: [digest(data)] for name, data in files.items()}
    both = {
        name: sorted({*known.get(name, ()), *final.get(name, ())})
        for name in {**known, **final}
    }

    def say(listed: Mapping[str, Collection[str]]) -> None:
        text = json.dumps({**facts, "files": listed}, indent=2, sort_keys=True)
        write(directory / manifest, f"{text}\n".encode())

    say(both)  # so that what is cut short can be repeated
    for name in sorted({*known} - {*files}):
        (directory / name).unlink(missing_ok=True)
    for name, data in files.items():
        write(directory / name, data)
    say(final)


@contextlib.contextmanager
def lock(directory: str | Path) -> Iterator[None]:
    """Inside, no other process is inside for the same directory, which is made.

    The lock of a process that died counts for nothing. On a file system without locks
    there is none.

    Raises
    ------
    OptionError
        Another one is.
    """
    directory = Path(directory)
    check_directory(directory)
    path = directory / LOCK
    check_place(path)
    file = _locked(path)
    try:
        with contextlib.suppress(OSError):  # it says who, and is no need
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, LOCK_TEXT + str(os.getpid()).encode())
        yield
    finally:
        _unlock(file, path)


def _locked(path: Path) -> int:
    """The descriptor of a lock file that is ours now."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        text = os.read(file, 64)
        try:
            _take(file)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                os.close(file)
                who = text.removeprefix(LOCK_TEXT).decode("ascii", "replace")
                raise OptionError(
                    f"{path.parent}: another process {f'({who}) ' if who else ''}is "
                    "writing there: wait for it, or choose another directory"
                ) from None
        if text and not text.startswith(LOCK_TEXT):
            os.close(file)
            raise OptionError(f"{path}: is no lock of this program: move it away")
        # The one who had it may have removed the file in between.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        os.close(file)


if sys.platform == "win32":
    import msvcrt

    def _take(file: int) -> None:
        os.lseek(file, LOCK_OFFSET, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

    def _unlock(file: int, path: Path) -> None:
        os.close(file)  # an open file cannot be removed there
        with contextlib.suppress(OSError):
            os.unlink(path)

else:
    import fcntl

    def _take(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int, path: Path) -> None:
        with contextlib.suppress(OSError):
            os.unlink(path)  # while nobody else can have it
        os.close(file)
