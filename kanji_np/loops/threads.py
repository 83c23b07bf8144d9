"""Compiled loops over the images of a batch, on every core.

A batch is cut into shares, share i being images edges[i] to edges[i + 1] - 1. A loop is
a function ``kernel(begin, end, edges, *arguments)`` that lets go of Python's lock and
does shares begin to end - 1. Shares do not depend on the number of threads, so neither
do results. Whoever is free takes the next ones: a thread that wakes up late, or whose
core is busy, holds nobody up.

Layers follow each other within microseconds, and to wake a sleeping thread takes longer
than that; so a thread looks out for the next loop for a moment before it sleeps.

There are as many threads as cores, or as `NUMBA_NUM_THREADS` says.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import numpy as np

from kanji_np.checks import integer
from kanji_np.jit import config, intrinsic, nb, njit

MOST_THREADS: int = config.NUMBA_NUM_THREADS
SHARES = 16
LOOKS = 50_000  # some 100 microseconds

Kernel = Callable[..., None]


def run(kernel: Kernel, count: int, *arguments: Any) -> None:
    """Go over ``range(count)`` with all threads.

    Parameters
    ----------
    kernel : callable
        Compiled with `nogil`. Shares must not write to the same memory.
    """
    if count == 0:
        return
    job = _Job(kernel, count, arguments)
    for _ in range(job.n_threads - 1):
        _crew.call(job)
    job.work()
    done = 0
    while done < job.n_shares and _look(job.n_done, done):
        done = int(job.n_done[0])
    job.finished.wait()
    job.arguments = ()  # a thread that comes too late shall not keep arrays alive
    if job.errors:
        raise job.errors[0]


def shares(count: int) -> int:
    """How many shares `run` makes of so many items."""
    return min(SHARES, count)


def limit() -> int:
    """How many threads there are."""
    return _crew.limit


def check_limit(count: int) -> None:
    """OptionError if there are not `count` threads."""
    integer("threads", count, 1, MOST_THREADS)


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
        self.arguments = arguments
        self.n_shares = shares(count)
        self.edges = np.arange(self.n_shares + 1) * count // self.n_shares
        self.n_threads = min(_crew.limit, self.n_shares)
        self.n_taken = 0
        self.n_done = np.zeros(1, np.int64)
        self.lock = threading.Lock()
        self.finished = threading.Event()
        self.errors: list[BaseException] = []

    def work(self) -> None:
        """Do shares until none is left, of those left one thread's part at a time."""
        while True:
            with self.lock:
                begin, left = self.n_taken, self.n_shares - self.n_taken
                end = self.n_taken = begin - (-left // self.n_threads)
            if not left:
                return
            try:
                self.kernel(begin, end, self.edges, *self.arguments)
            except BaseException as error:
                self.errors.append(error)
            with self.lock:
                self.n_done[0] += end - begin
                is_last = self.n_done[0] == self.n_shares
            if is_last:
                self.finished.set()


class _Crew:
    """The threads that help the one that calls `run`, started as they are needed."""

    def __init__(self) -> None:
        self.limit = MOST_THREADS
        self.dismiss()

    def dismiss(self) -> None:
        """Know of no threads: a forked process has none but its own."""
        self.n_threads = 0
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.n_calls = np.zeros(1, np.int64)

    def call(self, job: _Job) -> None:
        """Ask one more thread to work on `job`."""
        if self.n_threads < self.limit - 1:
            self.n_threads += 1
            threading.Thread(target=self._serve, daemon=True, name="kernels").start()
        self.jobs.put(job)
        self.n_calls[0] += 1

    def _serve(self) -> None:
        while True:
            calls = int(self.n_calls[0])
            if self.jobs.empty():
                _look(self.n_calls, calls)
            self.jobs.get().work()


@intrinsic
def _current(typing, counter):
    """``counter[0]`` as other threads left it."""

    def build(context, builder, signature, arguments):
        data = context.make_array(counter)(context, builder, arguments[0]).data
        return builder.load_atomic(data, "monotonic", 8)

    return nb.int64(counter), build


@njit(cache=True, nogil=True)
def _look(counter, value):
    """Look at ``counter[0]`` until it is not `value`; whether that was soon."""
    for _ in range(LOOKS):
        if _current(counter) != value:
            return True
    return False


_crew = _Crew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_crew.dismiss)
