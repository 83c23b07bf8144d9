"""A network as it stands: its layers, its parameters, and how it runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kanji_np.autograd import Tensor, no_grad
from kanji_np.checks import listed, lower_identifier, one_of
from kanji_np.choices import PRECISIONS
from kanji_np.deprecation import former_name
from kanji_np.design import (
    Design,
    check_goes_on,
    check_qparams,
    class_names,
    input_spec,
    name_layers,
    wired,
)
from kanji_np.errors import DataError, OptionError, ShapeError
from kanji_np.graph import Graph, Node, integers_of, noise
from kanji_np.layers import (
    Activation,
    BatchNorm,
    LinearLayer,
    Quantization,
    TrackedLayer,
    naming,
)
from kanji_np.quantize import SCHEMES, by_output, real_inputs, stored
from kanji_np.ranges import check_ranges
from kanji_np.targets import check_calls, check_scheme
from kanji_np.types import Shape, TargetSpec, TensorSpec, shape_advice

if TYPE_CHECKING:
    from kanji_np.data import Dataset

CALIBRATION_IMAGES = 64
# Of the largest tensor of a network, in all images of noise it is calibrated with.
CALIBRATION_BYTES = 2**28
EVALUATION_BATCH = 250


class Network:
    """Layers that are wired, for one input shape and one target.

    It runs in integers and in real values, finds its ranges, and freezes to a `Graph`.
    `Model` is a network for users, who make it of layers, copy it and keep it.
    """

    def __init__(self, design: Design) -> None:
        self.trained_for: TargetSpec | None = None
        self.name = lower_identifier("a network's name", design.name)
        self.target = design.target
        scheme = one_of("scheme", design.scheme, SCHEMES)
        check_scheme(self.target, scheme)
        self.quantization = Quantization(SCHEMES[scheme], check_ranges(design.ranges))
        found = wired(design.inputs, design.outputs)
        self.layers, self.wiring = found.layers, found.wires
        self.dropouts, self.drops = tuple(found.dropouts), found.drops
        name_layers([*self.layers, *self.dropouts])
        for dropout in self.dropouts:
            with naming(dropout):
                dropout.check_target(self.target)
        qparams = stored(design.input, self.target.numerics)
        self.input = input_spec(design.inputs.shape, self.layers[0], qparams)
        is_image = self.input.qparams is None
        self.input_range = None if is_image else design.input_range
        check_qparams(self.quantization.scheme, self.input.qparams)
        self.shapes: list[Shape] = []
        for i, (layer, wires) in enumerate(zip(self.layers, self.wiring, strict=True)):
            with naming(layer):
                if i and layer.op.reads_image:
                    raise ShapeError("reads uint8 images and must be the first layer")
                if layer.op.reads_image and any(d is not None for d in self.drops[i]):
                    raise OptionError("reads pixels, which Dropout does not drop")
                if layer is not self.layers[-1]:
                    check_goes_on(layer, self.target)
                known = [self.input.shape, *self.shapes]
                shape, calls = layer.build(
                    tuple(known[k] for k in wires),
                    self.target,
                    self.quantization,
                    design.start,
                )
                check_calls(self.target, calls)
            self.shapes.append(shape)
        self.classes = design.classes

    @property
    def classes(self) -> tuple[str, ...]:
        """What the outputs are called, one name each; empty if it is not known.

        `fit` takes the names from its data where the network has none. They may be set.
        """
        return self._classes

    @classes.setter
    def classes(self, names: Iterable[str]) -> None:
        self._classes = class_names(names, self.output_shape)

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

    thresholds = former_name("thresholds", learned_ranges, owner="Model")

    @property
    def n_parameters(self) -> int:
        """Weights and biases on the device; batch normalization is folded into them."""
        return sum(layer.n_parameters for layer in self.layers)

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
        return self._integers(x)

    def _integers(self, x: np.ndarray) -> np.ndarray:
        """The same of inputs that are checked."""
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
        dropout: np.random.Generator | None = None,
    ) -> Tensor:
        """Real outputs (N, ...) before a final softmax, on the tape.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)
        precision : "int8" or "fp32"
            int8 runs the device's integers and dequantizes the result.
        track : bool
            Whether tracked ranges take in this batch (int8 training).
        dropout : Generator or None
            What `Dropout` layers draw from in training. None: they drop nothing.
        """
        count = self._n_trained()
        return self._forward(x, precision, count, track, dropout).real()

    def predict(self, x: np.ndarray, *, precision: str = "int8") -> np.ndarray:
        """Outputs of a batch.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)
            Or one sample, without N, which has one output.
        precision : "int8" or "fp32"

        Returns
        -------
        ndarray (N, ...)
            int8 as on the device, or float32; a final softmax is computed in both.
        """
        if self._is_one(x):
            return self.predict(x[None], precision=precision)[0]
        if precision == "int8":
            return self.freeze().run(self.quantize_inputs(x))
        with no_grad():
            return self._forward(x, precision, len(self.layers)).tensor.data

    def layer_outputs(
        self, x: np.ndarray, *, real: bool = False
    ) -> dict[str, np.ndarray]:
        """The output of every layer, byte for byte what the device computes.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)
            Or one sample, without N, which has one output of each layer.
        real : bool
            Give the real values that the integers stand for.

        Returns
        -------
        dict of ndarray
            "conv1": int8, or float32, (N, ...), and so on, in the order of the layers.
        """
        if self._is_one(x):
            outputs = self.layer_outputs(x[None], real=real)
            return {name: y[0] for name, y in outputs.items()}
        graph = self.freeze()
        each = zip(graph.nodes, graph.layers(self.quantize_inputs(x)), strict=True)
        return {
            node.name: Activation(Tensor(y), node.output.qparams).values()
            if real
            else y
            for node, y in each
        }

    def _is_one(self, x: np.ndarray) -> bool:
        """Whether an array is one sample, without an axis for the batch."""
        return isinstance(x, np.ndarray) and x.shape == self.input.shape

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
        said = self.classify(dataset.images, precision=precision)
        return int((said == dataset.labels).sum()) / len(dataset)

    def classify(self, x: np.ndarray, *, precision: str = "int8") -> np.ndarray:
        """The class of each input: the number of its first largest output.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)
        precision : "int8" or "fp32"

        Returns
        -------
        int64 (N,)
            Places in `classes`.

        Raises
        ------
        ShapeError
            The inputs do not fit, or the network's outputs are not (K,).
        """
        self.input.check_inputs(x, self.name)
        self._check_row()
        graph = self.freeze() if precision == "int8" else None
        said = np.empty(len(x), np.int64)
        for start in range(0, len(x), EVALUATION_BATCH):
            part = x[start : start + EVALUATION_BATCH]
            if graph is None:
                with no_grad():
                    outputs = self.logits(part, precision=precision).data
            else:
                outputs = graph.run(self._integers(part))
            said[start : start + len(part)] = outputs.argmax(axis=1)
        return said

    def probabilities(self, x: np.ndarray, *, precision: str = "int8") -> np.ndarray:
        """How sure the network is of each class: the softmax of its real outputs.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input_shape)
            Or one sample, without N.
        precision : "int8" or "fp32"
            Of int8 outputs what they stand for; a final softmax is computed as on the
            device.

        Returns
        -------
        float32 (N, K)
            Rows of numbers from 0 to 1 whose sum is 1, but for what the int8 values of
            a final softmax round.

        Raises
        ------
        ShapeError
            The inputs do not fit, or the network's outputs are not (K,).
        """
        self._check_row()
        y = self.predict(x, precision=precision)
        if precision == "int8":
            qparams = self.freeze().output.qparams
            assert qparams is not None  # only images have none
            y = Activation(Tensor(y), qparams).values()
        if self.layers[-1].op.is_in_loss:
            return y
        powers = np.exp(y - y.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    def _check_row(self) -> None:
        """ShapeError unless the network gives a number for each class."""
        if len(self.output_shape) != 1:
            raise ShapeError(
                f"{self.name} has outputs {self.output_shape}; classes take outputs "
                "(K,)"
            )

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
            It is no Dataset, holds no images, has real values where the network reads
            images, or images where it reads none, or has the network's classes in
            another order.
        """
        if not isinstance(getattr(dataset, "images", None), np.ndarray):
            raise DataError(
                f"{self.name} takes a Dataset(images, labels, classes, name), got a "
                f"{type(dataset).__name__}"
            )
        dataset.check_task(self.name, "classification")
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
                f"{shape_advice(dataset.images.shape, self.input.shape)}"
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
        place = {name: i for i, name in enumerate(self.classes)}
        for i, name in enumerate(dataset.classes):
            if place.get(name, i) != i and self.classes[i] != name:
                raise DataError(
                    f"{dataset.name} has its classes in another order than "
                    f"{self.name}: {i} is {name!r} there, and {self.classes[i]!r} "
                    f"here; the order here is {listed(self.classes)}"
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
        with self._own_ranges_kept():
            largest = max(self.input.size, *map(math.prod, self.shapes))
            count = min(CALIBRATION_IMAGES, max(CALIBRATION_BYTES // largest, 1))
            self._calibrate_layers(noise(self.input, count))
            return self._frozen()

    def outline(self) -> Graph:
        """The integer program for those who ask what it costs, not what it computes.

        Where a range is not known yet one is assumed, so nothing is run and it takes
        milliseconds. Shapes, calls and the sizes of tables are those of `freeze`;
        scales, and with them the bytes computed, are not. The network itself stays as
        it is.
        """
        if self.is_calibrated:
            return self._frozen()
        with self._own_ranges_kept():
            for layer in self._tracked():
                layer.assume_ranges()
            return self._frozen()

    @contextmanager
    def _own_ranges_kept(self) -> Iterator[None]:
        """Layers have copies of their trackers meanwhile."""
        kept = [(layer, layer.trackers()) for layer in self._tracked()]
        try:
            for layer, trackers in kept:
                for name, tracker in trackers.items():
                    setattr(layer, name, copy(tracker))
            yield
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
        return Graph(self.name, self.target, self.input, tuple(nodes), self.classes)

    def _forward(
        self,
        x: np.ndarray,
        precision: str,
        count: int,
        track: bool = False,
        dropout: np.random.Generator | None = None,
    ) -> Activation:
        """The output of the first `count` layers."""
        if precision not in PRECISIONS:
            raise OptionError(
                f"precision must be one of {PRECISIONS}, got {precision!r}"
            )
        value = self._given(x, precision)
        last_read = {k: i for i, wires in enumerate(self.wiring) for k in wires}
        values = {0: value}
        dropped: dict[int, Activation] = {}
        for i, layer in enumerate(self.layers[:count]):
            arguments = [values[k] for k in self.wiring[i]]
            if dropout is not None:
                arguments = self._dropped(i, arguments, dropout, dropped)
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

    def _dropped(
        self,
        i: int,
        arguments: list[Activation],
        rng: np.random.Generator,
        dropped: dict[int, Activation],
    ) -> list[Activation]:
        """What layer i reads, with values dropped on the way.

        `dropped` has what was drawn in this pass: all who read a Dropout read the same.
        """
        found = []
        for argument, d in zip(arguments, self.drops[i], strict=True):
            if d is not None:
                if d not in dropped:
                    dropped[d] = self.dropouts[d].dropped(argument, rng)
                argument = dropped[d]
            found.append(argument)
        return found

    def _given(self, x: np.ndarray, precision: str) -> Activation:
        """Inputs as the first layer takes them."""
        self.input.check_inputs(x, self.name)
        if x.dtype.kind == "f" and precision == "fp32":
            return Activation(Tensor(real_inputs(x, self.name)), None)
        value = Activation(Tensor(self._integers(x)), self.input.qparams)
        return (
            Activation(Tensor(value.values()), None) if precision == "fp32" else value
        )

    def _n_trained(self) -> int:
        """How many layers come before what the loss computes."""
        return len(self.layers) - self.layers[-1].op.is_in_loss
