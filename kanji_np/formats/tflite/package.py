"""The packages `tflite` and `flatbuffers`: no other module imports them.

`tflite` is the schema of the format as classes that `flatc` wrote.
"""

from __future__ import annotations

from kanji_np.errors import ToolError

try:
    import flatbuffers
    import tflite
except ImportError:
    raise ToolError(
        ".tflite files need the packages tflite and flatbuffers: "
        "pip install 'kanji-np[tflite]'"
    ) from None

__all__ = ["flatbuffers", "tflite"]
