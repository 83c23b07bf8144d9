"""Single operators as each runtime computes them, against what it answered.

The format is described in golden/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kanji_np.ops import OPS
from kanji_np.ops.op import attrs_from_json
from kanji_np.quantize import LinearScales, activation_range, multipliers_for
from kanji_np.targets import target_spec
from kanji_np.types import LinearInts, Numerics, QParams

FILE = Path(__file__).with_name("golden") / "runtimes" / "kernels.npz"
RUNTIMES = ("tflm", "litert", "xnnpack")


@dataclass(frozen=True)
class Case:
    """One operator with its attributes, scales and arrays by name."""

    number: int
    operator: str
    attrs: dict[str, Any]
    x: tuple[QParams, ...]
    y: QParams
    arrays: dict[str, np.ndarray]

    def ints(self, attrs: Any, numerics: Numerics) -> Any:
        op = OPS[self.operator]
        if op.weights is not None:
            return self.linear_ints(attrs, numerics)
        return None if op.ints is None else op.ints(attrs, self.x, self.y, numerics)

    def linear_ints(self, attrs: Any, numerics: Numerics) -> LinearInts:
        bias, weight = self.arrays["bias"], self.arrays["weight"]
        w = np.broadcast_to(self.arrays["weight_scales"].astype(np.float64), len(bias))
        factors = LinearScales(self.x[0], w, self.y).factors(numerics)
        multiplier, shift = multipliers_for(factors, numerics)
        low, high = activation_range(attrs.activation, self.y, numerics.kernels)
        return LinearInts(
            weight,
            bias,
            multiplier,
            shift,
            -self.x[0].zero_point,
            self.y.zero_point,
            low,
            high,
            numerics.rounding,
        )


def _cases() -> Iterator[Case]:
    with np.load(FILE, allow_pickle=False) as archive:
        index = json.loads(str(archive["index"]))
        for entry in index:
            prefix = f"{entry['case']}."
            names = [n.removeprefix(prefix) for n in archive if n.startswith(prefix)]
            yield Case(
                entry["case"],
                entry["operator"],
                entry["attrs"],
                tuple(QParams(*q) for q in entry["x"]),
                QParams(*entry["y"]),
                {name: archive[prefix + name] for name in names},
            )


@cache
def cases() -> dict[str, list[Case]]:
    """By operator."""
    found: dict[str, list[Case]] = {}
    for case in _cases():
        found.setdefault(case.operator, []).append(case)
    return found


OPERATORS = tuple(cases())


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_give_the_bytes_of_the_runtime(operator, runtime):
    op, numerics = OPS[operator], target_spec(runtime).numerics_of(operator)
    for case in cases()[operator]:
        attrs = attrs_from_json(op.attrs, case.attrs)
        ints = case.ints(attrs, numerics)
        xs = tuple(case.arrays[f"x_{i + 1}"] for i in range(len(case.x)))
        for forward in (op.run_int, op.forward_int):
            np.testing.assert_array_equal(
                forward(attrs, ints, xs), case.arrays[runtime], str(case.number)
            )


def test_the_cases_tell_the_runtimes_apart():
    """Otherwise they would prove little: pools alone are computed alike by all."""
    alike = set()
    for operator, found in cases().items():
        answers = [
            [case.arrays[runtime].tobytes() for case in found] for runtime in RUNTIMES
        ]
        if answers[0] == answers[1] == answers[2]:
            alike.add(operator)
    assert alike == {"avg_pool2d", "max_pool2d"}
