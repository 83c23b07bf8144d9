"""Reverse-mode differentiation of NumPy programs, on its own.

Read in this order:

- `tape.py`: what is remembered of a computation, and the walk back over it;
- `tensor.py`: `Tensor`, an array that remembers, and `record`, the one way in;
- `vjps.py`: every derivative, as mathematics;
- `functions.py`: the functions, one line each, under NumPy's names;
- `check.py`: derivatives compared with central differences.

The tape knows nothing of integers, quantization or layers. It carries arrays of any
real dtype as values; gradients are always floating: float64 for a float64 value, else
float32. What an integer kernel has for a gradient is told by whoever records it.

Simplifications, on purpose: first derivatives only (a rule computes on arrays, not
tensors); no in-place operations, and nobody notices an array changed between a function
and `backward`; a tape can be walked once; threads may record side by side, but leaves
are not locked.
"""

from kanji_np.autograd.check import check_gradients
from kanji_np.autograd.functions import (
    add,
    astype,
    concatenate,
    divide,
    exp,
    getitem,
    log,
    matmul,
    max,
    maximum,
    mean,
    multiply,
    negative,
    power,
    reshape,
    sqrt,
    subtract,
    sum,
    tanh,
    transpose,
)
from kanji_np.autograd.tape import no_grad
from kanji_np.autograd.tensor import Tensor, needs_gradient, record

__all__ = [
    "Tensor",
    "add",
    "astype",
    "check_gradients",
    "concatenate",
    "divide",
    "exp",
    "getitem",
    "log",
    "matmul",
    "max",
    "maximum",
    "mean",
    "multiply",
    "needs_gradient",
    "negative",
    "no_grad",
    "power",
    "record",
    "reshape",
    "sqrt",
    "subtract",
    "sum",
    "tanh",
    "transpose",
]
