"""The verb `rung update`: bring a project to a newer version of the template."""

from pathlib import Path

from rung.options import Branch, NoVerify, Place, Trusted, Version


def update(
    path: Place = Path(),
    template_version: Version = None,
    template: Trusted = None,
    branch: Branch = None,
    no_verify: NoVerify = False,
) -> int:
    """Bring Rung's files to a newer version of the template."""
    from rung.core.climbing import changelog, planner
    from rung.core.climbing.climb import finish
    from rung.core.climbing.planner import ChangeRequest
    from rung.core.rendering import template_source
    from rung.system import git
    from rung.system.process import stopped_like_ctrl_c

    git.require()
    request = ChangeRequest(version=template_version, newest=template_version is None)
    with stopped_like_ctrl_c(), planner.prepare(path, request, template) as prepared:
        before, after = prepared.plan.before, prepared.plan.after
        if prepared.plan.changes_nothing:
            print(f"The project already has the template at {after.version}.")
            return 0
        sources = [template_source.at(one.template, one.version) for one in (before, after)]
        news = changelog.between(*sources)
        if news:
            print(f"What comes, by the changelog:\n\n{news}\n")
        typed = request.command("update", path, template)
        return finish(prepared, branch, verify=not no_verify, command=typed)
