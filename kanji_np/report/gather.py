"""All that is known of a network: its costs, its training, its proofs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kanji_np.cost.boards import Board
from kanji_np.cost.estimate import DEFAULT_CORES, outlined
from kanji_np.data import Dataset
from kanji_np.deploy.record import VerificationRecord, read_records
from kanji_np.errors import OptionError
from kanji_np.model import Model
from kanji_np.report.cost import Report, cost_report
from kanji_np.report.html import html
from kanji_np.report.page import check_page, write_page
from kanji_np.report.trained import trained_report
from kanji_np.train import History


def html_report(
    network: Model,
    path: str | Path,
    *,
    board: str | Path | Board | None = None,
    core: str | None = None,
    library: str = "ccore",
    data: Dataset | None = None,
    history: History | None = None,
    verified: str | Path | None = None,
) -> Report:
    """Write what is known of a network as one HTML page.

    The page opens from disk, loads nothing and needs no scripts.

    Parameters
    ----------
    network : Model
        Not changed; it need not be trained.
    path : path
        Of the page. An earlier page is replaced.
    board, core, library
        What costs are estimated for, as in `cost_report`. By default the usual core of
        the network's class: instructions and cycles only.
    data : Dataset, optional
        Of a trained network: what it is scored on.
    history : History, optional
        Of its training, for the curves.
    verified : path, optional
        The file of `kanji-np verify --record`.

    Returns
    -------
    Report
        What the page shows.

    Raises
    ------
    OptionError
        Board, core or library are not known or do not fit each other; at `path` is
        something else than a page; or the file of records has none of this network.
    FileFormatError
        The file of a board or of records is none.
    UnsupportedOp
        The library has no kernel for a layer.
    ShapeError, DataError
        The data do not fit the network.
    """
    check_page(path)
    if board is None and core is None:
        core = usual_core(network)
    report = cost_report(network, board=board, core=core, library=library)
    report = replace(
        report,
        trained=None if data is None else trained_report(network, data),
        history=history,
        verified=() if verified is None else records_of(network, report, verified),
    )
    write_page(path, html(report))
    return report


def usual_core(network: Model) -> str:
    """The core that costs are estimated for where none is named."""
    return DEFAULT_CORES[outlined(network).target.core]


def records_of(
    network: Model, report: Report, path: str | Path, *, may_lack: bool = False
) -> tuple[VerificationRecord, ...]:
    """The records of a network in a file; OptionError if there are none, unless it may
    lack them."""
    core = report.estimate.core if report.estimate else None
    graphs = [outlined(network), outlined(network, core)]
    digests = {graph.digest() for graph in graphs}
    found = tuple(r for r in read_records(path) if r.digest in digests)
    if not found and not may_lack:
        raise OptionError(f"{path} has no verification of {network.name} as it is here")
    return found
