"""Put docs/strategy.md into a project, and never overwrite a user's text."""

import hashlib
import os
import re
import tempfile
from pathlib import Path

from rung.errors import RungError

PAGE = Path("docs", "strategy.md")
HEAD = "<!-- Written by `rung assess --write`, which replaces it unless it was edited. {mark} -->"
HEAD_RE = re.compile(r"\A<!-- Written by `rung assess --write`[^\n]* ([0-9a-f]{16}) -->\n")


def write(project: Path, markdown: str) -> Path:
    """Write the page and return its path; a page that somebody wrote or edited is left alone."""
    if not project.is_dir():
        raise RungError(f"{project} is not a folder. Give `--write` the folder of a project.")
    page = project / PAGE
    if not page.resolve().is_relative_to(project.resolve()):
        raise RungError(f"{page} is a link that leaves {project}. Remove it, then try again.")
    try:
        _check_untouched(page)
        page.parent.mkdir(exist_ok=True)
        _replace(page, f"{HEAD.format(mark=_mark(markdown))}\n{markdown}")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise RungError(
            f"{page} cannot be written: {reason}. Make it writable, or move it away."
        ) from error
    return page


def _check_untouched(page: Path) -> None:
    if not page.exists():
        return
    if not page.is_file():  # a pipe would block
        raise RungError(f"{page} is not a file. Move it away, then run the command again.")
    text = page.read_bytes().decode("utf-8").replace("\r\n", "\n")
    head = HEAD_RE.match(text)
    if head is None or head[1] != _mark(text[head.end() :]):
        raise RungError(
            f"{page} has text that Rung did not write, so it was not changed.\n"
            f"Move it away, then run the command again: `mv {page} {page.with_suffix('.old.md')}`."
        )


def _mark(markdown: str) -> str:
    return hashlib.sha256(markdown.encode()).hexdigest()[:16]


def _replace(page: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=page.parent, prefix=".strategy-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(page)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
