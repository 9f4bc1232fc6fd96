"""Score a file of rows: `uv run poe predict INPUT [OUTPUT]`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl

from rung_ops import contract
from rung_ops.contract import raw_file
from rung_ops.contract.row_checks import Problem, inspect
from rung_ops.errors import StageError
from rung_ops.features.point_in_time import join
from rung_ops.model.target import HIGH, INTERVAL, LOW, PREDICTION, Kind, columns, shape
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import atomic
from rung_ops.system.disk import is_full
from rung_ops.system.printable import counted, printable
from rung_ops.training import estimator

WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".parquet": pl.DataFrame.write_parquet,
    ".csv": pl.DataFrame.write_csv,
}
PROBABILITY = "probability_"  # and the name of a class: its column
ROW = "number of the row"  # not the name of a column in Row


class PredictionError(StageError):
    """The file cannot be scored; the message says why and what to do."""


def read(path: Path) -> pl.DataFrame:
    """Read a file to score with load() of dataset.py, as training does.

    Raises:
        PredictionError: the file does not exist, or load() cannot read it.
    """
    if path.is_dir():
        raise PredictionError(f"{shown(path)} is a folder: name one of its files.")
    if not path.is_file():
        raise PredictionError(f"{shown(path)}: there is no such file.")
    try:
        return raw_file.read(path)
    except raw_file.UnreadableFileError as error:
        raise PredictionError(str(error)) from error


def score(rows: pl.DataFrame, source: str) -> tuple[pl.DataFrame, list[Problem]]:
    """Predict every row that satisfies the contract.

    Args:
        rows: the columns of Row without the target; further columns are kept.
        source: name of the file, for messages.

    Returns:
        The result of score_rows(), and the problems.

    Raises:
        PredictionError: columns are missing, or there are no rows.
    """
    typed, problems = inspect(rows, schema(), source)
    refuse(problems)
    return score_rows(rows, typed, problems, estimator.load(current().model_file)), problems


def schema() -> pa.DataFrameSchema:
    """Return the schema of Row without the target."""
    row = contract.Row.to_schema()
    return row.remove_columns([contract.TARGET] if contract.TARGET in row.columns else [])


def refuse(problems: list[Problem]) -> None:
    """Raise PredictionError for a problem of the whole file, such as a missing column."""
    for problem in problems:
        if not problem.rows:
            raise PredictionError(str(problem))


def score_rows(
    rows: pl.DataFrame, typed: pl.DataFrame, problems: list[Problem], model: Any
) -> pl.DataFrame:
    """Predict every row without a problem.

    Args:
        rows: as read, shape (n_rows, n_columns).
        typed: the same rows with the types of Row.
        problems: of these rows.
        model: from estimator.load().

    Returns:
        All rows in their order with more columns: `prediction` (probability of the positive class,
        or the value; of several classes the most probable, with `probability_CLASS` for each; of
        quantiles the median, with `interval_low` and `interval_high`; null for a bad row) and
        `problem` (null for a good one).
    """
    messages: dict[int, list[str]] = {}
    for problem in problems:
        for row in problem.rows:
            messages.setdefault(row - 1, []).append(f"{problem.column}: {problem.what}")
    good = [index for index in range(rows.height) if index not in messages]
    predicted = _columns(estimator.predict(model, join(typed[good])) if good else None)
    predictions = pl.DataFrame([pl.Series(ROW, good, dtype=pl.Int64), *predicted])
    notes = pl.DataFrame(
        {ROW: list(messages), "problem": ["; ".join(sorted(m)) for m in messages.values()]},
        schema={ROW: pl.Int64, "problem": pl.String},
    )
    # Replace these columns in a file that was scored before.
    before = [column.name for column in predicted]
    numbered = rows.drop(*before, "problem", strict=False).with_columns(
        pl.int_range(rows.height, dtype=pl.Int64).alias(ROW)
    )
    joined = numbered.join(predictions, on=ROW, how="left", maintain_order="left")
    return joined.join(notes, on=ROW, how="left", maintain_order="left").drop(ROW)


def _columns(predicted: np.ndarray | None) -> list[pl.Series]:
    """Write predictions as columns; empty ones where there are none."""
    kind = estimator.kind()
    one, *beside = columns(np.zeros(shape(0, kind)) if predicted is None else predicted, kind)
    if not beside:
        return [one]
    each = beside[0].struct
    return [one, *(each.field(name).alias(column) for name, column in _beside(kind).items())]


def _beside(kind: Kind) -> dict[str, str]:
    """Name the columns beside the prediction by the field that they come from."""
    if kind.classes:
        return {name: f"{PROBABILITY}{name}" for name in kind.classes}
    return {name: f"{INTERVAL}_{name}" for name in (LOW, HIGH)}


def predictions_of(scored: pl.DataFrame) -> np.ndarray:
    """Read the predictions of scored rows back, as estimator.predict() returned them."""
    kind = estimator.kind()
    if not kind.width:
        return scored[PREDICTION].to_numpy()
    names = list(_beside(kind).values())
    return scored.select(names if kind.classes else [names[0], PREDICTION, names[1]]).to_numpy()


def refuse_output(path: Path) -> None:
    """Raise PredictionError if write() does not know the suffix of a file, or may not replace it."""
    if path.suffix not in WRITERS:
        raise PredictionError(
            f"{shown(path)}: got suffix `{path.suffix}`; expected {' or '.join(WRITERS)}."
        )
    refuse_other_rows(path)


def refuse_other_rows(path: Path) -> None:
    """Raise PredictionError for a file of rows without predictions: `poe predict *.csv` names two."""
    if path.is_file() and path.stat().st_size and not _was_scored(path):
        raise PredictionError(
            f"{shown(path)} exists and holds no predictions, so it is not written over: name another "
            "output, or delete it."
        )


def _was_scored(path: Path) -> bool:
    scan = pl.scan_csv if path.suffix == ".csv" else pl.scan_parquet
    try:
        return PREDICTION in scan(path).collect_schema()
    except pl.exceptions.PolarsError:
        return False


def write(scored: pl.DataFrame, path: Path) -> None:
    """Write scored rows atomically, in the format of the file's suffix.

    Raises:
        PredictionError: a column cannot be written in this format.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic.writing(path) as draft:
            WRITERS[path.suffix](scored, draft)
    except pl.exceptions.PolarsError as error:
        if is_full(error):
            raise
        raise PredictionError(
            f"{shown(path)} cannot be written as {path.suffix} ({printable(str(error))}); "
            "name a .parquet file."
        ) from error


def main(
    arguments: list[str] | None = None,
    before_writing: Callable[[pl.DataFrame], pl.DataFrame] = lambda scored: scored,
) -> int:
    """Score a file; return the exit code.

    Args:
        arguments: of the command line.
        before_writing: maps the scored rows to the rows that are written. Raises PredictionError
            if nothing may be written.
    """
    parser = argparse.ArgumentParser(prog="poe predict", description=__doc__.splitlines()[0])
    parser.add_argument("input", type=Path, help="rows to score, in a file that load() reads")
    parser.add_argument(
        *("output",),
        type=Path,
        nargs="?",
        default=current().root / "reports/scored.parquet",
        help="a .parquet or .csv file",
    )
    options = parser.parse_args(arguments)
    if not current().model_file.exists():
        print("There is no model yet: `uv run poe train` creates one.", file=sys.stderr)
        return 1
    try:
        refuse_output(options.output)
        scored, problems = score(read(options.input), shown(options.input))
        scored = before_writing(scored)
        write(scored, options.output)
    except PredictionError as error:
        print(error, file=sys.stderr)
        return 1
    for problem in problems:
        print(problem, file=sys.stderr)
    bad = int(scored["problem"].is_not_null().sum())
    print(
        f"{counted(scored.height - bad, 'row')} scored"
        + (f", {bad:,} not (see the column `problem`)" if bad else "")
        + f": {shown(options.output)}"
    )
    return 0
