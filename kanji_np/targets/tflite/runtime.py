"""What the rows of all three runtimes have in common."""

from __future__ import annotations

from collections.abc import Mapping

from kanji_np.targets.library import Library
from kanji_np.types import Numerics


def runtime(
    name: str,
    version: str,
    release: str,
    numerics: Numerics,
    operators: Mapping[str, Numerics],
) -> Library:
    """The row of a runtime.

    Parameters
    ----------
    name, version : str
    release : str
        What the version stands for, as its publisher names it.
    numerics : Numerics
        Of all operators but these:
    operators : mapping of str to Numerics
        By the operator's name.
    """
    return Library(
        name=name,
        versions=(version,),
        roundings=("mixed",),
        numerics=lambda core, rounding: numerics,
        schemes=("pow2", "pow2-per-channel", "symmetric", "asymmetric"),
        channel_scales=True,
        since={},
        releases={version: release},
        operators=operators,
        generates_c=False,
    )
