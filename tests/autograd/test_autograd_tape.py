"""The tape: what `backward` adds, calls, frees and refuses, and who owns the memory."""

import doctest
import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import kanji_np.autograd as ag
from kanji_np.autograd import Tensor, no_grad, record
from kanji_np.errors import GradientError, OptionError, ShapeError


def leaf(*values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


def counted(x, calls):
    """Identity that notes each call of its vjp."""

    def vjp(g):
        calls.append(g.copy())
        return (g,)

    return record(x.data, [x], vjp, "counted")


def test_gradients_add_up_until_grad_is_none():
    x = leaf(1.0, 2.0)
    (x * 3.0).sum().backward()
    (x * 4.0).sum().backward()
    assert x.grad.tolist() == [7.0, 7.0]
    x.grad = None
    (x * 5.0).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_a_diamond_calls_each_vjp_once_with_the_whole_gradient():
    x, calls = leaf(2.0), []
    middle = counted(x, calls)
    (middle * 3.0 + middle * middle).sum().backward()
    assert [g.tolist() for g in calls] == [[7.0]]
    assert x.grad.tolist() == [7.0]


def test_a_ladder_of_diamonds_is_not_exponential():
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.tolist() == [2.0**60]


def test_a_leaf_can_be_its_own_root():
    x = leaf(1.0, 2.0)
    gradient = np.array([3.0, 4.0])
    x.backward(gradient)
    gradient[:] = 0
    assert x.grad.tolist() == [3.0, 4.0]


def test_only_leaves_that_ask_get_a_gradient():
    x, constant = leaf(1.0), Tensor([2.0])
    middle = x * constant
    middle.backward()
    assert x.grad.tolist() == [2.0]
    assert constant.grad is None
    assert middle.grad is None


@pytest.mark.parametrize("length", [10_000, 100_000])
def test_a_deep_chain_runs_and_can_be_dropped(length):
    x = leaf(1.0)
    y = x
    for _ in range(length):
        y = y + 1.0
    y.backward()
    assert x.grad.tolist() == [1.0]
    y = x
    for _ in range(length):  # vjps that hold their parents, and no backward
        y = record(y.data, [y], lambda g, y=y: (g * y.ndim,), "holds its parent")
    alive = weakref.ref(y)
    del y
    assert alive() is None


def test_values_no_vjp_needs_are_gone_before_backward():
    x = leaf(1.0, 2.0)
    y = x + 1.0
    z = y + 1.0
    value = weakref.ref(y.data)
    del y
    assert value() is None
    z.sum().backward()


def test_values_and_gradients_are_freed_as_backward_goes():
    x = leaf(1.0, 2.0)
    alive = []

    def early_vjp(g):
        alive.extend(ref() is not None for ref in refs)
        return (g,)

    def late_vjp(g):
        fresh = g * 2
        refs.append(weakref.ref(fresh))
        return (fresh,)

    early = record(x.data, [x], early_vjp, "early")
    factor = np.array([3.0, 4.0])
    middle = early * factor
    late = record(middle.data, [middle], late_vjp, "late")
    squares = late * late
    refs = [weakref.ref(factor), weakref.ref(late.data), weakref.ref(late_vjp)]
    result = squares.sum()
    del factor, middle, late, squares, late_vjp
    assert [ref() is not None for ref in refs] == [True, True, True]
    result.backward()
    # What the later functions kept, and the gradient that left `late`.
    assert alive == [False, False, False, False]
    assert x.grad.tolist() == [2 * 2 * 3 * 3.0, 2 * 2 * 8 * 4.0]


def test_a_result_kept_after_backward_keeps_nothing_else():
    x = leaf(1.0, 2.0)
    loss = (x * x).sum()
    loss.backward()
    alive = weakref.ref(x)
    del x
    assert alive() is None
    assert loss.item() == 5.0


def test_no_garbage_is_left_for_the_collector():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = (x * x).tanh()
        refs = [weakref.ref(x), weakref.ref(y), weakref.ref(y.data)]
        y.sum().backward()
        del x, y
        assert [ref() for ref in refs] == [None, None, None]
    finally:
        gc.enable()


def test_a_second_backward_names_the_freed_function():
    x = leaf(1.0, 2.0)
    shared = x * 2.0
    one, other = shared.sum(), shared.mean()
    one.backward()
    for loss, name in ((one, "sum"), (other, "multiply")):
        with pytest.raises(GradientError, match=f"freed at '{name}' by an earlier"):
            loss.backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_leaves_own_their_gradients():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    gradient = np.ones(2)
    (x + y).backward(gradient)
    arrays = [x.grad, y.grad, gradient]
    assert not any(
        np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i]
    )
    seen = x.grad
    x.sum().backward()
    assert (seen.tolist(), x.grad.tolist()) == ([1.0, 1.0], [2.0, 2.0])


def test_a_broadcast_gradient_is_writable():
    x = leaf(1.0, 2.0)
    x.sum().backward()
    x.grad[0] = 5.0
    assert x.grad.tolist() == [5.0, 1.0]


def test_equal_programs_give_equal_bytes():
    def gradient():
        rng = np.random.default_rng(0)
        x = Tensor(rng.normal(size=50).astype(np.float32), requires_grad=True)
        parts = [(x * rng.normal(size=50)).tanh() for _ in range(20)]
        total = parts[0]
        for part in parts[1:]:
            total = total * 0.9 + part
        total.sum().backward()
        return x.grad.tobytes()

    assert gradient() == gradient()


def test_the_order_of_adding_follows_birth_newest_first():
    x, order = leaf(1.0), []

    def branch(name):
        return record(x.data, [x], lambda g: order.append(name) or (g,), name)

    a, b, c = branch("a"), branch("b"), branch("c")
    (c + (a + b)).backward()
    assert order == ["c", "b", "a"]


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8, bool, np.float16])
def test_record_takes_values_of_any_real_dtype(dtype):
    x = leaf(0.6, 2.4, dtype=np.float32)
    seen = []

    def vjp(g):
        seen.append((g.dtype, g.shape, g.flags.c_contiguous))
        return g * 3, None

    y = record(np.array([1, 0], dtype), [x, np.ones(7)], vjp, "outside")
    assert y.dtype == dtype
    assert y.requires_grad
    (y * np.float32([1.0, 10.0])).sum().backward()
    assert seen == [(np.dtype(np.float32), (2,), True)]
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3.0, 30.0]


def test_a_vjp_gets_a_contiguous_gradient():
    x, seen = Tensor(np.ones((2, 3, 4)), requires_grad=True), []
    y = record(x.data, [x], lambda g: seen.append(g) or (g,), "outside")
    y.transpose(2, 0, 1).mean(axis=0).backward(np.ones((2, 3)))
    assert seen[0].flags.c_contiguous
    assert x.grad.shape == (2, 3, 4)


def test_none_stops_a_gradient():
    x, y, calls = leaf(1.0), leaf(2.0), []
    middle = counted(x, calls)
    record(y.data, [middle, y], lambda g: (None, g), "first ignored").backward()
    assert (x.grad, calls) == (None, [])
    assert y.grad.tolist() == [1.0]
    with pytest.raises(GradientError, match="freed at 'counted'"):
        middle.backward()


def test_one_tensor_in_two_places_gets_both_gradients():
    x = leaf(1.0)
    record(x.data, [x, None, x], lambda g: (g, None, 2 * g), "twice").backward()
    assert x.grad.tolist() == [3.0]


@pytest.mark.parametrize(
    ("vjp", "message"),
    [
        (lambda g: (g,), "outside: the vjp must return a tuple of 2 .* got 1"),
        (lambda g: g, "outside: the vjp must return a tuple of 2 .* got ndarray"),
        (
            lambda g: (g, g[:1]),
            r"outside: the vjp's gradient for argument 1 has shape \(1,\), the argument"
            r" has shape \(2,\)",
        ),
    ],
)
def test_a_wrong_vjp_is_named_and_leaves_stay_as_they_were(vjp, message):
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    z = record(x.data, [x, y], vjp, "outside")
    with pytest.raises(GradientError, match=message):
        (z + y).sum().backward()
    assert (x.grad, y.grad) == (None, None)


def test_backward_refuses_what_it_cannot_start_from():
    with pytest.raises(GradientError, match="not computed from any tensor with"):
        Tensor(1.0).backward()
    x = leaf(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"shape \(2,\) has 2 elements.*reduce it"):
        (x * 2.0).backward()
    with pytest.raises(ShapeError, match=r"shape \(3,\), the value has shape \(2,\)"):
        (x * 2.0).backward(np.ones(3))
    (x * 2.0).backward(Tensor([1, 2]))
    assert x.grad.tolist() == [2.0, 4.0]
    x[:1].reshape(1, 1).backward()
    assert x.grad.tolist() == [3.0, 4.0]


def test_no_grad_as_block_and_decorator():
    x = leaf(1.0)

    @no_grad()
    def double(t, again=True):
        y = t * 2.0
        assert not ag.needs_gradient(t)
        return double(y, again=False) if again else y

    assert not double(x).requires_grad
    with no_grad():
        with no_grad():
            assert not (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad
        assert not record(x.data, [x], lambda g: (g,), "outside").requires_grad
    assert (x * 2.0).requires_grad
    assert ag.needs_gradient(1.0, None, x)
    assert not ag.needs_gradient(1.0, None, x.detach())


def test_no_grad_ends_with_an_exception():
    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError), no_grad():
        _ = 1 / 0
    assert (x * 2.0).requires_grad


def test_no_grad_is_of_one_thread():
    x, results = leaf(1.0), []
    with no_grad():
        other = threading.Thread(target=lambda: results.append(x * 2.0))
        other.start()
        other.join()
    assert results[0].requires_grad


def test_tensor_looks_like_an_array():
    x = Tensor(np.arange(6, dtype=np.int8).reshape(2, 3))
    assert (x.shape, x.dtype, x.ndim, x.size, len(x)) == ((2, 3), np.int8, 2, 6, 2)
    assert (x.grad, x.requires_grad, x.gradient_dtype) == (None, False, np.float32)
    assert x.numpy() is x.data
    assert [row.data.tolist() for row in x] == [[0, 1, 2], [3, 4, 5]]
    assert x[1, 2].item() == 5
    assert bool(x[0, 1])
    assert repr(Tensor([1.5])) == "Tensor(array([1.5]), requires_grad=False)"


def test_what_arrays_refuse_tensors_refuse():
    with pytest.raises(TypeError):
        iter(Tensor(1.0)).__next__()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(Tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="ufunc"):
        np.exp(Tensor(1.0))
    with pytest.raises(ValueError, match="broadcast"):
        Tensor([1.0, 2.0]) + np.ones(3)


def test_detach_shares_data_and_stops_gradients():
    x = leaf(1.0)
    y = (x * 2.0).detach()
    assert not y.requires_grad
    assert x.detach().data is x.data
    assert (y * 2.0).requires_grad is False


@pytest.mark.parametrize("data", [1j, "text", [None]])
def test_only_real_numbers_go_on_the_tape(data):
    with pytest.raises(OptionError, match="expected booleans, integers or floats"):
        Tensor(data)


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: [t, t], np.asarray])
def test_a_tensor_does_not_silently_become_an_array(wrap):
    with pytest.raises(GradientError, match=r"tensor\.numpy\(\)"):
        Tensor(wrap(leaf(1.0)))


@pytest.mark.parametrize("name", ag.__all__)
def test_every_name_says_what_it_is(name):
    assert getattr(ag, name).__doc__


@pytest.mark.parametrize("module", [ag, ag.tensor])
def test_examples_of_docstrings_give_what_they_say(module):
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)


def test_importing_needs_numpy_alone():
    code = (
        "import sys, kanji_np.autograd as ag;"
        "assert all(hasattr(ag, name) for name in ag.__all__);"
        "print(sorted({'numba', 'scipy', 'click', 'kanji_np.ops'} & {*sys.modules}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
