"""A score for networks that are not trained, to rank them by.

It is the logarithm of multiply-accumulates times weights. Nothing in it was fitted.
`examples/rank_correlation.py` compares it with the accuracies of 30 trained networks.
MACs alone rank these as well; scores that need a forward or a backward pass rank them
worse.
"""

from __future__ import annotations

import math

from kanji_np.layers import LinearLayer
from kanji_np.model import Model


def macs(network: Model) -> int:
    """Multiply-accumulates of one inference [MAC]."""
    shapes = (network.input.shape, *network.shapes)
    return sum(
        layer.op.cost(layer.attrs, tuple(shapes[k] for k in wires), network.target).macs
        for layer, wires in zip(network.layers, network.wiring, strict=True)
    )


def weights(network: Model) -> int:
    """How many weights there are, without biases."""
    layers = (layer for layer in network.layers if isinstance(layer, LinearLayer))
    return sum(layer.weight.data.size for layer in layers)


def score(network: Model) -> float:
    """What a network is ranked by: higher scores mean higher accuracy, more often so.

    Parameters
    ----------
    network : Model
        Untrained; its weights do not matter.

    Returns
    -------
    float
        ``log2(MACs * weights)``, of at least one each. Only the order means something,
        and only among networks of one family.
    """
    return math.log2(max(1, macs(network)) * max(1, weights(network)))
