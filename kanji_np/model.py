"""Networks: layers in a row, trained as they are deployed."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kanji_np import archive
from kanji_np.autograd import Tensor, no_grad
from kanji_np.errors import (
    DataError,
    FileFormatError,
    KanjiError,
    OptionError,
    ShapeError,
)
from kanji_np.graph import Graph, Node, noise
from kanji_np.layers import Activation, Layer, LinearLayer, make_layer, naming
from kanji_np.ops import OPS
from kanji_np.ops.normalize import NormalizeInts
from kanji_np.ops.op import attrs_from_json, attrs_to_json
from kanji_np.ops.products import check_gradient_kind
from kanji_np.quantize import RangeTracker
from kanji_np.targets import check_calls, target_spec
from kanji_np.types import QParams, Shape, TargetSpec, TensorSpec

if TYPE_CHECKING:
    from kanji_np.data import Dataset

PRECISIONS = ("int8", "fp32")
FORMAT = 1
CALIBRATION_IMAGES = 64
EVALUATION_BATCH = 250


class Sequential:
    """Layers in a row, for one input shape and one target.

    Parameters
    ----------
    layers : sequence of Layer
        The first is `Normalize` or `Standardize` where the input is images.
    input_shape : (H, W, C) or (K,)
    target : str or TargetSpec
        "cmsis-nn", the current s8 API, or "cmsis-nn-q7", that of CMSIS 5.
    core : str, optional
        The class of cores it runs on, "c", "dsp" (unless told) or "mve", or the name
        of one: "cortex-m4".
    rounding : str, optional
        How the library is built: "double" (unless told) or "single" for "cmsis-nn",
        "half_up" or "truncate" for "cmsis-nn-q7".
    version : str, optional
        Of the library; the newest that is known unless told.
    seed : int
        Of the initial weights.
    name : str
        A C identifier in lower case; names the exported files and functions.
    input_scale : float
        Without an image layer in front the input is int8; its scale, a power of two.

    Raises
    ------
    ShapeError, UnsupportedOp, AccumulatorOverflow, OptionError
        If a layer does not fit its input or the target; the message names it.
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
        seed: int = 0,
        name: str = "network",
        input_scale: float = 2.0**-7,
    ) -> None:
        if not layers:
            raise OptionError("a network needs at least one layer")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise OptionError(
                f"a network's name must be a C identifier in lower case, got {name!r}"
            )
        self.name = name
        self.target = target_spec(target, core=core, rounding=rounding, version=version)
        self.layers = list(layers)
        _name_layers(self.layers)
        image = self.layers[0].op.reads_image
        if math.frexp(input_scale)[0] != 0.5:
            raise OptionError(f"input_scale must be a power of two, got {input_scale}")
        qparams = None if image else QParams(float(input_scale))
        is_shape = isinstance(input_shape, tuple | list) and len(input_shape) > 0
        if not is_shape or min(input_shape) < 1:
            raise ShapeError(
                "input_shape must be (H, W, C) or (K,), all positive, "
                f"got {input_shape}"
            )
        shape = tuple(int(n) for n in input_shape)
        self.input = TensorSpec(shape, "uint8" if image else "int8", qparams)
        self.shapes: list[Shape] = []
        rng = np.random.default_rng(seed)
        for i, layer in enumerate(self.layers):
            with naming(layer):
                if i and layer.op.reads_image:
                    raise ShapeError("reads uint8 images and must be the first layer")
                if layer.op.name == "softmax" and layer is not self.layers[-1]:
                    raise ShapeError("must be the last layer")
                shape, calls = layer.build(shape, self.target, rng)
                check_calls(self.target, calls)
            self.shapes.append(shape)

    @property
    def output_shape(self) -> Shape:
        return self.shapes[-1]

    def parameters(self) -> list[Tensor]:
        """Every weight and bias, in the order of the layers."""
        return [p for layer in self.layers for p in layer.parameters()]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """("conv1/weight", Tensor) and so on, in the order of the layers."""
        for layer in self.layers:
            for kind, parameter in zip(
                ("weight", "bias"), layer.parameters(), strict=False
            ):
                yield f"{layer.name}/{kind}", parameter

    def logits(
        self,
        x: np.ndarray,
        *,
        precision: str = "int8",
        track: bool = False,
        gradients: str = "float32",
    ) -> Tensor:
        """Real outputs (N, ...) before a final softmax, on the tape.

        Parameters
        ----------
        x : uint8 or int8 (N, *input_shape)
        precision : "int8" or "fp32"
            int8 runs the device's integers and dequantizes the result.
        track : bool
            Whether tracked ranges take in this batch (int8 training).
        gradients : "float32" or "bfloat16"
            What gradients are rounded to before they are multiplied, in int8.

        Raises
        ------
        OptionError
            The CPU cannot multiply bfloat16.
        """
        check_gradient_kind(gradients)
        layers = self._without_softmax()
        return self._forward(x, precision, layers, track, gradients).real()

    def predict(self, x: np.ndarray, *, precision: str = "int8") -> np.ndarray:
        """Outputs of a batch: int8 (N, ...) as on the device, or float32 logits."""
        if precision == "int8":
            return self.freeze().run(x)
        with no_grad():
            return self._forward(x, precision, self._without_softmax()).tensor.data

    def evaluate(self, dataset: Dataset, *, precision: str = "int8") -> float:
        """Accuracy in 0..1 on a dataset, by the first largest output of each image."""
        self.check_labels(dataset)
        graph = self.freeze() if precision == "int8" else None
        correct = 0
        for start in range(0, len(dataset), EVALUATION_BATCH):
            images = dataset.images[start : start + EVALUATION_BATCH]
            scores = graph.run(images) if graph else self.predict(
                images, precision=precision
            )  # fmt: skip
            labels = dataset.labels[start : start + EVALUATION_BATCH]
            correct += int((scores.argmax(axis=1) == labels).sum())
        return correct / len(dataset)

    def check_labels(self, dataset: Dataset) -> None:
        """ShapeError if images or classes of a dataset do not fit the network,
        DataError if there are none."""
        if dataset.images.shape[1:] != self.input.shape:
            raise ShapeError(
                f"{self.name} takes images {self.input.shape}, "
                f"{dataset.name} has {dataset.images.shape[1:]}"
            )
        if len(dataset) == 0:
            raise DataError(f"{dataset.name} holds no images")
        if len(self.output_shape) != 1 or len(dataset.classes) > self.output_shape[0]:
            raise ShapeError(
                f"{self.name} has outputs {self.output_shape}, "
                f"{dataset.name} has {len(dataset.classes)} classes"
            )

    @property
    def is_calibrated(self) -> bool:
        """Whether every layer has the ranges it is frozen with."""
        return all(layer.is_calibrated for layer in self.layers)

    def calibrate(self, x: np.ndarray) -> None:
        """Give ranges to layers that have none yet, from a batch of inputs."""
        with no_grad():
            self._forward(x, "int8", self.layers)

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
        kept = [(layer.weight_range, layer.output_range) for layer in self._linear()]
        try:
            for layer in self._linear():
                layer.weight_range = copy(layer.weight_range)
                layer.output_range = copy(layer.output_range)
            self.calibrate(noise(self.input, CALIBRATION_IMAGES))
            return self._frozen()
        finally:
            for layer, ranges in zip(self._linear(), kept, strict=True):
                layer.weight_range, layer.output_range = ranges

    def _linear(self) -> list[LinearLayer]:
        """The layers with parameters."""
        return [layer for layer in self.layers if isinstance(layer, LinearLayer)]

    def _frozen(self) -> Graph:
        nodes = []
        qparams = self.input.qparams
        for i, (layer, shape) in enumerate(zip(self.layers, self.shapes, strict=True)):
            with naming(layer):
                ints, qparams = layer.frozen(qparams)
            output = TensorSpec(shape, "int8", qparams)
            nodes.append(
                Node(layer.name, layer.op.name, layer.attrs, ints, (i,), output)
            )
        return Graph(self.name, self.target, self.input, tuple(nodes))

    def for_target(
        self,
        target: str | TargetSpec | None = None,
        *,
        core: str | None = None,
        rounding: str | None = None,
        version: str | None = None,
    ) -> Sequential:
        """The same weights and ranges for another target, of which a part may be named.

        The core class stays unless told; another library has its own defaults for the
        rest. Its bytes, and so its accuracy, are the other target's: what was trained
        for one need not be as good on another.

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
        return from_state(*self.state(), other)

    def save(self, path: str | Path) -> None:
        """Write the network (weights, ranges, target) to a `.npz` file, atomically."""
        header, arrays = self.state()
        archive.write(path, header, arrays)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Header and arrays that `load` makes the network from."""
        arrays = {name: p.data for name, p in self.named_parameters()}
        layers = []
        for layer in self.layers:
            entry: dict[str, Any] = {"op": layer.op.name, "name": layer.name}
            entry["attrs"] = attrs_to_json(layer.attrs)
            if layer.constants is not None:
                arrays[f"{layer.name}/mean"] = layer.constants.mean
            if isinstance(layer, LinearLayer):
                entry["weight_range"] = layer.weight_range.state()
                entry["output_range"] = layer.output_range.state()
            layers.append(entry)
        target = self.target
        header = {
            "kind": "kanji_np model",
            "format": FORMAT,
            "name": self.name,
            "target": [target.library, target.version, target.core, target.rounding],
            "input_shape": self.input.shape,
            "input_scale": self.input.qparams.scale if self.input.qparams else None,
            "layers": layers,
        }
        return header, arrays

    def restore(self, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take over weights and ranges that `state` gave of an equal network."""
        for layer in self.layers:
            name = f"{layer.name}/mean"
            if layer.constants is not None and not np.array_equal(
                layer.constants.mean, arrays.get(name, ())
            ):
                raise FileFormatError(f"{name} is another one in the file")
        for name, parameter in self.named_parameters():
            stored = arrays.get(name)
            if stored is None or stored.shape != parameter.shape:
                shape = None if stored is None else stored.shape
                raise FileFormatError(
                    f"{name} must have shape {parameter.shape}, the file has {shape}"
                )
            parameter.data = stored.astype(np.float32)
        for layer, entry in zip(self.layers, header["layers"], strict=True):
            if isinstance(layer, LinearLayer):
                layer.weight_range = RangeTracker.from_state(entry["weight_range"])
                layer.output_range = RangeTracker.from_state(entry["output_range"])

    def _forward(
        self,
        x: np.ndarray,
        precision: str,
        layers: list[Layer],
        track: bool = False,
        gradients: str = "float32",
    ) -> Activation:
        if precision not in PRECISIONS:
            raise OptionError(
                f"precision must be one of {PRECISIONS}, got {precision!r}"
            )
        self.input.check_batch(x, self.name)
        if precision == "int8":
            value = Activation(Tensor(x), self.input.qparams)
        elif self.input.qparams is None:
            value = Activation(Tensor(x), None)
        else:
            real = x.astype(np.float32) * np.float32(self.input.qparams.scale)
            value = Activation(Tensor(real), None)
        for layer in layers:
            with naming(layer):
                if precision == "int8":
                    value = layer.forward_int(value, track=track, gradients=gradients)
                else:
                    value = layer.forward_float(value)
        return value

    def _without_softmax(self) -> list[Layer]:
        return self.layers[:-1] if self.layers[-1].op.name == "softmax" else self.layers


def load(path: str | Path) -> Sequential:
    """A network from the file `Sequential.save` wrote.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, altered, or not a model.
    """
    header, arrays = archive.read(path, "kanji_np model")
    try:
        return from_state(header, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, KanjiError) as error:
        raise FileFormatError(
            f"{path}: not a model this version reads: {error}"
        ) from None


def from_state(
    header: dict[str, Any],
    arrays: dict[str, np.ndarray],
    target: TargetSpec | None = None,
) -> Sequential:
    """A network from what `Sequential.state` gave, for its own target unless told."""
    if header["format"] != FORMAT:
        raise FileFormatError(f"format {header['format']}, expected {FORMAT}")
    layers = []
    for entry in header["layers"]:
        op = OPS[entry["op"]]
        attrs = attrs_from_json(op.attrs, entry["attrs"])
        mean = arrays.get(f"{entry['name']}/mean")
        constants = None if mean is None else NormalizeInts(mean)
        layers.append(make_layer(op, attrs, entry["name"], constants))
    library, version, core, rounding = header["target"]
    network = Sequential(
        layers,
        tuple(header["input_shape"]),
        target or target_spec(library, version=version, core=core, rounding=rounding),
        name=header["name"],
        input_scale=header["input_scale"] or 1.0,
    )
    network.restore(header, arrays)
    return network


SHORT_NAMES = {
    "conv2d": "conv",
    "depthwise_conv2d": "depthwise",
    "max_pool2d": "pool",
    "avg_pool2d": "pool",
}


def _name_layers(layers: list[Layer]) -> None:
    """Name the unnamed: conv1, pool1, conv2 ...; OptionError on a name used twice."""
    seen: Counter[str] = Counter()
    for layer in layers:
        short = SHORT_NAMES.get(layer.op.name, layer.op.name)
        seen[short] += 1
        if not layer.name:
            layer.name = f"{short}{seen[short]}"
    twice = [
        n for n, count in Counter(layer.name for layer in layers).items() if count > 1
    ]
    if twice:
        raise OptionError(f"layer names must be unique; used twice: {', '.join(twice)}")
