"""From a trained network to firmware, and the proof that they agree.

`planner` lays out memory, `cwriter` prints the C, `project` writes a directory that
builds. `verify` compiles it and compares every output byte with the golden model, on
this computer or on the Cortex-M that `emulator` runs; `kernels` and `build` say from
what and how. `vectors` writes what every layer must compute, for a board on the desk.
"""

from __future__ import annotations

from kanji_np.deploy.emulator import Device
from kanji_np.deploy.prediction import Prediction
from kanji_np.deploy.project import Firmware, export
from kanji_np.deploy.record import VerificationRecord
from kanji_np.deploy.vectors import vectors
from kanji_np.deploy.verify import Difference, LayerResult, Verification, verify

__all__ = [
    "Device",
    "Difference",
    "Firmware",
    "LayerResult",
    "Prediction",
    "Verification",
    "VerificationRecord",
    "export",
    "vectors",
    "verify",
]
