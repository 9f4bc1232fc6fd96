"""The part of the page that shows why: runs, and each capability with what was found of it."""

from html import escape

from rung.check.report import facts
from rung.check.report.markup import prose, safe
from rung.check.review.findings import Finding
from rung.check.review.review import Review

TIER_LABELS = {"automated": "automated", "used": "used", "declared": "declared", None: "not found"}


def runs(review: Review) -> str:
    """Return the section on what was run; nothing if nothing was to be run."""
    if not review.tried:
        return ""
    parts = []
    for trial in review.trials:
        shown = trial.result in ("failed", "timed out") and trial.tail
        tail = f'<pre tabindex="0">{escape(chr(10).join(trial.tail))}</pre>' if shown else ""
        parts.append(
            f"<li><code>{escape(trial.command)}</code> {prose(facts.ran(trial))}{tail}</li>"
        )
    listed = f"<ul>{''.join(parts)}</ul>" if parts else f"<p>{facts.NOTHING_TO_RUN}</p>"
    return f'<section aria-labelledby="runs"><h2 id="runs">Run in a copy</h2>{listed}</section>\n'


def evidence(review: Review) -> str:
    """Return every capability that the game asks for, to be opened."""
    parts = []
    for level in review.levels:
        asked = [one for one in review.findings.values() if one.rung(review.game) == level.level]
        average = review.standing.averages[level.level]
        parts.append(f"<h3>Rung {level.level}, {safe(level.title)}: {average:.2f}</h3>")
        parts += [_finding(finding) for finding in asked]
    return "".join(parts)


def _finding(finding: Finding) -> str:
    capability = finding.capability
    tier = finding.tier or "none"
    hits = "".join(
        f'<li><span class="tier {shown.tier}">{shown.tier}</span> '
        f"<code>{escape(facts.location(shown.hit))}</code> <q>{escape(facts.matched(shown.hit))}</q></li>"
        for shown in finding.shown
    )
    proof = ""
    if finding.trials:
        proof = f' <span class="proof {finding.proof}">{prose(facts.proof(finding))}</span>'
    word = ""
    if finding.statement:
        statement = finding.statement
        word = f'<p class="note">{statement.kind} until {statement.until}: {safe(statement.reason)} {safe(statement.link)}</p>'
    return (
        f"<details><summary><span class='name'>{safe(capability.id)}</span> "
        f'<span class="tier {tier}">{TIER_LABELS[finding.tier]}</span>{proof}</summary>'
        f"<p>{safe(capability.why)}</p>{word}"
        f"{f'<ul>{hits}</ul>' if hits else '<p>Nothing was found.</p>'}"
        f"<p><strong>To do</strong> ({safe(capability.effort)}): {prose(capability.fix)}</p>"
        f'<p class="quiet">Source: {safe(capability.source)}</p></details>'
    )
