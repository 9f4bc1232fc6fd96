"""The verb `rung update`: bring a project to a newer version of the template."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rung import options, output_formats
from rung.options import Branch, NoVerify, ProjectPath, Trusted
from rung.options import Version as TemplateVersion

if TYPE_CHECKING:
    from packaging.version import Version

    from rung.core.template_source import Source

HEADING = re.compile(r"^## +(?P<title>.*)$", re.MULTILINE)
RELEASE = re.compile(r"v?(\d+(?:\.\d+)*)")
FILE = "CHANGELOG.md"


def update(
    path: ProjectPath = Path(),
    template_version: TemplateVersion = None,
    template: Trusted = None,
    branch: Branch = None,
    no_verify: NoVerify = False,
    form: Annotated[str, options.form("climb")] = "text",
) -> int:
    """Bring Rung's files to a newer version."""
    from rung.core import template_source
    from rung.core.climbing import planner
    from rung.core.climbing.apply import finish
    from rung.core.climbing.plans import ChangeRequest
    from rung.system import git
    from rung.system.printable import printable_lines
    from rung.system.process import stopped_like_ctrl_c

    output_formats.writer("climb", form)  # an unknown format is refused first
    git.require()
    request = ChangeRequest(version=template_version, newest=template_version is None)
    with stopped_like_ctrl_c(), planner.prepare(path, request, template) as prepared:
        before, after = prepared.plan.before, prepared.plan.after
        if prepared.plan.changes_nothing and form == "text":
            print(f"The project already has the template at {after.version}.")
            return 0
        sources = [
            template_source.with_version(state.template, state.version) for state in (before, after)
        ]
        news = _news(*sources)
        if news and form == "text":
            print(f"What comes, by the changelog:\n\n{printable_lines(news)}\n", flush=True)
        typed = request.command("update", path, template)
        return finish(prepared, branch, verify=not no_verify, command=typed, form=form, news=news)


def _news(before: "Source", after: "Source") -> str:
    """Return the changelog's entries between two versions, newest first."""
    new, old = _changelog(after), _changelog(before) if before.repository else None
    if new is None:
        return ""
    if old is not None and old != new:
        known = set(old.splitlines())
        sections = (_unknown(title, body, known) for title, body in _sections(new))
        return "\n\n".join(filter(None, sections))
    low, high = _version(before.ref), _version(after.ref)
    if low is None or high is None:
        return ""
    entries = []
    for title, body in _sections(new):
        version = _version(title)
        if version and low < version <= high:
            entries.append(f"{title}\n{body.strip()}")
    return "\n\n".join(entries)


def _sections(text: str) -> list[tuple[str, str]]:
    """Return the sections of a changelog: titles and texts."""
    headings = list(HEADING.finditer(text))
    ends = [match.start() for match in headings[1:]] + [len(text)]
    return [
        (match["title"].strip(), text[match.end() : end].strip("\n"))
        for match, end in zip(headings, ends, strict=True)
    ]


def _unknown(title: str, body: str, known: set[str]) -> str:
    """Return a section with only the entries that have a line which the old text lacks."""
    entries = re.split(r"\n(?=- )", body)
    new = [entry for entry in entries if not set(entry.splitlines()) <= known]
    return f"{title}\n" + "\n".join(new).strip() if new else ""


def _changelog(source: "Source") -> str | None:
    from rung.levels import template
    from rung.system import git

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


def _version(name: str) -> "Version | None":
    from packaging.version import InvalidVersion, Version

    match = RELEASE.match(name)
    try:
        return Version(match.group(1)) if match else None
    except InvalidVersion:
        return None
