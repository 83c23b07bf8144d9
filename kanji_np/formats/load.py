"""Networks from files of other formats.

The packages that a format needs are imported when a file is read.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np.errors import OptionError
from kanji_np.formats.files import naming, network_name
from kanji_np.targets import target_spec
from kanji_np.types import TargetSpec

if TYPE_CHECKING:
    from kanji_np.formats.builder import Imported
    from kanji_np.layers import Layer
    from kanji_np.model import Model

#: The package that reads a kind of files, by the end of their names.
READERS = {".tflite": "kanji_np.formats.tflite", ".onnx": "kanji_np.formats.onnx"}

_KERAS = (
    "a Keras model: write it as .tflite with "
    "tf.lite.TFLiteConverter.from_keras_model(model), or as .onnx with "
    'model.export("net.onnx", format="onnx")'
)
_TORCH = (
    "a PyTorch file: load the model there and write it with "
    'torch.onnx.export(model, (x,), "net.onnx")'
)
_SAVED_MODEL = (
    "a TensorFlow model: write it as .tflite with "
    "tf.lite.TFLiteConverter.from_saved_model(folder)"
)
#: Files that are not read, by the end of their names: what they are, and how their own
#: program converts them.
OTHERS = {
    ".h5": _KERAS, ".hdf5": _KERAS, ".keras": _KERAS,
    ".pt": _TORCH, ".pth": _TORCH,
    ".pb": _SAVED_MODEL,
}  # fmt: skip


def load_tflite(
    path: str | Path,
    target: str | TargetSpec = "cmsis-nn",
    *,
    core: str | None = None,
    rounding: str | None = None,
    version: str | None = None,
    name: str | None = None,
    image_layer: Layer | None = None,
) -> Model:
    """A network from a TensorFlow Lite file, of int8 or float32.

    The integers of an int8 file are kept: weights, biases, scales and zero points. The
    network computes with them as the target's library does, and trains on.

    The ranges of a float32 network are unknown: calibrate it with data, or train it.
    Weights of int8 beside float32 inputs ("dynamic range quantization") become the real
    numbers they stand for.

    Parameters
    ----------
    path : path
    target, core, rounding, version : optional
        As `Model` has them.
    name : str, optional
        A C identifier in lower case; by default the file's name, made one.
    image_layer : Layer, optional
        The network takes uint8 images, and this layer comes first: `Rescaling`, which
        makes of pixels what the file's network takes.

    Returns
    -------
    Model
        Float inputs that the file quantizes are left out: the network takes int8.

    Raises
    ------
    FileFormatError
        The file is missing, damaged, or no `.tflite` file.
    UnsupportedOp
        The message names the operator, its output, and what would be supported.
    ShapeError, AccumulatorOverflow
        A layer does not fit the target; the message names it.
    OptionError
        The target, the name or the image layer is none.
    ToolError
        The packages that read the format are missing.
    """
    spec = target_spec(target, core=core, rounding=rounding, version=version)
    return _read(".tflite", path, spec, name, image_layer).network


def load_onnx(
    path: str | Path,
    target: str | TargetSpec = "cmsis-nn",
    *,
    core: str | None = None,
    rounding: str | None = None,
    version: str | None = None,
    name: str | None = None,
    image_layer: Layer | None = None,
) -> Model:
    """A network from an ONNX file, of float32 or of int8 in "QDQ" form.

    ONNX has images as (C, H, W); the network takes them with the channels last. In QDQ
    form QuantizeLinear and DequantizeLinear stand around every operator; the integers
    of such a file are kept: weights, biases, scales and zero points.

    The ranges of a float32 network are unknown: calibrate it with data, or train it.

    Parameters
    ----------
    path : path
        As the exporters of PyTorch, Keras and TensorFlow write it; opset 7 to 28. Its
        data may lie in other files of its folder.
    target, core, rounding, version, name, image_layer : optional
        As `load_tflite` has them.

    Returns
    -------
    Model

    Raises
    ------
    FileFormatError, UnsupportedOp, ShapeError, AccumulatorOverflow, OptionError
        As of `load_tflite`.
    ToolError
        The package that reads the format is missing.
    """
    spec = target_spec(target, core=core, rounding=rounding, version=version)
    return _read(".onnx", path, spec, name, image_layer).network


def is_foreign(path: str | Path) -> bool:
    """Whether a file's name is that of a network from elsewhere."""
    return Path(path).suffix.lower() in READERS


def check_known(path: str | Path) -> None:
    """OptionError if another program must convert a file or folder first."""
    path = Path(path)
    is_saved_model = (path / "saved_model.pb").exists()
    what = _SAVED_MODEL if is_saved_model else OTHERS.get(path.suffix.lower())
    if what is not None and path.exists():
        raise OptionError(f"{path} is {what}")


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
    target, core, rounding, version, name, image_layer : optional
        As `load_tflite` has them.
    scheme : str, optional
        Of a float network; by default "asymmetric" where the target has it.

    Raises
    ------
    OptionError
        The name of the file has another end.
    FileFormatError, UnsupportedOp, ShapeError, AccumulatorOverflow, ToolError
        As of `load_tflite` and `load_onnx`.
    """
    spec = target_spec(target, core=core, rounding=rounding, version=version)
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        check_known(path)
        raise OptionError(f"{path}: the name must end in {' or '.join(READERS)}")
    return _read(suffix, path, spec, name, image_layer, scheme)


def _read(
    suffix: str,
    path: str | Path,
    target: TargetSpec,
    name: str | None,
    image_layer: Layer | None,
    scheme: str | None = None,
) -> Imported:
    from kanji_np.formats.builder import Builder

    name = name or network_name(path)
    builder = Builder(target, name, scheme=scheme, image_layer=image_layer)
    with naming(path):
        imported: Imported = import_module(READERS[suffix]).read(path, builder)
    return imported
