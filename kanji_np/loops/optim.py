"""The loops of the optimizers, in a module of its own so that Numba loads late.

Every array is read and written once. All arrays have one dtype, and every product and
sum is rounded to it, so the bytes are those of the same formulas in NumPy.
"""

from __future__ import annotations

import numpy as np

from kanji_np.jit import njit


@njit(cache=True, nogil=True)
def sgd(
    p: np.ndarray,
    velocity: np.ndarray,
    gradient: np.ndarray,
    lr: np.float32,
    momentum: np.float32,
    decay: np.float32,
    nesterov: bool,
) -> None:
    """A step of `SGD` on a parameter (n,) and its velocity (n,), in place."""
    for i in range(len(p)):
        g = gradient[i] + decay * p[i]
        v = velocity[i] * momentum + g
        velocity[i] = v
        p[i] -= lr * (g + momentum * v if nesterov else v)


@njit(cache=True, nogil=True, error_model="numpy")
def adam(
    p: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    gradient: np.ndarray,
    size: np.float32,
    root: np.float32,
    rate1: np.float32,
    rate2: np.float32,
    eps: np.float32,
    decay: np.float32,
    decoupled: bool,
) -> None:
    """A step of `Adam` on a parameter (n,) and its moments (n,), in place.

    `size` is the learning rate over 1 - beta1^count, `root` the square root of
    1 - beta2^count; the rates are 1 - beta1 and 1 - beta2. `decay` is added to the
    gradient times the parameter, or, `decoupled`, is what the parameter is multiplied
    by first.
    """
    for i in range(len(p)):
        g = gradient[i]
        x = p[i]
        if decoupled:
            x *= decay
        else:
            g += decay * x
        m = mean[i] + rate1 * (g - mean[i])
        s = square[i] + rate2 * (g * g - square[i])
        mean[i] = m
        square[i] = s
        p[i] = x - size * m / (np.sqrt(s) / root + eps)
