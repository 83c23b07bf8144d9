"""What operators of ONNX may be told, as one frozen dataclass each.

The fields are the attributes of every opset that is read, by the format's own names.
`given` fills them from a node, and refuses whatever has no field: an attribute that
nobody looks at could mean anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

import numpy as np

from kanji_np.checks import shown
from kanji_np.errors import FileFormatError, UnsupportedOp
from kanji_np.formats.source import SourceOp

A = TypeVar("A")
Ints = tuple[int, ...]
Floats = tuple[float, ...]


def _is_row(kind: type) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, tuple) and all(type(v) is kind for v in value)
    )


#: What a value of an annotation must be.
KINDS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) is float,
    "str": lambda value: type(value) is str,
    "np.ndarray": lambda value: isinstance(value, np.ndarray),
    "Ints": _is_row(int),
    "Floats": _is_row(float),
}


def given(kind: type[A], op: SourceOp) -> A:
    """The attributes of a node.

    Raises
    ------
    UnsupportedOp
        It has one that is not known.
    FileFormatError
        One has a value of another type, or is missing.
    """
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name, value in op.options.items():
        if name not in known:
            raise UnsupportedOp(
                f"{op} has the attribute {shown(name)}, which is not known"
            )
        wanted = str(known[name].type).removesuffix(" | None")
        if not KINDS[wanted](value):
            raise FileFormatError(
                f"{op}: the attribute {name} must be {wanted}, got {shown(value)}"
            )
    for name, f in known.items():
        if f.default is MISSING and name not in op.options:
            raise FileFormatError(f"{op} lacks the attribute {name}")
    return kind(**op.options)


@dataclass(frozen=True)
class Plain:
    """None."""


@dataclass(frozen=True)
class Windows:
    """Of convolutions and pools over height and width, or over time."""

    auto_pad: str = "NOTSET"
    dilations: Ints = ()
    kernel_shape: Ints = ()
    pads: Ints = ()
    strides: Ints = ()


@dataclass(frozen=True)
class Conv(Windows):
    group: int = 1


@dataclass(frozen=True)
class ConvTranspose(Conv):
    output_padding: Ints = ()
    output_shape: Ints = ()


@dataclass(frozen=True)
class MaxPool(Windows):
    ceil_mode: int = 0
    storage_order: int = 0


@dataclass(frozen=True)
class AveragePool(Windows):
    ceil_mode: int = 0
    count_include_pad: int = 0


@dataclass(frozen=True)
class Gemm:
    alpha: float = 1.0
    beta: float = 1.0
    transA: int = 0  # noqa: N815 - ONNX's name
    transB: int = 0  # noqa: N815


@dataclass(frozen=True)
class BatchNormalization:
    epsilon: float = 1e-5
    momentum: float = 0.9
    spatial: int = 1
    training_mode: int = 0


@dataclass(frozen=True)
class Clip:
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class LeakyRelu:
    alpha: float = 0.01


@dataclass(frozen=True)
class HardSigmoid:
    alpha: float = 0.2
    beta: float = 0.5


@dataclass(frozen=True)
class Axis:
    """Of Concat, which must say it, and of what has a default of its own."""

    axis: int


@dataclass(frozen=True)
class Softmax:
    axis: int | None = None


@dataclass(frozen=True)
class Flatten:
    axis: int = 1


@dataclass(frozen=True)
class Gather:
    axis: int = 0


@dataclass(frozen=True)
class Pad:
    mode: str = "constant"
    pads: Ints = ()
    value: float = 0.0


@dataclass(frozen=True)
class Reshape:
    allowzero: int = 0


@dataclass(frozen=True)
class Axes:
    """Of Squeeze and Unsqueeze."""

    axes: Ints | None = None


@dataclass(frozen=True)
class Reduce:
    axes: Ints | None = None
    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True)
class Transpose:
    perm: Ints | None = None


@dataclass(frozen=True)
class Slice:
    axes: Ints | None = None
    ends: Ints | None = None
    starts: Ints | None = None


@dataclass(frozen=True)
class Split:
    axis: int = 0
    num_outputs: int | None = None
    split: Ints | None = None


@dataclass(frozen=True)
class Resize:
    """Of Upsample, too."""

    antialias: int = 0
    axes: Ints | None = None
    coordinate_transformation_mode: str = "half_pixel"
    cubic_coeff_a: float = -0.75
    exclude_outside: int = 0
    extrapolation_value: float = 0.0
    keep_aspect_ratio_policy: str = "stretch"
    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"
    scales: Floats | None = None


@dataclass(frozen=True)
class Dropout:
    ratio: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Cast:
    to: int
    saturate: int = 1
    round_mode: str = "up"


@dataclass(frozen=True)
class Constant:
    value: np.ndarray | None = None
    value_float: float | None = None
    value_floats: Floats | None = None
    value_int: int | None = None
    value_ints: Ints | None = None


@dataclass(frozen=True)
class ConstantOfShape:
    value: np.ndarray | None = None


@dataclass(frozen=True)
class Shape:
    start: int = 0
    end: int | None = None


@dataclass(frozen=True)
class QuantizeLinear:
    """Of DequantizeLinear, too."""

    axis: int = 1
    block_size: int = 0
    output_dtype: int = 0
    precision: int = 0
    saturate: int = 1
