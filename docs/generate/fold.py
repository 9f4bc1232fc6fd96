"""A hook of MkDocs for tables: cells know their column, which site.css shows on a phone; paths may break."""

import re
from typing import Any

TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
CODE = re.compile(r"<code>[^<]+</code>")


def on_page_content(html: str, **_: Any) -> str:
    """Return a page whose tables break paths, and of three and more columns name it in each cell."""
    return TABLE.sub(lambda match: _named(CODE.sub(_breakable, match[0])), html)


def _breakable(code: re.Match[str]) -> str:
    return re.sub(r"\b/\b", "/<wbr>", code[0])


def _named(table: str) -> str:
    columns = [
        re.sub("<.*?>", "", head).strip()
        for head in re.findall(r"<th[^>]*>(.*?)</th>", table, re.DOTALL)
    ]
    if len(columns) < 3:
        return table
    cells = iter(range(table.count("<td")))
    return re.sub(
        "<td", lambda _: f'<td data-column="{columns[next(cells) % len(columns)]}"', table
    )
