"""Pieces of a page: safe text, code in it, tables."""

import re
from html import escape

from rung.check.review.hit import printable


def safe(text: str) -> str:
    """Return a text of a repository that is nothing but text in HTML."""
    return escape(printable(text))


def prose(text: str) -> str:
    """Return a text of Rung's own, with what can be typed as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", safe(text))


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table of cells that are markup already, the first of each row its head."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
