"""Operators that a page registers are gone when its test is over."""

import pytest

from kanji_np.ops import OPS


@pytest.fixture(autouse=True)
def _own_operators():
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)
