"""The package `onnx`: no other module imports it.

It holds the schema of the format as classes of protocol buffers.
"""

from __future__ import annotations

from kanji_np.errors import ToolError

try:
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import ModelProto
except ImportError:
    raise ToolError(
        "ONNX files need the package onnx: pip install 'kanji-np[onnx]'"
    ) from None

__all__ = ["DecodeError", "ModelProto", "onnx"]
