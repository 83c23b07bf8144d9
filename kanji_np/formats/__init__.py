"""Networks from elsewhere, and back: `.tflite`, ONNX."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np.errors import OptionError
from kanji_np.targets import target_spec
from kanji_np.types import TargetSpec

if TYPE_CHECKING:
    from kanji_np.formats.builder import Imported
    from kanji_np.layers import Layer

#: The package that reads a kind of files, by the end of their names.
READERS = {".tflite": "kanji_np.formats.tflite", ".onnx": "kanji_np.formats.onnx"}


def is_foreign(path: str | Path) -> bool:
    """Whether a file's name is that of a network from elsewhere."""
    return Path(path).suffix.lower() in READERS


def read(
    path: str | Path,
    target: str | TargetSpec = "cmsis-nn",
    *,
    core: str | None = None,
    rounding: str | None = None,
    version: str | None = None,
    name: str | None = None,
    image_layer: Layer | None = None,
    scheme: str | None = None,
) -> Imported:
    """A network from elsewhere, and the table of what became what.

    Parameters
    ----------
    path : path
        The end of its name says the format: ".tflite" or ".onnx".
    target, core, rounding, version : optional
        As `Model` has them.
    name : str, optional
        A C identifier in lower case; by default the file's name, made one.
    image_layer : Layer, optional
        The network takes uint8 images, and this layer comes first: `Rescaling`, which
        makes of pixels what the file's network takes.
    scheme : str, optional
        Of a float network; by default "asymmetric" where the target has it.

    Raises
    ------
    OptionError
        The name has another end; or the target or `name` is none.
    FileFormatError, UnsupportedOp, ShapeError, AccumulatorOverflow, ToolError
        As `load_tflite` and `load_onnx`.
    """
    spec = target_spec(target, core=core, rounding=rounding, version=version)
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        raise OptionError(f"{path}: the name must end in {' or '.join(READERS)}")
    imported: Imported = import_module(READERS[suffix]).read(
        path, spec, name, image_layer, scheme
    )
    return imported
