"""What holds of the table of operators as a whole."""

from pathlib import Path

import pytest
from conformance import Conformance

from kanji_np.errors import FileFormatError, OptionError
from kanji_np.ops import OPS
from kanji_np.ops.op import attrs_from_json
from kanji_np.ops.pooling import Pool2DAttrs
from kanji_np.ops.relu import ReluAttrs
from kanji_np.ops.window import padding_option, pair


def test_every_operator_is_in_the_suite():
    files = {
        path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("*.py")
    }
    assert set(OPS) <= files
    assert all(name == op.name for name, op in OPS.items())
    assert Conformance.__subclasses__()


@pytest.mark.parametrize("name", OPS)
def test_where_the_scale_of_the_output_comes_from(name):
    """Operators with parameters or several inputs track it; all others derive it."""
    op = OPS[name]
    tracked = op.param_shapes is not None or op.inputs != 1
    assert tracked == (op.output_qparams is None)
    assert op.lowerings


@pytest.mark.parametrize("data", [None, [], {}, {"more": 1}, {"pool_size": [2, 2]}])
def test_attributes_of_other_names_are_refused(data):
    with pytest.raises(FileFormatError, match=r"attributes of Pool2DAttrs must be \["):
        attrs_from_json(Pool2DAttrs, data)


def test_attributes_without_a_field():
    assert attrs_from_json(ReluAttrs, {}) == ReluAttrs()


@pytest.mark.parametrize(
    ("value", "both"), [(3, (3, 3)), ((1, 7), (1, 7)), ([2, 3], (2, 3))]
)
def test_pairs(value, both):
    assert pair(value, "strides") == both


@pytest.mark.parametrize(
    "value", [0, -1, 1.0, (1,), (1, 2, 3), (0, 1), (1, 2.0), "12", None]
)
def test_no_pairs(value):
    with pytest.raises(OptionError, match="strides must be a positive int or a pair"):
        pair(value, "strides")


def test_paddings():
    assert padding_option("same") == "same"
    assert padding_option([[1, 2], [3, 4]]) == ((1, 2), (3, 4))
    for value in ("full", 3, None, (1, 2), ((1, 2), (3, -1)), ((1, 2, 3), (4, 5))):
        with pytest.raises(OptionError, match="padding must be"):
            padding_option(value)
