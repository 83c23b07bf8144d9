"""Shapes that are broadcast, and pairs as the runtimes answered to them."""

import numpy as np
import pytest
from golden_vectors import OWN_FOLDER

from kanji_np.errors import ShapeError
from kanji_np.loops.broadcast import gathered, spread
from kanji_np.ops import OPS, pairs
from kanji_np.ops.pairs import Blocks
from kanji_np.targets import target_spec
from kanji_np.types import QParams, TensorSpec

WHOLE = (3, 4, 5)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ((3, 4, 5), Blocks(1, 60, 1)),
        ((5,), Blocks(12, 5, 1)),
        ((1, 1, 5), Blocks(12, 5, 1)),
        ((4, 5), Blocks(3, 20, 1)),
        ((3, 4, 1), Blocks(1, 12, 5)),
        ((1, 4, 1), Blocks(3, 4, 5)),
        ((3, 1, 1), Blocks(1, 3, 20)),
        ((1,), Blocks(60, 1, 1)),
        ((1, 1, 1), Blocks(60, 1, 1)),
        ((3, 1, 5), None),
        ((4,), None),
        ((1, 3, 4, 5), None),
    ],
)
def test_how_a_part_is_read_beside_the_whole(part, expected):
    assert pairs.blocks(WHOLE, part) == expected
    if expected is None:
        return
    values = np.arange(np.prod(part))
    wanted = np.broadcast_to(values.reshape(part), WHOLE).ravel()
    i = np.arange(60)
    np.testing.assert_array_equal(values[i // expected.inner % expected.size], wanted)


def test_the_whole_may_be_either():
    assert pairs.infer(None, (WHOLE, (5,))) == pairs.infer(None, ((5,), WHOLE)) == WHOLE
    specs = TensorSpec((5,)), TensorSpec(WHOLE)
    assert pairs.order(specs) == (1, 0, Blocks(12, 5, 1))
    with pytest.raises(ShapeError, match="one shape, or extents of 1 before or behind"):
        pairs.infer(None, ((3, 1, 5), (1, 4, 1)))


def test_gradients_of_a_part_are_summed_up():
    x_1, x_2 = np.ones((2, 3, 4, 5)), np.ones((2, 4, 1))
    first, second = spread((x_1, x_2))
    assert first.shape == second.shape == x_1.shape
    g = np.arange(120.0).reshape(x_1.shape)
    assert gathered(g, x_1) is g
    np.testing.assert_array_equal(gathered(g, x_2), g.sum(axis=(1, 3))[..., np.newaxis])


@pytest.mark.parametrize("runtime", ["tflm", "litert", "xnnpack"])
@pytest.mark.parametrize("name", ["add", "sub", "mul"])
def test_pairs_give_what_the_runtime_answered(name, runtime):
    """XNNPACK refuses the scales of some, which LiteRT's kernel then takes."""
    op, numerics = OPS[name], target_spec(runtime).numerics_of(name)
    with np.load(OWN_FOLDER / "runtimes" / "pairs.npz", allow_pickle=False) as file:
        a = {key: file[key] for key in file.files}
    rows = np.flatnonzero(a["operator"] == name)
    assert len(rows) == 24
    for i in rows:
        first, second, y = (
            QParams(float(scale), int(zero))
            for scale, zero in zip(a["scales"][i], a["zero_points"][i], strict=True)
        )
        attrs = op.attrs(str(a["activation"][i]))
        ints = op.ints(attrs, (first, second), y, numerics)
        x = a["input_1"][i][np.newaxis], a["input_2"][i][np.newaxis]
        for forward in (op.run_int, op.forward_int):
            np.testing.assert_array_equal(forward(attrs, ints, x)[0], a[runtime][i])
