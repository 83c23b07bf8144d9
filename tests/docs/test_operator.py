"""The operator of the page on adding one passes the suite as the page says."""

import pytest

from kanji_np.ops import OPS

from .pages import ROOT, blocks

PAGE = ROOT / "docs" / "adding-an-operator.md"
KNOWN = dict(OPS)

*DEFINITION, USE, TEST = [
    block.text for block in blocks(PAGE) if block.language == "python"
]
exec("\n".join([*DEFINITION, TEST]), globals())
HARD_TANH = OPS["hard_tanh"]
OPS.clear()
OPS.update(KNOWN)


@pytest.fixture(autouse=True)
def _registered(_own_operators):
    OPS[HARD_TANH.name] = HARD_TANH
