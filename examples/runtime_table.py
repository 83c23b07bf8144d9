"""Every network of the zoo as a .tflite, run by the runtimes that read such files.

    pip install tflite-micro ai-edge-litert "kanji-np[tflite]"
    python examples/runtime_table.py [NETWORK ...]

For each quantization scheme the table shows how many output bytes of a runtime differ
from those of the network whose target is that runtime: TensorFlow Lite Micro, LiteRT's
reference kernels, and XNNPACK, which LiteRT runs by default. It also shows the arena
that TensorFlow Lite Micro asks for on this computer and the tensors' part of it, beside
the arena of this package's C. Weights and inputs are drawn. The package of a runtime
that is not installed leaves its columns out.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import kanji_np as kj
from kanji_np.graph import noise
from kanji_np.quantize import SCHEMES
from kanji_np.report import text_table
from kanji_np.zoo import NETWORKS

INPUTS = 32
ARENA = 2**22


def run_tflm(path: Path, x: np.ndarray) -> tuple[np.ndarray, Sequence[int]]:
    """Outputs of TensorFlow Lite Micro; its arena and the tensors' part [bytes]."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_file(str(path), arena_size=ARENA)
    y = []
    for sample in x:
        interpreter.set_input(sample[None], 0)
        interpreter.invoke()
        y.append(interpreter.get_output(0).copy())
    text = printed(interpreter.print_allocations)
    sizes = dict(re.findall(r"Arena allocation (total|head) (\d+) bytes", text))
    return np.concatenate(y), [int(sizes["total"]), int(sizes["head"])]


def printed(function: Callable[[], None]) -> str:
    """What C code prints while a function runs."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            function()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return file.read().decode()


def run_litert(path: Path, x: np.ndarray, resolver: str) -> np.ndarray:
    """Outputs of LiteRT with one of its sets of kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(path), experimental_op_resolver_type=OpResolverType[resolver]
    )
    interpreter.allocate_tensors()
    (takes,), (gives,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    y = []
    for sample in x:
        interpreter.set_tensor(takes["index"], sample[None])
        interpreter.invoke()
        y.append(interpreter.get_tensor(gives["index"]).copy())
    return np.concatenate(y)


def row(name: str, scheme: str, path: Path) -> list[str]:
    net = NETWORKS[name](scheme=scheme)
    x = noise(net.input, INPUTS)
    net.calibrate(x)
    saved = kj.save_tflite(net, path)
    cells = [name, scheme, f"{saved.size_bytes:,}"]
    expected = {t: net.for_target(t).predict(x) for t in ("tflm", "litert", "xnnpack")}
    cells.append(f"{expected['tflm'].size:,}")
    arena: Sequence[int] = ()
    if has_tflm:
        y, arena = run_tflm(path, x)
        cells.append(f"{np.sum(y != expected['tflm']):,}")
    if has_litert:
        for target, resolver in (("litert", "BUILTIN_REF"), ("xnnpack", "AUTO")):
            y = run_litert(path, x, resolver)
            cells.append(f"{np.sum(y != expected[target]):,}")
    ours = kj.cost_report(net.for_target("cmsis-nn")).arena_bytes
    return [*cells, *(f"{each:,}" for each in (*arena, ours))]


has_tflm, has_litert = map(find_spec, ("tflite_micro", "ai_edge_litert"))
columns = ["network", "scheme", "file", "bytes"]
columns += ["tflm"] * bool(has_tflm) + ["litert", "xnnpack"] * bool(has_litert)
columns += ["tflm arena", "its tensors"] * bool(has_tflm) + ["arena here"]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        rows = [
            row(name, scheme, Path(directory) / "network.tflite")
            for name in sys.argv[1:] or NETWORKS
            for scheme in SCHEMES
        ]
    print(text_table(columns, rows, left_columns=2))
