"""The libraries a network can be built for: a file and a row in `TARGETS` each."""

from __future__ import annotations

from kanji_np.errors import OptionError
from kanji_np.targets.cmsis_nn import CMSIS_NN
from kanji_np.types import TargetSpec

TARGETS: dict[str, TargetSpec] = {spec.library: spec for spec in (CMSIS_NN,)}


def target_spec(target: str | TargetSpec) -> TargetSpec:
    """The target of that name; OptionError lists the names there are."""
    if isinstance(target, TargetSpec):
        return target
    if target not in TARGETS:
        raise OptionError(f"target must be one of {sorted(TARGETS)}, got {target!r}")
    return TARGETS[target]
