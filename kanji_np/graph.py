"""The frozen integer program: what is deployed, and what proves it.

`Graph.run` is the golden model: the same integers, in the same order, as the exported
C. Nothing in a graph is floating except the scales that say what its integers mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from kanji_np.ops import OPS, Op
from kanji_np.ops.op import attrs_text
from kanji_np.quantize import quantize_inputs, real_inputs
from kanji_np.types import Cost, KernelCall, TargetSpec, TensorSpec


@dataclass(frozen=True)
class Node:
    """One layer of a frozen graph.

    Parameters
    ----------
    name : str
        Unique in its graph.
    op : str
        Key of `ops.OPS`.
    attrs : dataclass
        The operator's attributes.
    ints : dataclass
        The integers that its `forward_int` takes.
    inputs : tuple of int
        Tensors read: 0 is the graph's input, i + 1 the output of node i.
    output : TensorSpec
    """

    name: str
    op: str
    attrs: Any
    ints: Any
    inputs: tuple[int, ...]
    output: TensorSpec

    @property
    def operator(self) -> Op:
        """The operator that `op` names."""
        return OPS[self.op]


def noise(tensor: TensorSpec, count: int) -> np.ndarray:
    """`count` samples of uniform noise for an input, the same on every call."""
    low, high = (0, 256) if tensor.dtype == "uint8" else (-128, 128)
    rng = np.random.default_rng(0)
    return rng.integers(low, high, (count, *tensor.shape)).astype(tensor.dtype)


def integers_of(tensor: TensorSpec, x: np.ndarray, owner: str) -> np.ndarray:
    """Samples for an input, checked, in its own dtype; see `Graph.quantize_inputs`."""
    if x.dtype.kind != "f":
        return x
    assert tensor.qparams is not None  # only images have none
    return quantize_inputs(real_inputs(x, owner), tensor.qparams)


@dataclass(frozen=True)
class Graph:
    """A frozen network.

    Parameters
    ----------
    name : str
    target : TargetSpec
    input : TensorSpec
    nodes : tuple of Node
        In the order they run. The last one's output is the network's.
    classes : tuple of str
        What the outputs are called; empty if it is not known.
    """

    name: str
    target: TargetSpec
    input: TensorSpec
    nodes: tuple[Node, ...]
    classes: tuple[str, ...] = ()

    @property
    def output(self) -> TensorSpec:
        """What the network gives: shape, dtype and scale."""
        return self.tensors[-1]

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Input and every node's output, in the numbering of `Node.inputs`."""
        return (self.input, *(node.output for node in self.nodes))

    def quantize_inputs(self, x: np.ndarray) -> np.ndarray:
        """Samples as `run` takes them: real values become int8.

        Parameters
        ----------
        x : uint8, int8 or floating (N, *input.shape)
            Real values for an int8 input, which are rounded to multiples of its scale,
            halves away from zero, and clamped.

        Returns
        -------
        uint8 or int8 (N, *input.shape)
            What is of the input's dtype stays as it is.

        Raises
        ------
        ShapeError
            If shape or dtype of `x` does not fit the input.
        DataError
            If a real value is not finite.
        """
        self.input.check_inputs(x, self.name)
        return integers_of(self.input, x, self.name)

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs of a batch, byte for byte what the device computes.

        Parameters
        ----------
        x : uint8 or int8 (N, *input.shape)
            As `input.dtype` says.

        Returns
        -------
        int8 (N, *output.shape)

        Raises
        ------
        ShapeError
            If shape or dtype of `x` is not the input's.
        """
        *_, y = self.layers(x)
        return y

    def layers(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """Every node's output for a batch, in order.

        Parameters
        ----------
        x : uint8 or int8 (N, *input.shape)
            As for `run`.

        Yields
        ------
        int8 (N, *output.shape) of each node
        """
        self.input.check_batch(x, self.name)
        values = [x]
        for node in self.nodes:
            xs = tuple(values[i] for i in node.inputs)
            values.append(node.operator.run_int(node.attrs, node.ints, xs))
            yield values[-1]

    def calls(self, node: Node) -> tuple[KernelCall, ...]:
        """The calls of library functions that compute one node.

        Parameters
        ----------
        node : Node
            One of `nodes`.

        Raises
        ------
        UnsupportedOp
            The target's library cannot compute it.
        """
        xs = tuple(self.tensors[i] for i in node.inputs)
        return node.operator.lower(node.attrs, node.ints, xs, node.output, self.target)

    def cost(self, node: Node, calls: Iterable[KernelCall] | None = None) -> Cost:
        """What one node costs in one inference.

        Parameters
        ----------
        node : Node
            One of `nodes`.
        calls : iterable of KernelCall, optional
            Its `calls`, where they were made already.

        Returns
        -------
        Cost
            Its flash is what the constants of its calls take [bytes].
        """
        shapes = tuple(self.tensors[i].shape for i in node.inputs)
        cost = node.operator.cost(node.attrs, shapes, self.target)
        calls = self.calls(node) if calls is None else calls
        constants = (c for call in calls for c in call.constants)
        return replace(cost, flash_bytes=sum(c.values.nbytes for c in constants))

    def layer_text(self, number: int) -> str:
        """How messages name a layer: "layer 2 (conv1)".

        Parameters
        ----------
        number : int
            From 1, as in the generated C.
        """
        return f"layer {number} ({self.nodes[number - 1].name})"

    def digest(self) -> str:
        """SHA-256 over everything that decides an output byte, as hex digits."""
        sha = hashlib.sha256(f"{self.target}{self.input}".encode())
        for node in self.nodes:
            attrs = attrs_text(node.attrs)
            sha.update(f"{node.op}{attrs}{node.inputs}{node.output}".encode())
            _add_fields(sha, node.ints)
        return sha.hexdigest()


def _add_fields(sha: Any, ints: Any) -> None:
    """Feed a dataclass of integers and arrays, or None, to a hash."""
    for f in fields(ints) if ints is not None else ():
        if not f.compare:  # decides no byte
            continue
        value = getattr(ints, f.name)
        if isinstance(value, np.ndarray):
            sha.update(f"{f.name}{value.dtype.str}{value.shape}".encode())
            sha.update(np.ascontiguousarray(value).tobytes())
        elif is_dataclass(value):
            sha.update(f.name.encode())
            _add_fields(sha, value)
        else:
            sha.update(f"{f.name}{value}".encode())
