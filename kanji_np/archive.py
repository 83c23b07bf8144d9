"""Files of arrays with a JSON header that are whole or refused.

Models and checkpoints are `.npz` files that `numpy.load` opens. Beside the arrays they
hold a `header` (JSON, as bytes) and a `sha256` over header and arrays.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kanji_np import outputs
from kanji_np.errors import FileFormatError

HEADER, DIGEST = "header", "sha256"


def write(
    path: str | Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write header and arrays to `path` atomically; same content, same bytes."""
    outputs.write(path, to_bytes(header, arrays))


def to_bytes(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The file that `write` makes."""
    text = json.dumps(header, sort_keys=True).encode()
    content = {HEADER: np.frombuffer(text, np.uint8), **arrays}
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
    path = Path(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            content = {name: np.asarray(stored[name]) for name in stored.files}
    except FileNotFoundError:
        raise FileFormatError(f"{path}: no such file") from None
    except Exception:  # NumPy and zipfile raise a dozen kinds on damaged bytes
        raise FileFormatError(f"{path}: not a {kind} file, or damaged") from None
    digest = content.pop(DIGEST, None)
    if HEADER not in content or digest is None:
        raise FileFormatError(f"{path}: not a {kind} file (no header)")
    if digest.tobytes() != _digest(content):
        raise FileFormatError(
            f"{path}: damaged or altered (its SHA-256 does not match)"
        )
    try:
        header = dict(json.loads(content.pop(HEADER).tobytes()))
    except (ValueError, TypeError):
        raise FileFormatError(f"{path}: not a {kind} file (no JSON header)") from None
    if header.get("kind") != kind:
        raise FileFormatError(f"{path}: a {header.get('kind')} file, not a {kind} file")
    return header, content


def _digest(content: Mapping[str, np.ndarray]) -> bytes:
    sha = hashlib.sha256()
    for name in sorted(content):
        array = np.asarray(content[name])
        sha.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.digest()
