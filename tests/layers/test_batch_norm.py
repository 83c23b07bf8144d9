"""Batch normalization: its gradients, and that folding it changes no value."""

import math

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.autograd import Tensor, check_gradients, maximum, record
from kanji_np.layers import Activation, Statistics, batch_norm
from kanji_np.loops.threads import limited
from kanji_np.types import Saved

SHAPES = [(4, 5), (3, 4, 2, 5), (40, 3, 3, 17)]


def draw(shape, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(shape) * rng.uniform(0.1, 3, shape[-1])
    z += rng.uniform(-5, 5, shape[-1])
    gamma = rng.uniform(-2, 2, shape[-1])
    beta = rng.uniform(-1, 1, shape[-1])
    return z.astype(dtype), gamma.astype(dtype), beta.astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_are_numpys_and_normalize_to_mean_zero_and_variance_one(shape):
    z, gamma, beta = draw(shape)
    s = batch_norm.statistics(z)
    axes = tuple(range(z.ndim - 1))
    np.testing.assert_allclose(s.mean, z.mean(axis=axes), rtol=1e-12)
    np.testing.assert_allclose(s.var, z.var(axis=axes), rtol=1e-12)
    y = batch_norm.normalize(z, np.ones_like(gamma), np.zeros_like(beta), s)
    np.testing.assert_allclose(y.mean(axis=axes), 0, atol=1e-12)
    expected = s.var / (s.var + batch_norm.EPSILON)
    np.testing.assert_allclose(y.var(axis=axes), expected, rtol=1e-9)


def test_normalized_values_are_kept_between_bounds_and_nan_stays():
    z, gamma, beta = draw((40, 3, 3, 17), dtype=np.float32)
    s = batch_norm.statistics(z)
    free = batch_norm.normalize(z, gamma, beta, s)
    z[7, 1, 2, 5] = np.nan
    y = batch_norm.normalize(z, gamma, beta, s, (0.0, 1.0))
    expected = np.clip(free, np.float32(0), np.float32(1))
    expected[7, 1, 2, 5] = np.nan
    np.testing.assert_array_equal(y, expected)


def test_float32_statistics_of_a_far_mean_are_exact_enough():
    z = (1000 + np.random.default_rng(0).standard_normal((50, 400, 3))).astype("f4")
    s = batch_norm.statistics(z)
    assert s.mean.dtype == s.var.dtype == np.float32
    np.testing.assert_allclose(s.var, z.astype("f8").var(axis=(0, 1)), rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_gradients_are_the_slopes(shape):
    z, gamma, beta = draw(shape)

    def function(z: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        s = batch_norm.statistics(z.data)
        y = batch_norm.normalize(z.data, gamma.data, beta.data, s)
        k = gamma.data * s.inverse

        def vjp(g: np.ndarray) -> tuple[np.ndarray, ...]:
            saved = Saved((), y, (), (), -math.inf, math.inf)
            gz, ggamma, gbeta = batch_norm.vjp(z.data, s, saved, g)
            return k * gz, ggamma, gbeta

        return record(y, (z, gamma, beta), vjp, "batch_norm")

    check_gradients(function, z, gamma, beta, rng=np.random.default_rng(1))


def test_a_folded_layer_is_the_layer_and_its_normalization():
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((20, 7)), rng.standard_normal((5, 7))
    _, gamma, beta = draw((20, 5))
    s = batch_norm.statistics(x @ weight.T)
    folded, bias = batch_norm.fold(Tensor(weight), Tensor(gamma), Tensor(beta), s)
    y = batch_norm.normalize(x @ weight.T, gamma, beta, s)
    np.testing.assert_allclose(x @ folded.data.T + bias.data, y, rtol=1e-12)


@pytest.mark.parametrize("part", ["weight", "bias"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 3, 2, 4)])
def test_gradients_through_folding_are_the_slopes(shape, part):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal(shape)
    _, gamma, beta = draw((1, 5))
    s = Statistics(rng.standard_normal(5), rng.uniform(0.1, 2, 5))

    def function(*parameters: Tensor) -> Tensor:
        return batch_norm.fold(*parameters, s)[("weight", "bias").index(part)]

    check_gradients(function, weight, gamma, beta, rng=np.random.default_rng(1))


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_a_layers_gradients_are_those_of_the_formula_on_the_tape(activation):
    """Folding, the operator and the batch's statistics, one node each."""
    rng = np.random.default_rng(0)
    net = kj.Sequential([kj.Dense(5, activation, batch_norm=True)], (7,))
    (layer,) = net.layers
    for parameter in net.parameters():
        parameter.data = rng.standard_normal(parameter.shape).astype(np.float32)
    x = rng.standard_normal((40, 7)).astype(np.float32)
    gy = rng.standard_normal((40, 5)).astype(np.float32)

    tensor = Tensor(x, requires_grad=True)
    y = layer.forward_float(Activation(tensor, None), track=True).tensor
    y.backward(gy)

    leaves = [tensor, layer.weight, layer.norm.gamma, layer.norm.beta]
    own = [Tensor(leaf.data.astype(np.float64), requires_grad=True) for leaf in leaves]
    z = own[0] @ own[1].T
    off = z - z.mean(axis=0)
    zhat = off / ((off * off).mean(axis=0) + batch_norm.EPSILON).sqrt()
    expected = zhat * own[2] + own[3]
    expected = maximum(expected, 0.0) if activation == "relu" else expected
    expected.backward(gy)

    np.testing.assert_allclose(y.data, expected.data, rtol=1e-4, atol=1e-5)
    for leaf, exact in zip(leaves, own, strict=True):
        np.testing.assert_allclose(leaf.grad, exact.grad, rtol=1e-3, atol=1e-4)


def test_results_do_not_depend_on_the_number_of_threads():
    z, gamma, beta = draw((40, 3, 3, 17), dtype=np.float32)
    gy = np.random.default_rng(2).standard_normal(z.shape).astype(np.float32)
    saved = Saved((), z, (), (), -1.0, 2.0)
    seen = []
    for threads in (1, None):
        with limited(threads):
            s = batch_norm.statistics(z)
            seen.append([s.mean, s.var, *batch_norm.vjp(z, s, saved, gy)])
    for one, other in zip(*seen, strict=True):
        assert one.tobytes() == other.tobytes()


def test_what_was_clamped_gets_no_gradient_of_its_own():
    z, _, _ = draw((6, 4, 5))
    y = np.random.default_rng(1).integers(-128, 128, z.shape).astype(np.int8)
    gy = np.random.default_rng(2).standard_normal(z.shape)
    s = batch_norm.statistics(z)
    inside = (y > -100) & (y < 50)
    clamped = batch_norm.vjp(z, s, Saved((), y, (), (), -100, 50), gy)
    free = Saved((), np.zeros_like(y), (), (), -100, 50)
    for one, other in zip(
        clamped, batch_norm.vjp(z, s, free, np.where(inside, gy, 0)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
