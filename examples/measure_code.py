"""Measures the code that firmware links: bytes of flash and stack, by function and core.

    python examples/measure_code.py kernels  [--cmsis-nn DIR] [--cmsis-nn-4 DIR] [--cmsis-5 DIR]
    python examples/measure_code.py generated

`kernels` compiles every kernel with the options of firmware and reads the object files:
which sections each function has, what these need in turn, and how deep its stack goes.
The linker keeps what is needed and drops the rest, so the sections of a firmware are
known without linking it. What the kernels need of the C library and of the compiler's
own functions is linked once and read from the linker's map.

`generated` compiles the C of many networks, drawn at random and of the zoo, and fits what
each kind of call takes in it.

Both write `kanji_np/cost/tables/code`. The same compiler writes the same bytes.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from random_networks import draw

import kanji_np as kj
from kanji_np.cost import memory
from kanji_np.deploy import emulator
from kanji_np.deploy.cwriter import Program, program, write
from kanji_np.deploy.emulator import COMPILER, FLAGS, MACHINES, Machine
from kanji_np.deploy.kernels import (
    DEFINED,
    KERNELS,
    ccore_directory,
    class_of,
    defines,
    find,
    needed,
)
from kanji_np.errors import KanjiError, UnsupportedOp
from kanji_np.targets import generates_c, target_spec
from kanji_np.types import TargetSpec

SCRIPT = "examples/measure_code.py"
OBJDUMP = "arm-none-eabi-objdump"

CALLS = ("R_ARM_THM_CALL", "R_ARM_CALL")
JUMPS = ("R_ARM_THM_JUMP24", "R_ARM_JUMP24", "R_ARM_THM_JUMP19")
SECTION_ROW = re.compile(
    r"^\s*\d+ \.((text|rodata|data|bss)\S*)\s+([0-9a-f]+) .*2\*\*(\d+)$", re.MULTILINE
)
SYMBOL_ROW = re.compile(r"^[0-9a-f]+ [lgw].{6} (\S+)\t[0-9a-f]+ (?:\.hidden )?(\S+)$")
CODE, STATIC = ("text", "rodata"), ("data", "bss")


# ------------------------------------------------------------------ object files


@dataclass
class Section:
    """A function or a table as the linker sees it.

    Parameters
    ----------
    size, static : int
        In flash, and of variables [bytes].
    frame : int
        What the function itself takes of the stack [bytes].
    calls, jumps : set of str
        The symbols or sections it names; jumps have given the stack back.
    """

    size: int = 0
    static: int = 0
    frame: int = 0
    calls: set[str] = field(default_factory=set)
    jumps: set[str] = field(default_factory=set)


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr}")
    return done.stdout


def compiled(
    source: Path, target: Path, machine: Machine, options: Sequence[str]
) -> Path:
    run(
        *(COMPILER, *FLAGS, *machine.flags, "-fstack-usage", *options),
        *("-c", source, "-o", target),
    )
    return target


def sections(objects: Path) -> dict[str, Section]:
    """The sections of an object file, by a name that is its own in the library.

    A function of its own name has it; what is static has the file's before its own.
    """
    listing = run(OBJDUMP, "-h", "-t", "-r", objects)
    frames = dict(_frames(objects.with_suffix(".su")))
    symbols: dict[str, str] = {}
    public: set[str] = set()
    for line in listing.splitlines():
        if found := SYMBOL_ROW.match(line):
            symbols[found[2]] = found[1]
            if line[9] in "gw":
                public.add(found[1])
    made: dict[str, Section] = {}

    def name(section: str) -> str:
        """`.text.f` is f if f is public."""
        own = section.split(".", 2)[-1]
        return own if section in public else f"{objects.stem}:{own}"

    for whole, kind, size, power in SECTION_ROW.findall(listing):
        if not int(size, 16):
            continue
        bytes_ = -(-int(size, 16) // 4) * 4
        assert int(power) <= 3, whole
        is_static = kind in STATIC
        made[f".{whole}"] = Section(
            size=0 if kind == "bss" else bytes_, static=bytes_ if is_static else 0
        )
    for symbol, section in symbols.items():
        frame = frames.get(re.sub(r"\.\d+$", "", symbol), 0)
        if section in made:
            made[section].frame = max(made[section].frame, frame)
    now: Section | None = None
    for line in listing.splitlines():
        if line.startswith("RELOCATION RECORDS FOR ["):
            now = made.get(line.split("[")[1].split("]")[0])
        elif now is not None and (found := re.match(r"^[0-9a-f]{8} (R_\S+)\s+(\S+)", line)):
            to = re.sub(r"[+-]0x[0-9a-f]+$", "", found[2])
            if found[1] == "R_ARM_NONE":
                continue
            to = symbols.get(to, to)
            to = name(to) if to in made else to
            if not to.startswith("*"):
                (now.jumps if found[1] in JUMPS else now.calls).add(to)
    return {name(section): what for section, what in made.items()}


def _frames(path: Path) -> Iterator[tuple[str, int]]:
    for line in path.read_text().splitlines():
        place, size, kind = line.split("\t")
        assert kind in ("static", "dynamic,bounded"), line
        yield place.split(":")[-1], int(size)


# ------------------------------------------------------------------ libraries


@dataclass(frozen=True)
class Library:
    """What a table of kernels is made from, for one core."""

    provider: str
    release: str
    sources: Sequence[tuple[Path, Sequence[str]]]
    roots: Sequence[str]


def ccore(machine: Machine) -> Library:
    root, found, roots = ccore_directory(), [], []
    for kernels in KERNELS.values():
        folder = ccore_directory().parent / kernels.ccore
        target = _target(kernels, machine)
        macros = [
            f"-D{m}"
            for m in defines(target, "ccore", class_of(machine.core_class, target))
        ]
        includes = [f"-I{root.parent / include}" for include in kernels.includes]
        for path in sorted((folder / "Source").glob("*.c")):
            found.append((path, (*macros, *includes)))
            roots += DEFINED.findall(path.read_text())
    return Library("ccore", "as in ccore/", found, sorted(set(roots)))


def real(provider: str, directory: Path, machine: Machine) -> Library:
    library, _, version = provider.rpartition("-")
    target = target_spec(library, version=version, core=machine.core)
    checkout, names = find(directory, target, ()), ccore(machine).roots
    sources = needed((checkout.directory / "Source").glob("*/*.c"), names)
    options = [f"-I{include}" for include in checkout.includes]
    return Library(provider, version, [(path, options) for path in sources], names)


def _target(kernels: object, machine: Machine) -> TargetSpec:
    (library,) = (name for name, row in KERNELS.items() if row is kernels)
    return target_spec(library, core=machine.core)


def measured(library: Library, machine: Machine, folder: Path) -> dict[str, Section]:
    def one(job: tuple[Path, Sequence[str]]) -> dict[str, Section]:
        source, options = job
        here = folder / library.provider / machine.core / source.parent.name
        here.mkdir(parents=True, exist_ok=True)
        return sections(compiled(source, here / f"{source.stem}.o", machine, options))

    found: dict[str, Section] = {}
    with ThreadPoolExecutor(2) as pool:
        for each in pool.map(one, library.sources):
            for name, section in each.items():
                assert name not in found, name
                found[name] = section
    return found


# ------------------------------------------------------------------ the C library


def toolchain(symbol: str, machine: Machine, folder: Path) -> dict[str, Section]:
    """The sections that a symbol of the C library or the compiler needs."""
    elf, map_file = folder / "runtime.elf", folder / "runtime.map"
    empty = folder / "empty.c"
    empty.write_text("")
    run(
        *(COMPILER, *FLAGS, *machine.flags, "-nostartfiles", "-Wl,--gc-sections"),
        *(f"-Wl,-e,{symbol}", f"-Wl,-u,{symbol}", f"-Wl,-Map={map_file}"),
        *(empty, "-o", elf),
    )
    text = map_file.read_text().partition("Linker script and memory map")[2]
    text = re.sub(r"\n\s{16}\s+(0x[0-9a-f]+\s+0x)", r" \1", text)
    rows = re.findall(
        r"^ \.((?:text|rodata|data|bss)\S*)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) "
        r"\S+\((\S+)\.o\)$",
        text,
        re.MULTILINE,
    )
    found = {}
    for section, size, member in rows:
        bytes_ = -(-int(size, 16) // 4) * 4
        if bytes_:
            kind = section.split(".")[0]
            found[f"{member}:{section}"] = Section(
                size=0 if kind == "bss" else bytes_,
                static=bytes_ if kind in STATIC else 0,
            )
    whole = Section(frame=_pushed(run(OBJDUMP, "-d", elf)), calls=set(found))
    return {symbol: whole, **found}


def _pushed(listing: str) -> int:
    """All that a program's instructions put on the stack together [bytes]."""
    total = 0
    for line in listing.splitlines():
        code = line.partition("\t")[2].partition("\t")[2]
        if registers := re.match(r"(?:push|stmdb|vpush)\S*\s+(?:sp!, )?{(.*)}", code):
            each = 8 if code.startswith("vpush") else 4
            for part in registers[1].split(", "):
                first, _, last = part.partition("-")
                total += each * (int(last[1:]) - int(first[1:]) + 1 if last else 1)
        elif found := re.search(
            r"^sub\S*\s+(?:sp|ip),(?: sp,)? #(\d+)|\[sp, #-(\d+)\]!", code
        ):
            total += int(found[1] or found[2])
    return total


# ------------------------------------------------------------------ tables


def reachable(found: Mapping[str, Section], roots: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    left = [root for root in roots if root in found]
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        left += [n for n in found[name].calls | found[name].jumps if n in found]
    return sorted(seen)


def depth(found: Mapping[str, Section], name: str) -> int:
    """The deepest stack that a function needs; what it jumps to has all of it."""
    if name not in found:
        return 0
    here = found[name]
    return max(
        here.frame + max((depth(found, n) for n in here.calls), default=0),
        max((depth(found, n) for n in here.jumps), default=0),
    )


def rows(found: Mapping[str, Section], names: Iterable[str]) -> dict[str, object]:
    made: dict[str, object] = {}
    for name in names:
        here = found[name]
        row: dict[str, object] = {"flash": here.size}
        if here.static:
            row["static"] = here.static
        if needs := sorted(here.calls | here.jumps):
            row["needs"] = needs
        if stack := depth(found, name):
            row["stack"] = stack
        made[name] = row
    return made


def save(provider: str, machine: Machine, release: str, **parts: object) -> None:
    head = {
        "format": memory.FORMAT,
        "provider": provider,
        "core": machine.core,
        "compiler": emulator.compiler(),
        "flags": " ".join((*FLAGS, *machine.flags)),
        "release": release,
        "script": SCRIPT,
    }
    lines = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(head.items())]
    for part, values in parts.items():
        assert isinstance(values, dict)
        inner = ",\n".join(
            f"  {json.dumps(k)}: {json.dumps(v, sort_keys=True)}"
            for k, v in sorted(values.items())
        )
        lines.append(f" {json.dumps(part)}: {{\n{inner}\n }}")
    path = memory.TABLES / f"{provider}-{machine.core}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(path.name, path.stat().st_size, "bytes", flush=True)


def kernels(options: argparse.Namespace, folder: Path) -> None:
    given = {
        "cmsis-nn-7.0.0": options.cmsis_nn,
        "cmsis-nn-4.0.0": options.cmsis_nn_4,
        "cmsis-nn-q7-5.9.0": options.cmsis_5,
    }
    for core in options.cores:
        machine = MACHINES[core]
        libraries = [ccore(machine)]
        libraries += [real(k, v, machine) for k, v in given.items() if v]
        found = {each.provider: measured(each, machine, folder) for each in libraries}
        outside = {*memory.GENERATED_NEEDS}
        for each in libraries:
            own = found[each.provider]
            names = reachable(own, each.roots)
            outside |= {n for name in names for n in own[name].calls | own[name].jumps}
            outside -= own.keys()
        runtime: dict[str, Section] = {}
        for symbol in sorted(outside):
            runtime |= toolchain(symbol, machine, folder)
        for each in libraries:
            own = found[each.provider]
            names = reachable(own, each.roots)
            table = rows({**runtime, **own}, names)
            save(each.provider, machine, each.release, functions=table)
        save("toolchain", machine, "", functions=rows(runtime, runtime))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    option = parser.add_argument
    option("what", choices=("kernels", "generated"))
    option("--cmsis-nn", type=Path, help="CMSIS-NN 7.0.0")
    option("--cmsis-nn-4", type=Path, help="CMSIS-NN 4.0.0")
    option("--cmsis-5", type=Path, help="CMSIS 5.9.0")
    option("--core", dest="cores", action="append", choices=MACHINES)
    option("--networks", type=int, default=300, help="how many are drawn")
    options = parser.parse_args(arguments)
    options.cores = options.cores or list(MACHINES)
    emulator.require_tools()
    with tempfile.TemporaryDirectory() as name:
        {"kernels": kernels}[options.what](options, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
