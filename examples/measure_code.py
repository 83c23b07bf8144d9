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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from random_networks import draw

from kanji_np import __version__
from kanji_np.cost import generated as network_code
from kanji_np.cost import memory
from kanji_np.cost.picked import WRAPPERS
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
from kanji_np.targets import LIBRARIES, generates_c, target_spec
from kanji_np.types import TargetSpec
from kanji_np.zoo import NETWORKS

SCRIPT = "examples/measure_code.py"
OBJDUMP = "arm-none-eabi-objdump"

BRANCHES = {
    "R_ARM_THM_CALL": "call",
    "R_ARM_THM_JUMP24": "jump",
    "R_ARM_THM_JUMP19": "jump",
    "R_ARM_THM_JUMP11": "jump",
}
SECTION_ROW = re.compile(
    r"^\s*\d+ \.((text|rodata|data|bss)\S*)\s+([0-9a-f]+) .*2\*\*(\d+)$", re.MULTILINE
)
SYMBOL_ROW = re.compile(r"^[0-9a-f]+ [lgw].{6} (\S+)\t[0-9a-f]+ (?:\.hidden )?(\S+)$")
CODE, STATIC = ("text", "rodata"), ("data", "bss")
#: What the wrappers pick from.
KERNEL = re.compile(r"arm_(depthwise_conv|convolve)_(?!\w+_get_buffer_size)\w+")


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
    calls, jumps, points : set of str
        The symbols or sections it names: calls; jumps, which have given the stack back;
        and what it takes the address of.
    """

    size: int = 0
    static: int = 0
    frame: int = 0
    calls: set[str] = field(default_factory=set)
    jumps: set[str] = field(default_factory=set)
    points: set[str] = field(default_factory=set)

    @property
    def needs(self) -> set[str]:
        return self.calls | self.jumps | self.points


class CompilerCrashed(Exception):
    """An error of the compiler, not of the source: no firmware can have it either."""


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "internal compiler error" in done.stderr:
        raise CompilerCrashed
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
        elif now is not None and (
            found := re.match(r"^[0-9a-f]{8} (R_\S+)\s+(\S+)", line)
        ):
            to = re.sub(r"[+-]0x[0-9a-f]+$", "", found[2])
            if found[1] == "R_ARM_NONE":
                continue
            to = symbols.get(to, to)
            to = name(to) if to in made else to
            if not to.startswith("*"):
                kinds = {"call": now.calls, "jump": now.jumps}
                kinds.get(BRANCHES.get(found[1], ""), now.points).add(to)
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


def ccore(machine: Machine, rounding: int) -> Library:
    """`rounding`: which of each target library's, the default first."""
    root, found, roots = ccore_directory(), [], []
    for name, kernels in KERNELS.items():
        target = _target(name, machine, rounding)
        core_class = class_of(machine.core_class, target)
        options = [f"-D{macro}" for macro in defines(target, "ccore", core_class)]
        options += [f"-I{root.parent / include}" for include in kernels.includes]
        for path in sorted((root.parent / kernels.ccore / "Source").glob("*.c")):
            found.append((path, options))
            roots += DEFINED.findall(path.read_text())
    return Library("ccore", __version__, found, sorted(set(roots)))


def real(provider: str, directory: Path, machine: Machine, rounding: int) -> Library:
    library, _, version = provider.rpartition("-")
    target = _target(library, machine, rounding, version)
    checkout, names = find(directory, target, ()), ccore(machine, rounding).roots
    sources = needed((checkout.directory / "Source").glob("*/*.c"), names)
    options = [f"-I{include}" for include in checkout.includes]
    options += [f"-D{macro}" for macro in defines(target, "cmsis-nn")]
    return Library(provider, version, [(path, options) for path in sources], names)


def _target(
    library: str, machine: Machine, rounding: int, version: str | None = None
) -> TargetSpec:
    return target_spec(
        library,
        version=version,
        core=machine.core,
        rounding=LIBRARIES[library].roundings[rounding],
    )


def measured(library: Library, machine: Machine, folder: Path) -> dict[str, Section]:
    def one(job: tuple[Path, Sequence[str]]) -> dict[str, Section]:
        source, options = job
        here = folder / library.provider / machine.core / source.parent.name
        here.mkdir(parents=True, exist_ok=True)
        try:
            made = compiled(source, here / f"{source.stem}.o", machine, options)
        except CompilerCrashed:
            print(f"{machine.core}: the compiler crashes on {source.name}", flush=True)
            return {}
        return sections(made)

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
        left += [need for need in found[name].needs if need in found]
    return sorted(seen)


def depth(
    found: Mapping[str, Section], name: str, without: Collection[str] = ()
) -> int:
    """The deepest stack that a function needs, at most.

    What it jumps to has all of it. A function that it takes the address of may be
    called at the end of any path from here. It calls none of those `without`.
    """
    if name not in found:
        return 0
    here = found[name]

    def deepest(names: Iterable[str]) -> int:
        left = (name for name in names if name not in without)
        return max((depth(found, name) for name in left), default=0)

    calls = here.frame + deepest(here.calls)
    return max(calls, deepest(here.jumps)) + deepest(here.points)


def rows(found: Mapping[str, Section], names: Iterable[str]) -> dict[str, object]:
    made: dict[str, object] = {}
    for name in names:
        here = found[name]
        row: dict[str, object] = {"flash": here.size}
        if here.static:
            row["static"] = here.static
        if needs := sorted(here.needs):
            row["needs"] = needs
        if stack := depth(found, name):
            row["stack"] = stack
        if picks := _picks(found, name):
            row["picks"] = picks
        made[name] = row
    return made


def _picks(found: Mapping[str, Section], name: str) -> dict[str, int]:
    """The stack of a wrapper by the kernel that it calls."""
    if name not in WRAPPERS:
        return {}
    kernels = {need for need in found[name].needs if KERNEL.fullmatch(need)}
    return {
        kernel: depth(found, name, kernels - {kernel}) for kernel in sorted(kernels)
    }


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
        _kernels_on(MACHINES[core], given, folder)


def _kernels_on(
    machine: Machine, given: Mapping[str, Path | None], folder: Path
) -> None:
    runtime = toolchain(memory.COPY, machine, folder)
    for rounding, suffix in enumerate(("", memory.OTHER_ROUNDING)):
        libraries = [ccore(machine, rounding)]
        libraries += [real(k, v, machine, rounding) for k, v in given.items() if v]
        for library in libraries:
            found = measured(library, machine, folder / str(rounding))
            names = reachable(found, library.roots)
            used = {need for name in names for need in found[name].needs}
            for symbol in sorted(used - found.keys() - runtime.keys()):
                runtime |= toolchain(symbol, machine, folder)
            table = rows({**runtime, **found}, names)
            provider = f"{library.provider}{suffix}"
            save(provider, machine, library.release, functions=table)
    save(memory.TOOLCHAIN, machine, "", functions=rows(runtime, runtime))


# ------------------------------------------------------------------ the networks' own C

#: Coefficients that stand for one function alone are held near zero by so much.
RIDGE = 0.03
#: Networks that are kept out of the fit, to say how good it is: every fifth.
HELD_OUT = 5


def networks(count: int) -> Iterator[Program]:
    """Those of the zoo, and random ones."""
    for make in NETWORKS.values():
        yield program(make().freeze())
    for number in range(count):
        drawn = draw(number)
        if drawn.model is not None and generates_c(drawn.model.target):
            yield program(drawn.model.freeze())


def compiled_network(p: Program, machine: Machine, folder: Path) -> dict[str, Section]:
    """The sections of a network's code; its tables are not among them."""
    target, name = p.graph.target, p.graph.name
    for file, text in write(p).items():
        (folder / file).write_text(text)
    macros = defines(target, "ccore", class_of(machine.core_class, target))
    root = ccore_directory().parent
    includes = (folder, *(root / each for each in KERNELS[target.library].includes))
    options = [f"-D{macro}" for macro in (*macros, f"{name.upper()}_ANY_CORE")]
    options += [f"-I{include}" for include in includes]
    source = folder / f"{name}.c"
    return sections(compiled(source, source.with_suffix(".o"), machine, options))


def inlined_copy_bytes(machine: Machine, folder: Path) -> int:
    """The most bytes that the compiler copies without a call."""
    source, target = folder / "copy.c", folder / "copy.o"
    for size in range(1, 257):
        source.write_text(
            "#include <string.h>\nvoid f(char *a, const char *b)\n"
            f"{{\n    memcpy(a, b, {size});\n}}\n"
        )
        made = sections(compiled(source, target, machine, ()))
        if made["f"].needs:
            return size - 1
    raise SystemExit(f"{machine.core}: copies of any size are inlined")


def generated(options: argparse.Namespace, folder: Path) -> None:
    made = list(networks(options.networks))
    for core in options.cores:
        machine = MACHINES[core]
        copy = inlined_copy_bytes(machine, folder)
        found = [compiled_network(p, machine, folder) for p in made]
        save(memory.GENERATED, machine, "", **fit(made, found, copy))


def fit(
    made: Sequence[Program], found: Sequence[dict[str, Section]], copy: int
) -> dict[str, dict[str, object]]:
    """Coefficients of `terms` by least squares, and what errors they leave."""
    terms = [network_code.terms(p, copy) for p in made]
    names = sorted({name for each in terms for name in each})
    x = np.array([[each.get(name, 0) for name in names] for each in terms], float)
    y = np.array(
        [
            sum(each.size for each in one.values()) - network_code.struct_bytes(p)
            for p, one in zip(made, found, strict=True)
        ],
        float,
    )
    is_held = np.arange(len(y)) % HELD_OUT == HELD_OUT - 1
    errors = np.abs(x @ _solve(x[~is_held], y[~is_held], names) - y)[is_held]
    besides = [
        depth(one, f"{p.graph.name}_run") - network_code.stack_bytes(p)
        for p, one in zip(made, found, strict=True)
    ]
    coefficients = np.round(_solve(x, y, names), 1).tolist()
    return {
        "terms": dict(zip(names, coefficients, strict=True)),
        "stack": {"besides": max(besides)},
        "copies": {"inlined": copy},
        "errors": {
            "networks": len(y),
            "held_out": int(is_held.sum()),
            "median_bytes": round(float(np.median(errors))),
            "worst_bytes": round(float(errors.max())),
        },
    }


def _solve(x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Small networks count as much as large ones."""
    weight = 1 / np.sqrt(y)
    ridge = np.diag([RIDGE if "_" in name else RIDGE / 100 for name in names])
    a = np.vstack([x * weight[:, None], ridge])
    b = np.concatenate([y * weight, np.zeros(len(names))])
    return np.linalg.lstsq(a, b, rcond=None)[0]


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
        {"kernels": kernels, "generated": generated}[options.what](options, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
