"""Networks: made of layers, taken to other targets, kept in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from kanji_np import modelfile
from kanji_np.arguments import known_arguments
from kanji_np.checks import integer, listed, one_of, shown
from kanji_np.deprecation import former_name
from kanji_np.design import Design, input_quantization
from kanji_np.errors import DataError, FileFormatError, OptionError, ShapeError
from kanji_np.layers import Input, Layer, Symbol, drawn
from kanji_np.network import Network
from kanji_np.quantize import INPUT_SCALE, SCHEMES
from kanji_np.targets import target_spec
from kanji_np.types import QParams, Shape, TargetSpec, shape_text
from kanji_np.weights import load_weights, weights_of

if TYPE_CHECKING:
    from kanji_np.cost.boards import Board
    from kanji_np.cost.budget import Budget
    from kanji_np.cost.estimate import Estimate
    from kanji_np.report import Summary


@known_arguments
class Model(Network):
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
    classes : sequence of str
        What the outputs are called, one name each. By default `fit` takes the names
        from its data.

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
        classes: Sequence[str] = (),
    ) -> None:
        spec = target_spec(target, core=core, rounding=rounding, version=version)
        start = drawn(np.random.default_rng(integer("seed", seed, 0)))
        qparams, tracker = input_quantization(
            SCHEMES[one_of("scheme", scheme, SCHEMES)],
            input_scale, input_qparams, input_range,
        )  # fmt: skip
        super().__init__(
            Design(
                inputs, outputs, spec, scheme, ranges, start, name, qparams, tracker,
                classes,
            )
        )  # fmt: skip

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

    def check(
        self,
        budget: Budget | str,
        *,
        board: str | Path | Board | None = None,
        core: str | None = None,
        library: str = "ccore",
    ) -> Estimate:
        """Raise BudgetError unless the network keeps to a budget; see `kanji_np.check`.

        It need not be trained.

        Parameters
        ----------
        budget : Budget or str
            "flash=256K,ram=64K,latency=100ms,energy=5mJ", or some of these.
        board, core, library : optional
            As `kanji_np.estimate` has them.

        Returns
        -------
        Estimate
            What the network will cost.
        """
        import kanji_np

        return kanji_np.check(self, budget, board=board, core=core, library=library)

    def summary(self) -> Summary:
        """The layers: what each gives, has and costs; see `kanji_np.summary`.

        Returns
        -------
        Summary
            Prints as a table: ``print(net.summary())``.
        """
        import kanji_np

        return kanji_np.summary(self)

    def __repr__(self) -> str:
        x, y = shape_text(self.input.shape), shape_text(self.output_shape)
        count = len(self.layers)
        return (
            f"<{type(self).__name__} {self.name}: {x} {self.input.dtype} -> {y}, "
            f"{count} layer{'s' * (count != 1)}, {self.n_parameters:,} parameters, "
            f"{self.target}>"
        )

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

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
                raise OptionError(f"the state {what} {listed(names)}")
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


@known_arguments
class Sequential(Model):
    """Layers in a row.

    Parameters
    ----------
    layers : sequence of Layer
        The first is `Normalize` or `Standardize` where the input is images.
    input_shape : (H, W, C) or (K,)
    target, core, rounding, version, scheme, ranges, seed, name
    input_scale, input_qparams, input_range, classes
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
        classes: Sequence[str] = (),
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
            input_range=input_range, classes=classes,
        )  # fmt: skip


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
    if target is not None:
        header, arrays = modelfile.with_ranges_for(network, header, arrays)
    network.restore(header, arrays)
    return network


def assembled(design: Design) -> Model:
    """A network with a design's weights, and ranges that have seen nothing."""
    network = Model.__new__(Model)
    Network.__init__(network, design)
    return network


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
