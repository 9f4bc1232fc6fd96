"""Tests that src/ and params.toml keep what they promise; collected by tests/test_contract.py.

A promise that does not hold is named in one sentence.
"""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rung_ops import contract
from rung_ops.checks.promises import broken_promises, reads_its_own_row_only
from rung_ops.data.ingest import UnreadableFileError, read, sample_rows
from rung_ops.data.row_checks import inspect
from rung_ops.project.errors import StageError
from rung_ops.project.paths import params, raw_files, shown
from rung_ops.training import estimator

SOME = 2_000  # rows: enough for a model, quick to fit


def _some(most: int = SOME) -> pl.DataFrame:
    try:
        rows = sample_rows()
    except UnreadableFileError as error:
        _fail(str(error))
    return rows.sample(min(most, rows.height), seed=1)


def _fail(sentence: str) -> None:
    pytest.fail(sentence, pytrace=False)


def test_src_and_params_keep_their_promises() -> None:
    """Row, TARGET, TIME, FEATURES and params.toml agree with each other."""
    if broken := broken_promises():
        _fail("\n".join(broken))


def test_raw_files_keep_the_rules_of_row() -> None:
    """load() reads every raw file, and its rows keep the rules of Row."""
    for path in raw_files():
        try:
            frame = read(path)
        except UnreadableFileError as error:
            _fail(str(error))
        _, problems = inspect(frame, contract.Row.to_schema(), shown(path))
        if problems:
            _fail("\n".join(map(str, problems)))


def test_load_reads_a_file_without_the_target() -> None:
    """`poe predict` reads its input with load(), and rows to predict have no target yet."""
    for path in raw_files():
        table = {".parquet": pl.read_parquet, ".csv": pl.read_csv}.get(path.suffix)
        if table is None or contract.TARGET not in (frame := table(path).head(50)).columns:
            continue  # another format, or load() makes the target from other columns
        with tempfile.TemporaryDirectory() as folder:
            without = Path(folder) / path.name
            rest = frame.drop(contract.TARGET)
            rest.write_parquet(without) if path.suffix == ".parquet" else rest.write_csv(without)
            try:
                read(without)
            except UnreadableFileError as error:
                _fail(f"dataset.py: load() must read a file without `{contract.TARGET}`: {error}")
        return


def test_each_feature_reads_its_own_row_only() -> None:
    """A service sees one row at a time, so FEATURES of a row must not depend on other rows."""
    if not reads_its_own_row_only(_some(50)):
        _fail(
            "features.py: FEATURES of one row differ from FEATURES of the same row among others; "
            "a feature may read its own row only."
        )


def test_a_saved_model_answers_the_same() -> None:
    """A model that build() makes can be fitted, saved, loaded, and predicts finite numbers."""
    rows, settings = _some(), params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    model.fit(estimator.features(rows), estimator.truth(rows))
    expected = estimator.predict(model, rows)
    with tempfile.TemporaryDirectory() as folder:
        try:
            estimator.save(model, Path(folder) / "model.skops")
            again = estimator.predict(estimator.load(Path(folder) / "model.skops"), rows)
        except StageError as error:
            _fail(f"model.py: {error}")
    if not np.isfinite(expected).all():
        _fail("model.py: the model predicts values that are not finite numbers.")
    if not np.array_equal(expected, again):
        _fail("model.py: a saved and loaded model predicts other values than before.")


def test_score_returns_the_metric_of_params() -> None:
    """score() returns the figure that `[score] metric` in params.toml names."""
    actual = estimator.truth(_some())
    figures = contract.score(actual, np.linspace(0.1, 0.9, len(actual)))
    metric = params()["score"]["metric"]
    if metric not in figures:
        _fail(
            f"params.toml: [score] metric is `{metric}`, but score() returns {', '.join(figures)}."
        )
