"""WAV files: PCM of 8 to 32 bits and floating samples, as int16 of one channel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kanji_np import schema
from kanji_np.errors import FileFormatError

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
#: Formats that are known by name, and refused.
OTHERS = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x55: "MP3"}
#: What programs that write to a pipe say of a length they do not know yet.
UNKNOWN_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True)
class Sound:
    """The samples of a file.

    Parameters
    ----------
    rate : int
        [Hz]
    samples : ndarray of int16, (T,)
    channels : int
        Of the file; their mean is what `samples` are.
    """

    rate: int
    samples: np.ndarray
    channels: int


def read_wav(path: Path) -> Sound:
    """Read a WAV file.

    Samples of 8, 24 and 32 bits are scaled to 16 and rounded half up, floating ones
    from -1 .. 1; what lies outside is clamped. Several channels become their mean.

    Raises
    ------
    FileFormatError
        It is no WAV file, is cut off, or has samples of another kind.
    """
    with schema.opened(path) as file:
        content = file.read()
    with schema.refusing(path):
        form, data = _chunks(content, path)
        kind, channels, rate, block, bits = _fields(form, path)
        if len(data) % block:
            raise FileFormatError(f"{path}: its samples are cut off")
        values = _samples(data, kind, bits, path)
        frames = values.reshape(-1, channels)  # (T, channels)
        return Sound(rate, _to_int16(frames.mean(axis=1)), channels)


def _chunks(content: bytes, path: Path) -> tuple[bytes, bytes]:
    """The format and the samples."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise FileFormatError(f"{path}: not a WAV file")
    form: bytes | None = None
    at = 12
    while at + 8 <= len(content):
        name = content[at : at + 4]
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        body = content[at + 8 : at + 8 + length]
        if name == b"data":
            if form is None:
                raise FileFormatError(f"{path}: it does not say its format")
            if len(body) < length != UNKNOWN_LENGTH:
                raise FileFormatError(
                    f"{path}: it is cut off: {len(body):,} of {length:,} bytes of "
                    "samples are there"
                )
            return form, body
        if name == b"fmt ":
            form = body
        at += 8 + length + length % 2
    raise FileFormatError(f"{path}: it holds no samples")


def _fields(form: bytes, path: Path) -> tuple[int, int, int, int, int]:
    """Kind of samples, channels, rate, bytes a frame and bits a sample."""
    if len(form) < 16:
        raise FileFormatError(f"{path}: its format is cut off")
    kind, channels = (int.from_bytes(form[i : i + 2], "little") for i in (0, 2))
    rate = int.from_bytes(form[4:8], "little")
    block, bits = (int.from_bytes(form[i : i + 2], "little") for i in (12, 14))
    if kind == EXTENSIBLE and len(form) >= 26:
        kind = int.from_bytes(form[24:26], "little")
    known = (kind == PCM and bits in (8, 16, 24, 32)) or (
        kind == FLOAT and bits in (32, 64)
    )
    if not known:
        what = OTHERS.get(kind, f"format {kind:#x}") if kind not in (PCM, FLOAT) else (
            f"{bits}-bit {'floating ' * (kind == FLOAT)}samples"
        )  # fmt: skip
        raise FileFormatError(
            f"{path}: {what}; PCM of 8, 16, 24 or 32 bits is read, and floating samples"
        )
    if not channels or not rate or block != channels * bits // 8:
        raise FileFormatError(
            f"{path}: {channels} channels, {rate} Hz and {block} bytes a frame of "
            f"{bits} bits do not go together"
        )
    return kind, channels, rate, block, bits


def _samples(data: bytes, kind: int, bits: int, path: Path) -> np.ndarray:
    """Samples as float64, on the scale of int16."""
    if kind == FLOAT:
        values = np.frombuffer(data, f"<f{bits // 8}").astype(np.float64)
        if not np.isfinite(values).all():
            raise FileFormatError(f"{path}: a sample is NaN or an infinity")
        return values * 32768
    if bits == 8:  # unsigned
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) * 256
    if bits == 24:
        parts = np.frombuffer(data, np.uint8).reshape(-1, 3)
        words = np.zeros((len(parts), 4), np.uint8)
        words[:, 1:] = parts  # in the upper three bytes, with their sign
        return words.view("<i4").ravel() / 65536
    scale = 1 if bits == 16 else 65536
    return np.frombuffer(data, f"<i{bits // 8}") / scale


def _to_int16(values: np.ndarray) -> np.ndarray:
    ends = np.iinfo(np.int16)
    return np.clip(np.floor(values + 0.5), ends.min, ends.max).astype(np.int16)
