"""What Keras has written before the page on it begins."""

from pathlib import Path

import numpy as np
from formats.onnx_files import model, node
from formats.sketch import Sketch


def keras_files():
    """Features of a few words, the weights of the page's model, and files of another."""
    rng = np.random.default_rng(0)
    features = rng.normal(5, 20, (60, 49, 10, 1)).astype(np.float32)
    np.savez("features.npz", x=features, y=np.arange(60) % 12)

    shapes = {
        "conv2d/kernel": (10, 4, 1, 16),
        "batch_normalization/gamma": (16,),
        "batch_normalization/beta": (16,),
        "batch_normalization/moving_mean": (16,),
        "batch_normalization/moving_variance": (16,),
        "depthwise_conv2d/kernel": (3, 3, 16, 1),
        "depthwise_conv2d/bias": (16,),
        "dense/kernel": (16, 12),
        "dense/bias": (12,),
    }
    weights = {
        f"sequential/{name}": rng.uniform(0.1, 0.3, shape)
        for name, shape in shapes.items()
    }
    np.savez("weights.npz", **weights)

    s = Sketch((49, 10, 1))
    flat = s.op("RESHAPE", [s.x, s.integer([1, 490])], (490,))
    s.op("FULLY_CONNECTED", [flat, s.weight((12, 490)), s.bias(12)], (12,), scale=0.4)
    Path("keywords.tflite").write_bytes(s.file("float32"))

    nodes = [node("Flatten", ["x"], ["flat"]), node("MatMul", ["flat", "w"], ["y"])]
    dense = {"w": rng.uniform(-0.1, 0.1, (490, 12)).astype(np.float32)}
    made = model(nodes, {"x": ("n", 49, 10, 1)}, dense)
    Path("keywords.onnx").write_bytes(made.SerializeToString())
