"""`check_gradients` finds wrong gradients, says where, and passes right ones."""

import numpy as np
import pytest

import kanji_np.autograd as ag
from kanji_np.autograd import Tensor, check_gradients, record
from kanji_np.errors import GradientError, OptionError

X, Y = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([2.0, 5.0])


def wrong_product(x, y):
    def vjp(g):
        gy = (g * x.data).sum(axis=0)
        gy[1] *= 1.01
        return g * y.data, gy

    return record(x.data * y.data, [x, y], vjp, "product")


@pytest.mark.parametrize("rng", [None, np.random.default_rng(3)])
def test_right_gradients_pass_with_a_small_error(rng):
    error = check_gradients(lambda x, y: (x * y).tanh(), X, Y, rng=rng)
    assert 0.0 <= error < 1e-6


def test_a_wrong_gradient_is_located():
    expected = (
        r"wrong_product: argument 1, index \(1,\), output \(0, 1\): the vjp gives"
        r" -2\.02, central differences give -2(\.0*\d*)? "
    )
    with pytest.raises(GradientError, match=expected):
        check_gradients(wrong_product, X, Y)
    with pytest.raises(GradientError, match=r"argument 1, index \(1,\): the vjp gives"):
        check_gradients(wrong_product, X, Y, rng=np.random.default_rng(0))
    assert check_gradients(wrong_product, X, Y, rtol=0.1) == pytest.approx(0.01, 1e-3)


def test_a_gradient_lost_on_the_way_is_found():
    with pytest.raises(GradientError, match="argument 0, index .* the vjp gives 0,"):
        check_gradients(lambda x: x.detach() * 2.0, X)


def test_a_gradient_that_is_not_a_number_is_found():
    def function(x):
        return record(x.data, [x], lambda g: (g * np.nan,), "nan")

    with pytest.raises(GradientError, match="the vjp gives nan"):
        check_gradients(function, X)


@pytest.mark.parametrize("shape", [(), (1,), (0, 2), (2, 1, 3)])
def test_every_output_shape_and_nothing_at_all(shape):
    array = np.ones(shape)
    assert check_gradients(lambda x: x * 2.0, array) < 1e-6
    assert (
        check_gradients(lambda x: x * 2.0, array, rng=np.random.default_rng(0)) < 1e-6
    )
    assert check_gradients(lambda: Tensor(X)) == 0.0


def test_the_arrays_are_not_touched_and_may_be_integers():
    array = np.array([1, 2, 3])
    assert check_gradients(lambda x: x**2, array) < 1e-6
    assert array.tolist() == [1, 2, 3]


def test_large_arguments_are_differenced_over_the_distance_float64_has():
    assert check_gradients(lambda x: x * 3.0, [1e9 + 0.1], eps=1e-6) < 1e-6


def test_the_function_must_stay_in_float64():
    with pytest.raises(GradientError, match="float64 Tensor, got float32"):
        check_gradients(lambda x: x.astype(np.float32), X)
    with pytest.raises(GradientError, match="float64 Tensor, got ndarray"):
        check_gradients(lambda x: x.data, X)


@pytest.mark.parametrize("option", ["eps", "rtol", "atol"])
def test_options_must_be_positive(option):
    with pytest.raises(OptionError, match=f"{option} must be > 0, got 0.0"):
        check_gradients(ag.exp, X, **{option: 0.0})
