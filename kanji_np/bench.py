"""How long a batch takes: the benchmark behind `kanji-np bench`.

Random images through the paper's network. A training step is forward pass, loss,
backward pass and an SGD update with momentum 0.9; an evaluation is a forward pass, in
int8 of the frozen graph. Figures are medians of wall-clock time after warm-up steps,
which also pay for compilation.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numba
import numpy as np

from kanji_np.losses import cross_entropy
from kanji_np.model import Sequential
from kanji_np.optim import SGD
from kanji_np.zoo import paper_cnn

N_WARM_UP = 3
# Random labels cannot be learned; a small rate keeps the weights where they are.
OPTIMIZER = SGD(lr=1e-4, momentum=0.9, nesterov=False, weight_decay=0.0)


@dataclass(frozen=True)
class Bench:
    """Medians in milliseconds a batch [ms], and what they were measured on.

    `peak_rss_mb` is the largest memory the process held [MiB]; None where the system
    does not say.
    """

    channels: tuple[int, ...]
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


def measure(channels: tuple[int, ...], *, batch: int = 128, steps: int = 20) -> Bench:
    """Time training steps and evaluations of `paper_cnn(channels)`.

    Parameters
    ----------
    channels : tuple of int
    batch : int
        Images in a batch.
    steps : int
        Batches that each median is taken over.
    """
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (batch, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, batch)
    net = paper_cnn(channels)
    int8_train_ms = _median_ms(_training_step(net, x, labels, "int8"), steps)
    graph = net.freeze()
    int8_eval_ms = _median_ms(lambda: graph.run(x), steps)
    net = paper_cnn(channels)
    fp32_train_ms = _median_ms(_training_step(net, x, labels, "fp32"), steps)
    fp32_eval_ms = _median_ms(lambda: net.predict(x, precision="fp32"), steps)
    return Bench(
        channels,
        batch,
        numba.get_num_threads(),
        _cpu(),
        int8_train_ms,
        fp32_train_ms,
        int8_eval_ms,
        fp32_eval_ms,
        _peak_rss_mb(),
    )


def _training_step(
    net: Sequential, x: np.ndarray, labels: np.ndarray, precision: str
) -> Callable[[], None]:
    parameters = net.parameters()
    slots = OPTIMIZER.slots(parameters)

    def step() -> None:
        loss = cross_entropy(net.logits(x, precision=precision, track=True), labels)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        OPTIMIZER.step(parameters, slots, OPTIMIZER.lr, 1)

    return step


def _median_ms(step: Callable[[], object], steps: int) -> float:
    for _ in range(N_WARM_UP):
        step()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 3)


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _peak_rss_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    per_mb = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes
    return round(peak / per_mb, 1)
