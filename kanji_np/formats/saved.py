"""What the writers of every format say of the file they wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kanji_np.types import QParams, TensorSpec


@dataclass(frozen=True)
class SavedNetwork:
    """A file that `save_tflite` or `save_onnx` wrote. It prints as a few lines.

    Parameters
    ----------
    path : Path
    size_bytes : int
        Of the file [bytes].
    input, output : str
        What the file takes and gives: dtype, shape, and what its numbers stand for.
    notes : tuple of str
        Where the file is not the network as it stands: a layer that is left out, or
        another rounding.
    """

    path: Path
    size_bytes: int
    input: str
    output: str
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.path}: {self.size_bytes:,} bytes",
            f"input   {self.input}",
            f"output  {self.output}",
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def meaning(spec: TensorSpec) -> QParams:
    """What the integers of an activation stand for."""
    assert spec.qparams is not None  # only images have none
    return spec.qparams
