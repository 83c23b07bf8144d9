"""What a network costs, layer by layer, and how its training went.

`cost_report` needs no training: shapes, operations and memory follow from the operators
alone. Only the scales are provisional until the network has seen data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np.errors import ToolError
from kanji_np.types import Shape, shape_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kanji_np.graph import Graph
    from kanji_np.model import Sequential
    from kanji_np.train import EpochRecord, History

TRAINING, VALIDATION, INK, PALE = "#0b6e99", "#c4681c", "#333333", "#d8d8d8"


@dataclass(frozen=True)
class LayerReport:
    """One layer of a network.

    `ram_bytes` is what must be in memory while the layer runs: its input, its output
    unless that takes the input's place, and its scratch [bytes].
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
    """

    network: str
    target: str
    input_shape: Shape
    layers: tuple[LayerReport, ...]
    arena_bytes: int

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
            f"arena {self.arena_bytes:,} bytes: everything between input and output"
        )


def cost_report(network: Sequential | Graph) -> Report:
    """What a network costs on the device; it need not be trained.

    Parameters
    ----------
    network : Sequential or Graph
        Not changed.

    Returns
    -------
    Report
        Prints as a table.
    """
    from kanji_np.deploy.planner import lower, plan, scratch_bytes, works_in_place
    from kanji_np.graph import Graph

    graph = network if isinstance(network, Graph) else network.freeze()
    calls = lower(graph)
    planned = plan(graph, calls)
    layers = []
    for node, made, copies in zip(graph.nodes, calls, planned.copies, strict=True):
        x, y, cost = graph.tensors[node.inputs[0]], node.output, graph.cost(node)
        shares_input = (not made or works_in_place(made)) and not copies
        layers.append(
            LayerReport(
                name=node.name,
                op=node.op,
                output_shape=y.shape,
                scale=str(y.qparams),
                macs=cost.macs,
                flash_bytes=cost.flash_bytes,
                ram_bytes=x.size
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


def plot_history(history: History, path: str | Path) -> None:
    """Draw loss and accuracy of a training run, epoch by epoch.

    Parameters
    ----------
    history : History
        Of one epoch or more.
    path : path
        A `.png` file; other endings that matplotlib knows work as well.

    Raises
    ------
    ToolError
        matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise ToolError(
            "drawing curves needs matplotlib: pip install 'kanji-np[plot]'"
        ) from None

    records = history.epochs
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    loss, accuracy = figure.subplots(1, 2)
    epochs = [record.epoch for record in records]

    loss.set_title("training loss", loc="left", color=INK)
    loss.plot(epochs, [r.train_loss for r in records], color=TRAINING, marker="o", ms=3)
    loss.set_ylim(bottom=0)

    accuracy.set_title("accuracy [%]", loc="left", color=INK)
    training = [100 * r.train_accuracy for r in records]
    accuracy.plot(epochs, training, color=TRAINING, marker="o", ms=3, label="training")
    scores = [100 * r.validation_accuracy for r in records]
    # NaN, without validation data, draws nothing; its label would still show.
    if any(score == score for score in scores):
        accuracy.plot(
            epochs, scores, color=VALIDATION, marker="o", ms=3, label="validation"
        )
        accuracy.annotate(
            f"{scores[-1]:.2f}", (epochs[-1], scores[-1]), (6, 0),
            textcoords="offset points", va="center", color=VALIDATION,
        )  # fmt: skip
    accuracy.legend(loc="lower right", frameon=False, labelcolor=INK)

    for axes in (loss, accuracy):
        axes.set_xlabel("epoch", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(axis="y", color=PALE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        _mark_change_of_precision(axes, records)
    figure.savefig(path, dpi=120)


def _mark_change_of_precision(axes: Axes, records: Sequence[EpochRecord]) -> None:
    """A dotted line, named, where training went on in another precision."""
    for before, after in pairwise(records):
        if before.precision != after.precision:
            x = before.epoch + 0.5
            axes.axvline(x, color=INK, linewidth=0.8, linestyle=":")
            axes.annotate(
                f" {after.precision}", (x, 1), xycoords=("data", "axes fraction"),
                va="top", color=INK,
            )  # fmt: skip
