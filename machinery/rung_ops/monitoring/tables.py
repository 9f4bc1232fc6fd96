"""Rows laid out as a table of HTML."""

from html import escape

import polars as pl


def table(rows: pl.DataFrame) -> str:
    """Lay out a frame; its names are the heads, with spaces for underscores."""
    if rows.is_empty():
        return "<p>None.</p>"
    texts = {name for name, kind in rows.schema.items() if kind == pl.String}

    def css(name: str) -> str:
        return ' class="text"' if name in texts else ""

    head = "".join(f"<th{css(name)}>{escape(name.replace('_', ' '))}</th>" for name in rows.columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td{css(name)}>{escape(_cell(cell))}</td>" for name, cell in row.items())
        + "</tr>"
        for row in rows.iter_rows(named=True)
    )
    whole = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="wide"><table>{whole}</table></div>'


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"
