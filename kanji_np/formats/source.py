"""What a file from elsewhere says, as data: tensors, operators, inputs and outputs.

Readers of each format make it, checked; the tables of operators read it. Nothing here
is computed: names, shapes and numbers are those of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kanji_np.types import Shape


@dataclass(frozen=True, eq=False)
class Quantization:
    """How a tensor's integers stand for real values: ``scale * (q - zero_point)``.

    Parameters
    ----------
    scales : float64 (1,) or (C,)
        One for the whole tensor, or one for each index along `axis`. Where the file
        has float32, each is exactly one.
    zero_points : int64, as many
    axis : int
        Of a tensor with several.
    """

    scales: np.ndarray
    zero_points: np.ndarray
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        """Whether there are several scales."""
        return len(self.scales) > 1


@dataclass(frozen=True, eq=False)
class SourceTensor:
    """A tensor of the file.

    Parameters
    ----------
    name : str
        As in the file, or made of its number where it has none.
    shape : tuple of int
        With the batch, -1 where the file leaves a size open.
    dtype : str
        NumPy's name: "float32", "int8", "uint8", "int32", "int64", "bool"; "int4" is
        unpacked to int8 data.
    data : ndarray or None
        Of a constant.
    quantization : Quantization or None
    """

    name: str
    shape: Shape
    dtype: str
    data: np.ndarray | None = None
    quantization: Quantization | None = None


@dataclass(frozen=True, eq=False)
class SourceOp:
    """An operator of the file.

    Parameters
    ----------
    kind : str
        The format's own name: "CONV_2D", "Conv".
    name : str
        Of the node, or of its first output: what messages call it.
    inputs, outputs : tuple of int
        Numbers of tensors; -1: an optional input that is not there.
    options : mapping
        By the format's own names.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


@dataclass(frozen=True, eq=False)
class SourceNet:
    """A network as its file says it.

    Parameters
    ----------
    format : "tflite" or "onnx"
    tensors : tuple of SourceTensor
    ops : tuple of SourceOp
        Each after those whose outputs it reads.
    inputs, outputs : tuple of int
        Numbers of tensors.
    opset : int
        Version of ONNX's operators; 0 of another format.
    """

    format: str
    tensors: tuple[SourceTensor, ...]
    ops: tuple[SourceOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    opset: int = field(default=0, kw_only=True)
