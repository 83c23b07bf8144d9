"""Networks by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kanji_np.errors import OptionError
from kanji_np.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    MaxPool2D,
    Normalize,
)
from kanji_np.model import Sequential
from kanji_np.types import Shape, TargetSpec

CIFAR10_MEAN = (125, 123, 114)
POOLS = {"max": MaxPool2D, "average": AvgPool2D}


def paper_cnn(
    channels: Sequence[int] = (32, 32, 64),
    *,
    pool: str = "max",
    batch_norm: bool = False,
    input_shape: Shape = (32, 32, 3),
    classes: int = 10,
    mean: Any = CIFAR10_MEAN,
    target: str | TargetSpec = "cmsis-nn",
    scheme: str = "pow2",
    ranges: str = "minmax",
    seed: int = 0,
    name: str = "cifar10",
) -> Sequential:
    """The paper's network: 5x5 convolutions with ReLU, each with a 3x3 pool.

    Parameters
    ----------
    channels : sequence of int
        Output channels of each convolution.
    pool : "max" or "average"
    batch_norm : bool
        Whether convolutions are normalized while they are trained.
    mean : int or sequence of ints
        What `Normalize` takes off.

    References
    ----------
    Lai and Suda, 2018, table 1; the network of Arm's CIFAR-10 example for CMSIS-NN.
    """
    if not channels:
        raise OptionError("channels must name at least one convolution")
    if pool not in POOLS:
        raise OptionError(f"pool must be one of {', '.join(POOLS)}; got {pool!r}")
    layers: list[Layer] = [Normalize(mean)]
    for filters in channels:
        layers += [
            Conv2D(
                filters, 5, padding="same", activation="relu", batch_norm=batch_norm
            ),
            POOLS[pool](3, 2),
        ]
    layers += [Flatten(), Dense(classes)]
    return Sequential(
        layers, input_shape, target, scheme=scheme, ranges=ranges, seed=seed, name=name
    )
