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


#: The target that computes as a runtime does, by its key.
TARGETS = {"tflm": "tflm", "litert_reference": "litert", "litert_xnnpack": "xnnpack"}


def test_int8_files_answer_as_the_runtimes():
    for path in ANSWERED:
        with np.load(path.with_suffix(".npz")) as arrays:
            known = dict(arrays)
        for key, target in TARGETS.items():
            y = kj.load_tflite(path, target).freeze().run(known["x"])
            answer = known[key].reshape(y.shape)
            np.testing.assert_array_equal(y, answer, err_msg=f"{path.name} {target}")
