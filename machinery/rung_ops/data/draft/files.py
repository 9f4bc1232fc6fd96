"""The verb `rung-ops draft`: the text of a project's own files, drafted from the columns of a table."""

import importlib.util
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import click

from rung_ops.command import verb
from rung_ops.data.draft import columns as inferred
from rung_ops.data.draft import models, networks
from rung_ops.data.draft import table as read_table
from rung_ops.data.draft.columns import DRAFTED, TRUTH, Column, Columns
from rung_ops.data.draft.models import Model
from rung_ops.data.draft.table import DraftError, Table, quoted
from rung_ops.project import current
from rung_ops.project.paths import package_name
from rung_ops.settings import toml_value

WIDTH = 96  # of comments
LONGEST = 70  # letters of a description
SLICED = 2  # categories whose figures the report shows one by one
USE_CASE = """\
# Use case

Not written yet. One page that everyone can agree with, or object to, before more is built: who asks
for `{target}` of a row of {file}, when, and what they do with the answer; how success is measured,
today's figure, and what is good enough; who can be harmed by a wrong answer; who decides when to
stop. `{metric}` on the test rows is what the draft compares models by.
"""
PARAMS = """\
# Every number that changes a result. Change one, train again, compare.

seed = 7 # of everything random

[split]
test_share = 0.25 # {share}; the model never learns from it
{window}refit = true # what is released is fitted again to all rows, after the test has judged the settings

[model] # handed to build() in model.py
{settings}
[score]
metric = {metric} # the number that models are compared by, one of those score() returns
higher_is_better = {higher}

[report]
{positive}slices = [{slices}] # columns to score group by group

[tune]
trials = 20
"""
WINDOW = 'window = "all" # or "6 months", or "half-life 6 months": older rows with less weight\n'


def write(root: Path, package: str, table: Table, columns: Columns, model: Model) -> list[str]:
    """Write the drafts over the example; return their paths, relative to the project."""
    source, sample = root / "src" / package, root / "data/sample"
    if model.network:
        networks.adapt(columns)
    texts = {
        source / "dataset.py": dataset(table, columns),
        source / "features.py": features(columns),
        **{source / f"{name}.py": t for name, t in models.modules(model, columns).items()},
        root / "params.toml": params(columns, model),
        root / "docs/use_case.md": USE_CASE.format(
            target=columns.target.name, file=table.name, metric=model.scores[0]
        ),
        sample / "README.md": sample_page(table, columns),
    }
    for path in sample.glob("*"):
        path.unlink()
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    (sample / table.name).write_bytes(table.content)
    if importlib.util.find_spec("ruff"):
        command = [sys.executable, "-m", "ruff", "format", "--quiet", "--no-cache", str(source)]
        subprocess.run(command, cwd=root, check=False)
    return [path.relative_to(root).as_posix() for path in (*texts, sample / table.name)]


def _comment(words: str, indent: str = "") -> str:
    return textwrap.fill(
        words, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ",
        break_long_words=True,
    )  # fmt: skip


def dataset(table: Table, columns: Columns) -> str:
    """Return the text of dataset.py."""
    target, time, identity = columns.target, columns.time, columns.identity
    annotated = any(column.annotation.startswith("Annotated") for column in columns.columns)
    order = "No column has a time for every row, so a random share of the rows judges the model."
    if time:
        order = "It orders the rows: the model learns from the earlier ones, and the later ones judge it."
    long = any(len(quoted(column.raw)) > LONGEST for column in columns.columns)
    name = _plain(table.name)[:30]
    lines = [
        *(["# ruff: noqa: E501  as names of columns are long"] if long else []),
        f'"""What a row is: a row of {name}.\n\n{DRAFTED}\n"""\n',
        "from pathlib import Path",
        *(["from typing import Annotated"] if annotated else []),
        "\nimport pandera.polars as pa\nimport polars as pl",
        *(["import polars.selectors as cs"] if target.read != "@" else []),
        "",
        _comment(f"Predicted, as {columns.kind}: {'; '.join(target.why)}."),
        f"TARGET: str = {quoted(target.name)}",
        _comment(order),
        f"TIME: str | None = {quoted(time.name) if time else None}",
        "\n\nclass Row(pa.DataFrameModel):",
        f'    """One of the {table.frame.height:,} rows of {name}."""\n',
    ]
    for column in columns.columns:
        rules = column.rules | {"description": quoted(_plain(column.raw)[:LONGEST])}
        arguments = ", ".join(f"{name}={value}" for name, value in rules.items())
        lines += [
            _comment("; ".join(column.why), "    "),
            f"    {column.name}: {column.annotation} = pa.Field({arguments})",
        ]
    if identity:
        lines += [
            "\n    class Config:",
            f'        """No two rows are of the same `{identity.name}`."""\n',
            f"        unique = [{quoted(identity.name)}]",
        ]
    lines += ["\n", *(_comment(f"Not in Row: {reason}.") for reason in columns.left_out)]
    return "\n".join(lines) + "\n\n" + _load(table, columns)


def _load(table: Table, columns: Columns) -> str:
    """Return load(), which reads the columns of one type by one expression."""
    read: dict[str, list[str]] = {}
    for column in columns.columns:
        if column is not columns.target and column.read != "@":
            key = column.read
            if key.count("@") > 1:  # coalesce() takes one column
                key = key.replace("@", f"pl.col({quoted(column.name)})")
            read.setdefault(key, []).append(column.name)
    made = [
        key.replace("@", f"pl.col({', '.join(map(quoted, names))})") for key, names in read.items()
    ]
    target = columns.target
    if target.read != "@":
        optional = f"cs.by_name({quoted(target.name)}, require_all=False)"
        # Rows to predict have no target.
        made.append(target.read.replace("@", optional))
    names = {c.raw: c.name for c in columns.columns if c.raw != c.name}
    renamed = ""
    if names:
        pairs = ", ".join(f"{quoted(raw)}: {quoted(name)}" for raw, name in names.items())
        renamed = f".rename({{{pairs}}}, strict=False)"
    converted = f"return rows.with_columns({', '.join(made)})" if made else "return rows"
    return (
        "def load(path: Path) -> pl.DataFrame:\n"
        f'    """Read one file like {_plain(table.name)[:30]}: {table.form}."""\n'
        f"    rows = {table.reader}{renamed}\n    {converted}\n"
    )


def _plain(text: str) -> str:
    """Return a text that may stand in a docstring or a description."""
    printed = "".join(sign for sign in text if sign.isprintable())
    return printed.replace("\\", "/").replace('"""', "'")


def features(columns: Columns) -> str:
    """Return the text of features.py."""
    hidden = [f"{c.name}: {c.hidden}." for c in columns.columns if c.hidden]
    lines = [
        f'"""What the model sees of a row: each expression reads one row alone.\n\n{DRAFTED}\n"""',
        "\nimport polars as pl\n",
        *(_comment(f"Left out, {reason}") for reason in hidden),
        _comment("Take out what is not known yet when the prediction is made."),
        f"FEATURES: list[pl.Expr] = [{', '.join(column.feature for column in columns.seen)},]",
    ]
    return "\n".join(lines) + "\n"


def params(columns: Columns, model: Model) -> str:
    """Return the text of params.toml."""
    settings = "".join(f"{name} = {toml_value(value)}\n" for name, value in model.settings.items())
    listed = [c.name for c in columns.seen if "isin" in c.rules]
    share = (
        "the last quarter of the rows by time" if columns.time else "of the rows, drawn at random"
    )
    return PARAMS.format(
        share=share,
        window=WINDOW if columns.time else "",
        settings=settings,
        metric=quoted(model.scores[0]),
        higher=toml_value(model.higher_is_better),
        positive=f"positive = {quoted(columns.target.name)}\n" if columns.kind == TRUTH else "",
        slices=", ".join(map(quoted, listed[:SLICED])),
    )


def sample_page(table: Table, columns: Columns) -> str:
    """Return the page about the sample."""
    return "\n".join(
        [
            f"# The sample: {_plain(table.name)}\n",
            f"{table.frame.height:,} rows. {table.form}.\n",
            "Not written yet: where the rows come from, under which licence, what was done to them, and",
            "who may read them: git keeps them.\n",
            "|Column|In Row|Type|Found|\n|-|-|-|-|",
            *(_row(column) for column in columns.columns),
            *(f"\nNot in Row: {reason}." for reason in columns.left_out),
            "",
        ]
    )


def _row(column: Column) -> str:
    found = "; ".join(column.why)
    cells = [_plain(column.raw), f"`{column.name}`", column.annotation, found]
    return f"|{'|'.join(cell.replace('|', '/') for cell in cells)}|"


def summary(table: Table, columns: Columns, model: Model, written: Iterable[str]) -> str:
    """Return what was inferred, a line each."""
    time = "none: a random share of the rows judges the model"
    note = f" ({model.note})" if model.note else ""
    lines = [
        f"{table.name}: {table.frame.height:,} rows. {table.form}.",
        f"  target    {columns.target.name}: {columns.kind} ({'; '.join(columns.target.why)})",
        f"  time      {columns.time.name if columns.time else time}",
        f"  columns   {len(columns.columns)} in Row, of which the model sees {len(columns.seen)}",
        *(f"  left out  {c.name}: {c.hidden}" for c in columns.columns if c.hidden),
        *(f"  left out  {reason}" for reason in columns.left_out),
        f"  model     {model.name}, compared by {model.scores[0]}{note}",
        f"Drafts, yours to correct: {', '.join(written)}.",
    ]
    return "\n".join(_plain(line) for line in lines)


@verb("rung-ops draft")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", default="", metavar="COLUMN", help="the column to predict")
@click.option("--model", default="", metavar="CLASS", help="such as sklearn.linear_model.Ridge")
@click.option("--settings", default="{}", metavar="JSON", help="the arguments of its class")
@click.option("--metric", "metrics", multiple=True, help="a function of sklearn.metrics")
@click.option("--replace", is_flag=True, help="replace the files that are there")
def main(
    file: Path, target: str, model: str, settings: str, metrics: tuple[str, ...], replace: bool
) -> int:
    """Draft dataset.py, features.py, model.py and params.toml from a FILE of rows."""
    project = current()
    mine = f"src/{package_name()}/dataset.py"
    if (project.root / mine).exists() and not replace:
        raise DraftError(
            f"{mine} is there. Commit your work, then add `--replace`: it "
            "replaces dataset.py, features.py, model.py, params.toml, docs/use_case.md and all of "
            "data/sample."
        )
    rows = read_table.read(file)
    found = inferred.infer(rows, target)
    chosen = models.choose(found, model, json.loads(settings), metrics)
    written = write(project.root, package_name(), rows, found, chosen)
    print(summary(rows, found, chosen, written))
    return 0
