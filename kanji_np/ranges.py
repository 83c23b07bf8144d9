"""The ranges that training tracks, from which scales are made.

Four trackers, one interface. `RangeTracker` keeps a moving minimum and maximum, the
paper's way. `PercentileRange` leaves out the farthest values, which are few and would
cost all others resolution. `LearnedRange` starts like the first and is then trained:
its range is 2^theta times the one it started from. Theta is a parameter of the network,
named `..._theta` there and in files. (Jain et al. train the end of the range, in log2,
and call it the threshold.) Its gradient is

    d real(q) / d theta = s ln 2 (round(v / s) - v / s)   inside the range
                          s ln 2 q                        where q is clamped

of a scale s proportional to 2^theta. It grows where clamping costs more than rounding,
and shrinks where rounding costs more. How large the gradient is says little, as it
grows with tensor and loss: `fit` leaves theta to Adam, whose steps do not.

`FixedRange` never moves once it is known: from the first batch, or because a file says
the very scale (`keep`). Networks that were quantized elsewhere have it.

References: Jain et al., "Trained Quantization Thresholds for Accurate and Efficient
Fixed-Point Inference of Deep Neural Networks", 2020 (powers of two, Adam); Esser
et al., "Learned Step Size Quantization", 2020 (any scale; here it is learned in the
log2 domain too).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kanji_np.autograd import Tensor
from kanji_np.errors import OptionError, RangeError, UnsupportedOp

MOMENTUM = 0.99
# At 99.9 too much is clamped of what max pools pass on: quantized without training a
# network lost 1.3 points on CIFAR-10; at 99.99 it loses 0.3.
PERCENTILE = 99.99
WARMUP_UPDATES = 100
MOST_THETA = 64.0

#: Why a target cannot have the weights of a file.
ONE_SCALE = "has a weight scale for each output, and the target takes only one"


class RangeTracker:
    """Moving minimum and maximum of a tensor, or of each channel of one.

    The average starts as a plain mean of what was seen and becomes an exponential one:
    the weight of the past is ``min(momentum, n / (n + 1))`` after n updates, so the
    first update counts in full and no long warm-up is needed.

    Parameters
    ----------
    momentum : float
        Weight of the past once enough has been seen, 0 <= momentum < 1.
    channels : int or None
        How many ranges; None: one.

    Attributes
    ----------
    low, high : float64 () or (channels,)
    updates : int
    """

    #: Whether it wants a tensor's values, not only the ends of their range.
    wants_values = False
    #: The scale that a file says, float64 () or (channels,); None: the range makes it.
    scale: np.ndarray | None = None
    #: With `scale`: the integer that stands for 0.
    zero_point = 0

    def __init__(
        self, momentum: float = MOMENTUM, *, channels: int | None = None
    ) -> None:
        self.momentum = momentum
        shape = () if channels is None else (channels,)
        self.low = np.zeros(shape)
        self.high = np.zeros(shape)
        self.updates = 0

    def update(self, low: Any, high: Any) -> None:
        """Take in one batch's minimum and maximum; RangeError if one is not finite."""
        low, high = np.float64(low), np.float64(high)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise RangeError(
                f"values from {np.min(low)} to {np.max(high)} cannot be quantized: "
                "training diverged (lower the learning rate) or the input holds NaN"
            )
        past = min(self.momentum, self.updates / (self.updates + 1))
        self.low = past * self.low + (1 - past) * low
        self.high = past * self.high + (1 - past) * high
        self.updates += 1

    def observe(self, values: np.ndarray) -> None:
        """Take in one batch of real values, channels first where there are some."""
        rows = values.reshape(*self.low.shape, -1)
        self.update(rows.min(axis=-1), rows.max(axis=-1))

    def renew(self, values: np.ndarray) -> None:
        """Forget what was seen before these values; a range that is trained stays."""
        self.updates = 0
        self.observe(values)

    def forget(self) -> None:
        """Be as if nothing had been seen yet."""
        self.low, self.high = np.zeros_like(self.low), np.zeros_like(self.high)
        self.updates = 0

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The range, low and high, float64 () or (channels,)."""
        return self.low, self.high

    @property
    def max_abs(self) -> np.ndarray:
        """Largest magnitude in the range, float64 () or (channels,)."""
        low, high = self.bounds()
        return np.maximum(np.maximum(-low, high), 0.0)

    def parameters(self) -> list[Tensor]:
        """What of it is trained."""
        return []

    def state(self) -> dict[str, Any]:
        """Low, high, momentum and count, as JSON can hold them exactly."""
        return {
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "momentum": self.momentum,
            "updates": self.updates,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave; RangeError if it is no range."""
        low, high = (np.array(state[end], np.float64) for end in ("low", "high"))
        if low.shape != self.low.shape or high.shape != self.high.shape:
            raise RangeError(
                f"tracked ranges have shape {low.shape}, expected {self.low.shape}"
            )
        if (
            not (np.isfinite(low).all() and np.isfinite(high).all())
            or (low > high).any()
        ):
            raise RangeError(f"a tracked range is {low.min()} .. {high.max()}")
        self.low, self.high = low, high
        self.momentum = float(state["momentum"])
        self.updates = int(state["updates"])


class PercentileRange(RangeTracker):
    """The same of two percentiles instead of minimum and maximum."""

    wants_values = True

    def observe(self, values: np.ndarray) -> None:
        rows = values.reshape(*self.low.shape, -1)
        low, high = np.percentile(rows, (100 - PERCENTILE, PERCENTILE), axis=-1)
        self.update(low, high)


class LearnedRange(RangeTracker):
    """A range that is trained, after a moving minimum and maximum has found its start.

    Attributes
    ----------
    theta : Tensor, float32 () or (channels,)
        log2 of how much wider than its start the range is.
    """

    wants_values = True

    def __init__(
        self, momentum: float = MOMENTUM, *, channels: int | None = None
    ) -> None:
        super().__init__(momentum, channels=channels)
        self.theta = Tensor(np.zeros(self.low.shape, np.float32), requires_grad=True)

    def update(self, low: Any, high: Any) -> None:
        if self.updates < WARMUP_UPDATES:
            super().update(low, high)

    def renew(self, values: np.ndarray) -> None:
        pass

    def forget(self) -> None:
        super().forget()
        self.theta.data = np.zeros_like(self.theta.data)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        theta = self.theta.data.astype(np.float64)
        if not (np.abs(theta) <= MOST_THETA).all():
            raise RangeError(
                f"learned ranges are 2^{theta.min():.4g} to 2^{theta.max():.4g} times "
                "what they began as: training diverged (lower the learning rate)"
            )
        wider = 2.0**theta
        return self.low * wider, self.high * wider

    def parameters(self) -> list[Tensor]:
        return [self.theta]

    def gradient(
        self,
        values: np.ndarray,
        gradients: np.ndarray,
        scale: np.ndarray | np.float64,
        limits: tuple[int, int],
    ) -> np.ndarray:
        """The gradient of `theta`.

        Parameters
        ----------
        values, gradients : float32, channels first where there are some
            Real values before they were quantized; gradients of the quantized ones.
        scale : float64 () or (channels,)
        limits : (int, int)
            Smallest and largest integer, the zero point taken off.

        Returns
        -------
        float32, as `theta`
        """
        shape = self.low.shape
        values, gradients = (a.reshape(*shape, -1) for a in (values, gradients))
        steps = values / np.asarray(scale, np.float32)[..., None]
        q = np.clip(np.rint(steps), *limits)
        inside = (steps > limits[0] - 0.5) & (steps < limits[1] + 0.5)
        slope = np.where(inside, q - steps, q)
        total = (slope * gradients).sum(axis=-1, dtype=np.float64) * scale * math.log(2)
        return total.astype(np.float32)


class FixedRange(RangeTracker):
    """A range that stays: that of the first batch, or one whose scale a file says."""

    def update(self, low: Any, high: Any) -> None:
        if not self.updates:
            super().update(low, high)

    def renew(self, values: np.ndarray) -> None:
        if self.scale is None:
            super().renew(values)

    def forget(self) -> None:
        super().forget()
        self.scale, self.zero_point = None, 0

    def keep(self, scale: Any, zero_point: int = 0, lowest: int = -128) -> None:
        """Take a file's scale.

        Parameters
        ----------
        scale : float or float64 (channels,)
        zero_point : int
        lowest : int
            The smallest integer there may be; the largest is 127.
        """
        self.scale = np.array(scale, np.float64).reshape(self.low.shape)
        self.zero_point = zero_point
        self.low = self.scale * (lowest - zero_point)
        self.high = self.scale * (127 - zero_point)
        self.updates = 1

    def state(self) -> dict[str, Any]:
        if self.scale is None:
            return super().state()
        said = {"scale": self.scale.tolist(), "zero_point": self.zero_point}
        return super().state() | said

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        if "scale" not in state:
            return
        scale = np.array(state["scale"], np.float64)
        if scale.shape != self.low.shape or not (scale > 0).all():
            raise RangeError(f"a kept scale is {state['scale']}")
        self.scale, self.zero_point = scale, state["zero_point"]


#: Trackers of activations by name, and of weights where they are others: the ends of a
#: weight's range are few and matter.
TRACKERS: dict[str, type[RangeTracker]] = {
    "minmax": RangeTracker,
    "percentile": PercentileRange,
    "learned": LearnedRange,
    "fixed": FixedRange,
}
WEIGHT_TRACKERS = TRACKERS | {"percentile": RangeTracker}


def refitted(
    state: dict[str, Any], theta: np.ndarray | None, shape: tuple[int, ...]
) -> tuple[dict[str, Any], np.ndarray | None]:
    """What a tracker of one shape gave, for a tracker of another.

    One range becomes that of each channel. Of several the widest ends remain.

    Parameters
    ----------
    state : dict
        What `RangeTracker.state` gave.
    theta : float32 () or (channels,), or None
        Of a range that is trained.
    shape : () or (channels,)

    Raises
    ------
    UnsupportedOp
        There are different scales that a file gave, and one is wanted.
    """
    if np.shape(state["low"]) == shape:
        return state, theta
    wider = 1.0 if theta is None or shape else 2.0 ** theta.astype(np.float64)
    low, high = (np.array(state[end]) * wider for end in ("low", "high"))
    ends = {"low": low.min(), "high": high.max()}
    if "scale" in state:
        scales = np.array(state["scale"])
        if not shape and (scales != scales.flat[0]).any():
            raise UnsupportedOp(ONE_SCALE)
        ends["scale"] = scales.flat[0]
    new = state | {name: np.full(shape, end).tolist() for name, end in ends.items()}
    if theta is None:
        return new, None
    return new, np.full(shape, theta if shape else 0.0, np.float32)


def check_ranges(name: str) -> str:
    """OptionError unless `name` is one of `TRACKERS`."""
    if name not in TRACKERS:
        raise OptionError(f"ranges must be one of {', '.join(TRACKERS)}; got {name!r}")
    return name
