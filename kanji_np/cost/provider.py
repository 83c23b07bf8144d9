"""Whose kernel a call runs, and which core it is counted on.

Generated C calls a target library's functions. Which code answers depends on what is
linked: the real library in its version, or ccore. The functions named `kanji_...` are
ccore's in every firmware.
"""

from __future__ import annotations

from kanji_np.deploy.kernels import CCORE, check_library, class_of
from kanji_np.errors import OptionError
from kanji_np.targets.library import CORES
from kanji_np.types import KernelCall, TargetSpec

#: Cores whose instructions were counted.
COUNTED = (
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
    "cortex-m55",
)
#: Other cores, and the one whose counts stand for theirs: it has the same instructions,
#: or, of the cores that are not Arm's, instructions that do about as much.
LIKE = {
    "cortex-m0": "cortex-m0plus",
    "cortex-m1": "cortex-m0plus",
    "cortex-m23": "cortex-m0plus",
    "cortex-m35p": "cortex-m33",
    "cortex-m52": "cortex-m55",
    "cortex-m85": "cortex-m55",
    "hazard3": "cortex-m3",
    "rv32imc": "cortex-m3",
    "xtensa-lx6": "cortex-m3",
    "xtensa-lx7": "cortex-m3",
}


def provider_of(call: KernelCall, target: TargetSpec, library: str) -> str:
    """The provider of a call's kernel.

    Parameters
    ----------
    call : KernelCall
    target : TargetSpec
        What the network was made for.
    library : "ccore" or "cmsis-nn"
        Whose kernels are linked.

    Returns
    -------
    str
        "ccore", or the real library with its version, such as "cmsis-nn-7.0.0".

    Raises
    ------
    OptionError
        There is no such library.
    """
    check_library(library)
    if library == CCORE or call.function.startswith("kanji_"):
        return CCORE
    return f"{target.library}-{target.version}"


def core_like(core: str) -> str:
    """The counted core that stands for a core.

    Raises
    ------
    OptionError
        The core is not known.
    """
    like = LIKE.get(core, core)
    if like not in COUNTED:
        known = ", ".join((*COUNTED, *LIKE))
        raise OptionError(f"core must be one of {known}, got {core!r}")
    return like


def core_class_of(core: str, target: TargetSpec) -> str:
    """The class of a core, as the kernels of a target's library see it."""
    return class_of(CORES[core_like(core)], target)
