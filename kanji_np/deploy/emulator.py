"""Runs a firmware on an emulated Cortex-M and measures it.

The network and its kernels are cross-compiled, linked with a start-up and a runner of
our own (`board/`, plain C without heap or stdio) and run by QEMU, which passes images
and outputs through files (semihosting). What is measured:

- Instructions. With ``-icount`` QEMU gives every instruction the same time, and the
  core's SysTick counts that time. These are instructions, not cycles: a load, a branch
  and a multiplication count alike.
- Flash and RAM, from the sections of the linked program; the runner's are apart.
- Stack, by painting it before every inference.

References
----------
QEMU 7.2 system emulation, boards mps2-* and mps3-an547; Arm Semihosting for AArch32;
Armv6-M Architecture Reference Manual, A3.2.1 (alignment).
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from kanji_np.deploy.build import Build, Sources
from kanji_np.errors import OptionError, ToolError, VerificationError
from kanji_np.graph import Graph

COMPILER, SIZES, SYMBOLS = (f"arm-none-eabi-{tool}" for tool in ("gcc", "size", "nm"))
QEMU = "qemu-system-arm"
HOW_TO_INSTALL = (
    "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm; elsewhere "
    "the Arm GNU toolchain (brew install --cask gcc-arm-embedded) and QEMU (qemu)"
)
# -O2 as the firmware's own Makefile has it. CMSIS-NN takes the same 25.5 million
# instructions with -O2, -O3 and -Ofast (CIFAR-10 network on an M4, GCC 12.2), ccore
# 42.7 million with -O2 and 43.0 with the others.
FLAGS = ("-std=c99", "-O2", "-mthumb", "-ffunction-sections", "-fdata-sections")
LINK = ("-nostartfiles", "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments")
BOARD_FILES = Path(__file__).parent / "board"
RUNNER = ("startup.c", "runner.c")
# board.ld tells the runner's sections from the network's by this folder
RUNNER_FOLDER = "kanji_np_board"

# An instruction takes 2^6 ns: more than one tick of every machine's SysTick, so that
# single instructions are told apart.
ICOUNT_SHIFT = 6
# A process runs for some seconds, so that progress is seen and cores share the work.
CHUNK_MACS, MAX_CHUNK = 1 << 28, 256
# A process that is slower than this hangs; QEMU does some 10^8 instructions a second.
SECONDS_AT_LEAST, SECONDS_PER_MAC = 60, 2e-7

REPORT = np.dtype([("layer", "<i4"), ("stack", "<u4"), ("ticks", "<u8")])
FAILURE = struct.Struct("<3i3I")
CHECK, RUN, FAULT, STACK, GUARD = 1, 2, 3, 4, 6
GUARD_BEFORE, GUARD_SCRATCH = 1, 2
CAUSES = {
    0: "instruction fetch from no memory",
    1: "access to no memory",
    7: "access to no memory",
    8: "instruction fetch from no memory",
    9: "access to no memory",
    10: "access to no memory",
    11: "access to no memory",
    12: "stack overflow",
    16: "undefined instruction",
    17: "jump to an address that is no code",
    18: "jump to an address that is no code",
    19: "coprocessor off",
    20: "stack overflow",
    24: "unaligned access",
    25: "division by zero",
}


@dataclass(frozen=True)
class Region:
    """Memory: first address, and bytes."""

    origin: int
    length: int


@dataclass(frozen=True)
class Machine:
    """An emulated core, and the machine that QEMU puts it on.

    Parameters
    ----------
    core : str
        "cortex-m4" and so on, as QEMU and GCC call it.
    core_class : str
        As in `TargetSpec.core`.
    name : str
        QEMU's name of the machine.
    flags : tuple of str
        GCC's options for the core as it usually comes: with floating point where there
        is a unit for it, and Helium on the M55.
    vectors, code, ram : Region
        Where the linker puts what.
    tick_ns : float
        Of SysTick [ns].
    """

    core: str
    core_class: str
    name: str
    flags: tuple[str, ...]
    vectors: Region
    code: Region
    ram: Region
    tick_ns: float


def _mps2(core: str, core_class: str, name: str, *flags: str) -> Machine:
    return Machine(
        core,
        core_class,
        name,
        (f"-mcpu={core}", *flags),
        vectors=Region(0, 0x400),
        code=Region(0x400, (4 << 20) - 0x400),
        ram=Region(0x2000_0000, 4 << 20),
        tick_ns=40,
    )


MACHINES: dict[str, Machine] = {
    machine.core: machine
    for machine in (
        # QEMU has no M0+. The M3 runs its code, which is a subset of the M3's, and
        # start-up makes unaligned accesses fault, as they do on an M0+.
        _mps2("cortex-m0plus", "c", "mps2-an385", "-mfloat-abi=soft"),
        _mps2("cortex-m3", "c", "mps2-an385", "-mfloat-abi=soft"),
        _mps2(
            "cortex-m4", "dsp", "mps2-an386", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"
        ),
        _mps2("cortex-m7", "dsp", "mps2-an500", "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
        # The two start in secure state, where these are the secure addresses.
        Machine(
            "cortex-m33",
            "dsp",
            "mps2-an505",
            ("-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
            vectors=Region(0x1000_0000, 0x400),
            code=Region(0x1000_0400, (4 << 20) - 0x400),
            ram=Region(0x3800_0000, 4 << 20),
            tick_ns=50,
        ),
        Machine(
            "cortex-m55",
            "mve",
            "mps3-an547",
            ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
            vectors=Region(0, 0x400),
            code=Region(0x0100_0000, 2 << 20),
            ram=Region(0x2100_0000, 4 << 20),
            tick_ns=31.25,
        ),
    )
}


@dataclass(frozen=True)
class Device:
    """What a firmware is on a core.

    Parameters
    ----------
    core : str
    machine : str
        QEMU's name of the machine that the core is on.
    compiler : str
        Name and version.
    min_instructions, max_instructions : int
        Of one inference, over the images counted.
    flash_bytes : int
        Code, constants and initial values of the network, its kernels and what they
        need of the C library [bytes].
    arena_bytes : int
        RAM of the arena [bytes]. The caller's input and output are not in it.
    static_bytes : int
        RAM of variables of network and kernels [bytes].
    stack_bytes : int
        Most stack an inference used [bytes].
    """

    core: str
    machine: str
    compiler: str
    min_instructions: int
    max_instructions: int
    flash_bytes: int
    arena_bytes: int
    static_bytes: int
    stack_bytes: int

    @property
    def ram_bytes(self) -> int:
        """Arena and variables [bytes]."""
        return self.arena_bytes + self.static_bytes

    def __str__(self) -> str:
        fewest = f"{self.min_instructions:,}"
        most = f"{self.max_instructions:,}"
        instructions = fewest if fewest == most else f"{fewest} to {most}"
        return (
            f"{self.core}: {instructions} instructions an inference; bytes: flash "
            f"{self.flash_bytes:,}, RAM {self.arena_bytes:,} + {self.static_bytes:,}, "
            f"stack {self.stack_bytes:,} ({self.machine}, {self.compiler})"
        )


def machine_of(name: str) -> Machine:
    """The machine of a core, by "cortex-m4" or "m4"; OptionError lists the cores."""
    core = name if str(name).startswith("cortex-") else f"cortex-{name}"
    if core not in MACHINES:
        cores = ", ".join(MACHINES)
        raise OptionError(
            f"on must be host or one of {cores}, got {name!r}", arguments=("on",)
        )
    return MACHINES[core]


def emulation(machine: Machine, elf: Path, *, counting: bool) -> list[str]:
    """The command that runs a program on a machine."""
    return [
        *(QEMU, "-M", machine.name, "-kernel", str(elf)),
        *("-display", "none", "-serial", "none", "-monitor", "none"),
        *("-semihosting-config", "enable=on,target=native"),
        *(("-icount", f"shift={ICOUNT_SHIFT}") if counting else ()),
    ]


def instructions_in(ticks: np.ndarray, machine: Machine) -> np.ndarray:
    """From ticks of a counting machine's clock to instructions, int64."""
    return np.rint(ticks * machine.tick_ns / 2**ICOUNT_SHIFT).astype(np.int64)


def compiler() -> str:
    """Name and version of the cross-compiler."""
    return f"{COMPILER} {_output(COMPILER, '-dumpfullversion').strip()}"


class _TooLittleMemory(VerificationError):
    """The linked kernels want more than the firmware has for a layer."""


@dataclass(frozen=True)
class Emulator:
    """A firmware on an emulated core.

    Parameters
    ----------
    is_own : bool
        The firmware is for this class of cores and these kernels. One for others may
        lack scratch memory; then it is given more, and runs between guard bytes.
    """

    machine: Machine
    graph: Graph
    sources: Sources
    is_own: bool = True

    @property
    def on(self) -> str:
        return self.machine.core

    @property
    def macs(self) -> int:
        """Of one inference, at least 1 [MAC]."""
        return 1 + sum(self.graph.cost(node).macs for node in self.graph.nodes)

    def chunk(self, count: int) -> int:
        """How many of `count` images one process is given."""
        share = -(-count // (os.cpu_count() or 1))
        return min(share, MAX_CHUNK, 1 + CHUNK_MACS // self.macs)

    def program(self, *, observe: bool) -> Callable[[np.ndarray, int], bytes]:
        """Compiles the firmware; see `verify.Runner`."""
        elf = self._elf(observe)

        def run(images: np.ndarray, number: int) -> bytes:
            output, _ = self._run(elf, images, number, counting=False)
            return output

        return run

    def check_guards(self, images: np.ndarray) -> None:
        """VerificationError if a layer writes beyond the arena or its scratch memory.

        The latter is apart from the arena for that, and just as large as the kernels
        want it.
        """
        self._run(self._elf(observe=False, guarded=True), images, 0, counting=False)

    @cached_property
    def _is_guarded(self) -> bool:
        """Whether the firmware needs more scratch memory here than it has."""
        if self.is_own:
            return False
        nothing = np.empty(0, np.int8)
        try:
            elf = self._elf(observe=False, guarded=False)
            self._run(elf, nothing, 0, counting=False)
        except _TooLittleMemory:
            return True
        return False

    def instructions(
        self, images: np.ndarray, *, observe: bool
    ) -> dict[int, np.ndarray]:
        """Instructions of every image: int64 (N,) by layer, with 0 for the network.

        The network is counted without `observe`, the layers with it; what runs between
        one layer and the next is not theirs.
        """
        _, reports = self._run(self._elf(observe), images, 0, counting=True)
        counts = instructions_in(reports["ticks"], self.machine)
        layers = np.unique(reports["layer"]).tolist()
        found = {layer: counts[reports["layer"] == layer] for layer in layers}
        if observe:
            del found[0]
        return found

    def measure(self, images: np.ndarray) -> Device:
        """The firmware's figures, over some images."""
        counts = self.instructions(images, observe=False)[0]
        elf = self._elf(observe=False)
        _, reports = self._run(elf, images, 0, counting=False)
        sizes = _section_bytes(elf)
        return Device(
            core=self.machine.core,
            machine=self.machine.name,
            compiler=compiler(),
            min_instructions=int(counts.min()),
            max_instructions=int(counts.max()),
            flash_bytes=sizes[".code"] + sizes.get(".data", 0),
            arena_bytes=sizes.get(".arena", 0),
            static_bytes=sizes.get(".data", 0) + sizes.get(".bss", 0),
            stack_bytes=int(reports["stack"].max()),
        )

    def _elf(self, observe: bool, guarded: bool | None = None) -> Path:
        """The linked firmware with start-up and runner."""
        guarded = self._is_guarded if guarded is None else guarded
        name = f"{'guarded_' * guarded}{'observer' if observe else 'runner'}"
        here = self.sources.folder / name
        here.mkdir(exist_ok=True)
        (here / "memory.ld").write_text(memory_script(self.machine))
        (here / "board_network.h").write_text(
            network_header(self.graph, observe=observe, guarded=guarded)
        )
        s = self.sources
        return Build(self.sources, (COMPILER, *FLAGS, *self.machine.flags)).program(
            name,
            [BOARD_FILES / file for file in RUNNER],
            runner_folder=RUNNER_FOLDER,
            includes=[here, BOARD_FILES],
            macros=[*[s.observe] * observe, *[s.guard] * guarded],
            link=[*LINK, f"-L{here}", f"-T{BOARD_FILES / 'board.ld'}"],
            explain=self._explain,
        )

    def _explain(self, said: str) -> str | None:
        """The linker's message, if it is that a memory is too small."""
        over = re.search(r"region `(\w+)' overflowed by (\d+) bytes", said)
        if not over:
            return None
        region = {"RAM": self.machine.ram}.get(over[1], self.machine.code)
        kind = "RAM" if over[1] == "RAM" else "code memory"
        return (
            f"does not fit {self.machine.name}: {int(over[2]):,} bytes more than its "
            f"{region.length:,} bytes of {kind}"
        )

    def _run(
        self, elf: Path, images: np.ndarray, number: int, *, counting: bool
    ) -> tuple[bytes, np.ndarray]:
        """The output file and the reports, see `runner.c`; `number` is the first
        image's."""
        limit = SECONDS_AT_LEAST + SECONDS_PER_MAC * self.macs * len(images)
        command = emulation(self.machine, elf, counting=counting)
        with tempfile.TemporaryDirectory(dir=self.sources.folder) as name:
            here = Path(name)
            with open(here / "input", "wb") as file:
                file.write(struct.pack("<i", counting))
                file.write(images.tobytes())
            try:
                done = subprocess.run(
                    command,
                    cwd=here,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=False,
                    timeout=limit,
                )
            except subprocess.TimeoutExpired:
                raise VerificationError(
                    f"{self._place}: no end after {limit:.0f} s"
                ) from None
            if done.returncode:
                kind, reason = self._reason(here, done, elf, images, number)
                error = _TooLittleMemory if kind == CHECK else VerificationError
                raise error(f"{self._place}: {reason}")
            reports = np.fromfile(here / "report", REPORT)
            return (here / "output").read_bytes(), reports

    @property
    def _place(self) -> str:
        return f"{self.machine.core} ({self.machine.name})"

    def _reason(
        self,
        here: Path,
        done: subprocess.CompletedProcess[bytes],
        elf: Path,
        images: np.ndarray,
        number: int,
    ) -> tuple[int, str]:
        """The kind of failure, 0 if unknown, and why the emulator ended with one."""
        try:
            failure = FAILURE.unpack((here / "failure").read_bytes())
        except (OSError, struct.error):
            said = done.stderr.decode(errors="replace").strip().splitlines()
            return 0, said[0] if said else f"{QEMU} failed with {done.returncode}"
        kind, image, value, pc, cause, address = failure
        if kind == GUARD and value == 0:
            self.check_guards(images[image : image + 1])  # which names the layer
        image += number
        if kind == CHECK:
            return kind, (
                f"{self.graph.layer_text(value)} wants more scratch memory than a "
                f"firmware for core class {self.graph.target.core} has"
            )
        if kind == RUN:
            return kind, f"image {image}: {self.graph.name}_run returned {value}"
        if kind == FAULT:
            why = next((text for bit, text in CAUSES.items() if cause >> bit & 1), "")
            where = f" of 0x{address:08x}" if address else ""
            return kind, (
                f"HardFault in image {image}, in {_function_at(elf, pc)} "
                f"(pc 0x{pc:08x}){': ' * bool(why)}{why}{where}"
            )
        if kind == STACK:
            size = _section_bytes(elf)[".board_stack"]
            return kind, f"stack overflow in image {image}, beyond {size:,} bytes"
        if kind == GUARD:
            who = self.graph.layer_text(value) if value else self.graph.name
            side = "before" if cause & GUARD_BEFORE else "beyond"
            what = "its scratch memory" if cause & GUARD_SCRATCH else "the arena"
            return kind, (
                f"image {image}: {who} writes {side} {what} of {address:,} bytes"
            )
        return kind, "a file of the host could not be read or written"


def _section_bytes(elf: Path) -> dict[str, int]:
    listing = _output(SIZES, "-A", str(elf))
    rows = re.findall(r"^(\.\w+)\s+(\d+)\s", listing, re.MULTILINE)
    return {name: int(size) for name, size in rows}


def memory_script(machine: Machine) -> str:
    """`memory.ld`, which `board.ld` includes."""
    regions = (
        ("VECTORS", machine.vectors),
        ("CODE", machine.code),
        ("RAM", machine.ram),
    )
    lines = "".join(
        f"    {name} : ORIGIN = 0x{region.origin:08x}, LENGTH = {region.length}\n"
        for name, region in regions
    )
    return f"MEMORY\n{{\n{lines}}}\n"


def network_header(graph: Graph, *, observe: bool, guarded: bool) -> str:
    """`board_network.h`: what `runner.c` calls the network."""
    name, upper = graph.name, graph.name.upper()
    hooks = [*["observe"] * observe, *["scratch", "guard"] * guarded]
    defined = "".join(f"#define KANJI_NET_{h.upper()} {name}_{h}\n" for h in hooks)
    return f"""\
#include "{name}.h"
#define KANJI_NET_RUN {name}_run
#define KANJI_NET_CHECK {name}_check
{defined}#define KANJI_NET_ARENA_BYTES {upper}_ARENA_BYTES
#define KANJI_NET_INPUT_BYTES {upper}_INPUT_BYTES
#define KANJI_NET_OUTPUT_BYTES {upper}_OUTPUT_BYTES
typedef {graph.input.dtype}_t kanji_net_input_t;
"""


def _function_at(elf: Path, address: int) -> str:
    """The function an instruction is in."""
    rows = _output(SYMBOLS, "-n", "--defined-only", str(elf)).splitlines()
    symbols = [row.split() for row in rows]
    before = [s for s in symbols if int(s[0], 16) <= address and s[1] in "tTwW"]
    return before[-1][2] if before and address else "no function"


def require_tools() -> None:
    """ToolError if a program that the emulator needs is missing."""
    for name in (COMPILER, SIZES, SYMBOLS, QEMU):
        if not shutil.which(name):
            raise ToolError(f"{name} is not installed: {HOW_TO_INSTALL}")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout
