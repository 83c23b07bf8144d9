"""Networks from elsewhere, and back: `.tflite`, ONNX."""

from kanji_np.formats.load import check_known, is_foreign, read

__all__ = ["check_known", "is_foreign", "read"]
