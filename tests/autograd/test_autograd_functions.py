"""Every function: values and dtypes are NumPy's, gradients agree with differences.

One table lists all functions of the derivative table with shapes and safe ranges; then
broadcasting, axes, indices and the cases with a rule of their own (ties, zeros).
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import log_softmax, softmax

import kanji_np.autograd as ag
from kanji_np.autograd import tensor
from kanji_np.autograd.vjps import VJPS, unbroadcast
from kanji_np.errors import GradientError

# Reproducible and without time limits.
quiet = settings(max_examples=40, deadline=None, derandomize=True, database=None)

ELEMENTWISE = {"add", "subtract", "multiply", "divide", "maximum"}


def draw(shape, low=-2.0, high=2.0, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def distinct(shape, seed=0):
    """Values at least 0.1 apart, so that a maximum has no tie within a difference."""
    size = int(np.prod(shape))
    return np.random.default_rng(seed).permutation(size).reshape(shape) * 0.1


# name, our function, NumPy's, arguments
CASES = [
    ("add", ag.add, np.add, [draw((2, 3)), draw((3,))]),
    ("subtract", ag.subtract, np.subtract, [draw((2, 3)), draw((2, 1))]),
    ("multiply", ag.multiply, np.multiply, [draw((2, 3)), draw(())]),
    ("divide", ag.divide, np.divide, [draw((2, 3)), draw((1, 3), 1.0, 2.0)]),
    ("power", lambda x: ag.power(x, 3), lambda x: x**3, [draw((2, 3))]),
    ("power", lambda x: x**-0.5, lambda x: x**-0.5, [draw((4,), 1.0, 2.0)]),
    ("power", lambda x: x ** np.arange(3), lambda x: x ** np.arange(3), [draw((2, 3))]),
    ("negative", ag.negative, np.negative, [draw((2, 3))]),
    ("maximum", ag.maximum, np.maximum, [distinct((4,)), distinct((3, 1)) + 0.05]),
    ("matmul", ag.matmul, np.matmul, [draw((2, 3)), draw((3, 4))]),
    ("exp", ag.exp, np.exp, [draw((2, 3))]),
    ("log", ag.log, np.log, [draw((2, 3), 1.0, 2.0)]),
    ("sqrt", ag.sqrt, np.sqrt, [draw((2, 3), 1.0, 2.0)]),
    ("tanh", ag.tanh, np.tanh, [draw((2, 3))]),
    ("log_softmax", ag.log_softmax, partial(log_softmax, axis=-1), [draw((2, 3))]),
    (
        "log_softmax",
        lambda x: x.log_softmax(0),
        partial(log_softmax, axis=0),
        [draw((2, 3), -90.0, 90.0)],
    ),
    ("sum", ag.sum, np.sum, [draw((2, 3))]),
    ("mean", ag.mean, np.mean, [draw((2, 3))]),
    ("max", ag.max, np.max, [distinct((2, 3))]),
    ("reshape", lambda x: x.reshape(3, -1), lambda x: x.reshape(3, -1), [draw((2, 3))]),
    ("transpose", ag.transpose, np.transpose, [draw((2, 3, 4))]),
    ("getitem", lambda x: x[1:, ::2], lambda x: x[1:, ::2], [draw((3, 3))]),
    (
        "concatenate",
        lambda *xs: ag.concatenate(xs, axis=-1),
        lambda *xs: np.concatenate(xs, axis=-1),
        [draw((2, 3)), draw((2, 1)), draw((2, 0))],
    ),
    ("astype", lambda x: x.astype(float), lambda x: x.astype(float), [draw((2, 3))]),
]


def test_the_cases_cover_the_whole_table():
    assert {name for name, *_ in CASES} == set(VJPS)
    assert all(hasattr(ag, name) and name in ag.__all__ for name in VJPS)


@pytest.mark.parametrize(("name", "ours", "numpys", "arrays"), CASES)
def test_value_is_numpys_and_gradient_agrees_with_differences(
    name, ours, numpys, arrays
):
    value = ours(*map(ag.Tensor, arrays))
    np.testing.assert_array_equal(value.data, numpys(*arrays))
    assert not value.requires_grad
    assert ag.check_gradients(ours, *arrays) < 1e-5


@pytest.mark.parametrize(("name", "ours", "numpys", "arrays"), CASES)
def test_float32_gradients_stay_float32(name, ours, numpys, arrays):
    leaves = [ag.Tensor(a.astype(np.float32), requires_grad=True) for a in arrays]
    ours(*leaves).sum().backward()
    assert {leaf.grad.dtype for leaf in leaves} == {np.dtype(np.float32)}
    assert all(leaf.grad.shape == leaf.shape for leaf in leaves)


# A function and its derivative as a formula, at x = A and y = B
A, B = draw((2, 3), 0.5, 2.0, seed=1), draw((2, 3), 0.5, 2.0, seed=2)
FORMULAS = [
    (lambda x: x + B, np.ones_like(A)),
    (lambda x: B - x, -np.ones_like(A)),
    (lambda x: x - B, np.ones_like(A)),
    (lambda x: x * B, B),
    (lambda x: x / B, 1 / B),
    (lambda x: B / x, -B / A**2),
    (lambda x: x**3, 3 * A**2),
    (lambda x: x**0.5, 0.5 / np.sqrt(A)),
    (lambda x: -x, -np.ones_like(A)),
    (lambda x: ag.maximum(x, 1.0), (A > 1.0) * 1.0),
    (lambda x: x @ B.T, np.broadcast_to(B.sum(axis=0), A.shape)),
    (lambda x: B.T @ x, np.broadcast_to(B.sum(axis=1)[:, None], A.shape)),
    (lambda x: x.exp(), np.exp(A)),
    (lambda x: x.log(), 1 / A),
    (lambda x: x.sqrt(), 0.5 / np.sqrt(A)),
    (lambda x: x.tanh(), 1 / np.cosh(A) ** 2),
    (lambda x: x.log_softmax()[:, 0], np.eye(3)[0] - softmax(A, axis=1)),
    (lambda x: x.sum(), np.ones_like(A)),
    (lambda x: x.mean(), np.full_like(A, 1 / 6)),
    (lambda x: x.max(), (A == A.max()) * 1.0),
    (lambda x: x.reshape(-1) * B.reshape(-1), B),
    (lambda x: x.T * B.T, B),
    (lambda x: x[0] * 3.0, np.array([[3.0] * 3, [0.0] * 3])),
    (lambda x: ag.concatenate([x, x * 2.0]), np.full_like(A, 3.0)),
    (lambda x: x.astype(np.float32), np.ones_like(A)),
]


@pytest.mark.parametrize(("function", "derivative"), FORMULAS)
def test_gradient_is_the_formula(function, derivative):
    x = ag.Tensor(A, requires_grad=True)
    function(x).sum().backward()
    np.testing.assert_allclose(x.grad, derivative, rtol=1e-12)


@quiet
@given(
    st.sampled_from(sorted(ELEMENTWISE)),
    hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3),
)
def test_broadcasting_in_elementwise_functions(name, shapes):
    x_shape, y_shape = shapes.input_shapes
    x, y = distinct(x_shape) - 0.42, distinct(y_shape) + 0.57
    function = getattr(ag, name)
    np.testing.assert_array_equal(function(x, y).data, getattr(np, name)(x, y))
    ag.check_gradients(function, x, y, rng=np.random.default_rng(0))


@quiet
@given(hnp.mutually_broadcastable_shapes(signature="(n?,k),(k,m?)->(n?,m?)"))
def test_matmul_of_vectors_matrices_and_batches(shapes):
    x, y = (
        draw(tuple(min(n, 3) for n in shape), seed=i)
        for i, shape in enumerate(shapes.input_shapes)
    )
    np.testing.assert_array_equal(ag.matmul(x, y).data, np.matmul(x, y))
    ag.check_gradients(ag.matmul, x, y, rng=np.random.default_rng(0))


@quiet
@given(st.data())
def test_reductions_over_any_axes(data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=3))
    axes = st.just(None)
    if shape:
        several = hnp.valid_tuple_axes(len(shape))
        axes |= several | st.integers(-len(shape), len(shape) - 1)
    axis, keepdims = data.draw(axes), data.draw(st.booleans())
    x = distinct(shape)
    for name in ("sum", "mean", "max"):
        options = {"axis": axis, "keepdims": keepdims}
        ours = partial(getattr(ag, name), **options)
        np.testing.assert_array_equal(ours(x).data, getattr(np, name)(x, **options))
        ag.check_gradients(ours, x, rng=np.random.default_rng(0))


@quiet
@given(st.data())
def test_transpose_by_any_axes(data):
    x = draw(data.draw(hnp.array_shapes(min_dims=0, max_dims=4, max_side=3)))
    axes = data.draw(st.permutations(range(x.ndim)))
    axes = [data.draw(st.sampled_from([a, a - x.ndim])) for a in axes]
    np.testing.assert_array_equal(ag.transpose(x, axes).data, x.transpose(axes))
    ag.check_gradients(
        lambda t: t.transpose(axes) if x.ndim else ag.transpose(t, axes),
        x,
        rng=np.random.default_rng(0),
    )


@quiet
@given(st.data())
def test_basic_indices(data):
    x = draw(data.draw(hnp.array_shapes(max_dims=3, max_side=4)))
    index = data.draw(hnp.basic_indices(x.shape, allow_newaxis=True))
    np.testing.assert_array_equal(ag.getitem(x, index).data, x[index])
    ag.check_gradients(lambda t: t[index], x, rng=np.random.default_rng(0))


@quiet
@given(st.data())
def test_integer_array_indices(data):
    x = draw(data.draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=4)))
    index = data.draw(hnp.integer_array_indices(x.shape))
    ag.check_gradients(lambda t: t[index], x, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    "index",
    [
        np.array([True, False, True]),
        draw((3, 4)) > 0,
        (slice(None), np.array([0, 0, 3])),
        (np.array([[0], [2]]), None, np.array([1, 1])),
        (..., np.int64(2)),
        [2, 0, 2],
        np.array(1),
        True,
        np.zeros((2, 0), dtype=int),
    ],
)
def test_other_indices(index):
    x = draw((3, 4))
    np.testing.assert_array_equal(ag.getitem(x, index).data, x[index])
    ag.check_gradients(lambda t: t[index], x)


def test_an_element_picked_twice_adds_up():
    x = ag.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    x[np.array([2, 0, 2, 2])].sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 3.0]


def test_ties_share_the_gradient():
    x = ag.Tensor([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]], requires_grad=True)
    x.max(axis=1).backward([1.0, 3.0])
    assert x.grad.tolist() == [[0.5, 0.0, 0.5], [1.0, 1.0, 1.0]]
    x, y = (ag.Tensor(a, requires_grad=True) for a in ([1.0, 5.0], [1.0, 4.0]))
    ag.maximum(x, y).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([0.5, 1.0], [0.5, 0.0])


@pytest.mark.parametrize(
    ("exponent", "slope"), [(0, 0.0), (1, 1.0), (2, 0.0), (2.5, 0.0)]
)
def test_power_at_zero(exponent, slope):
    x = ag.Tensor(0.0, requires_grad=True)
    (x**exponent).backward()
    assert x.grad == slope


def test_power_of_an_integer_has_a_float_gradient():
    x = ag.Tensor(np.array([0, 100], np.int8), requires_grad=True)
    (x**0 + x**1).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_a_tensor_exponent_has_no_rule():
    x = ag.Tensor(2.0, requires_grad=True)
    p = ag.Tensor(3.0, requires_grad=True)
    with pytest.raises(GradientError, match="power: no derivative rule for argument 1"):
        x**p
    assert (x ** p.detach()).item() == 8.0
    with ag.no_grad():
        assert (x**p).item() == 8.0


def test_a_function_without_a_row_is_named():
    x = ag.Tensor(1.0, requires_grad=True)
    with pytest.raises(GradientError, match="sinc: no row in the table"):
        tensor._taped("sinc", np.sinc(x.data), (x,))


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        (lambda x: x * 2.0, np.float32),
        (lambda x: 1 / (1 + x) ** 2, np.float32),
        (lambda x: x * np.float64([2.0]), np.float64),
        (lambda x: x.astype(np.float64), np.float64),
        (lambda x: x.astype(np.int8), np.int8),
        (lambda x: np.int8([1]) - x, np.float32),
        (lambda x: x * True, np.float32),
        (lambda x: x.sum() * 2.0, np.float32),
        (lambda x: 1 - x.mean(), np.float32),
        (lambda x: (1 / x.max() - 3) ** 2, np.float32),
        (lambda x: ag.maximum(0.5, x.sum()), np.float32),
        (lambda x: x.sum() * np.float64(2.0), np.float64),
    ],
)
def test_result_dtypes_follow_numpy(function, dtype):
    x = ag.Tensor(np.float32([[1.0, 2.0]]), requires_grad=True)
    y = function(x)
    assert y.dtype == dtype
    y.sum().backward()
    assert x.grad.dtype == np.float32


def test_integers_flow_and_their_gradients_are_float32():
    x = ag.Tensor(np.array([[1, -2], [3, 4]], np.int8), requires_grad=True)
    y = x @ np.array([[1], [2]], np.int8) - np.int8(1)
    assert y.dtype == np.int8
    y.backward(np.ones((2, 1)))
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [[1.0, 2.0], [1.0, 2.0]]
    total = (x / 2).sum()
    assert total.dtype == np.float64  # NumPy's rule for integers divided
    total.backward()
    assert x.grad.tolist() == [[1.5, 2.5], [1.5, 2.5]]


@pytest.mark.parametrize(
    "operation",
    [
        lambda a, t: a + t,
        lambda a, t: a - t,
        lambda a, t: a * t,
        lambda a, t: a / t,
        lambda a, t: a @ t,
    ],
)
def test_an_array_on_the_left_gives_one_tensor(operation):
    a, b = draw((2, 2), 1.0, 2.0), draw((2, 2), 1.0, 2.0, seed=5)
    result = operation(a, ag.Tensor(b))
    assert isinstance(result, ag.Tensor)
    np.testing.assert_array_equal(result.data, operation(a, b))


def test_methods_take_numpys_spellings():
    t = ag.Tensor(draw((2, 3, 4)))
    assert t.reshape(6, 4).shape == t.reshape((6, 4)).shape == (6, 4)
    assert t.reshape(-1).shape == t.reshape([24]).shape == (24,)
    assert t.transpose(2, 0, 1).shape == t.transpose((2, 0, 1)).shape == (4, 2, 3)
    assert t.transpose().shape == t.T.shape == (4, 3, 2)
    assert t.max(0, keepdims=True).shape == (1, 3, 4)


@quiet
@given(hnp.mutually_broadcastable_shapes(num_shapes=1, max_dims=4, max_side=4))
def test_unbroadcast_counts_the_copies(shapes):
    (shape,) = shapes.input_shapes
    for target in (shape, (2, *shape), shapes.result_shape):
        ones = np.ones(target)
        copies = unbroadcast(ones, shape)
        assert copies.shape == shape
        assert copies.sum() == ones.sum()


def test_empty_arrays_have_empty_gradients():
    x = ag.Tensor(np.zeros((0, 3)), requires_grad=True)
    (x.sum(axis=0) + (x * 2.0).mean(axis=1).sum()).sum().backward()
    assert x.grad.shape == (0, 3)
