"""A review as JSON, and the phrases that all formats share."""

import json
from collections.abc import Mapping
from typing import Any

from rung.check.review.findings import Finding, Statement, Trial
from rung.check.review.predicates import Match
from rung.check.review.rating import Blocker
from rung.check.review.review import Review
from rung.levels.ladder import MINIMUM_SCORE
from rung.system.printable import printable

MAX_LENGTH = 160  # characters of a matching line
BY_FILES = "by its files"  # instead of a title that promises a deployment
NOTHING_RUN = "Read, not run: every finding is static."
SOME_RUN = "What can be run was run in a copy; findings that no run concerns are static."
NOTHING_NEXT = "Nothing keeps it from a higher rung."
NO_MODEL = "Add a model, or check another repository."
NOTHING_TO_RUN = "Nothing that could be run was found: docs/check.md says what is looked for."


def make(review: Review, before: Review | None = None) -> str:
    """Return a review as JSON."""
    return json.dumps(facts(review, before), indent=2) + "\n"


def facts(review: Review, before: Review | None = None) -> dict[str, Any]:
    """Return a review as data for JSON."""
    keystones, points = review.rating.missing
    left_out, rung = review.left_out, review.levels[review.level]
    data: dict[str, Any] = {
        "level": review.level,
        "title": rung.title,
        "microsoft": rung.microsoft,
        "google": rung.google,
        "game": review.game,
        "game_from": review.game_from,
        "machine_learning": bool(review.machine_learning),
        "machine_learning_by": [
            {"file": printable(match.path), "line": match.line, "text": matched(match)}
            for match in review.machine_learning
        ],
        "repository": printable(review.name),
        "template_version": printable(review.template_version) or None,
        "profile": {
            block: {"points": round(points, 3), "capabilities": number}
            for block, (points, number) in review.rating.profile.items()
        },
        "rungs": [
            {"level": number, "points": round(points, 3)}
            for number, points in enumerate(review.rating.averages)
        ],
        "ml_test_score": {
            "final": review.rating.final_score,
            "band": review.rating.band,
            "sections": {
                section: {"points": points, "tests_looked_for": number, "tests": 7}
                for section, (points, number) in review.rating.score.items()
            },
        },
        "findings": [_finding(review, finding) for finding in review.findings.values()],
        "blockers": [_blocker(review, blocker) for blocker in review.rating.blockers],
        "missing": {"keystones": keystones, "points": round(points, 2)},
        "files": review.file_count,
        "partial": left_out.out_of_time,
        "left_out": [
            {"reason": reason, "number": number, "example": printable(left_out.examples[reason])}
            for reason, number in left_out.counts.items()
        ],
        "notes": list(review.notes),
        "runs": [
            {
                "command": trial.command,
                "result": trial.result,
                "seconds": round(trial.seconds, 1),
                "reason": trial.reason,
                "tail": list(trial.tail),
            }
            for trial in review.trials
        ],
    }
    if before is not None:
        data["base"] = {"level": before.level, "changed": changes(review, before)}
    return data


def _blocker(review: Review, blocker: Blocker) -> dict[str, Any]:
    capability = blocker.finding.capability
    return {
        "capability": capability.id,
        "reason": blocker.reason,
        "must_have": blocker.must_have,
        "why": capability.why,
        "exists": exists(blocker.finding),
        "change": printable(blocker.change),
        "tier": blocker.finding.tier,
        "fix": capability.fix,
        "effort": capability.effort,
        "brought_by_rung": capability.is_brought(_answers(review)),
        "brings": round(blocker.brings, 2),
    }


def _finding(review: Review, finding: Finding) -> dict[str, Any]:
    capability = finding.capability
    data: dict[str, Any] = {
        "capability": capability.id,
        "rung": finding.rung(review.game),
        "block": capability.block,
        "tier": finding.tier,
        "points": finding.points,
        "applicable": finding.applies,
        "proof": finding.proof,
        "why": capability.why,
        "evidence": [
            {
                "tier": shown.tier,
                "file": printable(shown.match.path),
                "line": shown.match.line,
                "text": matched(shown.match),
            }
            for shown in finding.shown
        ],
    }
    if finding.trials:
        data["proof_by"] = [
            {"command": trial.command, "result": trial.result} for trial in finding.trials
        ]
    if finding.statement:
        statement = finding.statement
        data[statement.kind] = {"reason": statement.reason, "until": statement.until.isoformat()}
        for name in ("link", "refused"):
            if text := getattr(statement, name):
                data[statement.kind][name] = text
    return data


def matched(match: Match) -> str:
    """Return the text of a match as one printable line."""
    text = printable(match.text)
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}..."


def location(match: Match) -> str:
    """Return the location of a match as `file:line`."""
    if not match.path:
        return "the whole repository"
    return printable(match.path) + (f":{match.line}" if match.line else "")


def exists(finding: Finding) -> str:
    """Return where something of a capability exists already; empty if nothing does."""
    match = next((shown.match for shown in finding.shown if shown.match.path), None)
    if match is None:
        return ""
    place = f"{match.path}:{match.line}" if match.line else match.path
    return printable(f"{place} {match.text}" if match.text != match.path else place)


def stated(statement: Statement) -> str:
    """Return a waiver or attestation in a line, or why it does not count."""
    what = f"{statement.kind} until {statement.until}"
    if statement.refused:
        return f"{what} does not count: {statement.refused}."
    return f"{what}: {statement.reason} {statement.link}".rstrip()


def best(finding: Finding) -> Match | None:
    """Return the best match for a finding's tier: one in a file, if there is any."""
    matches = [shown.match for shown in finding.shown if shown.tier == finding.tier]
    matches += [shown.match for shown in finding.shown]
    return next((match for match in matches if match.path), matches[0] if matches else None)


def changes(review: Review, before: Review) -> list[dict[str, str | None]]:
    """Return the capabilities whose tier differs from the base."""
    return [
        {"capability": name, "before": before.findings[name].tier, "after": finding.tier}
        for name, finding in review.findings.items()
        if finding.tier != before.findings[name].tier
    ]


def counts_as(review: Review) -> str:
    """Return in a line why the repository counts as machine learning; empty if it does not."""
    if not review.machine_learning:
        return ""
    match = review.machine_learning[0]
    return f"Recognised as machine learning by {location(match)}: {matched(match)}"


def lacks(review: Review) -> str:
    """Return in a line what the next rung lacks; empty if it lacks nothing."""
    keystones, points = review.rating.missing
    parts = []
    if keystones:
        parts.append(
            f"{keystones} {'capability' if keystones == 1 else 'capabilities'} it must have"
        )
    if points:
        parts.append(f"{points:.2f} points")
    return f"Rung {review.level + 1} lacks {' and '.join(parts)}." if parts else ""


def heading(review: Review) -> str:
    """Return the rung in a line."""
    return f"rung {review.level}, {title(review)}"


def title(review: Review) -> str:
    """Return the title of the rung; a repository is not called deployed unless it can be."""
    is_seen = review.level < 3 or review.has_remote
    return review.levels[review.level].title if is_seen else BY_FILES


def not_seen(review: Review) -> str:
    """Return what a rung promises that could not be seen; empty if nothing."""
    if review.level < 3 or review.has_remote:
        return ""
    promised = review.levels[review.level].title
    return f"It has what `{promised}` needs; it has no git remote, so no deployment could be seen."


def by_rung(review: Review) -> str:
    """Return in a line what Rung brings of all that the next rung lacks, and with which commands."""
    to, answers = review.level + 1, _answers(review)
    if not (blockers := review.rating.blockers):
        return ""
    lacking = {blocker.finding.capability.id: blocker.finding for blocker in blockers}
    lacking |= {
        finding.capability.id: finding for finding in review.required(to) if not finding.holds
    }
    known = [finding.capability for finding in lacking.values()]
    left = [capability.id for capability in known if not capability.is_brought(answers)]
    brought = [capability for capability in known if capability.id not in left]
    forms = [capability.id for capability in brought if capability.records(answers)]
    if not brought:
        return ""
    some = f"all but {', '.join(left)}" if left else "all"
    if forms:
        some += f" (to fill in: {', '.join(forms)})"
    if review.answers is not None:
        return f"`rung climb --to {to}` brings {some}; `rung plan --to {to}` shows the files first."
    return f"Rung brings {some}: `rung adopt`, then `rung climb --to {to}`."


def average(review: Review) -> str:
    """Return the heading of the next steps that raise the average."""
    to = review.level + 1
    now = review.rating.averages[to]
    return f"Then, until rung {to} scores {MINIMUM_SCORE:.2f} on average ({now:.2f} now):"


def effort(review: Review, blocker: Blocker) -> str:
    """Return what a step takes, by hand and with Rung, and the points that it brings."""
    capability, answers = blocker.finding.capability, _answers(review)
    form = "its form" if capability.records(answers) else "it"
    brought = f"; Rung brings {form}" if capability.is_brought(answers) else ""
    points = "point" if blocker.brings == 1 else "points"
    return f"{capability.effort} by hand{brought}, {blocker.brings:g} {points}"


def _answers(review: Review) -> Mapping[str, str]:
    """Return the answers by which a climb of the repository goes."""
    return {"use_case": review.game, **(review.answers or {})}


def no_steps(review: Review) -> str:
    """Return the sentence for a review without next steps."""
    return NOTHING_NEXT if review.machine_learning else NO_MODEL


def sentence(reason: str) -> str:
    """Return the reason of a blocker as a sentence."""
    return f"{reason[0].upper()}{reason[1:]}."


def left_out(review: Review) -> list[str]:
    """Return a line for each reason why something was not read."""
    lines = [
        f"{number:,} {reason}, for example `{printable(review.left_out.examples[reason])}`"
        for reason, number in review.left_out.counts.items()
    ]
    if review.left_out.out_of_time:
        lines.append("the rest, as time ran out: this result is partial; `--seconds` gives more")
    return lines


def proof(finding: Finding) -> str:
    """Return what runs show about a finding; empty if no run exercises it."""
    if not finding.trials:
        return ""
    failed = [trial.command for trial in finding.trials if trial.result == "failed"]
    passed = [trial.command for trial in finding.trials if trial.result == "passed"]
    named = " and ".join(f"`{command}`" for command in failed or passed)
    return f"{finding.proof}: {named} {'failed' if failed else 'passed'}"


def how(review: Review) -> str:
    """Return the sentence that says whether anything was run."""
    return SOME_RUN if review.tried else NOTHING_RUN


def ran(trial: Trial) -> str:
    """Return the result of a run in a line."""
    if trial.result == "not run":
        return f"not run: {printable(trial.reason)}"
    if trial.reason:
        return f"{trial.result}: {trial.reason}"
    return f"{trial.result} in {trial.seconds:.1f} s"
