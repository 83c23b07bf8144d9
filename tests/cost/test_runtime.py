"""What the C library's copies and fills take, and where those of windows begin."""

from collections import Counter
from itertools import product

import pytest

from kanji_np.cost.work.places import window_copies
from kanji_np.cost.work.runtime import (
    Copy,
    Fill,
    copied,
    copy_instructions,
    division_on_v6m,
    filled,
)
from kanji_np.cost.work.windows import Axis, Windows


def of_copy(copy: Copy) -> tuple[float, float, float]:
    counts = copied("copies", [(copy, 1)], "c")
    assert counts["copies"] == 1
    return (
        counts["copies.instructions"],
        counts["copies.blocks"],
        counts["copies.instructions on v6-M"],
    )


def test_a_copy_takes_more_where_it_is_not_aligned():
    # As disassembled: 64, then 16, then 8 bytes, then two
    aligned, blocks, v6m = of_copy(Copy(64 + 16 + 8 + 2))
    assert (aligned, blocks) == (4 + 2 + 32 + 2 + 8 + 2 + 2 * 4 + 4 + 7, 2)
    assert v6m == 4 + 7 + 18 + 5 * 13 + (2 * 6 + 8) + 3 + 1 + 2 * 6 + 1
    loose, same, v6m_loose = of_copy(Copy(90, to=1, source=3))
    assert loose == aligned + 2 + 2 + 2 + 10 - 4 and same == blocks
    assert v6m_loose == 4 + 7 + 2 + 1 + 90 * 6 + 1


def test_a_short_copy_that_is_not_aligned_is_of_bytes():
    assert of_copy(Copy(7, to=1))[0] == 4 + 2 + 2 + 4 * 4 + 8
    assert of_copy(Copy(3, to=1))[0] == 4 + 2 + 2 + 4 + 7
    assert of_copy(Copy(0))[0] == 14


@pytest.mark.parametrize("to", range(4))
def test_a_fill_takes_more_for_each_byte(to):
    def of(n):
        return filled("fills", [(Fill(n, to), 1)], "c")

    counts = [of(n) for n in range(200)]
    for part in ("fills.instructions", "fills.instructions on v6-M"):
        taken = [each[part] for each in counts]
        # a block of 16 bytes takes seven
        assert {b - a for a, b in zip(taken[64:], taken[80:], strict=False)} == {7}
        assert min(taken) == taken[0]


def test_copies_take_fewer_instructions_on_cores_that_count_blocks_in_two():
    assert copy_instructions(1024, "cortex-m33") - copy_instructions(
        1024, "cortex-m4"
    ) == 2 * (1024 // 64)
    assert copy_instructions(1024, "cortex-m0plus") > copy_instructions(
        1024, "cortex-m3"
    )


def test_a_division_takes_longer_the_more_bits_its_quotient_has():
    quotients = [1, 2, 16]
    taken = [division_on_v6m(3 * q, 3) for q in quotients]
    assert taken == [4 + 3 + 5, 4 + 6 + 12 + 2 + 5 + 1, 4 + 9 + 28 + 2 + 5 + 1]
    assert division_on_v6m(-3, 3) == 11 + 3 + 12 + 1 + 12


@pytest.mark.parametrize(("depth", "groups"), [(3, 1), (4, 1), (2, 3), (5, 2)])
@pytest.mark.parametrize("item_bytes", [1, 2])
def test_copies_of_windows_begin_where_a_loop_over_them_finds(
    depth, groups, item_bytes
):
    rows, columns = Axis(5, 3, 3, 2, 1), Axis(7, 2, 7, 1, 1, 2)
    channels = depth * groups
    w = Windows(rows, columns, channels, 4, depth)
    copies, fills = Counter(), Counter()
    for group in range(groups):
        to, cell = 0, 0
        for y, x in product(range(rows.output), range(columns.output)):
            for tap_y, tap_x in product(range(rows.kernel), range(columns.kernel)):
                at_y = y * rows.stride - rows.padding + tap_y
                at_x = x - columns.padding + tap_x * columns.dilation
                place = to * item_bytes % 4
                to += depth
                if not (0 <= at_y < rows.input and 0 <= at_x < columns.input):
                    fills[Fill(depth * item_bytes, place)] += 1
                    continue
                source = (at_y * columns.input + at_x) * channels + group * depth
                copies[Copy(depth * item_bytes, place, source % 4)] += 1
            cell += 1
            to *= cell % 2
    assert window_copies(w, item_bytes) == (copies, fills)
