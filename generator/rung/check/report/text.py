"""A review as text for a terminal."""

import textwrap
from collections.abc import Iterator

from rung.check.report import facts
from rung.check.review.findings import Finding
from rung.check.review.review import Review
from rung.levels.ladder import HEADING
from rung.system import terminal
from rung.system.printable import printable

SIGNS = {"automated": "++", "used": "+ ", "declared": "~ ", None: "- "}
WIDTH = 100
LEGEND = "++ automated, + used, ~ declared, - not found. `rung check --explain NAME` says why."
NEXT = "Next"


def make(review: Review, before: Review | None = None) -> str:
    """Return a review as text."""
    return "\n".join(_lines(review, before)) + "\n"


def _lines(review: Review, before: Review | None) -> Iterator[str]:
    rung = review.levels[review.level]
    yield f"{printable(review.name)}: {facts.heading(review)}"
    if facts.not_seen(review):
        yield f"  {facts.not_seen(review)}"
    yield f"  Microsoft {rung.microsoft}; Google {rung.google}"
    yield f"  Use case: {review.game} ({review.game_from}). Files checked: {review.file_count:,}."
    yield f"  {facts.how(review)}"
    if review.machine_learning:
        yield f"  {facts.counts_as(review)}"
    for note in review.notes:
        yield from _folded(note, "  ")
    if before is not None:
        yield f"  The base is on rung {before.level}."
        for change in facts.changes(review, before):
            yield f"    {change['capability']}: {change['before'] or 'none'} -> {change['after'] or 'none'}"
    yield f"\n{LEGEND}"
    for level in review.levels:
        points = review.rating.averages[level.level]
        yield f"\n{HEADING.format(level)} {points:.2f} points on average"
        for finding in review.required(level.level):
            yield _finding(finding)
        if names := review.not_applicable(level.level):
            yield from _folded(f"Not applicable: {', '.join(names)}", "  ")
    yield from _runs(review)
    yield "\nProfile (points on average, 0 to 1)"
    for block, (points, number) in review.rating.profile.items():
        yield f"  {block:14}{'#' * round(points * 20):20}  {points:.2f}  of {number}"
    yield "\nML Test Score, as far as files show (points; tests that files can show, of 7)"
    sections = review.rating.score.items()
    yield "  " + ", ".join(f"{name} {points:g} ({number})" for name, (points, number) in sections)
    yield f"  Final {review.rating.final_score:g}: {review.rating.band}"
    yield from _next(review)
    missing = facts.left_out(review)
    if missing:
        yield "\nNot checked"
        yield from (f"  {line}" for line in missing)


def _finding(finding: Finding) -> str:
    match = facts.best(finding)
    shown = (
        f"{facts.location(match)}  {facts.matched(match)}"
        if match and match.text != match.path
        else facts.location(match)
        if match
        else ""
    )
    statement = finding.statement
    if statement:
        shown = printable(facts.stated(statement))
    line = f"  {SIGNS[finding.tier]} {finding.capability.id:34} {shown}"
    line = line if statement or len(line) <= WIDTH + 20 else f"{line[: WIDTH + 17]}..."
    line = line.rstrip()
    return f"{line}\n       {facts.proof(finding)}" if finding.trials else line


def _runs(review: Review) -> Iterator[str]:
    if not review.tried:
        return
    yield "\nRun in a copy"
    if not review.trials:
        yield f"  {facts.NOTHING_TO_RUN}"
    for trial in review.trials:
        yield f"  {trial.command}: {facts.ran(trial)}"
        if trial.result in ("failed", "timed out"):
            yield from (f"    | {line}" for line in trial.tail)


def _next(review: Review) -> Iterator[str]:
    blockers = review.rating.blockers
    if not blockers:
        if review.machine_learning:
            yield f"\n{facts.NOTHING_NEXT}"
        return
    yield f"\n{NEXT}: {facts.lacks(review)}" if facts.lacks(review) else f"\n{NEXT}"
    yield from _folded(facts.by_rung(review), "  ")
    is_must = True
    for blocker in blockers:
        if is_must and not blocker.must_have:
            is_must = False
            yield f"\n  {facts.average(review)}"
        yield f"  {blocker.finding.capability.id} ({facts.effort(review, blocker)})"
        if blocker.must_have:
            why = f"{facts.sentence(blocker.reason)} {blocker.finding.capability.why}"
            yield from _folded(why, "    ")
        if found := facts.exists(blocker.finding):
            yield from _folded(f"Found so far: {found[:200]}", "    ")
        yield from _folded(printable(blocker.change), "    ")


def _why_not_required(review: Review, finding: Finding) -> str:
    if finding.applies:
        return f"No {review.game} use case requires it."
    return (
        "Not applicable: the repository, or the project by its answers, has nothing of this kind."
    )


def _folded(text: str, indent: str) -> list[str]:
    return terminal.wrap(text, WIDTH, indent, indent)


def explain(review: Review, name: str) -> str:
    """Explain a capability: what was looked for, what was found and what to do."""
    import yaml

    finding = review.findings[name]
    capability = finding.capability
    rung = finding.rung(review.game)
    lines = [
        f"{name}: {finding.tier or 'not found'}, {finding.points:g} of 1 point",
        f"  {capability.why}",
        f"  Rung {rung}, block {capability.block}."
        if rung is not None
        else f"  {_why_not_required(review, finding)}",
        f"  Source: {capability.source}",
    ]
    if finding.statement:
        lines.append(f"  {printable(facts.stated(finding.statement))}")
    lines.append(f"  {facts.proof(finding) or 'static: files say so, nothing was run'}")
    for tier, predicate in capability.evidence.items():
        lines.append(f"\n{tier}: looked for")
        written = yaml.safe_dump(predicate, width=90, sort_keys=False, default_flow_style=None)
        lines.append(textwrap.indent(written.strip(), "  "))
        matches = [shown.match for shown in finding.shown if shown.tier == tier]
        lines += [
            f"  found {facts.location(match)}  {facts.matched(match)}" for match in matches
        ] or ["  found nothing"]
    lines.append(f"\nTo do ({capability.effort}): {capability.fix}")
    return "\n".join(lines) + "\n"
