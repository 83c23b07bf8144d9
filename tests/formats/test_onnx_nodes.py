"""The node tests that the `onnx` package ships, as far as they are of our operators.

Each is one operator, or a few, with inputs and the answer. Those that read float32 and
write it are turned into networks:

- the first input is the network's, the others become constants;
- operators of several tensors become another network, whose one input holds all of
  them, one behind the other, and whose first nodes take them apart;
- of several outputs each is a network;
- tensors without a batch are given one: where every element is computed alone, and
  where a network is refused because it works along the first axis.

A test passes or is refused. `python -m tests.formats.test_onnx_nodes` prints how many
are which, and the reasons.
"""

import importlib
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable
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
#: They take several tensors.
JOINING = {"Add", "Concat", "Max", "Min", "Mul", "Sub"}

#: Why tests are refused: what their messages say.
REFUSED = (
    "over 3 axes; 1 and 2 are supported",
    "pools with dilation are not supported",
    "its second output, .* is not supported",
    "only batch normalization of inference is supported",
    "ConvTranspose '.*': 2 groups; 1 is supported",
    "the indices must",
    "transA works along the batch",
    r"they must be \(inputs, outputs\)",
    "mode '(linear|cubic)'; 'nearest' is supported",
    "its outputs lie where no operator here puts them",
    "takes elements backwards, or none",
    "has no samples",
)
#: And where another network of the same operator is tried.
ALONG_THE_BATCH = "batch|samples?|they must be .inputs|cannot become"
#: How many networks pass at least.
PASS = 237


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


def joined(test: TestCase) -> list[Case]:
    """A network of a node test whose input holds all tensors of an operator."""
    graph, (xs, answer) = test.model.graph, test.data_sets[0]
    (node, *more) = graph.node
    is_joining = not more and node.op_type in JOINING and len(xs) > 1
    if not is_joining or any(x.dtype != np.float32 or not x.size for x in xs):
        return []
    rank, at, nodes, constants = max(x.ndim for x in xs), 0, [], {"along": [1]}
    for name, x in zip(node.input, xs, strict=True):
        shape = (1, *(1,) * (rank - x.ndim), *x.shape)
        own = {"start": [at], "end": [at + x.size], "shape": shape}
        constants |= {f"{name}_{key}": value for key, value in own.items()}
        at += x.size
        cut = ["all", f"{name}_start", f"{name}_end", "along"]
        nodes += [
            onnx.helper.make_node("Slice", cut, [f"{name}_cut"]),
            onnx.helper.make_node("Reshape", [f"{name}_cut", f"{name}_shape"], [name]),
        ]
    whole = np.concatenate([x.ravel() for x in xs])[None]
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            [*nodes, shifted(node)],
            graph.name,
            [onnx.helper.make_tensor_value_info("all", 1, whole.shape)],
            graph.output,
            [
                onnx.numpy_helper.from_array(np.array(value, np.int64), name)
                for name, value in constants.items()
            ],
        ),
        opset_imports=test.model.opset_import,
    )
    name = f"{test.name}:joined"
    return [Case(name, made, whole, answer[0][None], test.rtol, test.atol)]


def lifted(case: Case) -> Case | None:
    """The same test with a batch before all axes; None if it cannot have one."""
    if len(case.model.graph.node) != 1 or not case.x.size:
        return None
    change = LIFTS.get(case.model.graph.node[0].op_type)
    if change is None:
        return None
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    made = change(replace(case, model=model))
    first = onnx.helper.make_tensor_value_info(
        model.graph.input[0].name, 1, made.x.shape
    )
    model.graph.input[0].CopyFrom(first)
    return made


def batch_of_one(case: Case) -> Case:
    return replace(case, x=case.x[None], y=case.y[None])


def along_an_axis(case: Case) -> Case:
    (node,) = case.model.graph.node
    node.CopyFrom(shifted(node))
    return batch_of_one(case)


def shifted(node: onnx.NodeProto) -> onnx.NodeProto:
    """An operator of tensors that have an axis more, before all others."""
    own = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type in FIRST_AXIS:
        own["axis"] = moved(own.get("axis", FIRST_AXIS[node.op_type]))
    return onnx.helper.make_node(node.op_type, node.input, node.output, **own)


def side_by_side(case: Case) -> Case:
    """What is beside the tensor is given a batch, too."""
    for constant in case.model.graph.initializer:
        constant.dims.insert(0, 1)
    return along_an_axis(case)


def repeated(case: Case) -> Case:
    """With as many axes as the result has."""
    case = reshaped(case)
    shape = (1,) * (case.y.ndim - case.x.ndim) + case.x.shape
    return replace(case, x=case.x.reshape(shape))


def transposed(case: Case) -> Case:
    (node,) = case.model.graph.node
    perm = [*node.attribute[0].ints] if node.attribute else range(case.x.ndim)[::-1]
    del node.attribute[:]
    node.attribute.append(
        onnx.helper.make_attribute("perm", [0, *(axis + 1 for axis in perm)])
    )
    return batch_of_one(case)


def along_given_axes(case: Case) -> Case:
    """By default all of them are meant, or as many as there are other numbers."""
    (node,), place = case.model.graph.node, AXES[case.model.graph.node[0].op_type]
    constants = {c.name: c for c in case.model.graph.initializer}
    names = [*node.input, *[""] * (place + 1 - len(node.input))]
    given = constants.get(names[place])
    axes = [] if given is None else onnx.numpy_helper.to_array(given).tolist()
    if not axes:
        row = constants.get(names[1]) if place > 1 else None
        axes = range(case.x.ndim if row is None else row.dims[0])
    names[place] = "moved"
    del node.input[:]
    node.input.extend(names)
    new = np.array([moved(axis) for axis in axes], np.int64)
    case.model.graph.initializer.append(onnx.numpy_helper.from_array(new, "moved"))
    return batch_of_one(case)


def reshaped(case: Case) -> Case:
    (shape,) = case.model.graph.initializer
    sizes = np.concatenate([[1], onnx.numpy_helper.to_array(shape)])
    shape.CopyFrom(onnx.numpy_helper.from_array(sizes, shape.name))
    return batch_of_one(case)


def flattened(case: Case) -> Case:
    """The axes that become the first one are the batch."""
    axis = case.model.graph.node[0].attribute[0].i % case.x.ndim
    shape, front = case.x.shape, math.prod(case.x.shape[:axis])
    if axis == 0:
        return replace(case, x=case.x[None])
    x = case.x.reshape(front, *(1,) * (axis - 1), *shape[axis:])
    return replace(case, x=x)


def of_the_first_row(case: Case) -> Case:
    """A bias may differ between samples of a batch, of which this leaves one."""
    for constant in case.model.graph.initializer:
        array = onnx.numpy_helper.to_array(constant)
        if constant.name == case.model.graph.node[0].input[2] and array.ndim == 2:
            constant.CopyFrom(onnx.numpy_helper.from_array(array[:1], constant.name))
    return replace(case, x=case.x[:1], y=case.y[:1])


#: Operators that work along one axis, and which one by default.
FIRST_AXIS = {"Concat": 0, "Gather": 0, "Softmax": -1, "Split": 0}
#: Of those that are given axes, the input that has them.
AXES = {"ReduceMean": 1, "Slice": 3, "Squeeze": 1, "Unsqueeze": 1}
LIFTS: dict[str, Callable[[Case], Case]] = {
    **dict.fromkeys(FIRST_AXIS, along_an_axis),
    **dict.fromkeys(AXES, along_given_axes),
    "Concat": side_by_side,
    "Expand": repeated,
    "Flatten": flattened,
    "Gemm": of_the_first_row,
    "MatMul": batch_of_one,
    "Reshape": reshaped,
    "Transpose": transposed,
}


def moved(axis: int) -> int:
    """An axis behind the new one."""
    return axis if axis < 0 else axis + 1


TESTS = [(test, cases_of(test)) for test in node_tests()]
CASES = [case for test, own in TESTS for case in (*own, *(joined(test) if own else ()))]


def refusal(case: Case) -> str | None:
    """Why a test is refused; None if it passes, and AssertionError if it does not."""
    try:
        made = converted(case.model)
    except KanjiError as error:
        more = lifted(case) if re.search(ALONG_THE_BATCH, str(error)) else None
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
