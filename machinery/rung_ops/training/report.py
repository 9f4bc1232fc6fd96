"""The report as one HTML file that needs nothing else. Its layout is in report.html."""

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
    """Put the page together.

    Args:
        title: the heading.
        lead: one sentence on the model and its rows.
        metrics: the figures of score().
        plots: what each shows, for those who cannot see it, and its SVG.
        slices: one mapping of column names to cells for each row of the table.
    """
    return html.render(LAYOUT, title=title, lead=lead, metrics=metrics, plots=plots, slices=slices)
