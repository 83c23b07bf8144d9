"""Layers that multiply by weights: their parameters, ranges and gradients.

Going forward in int8 such a layer folds its normalization into weight and bias,
quantizes them and runs the operator on the integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kanji_np.autograd import Tensor, record
from kanji_np.checks import flag
from kanji_np.errors import ShapeError, UnsupportedOp
from kanji_np.layers.batch_norm import (
    EPSILON,
    Batch,
    BatchNorm,
    Statistics,
    of_batch,
)
from kanji_np.layers.layer import Activation, Start, arrays, needs_gradients
from kanji_np.layers.straight_through import fake_quantized, learned
from kanji_np.layers.tracked import TrackedLayer
from kanji_np.ops import Op
from kanji_np.ops.op import Weights
from kanji_np.quantize import (
    KeptInts,
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
from kanji_np.ranges import (
    ONE_SCALE,
    TRACKERS,
    WEIGHT_TRACKERS,
    FixedRange,
    RangeTracker,
)
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
        In the shapes of `LinearParams`, output channels first; there once the layer is
        built. A normalized layer trains `norm` in place of its bias.
    norm : BatchNorm or None
    weight_range : RangeTracker
        float64 (), or (Cout,) where each output channel has a scale of its own.
    output_range : RangeTracker
        float64 ().
    kept : KeptInts or None
        Of a layer whose integers come from a file; see `keep`.
    """

    has_parameters = True
    weight: Tensor
    bias: Tensor
    norm: BatchNorm | None
    weight_range: RangeTracker
    kept: KeptInts | None = None

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
        weight_shape, bias_shape = self._op_weights.shapes(self.attrs, shapes)
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

    def _attributes_told(self) -> dict[str, Any]:
        normalized = {"batch_norm": True} if self.batch_norm else {}
        return super()._attributes_told() | normalized

    @property
    def n_parameters(self) -> int:
        """See `Layer.n_parameters`."""
        return self.weight.data.size + len(self.weight) if self.is_built else 0

    @property
    def _op_weights(self) -> Weights:
        """What the operator says of its weights."""
        assert self.op.weights is not None
        return self.op.weights

    def _scheme(self, scheme: Scheme, target: TargetSpec) -> Scheme:
        per_channel = self._op_weights.channel_scales(self.attrs, target)
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
        state = super().state() | {
            "moving_mean": self.norm.moving.mean,
            "moving_var": self.norm.moving.var,
            "moving_updates": np.asarray(self.norm.updates, np.int64),
        }
        if self.norm.moving.epsilon != EPSILON:
            state["epsilon"] = np.asarray(self.norm.moving.epsilon, np.float64)
        return state

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        super().load_state(state)
        if self.norm is not None:
            self.norm.moving = Statistics(
                state["moving_mean"],
                state["moving_var"],
                float(state.get("epsilon", EPSILON)),
            )
            self.norm.updates = int(state["moving_updates"])

    def folded_weight(self) -> np.ndarray:
        """The weight of inference with normalization in it, float32 (Cout, ...)."""
        return self._own().params.weight

    def weight_scales(self, x: QParams) -> np.ndarray:
        """Scales of the quantized weight, float64 (Cout,).

        Parameters
        ----------
        x : QParams
            Of the input.
        """
        return self._scales(x, self._own().params).w

    def weights(self) -> dict[str, np.ndarray]:
        """All that the layer's real values are computed from; see `Model.weights`."""
        if self.norm is None:
            return {"weight": self.weight.data, "bias": self.bias.data}
        mean, var, epsilon = self.norm.moving
        own = {
            "weight": self.weight.data,
            "gamma": self.norm.gamma.data,
            "beta": self.norm.beta.data,
            "moving_mean": mean,
            "moving_var": var,
        }
        return own if epsilon == EPSILON else own | {"epsilon": np.asarray(epsilon)}

    def load_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Take over checked arrays; ranges stay as they are.

        Parameters
        ----------
        weights : dict of ndarray
            As `weights` gives them, always with the epsilon of a normalization.
        """
        own = {name: np.array(a, np.float32, order="C") for name, a in weights.items()}
        self.weight.data = own["weight"]
        if self.norm is None:
            self.bias.data = own["bias"]
            return
        self.norm.gamma.data, self.norm.beta.data = own["gamma"], own["beta"]
        self.norm.load(
            Statistics(own["moving_mean"], own["moving_var"], float(weights["epsilon"]))
        )

    def forget_ranges(self) -> None:
        super().forget_ranges()
        self.kept = None

    def keep(
        self, weight: np.ndarray, bias: np.ndarray, scales: np.ndarray, x: QParams
    ) -> None:
        """Take the integers of a file and the scales of its weights as they are.

        The parameters become the real values, which training goes on from. Quantized
        again they give the same integers.

        Parameters
        ----------
        weight : int8 (Cout, ...)
        bias : int32 (Cout,)
            At the scale of the sums.
        scales : float64 (Cout,)
            Of the weight.
        x : QParams
            Of the input.

        Raises
        ------
        UnsupportedOp
            The target takes one scale for all outputs, and there are several.
        ShapeError
            Weight or bias has another shape than the layer's.
        """
        for what, ints, own in (
            ("weight", weight, self.weight),
            ("bias", bias, self.bias),
        ):
            if ints.shape != own.shape:
                raise ShapeError(
                    f"the {what} must have shape {own.shape}, got {ints.shape}"
                )
        if not self.scheme.per_channel and (scales != scales[0]).any():
            raise UnsupportedOp(ONE_SCALE)
        assert isinstance(self.weight_range, FixedRange)
        lowest = min(int(weight.min()), -weight_max(8))
        said = scales if self.scheme.per_channel else scales[0]
        self.weight_range.keep(said, lowest=lowest)
        sums = LinearScales(x, scales, x).sums
        self.weight.data = (weight * by_output(scales, weight)).astype(np.float32)
        self.bias.data = (bias * sums).astype(np.float32)
        residue = bias - np.rint(self.bias.data / sums)
        self.kept = KeptInts(lowest, residue.astype(np.int32))

    def scale_weight(self, factor: float) -> None:
        """Multiply the weight and its range, where inputs were divided.

        Parameters
        ----------
        factor : float
            A power of two, so that nothing is rounded.
        """
        self.weight.data = self.weight.data * np.float32(factor)
        tracker = self.weight_range
        tracker.low, tracker.high = tracker.low * factor, tracker.high * factor
        if tracker.scale is not None:
            tracker.scale = tracker.scale * factor

    def renew_weight_range(self) -> None:
        """Take the weight's range from the weight as it is."""
        self.weight_range.renew(self.folded_weight())

    def assume_ranges(self) -> None:
        if not self.weight_range.updates:
            self.weight_range.observe(self.folded_weight())
        super().assume_ranges()

    def frozen(self, *x: QParams | None) -> tuple[LinearInts, QParams]:
        params = self._own().params
        scales = self._scales(x[0], params)
        return self._quantized(params, scales), scales.y

    def forward_int(self, *x: Activation, track: bool) -> Activation:
        folded = self._folded(x[0], track)
        params = folded.params
        if track or not self.weight_range.updates:
            self.weight_range.observe(params.weight)
        if not self.is_calibrated:
            self.output_range.observe(self._values(x, params))
            track = False
        scales = self._scales(x[0].qparams, params)
        ints = self._quantized(params, scales)
        tracker = learned(self.weight_range) if track else None
        bits = self.op.weight_bits(self.attrs)
        weight = fake_quantized(folded.weight, ints.weight, scales.w, bits, tracker)
        used = replace(folded, weight=weight)
        y, values = self._run(x, ints, used.params, scales.y, track)
        saved = self._saved(x, y, (ints.act_min, ints.act_max))
        return self._ranged(self._multiplied(x[0], used, saved), values, scales.y)

    def forward_float(self, *x: Activation, track: bool) -> Activation:
        folded = self._folded(x[0], track)
        bounds = activation_bounds(self.op.activation(self.attrs))
        if folded.batch is None:
            y = self.op.run_float(self.attrs, folded.params, arrays(x))
        else:
            y = folded.batch.normalized(bounds)
        saved = self._saved(x, y, bounds)
        return Activation(self._multiplied(x[0], folded, saved), None)

    def _folded(self, x: Activation, track: bool) -> _Weights:
        """What the input is multiplied by, with the batch's own statistics if the
        layer is normalized by them."""
        if self.norm is None or not track or self.norm.is_frozen:
            return self._own()
        zeros = LinearParams(self.weight.data, np.zeros_like(self.norm.beta.data))
        z = self.op.run_float(self._plain, zeros, (x.values(),))
        if z.size == z.shape[-1]:
            raise ShapeError(
                "batch normalization needs two values a channel for a variance, and "
                "this layer has one from a sample: give it a batch of two or more"
            )
        batch = self.norm.take_in(z)
        return _Weights(*self.norm.fold(self.weight, batch), batch)

    def _own(self) -> _Weights:
        """Weight and bias of inference; RangeError if one is not finite, or huge."""
        if self.norm is not None:
            return _Weights(*self.norm.fold(self.weight))
        own = _Weights(self.weight, self.bias)
        check_params(own.params, is_kept=self.kept is not None)
        return own

    def _multiplied(self, x: Activation, used: _Weights, saved: Saved) -> Tensor:
        """`saved.y` on the tape, as a function of input, weight and bias."""
        op, attrs, params = self.op, self.attrs, used.params
        needs_gx = needs_gradients((x,))
        is_last = used.batch is None  # else `of_batch` sees to what was clamped

        def vjp(gy: np.ndarray) -> tuple[np.ndarray | None, ...]:
            kept = saved if is_last else _unclamped(saved)
            (gx,), g = op.run_vjp(attrs, params, kept, gy, needs_gx)
            assert g is not None  # the operator has weights
            return gx, g.weight, g.bias

        y = record(saved.y, (x.tensor, used.weight, used.bias), vjp, self.name)
        return y if used.batch is None else of_batch(y, used.batch, saved)

    @property
    def _plain(self) -> Any:
        """The attributes without an activation."""
        return self.op.without_activation(self.attrs)

    def _quantized(self, params: LinearParams, scales: LinearScales) -> LinearInts:
        activation = self.op.activation(self.attrs)
        bits = self.op.weight_bits(self.attrs)
        return linear_ints(params, scales, activation, self.numerics, bits, self.kept)

    def _scales(self, x: QParams | None, params: LinearParams) -> LinearScales:
        assert x is not None  # no operator with weights reads images
        said, y = self.weight_range.scale, self._output_qparams()
        if said is not None:
            w = np.broadcast_to(said, len(params.bias))
            return LinearScales(x, w, y)
        bits = self.op.weight_bits(self.attrs)
        w = self.scheme.weight_scales(self.weight_range.max_abs, bits)
        scales = LinearScales(x, np.broadcast_to(w, len(params.bias)), y)
        return legal_scales(scales, params.bias, self.scheme, self.numerics)


@dataclass(frozen=True)
class _Weights:
    """What a layer multiplies by and adds, float32; and the batch whose statistics
    are in it, or None."""

    weight: Tensor
    bias: Tensor
    batch: Batch | None = None

    @property
    def params(self) -> LinearParams:
        """The values alone."""
        return LinearParams(self.weight.data, self.bias.data)


def _unclamped(saved: Saved) -> Saved:
    """The same, but for outputs of which none was clamped."""
    if saved.y.dtype.kind == "f":
        return replace(saved, low=-math.inf, high=math.inf)
    return replace(saved, y=np.zeros_like(saved.y), low=-128, high=127)
