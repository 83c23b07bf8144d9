"""Write `kanji_np/layers/declared.pyi`: python -m tests.layers.stub

Type checkers cannot see classes that are made at run time, so their signatures stand in
a stub: names and defaults from the attributes of each operator, types from the checks
of these attributes.
"""

from dataclasses import MISSING, fields
from pathlib import Path
from textwrap import indent

from kanji_np.layers import declared
from kanji_np.layers.declare import docstring_of
from kanji_np.layers.make import kind_of
from kanji_np.ops import BUILT_IN, Op
from kanji_np.ops.attributes import argument_name

STUB = Path(declared.__file__).with_suffix(".pyi")

HEAD = '''"""The layers that operators declare, for type checkers.

Made by `python -m tests.layers.stub`; a test says when it is not what operators say.
"""

from collections.abc import Sequence

from kanji_np.layers.layer import Layer
from kanji_np.layers.linear import LinearLayer
from kanji_np.layers.tracked import TrackedLayer
from kanji_np.window import Padding, Pair

'''


def text() -> str:
    """The whole stub."""
    ops = sorted((op for op in BUILT_IN if op.layer), key=lambda op: op.layer)
    names = "".join(f'    "{op.layer}",\n' for op in ops)
    return HEAD + f"__all__ = [\n{names}]\n" + "".join(map(_class, ops))


def _class(op: Op) -> str:
    arguments = ["self"]
    for f in fields(op.attrs):
        kind = f.metadata["check"].__annotations__["value"]
        default = "" if f.default is MISSING else " = ..."
        arguments.append(f"{argument_name(f)}: {kind}{default}")
    arguments.append("name: str | None = None")
    if op.weights:
        arguments += ["*", "batch_norm: bool = False"]
    lines = "".join(f"        {argument},\n" for argument in arguments)
    return (
        f"\nclass {op.layer}({kind_of(op).__name__}):\n"
        f'    """{indent(docstring_of(op), "    ").strip()}\n    """\n\n'
        f"    def __init__(\n{lines}    ) -> None: ...\n"
    )


if __name__ == "__main__":
    STUB.write_text(text())
