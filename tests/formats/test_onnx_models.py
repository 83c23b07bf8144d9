"""Real files, where `KANJI_MODELS_DIR` names a folder that has them.

Beside NAME-script.onnx and NAME-dynamo.onnx, of PyTorch's exporters, stands NAME.npz
with inputs `x`, channels first, and PyTorch's float32 answers `y`.
"""

import os
from pathlib import Path

import numpy as np
import onnx

from .onnx_files import answers, converted

FOLDER = os.environ.get("KANJI_MODELS_DIR")
FILES = sorted(Path(FOLDER).glob("*.onnx")) if FOLDER else []


def test_files_answer_as_pytorch():
    for path in FILES:
        name = path.stem.rpartition("-")[0]
        with np.load(path.with_name(f"{name}.npz")) as arrays:
            x, wanted = arrays["x"], arrays["y"]
        y = answers(converted(onnx.load(path)), x)
        np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-5, err_msg=path.name)
