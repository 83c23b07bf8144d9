"""What a network costs and how good it is, as text, Markdown, JSON and one page.

`cost` has the figures, `trained` what a trained network is like, and `gather` all that
is known of a network. `markdown` and `html` show it; `figures` draws, and `page` is the
shell of every page of the package.
"""

from __future__ import annotations

from kanji_np.report.cost import ArenaPiece, LayerReport, Report, cost_report
from kanji_np.report.gather import html_report
from kanji_np.report.notebook import history_html
from kanji_np.report.scores import ClassScores, Confusion, Scores, scores
from kanji_np.report.summary import Summary, SummaryLayer, summary
from kanji_np.report.tables import (
    breakdown_table,
    machines,
    percent,
    speed_table,
    text_table,
)
from kanji_np.report.trained import LayerValues, TrainedReport

__all__ = [
    "ArenaPiece",
    "ClassScores",
    "Confusion",
    "LayerReport",
    "LayerValues",
    "Report",
    "Scores",
    "Summary",
    "SummaryLayer",
    "TrainedReport",
    "breakdown_table",
    "cost_report",
    "history_html",
    "html_report",
    "machines",
    "percent",
    "scores",
    "speed_table",
    "summary",
    "text_table",
]
