"""What the row of a library says, and which core is of which class.

A library is a set of kernels for the chip, or a runtime that reads `.tflite` files.
Networks run and train in the arithmetic of either; C is generated for the former.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kanji_np.types import Numerics

#: Core classes by their own name and by the names of their cores.
CORES: dict[str, str] = {
    "c": "c",
    "dsp": "dsp",
    "mve": "mve",
    "cortex-m0": "c",
    "cortex-m0plus": "c",
    "cortex-m1": "c",
    "cortex-m3": "c",
    "cortex-m4": "dsp",
    "cortex-m7": "dsp",
    "cortex-m33": "dsp",
    "cortex-m35p": "dsp",
    "cortex-m52": "mve",
    "cortex-m55": "mve",
    "cortex-m85": "mve",
}


@dataclass(frozen=True)
class Library:
    """A library, or a runtime, that networks are built for.

    Parameters
    ----------
    name : str
        As in `TargetSpec.library`.
    versions : tuple of str
        Those whose arithmetic and signatures are known, the newest first.
    roundings : tuple of str
        How it can be built, the default first.
    numerics : (core class, rounding) -> Numerics
    schemes : tuple of str
        The quantization schemes its kernels can compute (`quantize.SCHEMES`).
    channel_scales : bool
        Convolutions take a weight scale for each output channel.
    since : mapping of str to str
        Functions that are not in every version: the first that has them.
    releases : mapping of str to str
        What each of the versions stands for, as its publisher names it.
    operators : mapping of str to Numerics
        The operators that compute otherwise than `numerics` says, by name.
    generates_c : bool
        False: a runtime.
    """

    name: str
    versions: tuple[str, ...]
    roundings: tuple[str, ...]
    numerics: Callable[[str, str], Numerics]
    schemes: tuple[str, ...]
    channel_scales: bool
    since: Mapping[str, str]
    releases: Mapping[str, str]
    operators: Mapping[str, Numerics] = field(default_factory=dict)
    generates_c: bool = True
