"""What the stages in pipeline/ call: read, check, save, and report.

These names are stable: within one major version of rung-ops a stage that works goes on working.
"""

from rung_ops.system import uncaught  # noqa: F401  first: to import the rest takes seconds

# isort: split
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract.forecast import known_at, made_at
from rung_ops.contract.raw_file import write as _write
from rung_ops.data import blocks as _blocks
from rung_ops.data.ingest import CheckedRows, ingested_path
from rung_ops.errors import OpsError, StageError, UnreadableFileError
from rung_ops.features import point_in_time as entity_features
from rung_ops.features.sources import Events
from rung_ops.project import active_addons, current
from rung_ops.project.paths import links_refused, params, raw_files, shown
from rung_ops.system.printable import counted
from rung_ops.system.processes import quietly
from rung_ops.training.estimator import classes, features, is_classification, predict, truth
from rung_ops.training.estimator import load as _load
from rung_ops.training.estimator import save_fitted as _save
from rung_ops.training.window import Parts, in_use, in_window, weight_arguments
from rung_ops.training.window import settings as split_settings

if TYPE_CHECKING:
    from rung_ops.training.evaluate import write_report

    MODEL: Path
    ROWS: Path
    TEST: Path
    TRAIN: Path

__all__ = [
    "MODEL",
    "ROWS",
    "TEST",
    "TRAIN",
    "StageError",
    "by_time",
    "check_rows",
    "classes",
    "contract",
    "features",
    "fit_xgboost",
    "in_use",
    "in_window",
    "ingest_files",
    "known_at",
    "load_model",
    "made_at",
    "params",
    "predict",
    "predict_rows",
    "read_parts",
    "read_rows",
    "rows_to_split",
    "save_model",
    "score",
    "shown",
    "stage",
    "truth",
    "validate_rows",
    "weight_arguments",
    "write_report",
    "write_split",
]

PATHS = {"MODEL": "model_file", "ROWS": "rows", "TEST": "test", "TRAIN": "train"}


def __getattr__(name: str) -> Any:
    """Give the paths of the project in use, write_report(), and the functions of add-ons.

    These are imported on demand: write_report() imports matplotlib, which other stages do not need.
    """
    if name in PATHS:
        return getattr(current(), PATHS[name])
    if name == "write_report":
        from rung_ops.training.evaluate import write_report

        return write_report
    if not name.startswith("__"):
        for owner, addon in active_addons.installed().items():
            if target := addon.stage_functions.get(name):
                return active_addons.loaded(target, owner)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def stage(function: Callable[[], None]) -> Callable[[], None]:
    """Make a function a stage: an error that you can fix ends it with a message and exit code 1."""

    @wraps(function)
    def run() -> None:
        def ended() -> int:
            try:
                function()
            except (OpsError, OSError):
                raise
            except Exception:
                from rung_ops.checks import promises  # imported on demand: stages start faster

                promises.refuse_broken()
                raise
            return 0

        try:
            code = quietly(ended)
        except OpsError as error:
            sys.exit(str(error))
        if code:
            sys.exit(code)

    return run


def ingest_files() -> None:
    """Read each file of data/sample and data/incoming with load(); write its rows to data/ingested.

    Raises:
        StageError: score() lacks the `metric`, there is no raw file, one is a link or unreadable, or
            the disk is full.
    """
    from rung_ops.training import baseline  # imported on demand, as by read_rows()

    baseline.refuse_unknown_metric()
    if refused := links_refused():
        raise StageError("\n".join(refused))
    files = raw_files()
    if not files:
        raise StageError("There is no data: put a file into data/sample.")
    shutil.rmtree(current().ingested, ignore_errors=True)
    unreadable = []
    for path in files:
        try:
            rows = _write(path, ingested_path(path))
        except UnreadableFileError as error:
            unreadable.append(str(error))
        else:
            print(f"ingested {shown(path)}: {counted(rows, 'row')}")
    if unreadable:
        raise StageError("\n".join(unreadable))


def validate_rows() -> None:
    """Check all ingested rows as check_rows(), and write them to ROWS, a block at a time.

    Where it fails in the middle, ROWS is what it was; where a row breaks a rule, ROWS is removed.
    """
    _blocks.write(_checked(), current().rows)


def check_rows() -> pl.DataFrame:
    """Check all ingested rows against Row; write reports/validation.json.

    Rows whose TARGET is missing are left out, and counted.

    Returns:
        The rows of all files, with the columns and types of Row, and the entity features of
        features.py if there are any.

    Raises:
        StageError: a row breaks a rule, and the message names file, column, rule and rows; or no row
            has a TARGET.
    """
    return pl.concat(_checked())


def _checked() -> Iterator[pl.DataFrame]:
    """Return checked rows; after the last, write what was found, and refuse rows that break a rule."""
    checked, events = CheckedRows(), Events(current().root)
    for rows in _blocks.joined(checked.blocks()):
        if rows.height and not checked.problems:
            yield entity_features.join(rows, events=events)
    problems, left_out = checked.problems, checked.left_out
    current().validation.parent.mkdir(parents=True, exist_ok=True)
    record = {"rows": checked.counts, "problems": [str(problem) for problem in problems]}
    if left_out:
        record["left_out"] = left_out
    current().validation.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    number, without = sum(checked.counts.values()), sum(left_out.values())
    if problems or (without and not number):
        current().rows.unlink(missing_ok=True)
    if not checked.counts:
        raise StageError(
            f"{shown(current().ingested)} holds no rows: run the stage `ingest` first."
        )
    if problems:
        advice = "Nothing was trained. Fix the rows in the file, or the rule in dataset.py."
        raise StageError("\n".join([*map(str, problems), advice]))
    if without and not number:
        raise StageError(
            f"Nothing was trained: none of the {counted(without, 'row')} has `{contract.TARGET}`."
        )
    print(f"validated {counted(number, 'row')} of {counted(len(checked.counts), 'file')}")
    if without:
        files = ", ".join(f"{name} {number:,}" for name, number in left_out.items())
        print(
            f"left out of training {counted(without, 'row')} without `{contract.TARGET}`: {files}"
        )


def read_rows(path: Path) -> pl.DataFrame:
    """Read rows that an earlier stage wrote: ROWS, TRAIN or TEST; shape (n_rows, n_columns of Row).

    Raises:
        StageError: that stage has not run, or score() does not fit params.toml.
    """
    _refuse_missing(path)
    rows = pl.read_parquet(path)
    _refuse_wrong_score(path, rows)
    return rows


def read_parts(path: Path) -> Parts:
    """Read the features of rows that an earlier stage wrote, such as TRAIN, a block at a time.

    The model's fit() gets what is returned in place of `features(rows)`; `fit_parts(parts)` of
    pipeline/train.py, if there is one, fits it, and `rung-ops refit` calls that, too.

    Returns:
        Parts: `len(parts)` and `parts[100:200]` as of a frame of features, shape
        (n_rows, n_features); `parts.rows`, a frame for truth() and weight_arguments().

    Raises:
        StageError: as read_rows().
    """
    _refuse_missing(path)
    parts = Parts(_blocks.scan(path))
    _refuse_wrong_score(path, parts.rows)
    return parts


def fit_xgboost(model: Any, parts: Parts) -> Any:
    """Fit XGBoost's XGBClassifier or XGBRegressor to rows of which a block at a time is in memory.

    Rows are weighed where params.toml says so.

    Args:
        model: from build(), not fitted.
        parts: from read_parts().

    Returns:
        The fitted model, with the trees of the frame.

    Raises:
        StageError: it is another model, has a parameter that needs all rows, a class has no row, or
            XGBoost is not installed.
    """
    try:
        from rung_ops.training import xgboost_parts
    except ImportError as error:
        raise StageError("fit_xgboost() needs XGBoost: `uv add xgboost-cpu`.") from error
    return xgboost_parts.fit(model, parts)


def _refuse_wrong_score(path: Path, rows: pl.DataFrame) -> None:
    if path == current().train:
        from rung_ops.training import baseline  # other stages do without model.py

        baseline.refuse_wrong_score(rows)


def predict_rows(model: Any, path: Path) -> tuple[pl.DataFrame, np.ndarray]:
    """Predict rows that an earlier stage wrote, such as TEST, a block at a time.

    Returns:
        The rows, and their predictions as predict() returns them. Rows of more than a block have only
        the columns that score() and write_report() read: target, times, keys and slices.

    Raises:
        StageError: that stage has not run.
    """
    from rung_ops.training import judged_rows  # other stages do without

    _refuse_missing(path)
    return judged_rows.predict(model, path)


def rows_to_split(*columns: str) -> pl.DataFrame:
    """Read what a split goes by: TIME and ORIGIN, and the number of each row of ROWS.

    For a sample of `train_rows` in [split] of params.toml, the classes of TARGET, too.

    Args:
        columns: others that the split goes by.

    Returns:
        Shape (n_rows, n_columns): narrow, so that many rows fit into memory; write_split() fetches
        their other columns.
    """
    _refuse_missing(current().rows)
    is_sampled = split_settings().train_rows is not None and is_classification(None)
    classes = contract.TARGET if is_sampled else None
    names = dict.fromkeys((contract.TIME, contract.ORIGIN, classes, *columns))
    rows = _blocks.scan(current().rows).with_row_index(_blocks.NUMBER)
    return rows.select(_blocks.NUMBER, *filter(None, names)).collect()


def by_time(rows: pl.DataFrame) -> pl.DataFrame:
    """Sort rows by TIME; those of the same moment stay in their order.

    Of rows_to_split() it takes less memory than Polars' stable sort, and none where they are in order.
    """
    time = str(contract.TIME)
    if rows[time].is_sorted():
        return rows.with_columns(pl.col(time).set_sorted())
    if _blocks.NUMBER in rows.columns:
        return rows.sort(time, _blocks.NUMBER)
    return rows.sort(time, maintain_order=True)


def write_split(rows: pl.DataFrame, path: Path) -> None:
    """Write rows of rows_to_split(), in their order and with all columns, to TRAIN or TEST."""
    _blocks.take(_blocks.scan(current().rows), rows[_blocks.NUMBER], path)


def _refuse_missing(path: Path) -> None:
    if not path.is_file():
        raise StageError(f"{shown(path)} is missing: run the stage that writes it first.")


def save_model(model: Any) -> None:
    """Write a fitted model to model/model.skops.

    Raises:
        StageError: it holds a type that TRUSTED in model.py does not list, or the target is one of
            several classes and the model has not learned all of them.
    """
    _save(model, current().model_file)


def load_model() -> Any:
    """Read the model that save_model() wrote.

    Raises:
        StageError: there is none, or it holds a type that TRUSTED in model.py does not list.
    """
    if not current().model_file.exists():
        raise StageError("There is no model yet: `uv run poe train` makes one.")
    return _load(current().model_file)


def score(rows: pl.DataFrame, predicted: np.ndarray) -> dict[str, float]:
    """Score predictions with score() of model.py.

    Args:
        rows: rows of Row, shape (n_rows, n_columns).
        predicted: as predict() returns it.
    """
    return {name: float(value) for name, value in contract.score(truth(rows), predicted).items()}
