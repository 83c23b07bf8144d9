"""The sound of a machine that runs as it should, or does not: vectors drawn by rule.

A recording is the spectrum of five frames, 128 bands each, side by side. The machine
hums at the harmonics of its speed; speed, load, distance of the microphone and
background differ from one recording to the next. Only recordings of the intact machine
are there to train on. Half of the test set is broken in one of four ways, none of which
is louder than a change of speed or load: a whine between the harmonics, harmonics that
are missing, harmonics out of tune, or a rattle that comes and goes.

The form is that of the anomaly detection of MLPerf Tiny.

Simplifications: one machine; its speed is constant for the five frames.
"""

from __future__ import annotations

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

N_FRAMES, N_BANDS = 5, 128
N_HARMONICS = 8
N_PARAMETERS = 16  # random words that decide one recording
N_NOISE_WORDS = N_FRAMES * N_BANDS // 8
BLOCK = 128

CLASSES = ("normal", "anomalous")
FAULTS = ("whine", "missing", "detuned", "rattle")


def synthetic_machines(
    train: int = 4000, test: int = 1000, seed: int = 0
) -> tuple[Dataset, Dataset]:
    """Draw the training and the test recordings.

    Parameters
    ----------
    train, test : int
        Numbers of recordings. All of `train` are normal, every second one of `test` is
        anomalous; recording i does not depend on these, so a smaller set is the
        beginning of a larger one.
    seed : int
        Not negative. Train and test come from two separate streams of this seed.

    Returns
    -------
    train, test : Dataset
        Vectors of shape (N, 640).

    Raises
    ------
    OptionError
        A count or the seed is negative.
    """
    train, test, seed = check_counts("synthetic-machines", train, test, seed)
    return _draw_set(train, (6, seed), 1), _draw_set(test, (7, seed), len(CLASSES))


def _draw_set(n: int, entropy: tuple[int, int], n_classes: int) -> Dataset:
    vectors = np.empty((n, N_FRAMES * N_BANDS), np.uint8)
    words = random_words(n, N_PARAMETERS + N_NOISE_WORDS, entropy)

    def draw(label: int, rows: slice) -> None:
        vectors[rows] = _draw(CLASSES[label], words[rows])

    draw_rows(n, n_classes, BLOCK, draw)
    labels = np.arange(n, dtype=np.int64) % n_classes
    return Dataset(vectors, labels, CLASSES, "synthetic-machines")


def _draw(name: str, words: np.ndarray) -> np.ndarray:
    """Draw one recording of a class per row of random words: uint8 (B, 640)."""
    numbers = Numbers(words[:, :N_PARAMETERS], n_axes=2)  # each (B, 1, 1)
    between = numbers.between
    frames = np.arange(N_FRAMES, dtype=np.float32)[:, None]
    bands = np.arange(N_BANDS, dtype=np.float32)

    speed, load = between(12.0, 13.5), between(0, 1)
    level, slope = between(30, 60), between(-0.15, 0.05)
    loudness = between(70, 110) + between(-4, 4) * (frames - 2)  # (B, 5, 1)
    sound = level + slope * bands  # (B, 1, 128)
    sound = np.repeat(sound, N_FRAMES, axis=1)

    fault = numbers.below(len(FAULTS))
    broken = {
        kind: np.float32(1) * (fault == i) * (name == "anomalous")
        for i, kind in enumerate(FAULTS)
    }
    first_missing, second_missing = between(1, 5), between(4, 9)
    stretch = broken["detuned"] * between(0.012, 0.03)
    for h in range(1, N_HARMONICS + 1):
        strength = (1 - load if h % 2 else load) * np.float32(0.6 / h) + 0.4
        gone = (np.floor(first_missing) == h) | (np.floor(second_missing) == h)
        strength = strength * (1 - 0.8 * broken["missing"] * gone)
        centre = speed * h * (1 + stretch * h)
        sound += loudness * strength * bump(bands - centre, 3.0)

    whine = speed * (np.floor(between(1, 8)) + between(0.4, 0.6))
    whine_strength = between(0.3, 0.6) * broken["whine"]
    sound += loudness * whine_strength * bump(bands - whine, 3.0)
    # It is heard in every second frame.
    rattle_strength = between(0.15, 0.3) * broken["rattle"] * (frames % 2)
    sound += loudness * rattle_strength * bump(bands - between(20, 108), 20.0)

    grain = noise(words[:, N_PARAMETERS:]).reshape(-1, N_FRAMES, N_BANDS)
    sound += grain * between(0.05, 0.1)
    return to_uint8(sound).reshape(-1, N_FRAMES * N_BANDS)
