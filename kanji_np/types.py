"""The facts everybody shares, as frozen dataclasses.

What is computed here takes a line or two. A tensor's shape has no batch: one
inference on the device is one image, and training adds the batch in front.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from kanji_np.checks import integer, number
from kanji_np.errors import OptionError, ShapeError

Shape = tuple[int, ...]

# Of the inputs of an operator, always one for each, also where there is only one.
Arrays: TypeAlias = tuple[np.ndarray, ...]
Gradients: TypeAlias = tuple[np.ndarray | None, ...]
Shapes: TypeAlias = tuple[Shape, ...]
Specs: TypeAlias = tuple["TensorSpec", ...]

# Of one tensor of one image, or of one layer's weights; beyond what any device of this
# kind has.
MOST_BYTES = 2**26


def check_size(shape: Shape, what: str) -> None:
    """ShapeError if so many bytes are more than a device could hold."""
    if math.prod(shape) > MOST_BYTES:
        raise ShapeError(
            f"{what} of shape {shape} takes more than {MOST_BYTES:,} bytes"
        )


def shape_text(shape: Shape) -> str:
    """(32, 32, 3) as "32x32x3"."""
    return "x".join(map(str, shape))


@dataclass(frozen=True)
class QParams:
    """How integers stand for real values: ``real = scale * (q - zero_point)``.

    Parameters
    ----------
    scale : float
        Positive.
    zero_point : int
        -128..127; 0 unless the scheme is "asymmetric".
    """

    scale: float
    zero_point: int = 0

    def __post_init__(self) -> None:
        if not number("scale", self.scale, 0.0) > 0:
            raise OptionError(f"scale must be a positive number, got {self.scale!r}")
        integer("zero_point", self.zero_point, -128, 127)

    def __str__(self) -> str:
        mantissa, exponent = math.frexp(self.scale)
        scale = f"2^{exponent - 1}" if mantissa == 0.5 else f"{self.scale:.6g}"
        return scale if self.zero_point == 0 else f"{scale} zero {self.zero_point}"


def shape_advice(shape: Shape, sample: Shape) -> str:
    """What to do about a batch whose samples have another order of axes, or about one
    sample without an axis for the batch; else nothing."""
    if shape == sample:
        return "; one sample takes an axis in front: x[None]"
    rank = len(sample)
    if rank > 1 and shape[1:] == (sample[-1], *sample[:-1]) != sample:
        order = (0, *range(2, rank + 1), 1)
        return f"; channels come last: x.transpose{order}"
    return ""


@dataclass(frozen=True)
class TensorSpec:
    """Shape (without batch), dtype and, for quantized tensors, what the integers mean.

    Parameters
    ----------
    shape : tuple of int
    dtype : "uint8" or "int8"
        "uint8" for images as they come from a camera or file, "int8" for everything
        after the first layer.
    qparams : QParams or None
        None of an image.
    """

    shape: Shape
    dtype: str = "int8"
    qparams: QParams | None = None

    def __post_init__(self) -> None:
        check_size(self.shape, "a tensor")

    @property
    def size(self) -> int:
        """Number of elements; also the number of bytes, as every element is one."""
        return math.prod(self.shape)

    def check_batch(self, x: np.ndarray, owner: str) -> None:
        """Raise unless an array is one or more samples of this shape and dtype.

        Parameters
        ----------
        x : ndarray
        owner : str
            Stands at the head of the message.

        Raises
        ------
        ShapeError
        """
        self._check(x, owner, (self.dtype,))

    def check_inputs(self, x: np.ndarray, owner: str) -> None:
        """The same of a network's inputs: int8 may be given as real values, too.

        Parameters
        ----------
        x : ndarray
        owner : str
            Stands at the head of the message.

        Raises
        ------
        ShapeError
        """
        reals = ("float32",) if self.dtype == "int8" else ()
        self._check(x, owner, (*reals, self.dtype))

    def _check(self, x: np.ndarray, owner: str, dtypes: tuple[str, ...]) -> None:
        axes = ", ".join(("N", *map(str, self.shape)))
        wanted = f"{' or '.join(dtypes)} ({axes})"
        if not isinstance(x, np.ndarray):
            raise ShapeError(
                f"{owner} takes a NumPy array, {wanted}, got a {type(x).__name__}"
            )
        dtype = "float32" if x.dtype.kind == "f" else str(x.dtype)
        if x.shape[1:] != self.shape or dtype not in dtypes or len(x) == 0:
            more = shape_advice(x.shape, self.shape)
            raise ShapeError(
                f"{owner} takes {wanted}, N at least 1; got {x.dtype} {x.shape}{more}"
            )


@dataclass(frozen=True)
class Numerics:
    """How a library computes where libraries differ; `targets` gives each its own.

    Parameters
    ----------
    kernels : "cmsis-nn", "cmsis-nn-q7", "tflm", "litert" or "xnnpack"
        Whose kernel it is. A runtime may take some of its kernels from another.
    rounding : "double", "single", "truncate", "float32" or "float64"
        From sum to output; see `fixedpoint.rescale`.
    factors : "float64" or "float32"
        The type in which factors between scales are computed.
    scales : "float64" or "float32"
        The type of scales: a `.tflite` file holds float32.
    bias_bits : int
        32: biases at the scale of the sums. 8: int8, shifted left on the device.
    average : "half_away", "toward_zero" or "toward_zero_twice"
        How average pooling divides; see `fixedpoint.average`.
    softmax : "exp", "pow2" or "table"
        Its base, and what the integers of `ops.softmax` are.
    """

    kernels: str = "cmsis-nn"
    rounding: str = "double"
    factors: str = "float64"
    scales: str = "float64"
    bias_bits: int = 32
    average: str = "half_away"
    softmax: str = "exp"

    @property
    def is_floating(self) -> bool:
        """Whether sums are multiplied by a floating factor."""
        return self.rounding in ("float32", "float64")


@dataclass(frozen=True)
class TargetSpec:
    """The four facts that decide every byte; `target_spec` makes it.

    Parameters
    ----------
    library : str
        Key of `targets.LIBRARIES`: "cmsis-nn", "cmsis-nn-q7", "tflm", "litert",
        "xnnpack".
    version : str
        Of the library.
    core : "c", "dsp" or "mve"
        The class of the core.
    rounding : str
        How the library is built.
    numerics : Numerics
        How it computes, which follows from the others.
    operators : mapping of str to Numerics
        The operators that compute otherwise, by name.
    """

    library: str
    version: str
    core: str
    rounding: str
    numerics: Numerics = field(compare=False, repr=False)
    operators: Mapping[str, Numerics] = field(
        default_factory=dict, compare=False, repr=False
    )

    def numerics_of(self, op: str) -> Numerics:
        """How an operator computes.

        Parameters
        ----------
        op : str
            Its name.
        """
        return self.operators.get(op, self.numerics)

    def __str__(self) -> str:
        return f"{self.library}/{self.version}/{self.core}/{self.rounding}"


@dataclass(frozen=True)
class Cost:
    """What one inference of one layer costs.

    Parameters
    ----------
    macs : int
        Multiply-accumulates over the full window [MAC]; padding counts as work.
    flash_bytes : int
        Weights, biases and tables the layer keeps in flash [bytes]; code not included.
    """

    macs: int = 0
    flash_bytes: int = 0


@dataclass(frozen=True)
class LinearParams:
    """Real-valued parameters of a layer that multiplies by weights.

    Convolution weights are (Cout, KH, KW, Cin), dense weights (Cout, Cin), biases
    (Cout,); all of one floating dtype.
    """

    weight: np.ndarray
    bias: np.ndarray


def check_weights(
    owner: str, x: np.ndarray, rank: int, weight: np.ndarray, expected: Shape
) -> None:
    """ShapeError unless a batch `x` has so many axes and its weights this shape."""
    if x.ndim != rank or weight.shape != expected:
        raise ShapeError(
            f"{owner}: input {x.shape} needs weights {expected}, got {weight.shape}"
        )


@dataclass(frozen=True)
class LinearInts:
    """The integers a convolution or dense call is given on the device.

    ``y = clamp(rescale(sum((x + input_offset) * weight) + bias, multiplier, shift)
    + output_offset, act_min, act_max)``, with `rounding` as in `Numerics.rounding`.
    `weight` is int8 in the layout of `LinearParams`; `bias`, `multiplier` and `shift`
    are int32 (Cout,). `multiplier` is float64, and no integer, where the rounding
    multiplies by a floating factor. On a target of int8 biases ``bias >> bias_shift``
    is what the device stores. `weight_scales`, float64 (Cout,), says what the weights
    stand for; no kernel is given it.
    """

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    input_offset: int = 0
    output_offset: int = 0
    act_min: int = -128
    act_max: int = 127
    rounding: str = "double"
    bias_shift: int = 0
    weight_scales: np.ndarray | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ClampInts:
    """The integers of a call that is only given a range to clamp its output to."""

    act_min: int = -128
    act_max: int = 127


@dataclass(frozen=True)
class AvgPoolInts(ClampInts):
    """Range the output is clamped to; `divide` as in `Numerics.average`."""

    divide: str = "half_away"


@dataclass(frozen=True)
class Saved:
    """What a forward pass leaves for the backward pass.

    `x`, `x_scale` and `x_offset` have an element for each input: the array as it was
    (int8, or floating in fp32 training), and what makes it real, ``x_scale * (x +
    x_offset)``. `y` is the output as it was. The straight-through gradient passes where
    ``low < y < high``: a value at a bound counts as clamped. `extra` is what
    `Fast.forward_train` left, or None.
    """

    x: tuple[np.ndarray, ...]
    y: np.ndarray
    x_scale: tuple[float, ...]
    x_offset: tuple[int, ...]
    low: float
    high: float
    extra: Any = None

    def real_x(self, dtype: np.dtype[Any]) -> tuple[np.ndarray, ...]:
        """The real values of every input, in a floating dtype."""
        return tuple(
            dtype.type(scale) * (x.astype(dtype) + dtype.type(offset))
            for x, scale, offset in zip(
                self.x, self.x_scale, self.x_offset, strict=True
            )
        )

    def passed(self, gy: np.ndarray) -> np.ndarray:
        """Gradients of the output where it was not clamped, and 0 elsewhere."""
        return np.where(
            (self.low < self.y) & (self.y < self.high), gy, gy.dtype.type(0)
        )


# The C side: lowering an operator gives calls as data; only the C writer prints them.


@dataclass(frozen=True)
class NullPtr:
    """A pointer the function does not use."""


@dataclass(frozen=True)
class InputPtr:
    """Pointer to an input of the layer; `writable` where the function takes no const.

    `index` counts the layer's inputs from 0.
    """

    writable: bool = False
    index: int = 0


@dataclass(frozen=True)
class OutputPtr:
    """Pointer to the layer's output."""


@dataclass(frozen=True)
class ScratchPtr:
    """Pointer to the call's scratch memory, NULL where it needs none."""


@dataclass(frozen=True)
class ScratchBytes:
    """Size of the call's scratch memory."""


@dataclass(frozen=True)
class ConstPtr:
    """Pointer to one of the call's constants, by the constant's name.

    `writable` marks the fields that the library declares without const although it only
    reads through them.
    """

    name: str
    writable: bool = False


@dataclass(frozen=True)
class Struct:
    """A struct the call takes by address: its C type and its fields in order."""

    ctype: str
    name: str
    fields: tuple[tuple[str, Argument], ...]


Pointer = NullPtr | InputPtr | OutputPtr | ScratchPtr | ConstPtr
Argument = int | ScratchBytes | Pointer | Struct


@dataclass(frozen=True)
class Constant:
    """An array in flash: `name` within the layer, a C element type, the values."""

    name: str
    ctype: str
    values: np.ndarray
    comment: str = ""


@dataclass(frozen=True)
class BufferSize:
    """How the library is asked what scratch a call needs: function and arguments."""

    function: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class KernelCall:
    """One call of a library function.

    Parameters
    ----------
    function : str
        Name of the function.
    header : str
        The header that declares it.
    arguments : tuple of Argument
        In the function's order.
    constants : tuple of Constant
        Arrays the arguments point to.
    scratch_bytes : int
        Scratch memory the call needs on the target's core class [bytes].
    buffer_size : BufferSize or None
        How the linked library is asked what its context must hold.
    in_place : bool
        The call works on the output's memory, which holds its input.
    destroys_input : bool
        The call leaves its input in an undefined state.
    status : str or None
        C type of what the function returns, zero for success; None: it returns nothing.
    """

    function: str
    header: str
    arguments: tuple[Argument, ...]
    constants: tuple[Constant, ...] = ()
    scratch_bytes: int = 0
    buffer_size: BufferSize | None = None
    in_place: bool = False
    destroys_input: bool = False
    status: str | None = "arm_cmsis_nn_status"

    @property
    def asks_scratch(self) -> bool:
        """Whether the linked library says how much scratch memory the call wants.

        It does not where the context is to hold a table.
        """
        contexts = (a.fields for a in self.arguments if isinstance(a, Struct))
        has_scratch = any(ScratchPtr() in dict(f).values() for f in contexts)
        return self.buffer_size is not None and has_scratch
