"""A review as one HTML page: the ladder, the profile, evidence that opens, next steps."""

from rung.check.report import facts
from rung.check.report.markdown import NO_MODEL, NOTHING
from rung.check.report.markup import prose, safe, table
from rung.check.report.page_evidence import evidence, runs
from rung.check.report.picture import ladder
from rung.check.report.styles import STYLES
from rung.check.review.review import Review

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
Files checked: {files}. {how} {counts_as}</p>
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
        name=safe(review.name),
        level=rung.level,
        title=safe(rung.title),
        promise=safe(rung.promise),
        microsoft=safe(rung.microsoft),
        google=safe(rung.google),
        game=safe(review.game),
        game_from=prose(review.game_from),
        files=f"{review.file_count:,}",
        how=_how(review),
        counts_as=safe(facts.counts_as(review)),
        runs=runs(review),
        notes="".join(f'<p class="note">{prose(note)}</p>' for note in review.notes),
        ladder=ladder(review),
        next=_next(review),
        profile=table(
            ("Block", "Points", "Capabilities"),
            [
                (
                    safe(block),
                    f'<meter min="0" max="1" value="{points:.2f}" aria-hidden="true"></meter> {points:.2f}',
                    str(number),
                )
                for block, (points, number) in review.standing.profile.items()
            ],
        ),
        final=f"{review.standing.final_score:g}",
        band=safe(review.standing.band),
        score=table(
            ("Section", "Points", "Tests that files can show, of 7"),
            [
                (name, f"{points:g}", str(tests))
                for name, (points, tests) in review.standing.score.items()
            ],
        ),
        evidence=evidence(review),
        left_out=_left_out(missing),
    )


def _next(review: Review) -> str:
    steps = "".join(
        f"<li><strong>{safe(blocker.finding.capability.id)}</strong> "
        f'<span class="effort">{safe(blocker.finding.capability.effort)}, +{blocker.brings:g}</span><br>'
        f"{prose(blocker.finding.capability.fix)} "
        f'<span class="quiet">{prose(blocker.reason[0].upper() + blocker.reason[1:])}.</span></li>'
        for blocker in review.standing.blockers
    )
    return (
        f"<p>{facts.lacks(review)}</p><ol>{steps}</ol>"
        if steps
        else f"<p>{NOTHING if review.machine_learning else NO_MODEL}</p>"
    )


def _how(review: Review) -> str:
    linked = '<a href="#runs">run in a copy</a>'
    return facts.how(review).replace("run in a copy", linked)


def _left_out(lines: list[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{safe(line)}</li>" for line in lines)
    return (
        f'<section aria-labelledby="left"><h2 id="left">Not checked</h2><ul>{items}</ul></section>'
    )
