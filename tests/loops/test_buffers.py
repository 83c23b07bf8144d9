"""Memory used again: never while anything refers to it, and not kept for ever."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest
from numba import njit

import kanji_np as kj
from kanji_np.loops import buffers
from kanji_np.loops.buffers import ALIGNMENT, PATIENCE, SMALLEST, Pool

SHAPE = (16, 33, 128)


def address(array):
    return array.__array_interface__["data"][0]


def kept_bytes(pool):
    """Memory that a pool refers to, in use or not."""
    return sum(buffer.memory.nbytes for buffer in pool._buffers)


@njit
def part_of(array):
    return array.reshape(-1)[100:]


class Holder:
    def __init__(self, array):
        self.held = array
        self.itself = self  # collected, not counted down


class Interface:
    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__


class Waiting:
    """A thread whose stack alone refers to an array, until it is asked for the sum."""

    def __init__(self, array):
        self.go = threading.Event()
        self.sums = []
        self.thread = threading.Thread(target=self.work, args=(array,))
        self.thread.start()

    def work(self, array):
        self.go.wait()
        self.sums.append(array.sum())

    def read(self):
        self.go.set()
        self.thread.join()
        return np.array(self.sums)


# Ways to keep an array: what is kept, and how its bytes are read later.
KEEPERS = {
    "itself": lambda a: a,
    "slice": lambda a: a[3:5, ::2],
    "row": lambda a: a[7][8],
    "reshape": lambda a: a.reshape(-1),
    "transpose of a slice of a slice": lambda a: a[1:][2:].T,
    "other dtype": lambda a: a.view(np.uint8),
    "field": lambda a: a.view([("low", np.int16), ("high", np.int16)])["high"],
    "broadcast": lambda a: np.broadcast_to(a[0, 0], (5, 128)),
    "strides": lambda a: np.lib.stride_tricks.sliding_window_view(a[0, 0], 3),
    "base": lambda a: a[2:].base,
    "subclass": lambda a: a.view(np.recarray),
    "memoryview": lambda a: memoryview(a.reshape(-1))[5:],
    "buffer": lambda a: np.frombuffer(a, np.int8),
    "flat": lambda a: a.flat,
    "iterator": lambda a: iter(a[4:]),
    "interface": lambda a: np.asarray(Interface(a[6:])),
    "dlpack": np.from_dlpack,
    "numba": part_of,
    "cycle": lambda a: Holder(a).itself,
    "thread": Waiting,
    "copy": lambda a: a.copy(),
    "deep copy": copy.deepcopy,
    "pickled": lambda a: pickle.loads(pickle.dumps(a, protocol=5)),
    "pickle buffer": pickle.PickleBuffer,
}


def read(kept):
    if isinstance(kept, Holder):
        kept = kept.held
    if isinstance(kept, Waiting):
        return kept.read()
    if isinstance(kept, type(iter(np.empty(1)))):
        return np.concatenate(list(kept))
    return np.array(kept)


@pytest.mark.parametrize("way", KEEPERS)
def test_what_is_kept_is_never_written_to(way):
    pool = Pool()
    first = pool.empty(SHAPE, np.int32)
    first[:] = np.arange(first.size).reshape(SHAPE)
    expected = read(KEEPERS[way](first))
    kept = KEEPERS[way](first)
    del first
    others = [pool.empty(SHAPE, np.int32) for _ in range(3)]
    for other in others:
        other[:] = -1
    np.testing.assert_array_equal(read(kept), expected)


def test_memory_is_handed_out_again_once_nobody_refers_to_it():
    pool = Pool()
    array = pool.empty(SHAPE, np.float32)
    view = array[1:].reshape(-1)
    where = address(array)
    del array
    other = pool.empty(SHAPE, np.float32)
    assert address(other) != where
    del view
    # Of another shape and dtype, and not much more than half as large.
    again = pool.empty((2, SMALLEST + 4001), np.int8)
    assert address(again) == where
    again[:] = 1
    assert (again == 1).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.float32, float])
def test_arrays_are_ordinary_ones(dtype):
    pool = Pool()
    shape = (3, SMALLEST // 2 + 1)
    arrays = [pool.empty(shape, dtype) for _ in range(4)]
    for array in arrays:
        assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
        assert array.flags.c_contiguous and array.flags.writeable
        assert address(array) % ALIGNMENT == 0
    starts = sorted(map(address, arrays))
    assert min(np.diff(starts)) >= arrays[0].nbytes


def test_small_arrays_are_numpys():
    pool = Pool()
    assert pool.empty((SMALLEST - 1,), np.int8).flags.owndata
    assert pool.empty((0, SMALLEST), np.int8).flags.owndata
    assert kept_bytes(pool) == 0


def test_the_best_fit_is_taken_and_none_of_twice_the_size():
    pool = Pool()
    sizes = (6, 4, 3, 8)
    arrays = [pool.empty((n * SMALLEST,), np.int8) for n in sizes]
    where = dict(zip(sizes, map(address, arrays), strict=True))
    del arrays
    first, second, third, fourth = (
        pool.empty((3 * SMALLEST - 5,), np.int8) for _ in range(4)
    )
    assert address(first) == where[3]
    assert address(second) == where[4]
    assert address(third) not in where.values()
    assert address(fourth) not in where.values()


def test_idle_memory_of_other_sizes_is_let_go():
    pool = Pool()
    for n in (2, 5, 11, 23, 47):
        pool.empty((n * SMALLEST,), np.int8)
    assert kept_bytes(pool) > 88 * SMALLEST
    for _ in range(PATIENCE + 1):
        pool.empty((100 * SMALLEST,), np.int8)
    assert kept_bytes(pool) == 100 * SMALLEST + ALIGNMENT


def test_arrays_kept_for_long_are_no_business_of_the_pool():
    pool = Pool()
    kept = [pool.empty((SMALLEST,), np.int8) for _ in range(20)]
    for i, array in enumerate(kept):
        array[:] = i
    for _ in range(PATIENCE + 20):
        pool.empty((2 * SMALLEST,), np.int8)[:] = -1
    assert kept_bytes(pool) == 2 * SMALLEST + ALIGNMENT
    assert all((array == i).all() for i, array in enumerate(kept))


def test_a_step_keeps_what_a_step_needs():
    pool = Pool()
    sizes = np.random.default_rng(0).integers(1, 40, 30) * SMALLEST
    kept = []
    for _ in range(5):
        forward = [pool.empty((n,), np.int8) for n in sizes]
        while forward:
            gradient = pool.empty((2 * len(forward.pop()),), np.int16)
        del gradient
        kept.append(kept_bytes(pool))
    assert kept[1:] == [kept[1]] * 4
    assert kept[1] < 2 * (sizes.sum() + 2 * 4 * sizes.max())


def test_threads_never_share_memory():
    pool = Pool()
    clashes = []

    def work(value):
        for _ in range(300):
            array = pool.empty((SMALLEST + 1,), np.uint8)
            array[:] = value
            if (array != value).any():
                clashes.append(value)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert clashes == []


def test_nobody_waits_for_a_pool_that_is_busy():
    pool = Pool()
    with pool._lock:
        array = pool.empty((SMALLEST,), np.int8)
    assert array.flags.owndata
    assert kept_bytes(pool) == 0


def test_without_reference_counts_memory_is_numpys(monkeypatch):
    assert not buffers.empty((SMALLEST,), np.int8).flags.owndata
    monkeypatch.setattr(buffers, "COUNTS_REFERENCES", False)
    assert buffers.empty((SMALLEST,), np.int8).flags.owndata


def test_outputs_that_are_kept_stay_as_they_were():
    net = kj.Sequential([kj.MaxPool2D(2), kj.ReLU()], (64, 64, 32))
    rng = np.random.default_rng(0)
    images = rng.integers(-128, 128, (5, 4, 64, 64, 32)).astype(np.int8)
    graph = net.freeze()
    kept = [[graph.run(x), *graph.layers(x)] for x in images]
    kept = [[y, y.copy()] for outputs in kept for y in outputs]
    kept += [[y, y.copy()] for y in (net.predict(x) for x in images)]
    for x in images[::-1]:
        graph.run(x)
        net.predict(x, precision="fp32")
    assert len({address(y) for y, _ in kept}) == len(kept)
    assert all((y == then).all() for y, then in kept)
