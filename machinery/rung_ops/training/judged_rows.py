"""The rows that judge a model: of a large file, only the columns that figures and intervals read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract import forecast
from rung_ops.data import blocks
from rung_ops.errors import StageError
from rung_ops.model.added_columns import PREDICTED
from rung_ops.project import current
from rung_ops.project.paths import params
from rung_ops.training import estimator
from rung_ops.training.estimator import features

MONTH, MISSING = "month", "missing"  # a slice, and the value of one
NO_COLUMN = "params.toml: [report] slices names `{}`, which is neither a column nor a feature."


def slice_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns to slice by, as text; shape (n_rows, n_slice_columns)."""
    known = _with_slices(rows)
    columns = {name: known[name].cast(pl.String) for name in _slices()}
    if contract.TIME is not None:
        columns[MONTH] = rows[contract.TIME].dt.strftime("%Y-%m")
    if contract.ORIGIN is not None:
        columns.setdefault(forecast.SLICE, forecast.slices(rows))
    return pl.DataFrame({name: values.fill_null(MISSING) for name, values in columns.items()})


def _slices() -> list[str]:
    names: list[str] = params().get("report", {}).get("slices", [])
    return names


def _with_slices(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the features that slices name."""
    if set(_slices()) <= set(rows.columns):
        return rows
    known = rows.with_columns(c for c in features(rows) if c.name not in rows.columns)
    for name in _slices():
        if name not in known.columns:
            raise StageError(NO_COLUMN.format(name))
    return known


def read(path: Path, *columns: str, slices: bool = True) -> pl.DataFrame:
    """Read what baselines, intervals and slices of judged rows need, a block at a time.

    Args:
        path: of rows of Row; a column `predicted` is read, too.
        columns: others, if the file has them.
        slices: whether the slices of [report] are needed.
    """
    rows, sliced = blocks.scan(path), _slices() if slices else []
    if set(sliced) <= set(rows.collect_schema()):
        return of_contract(rows, *sliced, *columns)
    return pl.concat(narrow(block, *columns) for block in blocks.in_blocks(rows))


def of_contract(rows: pl.LazyFrame, *columns: str) -> pl.DataFrame:
    """Read target, times and keys of a series, `predicted`, and other columns that there are."""
    return rows.select(_needed(rows.collect_schema(), columns)).collect()


def narrow(rows: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Select what baselines, intervals and slices of judged rows need."""
    known = _with_slices(rows)
    return known.select(_needed(known.schema, (*_slices(), *columns)))


def _needed(schema: pl.Schema, columns: Sequence[str]) -> list[str]:
    series = forecast.series() if forecast.declared() else ()
    of_contract = (contract.TARGET, contract.TIME, contract.ORIGIN, *series)
    named = dict.fromkeys((*of_contract, PREDICTED, *columns))
    return [name for name in named if name in schema]


def predict(model: Any, path: Path) -> tuple[pl.DataFrame, np.ndarray]:
    """Predict rows a block at a time; of several blocks, write the predictions, and return narrow rows."""
    if blocks.is_one(blocks.scan(path)):
        rows = pl.read_parquet(path)
        return rows, estimator.predict(model, rows)
    kept, answers = [], []

    def answered() -> Any:
        for block in blocks.in_blocks(blocks.scan(path)):
            answers.append(estimator.predict_features(model, features(block)))
            narrowed = narrow(block)
            # What has all columns is written with what it has, which must not be more.
            kept.append(block if _is_whole(narrowed) else narrowed)
            yield block.with_columns(predicted=answers[-1])

    current().metrics.unlink(missing_ok=True)  # of the earlier predictions
    blocks.write(answered(), current().predictions)
    return pl.concat(kept), np.concatenate(answers)


def sample(rows: pl.DataFrame, predicted: np.ndarray) -> tuple[pl.DataFrame, np.ndarray]:
    """Return as many rows as a block has, drawn by `seed` of params.toml, with all columns.

    Rows that have all columns are returned as they are.

    Raises:
        StageError: rows or predictions are not those that predict() returned and wrote.
    """
    if _is_whole(rows):
        return rows, predicted
    judged = blocks.scan(current().predictions)
    stored = judged.select(contract.TARGET, PREDICTED).collect()
    is_same = rows[contract.TARGET].equals(stored[contract.TARGET])
    if not (is_same and np.array_equal(predicted, stored[PREDICTED].to_numpy(), equal_nan=True)):
        raise StageError(
            "write_report() got other rows or predictions than predict_rows() returned: to leave rows "
            "out or change predictions, take them from read_rows(TEST) and predict()."
        )
    size = min(blocks.block_rows(judged), rows.height)
    places = np.random.default_rng(params()["seed"]).choice(rows.height, size, replace=False)
    places.sort()
    return blocks.pick(judged, pl.Series(places)).drop(PREDICTED), predicted[places]


def _is_whole(rows: pl.DataFrame) -> bool:
    return set(contract.Row.to_schema().columns) <= set(rows.columns)
