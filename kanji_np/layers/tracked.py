"""Layers whose output has a scale of its own, from the range that training tracks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kanji_np.autograd import Tensor
from kanji_np.layers.layer import Activation, Layer, Start, arrays
from kanji_np.layers.straight_through import SAMPLE, learned, with_range
from kanji_np.loops.requantize import empty_range
from kanji_np.quantize import activation_bounds, activation_range, stored
from kanji_np.ranges import TRACKERS, RangeTracker
from kanji_np.types import QParams, Shape

# Ends of the range of an output of which nothing is known.
ASSUMED = 4.0


class TrackedLayer(Layer):
    """A layer whose output has a scale of its own, from the range that is tracked.

    Attributes
    ----------
    output_range : RangeTracker
        One range for the whole output, float64 (). Made when the layer is built, of
        the network's kind.
    """

    output_range: RangeTracker

    def _make(self, shapes: tuple[Shape, ...], ranges: str, start: Start) -> Any:
        self.output_range = TRACKERS[ranges]()
        return super()._make(shapes, ranges, start)

    def trackers(self) -> dict[str, RangeTracker]:
        """Every tracker of the layer by name."""
        return {"output_range": self.output_range}

    def named_parameters(self) -> dict[str, Tensor]:
        return {
            f"{name}_theta": parameter
            for name, tracker in self.trackers().items()
            for parameter in tracker.parameters()
        }

    def state(self) -> dict[str, np.ndarray]:
        ranges = {}
        for name, tracker in self.trackers().items():
            ranges[name] = np.stack([tracker.low, tracker.high])
            ranges[f"{name}_updates"] = np.asarray(tracker.updates, np.int64)
        return super().state() | ranges

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        super().load_state(state)
        for name, tracker in self.trackers().items():
            tracker.low, tracker.high = np.array(state[name])
            tracker.updates = int(state[f"{name}_updates"])

    def forget_ranges(self) -> None:
        for tracker in self.trackers().values():
            tracker.forget()

    def assume_ranges(self) -> None:
        """Give an output whose range is not known one that it may have."""
        if not self.is_calibrated:
            self.output_range.update(-ASSUMED, ASSUMED)

    @property
    def is_calibrated(self) -> bool:
        """Whether the range of the output is known."""
        return self.output_range.updates > 0

    def frozen(self, *x: QParams | None) -> tuple[Any, QParams]:
        y = self._output_qparams()
        return self._ints(x, y), y

    def forward_int(self, *x: Activation, track: bool) -> Activation:
        params = self.constants
        if not self.is_calibrated:
            self.output_range.observe(self._values(x, params))
            track = False
        ints, y_qparams = self.frozen(*(value.qparams for value in x))
        y, values = self._run(x, ints, params, y_qparams, track)
        bounds = self._limits(y_qparams)
        tensor = self._on_tape(x, self._saved(x, y, bounds))
        return self._ranged(tensor, values, y_qparams)

    def forward_float(self, *x: Activation, track: bool) -> Activation:
        y = self.op.run_float(self.attrs, self.constants, arrays(x))
        saved = self._saved(x, y, activation_bounds(self.op.activation(self.attrs)))
        return Activation(self._on_tape(x, saved), None)

    def _output_qparams(self) -> QParams:
        said = self.output_range
        if said.scale is not None:
            return QParams(float(said.scale), said.zero_point)
        low, high = self.output_range.bounds()
        found = self.scheme.activation_qparams(float(low), float(high))
        return stored(found, self.numerics)

    def _limits(self, y: QParams) -> tuple[int, int]:
        """Smallest and largest integer of the activation."""
        activation = self.op.activation(self.attrs)
        return activation_range(activation, y, self.numerics.kernels)

    def _run(
        self,
        x: Sequence[Activation],
        ints: Any,
        params: Any,
        y_qparams: QParams,
        track: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The output, its range tracked, and the values a tracker has seen of it.

        They are there if `track` is and the tracker wants them.
        """
        seen = empty_range()
        y = self.op.run_int(self.attrs, ints, arrays(x), y_range=seen)
        if not track:
            return y, None
        if self.output_range.wants_values:
            values = self._values(x, params, SAMPLE)
            self.output_range.observe(values)
            return y, values
        low, high = activation_bounds(self.op.activation(self.attrs))
        self.output_range.update(*np.clip(seen * y_qparams.scale, low, high))
        return y, None

    def _ranged(
        self, y: Tensor, values: np.ndarray | None, y_qparams: QParams
    ) -> Activation:
        """The output, and on the tape what its range has to do with it."""
        tracker = learned(self.output_range)
        if tracker is not None and values is not None:
            limits = self._limits(y_qparams)
            low, high = (limit - y_qparams.zero_point for limit in limits)
            y = with_range(y, values, tracker, y_qparams.scale, (low, high))
        return Activation(y, y_qparams)

    def _values(
        self, x: Sequence[Activation], params: Any, step: int = 1
    ) -> np.ndarray:
        """Real outputs of every `step`-th image, as they are before rounding."""
        real = tuple(value.values(step) for value in x)
        return self.op.run_float(self.attrs, params, real)
