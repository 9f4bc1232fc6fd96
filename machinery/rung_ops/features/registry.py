"""List the features: `uv run poe features` prints them and writes reports/features.html.

Nothing is kept in the registry: what a feature is comes from dataset.py and features.py of each model
of the repository, its importance from that model's last report, its drift from the last monitor.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import polars as pl

from rung_ops.command import verb
from rung_ops.features.sources import source_name
from rung_ops.model.entity_feature import EntityFeature
from rung_ops.project import current, paths
from rung_ops.project.paths import project_name, shown
from rung_ops.system import html
from rung_ops.system.printable import four_digits

LAYOUT = Path(__file__).with_suffix(".html")


def page_file() -> Path:
    """Return the path of the page of features."""
    return current().reports / "features.html"


# What the table shows, in this order; a column that is empty everywhere is left out.
COLUMNS = (
    *("feature", "entity", "reads", "source", "window", "cadence", "max_age", "default", "unit"),
    *("owner", "importance", "interval", "drift", "models", "description"),
)
NUMBERS = {"default", "importance", "interval"}  # columns of them, which are read from the right


def features() -> list[dict[str, Any]]:
    """Describe each feature of the repository's models, most widely used first.

    A feature that several models define alike is one entry; where they define it in other ways,
    each definition has its own.
    """
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for home in paths.model_folders().values():
        name = project_name(home)
        importance, interval = _importances(home)
        known_of: dict[str, dict[str, Any]] = {
            "importance": importance,
            "interval": interval,
            "drift": _drift(home),
        }
        for entry in _of_model(home):
            known = entries.setdefault((entry["feature"], entry["definition"]), entry)
            known["models"].append(name)
            for what, values in known_of.items():
                if entry["feature"] in values:
                    known[what][name] = values[entry["feature"]]
    return sorted(entries.values(), key=lambda entry: (-len(entry["models"]), entry["feature"]))


def _of_model(home: Path) -> Iterator[dict[str, Any]]:
    dataset, module = paths.modules_of(home, "dataset", "features")
    columns = dataset.Row.to_schema().columns
    declared = {each.name: each for each in getattr(module, "ENTITY_FEATURES", [])}
    unread = dict(declared)
    for expression in module.FEATURES:
        reads = sorted(set(expression.meta.root_names()))
        used = [unread.pop(name, declared[name]) for name in reads if name in declared]
        name = expression.meta.output_name()
        # Only of what is passed on unchanged is the column's unit also the feature's.
        is_column = str(expression) == str(pl.col(name))
        described = _column(columns[name]) if is_column and name in columns else {}
        own = next((each for each in used if is_column and each.name == name), None)
        yield _entry(name, str(expression), reads, used) | described | _texts(own)
    for feature in unread.values():
        yield _entry(feature.name, "not read by FEATURES", [], [feature]) | _texts(feature)


def _entry(
    name: str, definition: str, reads: list[str], used: list[EntityFeature]
) -> dict[str, Any]:
    """Say what a feature is made of; `used` are the entity features among what it reads."""
    marks = " ".join(feature.fingerprint() for feature in used)
    return {
        "feature": name,
        "definition": f"{definition} {marks}".strip(),
        "reads": reads,
        "entity": _joined(",".join(each.entity) for each in used),
        "source": _joined(source_name(each.source) for each in used),
        "window": _joined(_span(each.window) for each in used),
        "cadence": _joined(_span(each.cadence) for each in used),
        "max_age": _joined(_span(each.max_age) for each in used if each.max_age is not None),
        "default": None,
        "unit": None,
        "owner": _joined(each.owner for each in used if each.owner),
        "description": None,
        "importance": {},
        "interval": {},
        "drift": {},
        "models": [],
    }


def _texts(feature: EntityFeature | None) -> dict[str, Any]:
    if feature is None:
        return {}
    return {name: getattr(feature, name) for name in ("default", "unit", "description")}


def _column(column: Any) -> dict[str, Any]:
    described = column.metadata or {}
    return {
        "default": described.get("default", column.default),
        "unit": described.get("unit"),
        "owner": described.get("owner"),
        "description": column.description,
    }


def _importances(home: Path) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Read the last report's: loss of score when the feature is shuffled, and its interval if it has one."""
    file = home / "reports/plots/importances.csv"
    if not file.is_file():
        return {}, {}
    found = pl.read_csv(file)
    importance = dict(found.select("feature", "importance").iter_rows())
    if "low" not in found.columns:  # of an earlier version
        return importance, {}
    rows = found.select("feature", "low", "high").drop_nulls().iter_rows()
    return importance, {name: (low, high) for name, low, high in rows}


def _drift(home: Path) -> dict[str, str]:
    """Read the last monitor's verdicts."""
    file = home / "reports/monitor/drift.parquet"
    if not file.is_file():
        return {}
    words = {True: "drifted", False: "unchanged", None: "not judged"}
    drifted = pl.read_parquet(file).select("feature", "drifted")
    return {name: words[verdict] for name, verdict in drifted.iter_rows()}


def _joined(texts: Iterator[str | None]) -> str | None:
    return ", ".join(dict.fromkeys(text for text in texts if text)) or None


def _span(span: timedelta) -> str:
    if span % timedelta(days=1) == timedelta():
        return f"{span.days} d"
    return f"{span / timedelta(hours=1):g} h"


def shown_rows(listed: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Write entries as a table of texts: its head and its rows, without empty columns."""
    rows = [{name: _text(entry[name], name) for name in COLUMNS} for entry in listed]
    head = [name for name in COLUMNS if any(row[name] for row in rows)]
    return [name.replace("_", " ") for name in head], [[row[n] for n in head] for row in rows]


def _text(value: Any, column: str) -> str:
    if isinstance(value, dict):
        shown = {name: _text(each, column) for name, each in value.items()}
        if len(shown) == 1:
            return next(iter(shown.values()))
        return ", ".join(f"{name} {text}" for name, text in shown.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, tuple):
        return " to ".join(_text(each, column) for each in value)
    if isinstance(value, float) and column in ("importance", "interval"):
        return html.aligned(value).replace("−", "-")  # a terminal may lack the minus sign
    if isinstance(value, float):
        return four_digits(value)
    return "" if value is None else str(value)


@verb("poe features")
@click.option("--json", "as_json", is_flag=True, help="print them as JSON; write nothing")
def main(as_json: bool) -> int:
    """List the features, and write reports/features.html."""
    listed = features()
    if as_json:
        print(json.dumps(listed, default=str))
        return 0
    head, rows = shown_rows(listed)
    # The page has room for the descriptions, a terminal has not.
    columns = [column for column in zip(head, *rows, strict=True) if column[0] != "description"]
    widths = [max(map(len, column)) for column in columns]
    sides = [">" if column[0] in NUMBERS else "<" for column in columns]
    for line in zip(*columns, strict=True):
        cells = zip(line, sides, widths, strict=True)
        print("  ".join(f"{text:{side}{width}}" for text, side, width in cells).rstrip())
    page_file().parent.mkdir(exist_ok=True)
    page = html.render(
        LAYOUT,
        title=f"Features of {project_name(current().repository)}",
        head=head,
        rows=rows,
        numbers=NUMBERS,
    )
    page_file().write_text(page, encoding="utf-8")
    print(f"look at {shown(page_file())}")
    return 0
