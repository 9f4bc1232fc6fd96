"""The page of an evaluation: what DVC keeps of it, and report.html, which says what it was made from.

Apart from what makes it, as each run of DVC asks for it: plots and scikit-learn take two seconds to load.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup, escape

from rung_ops.data import dvc
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.statistics.intervals import finite
from rung_ops.system import git, html
from rung_ops.system.files import md5

KEPT = "evaluation.html"
MADE_FROM = "<!-- made from the page of the evaluation with md5 {} -->\n"


def kept() -> Path:
    """Return the page that DVC keeps, which has nothing that changes where data and code do not.

    It is report.html itself without DVC, and where dvc.yaml still lists that.
    """
    page = current().reports / KEPT
    return page if shown(page) in dvc.stage_outputs(current().root) else current().report


class ChampionFigures(NamedTuple):
    """The figures that a champion's run recorded.

    Attributes:
        name: such as "Champion (version 3)".
        figures: by name.
        rows: which rows they were judged on, in a sentence.
    """

    name: str
    figures: Mapping[str, float]
    rows: str


def stamped(page: str, origin: Markup, champion: ChampionFigures | None = None) -> str:
    """Put into the page of an evaluation what it was made from, and the champion's figures, if any."""
    kept = hashlib.md5(page.encode(), usedforsecurity=False).hexdigest()
    sentence = Markup('<p class="lead">{}</p>').format(origin)
    page = re.sub(
        r'<p class="lead" id="version">.*?</p>', lambda _: sentence, page, flags=re.DOTALL
    )

    def cell(found: re.Match[str]) -> str:
        name, figures = unescape(found[1]), champion.figures if champion else {}
        return f"<td>{html.aligned(finite(figures.get(name)))}</td>"

    if champion is not None:
        page = re.sub(r"<!--champion (.*?)-->", cell, page)
        head = Markup('<th scope="col">{}</th>').format(champion.name)
        page = page.replace("<!--champion-->", head)
        page = page.replace("<!--champion's rows-->", escape(f" {champion.rows}"))
    return page + MADE_FROM.format(kept)


def is_current() -> bool:
    """Tell whether report.html was made from the page that DVC keeps."""
    report, made_from = current().report, MADE_FROM.format(md5(kept()))
    return report.is_file() and report.read_text(encoding="utf-8").endswith(made_from)


def origin_in_words(
    event: str, commit: str, is_dirty: bool, data: str, seconds: float | None = None
) -> Markup:
    """Say what happened at which commit, with which data; without data that is left out.

    `seconds` is its time since 1970, by default now.
    """
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    words = Markup("{} {:%Y-%m-%d %H:%M} UTC. ").format(event, moment)
    changed = ", with uncommitted changes" if is_dirty else ""
    words += (
        Markup("Commit <code>{}</code>{}").format(commit, changed) if commit else "Commit not known"
    )
    return words + (Markup("; hash of the data <code>{}</code>.").format(data) if data else ".")


def unversioned() -> Markup:
    """Say what an evaluation that no version has was made from."""
    try:
        commit, is_dirty = dvc.checkout(current().root)
    except git.GitError:
        commit, is_dirty = "", False
    data = md5(current().rows) if current().rows.is_file() else ""
    return origin_in_words("Not versioned yet; evaluated", commit, is_dirty, data)
