"""The gradient of a learned output range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SAMPLE = 8  # of every so many images a tracker sees the values


@dataclass(frozen=True)
class Learned:
    """What the gradient of a learned output range is made of.

    `values` (N, ...) are the real ones of every `SAMPLE`-th image before rounding,
    `limits` the smallest and largest integer without zero point.
    """

    tracker: Any
    values: np.ndarray
    scale: float
    limits: tuple[int, int]


def theta_gradient(learned: Learned | None, gy: np.ndarray) -> tuple[np.ndarray, ...]:
    if learned is None:
        return ()
    scale = np.float64(learned.scale)
    return (
        learned.tracker.gradient(learned.values, gy[::SAMPLE], scale, learned.limits),
    )
