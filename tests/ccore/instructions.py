"""Instructions of each ccore kernel on emulated cores, and the table of them.

    python -m tests.ccore.instructions

renews `instructions.csv`: a row for each case below, a column for each core. The counts
repeat exactly. They are those of one compiler, which the first line names;
`test_instructions.py` holds ccore to them.
"""

from __future__ import annotations

import csv
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kanji_np.deploy import emulator
from kanji_np.deploy.kernels import needed

from . import driver
from .driver import INCLUDES, SOURCES, Call, Result, int4
from .reference import int8s

TABLE = Path(__file__).parent / "instructions.csv"
RENEW = "python -m tests.ccore.instructions"
CORES = ("cortex-m3", "cortex-m4", "cortex-m55")
SECONDS = 120


# Cases


def scales(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Multiplier and shift of each channel, as trained networks have them."""
    return np.full(channels, 1518500250, np.int32), np.full(channels, -9, np.int32)


def conv(
    size: int, cin: int, cout: int, kernel: int, *, groups: int = 1, **options
) -> Call:
    """A convolution with "same" padding."""
    rng = np.random.default_rng(0)
    reach = (kernel - 1) * options.get("dilation", (1, 1))[0] // 2
    return driver.convolve_wrapper_s8(
        int8s(rng, 1, size, size, cin),
        int8s(rng, cout, kernel, kernel, cin // groups) >> 4,
        rng.integers(-1000, 1000, cout).astype(np.int32),
        *scales(cout),
        output_shape=(1, size, size, cout),
        padding=(reach, reach),
        input_offset=5,
        **options,
    )


def depthwise(size: int, channels: int, multiplier: int = 1) -> Call:
    rng, cout = np.random.default_rng(0), channels * multiplier
    return driver.depthwise_conv_wrapper_s8(
        int8s(rng, 1, size, size, channels),
        int8s(rng, 3, 3, cout) >> 4,
        rng.integers(-1000, 1000, cout).astype(np.int32),
        *scales(cout),
        output_shape=(1, size, size, cout),
        padding=(1, 1),
        input_offset=5,
    )


def dense(columns: int, rows: int, function=driver.fully_connected_s8) -> Call:
    rng = np.random.default_rng(0)
    per_channel = function is driver.fully_connected_per_channel_s8
    scale = scales(rows) if per_channel else (1518500250, -9)
    bias = rng.integers(-1000, 1000, rows).astype(np.int32)
    x, weight = int8s(rng, 1, columns), int8s(rng, rows, columns) >> 4
    return function(x, weight, bias, *scale, input_offset=5)


def transpose_conv(size: int, cin: int, cout: int) -> Call:
    """3x3, stride 2, "same" padding."""
    rng = np.random.default_rng(0)
    return driver.transpose_conv_s8(
        int8s(rng, size, size, cin),
        int8s(rng, cout, 3, 3, cin) >> 4,
        rng.integers(-1000, 1000, cout).astype(np.int32),
        *scales(cout),
        output=(2 * size, 2 * size),
        stride=(2, 2),
        input_offset=5,
    )


def values(*shape: int) -> np.ndarray:
    return int8s(np.random.default_rng(0), *shape)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def add() -> Call:
    scale = (3, 1518500250, -1)
    x, y = values(2, 32, 32)
    return driver.elementwise_add_s8(x, y, scale, scale, (0, 1518500250, -18))


def multiply() -> Call:
    x, y = values(2, 32, 32)
    output = (0, 1518500250, -6)
    return driver.elementwise_mul_s8(x, y, input_offsets=(3, 4), output=output)


def conv_q7(function: str, size: int, cin: int, cout: int, kernel: int) -> Call:
    depthwise = "depthwise" in function
    weight = (kernel, kernel, cout) if depthwise else (cout, kernel, kernel, cin)
    pad = (kernel // 2, kernel // 2)
    output = (size, size, cout)
    shifts = {"bias_shift": 4, "out_shift": 9}
    x, w, b = values(size, size, cin), values(*weight), values(cout)
    return driver.convolve_q7(
        function, x, w, b, output_shape=output, padding=pad, **shifts
    )


def dense_q7(function: str, columns: int, rows: int) -> Call:
    x, w, b = values(columns), values(rows, columns), values(rows)
    return driver.fully_connected_q7(function, x, w, b, bias_shift=4, out_shift=9)


def pool_q7(function: str) -> Call:
    x = values(12, 12, 32)
    return driver.pool_q7(function, x, kernel=3, output=6, stride=2, padding=1)


#: By API and name: the kernel, and what the case is there for.
CASES: dict[str, dict[str, Call]] = {
    "s8": {
        "arm_convolve_wrapper_s8 5x5x32": conv(6, 32, 16, 5),
        "arm_convolve_wrapper_s8 5x5x3": conv(8, 3, 16, 5),
        "arm_convolve_wrapper_s8 1x1x64": conv(6, 64, 16, 1),
        "arm_convolve_wrapper_s8 3x3x16 dilated": conv(8, 16, 8, 3, dilation=(2, 2)),
        "arm_convolve_wrapper_s8 3x3x16 to 2": conv(8, 16, 2, 3),
        "arm_convolve_wrapper_s8 3x3x16 in 2 groups": conv(8, 16, 8, 3, groups=2),
        "arm_convolve_wrapper_s4 5x5x32": int4(conv(6, 32, 16, 5)),
        "arm_convolve_wrapper_s4 5x5x3": int4(conv(8, 3, 16, 5)),
        "arm_depthwise_conv_wrapper_s8 3x3x32": depthwise(8, 32),
        "arm_depthwise_conv_wrapper_s8 3x3x4 times 8": depthwise(8, 4, 8),
        "arm_depthwise_conv_wrapper_s4 3x3x32": int4(depthwise(8, 32)),
        "arm_fully_connected_s8": dense(512, 10),
        "arm_fully_connected_per_channel_s8": dense(
            512, 10, driver.fully_connected_per_channel_s8
        ),
        "arm_vector_sum_s8": driver.vector_sum_s8(
            values(10, 512), None, input_offset=5, filter_offset=0
        ),
        "arm_fully_connected_s4": int4(dense(512, 10)),
        "arm_max_pool_s8": driver.max_pool_s8(
            values(1, 12, 12, 32),
            kernel=(3, 3),
            output_shape=(1, 6, 6, 32),
            stride=(2, 2),
            padding=(1, 1),
        ),
        "arm_avgpool_s8": driver.avgpool_s8(
            values(1, 12, 12, 32),
            kernel=(3, 3),
            output_shape=(1, 6, 6, 32),
            stride=(2, 2),
            padding=(1, 1),
        ),
        "arm_avgpool_s8 global": driver.avgpool_s8(
            values(1, 8, 8, 64), kernel=(8, 8), output_shape=(1, 1, 1, 64)
        ),
        "arm_softmax_s8": driver.softmax_s8(values(8, 10), 1518500250, 22, -248),
        "arm_elementwise_add_s8": add(),
        "arm_elementwise_mul_s8": multiply(),
        "arm_minimum_s8": driver.arm_extremum_s8(
            "arm_minimum_s8", values(1, 16, 16, 16), values(1, 16, 16, 16)
        ),
        "arm_maximum_s8": driver.arm_extremum_s8(
            "arm_maximum_s8", values(1, 16, 16, 16), values(1, 16, 16, 16)
        ),
        "arm_concatenation_s8_x": driver.concatenation_s8_x(
            values(1, 16, 16, 16), channels=32, first=16
        ),
        "arm_pad_s8": driver.pad_s8(
            values(1, 16, 16, 16), (0, 1, 1, 0), (0, 1, 1, 0), 0
        ),
        "arm_relu_q7": driver.relu_q7(values(4096)),
        "kanji_normalize_u8_s8": driver.normalize_u8_s8(
            pixels(32, 32, 3), pixels(3), 1
        ),
        "kanji_standardize_u8_s8": driver.standardize_u8_s8(pixels(32, 32), 5),
        "kanji_lookup_s8": driver.lookup_s8(values(4096), values(256)),
        "kanji_lookup_u8_s8": driver.lookup_u8_s8(pixels(32, 32, 3), values(3, 256)),
        "kanji_add_s8": driver.add_s8(
            values(256, 16),
            values(16),
            (256, 16, 1),
            (1, 3, 1518500250, -1),
            (-1, -3, 1073741824, 0),
            (5, 1518500250, -18),
        ),
        "kanji_mul_s8": driver.mul_s8(
            values(256, 16),
            values(16),
            (256, 16, 1),
            input_offsets=(3, -3),
            output=(5, 1518500250, -6),
        ),
        "kanji_minimum_s8": driver.extremum_s8(
            "kanji_minimum_s8", values(256, 16), values(16), (256, 16, 1)
        ),
        "kanji_maximum_s8": driver.extremum_s8(
            "kanji_maximum_s8", values(256, 16), values(16), (256, 16, 1)
        ),
        "kanji_requantize_s8": driver.requantize_s8(
            values(64, 16),
            input_offset=3,
            multiplier=1518500250,
            shift=-1,
            output_offset=3,
            channels=32,
            first=16,
        ),
        "kanji_softmax_s8": driver.named(
            driver.softmax_s8(values(8, 10), 1518500250, 22, -248), "kanji_softmax_s8"
        ),
        "kanji_mean_s8": driver.mean_s8(
            values(1, 64, 64),
            input_offset=3,
            multiplier=1518500250,
            shift=-6,
            output_offset=3,
        ),
        "kanji_copy_s8 rows": driver.copy_s8(
            values(16, 16, 16), 8, (1, 1, 256, 8), (0, 0, 16, 1)
        ),
        "kanji_transpose_conv_s8 3x3x16": transpose_conv(6, 16, 8),
        "kanji_resize_nearest_s8": driver.resize_nearest_s8(
            values(8, 8, 16), *(np.arange(16, dtype=np.int16) // 2,) * 2
        ),
        "kanji_copy_s8 transpose": driver.copy_s8(
            values(16, 16, 16), 0, (1, 1, 16, 256), (0, 0, 1, 16)
        ),
    },
    "q7": {
        "arm_convolve_HWC_q7_basic 5x5x32": conv_q7(
            "arm_convolve_HWC_q7_basic", 6, 32, 16, 5
        ),
        "arm_convolve_HWC_q7_RGB 5x5x3": conv_q7(
            "arm_convolve_HWC_q7_RGB", 8, 3, 16, 5
        ),
        "arm_convolve_1x1_HWC_q7_fast_nonsquare": conv_q7(
            "arm_convolve_1x1_HWC_q7_fast_nonsquare", 6, 64, 16, 1
        ),
        "arm_depthwise_separable_conv_HWC_q7": conv_q7(
            "arm_depthwise_separable_conv_HWC_q7", 8, 32, 32, 3
        ),
        "arm_fully_connected_q7": dense_q7("arm_fully_connected_q7", 512, 10),
        "arm_fully_connected_q7_opt": dense_q7("arm_fully_connected_q7_opt", 512, 10),
        "arm_maxpool_q7_HWC": pool_q7("arm_maxpool_q7_HWC"),
        "arm_avepool_q7_HWC": pool_q7("arm_avepool_q7_HWC"),
        "arm_softmax_q7": driver.softmax_q7(values(64)),
        "arm_softmax_with_batch_q7": driver.softmax_with_batch_q7(values(8, 10)),
    },
}


# Counting


@dataclass(frozen=True)
class Run:
    """What the cases of an API answered on a core, and the instructions each took."""

    results: list[Result]
    instructions: dict[str, int]


def run(api: str, core: str) -> Run:
    """Builds the runner for a machine and sends it the cases of an API."""
    machine, calls = emulator.MACHINES[core], list(CASES[api].values())
    with tempfile.TemporaryDirectory(prefix="kanji-ccore-") as name:
        folder = Path(name)
        program = _program(api, machine, folder)
        (folder / "calls").write_bytes(b"".join(call.encode() for call in calls))
        command = emulator.emulation(machine, program, counting=True)
        subprocess.run(command, cwd=folder, check=True, timeout=SECONDS)
        results = driver.decode(calls, (folder / "answers").read_bytes())
        ticks = np.fromfile(folder / "ticks", np.uint64)
    counts = emulator.instructions_in(ticks, machine).tolist()
    return Run(results, dict(zip(CASES[api], counts, strict=True)))


# Functions of the runner's table that no case calls are left out.
LINK = (*emulator.LINK, "-Wl,--unresolved-symbols=ignore-all")


def _program(api: str, machine: emulator.Machine, folder: Path) -> Path:
    here, program = Path(__file__).parent, folder / "program"
    (folder / "memory.ld").write_text(emulator.memory_script(machine))
    names = ("runner", f"runner_{api}", "runner_board")
    runner = [*(here / f"{n}.c" for n in names), emulator.BOARD_FILES / "startup.c"]
    kernels = needed(SOURCES[api], {call.function for call in CASES[api].values()})
    options = [*emulator.FLAGS, *machine.flags]
    folders = [f"-I{path}" for path in (*INCLUDES[api], here, emulator.BOARD_FILES)]

    def compiled(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        arguments = [*options, *folders, "-c", source, "-o", target]
        driver.compile_c(emulator.COMPILER, arguments)
        return target

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, (*kernels, *runner)))
    script = [f"-L{folder}", f"-T{emulator.BOARD_FILES / 'board.ld'}"]
    driver.compile_c(
        emulator.COMPILER, [*options, *objects, *LINK, *script, "-o", program]
    )
    return program


# The table


@dataclass(frozen=True)
class Table:
    """The counts by API, case and core, and the compiler they are of."""

    compiler: str
    counts: dict[tuple[str, str, str], int]

    @staticmethod
    def read() -> Table:
        first, *lines = TABLE.read_text(encoding="utf-8").splitlines()
        return Table(
            first.removeprefix("# "),
            {
                (row["api"], row["case"], core): int(row[core])
                for row in csv.DictReader(lines)
                for core in CORES
            },
        )

    def write(self) -> None:
        with open(TABLE, "w", encoding="utf-8", newline="") as file:
            file.write(f"# {self.compiler}\n")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["api", "case", *CORES])
            for api, cases in CASES.items():
                for case in cases:
                    counts = [self.counts[api, case, core] for core in CORES]
                    writer.writerow([api, case, *counts])


def main() -> None:
    counts = {
        (api, case, core): count
        for api in CASES
        for core in CORES
        for case, count in run(api, core).instructions.items()
    }
    Table(emulator.compiler(), counts).write()


if __name__ == "__main__":
    main()
