"""An assessment as one self-contained page, for light and dark, screen and paper."""

from collections.abc import Iterable
from html import escape

from rung.assess.assessment import Assessment
from rung.assess.formats import words
from rung.assess.roadmap import Item, Stage
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
@media print { details::details-content { content-visibility: visible; block-size: auto; }
  section.stage { break-inside: avoid; } }
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
<ol class="ladder" aria-label="The ladder, lowest rung first">
{ladder}
</ol>
<h2>The rungs</h2>
{rungs}
<details><summary>The game and the pace, term by term</summary>
<h3>How far this is the governance game: {score:.2f}</h3>
{score_terms}
<h3>The pace of adoption: {pace:.2f}</h3>
{pace_terms}
</details>
<h2>Order of work</h2>
{stages}
{beside}
<h2>Not yet</h2>
{not_yet}
<h2>The answers</h2>
{answers}
<h2>{next_title}</h2>
<pre tabindex="0"><code>{next_step}</code></pre>
<p class="soft">{source}</p>
</main>
</body>
</html>
"""


def as_html(made: Assessment) -> str:
    """Return the assessment as a page that loads nothing."""
    strategy = made.strategy
    beside = _list(escape(words.beside(found)) for found in made.roadmap.beside)
    return PAGE.format(
        style=STYLE,
        game=escape(strategy.game.name),
        plays=escape(words.GAMES[strategy.game.name]),
        game_because=escape(strategy.game.because),
        warning=escape(made.weights.warning),
        ladder="\n".join(_rung(made, level) for level in range(len(made.levels))),
        rungs=_table(
            "The rungs",
            ("For you", "Rung", "Because"),
            (
                (name, f"{rung.level} {made.levels[rung.level].title}", "; ".join(rung.because))
                for name, rung, _ in words.rungs(made)
            ),
        ),
        score=strategy.game.score.total,
        score_terms=_terms("The game, term by term", strategy.game.score),
        pace=strategy.pace.total,
        pace_terms=_terms("The pace, term by term", strategy.pace),
        stages="\n".join(_stage(made, stage) for stage in made.roadmap.stages)
        or "<p>Nothing: no block reaches the bound.</p>",
        beside=f"<h2>To stand on the target all the same</h2>\n{beside}" if beside else "",
        not_yet=_list(
            f"<strong>{escape(entry.what)}</strong>: {escape(entry.because)}"
            for entry in made.roadmap.not_yet
        ),
        answers=_table("The answers", ("Question", "Answer", "Note"), words.answered(made)),
        next_title=words.next_title(made),
        next_step=escape(words.next_step(made)),
        source=escape(made.weights.source),
    )


def _rung(made: Assessment, level: int) -> str:
    strategy = made.strategy
    marks = [name for name, rung, _ in words.rungs(made) if rung.level == level]
    way = strategy.start.level <= level <= strategy.target.level
    mark = f' <span class="mark">{escape(", ".join(marks))}</span>' if marks else ""
    return (
        f"<li{' class=way' if way else ''}><strong>{level} {escape(made.levels[level].title)}"
        f'</strong>{mark}<br><span class="soft">{escape(made.levels[level].promise)}</span></li>'
    )


def _stage(made: Assessment, stage: Stage) -> str:
    block = stage.block
    reasons = [*words.after(block), f"gap {block.gap:.2f}: {block.gap_because}"]
    later = ", ".join(f"{item.capability.id} ({item.rung})" for item in stage.later)
    return "\n".join(
        [
            f'<section class="stage"><h3>{escape(block.name.capitalize())}</h3>',
            f"<p>Priority {escape(words.priority(block))}</p>",
            f"<details><summary>Why {escape(block.name)}, term by term</summary>",
            _terms(f"{block.name}, term by term", block.worth),
            _list(map(escape, reasons)),
            "</details>",
            _items(block.name, stage.items)
            if stage.items
            else f"<p>{escape(words.nothing(made, stage))}</p>",
            f'<p class="soft">Later, with its rung: {escape(later)}.</p>' if later else "",
            "</section>",
        ]
    )


def _items(block: str, items: tuple[Item, ...]) -> str:
    return _table(
        f"{block}, capabilities",
        ("Capability", "Rung", "State", "Why", "Because"),
        (
            (
                item.capability.id,
                str(item.rung),
                item.state,
                item.capability.why,
                "; ".join(item.because),
            )
            for item in items
        ),
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
                f"{term.what}: {term.said}" if term.said else term.what,
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
