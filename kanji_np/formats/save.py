"""Networks as files of other formats.

The packages that a format needs are imported when a file is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np.formats.files import naming
from kanji_np.formats.saved import SavedNetwork
from kanji_np.graph import Graph

if TYPE_CHECKING:
    from kanji_np.model import Model


def save_tflite(network: Model | Graph, path: str | Path) -> SavedNetwork:
    """Write a network as an int8 `.tflite` file, for TFLite Micro and LiteRT.

    A file does not say how a runtime rounds. What the file answers is what the network
    answers whose target is that runtime, byte for byte: TFLite Micro answers
    ``network.for_target("tflm").predict(x)``, and LiteRT what "litert" or, as it runs
    by default, "xnnpack" does. A network for another target is frozen for "tflm" first;
    evaluate that to know what its accuracy will be.

    Parameters
    ----------
    network : Model or Graph
        A graph must be for a runtime: "tflm", "litert" or "xnnpack".
    path : path
        Of the file. An older one is replaced if this function wrote it.

    Returns
    -------
    SavedNetwork
        What the file takes and gives; it prints as a few lines.

    Raises
    ------
    UnsupportedOp
        A layer has no counterpart in TFLite; the message says why.
    OptionError
        Something else is at `path`, or the graph is for another target.
    ToolError
        The packages `tflite` and `flatbuffers` are not installed.

    Notes
    -----
    The input is what the network takes, with a batch of 1 in front: uint8 images, if
    the first layer is `Normalize`, which becomes integers of TFLite that give the same
    bytes. `Standardize` has no counterpart: the file then starts with the int8 output
    of that layer, and a note says so. The output is int8. LiteRT can resize the batch.

    The file is the same, byte for byte, for the same network.
    """
    with naming(path):
        from kanji_np.formats.tflite.writer import write

    return write(network, path)


def save_onnx(network: Model | Graph, path: str | Path) -> SavedNetwork:
    """Write a network as an ONNX file in QDQ form, for onnxruntime.

    Every tensor passes a QuantizeLinear and a DequantizeLinear with its scale and zero
    point. Weights are int8 and biases int32, with a scale for each output channel. What
    is between is computed in real values, or by integer kernels, as a runtime chooses.

    onnxruntime rounds as XNNPACK does. With the session option below, the files of five
    networks for "xnnpack", with random weights, gave ``network.predict(x)`` byte for
    byte. Those of a sixth, which adds tensors, did not. Notes say how much differs.

    Parameters
    ----------
    network : Model or Graph
        For any target.
    path : path
        Of the file. An older one is replaced if this function wrote it.

    Returns
    -------
    SavedNetwork
        What the file takes and gives; it prints as a few lines.

    Raises
    ------
    UnsupportedOp
        A layer has no counterpart in ONNX; the message says why.
    OptionError
        Something else is at `path`.
    ToolError
        The package `onnx` is not installed.

    Notes
    -----
    The file is of opset 19. It takes real values, float32, any number of samples,
    channels first: images (N, C, H, W) and rows (N, C, T). Images are pixels, 0 to 255,
    where the network has a layer that reads them. The output is real values, float32,
    the int8 of the network times its scale:

        session = onnxruntime.InferenceSession("net.onnx")
        x = images.transpose(0, 3, 1, 2).astype(np.float32)
        (y,) = session.run(None, {"input": x})

    On x86 processors without VNNI the int8 kernels of onnxruntime saturate sums of two
    products at 16 bits. This option of a session makes them exact:

        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", "1")

    The six networks of `kanji_np.zoo` were compared, with random weights and ranges
    from random images, each with schemes "asymmetric" and "pow2":

    ======================================  ============================  ============
    network and session                     output bytes that differ      by, at most
    ======================================  ============================  ============
    target "xnnpack", the option set        0 in 10 of 12 files
    the other two, ResNet-8: "asymmetric"   27 of 320                     1
    the same, "pow2"                        240 of 320                    4
    target "cmsis-nn", the option set       12 to 84 %                    8
    target "xnnpack", without the option    up to 92 %                    24
    ======================================  ============================  ============

    With the option unset and all optimizations disabled, 4 of the 10 equal files differ
    in a few bytes: at most 91 of 3,200 bytes, and by at most 4.

    `load_onnx` reads the file back. Scales in the file are float32. With scheme
    "symmetric" or "asymmetric" a network for "cmsis-nn" has float64 scales, so the
    network that comes back may differ in a few bytes: most of the zoo's in none,
    paper-vgg in 42 of 800, ResNet-8 in 4 of 80, MobileNet in 2 of 16. A `with_constant`
    that adds, subtracts or multiplies comes back as a depthwise convolution. Where
    images come first, `load_onnx` takes ``image_layer=Rescaling(1.0)``. It refuses the
    file of a network with `Standardize`.

    Weights of 4 bits are written as int8. The file is the same, byte for byte, for the
    same network.
    """
    with naming(path):
        from kanji_np.formats.onnx.writer import write

    return write(network, path)
