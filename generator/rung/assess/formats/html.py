"""An assessment as one self-contained page, for light and dark, screen and paper."""

from collections.abc import Iterable
from html import escape

from rung.assess.assessment import Assessment
from rung.assess.formats import messages
from rung.assess.steps import Step
from rung.assess.strategy import Reckoned

STYLE = """\
:root { color-scheme: light dark; --text: light-dark(#1b1f24, #e6e8eb);
  --soft: light-dark(#57606a, #a3adb8); --page: light-dark(#ffffff, #14171b);
  --card: light-dark(#f4f6f8, #1e2329); --line: light-dark(#d0d7de, #3a424c);
  --accent: light-dark(#0b5cad, #6cb2ff); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; } h3 { margin: 0; font-size: 1.1rem; }
ol.ladder { list-style: none; margin: 1.5rem 0; padding: 0; display: flex;
  flex-direction: column-reverse; gap: .25rem; }
ol.ladder li { background: var(--card); border-left: .4rem solid var(--line);
  padding: .4rem .8rem; }
ol.ladder li.way { border-color: var(--accent); }
.mark { color: var(--accent); font-weight: 600; }
.soft { color: var(--soft); }
section.stage { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .8rem 1rem; margin: 1rem 0; }
summary { cursor: pointer; padding: .3rem 0; color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
table:has(th:nth-child(5)) { min-width: 34rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid var(--line); }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
code { overflow-wrap: anywhere; }
pre { background: var(--card); padding: .8rem; overflow-x: auto; }
@media print { @page { size: A4; margin: 9mm; } :root { color-scheme: light; }
  body { font-size: 8pt; line-height: 1.2; } main { padding: 0; max-width: none; }
  h1 { margin: 0 0 .4rem; font-size: 15pt; } h2 { margin: .7rem 0 .2rem; } p { margin: .3rem 0; }
  ol.ladder { margin: .5rem 0; } ol.ladder li { padding: .15rem .5rem; }
  th, td { padding: .1rem .4rem .1rem 0; } tr, pre { break-inside: avoid; } pre { padding: .4rem; }
  h2 { break-after: avoid; font-size: 11pt; } ul { margin: .2rem 0; }
  .capabilities table { font-size: 6.2pt; line-height: 1.1; table-layout: fixed; }
  .capabilities :is(th, td) { padding: .05rem .3rem .05rem 0; overflow-wrap: anywhere; }
  .capabilities th:nth-child(1) { width: 15%; } .capabilities th:nth-child(2) { width: 10%; }
  .capabilities th:nth-child(3) { width: 34%; } .capabilities th:nth-child(4) { width: 6%; }
  .capabilities th:nth-child(5) { width: 17%; }
  ol.ladder br { display: none; } pre { white-space: pre-wrap; overflow: hidden; }
  details, .screen { display: none; } }
"""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>MLOps strategy</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>MLOps strategy</h1>
<p>Game: <strong>{game}</strong>, {plays}. <span class="soft">{game_because}.</span></p>
<p>{warning}</p>
{contradictions}
<ol class="ladder" aria-label="The ladder, lowest rung first">
{ladder}
</ol>
<h2>Steps</h2>
{steps}
<p class="soft">{effort}</p>
<h2>To walk it</h2>
<pre tabindex="0"><code>{commands}</code></pre>
<details><summary>The rungs, the game and the pace, term by term</summary>
{rungs}
<h3>How far this is the governance game: {score:.2f}</h3>
{score_terms}
<h3>The pace of adoption: {adoption:.2f}</h3>
{adoption_terms}
</details>
{beside}
<section class="capabilities"><h2>What to do</h2>
{to_do}
</section>
<h2 class="screen">Why these steps, in this order</h2>
{reasons}
<details><summary>Not yet, and why</summary>
{not_yet}
</details>
<details><summary>The answers</summary>
{answers}
</details>
<p class="soft">{source}</p>
</main>
</body>
</html>
"""


def render(assessment: Assessment, *, explain: bool) -> str:
    """Return the assessment as a page that loads nothing and prints on two sheets."""
    strategy, steps = assessment.strategy, assessment.roadmap.steps
    beside = _list(escape(messages.beside(other)) for other in assessment.roadmap.beside)
    against = _list(map(escape, assessment.contradictions))
    return PAGE.format(
        style=STYLE,
        game=escape(strategy.game.name),
        plays=escape(messages.GAMES[strategy.game.name]),
        game_because=escape(strategy.game.because),
        warning=escape(assessment.weights.warning),
        contradictions=f"<p>These answers do not go together:</p>\n{against}" if against else "",
        ladder="\n".join(_rung(assessment, level) for level in range(len(assessment.levels))),
        steps=_table("Steps", messages.STEP_COLUMNS, messages.step_rows(assessment)),
        effort=escape(messages.EFFORT),
        commands=escape(
            "\n".join(f"# {brings}\n{command}" for command, brings in messages.commands(assessment))
        ),
        rungs=_table(
            "The rungs",
            ("For you", "Rung", "Because"),
            (
                (
                    name,
                    f"{rung.level} {assessment.levels[rung.level].title}",
                    "; ".join(rung.because),
                )
                for name, rung, _ in messages.rungs(assessment)
            ),
        ),
        score=strategy.game.score.total,
        score_terms=_terms("The game, term by term", strategy.game.score),
        adoption=strategy.adoption.total,
        adoption_terms=_terms("The pace, term by term", strategy.adoption),
        to_do=_to_do(steps),
        reasons="\n".join(_reasons(step) for step in steps),
        beside=f"<h2>To reach the target anyway</h2>\n{beside}" if beside else "",
        not_yet=_list(
            f"<strong>{escape(entry.what)}</strong>: {escape(entry.because)}"
            for entry in assessment.roadmap.not_yet
        ),
        answers=_table(
            "The answers", ("Question", "Answer", "Note"), messages.answered(assessment)
        ),
        source=escape(assessment.weights.source),
    )


def _rung(assessment: Assessment, level: int) -> str:
    strategy = assessment.strategy
    marks = [name for name, rung, _ in messages.rungs(assessment) if rung.level == level]
    way = strategy.start.level <= level <= strategy.target.level
    mark = f' <span class="mark">{escape(", ".join(marks))}</span>' if marks else ""
    return (
        f"<li{' class=way' if way else ''}><strong>{level} {escape(assessment.levels[level].title)}"
        f'</strong>{mark} <br><span class="soft">{escape(assessment.levels[level].promise)}</span></li>'
    )


def _to_do(steps: Iterable[Step]) -> str:
    tasks = _list(escape(task) for step in steps for task in step.tasks)
    rows = [
        (
            item.capability.id,
            f"{step.name}, {item.rung}",
            item.capability.fix,
            item.capability.effort,
            item.with_rung,
            item.capability.source,
        )
        for step in steps
        for item in step.to_do
    ]
    head = ("Capability", "Step, rung", "To do", "By hand", "With Rung", "Source")
    return tasks + (_table("What to do", head, rows) if rows else "")


def _reasons(step: Step) -> str:
    block = step.block
    rows = (
        (item.capability.id, str(item.rung), item.state, item.capability.why, *item.because[1:])
        for item in step.items
    )
    return "\n".join(
        [
            f"<details><summary>{escape(messages.step_title(step))}</summary>",
            f"<p>Priority {escape(messages.priority(block))}</p>" if block else "",
            _terms(f"{step.name}, term by term", block.worth) if block else "",
            _list(map(escape, messages.reasons(step))),
            _table(step.name, ("Capability", "Rung", "State", "Why", "Because", ""), rows)
            if step.items
            else "",
            f'<p class="soft">Later, with its rung: {escape(messages.later(step))}.</p>'
            if step.later
            else "",
            "</details>",
        ]
    )


def _terms(label: str, reckoned: Reckoned) -> str:
    return _table(
        label,
        ("Weight", "Share", "Points", "Of"),
        (
            (
                f"{term.weight:.2f}",
                f"{term.share:.2f}",
                f"{term.points:.2f}",
                f"{term.what}: {term.answer}" if term.answer else term.what,
            )
            for term in reckoned.terms
        ),
    )


def _table(label: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "\n".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(label)}">'
        f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _list(entries: Iterable[str]) -> str:
    items = "\n".join(f"<li>{entry}</li>" for entry in entries)
    return f"<ul>\n{items}\n</ul>" if items else ""
