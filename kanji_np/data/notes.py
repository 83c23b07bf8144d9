"""What was made of data that could have been meant otherwise: one line, a warning."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from kanji_np.errors import DataWarning

HERE = str(Path(__file__).parent) + os.sep


def note(text: str) -> None:
    """Warn with DataWarning, at the line outside this package that asked for data."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(HERE):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, DataWarning, stacklevel=level)
