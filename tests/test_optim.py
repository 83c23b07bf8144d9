"""Optimizers against the formulas and PyTorch's steps; schedules in closed form."""

import math
import re

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.autograd import Tensor
from kanji_np.errors import OptionError, ShapeError
from kanji_np.optim import (
    OPTIMIZERS,
    SCHEDULES,
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Step,
    average,
)

GRADIENTS = [[0.1, -0.2, 0.3], [0.5, 0.0, -0.25], [-0.125, 1.0, 2.0], [0.0, 0.0, 0.0]]


def walk(optimizer, lrs=(0.1, 0.1, 0.05, 0.1)):
    """A weight [[1, -2, 0.5]] after four steps with GRADIENTS."""
    p = Tensor(np.float32([[1.0, -2.0, 0.5]]), requires_grad=True)
    slots = optimizer.slots([p])
    for count, (gradient, lr) in enumerate(zip(GRADIENTS, lrs, strict=True), 1):
        p.grad = np.float32([gradient])
        optimizer.step([p], slots, lr, count)
        assert p.grad.tolist() == np.float32([gradient]).tolist()
    return p.data[0]


# torch 2 gives these: the same numbers to `torch.optim`, lr set before each step.
TORCH = {
    "sgd": [0.94625, -2.03, 0.395],
    "momentum": [0.866685, -2.0640476, 0.1818837],
    "nesterov": [0.8231223, -2.0807371, 0.1073913],
    "adam": [0.7547411, -1.9126641, 0.3161136],
    "adam decay": [0.7288075, -1.8588636, 0.3028316],
    "adamw": [0.7333212, -1.8690822, 0.3054723],
}


@pytest.mark.parametrize(
    ("optimizer", "key"),
    [
        (SGD(momentum=0.0, nesterov=False, weight_decay=0.0), "sgd"),
        (SGD(momentum=0.9, nesterov=False, weight_decay=0.01), "momentum"),
        (SGD(momentum=0.9, nesterov=True, weight_decay=0.01), "nesterov"),
        (Adam(beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.0), "adam"),
        (Adam(weight_decay=0.05), "adam decay"),
        (AdamW(weight_decay=0.05), "adamw"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_steps_are_pytorchs(optimizer, key):
    np.testing.assert_allclose(walk(optimizer), TORCH[key], rtol=3e-6)


def decay_of(optimizer, p):
    """Biases and other parameters of one dimension do not decay."""
    return optimizer.weight_decay if p.ndim >= 2 else 0.0


def sgd_defined(optimizer, p, gradient, slot, lr, count):
    """What `SGD.step` is defined to do to one parameter, in place."""
    (velocity,) = slot
    momentum = np.float32(optimizer.momentum)
    gradient = gradient + np.float32(decay_of(optimizer, p)) * p
    velocity *= momentum
    velocity += gradient
    if optimizer.nesterov:
        gradient += momentum * velocity
    else:
        gradient = velocity
    p -= np.float32(lr) * gradient


def adam_defined(optimizer, p, gradient, slot, lr, count):
    """What `Adam.step` and `AdamW.step` are defined to do to one parameter."""
    mean, square = slot
    size = np.float32(lr / (1 - optimizer.beta1**count))
    root = np.float32(math.sqrt(1 - optimizer.beta2**count))
    if isinstance(optimizer, AdamW):
        p *= np.float32(1 - lr * decay_of(optimizer, p))
    else:
        gradient = gradient + np.float32(decay_of(optimizer, p)) * p
    mean += np.float32(1 - optimizer.beta1) * (gradient - mean)
    square += np.float32(1 - optimizer.beta2) * (gradient * gradient - square)
    p -= size * mean / (np.sqrt(square) / root + np.float32(optimizer.eps))


def c_order(array):
    return array.copy()


def other_order(array):
    return array.copy(order="F")


def with_gaps(array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", [c_order, other_order, with_gaps])
@pytest.mark.parametrize(
    ("optimizer", "defined"),
    [
        (SGD(), sgd_defined),
        (SGD(nesterov=False, weight_decay=0.0), sgd_defined),
        (Adam(), adam_defined),
        (Adam(weight_decay=0.01), adam_defined),
        (AdamW(), adam_defined),
    ],
    ids=["nesterov", "sgd", "adam", "adam decay", "adamw"],
)
def test_one_pass_gives_the_bytes_of_the_formulas(optimizer, defined, layout, dtype):
    rng = np.random.default_rng(0)
    shapes = [(7,), (33, 5), (3, 1, 2, 4), (0,), ()]

    def values(shape):
        exponents = rng.integers(-30, 3, shape)  # denormals too, once squared
        array = rng.normal(size=shape) * 10.0**exponents * rng.integers(0, 2, shape)
        return np.asarray(array, dtype)

    def placed(array):
        return layout(array) if array.ndim else array.copy()

    start = [values(shape) for shape in shapes]
    arrays = [placed(array) for array in start]
    parameters = [Tensor(array, requires_grad=True) for array in arrays]
    slots = optimizer.slots(parameters)
    expected_slots = optimizer.slots(parameters)
    for count in range(1, 5):
        for p, expected, slot in zip(parameters, start, expected_slots, strict=True):
            p.grad = placed(values(p.shape))
            defined(optimizer, expected, p.grad, slot, 0.03, count)
        optimizer.step(parameters, slots, 0.03, count)
    for array, expected in zip(arrays, start, strict=True):  # changed in place
        assert array.tobytes() == expected.tobytes()
    for slot, expected in zip(slots, expected_slots, strict=True):
        assert [s.tobytes() for s in slot] == [s.tobytes() for s in expected]


def test_what_has_no_gradient_stays():
    p, q = (Tensor(np.float32([1.0]), requires_grad=True) for _ in range(2))
    q.grad = np.float32([1.0])
    SGD().step([p, q], SGD().slots([p, q]), 0.1, 1)
    assert p.data.item() == 1 > q.data.item()


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_weights_decay_and_nothing_else(kind):
    start = np.float32([1.0, -2.0])
    shapes = [(2,), (2, 1), (1, 1, 1, 2)]
    parameters = [Tensor(start.reshape(s).copy(), requires_grad=True) for s in shapes]
    optimizer = kind(weight_decay=0.25)
    slots = optimizer.slots(parameters)
    for p in parameters:
        p.grad = np.zeros_like(p.data)
    optimizer.step(parameters, slots, 0.5, 1)
    bias, *weights = (p.data.reshape(-1) for p in parameters)
    assert bias.tolist() == start.tolist()
    for weight in weights:
        assert (abs(weight) < abs(start)).all()


def test_averages_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    shapes = [(3, 2), (4,)]
    parameters = [Tensor(np.zeros(s, np.float32), requires_grad=True) for s in shapes]
    averages = [np.float32(rng.normal(size=s)) for s in shapes]
    expected = [mean.astype(np.float64) for mean in averages]
    decays = []
    for count in range(1, 120):
        for p in parameters:
            p.data = rng.normal(size=p.shape).astype(np.float32)
        average(averages, parameters, 0.9, count)
        decays.append(min(0.9, (1 + count) / (10 + count)))
        expected = [
            decays[-1] * mean + (1 - decays[-1]) * p.data
            for mean, p in zip(expected, parameters, strict=True)
        ]
    assert decays[0] == 2 / 11 and decays[-1] == 0.9
    for mean, exact in zip(averages, expected, strict=True):
        assert mean.dtype == np.float32
        np.testing.assert_allclose(mean, exact, rtol=1e-5, atol=1e-6)


def test_parameters_that_no_kernel_takes_are_refused():
    p = Tensor(np.ones(3, np.float16), requires_grad=True)
    p.grad = np.ones(3, np.float32)
    with pytest.raises(OptionError, match="parameter 0: .* float64, got float16"):
        SGD().step([p], SGD().slots([p]), 0.1, 1)
    p = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    p.grad = np.ones(3, np.float32)
    with pytest.raises(ShapeError, match=r"shape \(2, 3\), its gradient .* \(3,\)"):
        Adam().step([p], Adam().slots([p]), 0.1, 1)


def test_sgd_step_by_hand():
    p = Tensor(np.float32([1.0]), requires_grad=True)
    optimizer = SGD(momentum=0.5, nesterov=True, weight_decay=0.0)
    slots = optimizer.slots([p])
    p.grad = np.float32([2.0])
    optimizer.step([p], slots, 0.25, 1)
    assert p.data.item() == 1 - 0.25 * (2 + 0.5 * 2)
    optimizer.step([p], slots, 0.25, 2)
    assert p.data.item() == 0.25 - 0.25 * (2 + 0.5 * (0.5 * 2 + 2))


def test_first_step_of_adam_has_the_size_of_the_learning_rate():
    p = Tensor(np.float32([1.0, 1.0]), requires_grad=True)
    p.grad = np.float32([1e-3, -50.0])
    Adam().step([p], Adam().slots([p]), 0.125, 1)
    np.testing.assert_allclose(p.data, [0.875, 1.125], rtol=1e-5)


def test_slots_are_zeros_of_the_parameters_kind():
    p = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    for optimizer, number in ((SGD(), 1), (Adam(), 2), (AdamW(), 2)):
        ((*slots,),) = optimizer.slots([p])
        assert [(s.shape, s.dtype, s.any()) for s in slots] == [
            ((2, 3), np.float32, False)
        ] * number


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (SGD, "lr", -1.0),
        (SGD, "lr", math.nan),
        (SGD, "momentum", 1.0),
        (SGD, "weight_decay", -1e-9),
        (Adam, "beta1", 1.0),
        (Adam, "beta2", -0.1),
        (AdamW, "weight_decay", math.inf),
        (OneCycle, "warmup", 1.0),
        (Step, "every", 0),
        (SGD, "lr", 1e39),
        (SGD, "lr", "0.1"),
        (SGD, "nesterov", 1),
        (Adam, "eps", None),
        (Step, "gamma", -0.1),
        (Exponential, "gamma", math.nan),
        (Cosine, "final", [0.0]),
        (OneCycle, "initial", "low"),
        (OneCycle, "final", True),
    ],
)
def test_options_out_of_range_are_named(kind, option, value):
    message = f"^{option} must be .*, got {re.escape(repr(value))}$"
    with pytest.raises(OptionError, match=message):
        kind(**{option: value})


def test_numbers_are_held_as_plain_ones():
    """They are written to checkpoints as text."""
    assert repr(SGD(lr=np.float64(0.5), momentum=np.int64(0))) == repr(
        SGD(lr=0.5, momentum=0.0)
    )
    assert repr(Step(every=2)).startswith("Step(every=2, ")


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Constant(), [1, 1, 1, 1, 1]),
        (Step(every=2, gamma=0.1), [1, 1, 0.1, 0.01, 0.0001]),
        (Exponential(gamma=0.5), [1, 0.5**0.5, 0.25, 0.0625, 0.5**9.9]),
        (
            Cosine(final=0.2),
            [
                1,
                0.2 + 0.4 * (1 + math.cos(math.pi * 0.05)),
                0.2 + 0.4 * (1 + math.cos(math.pi * 0.2)),
                0.2 + 0.4 * (1 + math.cos(math.pi * 0.4)),
                0.2 + 0.4 * (1 + math.cos(math.pi * 0.99)),
            ],
        ),
        (
            OneCycle(warmup=0.2, initial=0.1, final=0.01),
            [0.1, 0.1 + 0.9 / 4, 1, 1 - 0.99 * 0.2 / 0.8, 0.01 + 0.99 * 0.01 / 0.8],
        ),
        (OneCycle(warmup=0.0, final=0.0), [1, 0.95, 0.8, 0.6, 0.01]),
    ],
)
def test_schedules_at_given_steps(schedule, values):
    """Ten epochs of ten steps, at the steps 0, 5, 20, 40 and 99."""
    factors = [schedule.factor(step, 100, 10) for step in (0, 5, 20, 40, 99)]
    assert factors == pytest.approx(values)


def test_tables_name_them_all():
    assert OPTIMIZERS == {"sgd": SGD, "adam": Adam, "adamw": AdamW}
    assert all(kind() for kind in SCHEDULES.values())
    assert len(SCHEDULES) == 5


def _line(x, w, b):
    difference = x @ w + b - (3 * x[:, :1] - 1)
    return (difference * difference).mean()


def test_a_bound_optimizer_remembers_by_itself():
    x = np.random.default_rng(0).normal(size=(64, 1)).astype(np.float32)

    def start():
        return [
            Tensor(np.zeros(shape, np.float32), requires_grad=True)
            for shape in ((1, 1), (1,))
        ]

    bound, by_hand = start(), start()
    recipe = SGD(lr=0.05)
    optimizer, slots = recipe.bind(bound), recipe.slots(by_hand)
    for count in range(1, 60):
        optimizer.zero_grad()
        _line(x, *bound).backward()
        optimizer.step()
        for parameter in by_hand:
            parameter.grad = None
        _line(x, *by_hand).backward()
        recipe.step(by_hand, slots, 0.05, count)
    for a, b in zip(bound, by_hand, strict=True):
        assert np.array_equal(a.data, b.data)
    assert abs(bound[0].item() - 3) < 0.1
    assert optimizer.count == 59
    optimizer.lr = 0.0
    before = bound[0].data.copy()
    optimizer.step()
    assert np.array_equal(bound[0].data, before)
    optimizer.zero_grad()
    assert all(p.grad is None for p in bound)
    assert repr(optimizer).endswith("of 2 parameters, 60 steps taken, lr 0>")


def test_an_optimizer_of_ones_own_is_bound_too():
    class Plain:
        lr = 0.5

        def slots(self, parameters):
            return [() for _ in parameters]

        def step(self, parameters, slots, lr, count):
            for parameter in parameters:
                parameter.data = parameter.data - lr * parameter.grad

    (w,) = [Tensor(np.ones(1, np.float32), requires_grad=True)]
    optimizer = kj.BoundOptimizer(Plain(), [w])
    (w * 1.0).sum().backward()
    optimizer.step()
    assert w.data == 0.5


def test_pytorchs_way_of_making_one_leads_here():
    w = Tensor(np.ones(1, np.float32), requires_grad=True)
    with pytest.raises(OptionError, match=r"make SGD\(lr=...\)\.bind\(net.parameters"):
        SGD([w], lr=0.1)
    with pytest.raises(OptionError, match="parameter 0 must be a Tensor"):
        SGD().bind([np.ones(3)])
