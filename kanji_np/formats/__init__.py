"""Networks from elsewhere, and back: `.tflite`, ONNX."""

from kanji_np.formats.load import is_foreign, read

__all__ = ["is_foreign", "read"]
