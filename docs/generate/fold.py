"""A hook of MkDocs: cells of tables know their column, which site.css shows on a phone."""

import re
from typing import Any

TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Return a page whose tables of three and more columns name the column in each cell."""
    return TABLE.sub(lambda match: _named(match[0]), html)


def _named(table: str) -> str:
    columns = [
        re.sub("<.*?>", "", head) for head in re.findall(r"<th[^>]*>(.*?)</th>", table, re.DOTALL)
    ]
    if len(columns) < 3:
        return table
    cells = iter(range(table.count("<td")))
    return re.sub(
        "<td", lambda _: f'<td data-column="{columns[next(cells) % len(columns)]}"', table
    )
