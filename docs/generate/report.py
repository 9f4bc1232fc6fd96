"""docs/report.svg, a part of a model's report, drawn by the library from the tables of a real one.

uv run --group machinery python docs/generate/report.py

report.json has the figures and the tables of reports/plots that `uv run poe pipeline` wrote in an
unchanged velocity project on rung 2, on 1 December 2026. To take another run, put its figures there.
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import polars as pl

from rung_ops.project import Project, use
from rung_ops.system import html
from rung_ops.training import plots

RUN = Path(__file__).with_suffix(".json")
WIDTH, MARGIN, LINE = 760, 18, 26  # in pixels
COLUMNS = (0, 250, 410, 540)  # where those of the table end; the first begins there
RULES = (":root", "@media (prefers-color-scheme: dark)")  # the colours of the page


def picture(run: dict[str, Any]) -> str:
    """Draw the figures as a table, above the worst slices and the importance of the features."""
    rows = [("Figure", "Model", "95% interval", "A constant"), *map(tuple, run["figures"])]
    texts, y = [], MARGIN + 14
    for number, row in enumerate(rows):
        kind = "bold" if number < 2 else ""
        for place, (at, text) in enumerate(zip(COLUMNS, row, strict=True)):
            anchor = "end" if place else "start"
            texts.append(
                f'<text class="{kind}" x="{MARGIN + at}" y="{y}" text-anchor="{anchor}">'
                f"{escape(text)}</text>"
            )
        texts.append(f'<line x1="{MARGIN}" x2="{MARGIN + COLUMNS[-1]}" y1="{y + 8}" y2="{y + 8}"/>')
        y += LINE
    slices, importances = (pl.DataFrame(run[name]) for name in ("slices", "importances"))
    drawn = [
        plots.svg(plots.draw_by_slice(slices, run["overall"]), slices, what="Slices"),
        plots.svg(plots.draw_importances, importances, what="Feature importance"),
    ]
    high = 0.0
    for number, plot in enumerate(drawn):
        sizes = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', plot)
        assert sizes  # matplotlib writes it
        scale = (WIDTH / 2 - MARGIN * 1.5) / float(sizes[1])
        high = max(high, float(sizes[2]) * scale)
        x = MARGIN + number * (WIDTH / 2 - MARGIN / 2)
        # Two plots in a file would share the names of their glyphs and clips.
        plot = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>p{number}-", plot)
        plot = re.sub(r'<g fill="none" pointer-events="all">.*?</g>', "", plot, flags=re.DOTALL)
        plot = re.sub(
            r'\s(?:width|height)="[\d.]+pt"|<!--.*?-->|^ +|<metadata>.*?</metadata>',
            "",
            plot,
            flags=re.DOTALL | re.MULTILINE,
        )
        plot = re.sub(r"\n{2,}", "\n", plot)
        box = f'x="{x:g}" y="{y}" width="{WIDTH / 2 - MARGIN * 1.5:g}" height="{float(sizes[2]) * scale:.1f}"'
        texts.append(plot.replace("<svg ", f"<svg {box} ", 1).rstrip())
    height = y + high + MARGIN
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {WIDTH} {height:.0f}">\n<style>\n{_colours()}\n'
        "text { font: 15px system-ui, sans-serif; fill: var(--ink); }\n.bold { font-weight: 700; }\n"
        "line { stroke: var(--line); }\n</style>\n"
        f'<rect width="{WIDTH}" height="{height:.0f}" rx="8" style="fill: var(--paper)"/>\n'
        + "\n".join(texts)
        + "\n</svg>\n"
    )


def _colours() -> str:
    frame = Path(html.__file__).with_name("frame.html").read_text("utf-8")
    styles = frame.partition("<style>\n")[2].partition("{% block style %}")[0]
    rules = re.split(r"\n(?=[^\s}])", styles)
    return "\n".join(rule.rstrip("\n") for rule in rules if rule.startswith(RULES))


def main() -> None:
    """Print the picture."""
    run = json.loads(RUN.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "params.toml").write_text(run["params"], "utf-8")  # which metric decides
        with use(Project.of(Path(folder))):
            print(picture(run), end="")


if __name__ == "__main__":
    main()
