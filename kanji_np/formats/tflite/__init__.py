"""TensorFlow Lite files (`.tflite`)."""
