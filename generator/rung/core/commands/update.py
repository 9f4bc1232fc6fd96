"""The verb `rung update`: bring a project to a newer version of the template."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rung import options, output_formats
from rung.levels.template import CHANGELOG, release, sections
from rung.options import Branch, NoVerify, ProjectPath, Trusted
from rung.options import Version as TemplateVersion

if TYPE_CHECKING:
    from rung.core.climbing.plans import Plan
    from rung.core.template_source import Source

NEWS = "What changes, from the changelog:"


def update(
    path: ProjectPath = Path(),
    template_version: TemplateVersion = None,
    template: Trusted = None,
    branch: Branch = None,
    no_verify: NoVerify = False,
    form: Annotated[str, options.form("climb")] = "text",
) -> int:
    """Bring Rung's files to a newer version."""
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
        if prepared.plan.changes_nothing and form == "text":
            print(f"The project already has the template at {prepared.plan.after.version}.")
            return 0
        comes = news(prepared.plan)
        if comes and form == "text":
            print(f"{NEWS}\n\n{printable_lines(comes)}\n", flush=True)
        typed = request.command("update", path, template)
        return finish(prepared, branch, verify=not no_verify, command=typed, form=form, news=comes)


def news(plan: "Plan") -> str:
    """Return the changelog's entries between the two versions of a plan, newest first."""
    from rung.core.template_source import with_version

    states = (plan.before, plan.after)
    before, after = (with_version(state.template, state.version) for state in states)
    new, old = _changelog(after), _changelog(before) if before.repository else None
    if new is None:
        return ""
    if old is not None and old != new:
        known = set(old.splitlines())
        unknown = (_unknown(title, body, known) for title, body in sections(new))
        return "\n\n".join(filter(None, unknown))
    low, high = release(before.ref), release(after.ref)
    if low is None or high is None:
        return ""
    titled = ((release(title), title, body) for title, body in sections(new))
    return "\n\n".join(f"{title}\n{body}" for v, title, body in titled if v and low < v <= high)


def _unknown(title: str, body: str, known: set[str]) -> str:
    """Return a section with only the entries that have a line which the old text lacks."""
    entries = re.split(r"\n(?=- )", body)
    new = [entry for entry in entries if not set(entry.splitlines()) <= known]
    return f"{title}\n" + "\n".join(new).strip() if new else ""


def _changelog(source: "Source") -> str | None:
    from rung.levels import template
    from rung.system import git

    text = git.show(source.repository, source.ref, CHANGELOG) if source.repository else None
    if text is None and source.ref == template.tag() and (template.folder() / CHANGELOG).is_file():
        return (template.folder() / CHANGELOG).read_text("utf-8")
    return text
