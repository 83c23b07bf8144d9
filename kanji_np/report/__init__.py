"""What a network costs and how good it is, as text, Markdown, JSON and one page.

`cost` has the figures, `trained` what a trained network is like, and `gather` all that
is known of a network. `markdown` and `html` show it; `figures` draws, and `page` is the
shell of every page of the package.
"""

from __future__ import annotations

from kanji_np.report.cost import ArenaPiece, LayerReport, Report, cost_report
from kanji_np.report.gather import html_report
from kanji_np.report.tables import breakdown_table, machines, speed_table, text_table
from kanji_np.report.trained import LayerValues, TrainedReport

__all__ = [
    "ArenaPiece",
    "LayerReport",
    "LayerValues",
    "Report",
    "TrainedReport",
    "breakdown_table",
    "cost_report",
    "html_report",
    "machines",
    "speed_table",
    "text_table",
]
