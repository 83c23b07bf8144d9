"""Settings of the whole test run."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]


def source_digest() -> str:
    sha = hashlib.sha256()
    for path in sorted((ROOT / "kanji_np").rglob("*.py")):
        sha.update(path.read_bytes())
    return sha.hexdigest()[:16]


# Numba's cache sees a change in a function's own file, not in one it inlines from.
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".pytest_cache" / f"numba-{source_digest()}")

pytest.register_assert_rewrite("conformance")

# Reproducible and without time limits.
settings.register_profile("quiet", deadline=None, derandomize=True, database=None)
settings.load_profile("quiet")
