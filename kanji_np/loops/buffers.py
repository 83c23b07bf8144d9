"""Memory that is used again from step to step.

A training step asks for the same large arrays as the step before it. Allocators return
large blocks to the system when they are freed; taken anew, they come page by page and
filled with zeros, which can take longer than the layer that asked. `empty` keeps such
memory and hands it out again once nobody refers to it.

A buffer is a flat array that owns its bytes. Every array made of it, and every view of
such an array, however derived, refers to the buffer directly or through other views.
So a buffer with no reference but the pool's is one that nobody can read, and only such
a buffer is handed out: an array that is kept is never written to by others. Memory that
bypasses references (an address kept as a number) is as unsafe as with `numpy.empty`.

Reference counts say so much on CPython with its global lock; elsewhere `empty` is
`numpy.empty`.
"""

from __future__ import annotations

import math
import sys
import sysconfig
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from kanji_np.types import Shape

SMALLEST = 1 << 16  # [bytes]; smaller arrays are left to numpy
ALIGNMENT = 64  # [bytes]; a cache line, and the widest vector
PATIENCE = 512  # requests; more than a step of a deep network makes

COUNTS_REFERENCES = (
    sys.implementation.name == "cpython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)


@dataclass(slots=True)
class _Buffer:
    """Memory uint8, where in it arrays start, the request it was handed out for last.

    `references` counts the buffer's own reference and what the call adds.
    """

    memory: np.ndarray
    start: int
    request: int

    def references(self) -> int:
        return sys.getrefcount(self.memory)


def _allocate(size: int, request: int) -> _Buffer:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    return _Buffer(memory, -memory.ctypes.data % ALIGNMENT, request)


# Measured, because interpreters differ in what a call adds.
UNUSED = _allocate(0, 0).references()


class Pool:
    """Buffers, the one handed out last at the end.

    What has not been handed out for `PATIENCE` requests is forgotten: idle memory is
    free then, and memory in use belongs to its user alone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buffers: list[_Buffer] = []
        self._requests = 0

    def empty(self, shape: Shape, dtype: DTypeLike) -> np.ndarray:
        """See the function `empty`."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        # Whoever finds the pool busy does not wait: neither in a process forked in
        # between, nor in a finalizer that runs in the midst of it.
        if size < SMALLEST or not self._lock.acquire(blocking=False):
            return np.empty(shape, dtype)
        try:
            buffer = self._take(size)
            # Made under the lock: from here on the buffer counts as used.
            return np.ndarray(shape, dtype, buffer.memory, buffer.start)
        finally:
            self._lock.release()

    def _take(self, size: int) -> _Buffer:
        """The smallest free buffer that holds `size` bytes, or a new one, as the last.

        One of twice the size or more would be a waste if it were kept.
        """
        buffers, self._requests = self._buffers, self._requests + 1
        while buffers and buffers[0].request < self._requests - PATIENCE:
            del buffers[0]
        best, least = -1, 2 * size + ALIGNMENT
        for i in reversed(range(len(buffers))):
            nbytes = buffers[i].memory.nbytes
            if size + ALIGNMENT <= nbytes < least and buffers[i].references() == UNUSED:
                best, least = i, nbytes
        if best < 0:
            buffer = _allocate(size, self._requests)
        else:
            buffer = buffers.pop(best)
            buffer.request = self._requests
        buffers.append(buffer)
        return buffer


_pool = Pool()


def empty(shape: Shape, dtype: DTypeLike) -> np.ndarray:
    """Uninitialized array, of used memory where there is some.

    Parameters
    ----------
    shape : tuple of int
    dtype : data type

    Returns
    -------
    C-contiguous array, aligned to `ALIGNMENT` bytes if it has `SMALLEST` bytes or more.
    """
    return _pool.empty(shape, dtype) if COUNTS_REFERENCES else np.empty(shape, dtype)
