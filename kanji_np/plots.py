"""Plots: how a training went, how fast training is, what quantization costs.

matplotlib draws them.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, pairwise
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np import outputs
from kanji_np.errors import OptionError, ToolError
from kanji_np.report import machines
from kanji_np.report.scores import MOST_CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kanji_np.bench import Bench
    from kanji_np.comparison.compare import Comparison
    from kanji_np.comparison.panels import Panel
    from kanji_np.explanation import Explanation
    from kanji_np.report import Scores
    from kanji_np.train import EpochRecord, History

DRAWING = "a drawing of this program"
#: What drawings say of who drew them; no date, so that equal ones are equal files.
AUTHOR = {
    "png": {"Software": outputs.SOFTWARE},
    "svg": {"Creator": outputs.SOFTWARE, "Date": None},
}
BLUE, ORANGE, INK, PALE = "#0b6e99", "#c4681c", "#333333", "#d8d8d8"
SERIES = (BLUE, ORANGE, "#6b4fa0", "#3f7a3a", "#a1355b", "#6d6a2c")


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


def check_plot(path: Path, endings: Sequence[str] = (".png",)) -> None:
    """Before anything slow: OptionError or ToolError if `path` cannot be drawn."""
    if path.suffix not in endings:
        raise OptionError(
            f"a plot's file must end in {' or '.join(endings)}, got {path}"
        )
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
        machines(results), x=0.995, ha="right", fontsize="small", color=INK
    )
    _save(figure, path)


def plot_explanation(explanation: Explanation, path: str | Path) -> None:
    """Draw where a network loses accuracy, layer by layer.

    Above are the signal-to-noise ratios, without a point where nothing is lost; below
    is how much of the int8 range a layer uses, and how much of its output is clamped.

    Parameters
    ----------
    explanation : Explanation
    path : path
        A `.png` file.

    Raises
    ------
    ToolError
        matplotlib is not installed.
    """
    layers = explanation.layers
    figure = _figure(max(7, 4 + 0.32 * len(layers)), 5.6)
    noise, share = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    places = range(len(layers))

    noise.set_title(
        f"signal to quantization noise [dB], {explanation.network}",
        loc="left", color=INK,
    )  # fmt: skip
    for label, color, style, ratio in (
        ("network up to the layer", BLUE, "o-", attrgetter("sqnr_db")),
        ("layer alone", ORANGE, "s", attrgetter("own_sqnr_db")),
        ("effect on the output", INK, "v", attrgetter("effect_sqnr_db")),
    ):
        values = [_or_nan(ratio(layer)) for layer in layers]
        noise.plot(places, values, style, color=color, ms=4, label=label)

    share.set_title("outputs [%]", loc="left", color=INK)
    used = [100 * layer.range_used for layer in layers]
    share.bar(places, used, color=PALE, label="range used")
    clamped = [100 * layer.clamped for layer in layers]
    share.bar(places, clamped, color=ORANGE, width=0.4, label="clamped")
    share.set_ylim(0, 100)
    share.set_xticks(places, [layer.name for layer in layers], rotation=90)
    for axes in (noise, share):
        axes.legend(
            loc="upper left", bbox_to_anchor=(1, 1), frameon=False, labelcolor=INK
        )
        _plain(axes)
    _save(figure, path)


def plot_confusion(scores: Scores, path: str | Path) -> None:
    """Draw how often each class was taken for each other, by its share of the class.

    Parameters
    ----------
    scores : Scores
    path : path
        A `.png` file.

    Raises
    ------
    ToolError
        matplotlib is not installed.
    """
    classes, matrix = scores.classes, scores.confusion
    side = 2.4 + 0.34 * len(classes)
    figure = _figure(max(side, 5), max(side - 0.8, 3))
    axes = figure.subplots()
    axes.set_title(
        f"{scores.network} on {scores.data}, {scores.precision}: "
        f"{100 * scores.accuracy:.2f} % of {scores.images:,} images",
        loc="left", color=INK,
    )  # fmt: skip
    shares = [[n / (sum(row) or 1) for n in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xlabel("taken for", color=INK)
    axes.set_ylabel("class", color=INK)
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    if len(classes) <= MOST_CLASSES:
        for i, row in enumerate(matrix):
            for k, n in enumerate(row):
                color = "white" if shares[i][k] > 0.5 else INK
                axes.text(
                    k, i, f"{n:,}" if n else "", ha="center", va="center",
                    fontsize="small", color=color,
                )  # fmt: skip
    _plain(axes)
    _save(figure, path)


def plot_conversion(
    title: str,
    scores: Mapping[str, float],
    epochs: Sequence[float],
    path: str | Path,
) -> None:
    """Draw what a network from elsewhere scores in float, converted, and trained on.

    Parameters
    ----------
    title : str
    scores : mapping of "fp32" and "int8" to scores
        Of the float network, and right after conversion.
    epochs : sequence of float
        In int8 after each epoch, on the scale of `scores`.
    path : path
        A `.png` file.

    Raises
    ------
    ToolError
        matplotlib is not installed.
    """
    figure = _figure(max(6, 4 + 0.4 * len(epochs)), 3.6)
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    axes.set_title(title, loc="left", color=INK)
    if "fp32" in scores:
        label = f"float32, {scores['fp32']:.4g}"
        axes.axhline(scores["fp32"], color=ORANGE, label=label)
    values = [*([scores["int8"]] if "int8" in scores else []), *epochs]
    first = 0 if "int8" in scores else 1
    places = range(first, first + len(values))
    axes.plot(places, values, color=BLUE, marker="o", ms=4, label="int8")
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            f"{value:.4g}", (place, value), (0, 6), textcoords="offset points",
            ha="center", color=BLUE,
        )  # fmt: skip
    axes.set_xlabel("epochs after conversion", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(x=0.1, y=0.2)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, labelcolor=INK)
    _plain(axes)
    _save(figure, path)


def plot_comparison(comparison: Comparison, path: str | Path) -> None:
    """Draw networks side by side: accuracy over each cost, with the Pareto fronts.

    Without accuracies, flash is drawn over the other costs. Points on a front are
    filled; networks that do not fit their board are left out.

    Parameters
    ----------
    comparison : Comparison
    path : path
        A `.png` or `.svg` file.

    Raises
    ------
    ToolError
        matplotlib is not installed.
    """
    from kanji_np.comparison.panels import panels, series_of

    drawn = [panel for panel in panels(comparison.rows) if panel.points]
    columns = min(2, max(1, len(drawn)))
    rows = max(1, -(-len(drawn) // columns))
    figure = _figure(5.2 * columns, 3.9 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    colors = dict(zip(series_of(comparison.rows), cycle(SERIES), strict=False))
    for axes, panel in zip(grid, drawn, strict=False):
        _draw_panel(axes, panel, colors)
    for axes in grid[len(drawn) :]:
        axes.set_axis_off()
    if drawn:
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=3, frameon=False,
            labelcolor=INK,
        )  # fmt: skip
    _save(figure, path)


def _draw_panel(axes: Axes, panel: Panel, colors: Mapping[str, str]) -> None:
    """Points of a panel, with ranges; those on a front are filled, and joined."""
    axes.set_title(panel.y_title, loc="left", color=INK)
    axes.set_xlabel(panel.x_title, color=INK)
    for series, color in colors.items():
        points = [p for p in panel.points if p.series == series]
        front = sorted((p for p in points if p.is_on_front), key=attrgetter("x"))
        for p in points:
            axes.errorbar(
                p.x, p.y, xerr=[[p.x - p.x_low], [p.x_high - p.x]], fmt="o", ms=5,
                color=color, mfc=color if p.is_on_front else "white",
                elinewidth=0.8, alpha=0.9,
            )  # fmt: skip
        axes.plot(
            [p.x for p in front], [p.y for p in front], "-", color=color,
            linewidth=0.8, label=series,
        )  # fmt: skip
    axes.margins(x=0.15, y=0.15)
    axes.set_xlim(left=0)
    _plain(axes)
    _name_fronts(axes, panel)


def _name_fronts(axes: Axes, panel: Panel) -> None:
    """Names beside the points on a front, as far as there is room."""
    from kanji_np.comparison.panels import labelled

    to_pixels = axes.transData
    places = [
        (*to_pixels.transform((p.x, p.y)), p.label)
        for p in panel.points
        if p.is_on_front
    ]
    for x, y, text in labelled(places, axes.bbox.x1):
        place = to_pixels.inverted().transform((x, y))
        axes.annotate(
            text, (place[0], place[1]), (0, 5),
            textcoords="offset points", fontsize="small", color=INK,
        )  # fmt: skip


def _or_nan(value: float | None) -> float:
    """A value to draw, NaN for none."""
    return value if value is not None and math.isfinite(value) else math.nan


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
    from matplotlib import rc_context

    outputs.check(path, outputs.is_drawing, DRAWING, "name another file")
    kind, data = Path(path).suffix[1:] or "png", io.BytesIO()
    with rc_context({"svg.hashsalt": outputs.SOFTWARE}):
        figure.savefig(data, dpi=120, format=kind, metadata=AUTHOR.get(kind))
    outputs.write(path, data.getvalue())


def _plain(axes: Axes) -> None:
    """Two spines and a pale grid."""
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
