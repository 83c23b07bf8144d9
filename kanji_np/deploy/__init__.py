"""From a trained network to firmware, and the proof that they agree.

`planner` lays out memory, `cwriter` prints the C, `project` writes a directory that
builds, `verify` compiles it and compares every output byte with the golden model.
"""

from __future__ import annotations

from kanji_np.deploy.project import Firmware, export
from kanji_np.deploy.verify import Difference, Verification, verify

__all__ = ["Difference", "Firmware", "Verification", "export", "verify"]
