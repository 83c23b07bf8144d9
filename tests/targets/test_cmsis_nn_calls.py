"""How int4 weights are packed."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from kanji_np.targets.cmsis_nn.calls import pack_s4
from kanji_np.targets.flash import weight_bytes


def test_the_first_of_two_weights_is_the_low_nibble():
    weight = np.array([[1, -2, 7], [-8, 0, -1], [3, 4, 5]], np.int8)
    packed = pack_s4(weight)
    assert packed.dtype == np.int8
    expected = [0xE1, 0x87, 0xF0, 0x43, 0x05]
    assert packed.view(np.uint8).tolist() == expected
    assert weight_bytes(weight.size, 4) == len(expected)
    assert weight_bytes(weight.size, 8) == weight.size


SHAPES = hnp.array_shapes(max_dims=4, max_side=5)


@given(hnp.arrays(np.int8, SHAPES, elements=st.integers(-8, 7)))
def test_packing_loses_nothing(weight):
    packed = pack_s4(weight)
    nibbles = np.stack(((packed << 4) >> 4, packed >> 4), axis=1).ravel()
    unpacked, left_over = nibbles[: weight.size], nibbles[weight.size :]
    np.testing.assert_array_equal(unpacked.reshape(weight.shape), weight)
    assert not left_over.any()


@pytest.mark.parametrize("value", [-9, 8])
def test_weights_of_more_bits_are_not_packed(value):
    with pytest.raises(ValueError, match=r"in -8\.\.7"):
        pack_s4(np.array([0, value], np.int8))
