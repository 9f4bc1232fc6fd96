"""Where the tables of the benchmarks stand: between two marks of a page."""

import re
from pathlib import Path


def publish(made: str, name: str, page: Path | None) -> None:
    """Print a section, or put it into a page: in the place of the last one, else at the end.

    Args:
        made: the section, from `<!-- name -->` to `<!-- /name -->` and a line's end.
        name: of its marks.
        page: a Markdown page; None to print.
    """
    if page is None:
        print(made, end="")
        return
    text = page.read_text("utf-8") if page.exists() else "# Benchmarks\n"
    section = re.compile(rf"<!-- {name} -->\n.*?<!-- /{name} -->\n", re.DOTALL)
    if section.search(text):
        text = section.sub(lambda _: made, text)
    else:
        text = f"{text.rstrip()}\n\n{made}"
    page.write_text(text, "utf-8")
