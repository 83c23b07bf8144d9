"""The libraries a network can be built for: a row in `LIBRARIES` each.

Libraries of kernels for the chip have a folder each. The runtimes that read `.tflite`
files share one, `tflite`.
"""

from __future__ import annotations

from collections.abc import Iterable

from kanji_np.checks import one_of
from kanji_np.errors import UnsupportedOp
from kanji_np.targets.cmsis_nn.library import CMSIS_NN
from kanji_np.targets.cmsis_nn_q7.library import CMSIS_NN_Q7
from kanji_np.targets.library import CORES, Library
from kanji_np.targets.tflite import LITERT, TFLM, XNNPACK
from kanji_np.types import KernelCall, TargetSpec

LIBRARIES: dict[str, Library] = {
    library.name: library for library in (CMSIS_NN, CMSIS_NN_Q7, TFLM, LITERT, XNNPACK)
}


def target_spec(
    target: str | TargetSpec = "cmsis-nn",
    *,
    core: str | None = None,
    rounding: str | None = None,
    version: str | None = None,
) -> TargetSpec:
    """A library, one of its versions, a core class and a rounding.

    Parameters
    ----------
    target : str or TargetSpec
        Key of `LIBRARIES`: "cmsis-nn", "cmsis-nn-q7", "tflm", "litert" or "xnnpack"; or
        a spec, of which the others replace a part.
    core : str, optional
        A class, "c", "dsp" (the default) or "mve", or a core, such as "cortex-m4".
    rounding : str, optional
        How the library was built; the first of `Library.roundings` is its default.
    version : str, optional
        By default the newest that is known.

    Returns
    -------
    TargetSpec

    Raises
    ------
    OptionError
        One of them is not known; the message lists what is.
    """
    if isinstance(target, TargetSpec):
        core, rounding = core or target.core, rounding or target.rounding
        version, target = version or target.version, target.library
    library = LIBRARIES[one_of("target", target, LIBRARIES)]
    version = one_of("version", version or library.versions[0], library.versions)
    rounding = one_of(
        f"rounding of {target}", rounding or library.roundings[0], library.roundings
    )
    core = one_of("core", core or "dsp", CORES)
    core = CORES[core]
    numerics = library.numerics(core, rounding)
    return TargetSpec(
        library.name, version, core, rounding, numerics, library.operators
    )


def release_of(target: TargetSpec) -> str:
    """What a target's version stands for, as the library's publisher names it."""
    return LIBRARIES[target.library].releases[target.version]


def has(target: TargetSpec, function: str) -> bool:
    """Whether the target's version of its library has a function already."""
    first = LIBRARIES[target.library].since.get(function)
    return first is None or _number(first) <= _number(target.version)


def same_arithmetic(a: TargetSpec, b: TargetSpec) -> bool:
    """Whether two targets compute every operator alike, whatever they are called."""
    return a.numerics == b.numerics and a.operators == b.operators


def generates_c(target: TargetSpec) -> bool:
    """Whether networks for this target become C."""
    return LIBRARIES[target.library].generates_c


def check_generates_c(target: TargetSpec) -> None:
    """UnsupportedOp if no C is generated for this target."""
    if not generates_c(target):
        raise UnsupportedOp(
            f"no C is generated for {target.library}, a runtime that reads .tflite "
            "files: write one with save_tflite(net, path), or take "
            'net.for_target("cmsis-nn")'
        )


def check_calls(target: TargetSpec, calls: Iterable[KernelCall]) -> None:
    """UnsupportedOp if a function came only after the target's version."""
    since = LIBRARIES[target.library].since
    for call in calls:
        if not has(target, call.function):
            raise UnsupportedOp(
                f"{target.library} {target.version} has no {call.function}; "
                f"it came with {since[call.function]}"
            )


def check_scheme(target: TargetSpec, scheme: str) -> None:
    """UnsupportedOp if the library's kernels cannot compute a quantization scheme."""
    schemes = LIBRARIES[target.library].schemes
    if scheme not in schemes:
        raise UnsupportedOp(
            f"{target.library} computes with scheme {', '.join(schemes)} only; "
            f"got {scheme!r}"
        )


def computes_pow2_alone(target: TargetSpec) -> bool:
    """Whether all scales must be powers of two."""
    return all(name.startswith("pow2") for name in LIBRARIES[target.library].schemes)


def takes_channel_scales(target: TargetSpec) -> bool:
    """Whether convolutions take a weight scale for each output channel."""
    return LIBRARIES[target.library].channel_scales


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
