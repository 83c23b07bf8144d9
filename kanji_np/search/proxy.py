"""A score for networks that are not trained."""

from __future__ import annotations

import math

from kanji_np.model import Model


def score(network: Model) -> float:
    graph = network.outline()
    return math.log(max(1, sum(graph.cost(node).macs for node in graph.nodes)))
