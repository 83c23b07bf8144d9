"""Weights as arrays by name: taken out of a network, and put into one.

`layouts` says how PyTorch and Keras keep weights, `orders` what becomes of a vector
that PyTorch flattened, and `load` puts arrays of any layout into a network.
"""

from kanji_np.weights.layouts import LAYOUTS
from kanji_np.weights.load import load_weights, weights_of

__all__ = ["LAYOUTS", "load_weights", "weights_of"]
