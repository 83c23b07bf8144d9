"""What a layer is: float parameters and tracked ranges, where operators meet the tape.

A layer holds what training changes. Going forward in int8 it quantizes its parameters,
runs the operator's `forward_int`, the very integers of the device, and leaves the
operator's `vjp` on the tape. The gradient is taken as if rounding were not there
("straight through"), and stops at values that were clamped. `layers` has those there
are, by the names of Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kanji_np.autograd import Tensor, record
from kanji_np.checks import flag
from kanji_np.errors import KanjiError, OptionError, RangeError, ShapeError
from kanji_np.loops import buffers
from kanji_np.loops.requantize import empty_range
from kanji_np.ops import Op, batch_norm
from kanji_np.ops.batch_norm import Statistics
from kanji_np.quantize import (
    LinearScales,
    Scheme,
    activation_bounds,
    activation_range,
    by_output,
    check_params,
    check_products,
    check_values,
    legal_scales,
    linear_ints,
    weight_max,
)
from kanji_np.ranges import TRACKERS, WEIGHT_TRACKERS, RangeTracker
from kanji_np.types import (
    KernelCall,
    LinearInts,
    LinearParams,
    Numerics,
    QParams,
    Saved,
    Shape,
    TargetSpec,
    TensorSpec,
    check_size,
)

# The weight of the past in moving statistics: of some twenty batches, because weights
# that change fast are folded with what they were normalized by lately.
NORM_MOMENTUM = 0.95
SAMPLE = 8  # of every so many images a tracker sees the values

Forward = Callable[..., np.ndarray]
#: (layer's name, "weight" or "bias", shape) -> float32, what training starts from.
Start = Callable[[str, str, Shape], np.ndarray]


def drawn(rng: np.random.Generator) -> Start:
    """Weights from He's uniform distribution; biases of zero."""

    def start(layer: str, kind: str, shape: Shape) -> np.ndarray:
        if kind == "bias":
            return np.zeros(shape, np.float32)
        limit = math.sqrt(6 / math.prod(shape[1:]))
        return rng.uniform(-limit, limit, shape).astype(np.float32)

    return start


@dataclass(frozen=True)
class Activation:
    """A tensor between layers: int8 with QParams, or real (qparams None).

    Gradients are float32 with respect to the real value in both cases.
    """

    tensor: Tensor
    qparams: QParams | None

    def real(self) -> Tensor:
        """The real values as a floating Tensor (N, ...) on the same tape."""
        if self.qparams is None:
            return self.tensor
        return record(self.values(), (self.tensor,), lambda g: (g,), "dequantize")

    def values(self, step: int = 1) -> np.ndarray:
        """The real values of every `step`-th sample, float32."""
        data = self.tensor.data[::step]
        if self.qparams is None:
            return data
        zero, scale = map(np.float32, (self.qparams.zero_point, self.qparams.scale))
        values = buffers.empty(data.shape, np.float32)
        np.subtract(data, zero, out=values, dtype=np.float32)
        return np.multiply(values, scale, out=values)


@dataclass(frozen=True)
class Quantization:
    """How a network is quantized: its scheme, and the name of its range trackers."""

    scheme: Scheme
    ranges: str


class Symbol:
    """What a layer gives when it is called: a tensor of a network yet to be made.

    Attributes
    ----------
    layer : Layer or None
        None: an input of the network, of shape `shape`.
    inputs : tuple of Symbol
    """

    def __init__(
        self,
        layer: Layer | None,
        inputs: tuple[Symbol, ...] = (),
        shape: Shape | None = None,
    ) -> None:
        self.layer = layer
        self.inputs = inputs
        self.shape = shape


def Input(shape: Shape) -> Symbol:  # noqa: N802 - Keras's name
    """The input of a network with branches, of one sample's shape; see `Model`."""
    return Symbol(None, shape=shape)


class Layer:
    """One operator with its attributes.

    Parameters
    ----------
    op : Op
    attrs : dataclass
        Of the type `op.attrs`.
    name : str or None
        None: the model names it after its operator.
    constants : dataclass or None
        Integers fixed when the layer is made (the mean of `Normalize`).
    """

    has_parameters = False
    numerics: Numerics  # the target's, once the layer is built
    scheme: Scheme  # the network's, as far as operator and target allow

    def __init__(
        self, op: Op, attrs: Any, name: str | None = None, constants: Any = None
    ) -> None:
        is_word = isinstance(name, str) and name.isascii() and name.isidentifier()
        if name is not None and not is_word:
            raise OptionError(f"a layer's name must be a C identifier, got {name!r}")
        self.op = op
        self.attrs = attrs
        self.name = name or ""
        self.constants = constants
        self.is_built = False

    def __call__(self, *inputs: Symbol | Sequence[Symbol]) -> Symbol:
        """The layer's output for one tensor, or for several, also as a list."""
        first = inputs[0] if len(inputs) == 1 else inputs
        symbols = (first,) if isinstance(first, Symbol) else tuple(first)
        for symbol in symbols:
            if not isinstance(symbol, Symbol):
                raise OptionError(
                    f"{self!r} is called on what Input or another layer gave, not on "
                    f"{type(symbol).__name__}"
                )
        return Symbol(self, symbols)

    def build(
        self,
        shapes: tuple[Shape, ...],
        target: TargetSpec,
        quantization: Quantization,
        start: Start,
    ) -> tuple[Shape, tuple[KernelCall, ...]]:
        """Take the shapes of its inputs, make the parameters.

        Returns
        -------
        The output shape, and the calls the layer becomes (with integers that only
        have the right shapes).

        Raises
        ------
        ShapeError, AccumulatorOverflow, UnsupportedOp
            If the layer does not fit its inputs, int32 or the target.
        OptionError
            If the layer is part of a network already.
        """
        if self.is_built:
            raise OptionError("is part of a network already: make another layer")
        wanted = self.op.inputs
        if len(shapes) != wanted and not (wanted is None and len(shapes) > 1):
            raise ShapeError(
                f"{self.op.name} takes {wanted or 'two or more'} "
                f"input{'s' * (wanted != 1)}, got {len(shapes)}"
            )
        output = self.op.infer(self.attrs, *shapes)
        y = TensorSpec(output, "int8", QParams(1.0))
        self.numerics = target.numerics
        per_channel = self.op.channel_scales(self.attrs, target)
        scheme = quantization.scheme
        self.scheme = replace(scheme, per_channel=scheme.per_channel and per_channel)
        ints = self._make(shapes, quantization.ranges, start)
        dtype = "uint8" if self.op.reads_image else "int8"
        x = self._joined([TensorSpec(shape, dtype, QParams(1.0)) for shape in shapes])
        calls = self.op.lower(self.attrs, ints, x, y, target)
        self.is_built = True
        return output, calls

    def _joined(self, values: Sequence[Any]) -> Any:
        """As operators take what there is one of for each input."""
        return values[0] if self.op.inputs == 1 else tuple(values)

    def _make(self, shapes: tuple[Shape, ...], ranges: str, start: Start) -> Any:
        """Make the parameters; integers of the right shapes to try the target with."""
        one = QParams(1.0)
        return self._ints((one,) * len(shapes), one)

    def named_parameters(self) -> dict[str, Tensor]:
        """What training changes."""
        return {}

    def state(self) -> dict[str, np.ndarray]:
        """What training changes, and all that it tracks; see `Model.state`."""
        return {name: p.data for name, p in self.named_parameters().items()}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take over checked arrays as `state` gives them."""
        for name, parameter in self.named_parameters().items():
            parameter.data = state[name]

    @property
    def is_calibrated(self) -> bool:
        """Whether everything the layer quantizes has a range."""
        return True

    def frozen(self, *x: QParams | None) -> tuple[Any, QParams]:
        """The integers of the layer as it stands, and the QParams of its output."""
        y = self.op.output_qparams(self.attrs, self._joined(x), self.numerics)
        return self._ints(x, y), y

    def _ints(self, x: Sequence[QParams | None], y: QParams) -> Any:
        if self.op.ints is None:
            return self.constants
        return self.op.ints(self.attrs, self._joined(x), y, self.numerics)

    def forward_int(self, *x: Activation, track: bool) -> Activation:
        """The device's integers forward, the straight-through gradient backward.

        Parameters
        ----------
        x : Activation
            int8 (or a uint8 image) (N, ...).
        track : bool
            Whether the ranges take in this batch, as they do in training.
        """
        ints, y_qparams = self.frozen(*(value.qparams for value in x))
        return self._recorded(x, self.op.forward_int, ints, y_qparams)

    def forward_float(self, *x: Activation, track: bool) -> Activation:
        """The smooth function, in float32: fp32 training and its baseline.

        `track`: whether batch normalization takes in this batch.
        """
        return self._recorded(x, self.op.forward_float, self.constants, None)

    def _recorded(
        self,
        x: Sequence[Activation],
        forward: Forward,
        ints: Any,
        y_qparams: QParams | None,
    ) -> Activation:
        """The output on the tape; what the vjp needs is kept, and no tensor."""
        op, attrs = self.op, self.attrs
        data = [value.tensor.data for value in x]
        extra = None
        if op.forward_train is not None and self._needs_gx(x):
            y, extra = op.forward_train(attrs, ints, *data)
        else:
            y = forward(attrs, ints, *data)
        saved = self._saved(x, y, (-math.inf, math.inf), extra)
        return self._on_tape(x, saved, y_qparams)

    def _needs_gx(self, x: Sequence[Activation]) -> Any:
        """Whether a gradient is asked for, of the input or of each of several."""
        return self._joined([value.tensor.requires_grad for value in x])

    def _on_tape(
        self,
        x: Sequence[Activation],
        saved: Saved,
        y_qparams: QParams | None,
        learned: Learned | None = None,
    ) -> Activation:
        """`saved.y` on the tape, of a layer without weights."""
        op, attrs, constants = self.op, self.attrs, self.constants
        needs_gx = self._needs_gx(x)

        def vjp(gy: np.ndarray) -> tuple[np.ndarray | None, ...]:
            gx = op.vjp(attrs, constants, saved, gy, needs_gx)[0]
            several = gx if isinstance(gx, tuple) else (gx,)
            return (*several, *_theta_gradient(learned, gy))

        thetas = learned.tracker.parameters() if learned else []
        parents = (*(value.tensor for value in x), *thetas)
        return Activation(record(saved.y, parents, vjp, self.name), y_qparams)

    def _saved(
        self,
        x: Sequence[Activation],
        y: np.ndarray,
        bounds: tuple[float, float],
        extra: Any = None,
    ) -> Saved:
        data = self._joined([value.tensor.data for value in x])
        qparams = [value.qparams or QParams(1.0) for value in x]
        scale = self._joined([q.scale for q in qparams])
        offset = self._joined([-q.zero_point for q in qparams])
        return Saved(data, y, scale, *bounds, extra=extra, x_offset=offset)

    def __repr__(self) -> str:
        return f"{self.name or self.op.name}: {self.attrs}"


class TrackedLayer(Layer):
    """A layer whose output has a scale of its own, from the range that is tracked.

    Attributes
    ----------
    output_range : RangeTracker
        Made when the layer is built, of the network's kind.
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

    @property
    def is_calibrated(self) -> bool:
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
        y, learned = self._run(x, ints, params, y_qparams, track)
        bounds = activation_range(self.attrs.activation, y_qparams)
        saved = self._saved(x, y, bounds)
        return self._on_tape(x, saved, y_qparams, learned)

    def forward_float(self, *x: Activation, track: bool) -> Activation:
        data = [value.tensor.data for value in x]
        y = self.op.forward_float(self.attrs, self.constants, *data)
        saved = self._saved(x, y, activation_bounds(self.attrs.activation))
        return self._on_tape(x, saved, None)

    def _output_qparams(self) -> QParams:
        low, high = self.output_range.bounds()
        return self.scheme.activation_qparams(float(low), float(high))

    def _run(
        self,
        x: Sequence[Activation],
        ints: Any,
        params: Any,
        y_qparams: QParams,
        track: bool,
    ) -> tuple[np.ndarray, Learned | None]:
        """The output, its range tracked, and what a learned range is trained with."""
        seen = empty_range()
        data = [value.tensor.data for value in x]
        y = self.op.forward_int(self.attrs, ints, *data, y_range=seen)
        tracker = self.output_range
        learns = track and bool(tracker.parameters())
        if track and tracker.wants_values:
            values = self._values(x, params, SAMPLE)
            tracker.observe(values)
        elif track:
            low, high = activation_bounds(self.attrs.activation)
            tracker.update(*np.clip(seen * y_qparams.scale, low, high))
        if not learns:
            return y, None
        limits = activation_range(self.attrs.activation, y_qparams)
        low, high = (limit - y_qparams.zero_point for limit in limits)
        return y, Learned(tracker, values, y_qparams.scale, (low, high))

    def _values(
        self, x: Sequence[Activation], params: Any, step: int = 1
    ) -> np.ndarray:
        """Real outputs of every `step`-th image, as they are before rounding."""
        real = [value.values(step) for value in x]
        return self.op.forward_float(self.attrs, params, *real)


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


def _theta_gradient(learned: Learned | None, gy: np.ndarray) -> tuple[np.ndarray, ...]:
    if learned is None:
        return ()
    scale = np.float64(learned.scale)
    return (
        learned.tracker.gradient(learned.values, gy[::SAMPLE], scale, learned.limits),
    )


class BatchNorm:
    """Normalization of a layer's output, which is folded into its weights.

    Attributes
    ----------
    gamma, beta : Tensor, float32 (C,)
    moving : Statistics, float32 (C,)
        Moving mean and variance: what is folded unless a batch's own are.
    updates : int
    is_frozen : bool
        Training goes on with the moving statistics as they are.
    """

    def __init__(self, channels: int) -> None:
        self.gamma = Tensor(np.ones(channels, np.float32), requires_grad=True)
        self.beta = Tensor(np.zeros(channels, np.float32), requires_grad=True)
        ones = np.ones(channels, np.float32)
        self.moving = Statistics(np.zeros(channels, np.float32), ones)
        self.updates = 0
        self.is_frozen = False

    def update(self, s: Statistics) -> None:
        """Take in one batch's statistics, as `RangeTracker` takes in ranges."""
        past = np.float32(min(NORM_MOMENTUM, self.updates / (self.updates + 1)))
        mean, var = (
            past * old + (1 - past) * new
            for old, new in zip(self.moving, s, strict=True)
        )
        self.moving = Statistics(mean, var)
        self.updates += 1

    def absorb(self, weight: Tensor) -> np.ndarray:
        """Move into the weight what would make its steps larger once it is folded.

        Folded weights are k = gamma / sqrt(var + epsilon) times `weight`, and so is
        the gradient of `weight` times theirs: a step moves them k^2 times as far as it
        would if they were trained themselves. Statistics of each batch take that back;
        fixed ones do not. Channels with |k| > 1 get weights |k| times as large and the
        statistics of those, so that k is 1 or -1 and the folded weights are the same.

        Returns
        -------
        float32 (C,), the factors of the weight, 1 where it stays.
        """
        slopes = np.abs(self.gamma.data * self.moving.inverse)
        # What was rounded in an earlier call is not to be done again.
        factors = np.where(slopes > 1 + 1e-5, slopes, 1).astype(np.float32)
        mean, var = self.moving
        eps = np.float32(batch_norm.EPSILON)
        weight.data = weight.data * by_output(factors, weight.data)
        var = np.where(factors > 1, factors**2 * (var + eps) - eps, var)
        self.moving = Statistics(factors * mean, var)
        return factors

    def fold(self, weight: np.ndarray, s: Statistics) -> LinearParams:
        """Weight and bias with the normalization in them.

        Raises
        ------
        RangeError
            If what they are made of is not finite, or huge.
        """
        gamma, beta = self.gamma.data, self.beta.data
        for what, values in (
            ("weight", weight),
            ("gamma", gamma),
            ("beta", beta),
            ("mean", s.mean),
            ("variance", s.var),
        ):
            check_values(what, values)
        if (s.var < 0).any():
            raise RangeError(f"a variance of {s.var.min():.6g} is negative")
        return batch_norm.fold(weight, gamma, beta, s)


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
        weight_shape, bias_shape = self.op.param_shapes(self.attrs, *shapes)
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
        most = np.float32(weight_max(self.attrs.weight_bits) + 0.5)
        pull = _WeightPull(params.weight, w, np.abs(params.weight) <= most * w)
        return self._weighted_on_tape(x, saved, used, sums, pull, learned, scales.y)

    def forward_float(self, *x: Activation, track: bool) -> Activation:
        sums, params = self._normalized(x, track)
        bounds = activation_bounds(self.attrs.activation)
        if sums is None:
            y = self.op.forward_float(self.attrs, params, x[0].tensor.data)
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
        z = self.op.forward_float(self._plain, zeros, x[0].values())
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
        return replace(self.attrs, activation="linear")

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
        needs_gx = x[0].tensor.requires_grad
        weight, norm, tracker = self.weight.data, self.norm, self.weight_range
        op, attrs, plain = self.op, self.attrs, self._plain
        learns = learned is not None and bool(tracker.parameters())

        def vjp(gy: np.ndarray) -> tuple[np.ndarray | None, ...]:
            if sums is None:
                gx, g = op.vjp(attrs, params, saved, gy, needs_gx)
            else:
                gz, ggamma, gbeta = batch_norm.vjp(sums.z, sums.s, saved, gy)
                gx, g = op.vjp(plain, params, _unclamped(saved), gz, needs_gx)
            gweight = g.weight
            thetas: tuple[np.ndarray, ...] = ()
            if pull is not None:
                if learns:
                    thetas = (pull.theta_gradient(tracker, gweight, attrs.weight_bits),)
                gweight = np.where(pull.inside, gweight, 0)
            if sums is not None:
                gweight = gweight * by_output(norm.gamma.data * sums.s.inverse, weight)
                own = gweight, ggamma, gbeta
            elif norm is not None:
                folded = LinearParams(gweight, g.bias)
                own = batch_norm.fold_vjp(weight, norm.gamma.data, norm.moving, folded)
            else:
                own = gweight, g.bias
            return (gx, *own, *thetas, *_theta_gradient(learned, gy))

        own = (self.weight, self.bias)
        if norm is not None:
            own = (self.weight, norm.gamma, norm.beta)
        thetas = tracker.parameters() if learns else []
        thetas += learned.tracker.parameters() if learned else []
        parents = (x[0].tensor, *own, *thetas)
        return Activation(record(saved.y, parents, vjp, self.name), y_qparams)

    def _quantized(self, params: LinearParams, scales: LinearScales) -> LinearInts:
        return linear_ints(
            params, scales, self.attrs.activation, self.numerics, self.attrs.weight_bits
        )

    def _params(self) -> LinearParams:
        """Weight and bias of inference; RangeError if one is not finite, or huge."""
        if self.norm is not None:
            return self.norm.fold(self.weight.data, self.norm.moving)
        params = LinearParams(self.weight.data, self.bias.data)
        check_params(params)
        return params

    def _scales(self, x: QParams | None, params: LinearParams) -> LinearScales:
        bits = self.attrs.weight_bits
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


def make_layer(
    op: Op,
    attrs: Any,
    name: str | None = None,
    constants: Any = None,
    *,
    batch_norm: bool = False,
) -> Layer:
    """A layer of any operator, as model files name them."""
    if op.param_shapes:
        return LinearLayer(op, attrs, name, constants, batch_norm=batch_norm)
    kind = Layer if op.output_qparams else TrackedLayer
    return kind(op, attrs, name, constants)


@contextmanager
def naming(layer: Layer) -> Iterator[None]:
    """Errors of this package that leave this context name the layer."""
    try:
        yield
    except KanjiError as error:
        raise type(error)(f"layer {layer.name!r}: {error}") from error
