"""Real files, where `KANJI_MODELS_DIR` names a folder that has them.

Beside an int8 file NAME.tflite stands NAME.npz with inputs `x` and what runtimes
answered: `tflm`, `litert_reference`, `litert_xnnpack`.
"""

import os
from pathlib import Path

import numpy as np

import kanji_np as kj

FOLDER = os.environ.get("KANJI_MODELS_DIR")
ANSWERED = [
    path.with_suffix(".tflite")
    for path in sorted(Path(FOLDER).glob("*.npz") if FOLDER else ())
    if path.with_suffix(".tflite").exists()
]


def test_int8_files_answer_as_tflite_micro():
    for path in ANSWERED:
        with np.load(path.with_suffix(".npz")) as arrays:
            x, answer = arrays["x"], arrays["tflm"]
        y = kj.load_tflite(path, "tflm").freeze().run(x)
        np.testing.assert_array_equal(y, answer.reshape(y.shape), err_msg=path.name)
