"""The verb `rung-ops draft`."""

import json
from pathlib import Path

import click

from rung_ops.command import verb
from rung_ops.data.draft import columns, files, models, table
from rung_ops.data.draft.table import DraftError
from rung_ops.project import current
from rung_ops.project.paths import package_name


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
    rows = table.read(file)
    found = columns.infer(rows, target)
    chosen = models.choose(found, model, json.loads(settings), metrics)
    written = files.write(project.root, package_name(), rows, found, chosen)
    print(files.summary(rows, found, chosen, written))
    return 0
