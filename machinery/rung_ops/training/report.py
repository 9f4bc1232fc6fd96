"""The report as a single self-contained HTML file. Its layout is in report.html."""

from pathlib import Path

from rung_ops.system import html

LAYOUT = Path(__file__).with_suffix(".html")


def page(
    title: str,
    lead: str,
    metrics: dict[str, float],
    plots: list[tuple[str, str]],
    slices: list[dict[str, object]],
) -> str:
    """Render the report as HTML.

    Args:
        title: the heading.
        lead: one sentence about the model and its test rows.
        metrics: the figures of score().
        plots: the label and the SVG of each plot.
        slices: rows of the table, each a mapping of column names to cells.
    """
    return html.render(LAYOUT, title=title, lead=lead, metrics=metrics, plots=plots, slices=slices)
