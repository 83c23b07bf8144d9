"""The node tests that the `onnx` package ships, as far as they are of our operators.

Each is one operator, or a few, with inputs and the answer. Those that read float32 and
write it are turned into networks:

- the first input is the network's, the others become constants;
- a tensor of elements alone has no batch: it is given one;
- of several outputs each is a network.

A test passes or is refused. `python -m tests.formats.test_onnx_nodes` prints how many
are which, and the reasons.
"""

import importlib
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from onnx.backend.test.case.test_case import TestCase
from onnx.reference.ops import op_pool_common

from kanji_np.errors import UnsupportedOp
from kanji_np.formats.onnx.operators import OPERATORS

from .onnx_files import answers, converted

FOLDER = "onnx.backend.test.case.node"
FILES = {"BatchNormalization": "batch_normalization"}
#: They have no test of their own.
WITHOUT = set()
ELEMENTS = {
    "Add", "Cast", "Clip", "Div", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu",
    "Max", "Min", "Mul", "Relu", "Sigmoid", "Sub", "Tanh",
}  # fmt: skip

#: Why tests are refused, by what their messages say; and how many are.
REFUSED: dict[str, int] = {}


@dataclass(frozen=True)
class Case:
    """A network of a node test: what is given, and the answer."""

    name: str
    model: onnx.ModelProto
    x: np.ndarray
    y: np.ndarray
    rtol: float
    atol: float


def node_tests() -> list[TestCase]:
    """Those of the operators that are mapped."""
    pool = op_pool_common.pool

    def pool_images(shape, x, *more, **named):
        """Windows over 3 axes are refused here, and take the package seconds."""
        if np.ndim(x) > 4:
            return np.zeros(1)
        return pool(shape, x, *more, **named)

    op_pool_common.pool = pool_images
    try:
        for kind in sorted(OPERATORS):
            importlib.import_module(f"{FOLDER}.{FILES.get(kind, kind.lower())}")
    finally:
        op_pool_common.pool = pool
    return importlib.import_module(FOLDER)._NodeTestCases


def cases_of(test: TestCase) -> list[Case]:
    """The networks of a node test; none where it is of other operators or types."""
    graph, (given, answer) = test.model.graph, test.data_sets[0]
    kinds = {node.op_type for node in graph.node}
    arrays = [*given, *answer]
    if not kinds <= {*OPERATORS, "Constant"} or not given:
        return []
    if not all(isinstance(array, np.ndarray) for array in arrays):
        return []
    if given[0].dtype != np.float32 or any(y.dtype != np.float32 for y in answer[:1]):
        return []
    made = []
    for output, y in zip(graph.output, answer, strict=True):
        if y.dtype != np.float32:
            continue
        model = onnx.ModelProto.FromString(test.model.SerializeToString())
        x = given[0]
        if kinds <= ELEMENTS:
            x, y = x[None], y[None]
        del model.graph.output[:]
        model.graph.output.append(output)
        for info, array in zip(graph.input[1:], given[1:], strict=True):
            constant = onnx.numpy_helper.from_array(array, info.name)
            model.graph.initializer.append(constant)
        first = onnx.helper.make_tensor_value_info(graph.input[0].name, 1, x.shape)
        model.graph.input[0].CopyFrom(first)
        name = test.name if len(answer) == 1 else f"{test.name}:{output.name}"
        made.append(Case(name, model, x, y, test.rtol, test.atol))
    return made


CASES = [case for test in node_tests() for case in cases_of(test)]


def refusal(case: Case) -> str | None:
    """Why a test is refused; None if it passes, and AssertionError if it does not."""
    try:
        made = converted(case.model)
    except UnsupportedOp as error:
        return str(error)
    y = answers(made, case.x)
    atol = max(case.atol, 1e-6)
    np.testing.assert_allclose(y.reshape(case.y.shape), case.y, case.rtol, atol)
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_node_tests_pass_or_are_refused(case):
    reason = refusal(case)
    assert reason is None or any(re.search(text, reason) for text in REFUSED), reason


if __name__ == "__main__":
    reasons = Counter(refusal(case) for case in CASES)
    print(f"{len(CASES)} networks, {reasons.pop(None)} pass")
    for reason, count in sorted(reasons.items()):
        print(count, reason)
