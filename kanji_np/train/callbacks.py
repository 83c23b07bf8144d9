"""What `fit` calls after every epoch, and a log for TensorBoard.

The log is a file of records, each a length, the data, and check sums of both; the data
are protocol buffers of a few fields. That is little enough to be written here, so
logging takes no package.

References: TensorFlow `lib/io/record_writer.h` and `util/event.proto`.
"""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

from kanji_np.model import Model
from kanji_np.train.history import EpochRecord

#: (record of the epoch, network) -> True to end the training after it. The network has
#: the weights that were scored; what is done to it does not touch the training.
Callback: TypeAlias = Callable[[EpochRecord, Model], bool | None]

CASTAGNOLI = 0x82F63B78
VERSION = "brain.Event:2"


class TensorBoard:
    """A callback that writes loss, accuracies and learning rate for TensorBoard.

        kj.fit(net, train, callbacks=[kj.TensorBoard("logs/first")])

    Parameters
    ----------
    directory : path
        Of this run; `tensorboard --logdir` shows the runs in the directory above it.
        Each training adds a file.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.path: Path | None = None

    def __call__(self, record: EpochRecord, net: Model) -> None:
        now = time.time()
        if self.path is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{int(now)}.kanji_np.{os.getpid()}"
            self.path = self.directory / name
            self._add(_event(now, 0, _bytes(3, VERSION.encode())))
        values = {
            "loss/training": record.train_loss,
            "accuracy/training": record.train_accuracy,
            "accuracy/validation": record.validation_accuracy,
            "learning rate": record.lr,
        }
        summary = b"".join(
            _bytes(1, _bytes(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
            for tag, value in values.items()
            if not math.isnan(value)
        )
        self._add(_event(now, record.epoch, _bytes(5, summary)))

    def _add(self, data: bytes) -> None:
        assert self.path is not None
        length = struct.pack("<Q", len(data))
        with open(self.path, "ab") as file:
            file.write(length + _check_sum(length) + data + _check_sum(data))


def _event(when: float, step: int, what: bytes) -> bytes:
    """An event: seconds since 1970, the epoch, and a field with what happened."""
    return b"\x09" + struct.pack("<d", when) + b"\x10" + _varint(step) + what


def _bytes(field: int, data: bytes) -> bytes:
    """A field of a protocol buffer that holds text or another buffer."""
    return bytes([field << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Seven bits to a byte, the lowest first; all bytes but the last have bit 7 set."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _check_sum(data: bytes) -> bytes:
    """CRC-32C, rotated and moved as in such files."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _crc_table()[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    rotated = crc >> 15 | crc << 17
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


@cache
def _crc_table() -> tuple[int, ...]:
    """What each byte does to a sum."""

    def of_bytes() -> Iterator[int]:
        for byte in range(256):
            crc = byte
            for _ in range(8):
                crc = crc >> 1 ^ (CASTAGNOLI if crc & 1 else 0)
            yield crc

    return tuple(of_bytes())
