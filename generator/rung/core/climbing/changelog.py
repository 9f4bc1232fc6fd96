"""What the changelog says between two versions of the template."""

import re

from packaging.version import InvalidVersion, Version

from rung.core.template_source import Source
from rung.levels import template
from rung.system import git

HEADING = re.compile(r"^## +(?P<title>.*)$", re.MULTILINE)
RELEASE = re.compile(r"v?(\d+(?:\.\d+)*)")
FILE = "CHANGELOG.md"


def between(before: Source, after: Source) -> str:
    """Return the entries that came between two versions, newest first; nothing if none did."""
    new, old = _text(after), _text(before) if before.repository else None
    if new is None:
        return ""
    if old is not None and old != new:
        known = set(old.splitlines())
        sections = (_unknown(title, body, known) for title, body in sections_of(new))
        return "\n\n".join(filter(None, sections))
    low, high = _version(before.ref), _version(after.ref)
    if low is None or high is None:
        return ""
    entries = []
    for title, body in sections_of(new):
        version = _version(title)
        if version and low < version <= high:
            entries.append(f"{title}\n{body.strip()}")
    return "\n\n".join(entries)


def sections_of(text: str) -> list[tuple[str, str]]:
    """Return the titles of a changelog's versions, each with what it says."""
    headings = list(HEADING.finditer(text))
    ends = [match.start() for match in headings[1:]] + [len(text)]
    return [
        (match["title"].strip(), text[match.end() : end].strip("\n"))
        for match, end in zip(headings, ends, strict=True)
    ]


def _unknown(title: str, body: str, known: set[str]) -> str:
    """Return a section with only the entries that have a line the old text has not."""
    entries = re.split(r"\n(?=- )", body)
    new = [entry for entry in entries if not set(entry.splitlines()) <= known]
    return f"{title}\n" + "\n".join(new).strip() if new else ""


def _text(source: Source) -> str | None:
    if source.repository is not None:
        text = git.show(source.repository, source.ref, FILE)
        if text is not None:
            return text
    try:
        return (
            (template.folder() / FILE).read_text("utf-8") if source.ref == template.tag() else None
        )
    except OSError:
        return None


def _version(name: str) -> Version | None:
    match = RELEASE.match(name)
    try:
        return Version(match.group(1)) if match else None
    except InvalidVersion:
        return None
