"""Twelve small data sets as people have them, drawn by rule; and how well the default
recipe learns them.

    python examples/small_data.py write data/            # the sets, as files
    python examples/small_data.py table data/ --seeds 5  # trains each, and prints a table

A set is a seed and a rule, so it is the same everywhere. Each is as hard as such sets
are: a model that looks at them the right way gets most of it right, and none all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


# ------------------------------------------------- pictures


def glyphs(
    rng: np.random.Generator,
    labels: np.ndarray,
    size: tuple[int, int],
    *,
    channels: int = 1,
    strokes: int = 4,
    shift: float = 0.08,
    turn: float = 0.2,
    noise: float = 0.15,
) -> np.ndarray:
    """Pictures (N, H, W, C) of uint8: each class is a figure of a few strokes, drawn at
    another place, angle, size and brightness every time, with noise over it.

    Parameters
    ----------
    labels : int64 (N,)
    size : (H, W)
    shift, turn, noise : float
        How far a figure moves [sizes], turns [rad], and how strong its noise is.
    """
    classes = int(labels.max()) + 1
    ends = rng.uniform(-0.32, 0.32, (classes, strokes, 2, 2))
    colours = rng.uniform(0.3, 1.0, (classes, strokes, channels))
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    grid = np.stack([(y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5], axis=-1)
    images = np.empty((len(labels), height, width, channels), np.uint8)
    for i, label in enumerate(labels):
        angle, zoom = rng.normal(0, turn), rng.uniform(0.8, 1.2)
        c, s = np.cos(angle) / zoom, np.sin(angle) / zoom
        seen = (grid - rng.normal(0, shift, 2)) @ np.array([[c, -s], [s, c]])
        ground = rng.uniform(0.1, 0.4, channels)
        picture = np.broadcast_to(ground, (height, width, channels)).copy()
        for (a, b), colour in zip(ends[label], colours[label], strict=True):
            ink = np.exp(-((_distance(seen, a, b) / 0.05) ** 2))[..., None]
            picture += ink * (colour * rng.uniform(0.8, 1.2) - picture)
        picture += rng.normal(0, noise, picture.shape)
        images[i] = np.clip(picture * 255, 0, 255).round()
    return images


def _distance(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How far each point (..., 2) is from the stroke from a to b."""
    along = b - a
    t = np.clip((points - a) @ along / (along @ along), 0, 1)
    return np.linalg.norm(points - a - t[..., None] * along, axis=-1)


def labels_of(rng: np.random.Generator, counts: Sequence[int]) -> np.ndarray:
    """So many labels of each class, in a random order."""
    labels = np.repeat(np.arange(len(counts)), counts)
    rng.shuffle(labels)
    return labels


# ------------------------------------------------- signals


def movements(
    rng: np.random.Generator, labels: np.ndarray, length: int, channels: int
) -> np.ndarray:
    """Windows (N, T, C) of float32 as of an accelerometer [m/s2]: each class has its
    frequencies and directions, over gravity."""
    classes = int(labels.max()) + 1
    rates = rng.uniform(1, 12, (classes, 2))
    ways = rng.normal(0, 1, (classes, 2, channels))
    rest = rng.normal(0, 1, (classes, channels))
    time = np.linspace(0, 2, length)[:, None]  # [s]
    windows = np.empty((len(labels), length, channels), np.float32)
    for i, label in enumerate(labels):
        window = rng.normal(0, 1.2, (length, channels))
        for rate, way in zip(rates[label], ways[label], strict=True):
            phase, speed = rng.uniform(0, 2 * np.pi), rng.normal(1, 0.08)
            wave = np.sin(2 * np.pi * rate * speed * time + phase)
            window += rng.uniform(0.5, 2) * wave * way
        gravity = 9.81 * _unit(rest[label] + rng.normal(0, 0.6, channels))
        windows[i] = window + gravity
    return windows


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def spectrograms(
    rng: np.random.Generator, labels: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Log-energies (N, T, F, 1) of float32 [dB]: each class is three tones that rise or
    fall, at another time every time."""
    classes = int(labels.max()) + 1
    time, bands = size
    starts = rng.uniform(0, bands, (classes, 3))
    slopes = rng.uniform(-bands / time, bands / time, (classes, 3))
    t = np.arange(time)[:, None]
    f = np.arange(bands)[None, :]
    images = np.empty((len(labels), time, bands, 1), np.float32)
    for i, label in enumerate(labels):
        delay = rng.integers(-time // 6, time // 6 + 1)
        energy = rng.normal(0, 4, (time, bands))
        for start, slope in zip(starts[label], slopes[label], strict=True):
            at = start + slope * (t - delay) + rng.normal(0, 0.3)
            energy += rng.uniform(8, 18) * np.exp(-(((f - at) / 0.8) ** 2))
        images[i, ..., 0] = energy - 60
    return images


def features(rng: np.random.Generator, labels: np.ndarray, count: int) -> np.ndarray:
    """Vectors (N, K) of float32: two clouds for each class, in units that differ by
    orders of magnitude, a few of them of heavy tails."""
    classes = int(labels.max()) + 1
    middles = rng.normal(0, 1.3, (classes, 2, count))
    units = 10.0 ** rng.uniform(-2, 3, count)
    which = rng.integers(0, 2, len(labels))
    x = middles[labels, which] + rng.normal(0, 1, (len(labels), count))
    x[:, : count // 5] += rng.standard_t(2, (len(labels), count // 5))
    return (x * units + 3 * units).astype(np.float32)


def measurements(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Readings (N, 8) of float32 and two quantities (N, 2) that follow from them."""
    x = rng.uniform(-1, 1, (n, 8))
    first = 20 * np.sin(2 * x[:, 0]) + 15 * x[:, 1] * x[:, 2] + 8 * x[:, 3]
    second = 1000 + 300 * np.abs(x[:, 4]) - 200 * x[:, 5] ** 2 + 50 * x[:, 6]
    y = np.stack([first + rng.normal(0, 2, n), second + rng.normal(0, 20, n)], axis=1)
    scales = 10.0 ** np.arange(-2, 6)
    return (x * scales).astype(np.float32), y.astype(np.float32)


# ------------------------------------------------- the sets


@dataclass(frozen=True)
class Task:
    """A data set: what it is, its seed, and what draws its arrays x and y."""

    title: str
    seed: int
    draw: Callable[[np.random.Generator], Arrays]


def _pictures(
    counts: Sequence[int], size: tuple[int, int], channels: int = 1, **how: float
) -> Callable[[np.random.Generator], Arrays]:
    def draw(rng: np.random.Generator) -> Arrays:
        labels = labels_of(rng, counts)
        return {
            "x": glyphs(rng, labels, size, channels=channels, **how),  # type: ignore[arg-type]
            "y": labels,
        }

    return draw


def _wrong_labels(rng: np.random.Generator) -> Arrays:
    """One label of twenty is another one; those of the test images are right."""
    labels = labels_of(rng, [300] * 10)
    x = glyphs(rng, labels, (28, 28))
    train = np.arange(len(labels)) < 2400
    y = labels.copy()
    wrong = rng.random(len(y)) < 0.05
    y[wrong] = (y[wrong] + rng.integers(1, 10, int(wrong.sum()))) % 10
    return {
        "x_train": x[train],
        "y_train": y[train],
        "x_test": x[~train],
        "y_test": labels[~train],
    }


def _movements(rng: np.random.Generator) -> Arrays:
    labels = labels_of(rng, [250] * 6)
    return {"x": movements(rng, labels, 128, 3), "y": labels}


def _spectrograms(rng: np.random.Generator) -> Arrays:
    labels = labels_of(rng, [200] * 8)
    return {"x": spectrograms(rng, labels, (49, 10)), "y": labels}


def _features(rng: np.random.Generator) -> Arrays:
    labels = labels_of(rng, [150] * 4)
    return {"x": features(rng, labels, 20), "y": labels}


def _measurements(rng: np.random.Generator) -> Arrays:
    x, y = measurements(rng, 1500)
    return {"x": x, "y": y}


TASKS: dict[str, Task] = {
    "three-grey": Task(
        "240 grey pictures of 3 classes", 1, _pictures([80] * 3, (32, 32))
    ),
    "sixty": Task("60 grey pictures of 2 classes", 2, _pictures([30] * 2, (16, 16))),
    "unbalanced": Task(
        "4 classes of 1,400, 400, 140 and 60 pictures",
        3,
        _pictures([1400, 400, 140, 60], (24, 24), 3),
    ),
    "hundred": Task("100 classes of 40 pictures", 4, _pictures([40] * 100, (24, 24))),
    "colour": Task(
        "800 colour pictures of 5 classes", 5, _pictures([160] * 5, (48, 48), 3)
    ),
    "tall": Task("1,200 pictures of 64x20 pixels", 6, _pictures([200] * 6, (64, 20))),
    "large": Task("400 pictures of 96x96 pixels", 7, _pictures([200] * 2, (96, 96))),
    "wrong-labels": Task("5 % of 2,400 labels are wrong", 8, _wrong_labels),
    "movements": Task("1,500 windows of an accelerometer", 9, _movements),
    "spectrograms": Task("1,600 spectrograms of 8 words", 10, _spectrograms),
    "features": Task("600 vectors of 20 readings", 11, _features),
    "two-values": Task("two quantities of 1,500 vectors", 12, _measurements),
}


def write(name: str, folder: Path) -> Path:
    """The .npz file of a set."""
    task = TASKS[name]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npz"
    np.savez_compressed(path, **task.draw(np.random.default_rng([task.seed, 18])))
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    for name in TASKS:
        print(write(name, parser.parse_args().folder))
