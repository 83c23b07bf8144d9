"""What a network costs, layer by layer, how its training went, and how fast.

`cost_report` needs no training: shapes, operations and memory follow from the operators
alone. Only the scales are provisional until the network has seen data.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, pairwise
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np import outputs
from kanji_np.errors import OptionError, ToolError
from kanji_np.types import Shape, shape_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kanji_np.bench import Bench, Breakdown
    from kanji_np.graph import Graph
    from kanji_np.model import Sequential
    from kanji_np.train import EpochRecord, History

DRAWING = "a drawing of this program"
BLUE, ORANGE, INK, PALE = "#0b6e99", "#c4681c", "#333333", "#d8d8d8"


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
    figure = _figure(9, 3.6)
    from matplotlib.ticker import MaxNLocator

    records = history.epochs
    loss, accuracy = figure.subplots(1, 2)
    epochs = [record.epoch for record in records]

    loss.set_title("training loss", loc="left", color=INK)
    loss.plot(epochs, [r.train_loss for r in records], color=BLUE, marker="o", ms=3)
    loss.set_ylim(bottom=0)

    accuracy.set_title("accuracy [%]", loc="left", color=INK)
    training = [100 * r.train_accuracy for r in records]
    accuracy.plot(epochs, training, color=BLUE, marker="o", ms=3, label="training")
    scores = [100 * r.validation_accuracy for r in records]
    # NaN, without validation data, draws nothing; its label would still show.
    if any(score == score for score in scores):
        accuracy.plot(
            epochs, scores, color=ORANGE, marker="o", ms=3, label="validation"
        )
        accuracy.annotate(
            f"{scores[-1]:.2f}", (epochs[-1], scores[-1]), (6, 0),
            textcoords="offset points", va="center", color=ORANGE,
        )  # fmt: skip
    accuracy.legend(loc="lower right", frameon=False, labelcolor=INK)

    for axes in (loss, accuracy):
        axes.set_xlabel("epoch", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _plain(axes)
        _mark_change_of_precision(axes, records)
    _save(figure, path)


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
        f"{_machines(results)}\n\n"
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

    rows = [
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


def check_plot(path: Path) -> None:
    """Before anything slow: OptionError or ToolError if `path` cannot be drawn."""
    if path.suffix != ".png":
        raise OptionError(f"a plot's file must end in .png, got {path}")
    outputs.check(path, outputs.is_drawing, DRAWING, "name another file")
    _figure(1, 1)


def plot_speed(results: Sequence[Bench], path: str | Path) -> None:
    """Draw the time of a training step against batch and against network.

    Batches are of the network that was measured with most of them, networks of the
    batch that was, and of the middle one of several. Each number of threads is a line.

    Parameters
    ----------
    results : sequence of Bench
        One or more.
    path : path
        A `.png` file.

    Raises
    ------
    ToolError
        matplotlib is not installed.
    """
    figure = _figure(9, 3.9)
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    order = sorted({r.network for r in results}, key=_by_numbers)
    places = [order.index(r.network) for r in results]
    network = order[_most_measured(places, [r.batch for r in results])]
    batch = _most_measured([r.batch for r in results], places)
    of_network = [r for r in results if r.network == network]
    of_batch = [r for r in results if r.batch == batch]
    by_batch, by_network = figure.subplots(1, 2, sharey=True)

    by_batch.set_title(f"training step [ms], {network}", loc="left", color=INK)
    by_batch.set_xlabel("batch", color=INK)
    by_batch.set_xscale("log", base=2)
    batches = sorted({r.batch for r in of_network})
    by_batch.set_xticks(batches, map(str, batches))
    _draw_steps(by_batch, of_network, attrgetter("batch"))
    by_batch.legend(loc="lower right", frameon=False, labelcolor=INK)

    by_network.set_title(f"training step [ms], batch {batch}", loc="left", color=INK)
    by_network.set_xlabel("network", color=INK)
    names = [name for name in order if name in {r.network for r in of_batch}]
    lines = [name.replace(" ", "\n", 1) for name in names]
    by_network.set_xticks(range(len(names)), lines)
    _draw_steps(by_network, of_batch, lambda r: names.index(r.network))

    for axes in (by_batch, by_network):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.08)
        _plain(axes)
    figure.supxlabel(
        _machines(results), x=0.995, ha="right", fontsize="small", color=INK
    )
    _save(figure, path)


def _draw_steps(
    axes: Axes, results: Sequence[Bench], place: Callable[[Bench], int]
) -> None:
    """Lines of step times, one a precision and number of threads, at `place`."""
    counts = sorted({r.threads for r in results}, reverse=True)
    styles = dict(zip(counts, cycle(("-", "--", ":", "-.")), strict=False))
    for threads in reversed(counts):
        mine = sorted((r for r in results if r.threads == threads), key=place)
        places = [place(r) for r in mine]
        noun = "thread" if threads == 1 else "threads"
        for precision, color, time in (
            ("fp32", ORANGE, attrgetter("fp32_train_ms")),
            ("int8", BLUE, attrgetter("int8_train_ms")),
        ):
            axes.plot(
                places, [time(r) for r in mine], styles[threads], color=color,
                marker="o", ms=3, label=f"{precision}, {threads} {noun}",
            )  # fmt: skip


def _most_measured(items: Sequence[int], others: Sequence[int]) -> int:
    """The item that stands beside most different others, or the middle of several."""
    counts = Counter(item for item, _ in set(zip(items, others, strict=True)))
    most = sorted(item for item in counts if counts[item] == max(counts.values()))
    return most[(len(most) - 1) // 2]


def _by_numbers(name: str) -> list[str | int]:
    """A key that sorts numbers within names by their value."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _machines(results: Sequence[Bench]) -> str:
    return "; ".join(dict.fromkeys(r.cpu for r in results))


def _figure(width: float, height: float) -> Figure:
    """An empty figure [inches], or a ToolError."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ToolError(
            "drawing curves needs matplotlib: pip install 'kanji-np[plot]'"
        ) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: str | Path) -> None:
    """Write a figure that says of itself who drew it."""
    outputs.check(path, outputs.is_drawing, DRAWING, "name another file")
    kind, data = Path(path).suffix[1:] or "png", io.BytesIO()
    author = {"Software": outputs.SOFTWARE} if kind == "png" else None
    figure.savefig(data, dpi=120, format=kind, metadata=author)
    outputs.write(path, data.getvalue())


def _plain(axes: Axes) -> None:
    """Two spines and a pale grid."""
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
