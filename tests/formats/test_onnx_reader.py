"""ONNX files that cannot be read are refused with one line, and quickly."""

import copy
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import kanji_np as kj
from kanji_np.errors import FileFormatError, KanjiError, UnsupportedOp
from kanji_np.formats.onnx.reader import read

from .onnx_files import model, node

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)


def network(**more) -> onnx.ModelProto:
    """A convolution and what follows it, as exporters write it."""
    return model(
        [
            node("Conv", ["x", "w", "b"], ["conv"], name="conv", pads=[1, 1, 1, 1]),
            node("Relu", ["conv"], ["relu"]),
            node("Shape", ["relu"], ["shape"]),
            node("Gather", ["shape", "zero"], ["count"]),
            node("Unsqueeze", ["count", "axes"], ["counts"]),
            node("Concat", ["counts", "rest"], ["sizes"], axis=0),
            node("Reshape", ["relu", "sizes"], ["flat"]),
            node("Gemm", ["flat", "g"], ["y"], transB=1),
        ],
        {"x": ("n", 3, 4, 4)},
        {
            "w": WEIGHT,
            "b": np.zeros(4, np.float32),
            "zero": np.array(0),
            "axes": np.array([0]),
            "rest": np.array([-1]),
            "g": RNG.normal(size=(2, 64)).astype(np.float32),
        },
        **more,
    )


def saved(tmp_path, made):
    path = tmp_path / "net.onnx"
    data = made if isinstance(made, bytes) else made.SerializeToString()
    path.write_bytes(data)
    return path


def changed(change) -> onnx.ModelProto:
    made = network()
    change(made)
    return made


def test_a_file_is_what_its_nodes_say(tmp_path):
    net = read(saved(tmp_path, network()))
    assert (net.format, net.opset) == ("onnx", 17)
    assert [op.kind for op in net.ops][:3] == ["Conv", "Relu", "Shape"]
    assert net.ops[0].options == {"pads": (1, 1, 1, 1)}
    x, w = (net.tensors[k] for k in net.ops[0].inputs[:2])
    assert (x.name, x.shape, x.dtype, x.data) == ("x", (-1, 3, 4, 4), "float32", None)
    np.testing.assert_array_equal(w.data, WEIGHT)
    assert str(net.ops[0]) == "Conv 'conv'"


def test_operators_are_put_in_order_and_dead_ones_left_out(tmp_path):
    made = network()
    turned = [node("Loop", ["x"], ["dead"]), *reversed(made.graph.node)]
    del made.graph.node[:]
    made.graph.node.extend(turned)
    net = read(saved(tmp_path, made))
    seen = set()
    for op in net.ops:
        assert op.kind != "Loop"
        made_by_ops = {k for other in net.ops for k in other.outputs}
        assert {k for k in op.inputs if k in made_by_ops} <= seen
        seen.update(op.outputs)


@pytest.mark.parametrize(
    "dtype", ["float32", "uint8", "int8", "int32", "int64", "bool", "float64"]
)
def test_constants_of_every_type_are_raw_or_in_their_field(tmp_path, dtype):
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    raw = numpy_helper.from_array(array, "c")
    listed = helper.make_tensor(
        "c", helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array.ravel()
    )
    for proto in (raw, listed):
        made = model([node("Add", ["x", "c"], ["y"])], {"x": (1, 2, 3)})
        made.graph.initializer.append(proto)
        net = read(saved(tmp_path, made))
        (constant,) = (t for t in net.tensors if t.data is not None)
        assert constant.data.dtype == dtype
        np.testing.assert_array_equal(constant.data, array)


# What is wrong with a file.


def weight(made):
    return made.graph.initializer[0]


def shorter(made):
    weight(made).raw_data = weight(made).raw_data[:-4]


def huge(made):
    weight(made).dims[:] = [2**40, 2**40, 3, 3]


def negative(made):
    weight(made).dims[0] = -4


def listed(made):
    proto = weight(made)
    proto.ClearField("raw_data")
    proto.float_data.extend([1.0] * 5)


def half(made):
    weight(made).data_type = TensorProto.FLOAT16


def circle(made):
    made.graph.node[0].input[0] = "y"


def missing(made):
    made.graph.node[0].input[1] = "nothing"


def twice(made):
    made.graph.node[1].output[0] = "conv"


def no_output(made):
    made.graph.output[0].name = "nothing"


def sparse(made):
    made.graph.sparse_initializer.add()


def custom(made):
    made.graph.node[1].domain = "com.microsoft"


def odd_kind(made):
    made.graph.node[1].op_type = "Re\nlu"


def function(made):
    made.functions.add(domain="", name="Relu")


def loop(made):
    made.graph.node[1].op_type = "If"
    made.graph.node[1].attribute.append(
        helper.make_attribute("then_branch", copy.deepcopy(made.graph))
    )


def reference(made):
    made.graph.node[0].attribute[0].ref_attr_name = "pads"


def same_attribute(made):
    made.graph.node[0].attribute.append(made.graph.node[0].attribute[0])


def no_opset(made):
    del made.opset_import[:]


def old(made):
    made.opset_import[0].version = 6


def new(made):
    made.opset_import[0].version = 99


def large_input(made):
    made.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 2**40


BAD = {
    shorter: (FileFormatError, r"'w' of shape \(4, 3, 3, 3\) needs 432 bytes and has"),
    huge: (FileFormatError, "'w' of shape .* needs .* bytes and has 432"),
    negative: (FileFormatError, "'w' cannot have the shape"),
    listed: (FileFormatError, "needs 108 values and has 5"),
    half: (UnsupportedOp, "'w' is of element type 10; float32,"),
    circle: (FileFormatError, "Conv 'conv' is part of a circle"),
    missing: (FileFormatError, "Conv 'conv' reads 'nothing', which is no input"),
    twice: (FileFormatError, "the tensor 'conv' is made twice"),
    no_output: (FileFormatError, "nothing makes the output 'nothing'"),
    sparse: (UnsupportedOp, "sparse constants"),
    custom: (UnsupportedOp, "Relu 'relu' is of the domain 'com.microsoft'"),
    odd_kind: (FileFormatError, r"no operator can be called 'Re\\nlu'"),
    function: (UnsupportedOp, "Relu 'relu' is a function of the file"),
    loop: (UnsupportedOp, "If 'relu' is control flow"),
    reference: (UnsupportedOp, "'pads' of a type that is not known"),
    same_attribute: (FileFormatError, "Conv 'conv' has 'pads' twice"),
    no_opset: (FileFormatError, "must name one version"),
    old: (UnsupportedOp, "opset 6; 7 to 28 are known"),
    new: (UnsupportedOp, "opset 99; 7 to 28 are known"),
    large_input: (FileFormatError, "'x' cannot have the shape"),
}


@pytest.mark.parametrize("change", BAD, ids=lambda change: change.__name__)
def test_what_is_wrong_is_said_in_one_line(tmp_path, change):
    kind, message = BAD[change]
    path = saved(tmp_path, changed(change))
    with pytest.raises(kind, match=message) as caught:
        kj.load_onnx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"\x08\x07", b"no protocol buffer", b"\xff" * 64]
)
def test_what_is_no_onnx_file_is_refused(tmp_path, data):
    with pytest.raises(FileFormatError, match="is not an ONNX file"):
        kj.load_onnx(saved(tmp_path, data))


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="nothing.onnx: no such file"):
        kj.load_onnx(tmp_path / "nothing.onnx")
    with pytest.raises(FileFormatError, match="is not a file"):
        kj.load_onnx(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="is not a file"):
        kj.load_onnx(tmp_path / "pipe")


# Constants in other files.


def outside(**facts) -> onnx.ModelProto:
    """A network whose weight lies elsewhere."""
    made = network()
    proto = weight(made)
    proto.ClearField("raw_data")
    proto.data_location = TensorProto.EXTERNAL
    for key, value in facts.items():
        proto.external_data.add(key=key, value=str(value))
    return made


def test_constants_may_lie_in_the_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(b"12345678" + WEIGHT.tobytes() + b"more")
    made = outside(location="sub/w.bin", offset=8, length=432)
    net = read(saved(tmp_path, made))
    (w,) = (t.data for t in net.tensors if t.name == "w")
    np.testing.assert_array_equal(w, WEIGHT)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({}, "lies in '', which is no file of"),
        ({"location": "/etc/passwd"}, "which is no file of the model's folder"),
        ({"location": "../w.bin"}, "which is no file of the model's folder"),
        ({"location": "sub/../../w.bin"}, "which is no file of the model's folder"),
        ({"location": "..\\w.bin"}, "which is no file of the model's folder"),
        ({"location": "C:\\w.bin"}, "which is no file of the model's folder"),
        ({"location": "link.bin"}, "leads out of the model's folder"),
        ({"location": "folder/w.bin"}, "leads out of the model's folder"),
        ({"location": "w\0.bin"}, "which is no file of the model's folder"),
        ({"location": "none.bin"}, "'none.bin': no such file"),
        ({"location": "."}, "is not a file"),
        ({"location": "w.bin", "offset": 1}, "1.432 bytes are asked of w.bin"),
        ({"location": "w.bin", "offset": -1}, "the offset '-1', which is no size"),
        ({"location": "w.bin", "offset": "9" * 30}, "which is no size"),
        ({"location": "w.bin", "length": 431}, "needs 432 bytes and has 431"),
        ({"location": "w.bin", "length": "x"}, "the length 'x', which is no size"),
    ],
)
def test_constants_elsewhere_are_refused(tmp_path, facts, message):
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    for place in (tmp_path, folder, other):
        (place / "w.bin").write_bytes(WEIGHT.tobytes())
    (folder / "link.bin").symlink_to(other / "w.bin")
    (folder / "folder").symlink_to(other)
    path = saved(folder, outside(**facts))
    with pytest.raises(FileFormatError, match=message) as caught:
        kj.load_onnx(path)
    assert "\n" not in str(caught.value)


# Anything.


def test_a_file_cut_anywhere_is_refused(tmp_path):
    data = network().SerializeToString()
    for end in range(0, len(data), 37):
        with pytest.raises(KanjiError):
            kj.load_onnx(saved(tmp_path, data[:end]))


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with some bytes changed, left out or doubled."""
    array = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(array)))
        match rng.integers(4):
            case 0:
                array[at] = int(rng.integers(256))
            case 1:
                array[at] ^= 1 << int(rng.integers(8))
            case 2:
                del array[at : at + int(rng.integers(1, 9))]
            case _:
                array[at:at] = array[at : at + int(rng.integers(1, 9))]
    return bytes(array)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_read_or_refused_with_one_line(tmp_path, seed):
    rng = np.random.default_rng(seed)
    made = network()
    for proto in made.graph.initializer:  # nearly every byte says something
        if len(proto.raw_data) > 100:
            proto.raw_data = bytes(len(proto.raw_data))
    data = made.SerializeToString()
    start = data.index(b"Conv")
    assert start
    for _ in range(150):
        path = saved(tmp_path, mutated(data, rng))
        try:
            kj.load_onnx(path, name="network")
        except KanjiError as error:
            assert "\n" not in str(error)


def test_the_package_that_is_missing_is_named():
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "import kanji_np as kj\n"
        "try: kj.load_onnx('x.onnx')\n"
        "except kj.ToolError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'kanji-np[onnx]'" in run.stdout
