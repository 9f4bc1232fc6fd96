"""Collect the rows that an exported model is compared with the estimator on."""

from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice
from typing import Any

import numpy as np
import polars as pl

from rung_ops.contract.synthetic import unknown_texts
from rung_ops.model import source_import
from rung_ops.model.target import finite_rows
from rung_ops.training import estimator

REFERENCE_ROWS = 10_000  # training rows that the monitor compares with
PARITY_ROWS = 1_000  # drawn rows whose predictions the service checks when it loads a release

MAX_ROWS = 50_000
ROWS_PER_EDGE = 3


def rows(
    model: Any,
    held_out: pl.DataFrame,
    train: pl.DataFrame,
    carried: pl.DataFrame,
    expressions: list[pl.Expr],
    columns: list[dict[str, Any]],
    seed: int,
) -> tuple[pl.DataFrame, list[str]]:
    """Compute features of held-out rows, of training rows, and of rows at the contract's edges.

    Training rows are included because a tree splits at their values: that is where rounding to 32
    bits takes the other branch.

    Args:
        model: the estimator.
        held_out: rows of Row without the target.
        train: rows that the model was trained on.
        carried: the rows that the bundle carries: the service compares them when it loads it.
        expressions: FEATURES.
        columns: of contract.json.
        seed: of the sample, if there are more than MAX_ROWS.

    Returns:
        The features, and the edge cases for which the model itself has no prediction.
    """
    chosen = sample(held_out, MAX_ROWS, seed)
    if chosen.height < MAX_ROWS:
        trained = sample(train.select(chosen.columns), MAX_ROWS - chosen.height, seed)
        chosen = pl.concat([chosen, trained])
    predicted, unanswered = _predicted_edges(model, list(edges(held_out, columns)), expressions)
    joined = [chosen.select(expressions), carried.select(expressions), *predicted]
    return pl.concat(joined), unanswered


def answered(
    model: Any, drawn: pl.DataFrame, expressions: list[pl.Expr], columns: list[dict[str, Any]]
) -> pl.DataFrame:
    """Return drawn rows, and some with each edge of the contract, that the model can predict.

    Args:
        model: the estimator.
        drawn: from synthetic.rows().
        expressions: FEATURES.
        columns: of contract.json.
    """
    kept = [_finite(model, drawn, expressions)]
    kept += [_finite(model, some, expressions) for _, some in edges(drawn, columns)]
    return pl.concat(kept)


def _finite(model: Any, some: pl.DataFrame, expressions: list[pl.Expr]) -> pl.DataFrame:
    try:
        finite = finite_rows(estimator.predict_features(model, some.select(expressions)))
    except source_import.FAULTS:
        return some.clear()
    return some.filter(pl.Series(finite))


def _predicted_edges(
    model: Any, cases: list[tuple[str, pl.DataFrame]], expressions: list[pl.Expr]
) -> tuple[list[pl.DataFrame], list[str]]:
    if not cases:
        return [], []
    joined = _features_or_fault(model, pl.concat([some for _, some in cases]), expressions)
    if isinstance(joined, pl.DataFrame):
        return [joined], []
    results = {case: _features_or_fault(model, some, expressions) for case, some in cases}
    return (
        [result for result in results.values() if isinstance(result, pl.DataFrame)],
        [f"{case}: {result}" for case, result in results.items() if isinstance(result, str)],
    )


def _features_or_fault(
    model: Any, some: pl.DataFrame, expressions: list[pl.Expr]
) -> pl.DataFrame | str:
    """Return the features of rows if the model can predict them, otherwise why it cannot."""
    try:
        features = some.select(expressions)
        finite = np.isfinite(estimator.predict_features(model, features)).all()
    except source_import.FAULTS as error:
        return type(error).__name__
    return features if finite else "not a finite number"


def edges(
    held_out: pl.DataFrame, columns: list[dict[str, Any]]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Create rows at the edges of the contract, which the data may lack.

    Yields:
        A description of the edge case, and a few rows with it.
    """
    some = held_out.head(ROWS_PER_EDGE)
    for column in columns:
        name = column["name"]
        for value in _edges_of(column, held_out[name]):
            changed = pl.lit(value).cast(held_out.schema[name]).alias(name)
            case = "empty" if value is None else repr(value)
            yield f"`{name}` {case}", some.with_columns(changed)


def _edges_of(column: dict[str, Any], values: pl.Series) -> Iterator[Any]:
    if not column["required"] and column["default"] is None:
        yield None
    written = [column[name] for name in ("default", "ge", "le") if column[name] is not None]
    yield from (_value(column, each) for each in [*written, *(column["isin"] or [])])
    if column["dtype"] == "bool":
        yield from (True, False)
    if column["dtype"] == "str" and not column["isin"]:
        yield from islice(unknown_texts(column, values), 1)


def _value(column: dict[str, Any], written: Any) -> Any:
    if column["dtype"] == "datetime":
        return datetime.fromisoformat(written)
    return date.fromisoformat(written) if column["dtype"] == "date" else written


def sample(rows: pl.DataFrame, limit: int, seed: int) -> pl.DataFrame:
    """Sample at most `limit` rows without replacement, keeping their order."""
    if rows.height <= limit:
        return rows
    chosen = np.random.default_rng(seed).choice(rows.height, limit, replace=False)
    return rows[np.sort(chosen)]
