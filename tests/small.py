"""Small networks and datasets that several test files share."""

from __future__ import annotations

import numpy as np

import kanji_np as kj
from kanji_np.layers import Layer


def small_layers() -> list[Layer]:
    """Every kind of layer that an image classifier has, for 8x8x3 images, 3 classes."""
    return [
        kj.Normalize((120, 130, 110)),
        kj.Conv2D(8, 3, padding="same", activation="relu"),
        kj.MaxPool2D(2),
        kj.Conv2D(8, 3, padding="same"),
        kj.ReLU(),
        kj.AvgPool2D(2),
        kj.Flatten(),
        kj.Dense(16, activation="relu"),
        kj.Dense(3),
    ]


def small_net(seed: int = 0, **options) -> kj.Sequential:
    return kj.Sequential(small_layers(), (8, 8, 3), seed=seed, **options)


def images(count: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)


def stripes(count: int = 192, seed: int = 0) -> kj.Dataset:
    """Rows, columns or checks, light on dark or dark on light, under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    y, x = np.mgrid[:8, :8]
    patterns = np.stack([y % 4 < 2, x % 4 < 2, (x // 2 + y // 2) % 2 == 0])
    sign = rng.choice((-1, 1), (count, 1, 1, 1))
    drawn = np.where(patterns[labels], 50, -50)[..., np.newaxis] * sign
    noisy = 128 + drawn + rng.normal(0, 25, (count, 8, 8, 3))
    pictures = noisy.clip(0, 255).astype(np.uint8)
    return kj.Dataset(pictures, labels.astype(np.int64), ("r", "c", "x"), "stripes")
