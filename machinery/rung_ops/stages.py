"""What the stages in pipeline/ call: read, check, save, and report.

These names are stable: within one major version of rung-ops a stage that works goes on working.
"""

from rung_ops.system import uncaught  # noqa: F401  first: to import the rest takes seconds

# isort: split
import json
import shutil
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract.forecast import known_at, made_at
from rung_ops.contract.raw_file import UnreadableFileError
from rung_ops.contract.raw_file import write as _write
from rung_ops.data.ingest import check_rows as _check_rows
from rung_ops.data.ingest import ingested_path
from rung_ops.errors import OpsError, StageError
from rung_ops.features import point_in_time as entity_features
from rung_ops.project import current
from rung_ops.project.paths import links_refused, params, raw_files, shown
from rung_ops.system.printable import counted
from rung_ops.system.processes import quietly
from rung_ops.training.estimator import classes, features, predict, truth
from rung_ops.training.estimator import load as _load
from rung_ops.training.estimator import save_fitted as _save
from rung_ops.training.window import in_use, in_window, weight_arguments

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
    "check_rows",
    "classes",
    "contract",
    "features",
    "in_use",
    "in_window",
    "ingest_files",
    "known_at",
    "load_model",
    "made_at",
    "params",
    "predict",
    "read_rows",
    "save_model",
    "score",
    "shown",
    "stage",
    "truth",
    "weight_arguments",
    "write_report",
]


PATHS = {"MODEL": "model_file", "ROWS": "rows", "TEST": "test", "TRAIN": "train"}


def __getattr__(name: str) -> Any:
    """Give the paths of the project in use, and write_report().

    That is imported on demand, as it imports matplotlib, which other stages do not need.
    """
    if name in PATHS:
        return getattr(current(), PATHS[name])
    if name != "write_report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rung_ops.training.evaluate import write_report

    return write_report


def stage(function: Callable[[], None]) -> Callable[[], None]:
    """Make a function a stage: an error that you can mend ends it with its message and exit code 1.

    Where src/ or params.toml is the cause of another error, it ends with the sentence of `poe check`.
    It ends quietly if its output is closed, as in `poe evaluate | head`.
    """

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
        StageError: there is no raw file, one is a link or cannot be read, or the disk is full.
    """
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


def check_rows() -> pl.DataFrame:
    """Check all ingested rows against Row; write reports/validation.json.

    Rows whose TARGET is missing are left out, and counted: nothing can be learned from them.

    Returns:
        The rows of all files, with the columns and types of Row, and the entity features of
        features.py if there are any.

    Raises:
        StageError: a row breaks a rule, and the message names file, column, rule and rows; or no row
            has a TARGET.
    """
    current().rows.unlink(missing_ok=True)
    rows, problems, counts, left_out = _check_rows()
    current().validation.parent.mkdir(parents=True, exist_ok=True)
    record = {"rows": counts, "problems": [str(problem) for problem in problems]}
    if left_out:
        record["left_out"] = left_out
    current().validation.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if problems:
        advice = "Nothing was trained. Fix the rows in the file, or the rule in dataset.py."
        raise StageError("\n".join([*map(str, problems), advice]))
    without = sum(left_out.values())
    if without and not rows.height:
        raise StageError(
            f"Nothing was trained: none of the {counted(without, 'row')} has `{contract.TARGET}`."
        )
    print(f"validated {counted(rows.height, 'row')} of {counted(len(counts), 'file')}")
    if without:
        files = ", ".join(f"{name} {number:,}" for name, number in left_out.items())
        print(
            f"left out of training {counted(without, 'row')} without `{contract.TARGET}`: {files}"
        )
    return entity_features.join(rows)


def read_rows(path: Path) -> pl.DataFrame:
    """Read rows that an earlier stage wrote: ROWS, TRAIN or TEST; shape (n_rows, n_columns of Row).

    Raises:
        StageError: that stage has not run, or score() does not fit params.toml, which is seen before
            a training.
    """
    if not path.is_file():
        raise StageError(f"{shown(path)} is missing: run the stage that writes it first.")
    rows = pl.read_parquet(path)
    if path == current().train:
        from rung_ops.training import score_check  # other stages do without model.py

        score_check.refuse_wrong_score(rows)
    return rows


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
