"""Compiled loops over the images of a batch, on every core.

A loop is a function ``kernel(share, start, stop, *arguments)`` that lets go of Python's
lock and does images start..stop-1, which are share number `share` of the batch. Shares
do not depend on the number of threads, so neither do results. Whoever is free takes the
next one: a thread that wakes up late, or whose core is busy, holds nobody up.

There are as many threads as cores, or as `NUMBA_NUM_THREADS` says.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import numba

from kanji_np.errors import OptionError

MOST_THREADS: int = numba.config.NUMBA_NUM_THREADS
SHARES = 16

Kernel = Callable[..., None]


def run(kernel: Kernel, count: int, *arguments: Any) -> None:
    """Go over ``range(count)`` with all threads.

    Parameters
    ----------
    kernel : callable
        Compiled with `nogil`. Shares must not write to the same memory.
    """
    job = _Job(kernel, count, arguments)
    for _ in range(min(_crew.limit, job.n_shares) - 1):
        _crew.call(job)
    job.work()
    errors = [job.finished.get() for _ in range(job.n_shares)]
    job.arguments = ()  # a thread that comes too late shall not keep arrays alive
    for error in filter(None, errors):
        raise error


def shares(count: int) -> int:
    """How many shares `run` makes of so many items."""
    return min(SHARES, count)


def limit() -> int:
    """How many threads there are."""
    return _crew.limit


def check_limit(count: int) -> None:
    """OptionError if there are not `count` threads."""
    if not 1 <= count <= MOST_THREADS:
        raise OptionError(
            f"threads must be in 1..{MOST_THREADS} on this machine, got {count}"
        )


@contextmanager
def limited(count: int | None) -> Iterator[None]:
    """Inside, loops run on `count` threads; None: on as many as before.

    Raises
    ------
    OptionError
        There are not so many.
    """
    before = _crew.limit
    if count is not None:
        check_limit(count)
        _crew.limit = count
    try:
        yield
    finally:
        _crew.limit = before


class _Job:
    """A loop, and which of its shares nobody has taken yet."""

    def __init__(self, kernel: Kernel, count: int, arguments: tuple[Any, ...]) -> None:
        self.kernel = kernel
        self.count = count
        self.arguments = arguments
        self.n_shares = shares(count)
        self.n_taken = 0
        self.lock = threading.Lock()
        #: What became of each share, in the order they ended: an error, or None.
        self.finished: SimpleQueue[BaseException | None] = SimpleQueue()

    def work(self) -> None:
        """Do shares until none is left."""
        while True:
            with self.lock:
                share = self.n_taken
                self.n_taken += 1
            if share >= self.n_shares:
                return
            start = share * self.count // self.n_shares
            stop = (share + 1) * self.count // self.n_shares
            try:
                self.kernel(share, start, stop, *self.arguments)
            except BaseException as error:
                self.finished.put(error)
            else:
                self.finished.put(None)


class _Crew:
    """The threads that help the one that calls `run`, started as they are needed."""

    def __init__(self) -> None:
        self.limit = MOST_THREADS
        self.dismiss()

    def dismiss(self) -> None:
        """Know of no threads: a forked process has none but its own."""
        self.n_threads = 0
        self.jobs: SimpleQueue[_Job] = SimpleQueue()

    def call(self, job: _Job) -> None:
        """Ask one more thread to work on `job`."""
        if self.n_threads < self.limit - 1:
            self.n_threads += 1
            threading.Thread(target=self._serve, daemon=True, name="kernels").start()
        self.jobs.put(job)

    def _serve(self) -> None:
        while True:
            self.jobs.get().work()


_crew = _Crew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_crew.dismiss)
