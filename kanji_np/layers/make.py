"""A layer of any operator, by the operator alone: what reads a model file needs."""

from __future__ import annotations

from typing import Any

from kanji_np.layers.layer import Layer
from kanji_np.layers.linear import LinearLayer
from kanji_np.layers.tracked import TrackedLayer
from kanji_np.ops import Op


def make_layer(
    op: Op,
    attrs: Any,
    name: str | None = None,
    constants: Any = None,
    *,
    batch_norm: bool = False,
) -> Layer:
    """A layer of any operator, as model files name them."""
    if op.weights:
        return LinearLayer(op, attrs, name, constants, batch_norm=batch_norm)
    return kind_of(op)(op, attrs, name, constants)


def kind_of(op: Op) -> type[Layer]:
    """What an operator's layers are."""
    if op.weights:
        return LinearLayer
    return TrackedLayer if op.tracks_output else Layer
