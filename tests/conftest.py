"""Settings of the whole test run."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("conformance")

# Reproducible and without time limits.
settings.register_profile("quiet", deadline=None, derandomize=True, database=None)
settings.load_profile("quiet")
