"""The node tests that the `onnx` package ships, as far as they are of our operators.

Each is one operator, or a few, with inputs and the answer. Those that read float32 and
write it are turned into networks:

- the first input is the network's, the others become constants;
- of several outputs each is a network;
- tensors without a batch are given one: where every element is computed alone, and
  where a network is refused because it works along the first axis.

A test passes or is refused. `python -m tests.formats.test_onnx_nodes` prints how many
are which, and the reasons.
"""

import importlib
import re
import warnings
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx.backend.test.case.test_case import TestCase
from onnx.reference.ops import op_pool_common

from kanji_np.errors import KanjiError
from kanji_np.formats.onnx.convert import Converted
from kanji_np.formats.onnx.operators import OPERATORS

from .onnx_files import answers, converted

FOLDER = "onnx.backend.test.case.node"
FILES = {"BatchNormalization": "batch_normalization"}
ELEMENTS = {
    "Add", "Cast", "Clip", "Div", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu",
    "Max", "Min", "Mul", "Relu", "Sigmoid", "Sub", "Tanh",
}  # fmt: skip

#: Why tests are refused: what their messages say.
REFUSED = (
    "over 3 axes; 1 and 2 are supported",
    "pools with dilation are not supported",
    "its second output, .* is not supported",
    "only batch normalization of inference is supported",
    "its input 'value1' must not be a constant",
    "ConvTranspose '.*': 2 groups; 1 is supported",
    "1 is supported, the batch stays",
    "the indices must",
    "its bias differs between samples",
    "works along the batch",
    r"they must be \(inputs, outputs\)",
    "the batch must stay the first axis",
    "mode '(linear|cubic)'; 'nearest' is supported",
    "its outputs lie where no operator here puts them",
    "takes elements backwards, or none",
    "no operator is left: the output is the input",
    "has no samples",
)
#: How many networks pass at least.
PASS = 171


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of casts that are to overflow
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


def lifted(case: Case) -> Case | None:
    """The same test with a batch of one before all axes; None if it cannot have one."""
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    if len(model.graph.node) != 1:
        return None
    (node,) = model.graph.node
    constants = {c.name: c for c in model.graph.initializer}
    own = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type in FIRST_AXIS:
        own["axis"] = moved(own.get("axis", FIRST_AXIS[node.op_type]))
    elif node.op_type == "Transpose":
        perm = own.get("perm", list(reversed(range(case.x.ndim))))
        own["perm"] = [0, *(axis + 1 for axis in perm)]
    elif node.op_type in AXES:
        place = AXES[node.op_type]
        if len(node.input) <= place or not node.input[place]:
            return None
        constant = constants[node.input[place]]
        axes = onnx.numpy_helper.to_array(constant)
        new = np.array([moved(int(axis)) for axis in axes], axes.dtype)
        constant.CopyFrom(onnx.numpy_helper.from_array(new, constant.name))
    else:
        return None
    new = onnx.helper.make_node(node.op_type, node.input, node.output, **own)
    node.CopyFrom(new)
    shape = (1, *case.x.shape)
    first = onnx.helper.make_tensor_value_info(model.graph.input[0].name, 1, shape)
    model.graph.input[0].CopyFrom(first)
    return replace(case, model=model, x=case.x[None], y=case.y[None])


#: Operators that work along one axis, and which one by default.
FIRST_AXIS = {"Concat": 0, "Gather": 0, "Softmax": -1, "Split": 0}
#: Of those that are given axes, the input that has them.
AXES = {"ReduceMean": 1, "Slice": 3, "Squeeze": 1, "Unsqueeze": 1}


def moved(axis: int) -> int:
    """An axis behind the new one."""
    return axis if axis < 0 else axis + 1


CASES = [case for test in node_tests() for case in cases_of(test)]


def refusal(case: Case) -> str | None:
    """Why a test is refused; None if it passes, and AssertionError if it does not."""
    try:
        made = converted(case.model)
    except KanjiError as error:
        more = lifted(case) if "batch" in str(error) else None
        return str(error) if more is None else refusal_of(more)
    return refusal_of(case, made)


def refusal_of(case: Case, made: Converted | None = None) -> str | None:
    """The same of a network as it stands."""
    try:
        made = made or converted(case.model)
    except KanjiError as error:
        return str(error)
    y = answers(made, case.x)
    atol = max(case.atol, 1e-6)
    y = y.reshape(case.y.shape)
    np.testing.assert_allclose(y, case.y, case.rtol, atol, err_msg=case.name)
    return None


def test_node_tests_pass_or_are_refused():
    reasons = [refusal(case) for case in CASES]
    for reason in filter(None, reasons):
        assert any(re.search(text, reason) for text in REFUSED), reason
    assert reasons.count(None) >= PASS


if __name__ == "__main__":
    reasons = Counter(refusal(case) for case in CASES)
    print(f"{len(CASES)} networks, {reasons.pop(None)} pass")
    for reason, count in sorted(reasons.items()):
        print(count, reason)
