"""No kernel of ccore gets slower unnoticed: every count stays within 2 % of its row.

Counts repeat exactly; the 2 % are room for a shared helper that GCC compiles a little
differently beside other code. Too few instructions fail as too many do: behind a row
that is too high the next loss would hide. A change that is meant renews the table, and
its diff shows what each kernel gained or lost.

The rows are counts of one version of GCC, which the table names. With another version
nothing is left out: a kernel may then take between half and twice its row, which is
more than versions differ by, and less than a loop that has fallen apart.
"""

import functools
import re
from dataclasses import replace

import numpy as np
import pytest

from kanji_np.deploy.emulator import MACHINES, compiler

from . import instructions
from .driver import SOURCES, Build, build_runner
from .instructions import CASES, CORES, RENEW, Table

SAME_COMPILER, OTHER_COMPILER = (0.98, 1.02), (0.5, 2.0)
RUNS = [(api, core) for api in CASES for core in CORES]
every_run = pytest.mark.parametrize(("api", "core"), RUNS)

counted = functools.cache(instructions.run)


def complaints(
    table: Table, api: str, core: str, counts: dict[str, int], found: str
) -> list[str]:
    """A line for each count that is too far from its row; `found` is the compiler."""
    low, high = SAME_COMPILER if found == table.compiler else OTHER_COMPILER
    lines = []
    for case, count in counts.items():
        row = table.counts.get((api, case, core))
        if row is None:
            lines.append(f"{case} on {core}: {count:,} instructions, not in the table")
        elif not low * row <= count <= high * row:
            change = f"{100 * (count / row - 1):+.1f} %"
            lines.append(
                f"{case} on {core}: {count:,} instructions, the table says {row:,} "
                f"({change})"
            )
    return lines


@every_run
def test_instructions_are_those_of_the_table(api, core):
    table, counts = Table.read(), counted(api, core).instructions
    lines = complaints(table, api, core, counts, compiler())
    about = f"{compiler()}, the table is of {table.compiler}; if meant: {RENEW}"
    assert not lines, "\n".join([*lines, about])


def test_table_has_a_row_for_each_case_and_no_more():
    wanted = [
        (api, case, core) for api in CASES for case in CASES[api] for core in CORES
    ]
    assert list(Table.read().counts) == wanted, f"renew the table: {RENEW}"


@every_run
def test_every_core_answers_what_the_host_does(api, core):
    build = Build("gcc", api=api)
    if api == "q7" and MACHINES[core].core_class == "dsp":
        build = replace(build, core="dsp")
    answers = build_runner(build).run(CASES[api].values())
    for call, found, wanted in zip(
        CASES[api].values(), counted(api, core).results, answers, strict=True
    ):
        assert found.status == wanted.status == 0, call.function
        np.testing.assert_array_equal(found.output, wanted.output, call.function)


@pytest.mark.parametrize(
    ("count", "found", "said"),
    (
        (1020, "gcc 1", []),
        (1021, "gcc 1", ["k on m4: 1,021 instructions, the table says 1,000 (+2.1 %)"]),
        (979, "gcc 1", ["k on m4: 979 instructions, the table says 1,000 (-2.1 %)"]),
        (2000, "gcc 2", []),
        (
            2010,
            "gcc 2",
            ["k on m4: 2,010 instructions, the table says 1,000 (+101.0 %)"],
        ),
    ),
)
def test_what_is_said_of_a_count(count, found, said):
    table = Table("gcc 1", {("s8", "k", "m4"): 1000})
    assert complaints(table, "s8", "m4", {"k": count}, found) == said


def test_a_kernel_without_a_row_is_named():
    (line,) = complaints(Table("gcc 1", {}), "s8", "m4", {"k": 7}, "gcc 1")
    assert line == "k on m4: 7 instructions, not in the table"


#: Functions that check their arguments and call one that has a case.
FORWARDING = {
    "s8": {
        "arm_convolve_s8",
        "arm_convolve_s4",
        "arm_convolve_1x1_s8",
        "arm_convolve_1x1_s4",
        "arm_convolve_1x1_s8_fast",
        "arm_convolve_1x1_s4_fast",
        "arm_convolve_1_x_n_s8",
        "arm_convolve_1_x_n_s4",
        "arm_depthwise_conv_s8",
        "arm_depthwise_conv_s4",
        "arm_depthwise_conv_s8_opt",
        "arm_depthwise_conv_s4_opt",
        "arm_depthwise_conv_3x3_s8",
        "arm_fully_connected_wrapper_s8",
    },
    "q7": {
        "arm_convolve_HWC_q7_basic_nonsquare",
        "arm_convolve_HWC_q7_fast",
        "arm_convolve_HWC_q7_fast_nonsquare",
        "arm_depthwise_separable_conv_HWC_q7_nonsquare",
    },
}


@pytest.mark.parametrize("api", CASES)
def test_every_kernel_has_a_case(api):
    private = re.compile(r"kanji_(dw_)?products?_|kanji_\w+_q7")
    kernels = {
        source.stem
        for source in SOURCES[api]
        if "_get_buffer_size" not in source.stem and not private.match(source.stem)
    }
    called = {call.function for calls in CASES.values() for call in calls.values()}
    assert kernels - called - FORWARDING[api] == set()
