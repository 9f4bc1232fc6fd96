"""Build the model card from the text of docs/model_card.md and the figures of the last run."""

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rung_ops.project import active_addons, current, documents
from rung_ops.project.paths import shown
from rung_ops.system.printable import four_digits, in_markdown
from rung_ops.training import refit


def prose_file() -> Path:
    """Return the path of the model card that the team writes."""
    return current().root / "docs/model_card.md"


# Titles of reports, in the order of the card; other reports follow by name.
TITLES = {
    "run": "The run",
    "metrics": "Scores on the test rows",
    "comparison": "Compared with a baseline",
    "slices": "By slice",
    "fairness": "By group",
    "explanations": "Feature importance",
    "validation": "Validation of the data",
}
PRIVATE = {"examples"}  # left out: single rows may describe a person
MAX_LINES = 20
BY_CLASS = "by_class"  # table of precision and recall, beside its plot


def card(prose: str, reports: Path, origin: str | None = None) -> str:
    """Build a model card of its prose and a folder of reports; `origin` names another model."""
    parts = [
        documents.resolved(prose, current().root).rstrip(),
        "",
        "## Figures of the run",
        "",
        origin or " ".join(filter(None, [_local_origin(), refit.recorded(reports)])),
    ]
    left_out = {name for addon in active_addons.active().values() for name in addon.reports}
    left_out.add(refit.ROWS)  # the origin has them in a sentence
    for path in sorted(reports.glob("*.json"), key=_order):
        if path.name in left_out:
            continue
        title = TITLES.get(path.stem, path.stem.replace("_", " ").capitalize())
        content = json.loads(path.read_text(encoding="utf-8"))
        parts += ["", f"### {title}", "", *_markdown(content)]
    if (by_class := reports / "plots" / f"{BY_CLASS}.csv").is_file():
        with by_class.open(encoding="utf-8", newline="") as file:
            parts += ["", "### By class", "", *_table(list(csv.DictReader(file)))]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def figures(content: Any) -> str:
    """Format the JSON of a report as Markdown; single rows are left out."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(_markdown(content))).strip()


def _local_origin() -> str:
    if not current().model_file.is_file():
        return f"The model of these figures is missing: there is no {shown(current().model_file)}."
    digest = hashlib.sha256(current().model_file.read_bytes()).hexdigest()
    return f"Model: {shown(current().model_file)}, SHA-256 `{digest}`."


def _order(path: Path) -> tuple[int, str]:
    known = list(TITLES)
    return known.index(path.stem) if path.stem in known else len(known), path.stem


def _markdown(content: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Format JSON as Markdown: each mapping of figures as a table below its name."""
    if not content:
        return
    if not _nested(content):
        content = [content]
    rows = content if isinstance(content, list) else list(content.values())
    if path and (all(_flat(row) for row in rows) or not any(_nested(row) for row in rows)):
        yield from (f"**{', '.join(_cell(_label(name)) for name in path)}**", "")
    if all(_flat(row) for row in rows):
        named = content.items() if isinstance(content, dict) else ()
        yield from _table([{"": name, **row} for name, row in named] or rows)
    elif isinstance(content, list):
        for row in rows[:MAX_LINES]:
            yield from _markdown(row, path) if _nested(row) else (f"- {_cell(row)}",)
        yield ""
    else:
        single = {key: value for key, value in content.items() if not _nested(value)}
        if single:
            yield from _table([{"": key, " ": value} for key, value in single.items()])
        for key, value in content.items():
            if _nested(value) and key not in PRIVATE:
                yield from _markdown(value, (*path, key))


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    yield f"|{'|'.join(_cell(_label(name)) for name in names)}|"
    yield f"|{'|'.join('-' for _ in names)}|"
    for row in rows[:MAX_LINES]:
        yield f"|{'|'.join(_cell(row.get(name, '')) for name in names)}|"
    if len(rows) > MAX_LINES:
        yield from ("", f"{len(rows) - MAX_LINES} more lines are in the report.")
    yield ""


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _flat(row: Any) -> bool:
    return isinstance(row, dict) and not any(_nested(value) for value in row.values())


def _label(name: str) -> str:
    return str(name).replace("_", " ")


def _cell(value: Any) -> str:
    if value is None:
        return "undefined"
    if isinstance(value, float):
        return four_digits(value)
    return in_markdown(str(value))


def main() -> int:
    """Write reports/model_card.md; return the exit code."""
    if not prose_file().is_file():
        print(f"{shown(prose_file())} is missing: write what the model is for.", file=sys.stderr)
        return 1
    if not any(current().reports.glob("*.json")):
        print("There are no figures yet: `uv run poe pipeline` creates them.", file=sys.stderr)
        return 1
    text = card(prose_file().read_text(encoding="utf-8"), current().reports)
    written = current().reports / "model_card.md"
    written.write_text(text, encoding="utf-8")
    print(f"Wrote {shown(written)}.")
    return 0
