"""What production has seen and how it turned out, as new rows to learn from.

A row of the prediction log whose outcome is known becomes a row of Row, in
data/incoming/served-FIRST-LAST.parquet: the input columns, the target, and the id of the answer,
so that no row is taken twice. FIRST and LAST are the days of the answers.
"""

from pathlib import Path

import polars as pl

from rung_ops import contract
from rung_ops.autopilot import commits
from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.data.row_checks import inspect
from rung_ops.project.paths import INCOMING, ROWS, shown
from rung_ops.system import atomic

# Names that no column of Row is likely to have; load() may return more columns than Row's.
ID = "prediction_id"
TIME = "prediction_time"


def new_rows(labelled: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows that no training has.

    Args:
        labelled: answers whose outcome is known: ID, TIME and the columns of Row.

    Returns:
        One row for each answer, in the order of their time: ID, TIME and the typed columns of Row.
        Rows that break Row are left out: nothing may be learned from them.

    Raises:
        StepFailed: an earlier file of served rows is not here.
    """
    schema = contract.Row.to_schema()
    fresh = labelled.unique(ID, keep="first", maintain_order=True).sort(TIME, ID)
    fresh = fresh.join(_taken(), on=ID, how="anti", maintain_order="left")
    if not fresh.height:
        return fresh
    typed, problems = inspect(fresh, schema, "the prediction log")
    if any(not problem.rows for problem in problems):
        raise StepFailed(f"{next(p for p in problems if not p.rows)}. Nothing was collected.")
    if schema.unique:
        # A key that was asked about twice is one row of Row: the last answer stands for it.
        problems = [problem for problem in problems if problem.column != ", ".join(schema.unique)]
    bad = {row - 1 for problem in problems for row in problem.rows}
    good = [number for number in range(fresh.height) if number not in bad]
    rows = pl.concat([fresh.select(ID, TIME), typed], how="horizontal")[good]
    if schema.unique:
        rows = rows.unique(schema.unique, keep="last", maintain_order=True)
        if ROWS.exists():
            known = pl.read_parquet(ROWS, columns=schema.unique)
            rows = rows.join(known, on=schema.unique, how="anti", maintain_order="left")
    return rows


def write(rows: pl.DataFrame) -> Path:
    """Write new rows to data/incoming; the file is there whole or not at all.

    Args:
        rows: from new_rows(); not empty.
    """
    days = rows[TIME].dt.strftime("%Y-%m-%d").sort()
    stem = f"served-{days[0]}-{days[-1]}"
    number, path = 1, INCOMING / f"{stem}.parquet"
    while Path(f"{path}.dvc").exists():
        number += 1
        path = INCOMING / f"{stem}.{number}.parquet"
    INCOMING.mkdir(parents=True, exist_ok=True)
    with atomic.writing(path) as draft:
        rows.drop(TIME).write_parquet(draft)
    return path


def take_back_unfinished() -> None:
    """Remove served rows that no commit names: a pass was stopped before it had committed them."""
    for path in INCOMING.glob(".served-*.parquet.tmp"):
        path.unlink()
    for path in INCOMING.glob("served-*.parquet"):
        record = Path(f"{path}.dvc")
        if not commits.is_committed(record):
            record.unlink(missing_ok=True)
            path.unlink()


def readable(path: Path) -> bool:
    """Tell whether load() in dataset.py reads a file of served rows."""
    try:
        frame = contract.load(path)
    except Exception:  # load() is the user's, and may raise anything
        return False
    frame = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    return set(contract.Row.to_schema().columns) <= set(frame.columns)


def _taken() -> pl.DataFrame:
    """Read the ids of all rows that were collected before."""
    ids = [pl.DataFrame({ID: []}, schema={ID: pl.String})]
    for record in sorted(INCOMING.glob("served-*.parquet.dvc")):
        path = record.with_suffix("")
        if not path.exists():
            raise StepFailed(f"{shown(path)} is not here: `uv run poe pull` fetches it.")
        ids.append(pl.read_parquet(path, columns=[ID]))
    return pl.concat(ids)
