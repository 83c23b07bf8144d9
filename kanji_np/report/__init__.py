"""What a network costs and how good it is, as text, Markdown, JSON and one page.

`cost` gathers the figures, `trained` what a trained network is like. `markdown` and
`html` show both; `figures` draws, and `page` is the shell of every page of the package.
"""

from __future__ import annotations

from kanji_np.report.cost import LayerReport, Report, cost_report
from kanji_np.report.tables import breakdown_table, machines, speed_table, text_table

__all__ = [
    "LayerReport",
    "Report",
    "breakdown_table",
    "cost_report",
    "machines",
    "speed_table",
    "text_table",
]
