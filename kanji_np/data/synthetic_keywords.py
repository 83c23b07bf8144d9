"""Twelve classes of spoken words as small spectrograms, drawn by rule.

A word is three vowels, one after the other; a vowel is two formants, bands in which the
voice is strong, and between vowels they glide. Ten words are to be told apart, some of
them the same vowels in another order; any other three vowels are "unknown", and no word
at all is "silence". Start, length, loudness, the pitch of the voice, pauses, a hum and
noise differ from one recording to the next.

A recording is 49 frames of 10 bands, as in the keyword spotting of MLPerf Tiny.

Simplifications: no consonants, one voice with a pitch, no words cut off.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from kanji_np.data.dataset import Dataset
from kanji_np.data.drawing import (
    Numbers,
    bump,
    check_counts,
    draw_rows,
    noise,
    random_words,
    to_uint8,
)

N_FRAMES, N_BANDS = 49, 10
N_PARAMETERS = 14  # random words that decide one recording
N_NOISE_WORDS = -(-N_FRAMES * N_BANDS // 8)
BLOCK = 128

# Bands of the first and the second formant.
VOWELS = {
    "a": (4.0, 5.8),
    "e": (2.4, 6.6),
    "i": (0.8, 7.6),
    "o": (2.6, 4.4),
    "u": (0.9, 3.0),
}
WORDS = ("aiu", "uia", "aie", "eia", "iou", "uoi", "oae", "eao", "uea", "ooi")
CLASSES = ("silence", "unknown", *WORDS)
OTHERS = tuple(
    word for word in map("".join, product(VOWELS, repeat=3)) if word not in WORDS
)


def synthetic_keywords(
    train: int = 6000, test: int = 1200, seed: int = 0
) -> tuple[Dataset, Dataset]:
    """Draw the training and the test spectrograms.

    Parameters
    ----------
    train, test : int
        Numbers of recordings. Number i is of class i % 12 and does not depend on these,
        so a smaller set is the beginning of a larger one.
    seed : int
        Not negative. Train and test come from two separate streams of this seed.

    Returns
    -------
    train, test : Dataset
        Images of shape (N, 49, 10, 1): time, frequency, one channel.

    Raises
    ------
    OptionError
        A count or the seed is negative.
    """
    train, test, seed = check_counts("synthetic-keywords", train, test, seed)
    return _draw_set(train, (2, seed)), _draw_set(test, (3, seed))


def _draw_set(n: int, entropy: tuple[int, int]) -> Dataset:
    images = np.empty((n, N_FRAMES, N_BANDS, 1), np.uint8)
    words = random_words(n, N_PARAMETERS + N_NOISE_WORDS, entropy)

    def draw(label: int, rows: slice) -> None:
        images[rows, ..., 0] = _draw(CLASSES[label], words[rows])

    draw_rows(n, len(CLASSES), BLOCK, draw)
    labels = np.arange(n, dtype=np.int64) % len(CLASSES)
    return Dataset(images, labels, CLASSES, "synthetic-keywords")


def _draw(name: str, words: np.ndarray) -> np.ndarray:
    """Draw one recording of a class per row of random words: uint8 (B, 49, 10)."""
    numbers = Numbers(words[:, :N_PARAMETERS], n_axes=2)  # each (B, 1, 1)
    between = numbers.between
    frames = np.arange(N_FRAMES, dtype=np.float32)[:, None]
    bands = np.arange(N_BANDS, dtype=np.float32)

    other = numbers.below(len(OTHERS)).ravel()
    spoken = [OTHERS[i] for i in other] if name == "unknown" else [name] * len(words)
    length = between(20, 36)
    start = between(0, 1) * (N_FRAMES - length)
    pitch, spread = between(-0.8, 0.8), between(1.2, 1.8)
    loudness = between(50, 130)
    first_glide, second_glide = between(0.29, 0.38), between(0.62, 0.71)
    t = (frames - start) / length  # (B, 49, 1), 0 to 1 while the word is spoken
    voice = np.clip(np.minimum(t, 1 - t) * 8, 0, 1)
    for glide in (first_glide, second_glide):  # it grows weaker there
        pause = between(0, 0.6)
        voice *= 1 - pause * np.maximum(1 - abs(t - glide) * 10, 0)

    hum, hum_band = between(0, 40), between(0, N_BANDS - 1)
    image = between(20, 60) + hum * bump(bands - hum_band, 1.0)  # (B, 1, 10)
    image = np.repeat(image, N_FRAMES, axis=1)
    if name != "silence":
        for formant, strength in ((0, 1.0), (1, 0.8)):
            a, b, c = _formants(spoken, formant)
            centre = a + pitch
            centre = centre + (b - a) * np.clip((t - first_glide) * 6 + 0.5, 0, 1)
            centre = centre + (c - b) * np.clip((t - second_glide) * 6 + 0.5, 0, 1)
            heard = voice * loudness * np.float32(strength)
            image += heard * bump(bands - centre, spread)
    # The last word has more bytes than are needed.
    grain = noise(words[:, N_PARAMETERS:])[:, : N_FRAMES * N_BANDS]
    image += grain.reshape(-1, N_FRAMES, N_BANDS) * between(0.1, 0.4)
    return to_uint8(image)


def _formants(spoken: list[str], formant: int) -> np.ndarray:
    """Bands of a formant in the three vowels of every word: float32 (3, B, 1, 1)."""
    bands = [[VOWELS[vowel][formant] for vowel in word] for word in spoken]
    return np.array(bands, np.float32).T.reshape(3, -1, 1, 1)
