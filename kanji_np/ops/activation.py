"""Fused activations: the real values they let pass, and the integers."""

from __future__ import annotations

import math

from kanji_np.types import QParams

#: Activation and the real values that its outputs lie between.
ACTIVATIONS: dict[str, tuple[float, float]] = {
    "linear": (-math.inf, math.inf),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
}


def act_range(activation: str, y: QParams) -> tuple[int, int]:
    """act_min and act_max of outputs with the QParams `y`."""
    low, high = ACTIVATIONS[activation]
    act_min = -128 if math.isinf(low) else y.zero_point
    act_max = 127 if math.isinf(high) else y.zero_point + round(high / y.scale)
    return act_min, min(act_max, 127)
