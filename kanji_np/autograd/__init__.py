"""Reverse-mode differentiation of NumPy programs, on its own.

It works as PyTorch's does: tensors that require gradients, functions of them, and
`backward`. Functions have NumPy's names and take tensors, arrays and numbers.

>>> import numpy as np
>>> from kanji_np import autograd as ag
>>> w = ag.Tensor([1.0, -2.0], requires_grad=True)
>>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
>>> loss = ((x @ w - 1) ** 2).mean()
>>> loss.backward()
>>> w.grad
array([-22., -32.])
>>> w.data, w.grad = w.data - 0.01 * w.grad, None

| PyTorch | here |
|---|---|
| `torch.tensor(x)`, `t.numpy()`, `t.item()`, `t.detach()` | `Tensor(x)`, the same |
| `t.requires_grad`, `t.grad`, `t.backward()` | the same; `t.grad` is a NumPy array |
| `optimizer.zero_grad()` | `t.grad = None` |
| `torch.no_grad()` | `no_grad()` |
| `t.sum(dim=1, keepdim=True)` | `t.sum(axis=1, keepdims=True)` |
| `torch.cat`, `torch.pow`, `t.permute` | `concatenate`, `power`, `t.transpose` |
| `torch.autograd.Function` | `record(value, parents, vjp, name)` |
| `torch.autograd.gradcheck` | `check_gradients` |

To understand the package, read its files in this order:

- `tape.py`: what is remembered of a computation, and the walk back over it;
- `vjps.py`: every derivative, as mathematics;
- `tensor.py`: `Tensor`, its functions, and `record`, which puts a function of your own
  on the tape;
- `check.py`: derivatives compared with central differences.

The tape knows nothing of integers, quantization or layers. Values are arrays of any
real dtype. Gradients are always floating: float64 for a float64 value, else float32.
Whoever records an integer function says what its gradient is.

Simplifications, on purpose:

- There are first derivatives only: a rule computes on arrays, not on tensors.
- There are no in-place operations. Nobody notices if you change an array between a
  function and `backward`.
- `backward` frees the tape it walks, so it works once.
- Threads may record side by side, but leaves are not locked.
"""

from kanji_np.autograd import tensor
from kanji_np.autograd.check import check_gradients
from kanji_np.autograd.tape import no_grad
from kanji_np.autograd.tensor import *  # noqa: F403

__all__ = ["check_gradients", "no_grad"]
__all__ += tensor.__all__
