"""Estimates add up, multiply and print."""

import pytest

from kanji_np import Range
from kanji_np.cost.range import sum_of
from kanji_np.errors import OptionError


def test_sums_and_products_keep_their_bounds():
    a, b = Range(1, 2, 4), Range(0.5, 1, 3)
    assert a + b == sum_of([a, b]) == Range(1.5, 3, 7)
    assert a.scaled(b) == Range(0.5, 2, 12)
    assert a.scaled(2) == Range(2, 4, 8)
    assert Range.within(100, 0.25) == Range(75, 100, 125)
    assert Range.within(100, 2) == Range(0, 100, 300)
    assert sum_of([]) == Range.exact(0)


@pytest.mark.parametrize("values", [(2, 1, 3), (1, 3, 2), (-1, 0, 1), (0, 0, 1e999)])
def test_what_is_no_range_is_refused(values):
    with pytest.raises(OptionError):
        Range(*values)


def test_text():
    assert Range(0.011, 0.0123, 0.0141).text("s") == "12.3 ms (11.0 to 14.1)"
    assert Range.exact(2).text("J") == "2.00 J"
    assert Range(900e-6, 1.5e-3, 0.0100).text("J") == "1.50 mJ (0.90 to 10.0)"
    assert Range(1e-6, 2e-6, 3e-6).text("J") == "2.00 uJ (1.00 to 3.00)"
    assert Range.exact(0).text("s") == "0.00 ns"
    assert Range.exact(1234).text("s") == "1,234 s"
