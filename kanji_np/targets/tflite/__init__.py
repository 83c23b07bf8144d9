"""The runtimes that read `.tflite` files, and whose arithmetic each operator has.

A module each. They answer the same file with different bytes, because their kernels
round differently. Each module has a table of what the runtime computes, with the
formulas; docs/arithmetic.md has the evidence.

No C is generated for a runtime. A network for one runs and trains in its arithmetic.
"""

from kanji_np.targets.tflite.litert import LITERT as LITERT
from kanji_np.targets.tflite.tflm import TFLM as TFLM
from kanji_np.targets.tflite.xnnpack import XNNPACK as XNNPACK
