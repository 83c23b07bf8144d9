"""What a network costs, layer by layer; it need not be trained.

Shapes, operations and memory follow from the operators alone. Only the scales are
provisional until the network has seen data.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from kanji_np.deploy.planner import (
    arena_text,
    lower,
    plan,
    scratch_bytes,
    works_in_place,
)
from kanji_np.graph import Graph
from kanji_np.model import Model
from kanji_np.report.tables import text_table
from kanji_np.targets import generates_c
from kanji_np.types import Shape, shape_text


@dataclass(frozen=True)
class LayerReport:
    """One layer of a network.

    Parameters
    ----------
    name, op : str
        Of the layer and of its operator.
    output_shape : tuple of int
    scale : str
        Of the output, for reading: "2^-5", or a number.
    macs : int
        Multiply-accumulates of one inference [MAC].
    flash_bytes : int
        Weights, biases and tables [bytes].
    ram_bytes : int
        What must be in memory while the layer runs: its input, its output unless that
        takes the input's place, and its scratch [bytes].
    """

    name: str
    op: str
    output_shape: Shape
    scale: str
    macs: int
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class Report:
    """The layers of a network in order, and their sums.

    Parameters
    ----------
    network, target : str
    input_shape : tuple of int
    layers : tuple of LayerReport
    arena_bytes : int
        Working memory of one inference as the exported C lays it out: activations and
        scratch [bytes]. The network's input and output are the caller's, not in it.
    lower_bound_bytes : int
        No layout of the same does with less [bytes].
    """

    network: str
    target: str
    input_shape: Shape
    layers: tuple[LayerReport, ...]
    arena_bytes: int
    lower_bound_bytes: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference [MAC]."""
        return sum(layer.macs for layer in self.layers)

    @property
    def flash_bytes(self) -> int:
        """Weights, biases and tables [bytes]; code not included."""
        return sum(layer.flash_bytes for layer in self.layers)

    def json(self) -> str:
        """The report as one JSON object on one line."""
        totals = {"macs": self.macs, "flash_bytes": self.flash_bytes}
        return json.dumps(asdict(self) | totals)

    def __str__(self) -> str:

        header = ("layer", "output", "scale", "MAC", "flash", "RAM")
        rows = [
            (
                layer.name,
                shape_text(layer.output_shape),
                layer.scale,
                f"{layer.macs:,}",
                f"{layer.flash_bytes:,}",
                f"{layer.ram_bytes:,}",
            )
            for layer in self.layers
        ]
        rows.append(("total", "", "", f"{self.macs:,}", f"{self.flash_bytes:,}", ""))
        table = text_table(header, rows, left_columns=3)
        input_shape = shape_text(self.input_shape)
        return (
            f"{self.network} for {self.target}, input {input_shape}\n\n"
            f"{table}\n\n"
            f"flash and RAM in bytes; code not included\n"
            f"arena {arena_text(self.arena_bytes, self.lower_bound_bytes)}: "
            "everything between input and output"
        )


def cost_report(network: Model | Graph) -> Report:
    """What a network costs on the device; it need not be trained.

    Parameters
    ----------
    network : Model or Graph
        Not changed. A Model for a runtime costs what it does with CMSIS-NN.

    Returns
    -------
    Report
        Prints as a table.

    Raises
    ------
    UnsupportedOp
        The library has no kernel for a layer, or a Graph is for a runtime.
    """
    if isinstance(network, Graph):
        graph = network
    elif generates_c(network.target):
        graph = network.freeze()
    else:
        graph = network.for_target("cmsis-nn").freeze()
    calls = lower(graph)
    planned = plan(graph, calls)
    layers = []
    for node, made, copies in zip(graph.nodes, calls, planned.copies, strict=True):
        x_bytes = sum(graph.tensors[tensor].size for tensor in {*node.inputs})
        y, cost = node.output, graph.cost(node)
        shares_input = (not made or works_in_place(made)) and not copies
        layers.append(
            LayerReport(
                name=node.name,
                op=node.op,
                output_shape=y.shape,
                scale=str(y.qparams),
                macs=cost.macs,
                flash_bytes=cost.flash_bytes,
                ram_bytes=x_bytes
                + (0 if shares_input else y.size)
                + scratch_bytes(made),
            )
        )
    return Report(
        network=graph.name,
        target=str(graph.target),
        input_shape=graph.input.shape,
        layers=tuple(layers),
        arena_bytes=planned.arena_bytes,
        lower_bound_bytes=planned.lower_bound_bytes,
    )
