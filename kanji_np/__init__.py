"""Train int8 networks in the microcontroller's own arithmetic; export them as C.

    import kanji_np as kj

    train, test = kj.load_dataset("synthetic")
    net = kj.Sequential([...], input_shape=(32, 32, 3))
    kj.fit(net, train, epochs=10, validation=test)
    kj.export(net, "firmware/")
    kj.verify("firmware/", test)

Names are loaded when they are first used, so importing the package is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Activation": "layers",
    "Adam": "optim",
    "AdamW": "optim",
    "Add": "layers",
    "Augment": "data",
    "AvgPool2D": "layers",
    "Concatenate": "layers",
    "Constant": "optim",
    "Conv1D": "layers",
    "Conv2D": "layers",
    "Cosine": "optim",
    "Dataset": "data",
    "Dense": "layers",
    "DepthwiseConv2D": "layers",
    "Exponential": "optim",
    "Flatten": "layers",
    "GlobalAvgPool2D": "layers",
    "Graph": "graph",
    "History": "train",
    "Input": "layers",
    "KanjiError": "errors",
    "MaxPool2D": "layers",
    "Model": "model",
    "Multiply": "layers",
    "Normalize": "layers",
    "OneCycle": "optim",
    "ReLU": "layers",
    "ReLU6": "layers",
    "Reshape": "layers",
    "SGD": "optim",
    "Sequential": "model",
    "Softmax": "layers",
    "Standardize": "layers",
    "Step": "optim",
    "Tensor": "autograd",
    "ZeroPadding2D": "layers",
    "anomaly_scores": "anomaly",
    "auc": "anomaly",
    "autoencoder": "zoo",
    "cost_report": "report",
    "cross_entropy": "losses",
    "ds_cnn": "zoo",
    "export": "deploy",
    "fit": "train",
    "load": "model",
    "load_dataset": "data",
    "mean_squared_error": "losses",
    "mobilenet_v1_025": "zoo",
    "paper_cnn": "zoo",
    "paper_vgg": "zoo",
    "plot_history": "plots",
    "resnet8": "zoo",
    "target_spec": "targets",
    "vectors": "deploy",
    "verify": "deploy",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kanji_np' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"kanji_np.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
