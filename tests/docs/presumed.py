"""What other frameworks have written before the pages on them begin."""

from pathlib import Path

import numpy as np
from formats.onnx_files import model, node, quantized
from formats.sketch import Sketch
from onnx.reference import ReferenceEvaluator


def keras_files():
    """Features of a few words, weights of the page's model, and files of another."""
    rng = np.random.default_rng(0)
    features = rng.normal(5, 20, (120, 49, 10, 1)).astype(np.float32)
    np.savez("features.npz", x=features, y=np.arange(120) % 12)

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


def torch_files():
    """A small network as PyTorch exports it, its answers, and one in QDQ form."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 32, 32, 3)).astype(np.float32)
    np.savez("features.npz", x=features, y=np.arange(60) % 10)

    state = {
        "0.weight": rng.normal(size=(8, 3, 3, 3)) / 5,
        "0.bias": rng.normal(size=8),
        "1.weight": rng.normal(size=8),
        "1.bias": rng.normal(size=8),
        "1.running_mean": rng.normal(size=8),
        "1.running_var": rng.uniform(0.5, 2, 8),
        "1.num_batches_tracked": np.array(5),
        "5.weight": rng.normal(size=(10, 8 * 16 * 16)) / 200,
        "5.bias": rng.normal(size=10),
    }
    np.savez("state_dict.npz", **state)

    norm = [f"1.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    nodes = [
        node("Conv", ["x", "0.weight", "0.bias"], ["c"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", *norm], ["n"]),
        node("Relu", ["n"], ["r"]),
        node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "5.weight", "5.bias"], ["y"], transB=1),
    ]
    constants = {name: array.astype(np.float32) for name, array in state.items()}
    made = model(nodes, {"x": ("n", 3, 32, 32)}, constants)
    Path("net.onnx").write_bytes(made.SerializeToString())
    x = features[:8].transpose(0, 3, 1, 2)
    (y,) = ReferenceEvaluator(made).run(None, {"x": x})
    np.savez("answers.npz", x=x, y=y)

    q = quantized("int8", channels=True)
    made = model(q.nodes, {"x": ("n", 3, 6, 6)}, q.constants, opset=21)
    Path("quantized.onnx").write_bytes(made.SerializeToString())
