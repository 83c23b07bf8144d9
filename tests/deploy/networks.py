"""Small networks that between them use every operator and every way to place memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import kanji_np as kj
from kanji_np.deploy.kernels import KERNELS, defines

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wcast-qual")
CORE_CLASSES = ("c", "dsp", "mve")
STRICT = ("-std=c99", *WARNINGS, "-Werror")
SANITIZE = "-g -fsanitize=address,undefined -fno-sanitize-recover=all"


def image() -> kj.Sequential:
    """ReLU in place, odd strides, dilation, 1x1, floor and ceiling pools, softmax."""
    layers = [
        kj.Normalize((125, 123, 114)),
        kj.Conv2D(5, (3, 2), strides=(2, 1), padding="same"),
        kj.ReLU(),
        kj.MaxPool2D(3, 2, padding="same"),
        kj.Conv2D(4, 3, padding="same", dilation_rate=2, activation="relu"),
        kj.AvgPool2D(2, ceil_mode=False),
        kj.Conv2D(6, 1),
        kj.Flatten(),
        kj.Dense(7, activation="relu"),
        kj.Dense(5),
        kj.Softmax(),
    ]
    return kj.Sequential(layers, (26, 11, 3), name="image")


def mean_image() -> kj.Sequential:
    """A mean for every pixel, asymmetric padding, ceiling pools."""
    mean = np.arange(12 * 9 * 2).reshape(12, 9, 2) % 256
    layers = [
        kj.Normalize(mean, shift=0),
        kj.Conv2D(4, (5, 3), strides=2, padding=((0, 3), (2, 0))),
        kj.MaxPool2D((2, 3), (1, 2)),
        kj.AvgPool2D((3, 2), 2),
        kj.Flatten(),
        kj.Dense(3),
    ]
    return kj.Sequential(layers, (12, 9, 2), name="mean_image")


def standardized() -> kj.Sequential:
    """Layer names that are no C names, and the last layer works in place."""
    layers = [
        kj.Standardize(name="switch"),
        kj.Conv2D(3, 1, strides=2, name="SWITCH"),
        kj.Conv2D(4, 2, name="Run"),
        kj.ReLU(name="observe"),
        kj.Flatten(),
    ]
    return kj.Sequential(layers, (8, 9, 1), name="run")


def relu_first() -> kj.Sequential:
    """In place on the caller's input, which must stay as it is."""
    layers = [kj.ReLU(), kj.ReLU(), kj.Flatten(), kj.Dense(4)]
    return kj.Sequential(layers, (3, 4, 2), name="relu_first")


def only_relu() -> kj.Sequential:
    return kj.Sequential([kj.ReLU()], (5, 3, 2), name="only_relu")


def only_flatten() -> kj.Sequential:
    return kj.Sequential([kj.Flatten(), kj.Flatten()], (2, 3, 4), name="only_flatten")


def only_dense() -> kj.Sequential:
    return kj.Sequential([kj.Dense(6)], (17,), name="only_dense")


def legacy() -> kj.Sequential:
    """The q7 API on DSP cores: every call, and layers of two calls."""
    layers = [
        kj.Normalize((125, 123, 114)),
        kj.Conv2D(4, 3, padding="same", activation="relu"),
        kj.MaxPool2D(3, 2),
        kj.Conv2D(6, (3, 1), strides=(1, 2), padding="same"),
        kj.ReLU(),
        kj.Conv2D(8, 1, activation="relu"),
        kj.DepthwiseConv2D((1, 3), padding="same", activation="relu"),
        kj.Conv2D(4, 1),
        kj.Conv2D(5, 3, padding=((1, 1), (3, 3))),
        kj.DepthwiseConv2D(3, padding="same"),
        kj.AvgPool2D(3, 3, "same"),
        kj.Flatten(),
        kj.Dense(7, activation="relu"),
        kj.Dense(5),
        kj.Softmax(),
    ]
    return kj.Sequential(layers, (17, 17, 3), "cmsis-nn-q7", name="legacy")


def legacy_pool_first() -> kj.Sequential:
    """A call that destroys the caller's input, which must stay as it is."""
    layers = [kj.MaxPool2D(2), kj.AvgPool2D(2), kj.Flatten(), kj.Dense(3)]
    return kj.Sequential(layers, (8, 8, 2), "cmsis-nn-q7", name="pool_first")


def legacy_plain() -> kj.Sequential:
    """The q7 API on plain C cores, built to truncate."""
    layers = [
        kj.AvgPool2D(3, 1, "same"),
        kj.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        kj.MaxPool2D(2, 1, "same"),
    ]
    return kj.Sequential(
        layers,
        (9, 9, 4),
        "cmsis-nn-q7",
        core="cortex-m3",
        rounding="truncate",
        name="legacy_plain",
    )


def branches() -> kj.Model:
    """Tensors read by several layers, zero points, and every operator that joins."""
    images = kj.Input((11, 9, 3))
    x = kj.ZeroPadding2D(((0, 1), (2, 0)))(kj.Normalize((125, 123, 114))(images))
    stem = kj.Conv2D(6, 3, activation="relu6")(x)
    y = kj.ReLU6()(kj.Conv2D(6, 3, padding="same")(stem))
    y = kj.Add(activation="relu")(stem, y)
    gate = kj.Conv2D(6, 1)(stem)
    y = kj.Multiply(activation="relu6")(y, kj.ReLU()(gate))
    y = kj.Concatenate()(y, gate, stem)
    pooled = kj.GlobalAvgPool2D()(y)
    row = kj.Reshape((10 * 9, 18))(kj.ReLU()(y))
    row = kj.Conv1D(4, 3, padding=(1, 1), activation="relu")(row)
    last = kj.Concatenate()(pooled, kj.Flatten()(row), pooled)
    return kj.Model(images, kj.Add()(last, last), scheme="asymmetric", name="branches")


def residual() -> kj.Model:
    """A sum of the caller's input and of powers of two, into the caller's output."""
    x = kj.Input((5, 7, 3))
    y = kj.Add(activation="relu")(x, kj.Conv2D(3, 3, padding="same")(x))
    return kj.Model(x, kj.Concatenate()(kj.ReLU()(y), y, x), name="residual")


def scratchy(core: str) -> kj.Sequential:
    """Every core class wants another amount of scratch memory for each layer."""
    layers = [
        kj.Conv2D(8, (1, 5), padding="same"),
        kj.DepthwiseConv2D((1, 3)),
        kj.AvgPool2D((1, 2)),
        kj.Conv2D(4, (1, 2)),
    ]
    return kj.Sequential(layers, (1, 14, 16), core=core, name="scratchy")


NETWORKS: tuple[Callable[[], kj.Model], ...] = (
    image,
    mean_image,
    standardized,
    relu_first,
    only_relu,
    only_flatten,
    only_dense,
    legacy,
    legacy_pool_first,
    legacy_plain,
    branches,
    residual,
)


def c_flags(net: kj.Model, directory: Path) -> list[str]:
    """What the C of a firmware is compiled with: include folders and macros."""
    kernels = KERNELS[net.target.library]
    macros = defines(net.target, "ccore")
    folders = ("", *kernels.includes)
    return [f"-I{directory / f}" for f in folders] + [f"-D{macro}" for macro in macros]


def noise(net: kj.Model, count: int) -> np.ndarray:
    """Inputs of a network, (count, *input shape)."""
    rng = np.random.default_rng(7)
    low, high = (0, 256) if net.input.dtype == "uint8" else (-128, 128)
    return rng.integers(low, high, (count, *net.input.shape)).astype(net.input.dtype)
