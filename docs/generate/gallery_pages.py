"""The pages of the gallery that it writes itself: its index, and texts of projects."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/rung-ml/rung"
LAYOUTS = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
WIDE = '<div class="wide" tabindex="0" role="group" aria-label="Table">'  # scrolls by itself


@dataclass
class Stand:
    """A project on a rung: its numbers, and the pages it made: file name and title."""

    game: str
    rung: int
    files: int
    lines: int
    pages: dict[str, str] = field(default_factory=dict)


def index(
    folder: Path, projects: Sequence[Stand], advice: dict[str, str], before: str | None, commit: str
) -> Path:
    """Write the page that leads to all others; return its path.

    Args:
        folder: of the gallery.
        projects: as they are on each rung.
        advice: by game, the file name of what `rung assess` says to a team.
        before: the tag or commit since which changes are shown.
        commit: that they were made from.
    """
    page = LAYOUTS.get_template("gallery.html").render(
        projects=projects, advice=advice, before=before, commit=commit
    )
    (folder / "index.html").write_text(page, "utf-8")
    return folder / "index.html"


def text_page(
    folder: Path,
    stand: Stand,
    name: str,
    title: str,
    text: str,
    *,
    patch: bool = False,
    html: Markup | None = None,
) -> dict[str, str]:
    """Write a text, or what was made of it, as a page; return its file name and title.

    A project made here has this folder as its template's address, a reader's has the repository's.
    """
    text = text.replace(str(ROOT), REPOSITORY)
    file = f"{stand.game}-{stand.rung}/{name}.html"
    page = LAYOUTS.get_template("gallery_text.html").render(
        stand=stand, title=title, text=text, patch=patch, html=html
    )
    (folder / file).write_text(page, "utf-8")
    return {file: title}


def html_of(text: str) -> Markup:
    """Return Markdown as HTML, without links to files of the project, which are not here."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        is_kept, kept = True, []
        for part in token.children or []:
            if part.type == "link_open":
                is_kept = str(part.attrs["href"]).startswith("https://")
            if is_kept or part.type not in ("link_open", "link_close"):
                kept.append(part)
        token.children = kept if token.children is not None else None
    html = parser.renderer.render(tokens, parser.options, {})
    html = html.replace("<table>", f"{WIDE}<table>").replace("</table>", "</table></div>")
    html = html.replace("<pre>", '<pre tabindex="0">')
    return Markup(html)
