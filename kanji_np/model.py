"""Networks: layers wired together, trained as they are deployed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from kanji_np import modelfile
from kanji_np.autograd import Tensor, no_grad
from kanji_np.checks import integer, lower_identifier, number, one_of, shown
from kanji_np.choices import PRECISIONS
from kanji_np.deprecation import former_name
from kanji_np.errors import (
    DataError,
    FileFormatError,
    OptionError,
    ShapeError,
    UnsupportedOp,
)
from kanji_np.graph import Graph, Node, integers_of, noise
from kanji_np.layers import (
    Activation,
    BatchNorm,
    Input,
    Layer,
    LinearLayer,
    Quantization,
    Symbol,
    TrackedLayer,
    drawn,
    naming,
)
from kanji_np.modelfile import Design
from kanji_np.ops.attributes import sample_shape
from kanji_np.quantize import (
    FINEST,
    INPUT_SCALE,
    LARGEST,
    SCHEMES,
    Scheme,
    by_output,
    real_inputs,
    stored,
)
from kanji_np.ranges import RangeTracker, check_ranges
from kanji_np.targets import check_calls, check_scheme, target_spec
from kanji_np.types import QParams, Shape, TargetSpec, TensorSpec
from kanji_np.weights import load_weights, weights_of

if TYPE_CHECKING:
    from kanji_np.data import Dataset

Wires = tuple[int, ...]

CALIBRATION_IMAGES = 64
# Of the largest tensor of a network, in all images of noise it is calibrated with.
CALIBRATION_BYTES = 2**28
EVALUATION_BATCH = 250


class Model:
    """A network with branches, for one input shape and one target.

        x = kj.Input((32, 32, 3))
        ...
        net = kj.Model(x, y)

    Parameters
    ----------
    inputs : Symbol
        What `Input` gave.
    outputs : Symbol
        The last layer's output. The network's layers are those that it depends on, in
        the order of the calls of their arguments.
    target : str or TargetSpec
        "cmsis-nn", the current s8 API, or "cmsis-nn-q7", that of CMSIS 5; or a runtime,
        whose arithmetic the network has, and for which no C is generated: "tflm",
        "litert" or "xnnpack".
    core : str, optional
        The class of cores it runs on, "c", "dsp" (the default) or "mve", or the name
        of one: "cortex-m4".
    rounding : str, optional
        How the library is built: "double" (the default) or "single" for "cmsis-nn",
        "half_up" or "truncate" for "cmsis-nn-q7".
    version : str, optional
        Of the library; by default the newest that is known.
    scheme : str
        Which scales there are: "pow2", "pow2-per-channel", "symmetric" or
        "asymmetric"; see `quantize.SCHEMES`.
    ranges : str
        How ranges are tracked: "minmax", "percentile", "learned" or "fixed"; see
        `ranges`.
    seed : int
        Of the initial weights.
    name : str
        A C identifier in lower case; names the exported files and functions.
    input_scale : float
        Without an image layer in front the input is int8; its scale, a power of two.
    input_qparams : QParams, optional
        In place of `input_scale`: any scale and zero point that the scheme has.
    input_range : (low, high) or "data", optional
        In place of both: the range of the real inputs. "data": calibration finds it.

    Attributes
    ----------
    trained_for : TargetSpec or None
        In whose integers it was trained last; None: in none, or it is not known. It
        stays what it is where `for_target` takes the network elsewhere.

    Raises
    ------
    ShapeError, UnsupportedOp, AccumulatorOverflow, OptionError
        If a layer does not fit its input or the target; the message names it.
    """

    def __init__(
        self,
        inputs: Symbol,
        outputs: Symbol,
        target: str | TargetSpec = "cmsis-nn",
        *,
        core: str | None = None,
        rounding: str | None = None,
        version: str | None = None,
        scheme: str = "pow2",
        ranges: str = "minmax",
        seed: int = 0,
        name: str = "network",
        input_scale: float = INPUT_SCALE,
        input_qparams: QParams | None = None,
        input_range: tuple[float, float] | str | None = None,
    ) -> None:
        spec = target_spec(target, core=core, rounding=rounding, version=version)
        start = drawn(np.random.default_rng(integer("seed", seed, 0)))
        qparams, tracker = _input_quantization(
            SCHEMES[one_of("scheme", scheme, SCHEMES)],
            input_scale, input_qparams, input_range,
        )  # fmt: skip
        self._assemble(
            Design(inputs, outputs, spec, scheme, ranges, start, name, qparams, tracker)
        )

    def _assemble(self, design: Design) -> None:
        """Build every layer."""
        self.trained_for: TargetSpec | None = None
        self.name = lower_identifier("a network's name", design.name)
        self.target = design.target
        scheme = one_of("scheme", design.scheme, SCHEMES)
        check_scheme(self.target, scheme)
        self.quantization = Quantization(SCHEMES[scheme], check_ranges(design.ranges))
        self.layers, self.wiring = _wired(design.inputs, design.outputs)
        _name_layers(self.layers)
        qparams = stored(design.input, self.target.numerics)
        self.input = _input_spec(design.inputs.shape, self.layers[0], qparams)
        is_image = self.input.qparams is None
        self.input_range = None if is_image else design.input_range
        _check_qparams(self.quantization.scheme, self.input.qparams)
        self.shapes: list[Shape] = []
        for i, (layer, wires) in enumerate(zip(self.layers, self.wiring, strict=True)):
            with naming(layer):
                if i and layer.op.reads_image:
                    raise ShapeError("reads uint8 images and must be the first layer")
                if layer is not self.layers[-1]:
                    _check_goes_on(layer, self.target)
                known = [self.input.shape, *self.shapes]
                shape, calls = layer.build(
                    tuple(known[k] for k in wires),
                    self.target,
                    self.quantization,
                    design.start,
                )
                check_calls(self.target, calls)
            self.shapes.append(shape)

    @property
    def output_shape(self) -> Shape:
        """Shape of the output for one input."""
        return self.shapes[-1]

    def parameters(self) -> list[Tensor]:
        """Everything that training changes, in the order of the layers."""
        return [parameter for _, parameter in self.named_parameters()]

    def learned_ranges(self) -> list[Tensor]:
        """The parameters of learned ranges, the theta of each; see `ranges`."""
        named = self.named_parameters()
        return [parameter for name, parameter in named if name.endswith("_theta")]

    thresholds = former_name("thresholds", learned_ranges)

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """("conv1/weight", Tensor) and so on, in the order of the layers.

        These are what gradients train, and no more: neither the moving statistics of
        batch normalization, without which its gamma and beta mean something else, nor
        any range. To copy a network take `weights`, or `state`.
        """
        for layer in self.layers:
            for kind, parameter in layer.named_parameters().items():
                yield f"{layer.name}/{kind}", parameter

    def freeze_batch_norm(self) -> list[tuple[Tensor, np.ndarray]]:
        """Go on training with the moving statistics as they are.

        The weights that are trained are then the folded ones of the device, in the
        forward pass and in the gradient. Where folding makes them larger, so that it
        would make each step larger too, weights and statistics are written otherwise
        (see `BatchNorm.absorb`); what the network computes stays the same.

        Returns
        -------
        The weights that are so written, each with the factors of its output channels,
        float32 (C, 1, ...): for what an optimizer remembers of their gradients.
        """
        changed = []
        for layer in self._linear():
            if layer.norm is not None:
                layer.norm.is_frozen = True
                factors = layer.norm.absorb(layer.weight)
                if (factors != 1).any():
                    scale = by_output(factors, layer.weight.data)
                    changed.append((layer.weight, scale))
        return changed

    def thaw_batch_norm(self) -> None:
        """Take in the statistics of batches again in training."""
        for layer in self._linear():
            if layer.norm is not None:
                layer.norm.is_frozen = False

    @property
    def is_normalized(self) -> bool:
        """Whether some layer takes in the statistics of batches while it is trained."""
        return bool(self._moving_norms())

    def values_normalized(self) -> dict[str, int]:
        """Of each layer that takes in the statistics of batches, by name, how many
        values a channel they have from a sample."""
        return {
            layer.name: math.prod(shape[:-1])
            for layer, shape in zip(self.layers, self.shapes, strict=True)
            if isinstance(layer, LinearLayer)
            and layer.norm is not None
            and not layer.norm.is_frozen
        }

    def renew_batch_norm(self, x: np.ndarray) -> None:
        """Take the moving statistics from these inputs alone; frozen ones stay.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)
        """
        norms = self._moving_norms()
        if not norms:
            return
        for norm in norms:
            norm.updates = 0
        with no_grad():
            self.logits(x, precision="fp32", track=True)

    def _moving_norms(self) -> list[BatchNorm]:
        """Batch normalization that is not frozen."""
        norms = (layer.norm for layer in self._linear())
        return [norm for norm in norms if norm is not None and not norm.is_frozen]

    def quantize_inputs(self, x: np.ndarray) -> np.ndarray:
        """Inputs as the device is given them: real values become int8.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)
            Real values, channels last, for a network without an image layer. They are
            rounded to multiples of the input's scale, halves away from zero, and
            clamped.

        Returns
        -------
        uint8 or int8 (N, *input_shape)
            Images, and inputs that are int8 already, stay as they are.

        Raises
        ------
        ShapeError
            Shape or dtype is not the input's.
        DataError
            A real value is not finite.
        OptionError
            The range of the inputs is yet to be found: `calibrate` the network.
        """
        self.input.check_inputs(x, self.name)
        if x.dtype.kind == "f" and not self._knows_input:
            raise OptionError(
                f"{self.name}: the range of its inputs is not known yet: calibrate it "
                "with real inputs first"
            )
        return integers_of(self.input, x, self.name)

    def logits(
        self,
        x: np.ndarray,
        *,
        precision: str = "int8",
        track: bool = False,
    ) -> Tensor:
        """Real outputs (N, ...) before a final softmax, on the tape.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)
        precision : "int8" or "fp32"
            int8 runs the device's integers and dequantizes the result.
        track : bool
            Whether tracked ranges take in this batch (int8 training).
        """
        count = self._n_trained()
        return self._forward(x, precision, count, track).real()

    def predict(self, x: np.ndarray, *, precision: str = "int8") -> np.ndarray:
        """Outputs of a batch.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)
        precision : "int8" or "fp32"

        Returns
        -------
        ndarray (N, ...)
            int8 as on the device, or float32; a final softmax is computed in both.
        """
        if precision == "int8":
            return self.freeze().run(self.quantize_inputs(x))
        with no_grad():
            return self._forward(x, precision, len(self.layers)).tensor.data

    def evaluate(self, dataset: Dataset, *, precision: str = "int8") -> float:
        """Accuracy on a dataset, by the first largest output of each image.

        Parameters
        ----------
        dataset : Dataset
        precision : "int8" or "fp32"
            "int8" scores the bytes that the device computes.

        Returns
        -------
        float
            0..1.

        Raises
        ------
        ShapeError, DataError
            The dataset does not fit, or holds no images.
        """
        self.check_labels(dataset)
        graph = self.freeze() if precision == "int8" else None
        correct = 0
        for start in range(0, len(dataset), EVALUATION_BATCH):
            images = dataset.images[start : start + EVALUATION_BATCH]
            if graph is None:
                with no_grad():
                    scores = self.logits(images, precision=precision).data
            else:
                scores = graph.run(self.quantize_inputs(images))
            labels = dataset.labels[start : start + EVALUATION_BATCH]
            correct += int((scores.argmax(axis=1) == labels).sum())
        return correct / len(dataset)

    def check_labels(self, dataset: Dataset) -> None:
        """Raise if a dataset does not fit the network.

        Parameters
        ----------
        dataset : Dataset

        Raises
        ------
        ShapeError
            Its images have another shape, or it has more classes than the network.
        DataError
            It is no Dataset, holds no images, or has real values where the network
            reads images, or images where it reads none.
        """
        if not isinstance(getattr(dataset, "images", None), np.ndarray):
            raise DataError(
                f"{self.name} takes a Dataset(images, labels, classes, name), got a "
                f"{type(dataset).__name__}"
            )
        is_image, dtype = self.input.dtype == "uint8", dataset.images.dtype
        if is_image != (dtype == np.uint8):
            takes = (
                "uint8 images, which its first layer reads"
                if is_image
                else "float32 or int8 values, as its first layer reads no images"
            )
            raise DataError(f"{self.name} takes {takes}; {dataset.name} has {dtype}")
        if dataset.images.shape[1:] != self.input.shape:
            raise ShapeError(
                f"{self.name} takes images {self.input.shape}, "
                f"{dataset.name} has {dataset.images.shape[1:]}"
            )
        if len(dataset) == 0:
            raise DataError(f"{dataset.name} holds no images")
        if len(self.output_shape) != 1:
            raise ShapeError(
                f"{self.name} has outputs {self.output_shape}; a dataset has one label "
                "for each sample, which takes outputs (K,)"
            )
        if len(dataset.classes) > self.output_shape[0]:
            raise ShapeError(
                f"{self.name} has outputs {self.output_shape}, "
                f"{dataset.name} has {len(dataset.classes)} classes"
            )

    @property
    def is_calibrated(self) -> bool:
        """Whether the input and every layer have the ranges they are frozen with."""
        return self._knows_input and all(layer.is_calibrated for layer in self.layers)

    @property
    def _knows_input(self) -> bool:
        """Whether it is known what the integers of the input stand for."""
        return self.input_range is None or self.input_range.updates > 0

    def calibrate(self, x: np.ndarray) -> None:
        """Give ranges to inputs and layers that have none yet, from a batch of inputs.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)
            Real values if the range of the inputs is to be found.

        Raises
        ------
        ShapeError, DataError
            The inputs do not fit the network, or are not finite.
        OptionError
            They are int8, and the range of the inputs is not known.
        """
        self.calibrate_inputs(x)
        self._calibrate_layers(x)

    def calibrate_inputs(self, x: np.ndarray) -> None:
        """Take the range of the inputs from real values, if it is yet to be found.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)

        Raises
        ------
        ShapeError, DataError
            The inputs do not fit the network, or are not finite.
        OptionError
            They are int8, and the range is not known.
        """
        self.input.check_inputs(x, self.name)
        if self._knows_input:
            return
        assert self.input_range is not None
        if x.dtype.kind != "f":
            raise OptionError(
                f"{self.name}: the range of its inputs is not known yet, and {x.dtype} "
                "values do not tell it: calibrate it with real inputs"
            )
        tracker = self.input_range
        tracker.observe(real_inputs(x, self.name))
        scheme = self.quantization.scheme
        found = scheme.activation_qparams(float(tracker.low), float(tracker.high))
        qparams = stored(found, self.target.numerics)
        self.input = replace(self.input, qparams=qparams)

    def _calibrate_layers(self, x: np.ndarray) -> None:
        with no_grad():
            self._forward(x, "int8", len(self.layers))

    def renew_weight_ranges(self) -> None:
        """Take the range of every weight from the weight as it is."""
        for layer in self._linear():
            layer.renew_weight_range()

    def freeze(self) -> Graph:
        """The integer program as it stands.

        A network that has seen no data has no ranges yet; the program then takes them
        from uniform noise, the same on every call. The network itself stays as it is.
        """
        if self.is_calibrated:
            return self._frozen()
        kept = [(layer, layer.trackers()) for layer in self._tracked()]
        try:
            for layer, trackers in kept:
                for name, tracker in trackers.items():
                    setattr(layer, name, copy(tracker))
            largest = max(self.input.size, *map(math.prod, self.shapes))
            count = min(CALIBRATION_IMAGES, max(CALIBRATION_BYTES // largest, 1))
            self._calibrate_layers(noise(self.input, count))
            return self._frozen()
        finally:
            for layer, trackers in kept:
                for name, tracker in trackers.items():
                    setattr(layer, name, tracker)

    def _tracked(self) -> list[TrackedLayer]:
        """The layers whose output has a scale of its own."""
        return [layer for layer in self.layers if isinstance(layer, TrackedLayer)]

    def _linear(self) -> list[LinearLayer]:
        """The layers with parameters."""
        return [layer for layer in self.layers if isinstance(layer, LinearLayer)]

    def _frozen(self) -> Graph:
        nodes = []
        qparams = [self.input.qparams]
        for layer, wires, shape in zip(
            self.layers, self.wiring, self.shapes, strict=True
        ):
            with naming(layer):
                ints, y = layer.frozen(*(qparams[k] for k in wires))
            qparams.append(y)
            output = TensorSpec(shape, "int8", y)
            nodes.append(
                Node(layer.name, layer.op.name, layer.attrs, ints, wires, output)
            )
        return Graph(self.name, self.target, self.input, tuple(nodes))

    def for_target(
        self,
        target: str | TargetSpec | None = None,
        *,
        core: str | None = None,
        rounding: str | None = None,
        version: str | None = None,
    ) -> Model:
        """The same weights and ranges for another target, of which a part may be named.

        Without `core` the core class stays; another library has its own defaults for
        the rest. Its bytes, and so its accuracy, are the other target's: what was
        trained for one need not be as good on another.

        Parameters
        ----------
        target, core, rounding, version : optional
            As `Model` has them.

        Returns
        -------
        Model
            A new one; this stays as it is.

        Raises
        ------
        OptionError
            The target is not known.
        UnsupportedOp
            It does not have a layer.
        """
        other = target_spec(
            target or self.target,
            core=core or self.target.core,
            rounding=rounding,
            version=version,
        )
        return from_snapshot(*self.snapshot(), other)

    def with_quantization(
        self,
        *,
        scheme: str | None = None,
        ranges: str | None = None,
        weight_bits: int | None = None,
    ) -> Model:
        """The same weights with other scales; what is not named stays as it is.

        Every range is yet to be seen: train on, or `calibrate` with images.

        Parameters
        ----------
        scheme, ranges : str, optional
            As `Model` has them.
        weight_bits : 8 or 4, optional
            Of all convolutions and dense layers, depthwise ones left as they are.

        Returns
        -------
        Model
            A new one; this stays as it is.

        Raises
        ------
        OptionError
            One is not known.
        UnsupportedOp
            The target does not compute so.
        """
        header, arrays = self.snapshot()
        header = modelfile.with_quantization(header, scheme, ranges, weight_bits)
        network = assembled(modelfile.design(header, arrays))
        network.take_weights(self)
        return network

    requantized = former_name("requantized", with_quantization)

    def take_weights(self, other: Model) -> None:
        """Take over weights and the statistics of batch normalization, and no ranges.

        Parameters
        ----------
        other : Model
            With layers of the same names, operators and shapes; how it is quantized
            does not matter.

        Raises
        ------
        OptionError
            It has others.
        """
        header, arrays = other.snapshot()
        mine = [(layer.name, layer.op.name) for layer in self.layers]
        if mine != [(layer.name, layer.op.name) for layer in other.layers]:
            raise OptionError(f"{other.name} has other layers than {self.name}")
        try:
            modelfile.restore_weights(self, header, arrays)
        except (FileFormatError, KeyError) as error:
            raise OptionError(
                f"the weights of {other.name} do not fit {self.name}: {error}"
            ) from None

    def save(self, path: str | Path) -> None:
        """Write the network (weights, ranges, target) to a `.npz` file, atomically.

        Parameters
        ----------
        path : path

        Raises
        ------
        OptionError
            Something else than a model is there.
        """
        modelfile.write(self, path)

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that training changes, as arrays by name.

        With `load_state`, an equal network computes the same bytes, and trains on
        to the same bytes: keep the state of the best epoch, or write it to a file of
        your own.

        Returns
        -------
        dict of ndarray
            "conv1/weight", "conv1/bias" and so on, as `named_parameters`, float32.
            Of batch normalization "conv1/gamma", "conv1/beta", "conv1/moving_mean" and
            "conv1/moving_var", float32 (C,), and "conv1/moving_updates", int64 ();
            "conv1/epsilon", float64 (), where it is not 1e-3.
            Of each range "conv1/output_range" (and "weight_range"), low and high,
            float64 (2,) or (2, C), and "conv1/output_range_updates", int64 (), how
            often it was updated: 0 is a range yet to be seen.

        Notes
        -----
        What a layer is made with (the mean of `Normalize`, attributes, the scheme) is
        not part of it, nor whether batch normalization is frozen.
        """
        return {
            f"{layer.name}/{kind}": np.array(array)
            for layer in self.layers
            for kind, array in layer.state().items()
        }

    def load_state(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over the arrays that `state` gave of an equal network, or none.

        Parameters
        ----------
        state : mapping of array_like
            All names that this network's `state` has, and no other; the same shapes.

        Raises
        ------
        OptionError
            A name is missing, or is not known.
        ShapeError
            An array has another shape.
        DataError
            One is not made of finite numbers, or a range or variance is none.
        """
        if not isinstance(state, Mapping):
            raise OptionError(f"a state has arrays by name, got {shown(state)}")
        own = self.state()
        for what, names in (
            ("lacks", [name for name in own if name not in state]),
            ("has the unknown", [name for name in state if name not in own]),
        ):
            if names:
                raise OptionError(f"the state {what} {_listed(names)}")
        new = {name: _fitting(name, state[name], like) for name, like in own.items()}
        for layer in self.layers:
            layer.load_state({k: new[f"{layer.name}/{k}"] for k in layer.state()})

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of all that the network's real values are computed from, by name.

        `load_weights` takes them. Unlike `state` they hold no ranges, and fit networks
        of another scheme or target.

        Returns
        -------
        dict of ndarray
            "conv1/weight" (Cout, ...) and "conv1/bias" (Cout,), float32. Of a
            normalized layer "conv1/weight", "conv1/gamma", "conv1/beta",
            "conv1/moving_mean" and "conv1/moving_var", float32; and "conv1/epsilon",
            float64 (), where it is not 1e-3.
        """
        return weights_of(self)

    def load_weights(
        self,
        weights: Mapping[str, ArrayLike],
        *,
        layout: str = "kanji",
        names: Mapping[str, str | Sequence[str]] | None = None,
        epsilon: float | None = None,
    ) -> dict[str, str]:
        """Take over arrays of this layout, of PyTorch or of Keras, or none.

        Afterwards the network computes in fp32 what the one they come from does. No
        range holds any more, nor a scale that a file of integers gave: `calibrate` the
        network, or train it. The range of the input stays.

        Parameters
        ----------
        weights : mapping of array_like
            What `weights` gave; a `state_dict` of PyTorch; or of a Keras model
            ``{v.path: v.numpy() for v in model.weights}``. Tensors of PyTorch are read
            as they are. All arrays must find their place.
        layout : "kanji", "torch" or "keras"
            "torch": convolutions (Cout, Cin, KH, KW), dense layers (Cout, Cin) that
            read images flattened channel by channel. "keras": convolutions
            (KH, KW, Cin, Cout), dense layers (Cin, Cout).
        names : mapping of str, optional
            What each layer is called in `weights`: ``{"conv1": "features.0"}``, or
            ``{"conv1": ("features.0", "features.1")}`` with the batch normalization
            that follows. By default modules of PyTorch and Keras are taken in their
            order, as the layers in theirs, and batch normalizations likewise.
        epsilon : float, optional
            What their batch normalization adds to variances. Default: "conv1/epsilon",
            or 1e-3; of PyTorch 1e-5; of Keras 1e-3.

        Returns
        -------
        dict of str
            Where each array came from: ``{"conv1/weight": "features.0.weight"}``.

        Raises
        ------
        OptionError
            A name is missing, is not known, or cannot be told from others.
        ShapeError
            Arrays have other shapes.
        DataError
            One is not made of finite numbers, or a variance is negative.
        UnsupportedOp
            How the framework keeps the weights of a layer is not known here.

        Notes
        -----
        Batch normalization of a layer that has none here is folded into weight and
        bias. Moving statistics count as those of many batches.
        """
        return load_weights(self, weights, layout, names, epsilon)

    def snapshot(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Header and arrays that `load` makes the network from."""
        return modelfile.snapshot(self)

    def restore(self, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take over weights and ranges that `snapshot` gave of an equal network.

        Parameters
        ----------
        header : dict
        arrays : dict of ndarray
            As `snapshot` gives them.
        """
        modelfile.restore(self, header, arrays)

    def _forward(
        self,
        x: np.ndarray,
        precision: str,
        count: int,
        track: bool = False,
    ) -> Activation:
        """The output of the first `count` layers."""
        if precision not in PRECISIONS:
            raise OptionError(
                f"precision must be one of {PRECISIONS}, got {precision!r}"
            )
        value = self._given(x, precision)
        last_read = {k: i for i, wires in enumerate(self.wiring) for k in wires}
        values = {0: value}
        for i, layer in enumerate(self.layers[:count]):
            arguments = [values[k] for k in self.wiring[i]]
            with naming(layer):
                if precision == "int8":
                    value = layer.forward_int(*arguments, track=track)
                else:
                    value = layer.forward_float(*arguments, track=track)
            values[i + 1] = value
            for k in self.wiring[i]:
                if last_read[k] == i:
                    values.pop(k, None)  # its memory may be used again
        return value

    def _given(self, x: np.ndarray, precision: str) -> Activation:
        """Inputs as the first layer takes them."""
        self.input.check_inputs(x, self.name)
        if x.dtype.kind == "f" and precision == "fp32":
            return Activation(Tensor(real_inputs(x, self.name)), None)
        value = Activation(Tensor(self.quantize_inputs(x)), self.input.qparams)
        return (
            Activation(Tensor(value.values()), None) if precision == "fp32" else value
        )

    def _n_trained(self) -> int:
        """How many layers come before what the loss computes."""
        return len(self.layers) - self.layers[-1].op.is_in_loss


class Sequential(Model):
    """Layers in a row.

    Parameters
    ----------
    layers : sequence of Layer
        The first is `Normalize` or `Standardize` where the input is images.
    input_shape : (H, W, C) or (K,)
    target, core, rounding, version, scheme, ranges, seed, name
    input_scale, input_qparams, input_range
        As `Model` has them.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: Shape,
        target: str | TargetSpec = "cmsis-nn",
        *,
        core: str | None = None,
        rounding: str | None = None,
        version: str | None = None,
        scheme: str = "pow2",
        ranges: str = "minmax",
        seed: int = 0,
        name: str = "network",
        input_scale: float = INPUT_SCALE,
        input_qparams: QParams | None = None,
        input_range: tuple[float, float] | str | None = None,
    ) -> None:
        if not layers:
            raise OptionError("a network needs at least one layer")
        first = value = Input(input_shape)
        for layer in layers:
            value = layer(value)
        super().__init__(
            first, value, target, core=core, rounding=rounding, version=version,
            scheme=scheme, ranges=ranges, seed=seed, name=name,
            input_scale=input_scale, input_qparams=input_qparams,
            input_range=input_range,
        )  # fmt: skip


def _wired(inputs: Symbol, outputs: Symbol) -> tuple[list[Layer], list[Wires]]:
    """The layers that `outputs` depends on, each after those it reads, and the tensors
    each reads, numbered as in `Node.inputs`."""
    for symbol, what in ((inputs, "inputs"), (outputs, "outputs")):
        if not isinstance(symbol, Symbol):
            raise OptionError(
                f"{what} must be what Input or a layer gave, not {symbol!r}"
            )
    if inputs.layer is not None or outputs.layer is None:
        raise OptionError("a network goes from an Input to the output of a layer")
    number: dict[Symbol, int] = {inputs: 0}
    layers: list[Layer] = []
    wiring: list[Wires] = []
    pending = [outputs]
    while pending:
        symbol = pending[-1]
        if symbol.layer is None and symbol is not inputs:
            raise OptionError(
                "the outputs depend on an Input that is not the network's"
            )
        missing = [x for x in symbol.inputs if x not in number]
        if missing:
            pending.append(missing[0])
            continue
        pending.pop()
        if symbol.layer is not None and symbol not in number:
            wiring.append(tuple(number[x] for x in symbol.inputs))
            layers.append(symbol.layer)
            number[symbol] = len(layers)
    return layers, wiring


def _input_quantization(
    scheme: Scheme,
    scale: float,
    qparams: QParams | None,
    given: tuple[float, float] | str | None,
) -> tuple[QParams, RangeTracker | None]:
    """What the integers of the input mean, and the tracker that is to find it."""
    scale = number("input_scale", scale, FINEST, LARGEST)
    if math.frexp(scale)[0] != 0.5:
        raise OptionError(
            f"input_scale must be a power of two, got {scale}; input_qparams takes any"
        )
    if qparams is not None and given is not None:
        raise OptionError("input_qparams and input_range exclude each other")
    if qparams is not None:
        if not isinstance(qparams, QParams):
            raise OptionError(f"input_qparams must be QParams, got {shown(qparams)}")
        return qparams, None
    if given is None:
        return QParams(scale), None
    if isinstance(given, str) and given == "data":
        return QParams(scale), RangeTracker()
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise OptionError(
            f'input_range must be (low, high) or "data", got {shown(given)}'
        )
    low, high = (number("input_range", end, -LARGEST, LARGEST) for end in given)
    if low >= high:
        raise OptionError(f"input_range must rise, got {shown(given)}")
    return scheme.activation_qparams(low, high), None


def _check_qparams(scheme: Scheme, qparams: QParams | None) -> None:
    """OptionError if a scheme has no such scale or zero point."""
    if qparams is None:
        return
    if scheme.pow2 and math.frexp(qparams.scale)[0] != 0.5:
        raise OptionError(
            f"scheme {scheme.name} has scales that are powers of two; the input's is "
            f"{qparams.scale}"
        )
    if qparams.zero_point and not scheme.asymmetric:
        raise OptionError(
            f"scheme {scheme.name} has zero points of 0; the input's is "
            f"{qparams.zero_point}"
        )


def _input_spec(given: Any, first: Layer, qparams: QParams) -> TensorSpec:
    image = first.op.reads_image
    try:
        shape = sample_shape("input_shape", given)
    except OptionError:
        raise ShapeError(
            f"input_shape must be (H, W, C) or (K,), all positive, got {shown(given)}"
        ) from None
    return TensorSpec(shape, "uint8" if image else "int8", None if image else qparams)


def _listed(names: Sequence[Any], most: int = 8) -> str:
    """Names in a row, cut where there are many."""
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join([*map(str, names[:most]), *more])


def _fitting(name: str, value: ArrayLike, like: np.ndarray) -> np.ndarray:
    """A copy of an array of a state in the dtype of the one whose place it takes."""
    array = np.asarray(value)
    if array.shape != like.shape:
        raise ShapeError(f"{name} must have shape {like.shape}, got {array.shape}")
    if array.dtype.kind not in "iuf":
        raise DataError(f"{name} must be of numbers, got {array.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        array = array.astype(like.dtype)
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds values that are not finite in {like.dtype}")
    if name.endswith(("/moving_var", "_updates")) and (array < 0).any():
        raise DataError(f"{name} must not be negative")
    if name.endswith("_range") and (array[0] > array[1]).any():
        raise DataError(f"{name} must be low and high, got {shown(array)}")
    return array


def load(path: str | Path) -> Model:
    """A network from the file `Model.save` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    Model

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, altered, or not a model.
    """
    return modelfile.read(path, from_snapshot)


def from_snapshot(
    header: dict[str, Any],
    arrays: dict[str, np.ndarray],
    target: TargetSpec | None = None,
) -> Model:
    """A network from what `Model.snapshot` gave, by default for its own target."""
    network = assembled(modelfile.design(header, arrays, target))
    network.restore(header, arrays)
    return network


def assembled(design: Design) -> Model:
    """A network with a design's weights, and ranges that have seen nothing."""
    network = Model.__new__(Model)
    network._assemble(design)
    return network


def _check_goes_on(layer: Layer, target: TargetSpec) -> None:
    """UnsupportedOp if other layers must not read a layer."""
    op = layer.op
    why = op.only_last(op.numerics(layer.attrs, target.numerics_of(op.name)))
    if why is not None:
        raise UnsupportedOp(
            f"{target.library}'s {op.name} must be the last layer: {why}"
        )


def _name_layers(layers: list[Layer]) -> None:
    """Name the unnamed: conv1, pool1, conv2 ...; OptionError on a name used twice."""
    seen: Counter[str] = Counter()
    for layer in layers:
        short = layer.op.short_name or layer.op.name
        seen[short] += 1
        if not layer.name:
            layer.name = f"{short}{seen[short]}"
    twice = [
        n for n, count in Counter(layer.name for layer in layers).items() if count > 1
    ]
    if twice:
        raise OptionError(f"layer names must be unique; used twice: {', '.join(twice)}")
