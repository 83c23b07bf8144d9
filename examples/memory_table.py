"""Predicted memory beside that of the linked firmware, for a dozen networks.

    CMSIS_NN=DIR CMSIS_NN_4=DIR CMSIS_5=DIR python examples/memory_table.py

The directories name the real libraries: CMSIS-NN 7.0.0 and 4.0.0, and CMSIS 5.9.0. Rows
whose library is not named are left out. Networks are exported untrained: memory does
not depend on the weights. The stack is what one inference used in the emulator; the
prediction is an upper bound.
"""

import os
import tempfile
from collections.abc import Callable
from functools import partial

import numpy as np

import kanji_np as kj
from kanji_np.cost.memory import memory
from kanji_np.deploy.cwriter import program
from kanji_np.zoo import NETWORKS

REAL = {
    ("cmsis-nn", "7.0.0"): "CMSIS_NN",
    ("cmsis-nn", "4.0.0"): "CMSIS_NN_4",
    ("cmsis-nn-q7", "5.9.0"): "CMSIS_5",
}


def keyword() -> kj.Model:
    """Small: most of its flash is code."""
    layers = [
        kj.Conv1D(8, 3, activation="relu"),
        kj.Flatten(),
        kj.Dense(4),
        kj.Softmax(),
    ]
    return kj.Sequential(layers, (16, 4), name="keyword")


def gates() -> kj.Model:
    """Wired as a graph, of operators that few networks have."""
    x = kj.Input((16, 16, 4))
    y = kj.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    gate = kj.ReLU6()(kj.Conv2D(4, 1)(kj.AvgPool2D(3, 1, "same")(x)))
    z = kj.Multiply()(gate, y)
    y = kj.Concatenate()(kj.Add()(x, z), y)
    return kj.Model(x, kj.Dense(3)(kj.Flatten()(y)), name="gates")


Q7 = partial(NETWORKS["paper-cnn"], target="cmsis-nn-q7")
CASES: tuple[tuple[Callable[[], kj.Model], str, str, str | None], ...] = (
    (NETWORKS["paper-cnn"], "cmsis-nn", "cortex-m4", None),
    (NETWORKS["paper-cnn"], "ccore", "cortex-m0plus", None),
    (Q7, "cmsis-nn", "cortex-m4", None),
    (Q7, "ccore", "cortex-m3", None),
    (NETWORKS["resnet8"], "cmsis-nn", "cortex-m7", None),
    (NETWORKS["resnet8"], "cmsis-nn", "cortex-m33", "4.0.0"),
    (NETWORKS["ds-cnn"], "ccore", "cortex-m4", None),
    (NETWORKS["ds-cnn"], "cmsis-nn", "cortex-m55", None),
    (NETWORKS["mobilenet-v1-025"], "cmsis-nn", "cortex-m33", None),
    (NETWORKS["autoencoder"], "cmsis-nn", "cortex-m0plus", None),
    (keyword, "ccore", "cortex-m0plus", None),
    (keyword, "cmsis-nn", "cortex-m3", None),
    (gates, "ccore", "cortex-m55", None),
    (gates, "cmsis-nn", "cortex-m4", None),
)


def cells(predicted: int, linked: int) -> tuple[str, str]:
    return f"{predicted:,}", f"{linked:,}"


def main() -> None:
    print(
        "| network | kernels | core | flash | linked | error | stack | used | arena |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for make, library, core, version in CASES:
        net = make().for_target(core=core, version=version)
        target = net.target
        real = os.environ.get(REAL[target.library, target.version])
        if library == "cmsis-nn" and not real:
            continue
        with tempfile.TemporaryDirectory() as directory:
            kj.export(net, directory, library=library)
            x = net.freeze().input
            image = np.zeros((1, *x.shape), x.dtype)
            given = real if library == "cmsis-nn" else None
            result = kj.verify(directory, image, on=core, cmsis_nn=given)
        device, made = result.device, memory(program(net.freeze()), library, core)
        assert result.ok and device, result.first
        assert made.arena_bytes == device.arena_bytes
        assert made.static_bytes == device.static_bytes
        kernels = (
            library if library == "ccore" else f"{target.library} {target.version}"
        )
        error = 100 * (made.flash_bytes / device.flash_bytes - 1)
        row = (
            net.name,
            kernels,
            core,
            *cells(made.flash_bytes, device.flash_bytes),
            f"{error:+.2f} %",
            *cells(made.stack_bytes, device.stack_bytes),
            f"{made.arena_bytes:,}",
        )
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
