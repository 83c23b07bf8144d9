"""What an operator is, and how to add one.

An operator is defined once, on one page of this folder, and everything comes out of
that definition: shapes, the integers of training and of the golden model, gradients,
cost, and the C call. Every page has the same sections in the same order:

docstring       formula, layouts, accumulator bound, source
attributes      a frozen dataclass of what the user chose, checked when it is made; JSON
                holds its fields
infer           output shape from input shapes, or ShapeError
forward_int     the definition: int8 in, int8 out, slow and obvious
forward_float   the smooth function in plain NumPy: what `vjp` differentiates
vjp             gradients of inputs and parameters, straight through the rounding
cost            multiply-accumulates and flash bytes
lowering        one function a target library: KernelCall data, or UnsupportedOp

`Fast` names the functions of `loops` that training and evaluation run instead. Each of
them equals the function of the same name here, and the conformance suite says so: byte
for byte in integers, to rounding in floating point. To understand an operator, skip
them.

To add an operator: write its page, add its row in `ops/__init__.py`, and give
`tests/ops/` a file with its list of cases for the conformance suite. An operator of
your own need not be in this folder: `kj.register_op` makes a layer of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, TypeAlias

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, OptionError, UnsupportedOp
from kanji_np.types import (
    Arrays,
    Cost,
    Gradients,
    KernelCall,
    LinearParams,
    Numerics,
    QParams,
    Saved,
    Shape,
    Shapes,
    Specs,
    TargetSpec,
    TensorSpec,
)

ForwardInt: TypeAlias = Callable[..., np.ndarray]
ForwardFloat: TypeAlias = Callable[[Any, Any, Arrays], np.ndarray]
ForwardTrain: TypeAlias = Callable[[Any, Any, Arrays], tuple[np.ndarray, Any]]
Vjp: TypeAlias = Callable[
    [Any, Any, Saved, np.ndarray, tuple[bool, ...]],
    tuple[Gradients, LinearParams | None],
]
Lowering: TypeAlias = Callable[
    [Any, Any, Specs, TensorSpec, TargetSpec], tuple[KernelCall, ...]
]


@dataclass(frozen=True)
class Fast:
    """Functions that equal those of the same name of `Op`, and are faster.

    Parameters
    ----------
    forward_int, forward_float, vjp
        None: the operator's own function is fast enough.
    forward_train : (attrs, ints, xs) -> (y, extra), or None
        For an operator without parameters whose forward pass can spare `vjp` work. It
        runs where a gradient may be asked for. `y` is that of `forward_int`, or of
        `forward_float` where inputs are floating; `vjp` finds `extra` in `saved.extra`,
        and must manage where that is None.
    """

    forward_int: ForwardInt | None = None
    forward_float: ForwardFloat | None = None
    vjp: Vjp | None = None
    forward_train: ForwardTrain | None = None


@dataclass(frozen=True)
class Weights:
    """What an operator that multiplies by weights says of them.

    Parameters
    ----------
    shapes : (attrs, input shapes) -> (weight shape, bias shape)
        Output channels come first in both.
    channel_scales : (attrs, target) -> bool
        Whether the target's function takes a weight scale for each output channel.
        Where it does not, all must be equal.
    keeps_bits : bool
        The weights keep their width where a network's are narrowed: they are few, and
        lose much.
    """

    shapes: Callable[[Any, Shapes], tuple[Shape, Shape]]
    channel_scales: Callable[[Any, TargetSpec], bool] = lambda attrs, target: True
    keeps_bits: bool = False


@dataclass(frozen=True)
class Constants:
    """Base of what is fixed when a layer is made, as the mean of `normalize` is.

    A derived frozen dataclass has arrays as fields; model files hold each under the
    name of its field.
    """

    def check(self, attrs: Any) -> None:
        """Raise OptionError or ShapeError if the arrays do not fit the attributes."""


def free(attrs: Any, shapes: Shapes, target: TargetSpec) -> Cost:
    """No multiply-accumulate, no byte of flash."""
    return Cost()


def passed_on(attrs: Any, xs: tuple[Any, ...], numerics: Numerics) -> Any:
    """The first input's scale and zero point are the output's."""
    return xs[0]


def as_the_target(attrs: Any, numerics: Numerics) -> Numerics:
    """The target's arithmetic of the operator, whatever the attributes."""
    return numerics


@dataclass(frozen=True)
class Op:
    """One operator, as data.

    Shapes are of one sample; arrays have a batch in front. `shapes`, `xs`, `saved.x`,
    `needs_gx` and gradients of inputs are tuples with an element for each input.

    Two fields of attributes have a meaning for everybody: `activation`, "linear",
    "relu" or "relu6", which the operator fuses, and `weight_bits`, the width of its
    weights. Attributes without them are of a linear operator with weights of 8 bits.

    Parameters
    ----------
    name : str
        As in model files and reports.
    attrs : type
        The frozen dataclass of its attributes.
    infer : (attrs, shapes) -> shape
        Raises ShapeError.
    forward_int : (attrs, ints, xs) -> y
        Integer arrays. An operator that tracks its output also takes `y_range`, None or
        an int64 (2,). It is lowered and raised to hold the smallest and the largest
        output, rescaled, before the zero point is added and before it is clamped.
    forward_float : (attrs, params, xs) -> y
        Floating arrays, float32 or float64 (uint8 for operators that read images).
        `params` are LinearParams of an operator with weights, constants, or None.
    vjp : (attrs, params, saved, gy, needs_gx) -> (gxs, gparams)
        The gradient of each input, None where it is not needed, and of the parameters,
        None where there are none. Nothing else is asked of a single input without
        parameters: then its gradient is always needed.
    lowerings : mapping of library name to (attrs, ints, xs, y, target) -> KernelCalls
        `xs` and `y` are TensorSpecs. No call at all where the output is the input's
        bytes under another shape.
    cost : (attrs, shapes, target) -> Cost
        Default: nothing.
    ints : (attrs, QParams of xs, QParams of y, numerics) -> ints, or None
        The integers of an operator without weights that needs some. Of one with
        constants these are a fifth argument; without `ints`, they are the integers.
        Those of an operator with weights are LinearInts, and made by
        `quantize.linear_ints`.
    tracks_output : bool
        The range of the output is tracked, and gives it a scale of its own. Every
        operator with weights does so.
    numerics : (attrs, numerics) -> Numerics
        How a layer computes, where a target takes another kernel for some attributes.
        Default: as the target computes the operator.
    output_qparams : (attrs, QParams of xs, numerics) -> QParams
        Where the output is not tracked. Default: those of the first input.
    weights : Weights or None
    constants : type or None
        The derived class of `Constants` that the operator is given as `ints` and
        `params`.
    reads_image : bool
        Takes uint8 images instead of int8 activations, and comes first in a network.
    is_in_loss : bool
        The loss computes it: as the last layer it is left out of training.
    only_last : numerics -> str or None
        Why it may only be the last layer where it computes so; None: it may be any.
    inputs : int or None
        How many; None: any number from 2.
    short_name : str or None
        Layers that the user gives no name are called by it and a number: conv1, conv2.
        None: by the operator's name.
    layer : str or None
        The name of the layer that users write, Keras's where Keras has it. Its
        arguments are the fields of the attributes, and so is its docstring. None: a
        class in `layers.keras` takes other arguments.
    fast : Fast
    """

    name: str
    attrs: type
    infer: Callable[[Any, Shapes], Shape]
    forward_int: ForwardInt
    forward_float: ForwardFloat
    vjp: Vjp
    lowerings: Mapping[str, Lowering] = field(default_factory=dict)
    cost: Callable[[Any, Shapes, TargetSpec], Cost] = free
    ints: Callable[..., Any] | None = None
    tracks_output: bool = False
    numerics: Callable[[Any, Numerics], Numerics] = as_the_target
    output_qparams: Callable[[Any, tuple[Any, ...], Numerics], QParams] = passed_on
    weights: Weights | None = None
    constants: type[Constants] | None = None
    reads_image: bool = False
    is_in_loss: bool = False
    only_last: Callable[[Numerics], str | None] = lambda numerics: None
    inputs: int | None = 1
    short_name: str | None = None
    layer: str | None = None
    fast: Fast = Fast()

    def __reduce__(self) -> tuple[Callable[[str], Op], tuple[str]]:
        """An operator is copied and pickled as the one of its name in the table."""
        return registered, (self.name,)

    def run_int(self, attrs: Any, ints: Any, xs: Arrays, **more: Any) -> np.ndarray:
        """`forward_int` in the fastest way there is."""
        return (self.fast.forward_int or self.forward_int)(attrs, ints, xs, **more)

    def run_float(self, attrs: Any, params: Any, xs: Arrays) -> np.ndarray:
        """`forward_float` in the fastest way there is."""
        return (self.fast.forward_float or self.forward_float)(attrs, params, xs)

    def run_vjp(
        self,
        attrs: Any,
        params: Any,
        saved: Saved,
        gy: np.ndarray,
        needs_gx: tuple[bool, ...],
    ) -> tuple[Gradients, LinearParams | None]:
        """`vjp` in the fastest way there is."""
        return (self.fast.vjp or self.vjp)(attrs, params, saved, gy, needs_gx)

    def activation(self, attrs: Any) -> str:
        """The activation that is fused, "linear" where there is none."""
        return getattr(attrs, "activation", "linear")

    def without_activation(self, attrs: Any) -> Any:
        """The attributes of the same operator with nothing fused."""
        if self.activation(attrs) == "linear":
            return attrs
        return replace(attrs, activation="linear")

    def weight_bits(self, attrs: Any) -> int:
        """The width of the weights."""
        return getattr(attrs, "weight_bits", 8)

    def lower(
        self, attrs: Any, ints: Any, xs: Specs, y: TensorSpec, target: TargetSpec
    ) -> tuple[KernelCall, ...]:
        """The calls that compute this operator on `target`, or UnsupportedOp."""
        if target.library not in self.lowerings:
            raise UnsupportedOp(f"{target.library} has no {self.name}")
        return self.lowerings[target.library](attrs, ints, xs, y, target)


#: The operators by name; `register` adds to them.
OPS: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Add an operator to the table, so that model files may name it.

    Raises
    ------
    OptionError
        Another operator has its name.
    """
    if OPS.setdefault(op.name, op) is not op:
        raise OptionError(f"another operator is called {op.name!r}: choose a new name")
    return op


def registered(name: str) -> Op:
    """The operator of that name."""
    return OPS[name]


def attrs_to_json(attrs: Any) -> dict[str, Any]:
    """The fields of an attributes dataclass, for `json.dumps`."""
    values = {f.name: getattr(attrs, f.name) for f in fields(attrs)}
    return {
        f.name: values[f.name]
        for f in fields(attrs)
        if not (_came_later(f) and values[f.name] == f.default)
    }


def attrs_text(attrs: Any) -> str:
    """What digests have of an attributes dataclass: its `repr` without what
    `attrs_to_json` leaves out."""
    values = attrs_to_json(attrs).items()
    return f"{type(attrs).__name__}({', '.join(f'{k}={v!r}' for k, v in values)})"


def _came_later(f: Field[Any]) -> bool:
    return bool(f.metadata.get("later"))


def attrs_from_json(kind: type, data: Any) -> Any:
    """Attributes from what `attrs_to_json` gave.

    Raises
    ------
    FileFormatError
        There are other fields.
    OptionError
        A value is not allowed.
    """
    names = {f.name for f in fields(kind)}
    needed = {f.name for f in fields(kind) if not _came_later(f)}
    if not isinstance(data, dict) or not needed <= set(data) <= names:
        raise FileFormatError(
            f"attributes of {kind.__name__} must be {sorted(names)}, got {shown(data)}"
        )
    return kind(**data)
