"""Labelled rows of production: the prediction log joined with outcomes, and collected as training rows.

A row of the prediction log whose outcome is known becomes a row of Row in
data/incoming/served-FIRST-LAST.parquet: the input columns, the target, and the id of the prediction,
so that no row is collected twice. FIRST and LAST are the days of the predictions.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops import contract, prediction_log
from rung_ops.autopilot import commits
from rung_ops.contract import raw_file
from rung_ops.contract.row_checks import inspect
from rung_ops.errors import StageError
from rung_ops.model import bundle
from rung_ops.model.added_columns import PREDICTION_ID, PREDICTION_TIME
from rung_ops.model.target import kind_in, packed
from rung_ops.monitoring import outcomes
from rung_ops.monitoring.outcomes import TRUTH
from rung_ops.project import current, paths
from rung_ops.project.paths import shown
from rung_ops.release import state
from rung_ops.system import files

RELEASE, ARM, PREDICTION = "answered by", "answered as", "the answer"  # no names of columns in Row


def answers(environment: str, until: datetime, folder: Path | None = None) -> pl.DataFrame:
    """Read the predictions before a moment whose outcome is known.

    Returns:
        One row for each prediction that a caller received, earliest first: PREDICTION_ID,
        PREDICTION_TIME, RELEASE, ARM (serving, canary or batch), PREDICTION (as
        rung_ops.model.target.packed() has it; null where all are of a release that predicted another
        kind), and the columns of Row with the target.
    """
    log = prediction_log.read(prediction_log.downloaded(environment, until=until), until=until)
    received = log.filter(pl.col("arm") != "shadow").collect()
    empty = pl.DataFrame(schema={PREDICTION_ID: pl.String, PREDICTION_TIME: prediction_log.TIME})
    if not received.height:
        return empty
    released = _contract(environment)
    known = outcomes.join(received, outcomes.read(released, folder))
    known = known.filter(pl.col(TRUTH).is_not_null())
    if not known.height:
        return empty
    kind, truth = kind_in(released), pl.col(TRUTH)
    if kind.classes:
        truth = truth.cast(pl.String)
    row: Any = known.schema["row"]
    answered = packed(kind)
    if not set(answered.meta.root_names()) <= set(known.columns):
        answered = pl.lit(None)
    return known.select(
        pl.col("id").alias(PREDICTION_ID),
        pl.col("time").alias(PREDICTION_TIME),
        pl.col("release").alias(RELEASE),
        pl.col("arm").alias(ARM),
        answered.alias(PREDICTION),
        *(pl.col("row").struct.field(field.name) for field in row.fields),
        truth.alias(contract.TARGET),
    ).sort(PREDICTION_TIME, PREDICTION_ID)


def _contract(environment: str) -> dict[str, Any]:
    """Read the contract of the serving release, which names the key of a row."""
    folder = paths.environment(environment)
    path = paths.bundle(folder, str(state.read(folder).serving)) / bundle.CONTRACT
    return bundle.parse_json(path, bundle.read_small(path))


def new_rows(labelled: pl.DataFrame) -> pl.DataFrame:
    """Return the answers that keep Row and that no training has used, once and ordered by time."""
    schema = contract.Row.to_schema()
    fresh = labelled.unique(PREDICTION_ID, keep="first", maintain_order=True).sort(
        PREDICTION_TIME, PREDICTION_ID
    )
    fresh = fresh.join(_collected_ids(), on=PREDICTION_ID, how="anti", maintain_order="left")
    if not fresh.height:
        return fresh
    typed, problems = inspect(fresh, schema, "the prediction log")
    if any(not problem.rows for problem in problems):
        raise StageError(f"{next(p for p in problems if not p.rows)}. Nothing was collected.")
    if schema.unique:
        # Of several predictions for a key, only the last becomes a row.
        problems = [problem for problem in problems if problem.column != ", ".join(schema.unique)]
    bad = {row - 1 for problem in problems for row in problem.rows}
    good = [number for number in range(fresh.height) if number not in bad]
    rows = pl.concat([fresh.select(PREDICTION_ID, PREDICTION_TIME), typed], how="horizontal")[good]
    if schema.unique:
        rows = rows.unique(schema.unique, keep="last", maintain_order=True)
        if current().rows.exists():
            known = pl.read_parquet(current().rows, columns=schema.unique)
            rows = rows.join(known, on=schema.unique, how="anti", maintain_order="left")
    return rows


def write(rows: pl.DataFrame) -> Path:
    """Write new rows, at least one, to a file in data/incoming; return its path."""
    days = rows[PREDICTION_TIME].dt.strftime("%Y-%m-%d").sort()
    stem = f"served-{days[0]}-{days[-1]}"
    number, path = 1, current().incoming / f"{stem}.parquet"
    while Path(f"{path}.dvc").exists():
        number += 1
        path = current().incoming / f"{stem}.{number}.parquet"
    current().incoming.mkdir(parents=True, exist_ok=True)
    with files.writing(path, private=True) as draft:
        raw_file.write_rows(rows.drop(PREDICTION_TIME), draft)
    return path


def remove_uncommitted() -> None:
    """Delete files of served rows that a stopped pass did not commit."""
    for path in current().incoming.glob(".served-*.parquet.tmp"):
        path.unlink()
    for path in current().incoming.glob("served-*.parquet"):
        record = Path(f"{path}.dvc")
        if not commits.is_committed(record):
            record.unlink(missing_ok=True)
            path.unlink()


def _collected_ids() -> pl.DataFrame:
    """Read the ids of all collected rows."""
    ids = [pl.DataFrame({PREDICTION_ID: []}, schema={PREDICTION_ID: pl.String})]
    for record in sorted(current().incoming.glob("served-*.parquet.dvc")):
        path = record.with_suffix("")
        if not path.exists():
            raise StageError(f"{shown(path)} is missing: `uv run poe pull` fetches it.")
        ids.append(pl.read_parquet(path, columns=[PREDICTION_ID]))
    return pl.concat(ids)
