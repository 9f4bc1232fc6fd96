"""A review as Markdown, for a comment on a pull or merge request."""

from collections.abc import Iterator

from rung.check.report import facts
from rung.check.review.predicates import Match
from rung.check.review.review import Review
from rung.system.printable import printable


def make(review: Review, before: Review | None = None) -> str:
    """Return a review as Markdown, with the changes against the base, if any."""
    rung = review.levels[review.level]
    lines = [
        f"## Rung {review.level}, {facts.title(review)}",
        "",
        f"Microsoft {rung.microsoft}; Google {rung.google}. Use case: {review.game} ({review.game_from}).",
        facts.not_seen(review),
        facts.how(review),
        _plain(facts.counts_as(review)),
        "",
    ]
    lines += [f"> {_plain(note)}" for note in review.notes] + [""] * bool(review.notes)
    if before is not None:
        lines += _changes(review, before)
    lines += ["### Next", ""]
    lines += [facts.lacks(review), ""] if facts.lacks(review) else []
    lines += [facts.by_rung(review), ""] if facts.by_rung(review) else []
    lines += list(_steps(review)) or [facts.no_steps(review)]
    lines += _runs(review)
    lines += ["", "### Profile", "", "| Block | Points | Capabilities |", "|-|-:|-:|"]
    lines += [
        f"| {block} | {points:.2f} | {number} |"
        for block, (points, number) in review.rating.profile.items()
    ]
    lines += ["", "<details><summary>Every finding</summary>", ""]
    lines += ["| Rung | Capability | Tier | Evidence |", "|-|-|-|-|"]
    for finding in review.findings.values():
        level = finding.rung(review.game)
        if level is not None:
            match = facts.best(finding)
            evidence = _evidence(match) if match else ""
            if finding.statement:
                evidence = _plain(facts.stated(finding.statement))
            if finding.trials:
                evidence = (
                    f"**{finding.proof}** {facts.proof(finding).partition(': ')[2]}; {evidence}"
                )
            lines.append(
                f"| {level} | {finding.capability.id} | {finding.tier or 'none'} | {evidence} |"
            )
    lines += [
        f"| {level.level} | {name} | not applicable |  |"
        for level in review.levels
        for name in review.not_applicable(level.level)
    ]
    lines += ["", "</details>", ""]
    missing = facts.left_out(review)
    if missing:
        lines += ["Not checked: " + "; ".join(map(_plain, missing)) + ".", ""]
    return "\n".join(lines)


def _steps(review: Review) -> Iterator[str]:
    is_must = True
    for blocker in review.rating.blockers:
        if is_must and not blocker.must_have:
            is_must = False
            yield f"\n{facts.average(review)}\n"
        capability = blocker.finding.capability
        why = f"{facts.sentence(blocker.reason)} {capability.why} " if blocker.must_have else ""
        existing = facts.exists(blocker.finding)
        found = f" Found so far: {_code(existing.replace('`', chr(39))[:120])}." if existing else ""
        yield (
            f"- **{capability.id}** ({facts.effort(review, blocker)}): {why}"
            f"{_plain(blocker.change)}{found}"
        )


def _runs(review: Review) -> list[str]:
    if not review.tried:
        return []
    head = ["", "### Run in a copy", ""]
    if not review.trials:
        return [*head, facts.NOTHING_TO_RUN]
    lines = []
    for trial in review.trials:
        lines.append(f"- {_code(trial.command)} {_plain(facts.ran(trial))}")
        if trial.result in ("failed", "timed out") and trial.tail:
            lines += ["", *(f"      {line}" for line in trial.tail), ""]
    return head + lines


def _changes(review: Review, before: Review) -> list[str]:
    changed = facts.changes(review, before)
    head = f"### Against the base: rung {before.level} to {review.level}"
    if not changed:
        return [head, "", "No capability changed.", ""]
    rows = [
        f"| {change['capability']} | {change['before'] or 'none'} | {change['after'] or 'none'} |"
        for change in changed
    ]
    return [head, "", "| Capability | Before | After |", "|-|-|-|", *rows, ""]


def _evidence(match: Match) -> str:
    code = facts.matched(match).replace("`", "'")[:80]
    return (
        f"{_plain(facts.location(match))} {_code(code)}"
        if match.text != match.path
        else _plain(facts.location(match))
    )


def _code(text: str) -> str:
    return f"`{text.replace('|', '&#124;') if '|' in text else text}`"


def _plain(text: str) -> str:
    """Escape text from a repository, so that Markdown shows it as it is."""
    safe = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    for letter in "\\*[]|":
        safe = safe.replace(letter, f"\\{letter}" if letter != "|" else "&#124;")
    return safe
