"""Every image is done once, whoever does it, and an error reaches the caller."""

import multiprocessing
import threading
import time

import numpy as np
import pytest

from kanji_np.errors import OptionError
from kanji_np.loops.threads import MOST_THREADS, SHARES, limit, limited, run, shares


@pytest.fixture
def three(monkeypatch):
    """Three threads, however many cores there are."""
    monkeypatch.setattr("kanji_np.loops.threads.MOST_THREADS", 3)
    with limited(3):
        yield


def tick(begin, end, edges, times, who):
    times[edges[begin] : edges[end]] += 1
    who[begin:end] = [threading.get_ident()] * (end - begin)
    time.sleep(1e-3)  # lets go of the lock, as kernels do


@pytest.mark.parametrize("count", [0, 1, 2, SHARES - 1, SHARES, SHARES + 1, 1000])
@pytest.mark.usefixtures("three")
def test_every_item_is_done_once_in_shares_that_follow_each_other(count):
    times, bounds = np.zeros(count, np.int64), {}

    def kernel(begin, end, edges):
        for share in range(begin, end):
            times[edges[share] : edges[share + 1]] += 1
            bounds[share] = edges.tolist()

    run(kernel, count)
    assert (times == 1).all()
    assert sorted(bounds) == list(range(shares(count)))
    edges = [share * count // SHARES for share in range(SHARES + 1)]
    assert count < SHARES or all(seen == edges for seen in bounds.values())


@pytest.mark.usefixtures("three")
def test_all_threads_help():
    together = threading.Barrier(3, timeout=30)

    def kernel(begin, end, edges):
        if begin < 11:  # the first that each thread takes: 0, 6 and 10
            together.wait()

    run(kernel, SHARES)


def test_one_thread_is_the_callers():
    with limited(1):
        times, who = np.zeros(64, np.int64), [None] * SHARES
        run(tick, 64, times, who)
    assert set(who) == {threading.get_ident()}


@pytest.mark.usefixtures("three")
def test_an_error_is_raised_once_all_have_finished():
    times = np.zeros(SHARES, np.int64)

    def kernel(begin, end, edges):
        times[begin:end] += 1
        if begin <= 5 < end:
            raise KeyError("five")

    with pytest.raises(KeyError, match="five"):
        run(kernel, SHARES)
    assert (times == 1).all()
    run(tick, 64, np.zeros(64, np.int64), [None] * SHARES)


@pytest.mark.usefixtures("three")
def test_callers_do_not_get_into_each_others_way():
    counts = [np.zeros(200, np.int64) for _ in range(8)]

    def call(times):
        for _ in range(5):
            run(tick, 200, times, [None] * SHARES)

    callers = [threading.Thread(target=call, args=(times,)) for times in counts]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert all((times == 5).all() for times in counts)


def done_in_child(queue):
    times = np.zeros(100, np.int64)
    run(tick, 100, times, [None] * SHARES)
    queue.put(int(times.sum()))


@pytest.mark.usefixtures("three")
def test_a_forked_process_has_threads_of_its_own():
    run(tick, 100, np.zeros(100, np.int64), [None] * SHARES)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=done_in_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=60) == 100
        child.join(60)
    finally:
        child.kill()


def test_the_limit_comes_back():
    before = limit()
    with limited(1):
        with limited(None):
            assert limit() == 1
    assert limit() == before
    with pytest.raises(
        OptionError, match=rf"must be an int in 1 \.\. {MOST_THREADS}, got 0"
    ):
        with limited(0):
            pass
