"""A `.tflite` file is read as it is, or refused in one line before it is believed."""

import math
import struct
import tracemalloc

import numpy as np
import pytest

import kanji_np as kj
from formats.tflite_files import Op, Tensor, file
from kanji_np.errors import FileFormatError, KanjiError, UnsupportedOp
from kanji_np.formats.tflite import reader, tables

X = Tensor((1, 4), "INT8", scale=0.1, zero_point=3)
WEIGHT = Tensor((2, 4), "INT8", np.arange(8).reshape(2, 4), scale=[0.1, 0.2])
BIAS = Tensor((2,), "INT32", [5, -6], scale=[0.01, 0.02])
Y = Tensor((1, 2), "INT8", scale=0.5, zero_point=-128, name="dense;fused")
DENSE = Op("FULLY_CONNECTED", [0, 1, 2], [3], {"fused_activation_function": "RELU"})


def dense(**changes) -> bytes:
    """A file of one fully connected layer, of which parts are changed."""
    parts = {"x": X, "weight": WEIGHT, "bias": BIAS, "y": Y, "op": DENSE} | changes
    tensors = [parts[name] for name in ("x", "weight", "bias", "y")]
    more = {k: v for k, v in parts.items() if k not in ("op", *vars(), *PARTS)}
    return file(tensors, [parts["op"]], **more)


PARTS = ("x", "weight", "bias", "y")


def conv(**more) -> bytes:
    """A file with more of what files have: two layers, and a shape."""
    w = np.arange(-18, 18).reshape(4, 3, 3, 1)
    tensors = [
        Tensor((1, 6, 5, 1), "INT8", scale=0.5, zero_point=-3),
        Tensor(w.shape, "INT8", w, scale=[0.1, 0.2, 0.3, 0.4]),
        Tensor((4,), "INT32", [1, 2, 3, 4]),
        Tensor((1, 6, 5, 4), "INT8", scale=2.0, zero_point=7),
        Tensor((2,), "INT32", [1, 120]),
        Tensor((1, 120), "INT8", scale=2.0, zero_point=7),
        Tensor((3, 120), "INT8", np.arange(360) % 100 - 50, scale=0.02),
        Tensor((1, 3), "INT8", scale=20.0),
    ]
    window = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    ops = [
        Op("CONV_2D", [0, 1, 2], [3], window),
        Op("RESHAPE", [3, 4], [5]),
        Op("FULLY_CONNECTED", [5, 6, -1], [7], {"keep_num_dims": False}),
    ]
    return file(tensors, ops, **more)


def test_a_file_is_read_as_it_is():
    net = reader.parse(dense())
    x, weight, bias, y = net.tensors
    assert (net.inputs, net.outputs) == ((0,), (3,))
    assert (x.shape, x.dtype, x.data) == ((1, 4), "int8", None)
    assert x.quantization.scales == np.float32(0.1) and x.quantization.zero_points == 3
    np.testing.assert_array_equal(weight.data, np.arange(8).reshape(2, 4))
    assert weight.quantization.per_channel and weight.quantization.axis == 0
    np.testing.assert_array_equal(weight.quantization.scales, np.float32([0.1, 0.2]))
    assert bias.data.dtype == np.int32 and bias.data.tolist() == [5, -6]
    (op,) = net.ops
    assert str(op) == "FULLY_CONNECTED 'dense'" and y.name == "dense;fused"
    assert op.inputs == (0, 1, 2) and op.outputs == (3,)
    assert op.options == {
        "fused_activation_function": "RELU",
        "weights_format": "DEFAULT",
        "keep_num_dims": False,
        "asymmetric_quantize_inputs": False,
        "quantized_bias_type": "FLOAT32",
    }


def test_options_that_are_not_there_have_the_defaults_of_the_schema():
    (op, *_) = reader.parse(dense(op=Op("FULLY_CONNECTED", [0, 1, 2], [3]))).ops
    assert op.options["fused_activation_function"] == "NONE"


@pytest.mark.parametrize(
    "code",
    [
        {"deprecated_builtin_code": 9},  # files of before 2020 have no other
        {"deprecated_builtin_code": 0, "builtin_code": 9},
        {"deprecated_builtin_code": 9, "builtin_code": 9},
    ],
)
def test_the_larger_code_of_an_operator_counts(code):
    op = Op("FULLY_CONNECTED", [0, 1, 2], [3], code=code)
    assert reader.parse(dense(op=op)).ops[0].kind == "FULLY_CONNECTED"


def test_biases_may_have_the_axis_of_their_weights():
    """As those of depthwise convolutions have in older files."""
    bias = Tensor((2,), "INT32", [5, 6], scale=[0.01, 0.02], axis=3)
    assert reader.parse(dense(bias=bias)).tensors[2].quantization.axis == 0


def test_open_sizes_are_marked():
    x = Tensor((1, 4), "INT8", scale=1.0, more={"shape_signature": np.int32([-1, 4])})
    assert reader.parse(dense(x=x)).tensors[0].shape == (-1, 4)


def test_integers_of_four_bits_lie_two_in_a_byte():
    packed = bytes([0x21, 0x83, 0xF7, 0x06])
    weight = Tensor((1, 7), "INT4", packed, scale=0.5)
    ops = [Op("FULLY_CONNECTED", [0, 1], [2])]
    net = reader.parse(file([X, weight, Y], ops))
    assert net.tensors[1].dtype == "int4"
    assert net.tensors[1].data.tolist() == [[1, 2, 3, -8, 7, -1, 6]]


def test_data_may_lie_behind_the_tables():
    """As in files that are too large for offsets of 32 bits."""
    behind = np.arange(8, dtype=np.int8).tobytes()
    weight = Tensor((2, 4), "INT8", scale=0.1, more={"buffer": 1})

    def made(offset):
        buffers = [{}, {"offset": offset, "size": 8}]
        return dense(weight=weight, buffers=buffers) + behind

    size = len(made(1000)) - 8
    net = reader.parse(made(size))
    assert net.tensors[1].data.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    for offset in (1, size + 1, 2**63):
        with pytest.raises(FileFormatError, match="a buffer of 8 bytes .* does not"):
            reader.parse(made(offset))


LONG = Tensor((2,), "INT32", [5, 6], scale=[0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no .tflite file, or cut off: TFL3"),
        (dense(identifier=b"TFL2"), "is no .tflite file"),
        (b"\xff\xff\xff\xffTFL3", "is damaged: a Model does not lie in the file"),
        (dense(model={"version": 2}), "is of version 2 of the format; 3 is read"),
        (dense(graphs=2), "has 2 subgraphs; a network has one"),
        (dense(y=Tensor((1, 2), "STRING")), r"tensor 3 't3': is of type STRING"),
        (dense(y=Tensor((1, 2), "STRING", more={"type": 99})), "of type number 99"),
        (
            dense(y=Tensor((1, -2), "INT8")),
            r"has the shape \(1, -2\); each length must",
        ),
        (dense(y=Tensor((1, 0), "INT8")), "each length must be at least 1"),
        (dense(y=Tensor((2**14, 2**13), "INT8")), "at most 67,108,864 elements"),
        (dense(y=Tensor([1] * 9, "INT8")), "has 9 axes; at most 8 are read"),
        (
            dense(x=Tensor((1, 4), "INT8", more={"shape_signature": np.int32([-1])})),
            "has a shape_signature of 1 axes, and 2",
        ),
        (
            dense(
                x=Tensor((1, 4), "INT8", more={"shape_signature": np.int32([-1, 5])})
            ),
            r"has the shape \(1, 4\) and the shape_signature \[-1, 5\]",
        ),
        (dense(y=Tensor((1, 2), "INT8", more={"buffer": 4})), "has buffer 4; the file"),
        (dense(bias=Tensor((3,), "INT32", [1, 2])), "has 8 bytes of data; int32 of"),
        (dense(bias=Tensor((2,), "INT4", b"ab")), r"int4 of shape \(2,\) takes 1"),
        (dense(y=Tensor((1, 2), "INT8", more={"is_variable": True})), "keeps its v"),
        (dense(bias=LONG), r"has 3 scales along axis 0 of the shape \(2,\)"),
        (
            dense(weight=Tensor((2, 4), "INT8", [[0] * 4] * 2, scale=[1, 1], axis=2)),
            r"has 2 scales along axis 2 of the shape \(2, 4\)",
        ),
        (
            dense(x=Tensor((1, 4), "INT8", scale=1.0, axis=5)),
            None,  # of one scale it says nothing
        ),
        (
            dense(x=Tensor((1, 4), "INT8", scale=0.0)),
            "a scale of 0; it must be in 9e-19 .. 1e.12",
        ),
        (dense(x=Tensor((1, 4), "INT8", scale=-1.0)), "a scale of -1; it must be"),
        (dense(x=Tensor((1, 4), "INT8", scale=np.inf)), "a scale of inf; it must be"),
        (dense(x=Tensor((1, 4), "INT8", scale=np.nan)), "a scale of nan; it must be"),
        (
            dense(x=Tensor((1, 4), "INT8", scale=1, zero_point=128)),
            "outside -128 .. 127",
        ),
        (dense(x=Tensor((1, 4), "UINT8", scale=1, zero_point=-1)), "outside 0 .. 255"),
        (dense(bias=Tensor((2,), "INT32", [5, 6], scale=1, zero_point=1)), "0 .. 0"),
        (
            dense(
                x=Tensor(
                    (1, 4),
                    "INT8",
                    quantization={"scale": np.float32([1]), "zero_point": np.int64([])},
                )
            ),
            "has 1 scales and 0 zero points",
        ),
        (
            dense(x=Tensor((1, 4), "INT8", quantization={"min": np.float32([0])})),
            "has a range or zero points and no scales",
        ),
        (dense(op=Op("FULLY_CONNECTED", [0, 1, 4], [3])), "inputs has tensor 4; there"),
        (dense(op=Op("FULLY_CONNECTED", [0, 1, -2], [3])), "inputs has tensor -2"),
        (dense(op=Op("FULLY_CONNECTED", [0, 1, 2], [-1])), "outputs has tensor -1"),
        (dense(op=Op("FULLY_CONNECTED", [0, 1, 2], [])), "has no output"),
        (dense(inputs=[9]), "inputs has tensor 9; there are 4"),
        (dense(outputs=[9]), "outputs has tensor 9; there are 4"),
        (dense(inputs=[0, 0]), "tensor 0 't0' is an input twice"),
        (dense(inputs=[1]), "tensor 1 't1' is an input twice, or both"),
        (dense(op=Op("FULLY_CONNECTED", [3, 1, 2], [3])), "which is written later"),
        (dense(inputs=[]), "reads tensor 0 't0', which is never written"),
        (
            dense(op=Op("FULLY_CONNECTED", [0, 1, 2], [0])),
            "'t0', which is there already",
        ),
        (
            dense(op=Op("FULLY_CONNECTED", [0, 1, 2], [3], more={"opcode_index": 7})),
            "operator 0 has the code 7 of 1",
        ),
        (
            dense(
                op=Op("FULLY_CONNECTED", [0, 1, 2], [3], {"beta": 1}, "SoftmaxOptions")
            ),
            "has the options SoftmaxOptions; those of FULLY_CONNECTED are",
        ),
        (
            dense(
                op=Op(
                    "CUSTOM", [0], [3], code={"builtin_code": 32, "custom_code": "Mine"}
                )
            ),
            "the operator 'Mine' of tensor 'dense' is one of the file's own",
        ),
        (
            dense(op=Op("ADD", [0], [3], code={"builtin_code": 999})),
            "has an operator of number 999",
        ),
        (
            dense(op=Op("ADD", [0], [3], code={"deprecated_builtin_code": -3})),
            "has an operator of number 0",
        ),
        (
            dense(op=Op("RELU", [0], [3], more={"intermediates": np.int32([0])})),
            "operator 0 'RELU': has intermediates",
        ),
    ],
)
def test_what_cannot_be_believed_is_refused(data, message):
    if message is None:
        reader.parse(data)
        return
    with pytest.raises((FileFormatError, UnsupportedOp), match=message) as caught:
        reader.parse(data)
    assert str(caught.value).isprintable()


def test_a_sparse_tensor_is_refused():
    with pytest.raises(UnsupportedOp, match="'t0' is stored as a sparse one"):
        reader.parse(dense(x=Tensor((1, 4), "INT8", more={"sparsity": {}})))


def test_a_field_that_the_schema_does_not_have_is_refused():
    """Whoever wrote it meant something by it."""
    # A vtable of 6 bytes, whose table has 8 and a field at its byte 4; the table.
    data = struct.pack("<HHHif", 6, 8, 4, 6, 0.5)
    with pytest.raises(
        FileFormatError, match="a DequantizeOptions has more than the 0 fie"
    ):
        tables.File(data).table("DequantizeOptions", 6)
    assert tables.File(data).table("SoftmaxOptions", 6).value("beta") == 0.5


def test_vectors_over_one_another_do_not_make_endless_work():
    """A vector that claims 2^31 elements, and one table that stands for thousands."""
    data = bytearray(conv())
    for at in range(8, len(data) - 4, 4):
        changed = data.copy()
        changed[at : at + 4] = b"\xff\xff\xff\x7f"
        _read_or_refuse(bytes(changed))


def _read_or_refuse(data):
    try:
        return reader.parse(data)
    except (FileFormatError, UnsupportedOp) as error:
        assert str(error).isprintable()


def test_constants_are_not_read_more_often_than_a_file_this_large_could_need():
    size = 40
    weight = Tensor((size, size), "INT8", np.ones((size, size)), scale=0.1)
    xs = [Tensor((1, size), "INT8", scale=1.0) for _ in range(60)]
    ops = [Op("FULLY_CONNECTED", [i, 60], [i + 1]) for i in range(59)]
    with pytest.raises(FileFormatError, match="read 94,400 bytes of constants"):
        reader.parse(file([*xs, weight], ops, outputs=[59]))


def changed(rng: np.random.Generator, data: bytes) -> bytes:
    """A file with a few bytes flipped or replaced, cut off, or moved."""
    made, how = bytearray(data), rng.integers(8)
    if how == 0:
        return bytes(made[: rng.integers(len(made))])
    if how == 1:
        at = int(rng.integers(len(made)))
        return bytes(made[:at] + rng.bytes(int(rng.integers(1, 9))) + made[at:])
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(made)))
        if how < 5:
            made[at] = int(rng.choice((0, 1, 2, 127, 128, 255, rng.integers(256))))
        else:
            value = int(rng.choice((-1, -(2**31), 2**31 - 1, 0, 1, 65_536)))
            made[at : at + 4] = struct.pack("<i", value)
    return bytes(made)


def loaded(path) -> None:
    """Load a file, and run it where that is quick."""
    net = kj.load_tflite(path)
    if max(map(math.prod, [net.input.shape, *net.shapes])) < 10_000:
        net.freeze().run(np.zeros((1, *net.input.shape), np.int8))


@pytest.mark.parametrize("made", [dense, conv])
def test_changed_files_load_and_run_or_are_refused_in_one_line(made, tmp_path):
    path, data, outcomes = tmp_path / "net.tflite", made(), set()
    for seed in range(300):
        path.write_bytes(changed(np.random.default_rng(seed), data))
        try:
            loaded(path)
            outcomes.add("runs")
        except KanjiError as error:
            assert str(error).isprintable() and str(path) in str(error), seed
            outcomes.add("refused")
    assert outcomes == {"runs", "refused"}


def test_a_changed_file_does_not_make_the_reader_take_memory():
    data = conv()
    tracemalloc.start()
    for seed in range(200):
        tracemalloc.reset_peak()
        _read_or_refuse(changed(np.random.default_rng(seed), data))
        _, peak = tracemalloc.get_traced_memory()
        assert peak < 3e6, seed
    tracemalloc.stop()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileFormatError, match=r"none.tflite: no such file"):
        kj.load_tflite(tmp_path / "none.tflite")
