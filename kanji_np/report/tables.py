"""Tables as text, and those of measured speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kanji_np.bench import Bench, Breakdown


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


def percent(part: float) -> str:
    """A part of 1 as "87.50 %"; nothing of NaN."""
    return "" if math.isnan(part) else f"{100 * part:.2f} %"


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
