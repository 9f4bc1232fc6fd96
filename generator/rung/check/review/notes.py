"""What a reader of a review should know besides the findings."""

from collections.abc import Iterator

from rung.check.review.evidence import Evidence

PROJECTS = 8  # folders with dependencies of their own, from which on a repository may hold several
SHOWN = 3  # calls of other repositories


def of(evidence: Evidence, machine_learning: bool) -> Iterator[str]:
    """Give the notes on a repository, which is one of machine learning or not."""
    if not machine_learning:
        yield (
            "No machine-learning package or import was found: this is not a machine-learning "
            "repository, as far as its files show, and no rung above 0 is given."
        )
    yield from _elsewhere(evidence)
    yield from _several_projects(evidence)
    yield from _untouched(evidence)
    if evidence.content.files.left_out.counts["unrendered templates"]:
        yield "It holds an unrendered template; render a project and check that one."


def _elsewhere(evidence: Evidence) -> Iterator[str]:
    calls = [
        f"`{name}` ({workflow.path}:{line})"
        for workflow in evidence.ci.workflows
        for line, name in workflow.calls_elsewhere
    ]
    if calls:
        more = f" and {len(calls) - SHOWN} more" if len(calls) > SHOWN else ""
        yield (
            f"CI calls other repositories, which are not read: {', '.join(calls[:SHOWN])}{more}. "
            "The level may be higher; attest in rung.toml what they do."
        )


def _several_projects(evidence: Evidence) -> Iterator[str]:
    files = evidence.content.files
    wanted = files.find(*files.reading.dependencies)
    projects = {path.rpartition("/")[0] for path in wanted if "/" in path}
    if len(projects) >= PROJECTS:
        yield (
            f"{len(projects)} of its folders have dependencies of their own. If they are projects, "
            "what each has adds up here: check them one by one."
        )


def _untouched(evidence: Evidence) -> Iterator[str]:
    content = evidence.content
    named = content.files.find(*(f"**/{name}" for name in content.examples))
    untouched = [f"`{path}`" for path in named if content.is_untouched(path)]
    if untouched:
        yield (
            f"{', '.join(untouched)}: still the text of Rung's example, which earns nothing. "
            "Write what holds for your model."
        )
