"""What a search leaves of a network: model, firmware and the proof that they agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np import outputs
from kanji_np.cost.estimate import Estimate, estimate
from kanji_np.data import fitted
from kanji_np.deploy import export, verify
from kanji_np.model import load
from kanji_np.report import html_report
from kanji_np.search.journal import Verified
from kanji_np.train import read_history
from kanji_np.train.checkpoint import HISTORY, MODEL

if TYPE_CHECKING:
    from kanji_np.cost.boards import Board
    from kanji_np.data import Dataset

FIRMWARE, SUMMARY, PAGE = "firmware", "report.txt", "report.html"
#: Images that C and model are compared on, on this computer and on an emulated core.
HOST_IMAGES, CORE_IMAGES = 200, 10
HOST = "host"


@dataclass(frozen=True)
class Place:
    """What networks are made for.

    Parameters
    ----------
    board : Board or None
    library : "ccore" or "cmsis-nn"
        Whose kernels the firmware is built with.
    on : str
        "host", or the core to emulate, where C and model are compared.
    """

    board: Board | None
    library: str
    on: str = HOST


def finish(
    name: str, run: Path, directory: Path, test: Dataset, place: Place
) -> Verified:
    """Score, export and verify a trained network.

    Parameters
    ----------
    name : str
    run : Path
        Where it was trained.
    directory : Path
        Gets model, history, firmware and report.
    test : Dataset
    place : Place

    Raises
    ------
    ToolError
        There is no C compiler, or no emulator.
    VerificationError
        The compiled program failed.
    """
    for file in (MODEL, HISTORY):
        outputs.write(directory / file, (run / file).read_bytes())
    net = load(directory / MODEL)
    images = fitted(test, net.input.shape)
    accuracy = net.evaluate(images)
    export(
        net, directory / FIRMWARE, library=place.library, images=images.take(1),
        prediction=costs_of(directory, place).prediction if place.board else None,
    )  # fmt: skip
    most = HOST_IMAGES if place.on == HOST else CORE_IMAGES
    compared = images.take(min(most, len(images)))
    found = verify(directory / FIRMWARE, compared, on=place.on, library="ccore")
    report = html_report(
        net, directory / PAGE, board=place.board, library=place.library, data=images,
        history=read_history(directory / HISTORY),
    )  # fmt: skip
    outputs.write(directory / SUMMARY, f"{report.estimate}\n".encode())
    on = found.device.core if found.device else HOST
    return Verified(name, accuracy, on, found.images, found.differing_bytes)


def costs_of(directory: Path, place: Place) -> Estimate:
    """What a network that was finished costs."""
    return estimate(load(directory / MODEL), board=place.board, library=place.library)
