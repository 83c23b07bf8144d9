"""What a network is predicted to take of a device, as its firmware says."""

from __future__ import annotations

from dataclasses import dataclass

from kanji_np.errors import OptionError
from kanji_np.types import TargetSpec


@dataclass(frozen=True)
class Prediction:
    """Flash and stack of a network on a core, predicted without compiling it.

    Parameters
    ----------
    target : TargetSpec
    core : str
        "cortex-m4" and so on.
    counted_as : str
        The core whose code was measured, where that of `core` was not.
    library : "ccore" or "cmsis-nn"
        Whose kernels are linked.
    compiler : str
        With its options.
    option : str
        Of `kanji-np export`, that names the core or its board.
    const_bytes, arena_bytes : int
        Of the network [bytes].
    flash_bytes : int
        Tables and code, as a linker keeps them [bytes].
    stack_bytes : int
        That an inference takes of its caller's stack, at most [bytes].
    """

    target: TargetSpec
    core: str
    counted_as: str
    library: str
    compiler: str
    option: str
    const_bytes: int
    arena_bytes: int
    flash_bytes: int
    stack_bytes: int

    @property
    def basis(self) -> str:
        """What it holds for: core, library and compiler."""
        like = "" if self.counted_as == self.core else f" (as of a {self.counted_as})"
        return f"{self.core}{like} with kernels of {self.library}, by {self.compiler}"

    def check(
        self, target: TargetSpec, library: str, const_bytes: int, arena_bytes: int
    ) -> None:
        """OptionError if it is not of the network that is exported.

        Parameters
        ----------
        target : TargetSpec
        library : "ccore" or "cmsis-nn"
        const_bytes, arena_bytes : int
            Of the export [bytes].
        """
        mine = self.target, self.library, self.const_bytes, self.arena_bytes
        if mine != (target, library, const_bytes, arena_bytes):
            raise OptionError(
                f"prediction is of {self.target} with {self.library}, "
                f"{self.const_bytes:,} bytes of tables and an arena of "
                f"{self.arena_bytes:,}; exported is {target} with {library}, "
                f"{const_bytes:,} and {arena_bytes:,}: estimate the same network",
                arguments=("prediction",),
            )
