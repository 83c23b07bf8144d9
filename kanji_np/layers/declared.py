"""The layers that the pages of this package declare.

`declared.pyi` has their signatures for type checkers, and `python -m
tests.layers.stub` writes it.
"""

from kanji_np.layers.declare import layer_class
from kanji_np.ops import BUILT_IN

_LAYERS = {
    op.layer: layer_class(op, __name__) for op in BUILT_IN if op.layer is not None
}

globals().update(_LAYERS)

__all__ = list(_LAYERS)
