"""Files of arrays with a JSON header that are whole or refused.

Models and checkpoints are `.npz` files that `numpy.load` opens. Beside the arrays they
hold a `header` (JSON, as bytes) and a `sha256` over header and arrays.

Reading believes nothing: the directory of the archive is looked at first, so that no
file makes the reader take more memory than the file itself, or a small multiple of it,
and arrays are taken from their bytes without pickle and without `eval`.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import DTypeLike

from kanji_np import checks, outputs, schema
from kanji_np.errors import FileFormatError, OptionError

HEADER, DIGEST = "header", "sha256"

MOST_MEMBERS = 65_535
# Of an archive with compressed members: as much as this, or so many times its size.
MOST_INFLATED_BYTES, MOST_INFLATION = 2**28, 20
MOST_AXES = 32
CHUNK_BYTES = 2**24
# Magic bytes and version of the format `numpy.save` writes, and the length of what
# follows in two or, from version 2 on, four bytes.
NPY = re.compile(rb"\x93NUMPY(?:(\x01)|[\x02\x03])\x00", re.DOTALL)
NPY_FIELDS = re.compile(
    r"\s*\{\s*'descr'\s*:\s*'([<>|=]?[biufcSU]\d{1,9})'\s*,"
    r"\s*'fortran_order'\s*:\s*(True|False)\s*,"
    r"\s*'shape'\s*:\s*\(((?:\s*\d{1,15}\s*,)*\s*(?:\d{1,15})?\s*)\)\s*,?\s*\}\s*"
)


def write(
    path: str | Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write header and arrays to `path` atomically; same content, same bytes."""
    outputs.write(path, to_bytes(header, arrays))


def to_bytes(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The file that `write` makes."""
    text = json.dumps(header, sort_keys=True).encode()
    content: dict[str, Any] = {HEADER: np.frombuffer(text, np.uint8), **arrays}
    content[DIGEST] = np.frombuffer(_digest(content), np.uint8)
    file = io.BytesIO()
    np.savez(file, **content)
    return file.getvalue()


def is_kind(kind: str) -> Callable[[Path], bool]:
    """A function of a path: whether a file's header says `kind`, and it is whole."""

    def is_whole(path: Path) -> bool:
        try:
            read(path, kind)
        except FileFormatError:
            return False
        return True

    return is_whole


def read(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a file whose header says `kind`.

    Raises
    ------
    FileFormatError
        If the file is missing, truncated, altered, or of another kind.
    """
    try:
        content = members(path, compressed=False)
    except OptionError as error:
        raise FileFormatError(
            f"{path}: not a {kind} file, or damaged: {error}"
        ) from None
    digest = content.pop(DIGEST, None)
    if HEADER not in content or digest is None:
        raise FileFormatError(f"{path}: not a {kind} file (no header)")
    if digest.tobytes() != _digest(content):
        raise FileFormatError(
            f"{path}: damaged or altered (its SHA-256 does not match)"
        )
    with schema.refusing(path):
        text = content.pop(HEADER).tobytes()
        header = schema.mapping(schema.anything)("header", schema.parse(text))
        found = schema.text("header.kind", header.get("kind"))
    if found != kind:
        raise FileFormatError(f"{path}: a {found} file, not a {kind} file")
    return header, content


def members(path: str | Path, *, compressed: bool) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name.

    Parameters
    ----------
    compressed : bool
        Whether members may be compressed; they then inflate to a multiple of the
        file's size at most.

    Raises
    ------
    FileFormatError
        It is missing, or no regular file.
    OptionError
        It is not a `.npz` file of plain arrays; the message says why.
    """
    with schema.opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            with zipfile.ZipFile(file) as stored:
                infos = stored.infolist()
                _check_directory(infos, size, compressed)
                return {
                    info.filename.removesuffix(".npy"): _array(stored, info)
                    for info in infos
                }
        except OptionError:
            raise
        except Exception as error:  # zipfile raises a dozen kinds on damaged bytes
            reason = " ".join(str(error).split()) or type(error).__name__
            raise OptionError(f"its archive is damaged: {reason}") from None


def _check_directory(infos: list[zipfile.ZipInfo], size: int, compressed: bool) -> None:
    """OptionError unless an archive's members are of a kind and size to be read."""
    if len(infos) > MOST_MEMBERS:
        raise OptionError(f"its archive has {len(infos):,} members")
    if len({info.filename for info in infos}) < len(infos):
        raise OptionError("two members of its archive have one name")
    kinds = {zipfile.ZIP_STORED, *([zipfile.ZIP_DEFLATED] if compressed else [])}
    for info in infos:
        if info.flag_bits & 1:
            raise OptionError("its archive is encrypted")
        if info.compress_type not in kinds:
            raise OptionError(
                f"{checks.shown(info.filename)} is compressed in a way that "
                "is not read here"
            )
    total = sum(info.file_size for info in infos)
    stored = all(info.compress_type == zipfile.ZIP_STORED for info in infos)
    most = size if stored else max(MOST_INFLATED_BYTES, MOST_INFLATION * size)
    if total > most:
        raise OptionError(
            f"its {size:,} bytes would become {total:,}; at most {most:,} are read"
        )


def arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file that anybody may have written, by name.

    Raises
    ------
    FileFormatError
        It is not a `.npz` file of plain arrays.
    """
    try:
        return members(path, compressed=True)
    except OptionError as error:
        raise FileFormatError(
            f"{path}: not a .npz file of plain arrays: {error}"
        ) from None


def array(path: str | Path) -> np.ndarray:
    """The array of a `.npy` file.

    Raises
    ------
    FileFormatError
        It is missing, or is not a `.npy` file of a plain array.
    """
    with schema.opened(path) as file, schema.refusing(path):
        return _read_array(file, os.fstat(file.fileno()).st_size, "the file")


def _array(stored: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """A member in the format of `numpy.save`."""
    name = checks.shown(info.filename)
    if not info.filename.endswith(".npy"):
        raise OptionError(f"{name} is not an array")
    with cast(zipfile.ZipExtFile, stored.open(info)) as file:
        return _read_array(cast(BinaryIO, file), info.file_size, name)


def _read_array(file: BinaryIO, size: int, name: str) -> np.ndarray:
    """The array of a file of so many bytes in the format of `numpy.save`."""
    start = NPY.match(file.read(8))
    if not start:
        raise OptionError(f"{name} is not an array")
    width = 2 if start[1] else 4
    length = int.from_bytes(file.read(width), "little")
    fields = NPY_FIELDS.fullmatch(file.read(length).decode("latin-1"))
    if not fields:
        raise OptionError(f"{name} is not an array of plain numbers or text")
    dtype = np.dtype(fields[1])
    shape = tuple(int(extent) for extent in fields[3].replace(",", " ").split())
    n_bytes = size - 8 - width - length
    if len(shape) > MOST_AXES or math.prod(shape) * dtype.itemsize != n_bytes:
        raise OptionError(f"{name} is not as long as its shape and dtype say")
    values = np.empty(n_bytes, np.uint8)
    view = values.data
    for begin in range(0, n_bytes, CHUNK_BYTES):  # no more than was declared
        part = view[begin : begin + CHUNK_BYTES]
        if file.readinto(part) != len(part):  # type: ignore[attr-defined]
            raise OptionError(f"{name} is cut off")
    order: Literal["F", "C"] = "F" if fields[2] == "True" else "C"
    return values.view(dtype).reshape(shape, order=order)


def member(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """An array of a file; FileFormatError if it is not there."""
    if name not in arrays:
        raise FileFormatError(f"the array {name} is missing")
    return arrays[name]


def stored(
    arrays: Mapping[str, np.ndarray],
    name: str,
    shape: tuple[int, ...],
    dtype: DTypeLike = np.float32,
) -> np.ndarray:
    """A new copy of an array of a file, whose values are finite.

    Raises
    ------
    FileFormatError
        It is not there, or is of another dtype or shape, or holds what is no number.
    """
    array, dtype = member(arrays, name), np.dtype(dtype)
    if array.dtype != dtype or array.shape != shape:
        raise FileFormatError(
            f"{name} must be {dtype} of shape {shape}, got {array.dtype} of shape "
            f"{array.shape}"
        )
    if not np.isfinite(array).all():
        raise FileFormatError(f"{name} holds a value that is not finite")
    return np.array(array)


def check_names(arrays: Mapping[str, np.ndarray], known: Collection[str]) -> None:
    """FileFormatError if a file holds an array that nobody asks for."""
    for name in arrays:
        if name not in known:
            raise FileFormatError(
                f"the array {checks.shown(name)} does not belong here"
            )


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """What two sets of arrays have in common only if they are equal."""
    return _digest(arrays).hex()


def _digest(content: Mapping[str, np.ndarray]) -> bytes:
    sha = hashlib.sha256()
    for name in sorted(content):
        array = np.asarray(content[name])
        sha.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.digest()
