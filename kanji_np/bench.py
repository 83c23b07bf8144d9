"""How long a batch takes: the benchmark behind `kanji-np bench`.

Random inputs through a network. A training step is forward pass, loss, backward pass
and an SGD update with momentum 0.9; an evaluation is a forward pass, in int8 of the
frozen graph. Figures are of wall-clock time after warm-up steps, which also pay for
compilation.

`measure` gives medians of whole steps. `measure_layers` says where the time of a step
goes: means, which add up, over the steps that were neither quick nor slow.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from kanji_np import schema
from kanji_np.autograd import Tensor, record
from kanji_np.checks import integer
from kanji_np.errors import FileFormatError, ShapeError
from kanji_np.jit import njit
from kanji_np.layers import Activation
from kanji_np.loops.products import (
    PRODUCTS,
    Products,
    products,
)
from kanji_np.loops.simd import LANES, TILE_ROWS, address, aligned, tile_8x2
from kanji_np.loops.threads import limit, limited, run
from kanji_np.losses import cross_entropy
from kanji_np.model import Model
from kanji_np.optim import SGD, Slots
from kanji_np.results import cpu_model
from kanji_np.types import shape_text

BATCH, STEPS = 128, 20
MOST_IMAGES = 2**16  # in a batch
N_WARM_UP = 3
N_RATES = 10
N_PARTS = 16
# Random labels cannot be learned; a small rate keeps the weights where they are.
OPTIMIZER = SGD(lr=1e-4, momentum=0.9, nesterov=False, weight_decay=0.0)


@dataclass(frozen=True)
class Bench:
    """Medians in milliseconds a batch [ms], and what they were measured on.

    `network` is its name and, where it has several sizes, a space and its channels.
    `peak_rss_mb` is the largest memory the process held [MiB]; None where the system
    does not say, or it may have been for another measurement.
    """

    network: str
    batch: int
    threads: int
    cpu: str
    int8_train_ms: float
    fp32_train_ms: float
    int8_eval_ms: float
    fp32_eval_ms: float
    peak_rss_mb: float | None

    def json(self) -> str:
        """The figures as one JSON object on one line."""
        return json.dumps(asdict(self))


_TIME = schema.number(1e-9, 1e12)

_BENCH = schema.record(
    {
        "network": schema.text,
        "batch": schema.integer(1),
        "threads": schema.integer(1),
        "cpu": schema.text,
        "int8_train_ms": _TIME,
        "fp32_train_ms": _TIME,
        "int8_eval_ms": _TIME,
        "fp32_eval_ms": _TIME,
        "peak_rss_mb": schema.nullable(_TIME),
        # As int8 steps could round them before; they are float32 now.
        "gradients": schema.one_of(("float32", "bfloat16")),
    },
    optional=("gradients",),
)


@dataclass(frozen=True)
class LayerTimes:
    """One layer in an int8 training step: work of an image [MAC], time of a batch [ms].

    Backward a layer multiplies twice as often as forward, for the gradients of its
    weights and of its input; the first layer with weights needs no gradient of its
    input, and the layers before it no gradient at all. Forward a normalized layer forms
    float32 sums as well, for the statistics of the batch, which are not counted.
    """

    name: str
    forward_macs: int
    backward_macs: int
    forward_ms: float
    backward_ms: float


@dataclass(frozen=True)
class Breakdown:
    """Where the time of an int8 training step goes [ms].

    Means over the middle half of the steps, in order of their time.

    Parameters
    ----------
    step_ms : float
        The whole step: layers, loss, optimizer and rest.
    layers : tuple of LayerTimes
        The last gradients on their way to the parameters count as backward time of the
        first layer with weights.
    loss_ms : float
        Both directions, from the last layer's integers on.
    optimizer_ms : float
    rest_ms : float
        Python between the others.
    int8_rate, fp32_rate : float
        What the machine multiplies and adds where nothing else limits it [MAC/s].
    """

    network: str
    batch: int
    threads: int
    cpu: str
    step_ms: float
    layers: tuple[LayerTimes, ...]
    loss_ms: float
    optimizer_ms: float
    rest_ms: float
    int8_rate: float
    fp32_rate: float

    def json(self) -> str:
        """The figures as one JSON object on one line."""
        return json.dumps(asdict(self))


def measure(
    name: str,
    make: Callable[[], Model],
    *,
    batch: int = BATCH,
    threads: int | None = None,
    steps: int = STEPS,
) -> Bench:
    """Time training steps and evaluations of a network.

    Parameters
    ----------
    name : str
        What the result calls it.
    make : callable
        Gives the network, a new one on each call. Its output is a vector of scores.
    batch : int
        Inputs in a batch.
    threads : int or None
        None: as many as there are.
    steps : int
        Batches that each median is taken over.

    Raises
    ------
    OptionError
        There are not so many threads.
    ShapeError
        The network's output is no vector.
    """
    with limited(threads):
        net = make()
        x, labels = _random_batch(net, batch)
        int8_train_ms = _median_ms(_training_step(net, x, labels, "int8"), steps)
        graph = net.freeze()
        int8_eval_ms = _median_ms(lambda: graph.run(x), steps)
        net = make()
        fp32_train_ms = _median_ms(_training_step(net, x, labels, "fp32"), steps)
        fp32_eval_ms = _median_ms(lambda: net.predict(x, precision="fp32"), steps)
        return Bench(
            name,
            batch,
            limit(),
            cpu_model(),
            int8_train_ms,
            fp32_train_ms,
            int8_eval_ms,
            fp32_eval_ms,
            _peak_rss_mb(),
        )


def measure_layers(
    name: str,
    make: Callable[[], Model],
    *,
    batch: int = BATCH,
    threads: int | None = None,
    steps: int = STEPS,
) -> Breakdown:
    """Time the parts of int8 training steps of a network.

    Parameters and errors are those of `measure`.
    """
    net = make()
    x, labels = _random_batch(net, batch)
    slots = OPTIMIZER.slots(net.parameters())
    with limited(threads):
        timed = [_timed_step(net, x, labels, slots) for _ in range(N_WARM_UP + steps)]
        # Each begins with the time of the step, so they are sorted by it.
        middle = sorted(timed[N_WARM_UP:])[steps // 4 : steps - steps // 4]
        means = np.mean(middle, axis=0).tolist()
        step, loss, optimizer, *of_layers = (round(1e3 * s, 3) for s in means)
        layers = _layer_times(net, of_layers)
        return Breakdown(
            network=name,
            batch=batch,
            threads=limit(),
            cpu=cpu_model(),
            step_ms=step,
            layers=layers,
            loss_ms=loss,
            optimizer_ms=optimizer,
            rest_ms=round(step - loss - optimizer - sum(of_layers), 3),
            int8_rate=product_rate(products(), np.int32),
            fp32_rate=product_rate(PRODUCTS["float32"], np.float32),
        )


def product_rate(products: Products, total: type) -> float:
    """What all threads multiply and add up when everything lies in the cache [MAC/s].

    The fastest of several runs of the kernel that convolutions are made of.

    Parameters
    ----------
    products : Products
    total : dtype
        Of the sums.
    """
    columns, repeats = 256, 500
    numbers = columns * products.way.depth
    a = np.ones(TILE_ROWS * numbers, products.x)
    b = aligned(2 * LANES * numbers, products.weight)
    b[:] = 1
    sums: np.ndarray = np.zeros((N_PARTS, TILE_ROWS * 2 * LANES), total)
    seconds = []
    for _ in range(1 + N_RATES):  # the first pays for compilation
        start = time.perf_counter()
        run(_multiply, N_PARTS, products.way, a, b, sums, columns, repeats)
        seconds.append(time.perf_counter() - start)
    return sums.size * numbers * repeats / min(seconds)


@njit(cache=True, nogil=True)
def _multiply(
    begin: int,
    end: int,
    edges: tuple[int, ...],
    way: Any,
    a: np.ndarray,
    b: np.ndarray,
    sums: np.ndarray,
    columns: int,
    repeats: int,
) -> None:
    for part in range(edges[begin], edges[end]):
        for _ in range(repeats):
            tile_8x2(
                way, address(a, 0), columns * way.depth, 1, 0, columns, address(b, 0),
                address(sums, part * sums.shape[1]),
            )  # fmt: skip


def read_measurements(path: str | Path) -> list[Bench]:
    """Measurements from a file with a line of `Bench.json` each.

    Raises
    ------
    FileFormatError
        A line is something else, or there is none.
    """
    with schema.opened(path) as file:
        lines = file.read(schema.MOST_JSON_BYTES).splitlines()
    if not lines:
        raise FileFormatError(f"{path}: holds no measurements")
    results = []
    for n, line in enumerate(lines, 1):
        with schema.refusing(
            f"{path}, line {n}: not a line of `kanji-np bench --json`"
        ):
            results.append(_from_record(_BENCH("", schema.parse(line))))
    return results


def _from_record(record: dict[str, Any]) -> Bench:
    """A measurement; the name tells of a step that was another than it is now."""
    kind = record.pop("gradients", "float32")
    if kind != "float32":
        record["network"] += f" ({kind} gradients)"
    return Bench(**record)


def _random_batch(net: Model, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs uint8 or int8 (N, ...) and labels int64 (N,), the same on every call."""
    batch = integer("batch", batch, 1, MOST_IMAGES)
    if len(net.output_shape) != 1:
        raise ShapeError(
            f"{net.name}: the loss of the training step needs a vector of scores, and "
            f"the output is {shape_text(net.output_shape)}"
        )
    rng = np.random.default_rng(0)
    kind = np.iinfo(net.input.dtype)
    shape = (batch, *net.input.shape)
    x = rng.integers(kind.min, kind.max, shape, kind.dtype, endpoint=True)
    return x, rng.integers(0, net.output_shape[0], batch)


def _training_step(
    net: Model, x: np.ndarray, labels: np.ndarray, precision: str
) -> Callable[[], None]:
    parameters = net.parameters()
    slots = OPTIMIZER.slots(parameters)

    def step() -> None:
        logits = net.logits(x, precision=precision, track=True)
        loss = cross_entropy(logits, labels)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        OPTIMIZER.step(parameters, slots, OPTIMIZER.lr, 1)

    return step


def _timed_step(
    net: Model, x: np.ndarray, labels: np.ndarray, slots: Slots
) -> list[float]:
    """A training step in int8, layer by layer.

    Returns
    -------
    Seconds of the step, the loss, the optimizer, each layer forward, each backward.
    """
    clock = time.perf_counter
    arrivals: list[float] = []  # of the gradient at each layer's output, the last first

    def watched(value: Activation) -> Activation:
        def vjp(gradient: np.ndarray) -> tuple[np.ndarray]:
            arrivals.append(clock())
            return (gradient,)

        tensor = record(value.tensor.data, (value.tensor,), vjp, "arrival")
        return replace(value, tensor=tensor)

    parameters = net.parameters()
    start = clock()
    values = [Activation(Tensor(x), net.input.qparams)]
    forward = []
    for layer, wires in zip(net.layers, net.wiring, strict=True):
        inputs = [values[k] for k in wires]
        began = clock()
        value = layer.forward_int(*inputs, track=True)
        forward.append(clock() - began)
        values.append(watched(value))
    began = clock()
    loss = cross_entropy(values[-1].real(), labels)
    loss_forward = clock() - began
    for parameter in parameters:
        parameter.grad = None
    began = clock()
    loss.backward()
    moments = [began, *arrivals, clock()]
    loss_backward, *backward = [b - a for a, b in pairwise(moments)]
    # No gradient reaches the layers before the first one with parameters.
    backward += [0.0] * (len(net.layers) - len(backward))
    began = clock()
    OPTIMIZER.step(parameters, slots, OPTIMIZER.lr, 1)
    end = clock()
    loss_time = loss_forward + loss_backward
    return [end - start, loss_time, end - began, *forward, *reversed(backward)]


def _layer_times(net: Model, times_ms: list[float]) -> tuple[LayerTimes, ...]:
    """From the times of all layers forward, then of all backward."""
    shapes, n = [net.input.shape, *net.shapes], len(net.layers)
    layers = []
    products = 1  # backward for one forward
    for i, layer in enumerate(net.layers):
        inputs = tuple(shapes[k] for k in net.wiring[i])
        macs = layer.op.cost(layer.attrs, inputs, net.target).macs
        layers.append(
            LayerTimes(layer.name, macs, products * macs, times_ms[i], times_ms[n + i])
        )
        if layer.has_parameters:
            products = 2
    return tuple(layers)


def _median_ms(step: Callable[[], object], steps: int) -> float:
    for _ in range(N_WARM_UP):
        step()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 3)


def _peak_rss_mb() -> float | None:
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    per_mb = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes
    return round(peak / per_mb, 1)
