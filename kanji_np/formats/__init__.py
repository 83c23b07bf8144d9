"""Networks from elsewhere, and back: `.tflite`, ONNX, arrays."""
