"""The report as one HTML file that needs nothing else."""

from html import escape
from string import Template

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1d2733; --paper: #fff; --line: #d6dbe1; --soft: #5b6775; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --paper: #151a21; --line: #38414d; --soft: #a4aebb; }
}
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; } h2 { margin-top: 2.5rem; } p.lead { color: var(--soft); margin-top: .25rem; }
dl { display: flex; flex-wrap: wrap; gap: 1rem; }
dl div { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.5rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-radius: .5rem;
  padding: .5rem; }
figure svg { width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
</style>
<main>
<h1>$title</h1>
<p class="lead">$lead</p>
<h2>Scores on the test rows</h2>
<dl>$scores</dl>
<h2>Plots</h2>
<div class="plots">$plots</div>
<h2>Slices</h2>
<div class="wide">$slices</div>
</main>
</html>
""")


def page(
    title: str,
    lead: str,
    metrics: dict[str, float],
    plots: list[tuple[str, str]],
    slices: list[dict[str, object]],
) -> str:
    """Put the page together.

    Args:
        title: the heading.
        lead: one sentence on the model and its rows.
        metrics: the figures of score().
        plots: what each shows, for those who cannot see it, and its SVG.
        slices: one mapping of column names to cells for each row of the table.
    """
    return PAGE.substitute(
        title=escape(title),
        lead=escape(lead),
        scores="".join(
            f"<div><dt>{escape(name)}</dt><dd>{value:.4g}</dd></div>"
            for name, value in metrics.items()
        ),
        plots="\n".join(
            f'<figure role="img" aria-label="{escape(what)}">{drawn}</figure>'
            for what, drawn in plots
        ),
        slices=_table(slices),
    )


def _table(rows: list[dict[str, object]]) -> str:
    if not rows:
        return "<p>No slices are named under [report] in params.toml.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else f"{value}"
