"""Tables: what a network costs, layer by layer, and how fast it is trained.

`cost_report` needs no training: shapes, operations and memory follow from the operators
alone. Only the scales are provisional until the network has seen data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from kanji_np.types import Shape, shape_text

if TYPE_CHECKING:
    from kanji_np.bench import Bench, Breakdown
    from kanji_np.graph import Graph
    from kanji_np.model import Model


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
        from kanji_np.deploy.planner import arena_text

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
    from kanji_np.deploy.planner import lower, plan, scratch_bytes, works_in_place
    from kanji_np.graph import Graph
    from kanji_np.targets import generates_c

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


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, left_columns: int
) -> str:
    """Columns of text under a header; the first `left_columns` start at the left."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if i < left_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, [header, ["-" * width for width in widths], *rows]))


def speed_table(results: Sequence[Bench]) -> str:
    """Measurements of `kanji-np bench`, a line each."""
    header = (
        "network", "batch", "threads", "int8 train", "fp32 train", "int8 evaluate",
        "fp32 evaluate", "peak MB",
    )  # fmt: skip
    rows = []
    for r in results:
        times = (r.int8_train_ms, r.fp32_train_ms, r.int8_eval_ms, r.fp32_eval_ms)
        peak = "" if r.peak_rss_mb is None else f"{r.peak_rss_mb:,.0f}"
        rows.append(
            (
                r.network,
                str(r.batch),
                str(r.threads),
                *(f"{ms:,.1f}" for ms in times),
                peak,
            )
        )
    return (
        f"{machines(results)}\n\n"
        f"{text_table(header, rows, left_columns=1)}\n\n"
        "ms a batch, medians; train is a whole step, evaluate a forward pass"
    )


def breakdown_table(times: Breakdown) -> str:
    """Where the time of a training step goes, by layer and phase."""
    header = (
        "", "MAC an image", "forward ms", "backward ms", "total ms",
        "forward GMAC/s", "backward GMAC/s",
    )  # fmt: skip

    def rate(macs: int, ms: float) -> str:
        return f"{1e-6 * macs * times.batch / ms:.1f}" if macs and ms else ""

    rows: list[tuple[str, ...]] = [
        (
            layer.name,
            f"{layer.forward_macs:,}" if layer.forward_macs else "",
            f"{layer.forward_ms:.2f}",
            f"{layer.backward_ms:.2f}",
            f"{layer.forward_ms + layer.backward_ms:.2f}",
            rate(layer.forward_macs, layer.forward_ms),
            rate(layer.backward_macs, layer.backward_ms),
        )
        for layer in times.layers
    ]
    for name, ms in (
        ("loss", times.loss_ms),
        ("optimizer", times.optimizer_ms),
        ("rest", times.rest_ms),
        ("step", times.step_ms),
    ):
        rows.append((name, "", "", "", f"{ms:.2f}", "", ""))
    limits = (times.int8_rate, times.fp32_rate)
    rows.append(("limit", "", "", "", "", *(f"{1e-9 * n:.1f}" for n in limits)))
    threads = f"{times.threads} thread{'s' if times.threads > 1 else ''}"
    return (
        f"int8 training step, {times.network}, batch {times.batch}, "
        f"{threads}, {times.cpu}\n\n"
        f"{text_table(header, rows, left_columns=1)}\n\n"
        "means over the middle half of the steps; limit: what the machine was seen to\n"
        "do in int8 products (forward) and in float32 products (backward); gradients\n"
        "that are zero are not multiplied, but counted; sums in float32 of which\n"
        "batch normalization takes its statistics are formed forward, but not counted"
    )


def machines(results: Sequence[Bench]) -> str:
    """The CPUs that measurements were taken on, each once."""
    return "; ".join(dict.fromkeys(r.cpu for r in results))
