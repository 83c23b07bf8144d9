"""Where the copies of windows begin.

A copy takes longer where an address is not a multiple of a word. Buffers begin at
multiples of it, so the places of the taps in a window and in the image decide.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from kanji_np.cost.work.runtime import WORD, Copy, Fill
from kanji_np.cost.work.windows import Axis, Windows


@dataclass(frozen=True)
class Step:
    """How far apart two neighbours on an axis are: of the image, of the window, and of
    the outputs."""

    source: int
    to: int
    output: int


#: On the image or not, source, place in the window, number of the output by 2.
Place = tuple[bool, int, int, int]


def window_copies(
    w: Windows, item_bytes: int = 1
) -> tuple[Counter[Copy], Counter[Fill]]:
    """Copies of taps on the image into windows, and fills of those in the padding.

    Two windows stand behind each other, of items of so many bytes.
    """
    window = w.kernel_taps * w.depth
    is_even = window * item_bytes % WORD == 0
    rows = _places(
        w.rows,
        Step(
            w.columns.input * w.channels,
            w.columns.kernel * w.depth,
            0 if is_even else w.columns.output,
        ),
    )
    columns = _places(w.columns, Step(w.channels, w.depth, 0 if is_even else 1))
    copies, fills = Counter[Copy](), Counter[Fill]()
    n_bytes = w.depth * item_bytes
    groups = Counter(group * w.depth % WORD for group in range(w.groups))
    for (row_in, row_source, row_to, row), n_rows in rows.items():
        for (column_in, source, to, column), n_columns in columns.items():
            to = (row_to + to + (row + column) % 2 * window) * item_bytes % WORD
            times = n_rows * n_columns
            if not (row_in and column_in):
                fills[Fill(n_bytes, to)] += times * w.groups
                continue
            for group, n_groups in groups.items():
                start = (row_source + source + group) % WORD
                copies[Copy(n_bytes, to, start)] += times * n_groups
    return copies, fills


def _places(axis: Axis, step: Step) -> Counter[Place]:
    found = Counter[Place]()
    for output in range(axis.output):
        for tap in range(axis.kernel):
            at = output * axis.stride - axis.padding + tap * axis.dilation
            inside = 0 <= at < axis.input
            source = at * step.source % WORD if inside else 0
            found[inside, source, tap * step.to % WORD, output * step.output % 2] += 1
    return found
