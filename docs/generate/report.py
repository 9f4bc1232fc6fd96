"""docs/report.svg, a part of a model's report, drawn by the library from the tables of a real one.

uv run --group machinery python docs/generate/report.py report
uv run --group machinery python docs/generate/report.py report-narrow  # for a phone

report.json has the figures and the tables of reports/plots that `uv run poe pipeline` wrote in an
unchanged velocity project on rung 2, on 1 December 2026. To take another run, put its figures there.
"""

import json
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import polars as pl

from rung_ops.project import Project, use
from rung_ops.system import html
from rung_ops.training import plots

RUN = Path(__file__).with_suffix(".json")
LINE = 26  # pixels, as all sizes here
RULES = (":root", "@media (prefers-color-scheme: dark)")  # the colours of the page


@dataclass(frozen=True)
class Shape:
    """How wide the picture is, and what stands beside what."""

    width: int
    margin: int
    text: int
    columns: tuple[int, ...]  # where those of the table end; the first begins there
    across: int  # plots in a row


SHAPES = {
    "report": Shape(760, 18, 15, (0, 250, 410, 540), 2),
    "report-narrow": Shape(376, 8, 11, (0, 158, 276, 360), 1),
}


def picture(run: dict[str, Any], shape: Shape) -> str:
    """Draw the figures as a table, above the worst slices and the importance of the features."""
    margin, columns = shape.margin, shape.columns
    rows = [("Figure", "Model", "95% interval", "A constant"), *map(tuple, run["figures"])]
    texts, y = [], margin + 14
    for number, row in enumerate(rows):
        kind = "bold" if number < 2 else ""
        for place, (at, text) in enumerate(zip(columns, row, strict=True)):
            anchor = "end" if place else "start"
            texts.append(
                f'<text class="{kind}" x="{margin + at}" y="{y}" text-anchor="{anchor}">'
                f"{escape(text)}</text>"
            )
        texts.append(f'<line x1="{margin}" x2="{margin + columns[-1]}" y1="{y + 8}" y2="{y + 8}"/>')
        y += LINE
    slices, importances = (pl.DataFrame(run[name]) for name in ("slices", "importances"))
    drawn = [
        plots.svg(plots.draw_by_slice(slices, run["overall"]), slices, what="Slices"),
        plots.svg(plots.draw_importances, importances, what="Feature importance"),
    ]
    bottom = 0.0
    across = (shape.width - margin * (shape.across + 1)) / shape.across
    for number, plot in enumerate(drawn):
        sizes = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', plot)
        assert sizes  # matplotlib writes it
        high = float(sizes[2]) * across / float(sizes[1])
        down, beside = divmod(number, shape.across)
        top, x = y + down * (high + margin), margin + beside * (across + margin)
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
        box = f'x="{x:g}" y="{top:g}" width="{across:g}" height="{high:.1f}"'
        texts.append(plot.replace("<svg ", f"<svg {box} ", 1).rstrip())
        bottom = max(bottom, top + high)
    height = bottom + margin
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {shape.width} {height:.0f}">\n<style>\n{_colours()}\n'
        f"text {{ font: {shape.text}px system-ui, sans-serif; fill: var(--ink); }}\n"
        ".bold { font-weight: 700; }\n"
        "line { stroke: var(--line); }\n</style>\n"
        f'<rect width="{shape.width}" height="{height:.0f}" rx="8" style="fill: var(--paper)"/>\n'
        + "\n".join(texts)
        + "\n</svg>\n"
    )


def _colours() -> str:
    frame = Path(html.__file__).with_name("frame.html").read_text("utf-8")
    styles = frame.partition("<style>\n")[2].partition("{% block style %}")[0]
    rules = re.split(r"\n(?=[^\s}])", styles)
    return "\n".join(rule.rstrip("\n") for rule in rules if rule.startswith(RULES))


def main() -> None:
    """Print the picture of the shape that the first argument names."""
    run = json.loads(RUN.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "params.toml").write_text(run["params"], "utf-8")  # which metric decides
        with use(Project.at(Path(folder))):
            print(picture(run, SHAPES[sys.argv[1]]), end="")


if __name__ == "__main__":
    main()
