"""A review as one HTML page: the ladder, the profile, evidence that opens, next steps."""

import re
from html import escape

from rung.report import facts
from rung.report.markdown import NO_MODEL, NOTHING
from rung.report.picture import ladder
from rung.report.styles import STYLES
from rung.review.findings import Finding
from rung.review.hit import printable
from rung.review.review import Review

WORDS = {"automated": "automated", "used": "used", "declared": "declared", None: "not found"}

STATIC = "Read, not run: every finding is static."
TRIED = 'Some of it was <a href="#runs">run in a copy</a>; every other finding is static.'

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name}: rung {level}</title>
<style>
{styles}
</style>
</head>
<body>
<a class="skip" href="#next">Go to the next steps</a>
<header>
<p class="over">{name}</p>
<h1>Rung {level}: {title}</h1>
<p>{promise}</p>
<p class="quiet">Microsoft {microsoft}; Google {google}. Game: {game} ({game_from}).
{files} files looked at. {how}</p>
{notes}
</header>
<main>
<section aria-labelledby="ladder"><h2 id="ladder">The ladder</h2>{ladder}</section>
<section aria-labelledby="next"><h2 id="next">Next steps</h2>{next}</section>
{runs}<section aria-labelledby="profile"><h2 id="profile">Profile</h2>
<p class="quiet">Points on average: declared 0.25, used 0.5, automated 1.</p>{profile}</section>
<section aria-labelledby="score"><h2 id="score">ML Test Score</h2>
<p>{final} points: {band}. It is the least of the four sections, as far as files show.</p>{score}</section>
<section aria-labelledby="evidence"><h2 id="evidence">Evidence</h2>
<p class="quiet">Open a capability to see what was found, and where. What is wrong can be disputed:
see <code>rung check --explain NAME</code>.</p>{evidence}</section>
{left_out}
</main>
</body>
</html>
"""


def make(review: Review, before: Review | None = None) -> str:
    """Return a review as a self-contained page."""
    rung = review.levels[review.level]
    missing = facts.left_out(review)
    return PAGE.format(
        styles=STYLES,
        name=_safe(review.name),
        level=rung.level,
        title=_safe(rung.title),
        promise=_safe(rung.promise),
        microsoft=_safe(rung.microsoft),
        google=_safe(rung.google),
        game=_safe(review.game),
        game_from=_words(review.game_from),
        files=f"{review.looked_at:,}",
        how=TRIED if review.tried else STATIC,
        runs=_runs(review),
        notes="".join(f'<p class="note">{_safe(note)}</p>' for note in review.notes),
        ladder=ladder(review),
        next=_next(review),
        profile=_table(
            ("Block", "Points", "Capabilities"),
            [
                (
                    _safe(block),
                    f'<meter min="0" max="1" value="{points:.2f}" aria-hidden="true"></meter> {points:.2f}',
                    str(number),
                )
                for block, (points, number) in review.standing.profile.items()
            ],
        ),
        final=f"{review.standing.final_score:g}",
        band=_safe(review.standing.band),
        score=_table(
            ("Section", "Points", "Tests looked for, of 7"),
            [
                (name, f"{points:g}", str(tests))
                for name, (points, tests) in review.standing.score.items()
            ],
        ),
        evidence=_evidence(review),
        left_out=_left_out(missing),
    )


def _safe(text: str) -> str:
    return escape(printable(text))


def _words(text: str) -> str:
    """Return a text of Rung's own, with what can be typed as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _safe(text))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _next(review: Review) -> str:
    steps = "".join(
        f"<li><strong>{_safe(blocker.finding.capability.id)}</strong> "
        f'<span class="effort">{_safe(blocker.finding.capability.effort)}</span><br>'
        f"{_words(blocker.finding.capability.fix)} "
        f'<span class="quiet">{_safe(blocker.reason[0].upper() + blocker.reason[1:])}.</span></li>'
        for blocker in review.standing.blockers
    )
    return (
        f"<ol>{steps}</ol>"
        if steps
        else f"<p>{NOTHING if review.machine_learning else NO_MODEL}</p>"
    )


def _runs(review: Review) -> str:
    if not review.tried:
        return ""
    parts = []
    for trial in review.trials:
        shown = trial.result in ("failed", "timed out") and trial.tail
        tail = f'<pre tabindex="0">{escape(chr(10).join(trial.tail))}</pre>' if shown else ""
        parts.append(
            f"<li><code>{escape(trial.command)}</code> {_words(facts.ran(trial))}{tail}</li>"
        )
    said = f"<ul>{''.join(parts)}</ul>" if parts else f"<p>{facts.NOTHING_TO_RUN}</p>"
    return f'<section aria-labelledby="runs"><h2 id="runs">Run in a copy</h2>{said}</section>\n'


def _evidence(review: Review) -> str:
    parts = []
    for level in review.levels:
        asked = [
            one
            for one in review.findings.values()
            if one.capability.rung(review.game) == level.level
        ]
        average = review.standing.averages[level.level]
        parts.append(f"<h3>Rung {level.level}, {_safe(level.title)}: {average:.2f}</h3>")
        parts += [_finding(finding) for finding in asked]
    return "".join(parts)


def _finding(finding: Finding) -> str:
    capability = finding.capability
    tier = finding.tier or "none"
    hits = "".join(
        f'<li><span class="tier {shown.tier}">{shown.tier}</span> '
        f"<code>{escape(facts.place(shown.hit))}</code> <q>{escape(facts.matched(shown.hit))}</q></li>"
        for shown in finding.shown
    )
    proof = ""
    if finding.trials:
        proof = f' <span class="proof {finding.proof}">{_words(facts.proof(finding))}</span>'
    word = ""
    if finding.word:
        said = finding.word
        word = f'<p class="note">{said.kind} until {said.until}: {_safe(said.reason)} {_safe(said.link)}</p>'
    return (
        f"<details><summary><span class='name'>{_safe(capability.id)}</span> "
        f'<span class="tier {tier}">{WORDS[finding.tier]}</span>{proof}</summary>'
        f"<p>{_safe(capability.why)}</p>{word}"
        f"{f'<ul>{hits}</ul>' if hits else '<p>Nothing was found.</p>'}"
        f"<p><strong>To do</strong> ({_safe(capability.effort)}): {_words(capability.fix)}</p>"
        f'<p class="quiet">Source: {_safe(capability.source)}</p></details>'
    )


def _left_out(lines: list[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{_safe(line)}</li>" for line in lines)
    return f'<section aria-labelledby="left"><h2 id="left">Not looked at</h2><ul>{items}</ul></section>'
