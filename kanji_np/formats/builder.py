"""Layers from the operators of a file, and the table of what became what.

The tables of operators of each format call `Builder`; it makes layers, gives them the
file's parameters and scales, and assembles the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kanji_np.layers import Symbol
from kanji_np.model import Model
from kanji_np.types import LinearParams, QParams, Shape, TargetSpec


@dataclass(frozen=True, eq=False)
class IntWeights:
    """Weights as a file of integers has them.

    Parameters
    ----------
    weight : int8 (Cout, ...)
        In the layout of `LinearParams`, -128..127.
    bias : int32 (Cout,)
        At the scale of the sums.
    scales : float64 (Cout,)
        Of the weight; zero points are 0.
    """

    weight: np.ndarray
    bias: np.ndarray
    scales: np.ndarray


@dataclass(frozen=True)
class MappedLayer:
    """A row of the table that `kanji-np import` prints.

    Parameters
    ----------
    source : str
        The operators of the file that the layer stands for: "CONV_2D", "Conv + Relu".
    layer : str
        Name of our layer.
    op : str
        Our operator.
    shape : tuple of int
        Of its output.
    scale : str
        Scale and zero point of its output as the file has them, or "".
    notes : tuple of str
        What was fused, folded or left out: "Relu fused", "batch normalization folded".
    """

    source: str
    layer: str
    op: str
    shape: Shape
    scale: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Imported:
    """A network from elsewhere, and how its layers were made."""

    network: Model
    layers: tuple[MappedLayer, ...]
    dropped: tuple[str, ...]


class Builder:
    """Makes a network layer by layer.

    Parameters
    ----------
    target : TargetSpec
    name : str
        Of the network: a C identifier in lower case.
    """

    def __init__(self, target: TargetSpec, name: str) -> None:
        raise NotImplementedError

    def input(self, shape: Shape, qparams: QParams | None = None) -> Symbol:
        """The network's input, without the batch, channels last.

        `qparams` are the file's; None of a float network: calibration finds them.
        """
        raise NotImplementedError

    def layer(
        self,
        op: str,
        attrs: Any,
        inputs: Sequence[Symbol],
        *,
        source: str,
        params: LinearParams | IntWeights | None = None,
        output: QParams | None = None,
        constants: Any = None,
        notes: Sequence[str] = (),
        name: str | None = None,
    ) -> Symbol:
        """One layer.

        Parameters
        ----------
        op : str
            Key of `ops.OPS`.
        attrs : dataclass
            The operator's attributes, with what is fused.
        inputs : sequence of Symbol
        source : str
            What stands in the table, "CONV_2D".
        params : LinearParams (float32), IntWeights or None
            Of an operator with weights.
        output : QParams or None
            The file's, of an operator that tracks its output; it keeps them. Of another
            operator: what its output must have, or UnsupportedOp.
        constants : Constants or None
        notes : sequence of str
            See `MappedLayer`.
        name : str or None
            The layer's, where the file has a telling one: made a C identifier, and
            numbered if used before.
        """
        raise NotImplementedError

    def shape(self, symbol: Symbol) -> Shape:
        """The shape of a tensor, without the batch."""
        raise NotImplementedError

    def drop(self, source: str, why: str) -> None:
        """Note an operator that nothing is made of: "Dropout", "Identity"."""
        raise NotImplementedError

    def finish(self, output: Symbol) -> Imported:
        """The network, built."""
        raise NotImplementedError
