"""Layers that multiply by weights: their parameters, ranges and gradients.

Going forward in int8 such a layer folds its normalization into weight and bias,
quantizes them and runs the operator on the integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kanji_np.autograd import Tensor, record
from kanji_np.checks import flag
from kanji_np.errors import ShapeError
from kanji_np.layers import batch_norm
from kanji_np.layers.batch_norm import BatchNorm, Statistics
from kanji_np.layers.layer import Activation, Start, arrays, needs_gradients
from kanji_np.layers.learned import Learned, theta_gradient
from kanji_np.layers.tracked import TrackedLayer
from kanji_np.ops import Op
from kanji_np.quantize import (
    LinearScales,
    Scheme,
    activation_bounds,
    by_output,
    check_params,
    check_products,
    legal_scales,
    linear_ints,
    weight_max,
)
from kanji_np.ranges import TRACKERS, WEIGHT_TRACKERS, RangeTracker
from kanji_np.types import (
    LinearInts,
    LinearParams,
    QParams,
    Saved,
    Shape,
    TargetSpec,
    check_size,
)


class LinearLayer(TrackedLayer):
    """A layer that multiplies by weights, with the ranges training tracks.

    Attributes
    ----------
    weight, bias : Tensor, float32
        In the shapes of `LinearParams`; there once the layer is built. A normalized
        layer has no bias but its `norm`.
    norm : BatchNorm or None
    weight_range, output_range : RangeTracker
    """

    has_parameters = True
    weight: Tensor
    bias: Tensor
    norm: BatchNorm | None
    weight_range: RangeTracker

    def __init__(
        self,
        op: Op,
        attrs: Any,
        name: str | None = None,
        constants: Any = None,
        *,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(op, attrs, name, constants)
        self.batch_norm = flag("batch_norm", batch_norm)

    def _make(self, shapes: tuple[Shape, ...], ranges: str, start: Start) -> LinearInts:
        weight_shape, bias_shape = self.op.weights.shapes(self.attrs, shapes)
        check_products(math.prod(weight_shape[1:]))
        check_size(weight_shape, "the weight")
        channels = weight_shape[0]
        weight = start(self.name, "weight", weight_shape)
        if self.batch_norm:
            bias = np.zeros(bias_shape, np.float32)
        else:
            bias = start(self.name, "bias", bias_shape)
        self.weight = Tensor(weight, requires_grad=True)
        self.bias = Tensor(bias, requires_grad=True)
        self.norm = BatchNorm(channels) if self.batch_norm else None
        self.output_range = TRACKERS[ranges]()
        self.weight_range = WEIGHT_TRACKERS[ranges](
            channels=channels if self.scheme.per_channel else None
        )
        unit = LinearScales(QParams(1.0), np.ones(channels), QParams(1.0))
        return self._quantized(LinearParams(np.zeros_like(weight), bias), unit)

    def _scheme(self, scheme: Scheme, target: TargetSpec) -> Scheme:
        per_channel = self.op.weights.channel_scales(self.attrs, target)
        return replace(scheme, per_channel=scheme.per_channel and per_channel)

    def trackers(self) -> dict[str, RangeTracker]:
        return {"weight_range": self.weight_range, **super().trackers()}

    def named_parameters(self) -> dict[str, Tensor]:
        if self.norm is None:
            own = {"weight": self.weight, "bias": self.bias}
        else:
            norm = {"gamma": self.norm.gamma, "beta": self.norm.beta}
            own = {"weight": self.weight, **norm}
        return own | super().named_parameters()

    def state(self) -> dict[str, np.ndarray]:
        if self.norm is None:
            return super().state()
        return super().state() | {
            "moving_mean": self.norm.moving.mean,
            "moving_var": self.norm.moving.var,
            "moving_updates": np.asarray(self.norm.updates, np.int64),
        }

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        super().load_state(state)
        if self.norm is not None:
            self.norm.moving = Statistics(state["moving_mean"], state["moving_var"])
            self.norm.updates = int(state["moving_updates"])

    def renew_weight_range(self) -> None:
        """Take the weight's range from the weight as it is."""
        self.weight_range.renew(self._params().weight)

    def frozen(self, *x: QParams | None) -> tuple[LinearInts, QParams]:
        params = self._params()
        scales = self._scales(x[0], params)
        return self._quantized(params, scales), scales.y

    def forward_int(self, *x: Activation, track: bool) -> Activation:
        sums, params = self._normalized(x, track)
        if track or not self.weight_range.updates:
            self.weight_range.observe(params.weight)
        if not self.is_calibrated:
            self.output_range.observe(self._values(x, params))
            track = False
        scales = self._scales(x[0].qparams, params)
        ints = self._quantized(params, scales)
        w = by_output(np.float32(scales.w), ints.weight)
        used = LinearParams(ints.weight.astype(np.float32) * w, params.bias)
        y, learned = self._run(x, ints, used, scales.y, track)
        saved = self._saved(x, y, (ints.act_min, ints.act_max))
        most = np.float32(weight_max(self.op.weight_bits(self.attrs)) + 0.5)
        pull = _WeightPull(params.weight, w, np.abs(params.weight) <= most * w)
        return self._weighted_on_tape(x, saved, used, sums, pull, learned, scales.y)

    def forward_float(self, *x: Activation, track: bool) -> Activation:
        sums, params = self._normalized(x, track)
        bounds = activation_bounds(self.op.activation(self.attrs))
        if sums is None:
            y = self.op.run_float(self.attrs, params, arrays(x))
        else:
            gamma, beta = self.norm.gamma.data, self.norm.beta.data
            y = batch_norm.normalize(sums.z, gamma, beta, sums.s, bounds)
        return self._weighted_on_tape(x, self._saved(x, y, bounds), params, sums)

    def _normalized(
        self, x: Sequence[Activation], track: bool
    ) -> tuple[_Sums | None, LinearParams]:
        """Weight and bias as they are multiplied; and while normalization goes by the
        statistics of a batch, what it takes them from."""
        if self.norm is None or not track or self.norm.is_frozen:
            return None, self._params()
        zeros = LinearParams(self.weight.data, np.zeros_like(self.norm.beta.data))
        z = self.op.run_float(self._plain, zeros, (x[0].values(),))
        if z.size == z.shape[-1]:
            raise ShapeError(
                "batch normalization needs two values a channel for a variance, and "
                "this layer has one from a sample: give it a batch of two or more"
            )
        s = batch_norm.statistics(z)
        self.norm.update(s)
        return _Sums(z, s), self.norm.fold(self.weight.data, s)

    @property
    def _plain(self) -> Any:
        """The attributes without an activation."""
        return self.op.without_activation(self.attrs)

    def _weighted_on_tape(
        self,
        x: Sequence[Activation],
        saved: Saved,
        params: LinearParams,
        sums: _Sums | None,
        pull: _WeightPull | None = None,
        learned: Learned | None = None,
        y_qparams: QParams | None = None,
    ) -> Activation:
        """`saved.y` on the tape; weights outside their range get no gradient."""
        needs_gx, bits = needs_gradients(x), self.op.weight_bits(self.attrs)
        weight, norm, tracker = self.weight.data, self.norm, self.weight_range
        op, attrs, plain = self.op, self.attrs, self._plain
        learns = learned is not None and bool(tracker.parameters())

        def vjp(gy: np.ndarray) -> tuple[np.ndarray | None, ...]:
            if sums is None:
                gx, g = op.run_vjp(attrs, params, saved, gy, needs_gx)
            else:
                gz, ggamma, gbeta = batch_norm.vjp(sums.z, sums.s, saved, gy)
                gx, g = op.run_vjp(plain, params, _unclamped(saved), gz, needs_gx)
            gweight = g.weight
            thetas: tuple[np.ndarray, ...] = ()
            if pull is not None:
                if learns:
                    thetas = (pull.theta_gradient(tracker, gweight, bits),)
                gweight = np.where(pull.inside, gweight, 0)
            if sums is not None:
                gweight = gweight * by_output(norm.gamma.data * sums.s.inverse, weight)
                own = gweight, ggamma, gbeta
            elif norm is not None:
                folded = LinearParams(gweight, g.bias)
                own = batch_norm.fold_vjp(weight, norm.gamma.data, norm.moving, folded)
            else:
                own = gweight, g.bias
            return (*gx, *own, *thetas, *theta_gradient(learned, gy))

        own = (self.weight, self.bias)
        if norm is not None:
            own = (self.weight, norm.gamma, norm.beta)
        thetas = tracker.parameters() if learns else []
        thetas += learned.tracker.parameters() if learned else []
        parents = (x[0].tensor, *own, *thetas)
        return Activation(record(saved.y, parents, vjp, self.name), y_qparams)

    def _quantized(self, params: LinearParams, scales: LinearScales) -> LinearInts:
        activation = self.op.activation(self.attrs)
        bits = self.op.weight_bits(self.attrs)
        return linear_ints(params, scales, activation, self.numerics, bits)

    def _params(self) -> LinearParams:
        """Weight and bias of inference; RangeError if one is not finite, or huge."""
        if self.norm is not None:
            return self.norm.fold(self.weight.data, self.norm.moving)
        params = LinearParams(self.weight.data, self.bias.data)
        check_params(params)
        return params

    def _scales(self, x: QParams | None, params: LinearParams) -> LinearScales:
        bits = self.op.weight_bits(self.attrs)
        w = self.scheme.weight_scales(self.weight_range.max_abs, bits)
        w = np.broadcast_to(w, len(params.bias))
        scales = LinearScales(x, w, self._output_qparams())
        return legal_scales(scales, params.bias, self.scheme, self.numerics)


@dataclass(frozen=True)
class _Sums:
    """What batch normalization was given, float32 (N, ..., C), and its statistics."""

    z: np.ndarray
    s: Statistics


@dataclass(frozen=True)
class _WeightPull:
    """Real weights, their scales (Cout, 1, ...), and which are inside their range."""

    weight: np.ndarray
    scale: np.ndarray
    inside: np.ndarray

    def theta_gradient(
        self, tracker: Any, gweight: np.ndarray, bits: int
    ) -> np.ndarray:
        """The gradient of the learned range of the weights."""
        most = weight_max(bits)
        scale = self.scale.astype(np.float64).ravel()
        if tracker.low.ndim == 0:
            scale = scale[0]
        return tracker.gradient(self.weight, gweight, scale, (-most, most))


def _unclamped(saved: Saved) -> Saved:
    """The same, but for outputs of which none was clamped."""
    if saved.y.dtype.kind == "f":
        return replace(saved, low=-math.inf, high=math.inf)
    return replace(saved, y=np.zeros_like(saved.y), low=-128, high=127)
