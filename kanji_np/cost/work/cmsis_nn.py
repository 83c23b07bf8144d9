"""CMSIS-NN on cores of the classes c and dsp."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kanji_np.cost.work.loops import Integers, Work

ROWS: Mapping[str, Callable[[Integers, str], Work]] = {}
