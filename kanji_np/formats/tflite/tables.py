"""The tables of a flatbuffer, checked before anything in them is believed.

A flatbuffer is made of tables and vectors that point to one another by offsets. The
classes of the package `tflite` follow every offset, wherever it leads: FlatBuffers has
a verifier for C++ and none for Python. `Table` looks first. It refuses a table that
does not lie in the file, and a field that the schema does not have. It also counts what
is read, because vectors may lie over one another: a small file could ask for endless
work.

Layout, all integers little-endian:

    table   int32: how many bytes before it its vtable lies; then the fields
    vtable  uint16: its own size; uint16: the size of the table; uint16 for each field:
            where it lies in the table, 0 where it has its default

Reference: FlatBuffers, "FlatBuffer internals".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from kanji_np.errors import FileFormatError
from kanji_np.formats.tflite.package import tflite

# How many elements of vectors may be read for each byte of a file. What converters
# write stays below 1, because its vectors do not lie over one another.
MOST_READS = 4
HEAD = 4  # bytes of a table, and of a vtable, before what belongs to fields
ROOT = 8  # bytes of a file before its first table or vtable
NO_FIELDS = struct.pack("<HHi", HEAD, HEAD, HEAD)  # a vtable, and a table of defaults


class File:
    """The bytes of a file, and how many elements of vectors may yet be read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = MOST_READS * len(data)

    def spend(self, count: int) -> None:
        """FileFormatError once more has been read than a file of this size holds."""
        self.left -= count
        if self.left < 0:
            raise FileFormatError("is damaged: its vectors together are longer than it")

    def root(self, kind: str) -> Table:
        """The table that the others hang on."""
        if len(self.data) < ROOT:
            raise FileFormatError("is damaged: it ends before its first table")
        (position,) = struct.unpack_from("<I", self.data)
        return self.table(kind, position)

    def table(self, kind: str, position: int) -> Table:
        """The table that lies at a place."""
        if position > len(self.data):
            raise FileFormatError(f"is damaged: a {kind} does not lie in the file")
        made = getattr(tflite, kind)()
        made.Init(self.data, position)
        return Table(self, made)


def defaults(kind: str) -> Table:
    """A table in which every field has its default."""
    return File(NO_FIELDS).table(kind, HEAD)


class Table:
    """A table, with its fields by the names of the schema: "stride_w".

    Parameters
    ----------
    file : File
    made : object
        Of a class of the package `tflite`.

    Raises
    ------
    FileFormatError
        Here and in each method: the file is damaged, or newer than the schema.
    """

    def __init__(self, file: File, made: Any) -> None:
        self.file = file
        self.kind = type(made).__name__
        self._made = made
        self._places = self._fields(made._tab.Pos)
        known = field_count(self.kind)
        if any(self._places[known:]):
            raise FileFormatError(
                f"a {self.kind} has more than the {known} fields that the installed "
                "package tflite knows: a newer one may know them"
            )

    def _fields(self, position: int) -> tuple[int, ...]:
        """Where each field lies; FileFormatError if that is not in the file."""
        data = self.file.data
        try:
            (back,) = struct.unpack_from("<i", data, position)
            vtable = position - back
            if vtable < 0:
                raise struct.error
            size, extent = struct.unpack_from("<HH", data, vtable)
            count = max(size - HEAD, 0) // 2
            self.file.spend(count)
            fields = struct.unpack_from(f"<{count}H", data, vtable + HEAD)
        except struct.error:
            raise self._damaged() from None
        is_inside = HEAD <= extent <= len(data) - position
        if not is_inside or any(at and not HEAD <= at < extent for at in fields):
            raise self._damaged()
        return fields

    def has(self, name: str) -> bool:
        """Whether the schema has a field: that of an older package may lack it."""
        return hasattr(self._made, _accessor(name))

    def value(self, name: str) -> Any:
        """A number or a truth value."""
        return self._get(_accessor(name))

    def int32(self, number: int) -> int:
        """The field of a number, counted from 0, as it stands in the file."""
        at = self._places[number] if number < len(self._places) else 0
        if not at:
            return 0
        try:
            place = self._made._tab.Pos + at
            return int(struct.unpack_from("<i", self.file.data, place)[0])
        except struct.error:
            raise self._damaged() from None

    def text(self, name: str) -> str:
        """A string, "" where there is none."""
        found = bytes(self._get(_accessor(name)) or b"")
        self.file.spend(len(found))
        return found.decode("utf-8", "replace")

    def length(self, name: str) -> int:
        """How many elements a vector has, 0 where there is none."""
        return int(self._get(f"{_accessor(name)}Length"))

    def numbers(self, name: str) -> np.ndarray:
        """A vector of numbers (N,), a view of the file."""
        length = self.length(name)
        self.file.spend(length)
        if not length:
            return np.zeros(0, np.int64)
        return np.asarray(self._get(f"{_accessor(name)}AsNumpy"))

    def tables(self, name: str) -> list[Table]:
        """A vector of tables."""
        count = self.length(name)
        self.file.spend(count)
        made = (self._get(_accessor(name), i) for i in range(count))
        return [Table(self.file, each) for each in made]

    def table(self, name: str) -> Table | None:
        """Another table, None where there is none."""
        found = self._get(_accessor(name))
        return None if found is None else Table(self.file, found)

    def union(self, name: str, kind: str) -> Table | None:
        """The table of a field that may be of several kinds, None where there is
        none."""
        found = self._get(_accessor(name))
        return None if found is None else self.file.table(kind, found.Pos)

    def _get(self, accessor: str, *index: int) -> Any:
        """What an accessor gives.

        These are the errors of an offset that leads out of the file, and of a vector
        that ends beyond it.
        """
        field: Callable[..., Any] = getattr(self._made, accessor)
        try:
            return field(*index)
        except (struct.error, TypeError, ValueError):
            raise self._damaged() from None

    def _damaged(self) -> FileFormatError:
        return FileFormatError(f"is damaged: a {self.kind} does not lie in the file")


def _accessor(name: str) -> str:
    """What the classes call a field: "StrideW" for "stride_w"."""
    return "".join(part.capitalize() for part in name.split("_"))


@cache
def field_count(kind: str) -> int:
    """How many fields a table has in the schema."""
    counted = _Counted()
    getattr(tflite, f"{kind}Start")(counted)
    return counted.fields


class _Counted:
    """A builder of flatbuffers that notes how many fields a table has, and no more."""

    fields = 0

    def StartObject(self, fields: int) -> None:  # noqa: N802 - flatbuffers' name
        self.fields = fields
