"""ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kanji_np.formats.builder import Builder, Imported


def read(path: str | Path, builder: Builder) -> Imported:
    """The network of a file, made with a new builder."""
    from kanji_np.formats.onnx import convert, reader

    return convert.convert(reader.read(path), builder).imported
