"""What an operator is, and how to add one.

An operator is defined once, in one file of this folder, and everything comes out of
that definition: shapes, the integers of training and of the golden model, gradients,
cost, and the C call. Every file has the same sections in the same order:

docstring       formula, layouts, accumulator bound, source
attributes      a frozen dataclass of what the user chose, checked when it is made; JSON
                holds its fields
infer           output shape from input shape, or ShapeError
forward_int     int8 in, int8 out: what the chip computes
forward_float   the smooth function: what fp32 training runs and `vjp` differentiates
vjp             gradients of input and parameters, straight through the rounding
cost            multiply-accumulates and flash bytes
lowering        one function a target library: KernelCall data, or UnsupportedOp
loops           the Numba loops, each over a share of the images (`threads.run`)

`forward_int` may be fast; `definition` is a slow, obvious integer loop that it must
equal byte for byte. Outputs and gradients may be large: take them from `buffers.empty`.
To add an operator: write its file, add its row to `OPS` in `ops/__init__.py`, and give
`tests/ops/` a file with its list of cases for the conformance suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.types import (
    Cost,
    KernelCall,
    LinearParams,
    Numerics,
    QParams,
    Saved,
    Shape,
    TargetSpec,
    TensorSpec,
)

Lowering = Callable[
    [Any, Any, TensorSpec, TensorSpec, TargetSpec], tuple[KernelCall, ...]
]


@dataclass(frozen=True)
class Op:
    """One operator, as data. Shapes are of one sample; arrays have a batch in front.

    An operator of several inputs takes as many shapes and arrays where `x` or
    `in_shape` stands here; `saved.x`, `needs_gx`, `gx`, the TensorSpecs of a lowering
    and the QParams of inputs are then tuples.

    Parameters
    ----------
    name : str
        As in model files and reports.
    attrs : type
        The frozen dataclass of its attributes.
    infer : (attrs, in_shape) -> out_shape
        Raises ShapeError.
    forward_int, definition : (attrs, ints, x) -> y
        Integer arrays. Operators whose output range is tracked also take `y_range`, an
        int64 (2,) that is lowered and raised to hold the smallest and largest output,
        rescaled, before the zero point is added and before it is clamped.
    forward_float : (attrs, params, x) -> y
        Floating arrays, float32 or float64 (uint8 for operators that read images).
    vjp : (attrs, params, saved, gy, needs_gx) -> (gx, gparams)
        gx is None where it is not needed, gparams where there are no parameters.
        It must manage where `saved.extra` is None.
    cost : (attrs, shape of the first input, target) -> Cost
    lowerings : mapping of library name to (attrs, ints, x, y, target) -> KernelCalls
        Empty where the output is the input's bytes under another shape.
    param_shapes : (attrs, in_shape) -> (weight shape, bias shape), or None
    output_qparams : (attrs, QParams of x, numerics) -> QParams, or None
        None: the layer tracks the range of its output.
    ints : (attrs, QParams of x, QParams of y, numerics) -> ints, or None
        The integers of an operator without parameters that needs some.
    forward_train : (attrs, ints, x) -> (y, extra), or None
        For an operator without parameters whose forward pass can spare its `vjp` work;
        runs where a gradient may be asked for. `y` is that of `forward_int`, or of
        `forward_float` where `x` is floating; `vjp` finds `extra` in `saved.extra`.
    constants : (attrs, array) -> constants, or None
        What is fixed when a layer is made (the mean of `normalize`), of the array that
        a model file holds.
    reads_image : bool
        Takes uint8 images instead of int8 activations.
    inputs : int or None
        How many; None: any number from 2.
    channel_scales : (attrs, target) -> bool
        Whether the target's function takes a weight scale for each output channel;
        asked of operators with weights. Where it does not, all must be equal.
    """

    name: str
    attrs: type
    infer: Callable[[Any, Shape], Shape]
    forward_int: Callable[..., np.ndarray]
    definition: Callable[..., np.ndarray]
    forward_float: Callable[[Any, Any, np.ndarray], np.ndarray]
    vjp: Callable[
        [Any, Any, Saved, np.ndarray, bool],
        tuple[np.ndarray | None, LinearParams | None],
    ]
    cost: Callable[[Any, Shape, TargetSpec], Cost]
    lowerings: Mapping[str, Lowering] = field(default_factory=dict)
    param_shapes: Callable[[Any, Shape], tuple[Shape, Shape]] | None = None
    output_qparams: Callable[[Any, Any, Numerics], QParams] | None = None
    ints: Callable[[Any, Any, QParams, Numerics], Any] | None = None
    forward_train: Callable[[Any, Any, np.ndarray], tuple[np.ndarray, Any]] | None = (
        None
    )
    constants: Callable[[Any, np.ndarray], Any] | None = None
    reads_image: bool = False
    inputs: int | None = 1
    channel_scales: Callable[[Any, TargetSpec], bool] = lambda attrs, target: True

    def __reduce__(self) -> tuple[Callable[[str], Op], tuple[str]]:
        """An operator is copied and pickled as the one of its name in the table."""
        return _of_name, (self.name,)

    def lower(
        self, attrs: Any, ints: Any, x: TensorSpec, y: TensorSpec, target: TargetSpec
    ) -> tuple[KernelCall, ...]:
        """The calls that compute this operator on `target`, or UnsupportedOp."""
        if target.library not in self.lowerings:
            raise UnsupportedOp(f"{target.library} has no {self.name}")
        return self.lowerings[target.library](attrs, ints, x, y, target)


def _of_name(name: str) -> Op:
    from kanji_np.ops import OPS  # which is made of what is defined here

    return OPS[name]


def attrs_to_json(attrs: Any) -> dict[str, Any]:
    """The fields of an attributes dataclass, for `json.dumps`."""
    return {f.name: getattr(attrs, f.name) for f in fields(attrs)}


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
    if not isinstance(data, dict) or set(data) != names:
        raise FileFormatError(
            f"attributes of {kind.__name__} must be {sorted(names)}, got {shown(data)}"
        )
    return kind(**data)
