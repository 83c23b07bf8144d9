"""WAV files: every format that is read gives the same samples, others one line."""

import io
import struct
import wave

import numpy as np
import pytest
from scipy.io import wavfile

from kanji_np.data.wav import read_wav
from kanji_np.errors import FileFormatError

RNG = np.random.default_rng(0)
SAMPLES = RNG.integers(-32768, 32768, 50).astype(np.int16)


def chunk(name, body, length=None):
    length = len(body) if length is None else length
    return name + struct.pack("<I", length) + body + b"\0" * (len(body) % 2)


def riff(form, data, *between, length=None):
    body = chunk(b"fmt ", form) + b"".join(between) + chunk(b"data", data, length)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def form(kind, bits, channels=1, rate=8000, more=b""):
    block = channels * bits // 8
    fields = struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, bits)
    return fields + more


def read(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    return read_wav(path)


def test_as_the_standard_library_writes_it(tmp_path):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(SAMPLES.tobytes())
    sound = read(tmp_path, file.getvalue())
    assert (sound.rate, sound.channels) == (16000, 1)
    assert sound.samples.dtype == np.int16
    assert np.array_equal(sound.samples, SAMPLES)


@pytest.mark.parametrize(
    "samples",
    [
        SAMPLES,
        SAMPLES.astype(np.int32) << 16,
        (SAMPLES / 32768).astype(np.float32),
        SAMPLES / 32768,
        np.stack([SAMPLES, SAMPLES], axis=1),
    ],
)
def test_as_scipy_writes_it(tmp_path, samples):
    file = io.BytesIO()
    wavfile.write(file, 44100, samples)
    sound = read(tmp_path, file.getvalue())
    assert sound.rate == 44100
    assert np.array_equal(sound.samples, SAMPLES)


def test_8_and_24_bits(tmp_path):
    eight = np.array([0, 128, 255], np.uint8)
    sound = read(tmp_path, riff(form(1, 8), eight.tobytes()))
    assert sound.samples.tolist() == [-32768, 0, 127 * 256]
    # The last 8 bits are rounded half up, and clamped.
    values = [(-5 << 8) + 127, (-5 << 8) + 128, 2**23 - 1, -(2**23)]
    packed = b"".join((value & 0xFFFFFF).to_bytes(3, "little") for value in values)
    sound = read(tmp_path, riff(form(1, 24), packed))
    assert sound.samples.tolist() == [-5, -4, 32767, -32768]


def test_several_channels_become_their_mean(tmp_path):
    frames = np.array([[10, 20, 33], [-32768, -32768, -32768]], "<i2")
    sound = read(tmp_path, riff(form(1, 16, channels=3), frames.tobytes()))
    assert sound.channels == 3
    assert sound.samples.tolist() == [21, -32768]


def test_floating_samples_beyond_1_are_clamped(tmp_path):
    values = np.array([1.5, -1.5, 0.5], "<f4")
    sound = read(tmp_path, riff(form(3, 32), values.tobytes()))
    assert sound.samples.tolist() == [32767, -32768, 16384]


def test_chunks_before_and_after_and_the_long_form(tmp_path):
    more = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes(14)
    content = riff(
        form(0xFFFE, 16, more=more), SAMPLES.tobytes(), chunk(b"LIST", b"INFOodd")
    )
    content += chunk(b"id3 ", b"tag")
    assert np.array_equal(read(tmp_path, content).samples, SAMPLES)


def test_a_length_that_was_not_known_yet(tmp_path):
    content = riff(form(1, 16), SAMPLES.tobytes(), length=0xFFFFFFFF)
    assert np.array_equal(read(tmp_path, content).samples, SAMPLES)


GOOD = riff(form(1, 16), SAMPLES.tobytes())
READ = "PCM of 8, 16, 24 or 32 bits is read, and floating samples"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a WAV file"),
        (b"RIFX" + GOOD[4:], "not a WAV file"),
        (GOOD[:12], "it holds no samples"),
        (GOOD[:-2], "it is cut off: 98 of 100 bytes of samples are there"),
        (riff(form(1, 16), b"abc"), "its samples are cut off"),
        (riff(form(1, 16)[:10], b""), "its format is cut off"),
        (GOOD[:12] + chunk(b"data", b"ab"), "it does not say its format"),
        (riff(form(7, 8), b"ab"), f"mu-law; {READ}"),
        (riff(form(0x1234, 8), b"ab"), f"format 0x1234; {READ}"),
        (riff(form(1, 12), b"ab"), f"12-bit samples; {READ}"),
        (riff(form(3, 16), b"ab"), f"16-bit floating samples; {READ}"),
        (
            riff(form(1, 16, channels=0), b"ab"),
            "0 channels, 8000 Hz and 0 bytes a frame of 16 bits do not go together",
        ),
        (
            riff(form(3, 32), np.array([np.nan], "<f4").tobytes()),
            "a sample is NaN or an infinity",
        ),
    ],
)
def test_what_is_not_read(tmp_path, content, message):
    with pytest.raises(FileFormatError) as error:
        read(tmp_path, content)
    assert str(error.value) == f"{tmp_path / 'a.wav'}: {message}"


def test_no_bytes_whatever_raise_anything_else(tmp_path):
    for _ in range(300):
        content = bytearray(GOOD)
        for _ in range(RNG.integers(1, 4)):
            content[RNG.integers(8, 50)] = RNG.integers(256)
        try:
            sound = read(tmp_path, bytes(content[: RNG.integers(20, len(content) + 1)]))
        except FileFormatError:
            continue
        assert sound.samples.dtype == np.int16
