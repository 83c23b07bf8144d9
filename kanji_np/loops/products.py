"""Ways to multiply int8 by int8 and add up, and which of them this CPU has.

All give the same sums modulo 2^32; they differ in speed and in how activations and
weights are stored meanwhile. Dot products of four take one factor unsigned on x86
(`vpdpbusd`), so 128 is added to activations and taken off again in the bias.

The environment variable `KANJI_NP_PRODUCTS` picks one by name.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from llvmlite import binding
from numpy.typing import DTypeLike

from kanji_np.errors import OptionError
from kanji_np.jit import config

VARIABLE = "KANJI_NP_PRODUCTS"


class Way(NamedTuple):
    """What compiled loops get: the class says which instruction they are made of."""

    depth: int  # products that one instruction adds up in a lane


class Vnni512(Way):
    """`vpdpbusd` of AVX-512 VNNI: uint8 by int8, four products a lane."""


class Vnni256(Way):
    """`vpdpbusd` of AVX-VNNI, or of AVX-512 VNNI in half registers."""


class NeonDot(Way):
    """`sdot` of ARMv8.2: int8 by int8, four products a lane."""


class Pairs512(Way):
    """`vpmaddwd` of AVX-512: int16 by int16, two products a lane."""


class Pairs256(Way):
    """`vpmaddwd` of AVX2."""


class Float(Way):
    """Multiply and add in floating point: float32 is exact below 2^24."""


@dataclass(frozen=True)
class Products:
    """One way to multiply integers.

    Parameters
    ----------
    name : str
    needs : tuple of frozenset
        CPU features, in LLVM's words; any one of the sets is enough.
    way : Way
    x, weight : dtype
        How activations and weights are stored.
    offset : int
        What is added to an int8 activation to store it.
    longest : int
        Products of stored numbers that are added exactly.
    """

    name: str
    needs: tuple[frozenset[str], ...]
    way: Way
    x: np.dtype
    weight: np.dtype
    offset: int = 0
    longest: int = 1 << 30


def _products(
    name: str,
    needs: Sequence[str],
    way: Way,
    x: DTypeLike,
    weight: DTypeLike,
    *more: int,
) -> Products:
    sets = tuple(frozenset(features.split()) for features in needs)
    return Products(name, sets, way, np.dtype(x), np.dtype(weight), *more)


#: The fastest first.
PRODUCTS = {
    products.name: products
    for products in (
        _products(
            "avx512-vnni", ["avx512f avx512vnni"], Vnni512(4), np.uint8, np.int8, 128
        ),
        _products(
            "avx-vnni", ["avxvnni", "avx512vl avx512vnni"], Vnni256(4),
            np.uint8, np.int8, 128,
        ),
        _products("neon-dot", ["dotprod"], NeonDot(4), np.int8, np.int8),
        _products("avx512", ["avx512f avx512bw"], Pairs512(2), np.int16, np.int16),
        _products("avx2", ["avx2"], Pairs256(2), np.int16, np.int16),
        # 128 * 128 * 1024 is 2^24
        _products("float32", [""], Float(1), np.float32, np.float32, 0, 1024),
    )
}  # fmt: skip


# LLVM turns this into sdot where it may: the feature is implied by the name of the CPU
# and not among those it reports.
SUM_OF_PRODUCTS = """
declare i32 @llvm.vector.reduce.add.v16i32(<16 x i32>)
define i32 @dot(<16 x i8> %a, <16 x i8> %b) {
  %x = sext <16 x i8> %a to <16 x i32>
  %w = sext <16 x i8> %b to <16 x i32>
  %products = mul <16 x i32> %x, %w
  %sum = call i32 @llvm.vector.reduce.add.v16i32(<16 x i32> %products)
  ret i32 %sum
}
"""


@cache
def cpu_features() -> frozenset[str]:
    """Features of the CPU that Numba compiles for, in LLVM's words."""
    chosen = config.CPU_FEATURES
    if chosen is not None:
        features = {f[1:] for f in chosen.split(",") if f.startswith("+")}
    else:
        try:
            found = binding.get_host_cpu_features()
        except RuntimeError:  # older versions cannot tell on every platform
            found = {}
        features = {name for name, has in found.items() if has}
    if platform.machine().lower() in ("aarch64", "arm64") and _is_sdot_selected():
        features.add("dotprod")
    return frozenset(features)


def _is_sdot_selected() -> bool:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    machine = target.create_target_machine(
        cpu=config.CPU_NAME or binding.get_host_cpu_name(),
        features=config.CPU_FEATURES or "",
    )
    module = binding.parse_assembly(SUM_OF_PRODUCTS)
    return "\tsdot\t" in machine.emit_assembly(module)


@cache
def available_products() -> tuple[str, ...]:
    """Names in `PRODUCTS` that this CPU can do."""
    return tuple(
        products.name
        for products in PRODUCTS.values()
        if any(needed <= cpu_features() for needed in products.needs)
    )


def products() -> Products:
    """The way to multiply integers: the fastest, or what `KANJI_NP_PRODUCTS` names.

    Raises
    ------
    OptionError
        The variable names one that is not known, or that the CPU cannot do.
    """
    wanted = os.environ.get(VARIABLE) or available_products()[0]
    if wanted not in available_products():
        raise OptionError(
            f"{VARIABLE} must be one of {', '.join(available_products())} on this CPU, "
            f"got {wanted!r}"
        )
    return PRODUCTS[wanted]
