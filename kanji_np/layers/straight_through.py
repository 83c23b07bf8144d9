"""Rounding on the tape: gradients pass as if it were not there, and train ranges.

The gradient of a quantized value is that of the real one where it is inside its range,
and zero where it was clamped ("straight through"). Where the range itself is learned it
has a gradient too (`LearnedRange.gradient`). Activations are clamped by their
operators, whose `vjp` sees to it.
"""

from __future__ import annotations

import numpy as np

from kanji_np.autograd import Tensor, record
from kanji_np.quantize import by_output, weight_max
from kanji_np.ranges import LearnedRange, RangeTracker

SAMPLE = 8  # of every so many images a tracker sees the values


def learned(tracker: RangeTracker) -> LearnedRange | None:
    """The tracker if its range is trained."""
    return tracker if isinstance(tracker, LearnedRange) else None


def fake_quantized(
    weight: Tensor,
    ints: np.ndarray,
    scales: np.ndarray,
    bits: int,
    tracker: LearnedRange | None,
) -> Tensor:
    """The real values that quantized weights stand for, float32 (Cout, ...).

    Parameters
    ----------
    weight : Tensor, float32 (Cout, ...)
    ints : int8 (Cout, ...)
        The same quantized.
    scales : float64 (Cout,)
    bits : 8 or 4
    tracker : LearnedRange or None
        The range of the weights, if it is trained.
    """
    real, most = weight.data, weight_max(bits)
    each = by_output(scales.astype(np.float32), ints)
    limit = np.float32(most + 0.5)

    def vjp(g: np.ndarray) -> tuple[np.ndarray, ...]:
        own = np.where(np.abs(real) <= limit * each, g, 0)
        if tracker is None:
            return (own,)
        scale = each.astype(np.float64).ravel()  # (Cout,1,...) -> (Cout,)
        if tracker.low.ndim == 0:
            scale = scale[0]
        return own, tracker.gradient(real, g, scale, (-most, most))

    parents = (weight, *(tracker.parameters() if tracker else ()))
    return record(ints.astype(np.float32) * each, parents, vjp, "fake quantization")


def with_range(
    y: Tensor,
    values: np.ndarray,
    tracker: LearnedRange,
    scale: float,
    limits: tuple[int, int],
) -> Tensor:
    """The output `y` of a layer as a function of its learned range, too.

    Parameters
    ----------
    y : Tensor, int8 (N, ...)
    values : float32 (ceil(N / SAMPLE), ...)
        The real outputs of every `SAMPLE`-th image before rounding.
    tracker : LearnedRange
    scale : float
        Of `y`.
    limits : (int, int)
        The smallest and largest integer, the zero point taken off.
    """

    def vjp(gy: np.ndarray) -> tuple[np.ndarray, ...]:
        return gy, tracker.gradient(values, gy[::SAMPLE], np.float64(scale), limits)

    return record(y.data, (y, tracker.theta), vjp, "learned range")
