"""Build reasons.json of a release: how the service finds the reasons of a prediction, if it can."""

from typing import Any

import numpy as np
import polars as pl

from rung_ops.errors import SettingsError
from rung_ops.model import reasons
from rung_ops.model.bundle import BundleError
from rung_ops.model.predictors import EncodedBooster, Predictor
from rung_ops.model.reasons import (
    TOLERANCE,
    AdditiveEffects,
    Effects,
    adverse_in,
    difference_of_effects,
)
from rung_ops.model.rows import Refusal
from rung_ops.model.target import MULTICLASS
from rung_ops.release import ReleaseError
from rung_ops.release.export import sample_rows

BACKGROUND_ROWS = 200_000  # training rows of which the means are taken; all, where there are fewer
TRIED_ROWS = 2_000


class UnexplainableError(ReleaseError):
    """Predictions have no reasons; the message says why."""


def describe(
    contract: dict[str, Any],
    expressions: list[pl.Expr],
    train: pl.DataFrame,
    tried: pl.DataFrame,
    predict: Predictor,
    trees: Predictor | None,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Find out how a model can be explained.

    Args:
        contract: content of contract.json.
        expressions: FEATURES.
        train: rows that the model was trained on.
        tried: features of rows to try the effects on, shape (n_rows, n_features).
        predict: the model that will answer; `trees` is the same in LightGBM's format, if it has one.
        settings: [reasons] of params.toml.

    Returns:
        `method`: trees or additive, or none with `why`; `adverse`: which predictions are
        unfavourable, high or low, or a list of classes; `columns` of the contract by feature;
        `max_difference` of the effects' sum to the predictions; for additive, the `means` of the
        features' terms over `background_rows` training rows.
    """
    task = contract["task"]
    try:
        unfavourable = adverse_in({"reasons": settings}, contract.get("classes") or ())
    except SettingsError as error:
        raise BundleError(str(error)) from error
    if unfavourable is None:
        what, values = "predictions", '"high" or "low"'
        if task == MULTICLASS:
            what, values = "classes", "a list of them"
        why = (
            f"params.toml does not say which {what} are unfavourable: set `adverse` under [reasons] "
            f"to {values}, train, and release again"
        )
        return {"method": "none", "why": why}
    if tried.height > TRIED_ROWS:  # the last rows are those at the edges of the contract
        tried = pl.concat([tried.head(TRIED_ROWS // 2), tried.tail(TRIED_ROWS // 2)])
    try:
        if isinstance(trees, EncodedBooster):
            method, found = "trees", _of_trees(trees, tried, predict, task)
        else:
            method, found = "additive", _of_additive(predict, tried, contract, expressions, train)
    except UnexplainableError as error:
        return {"method": "none", "why": str(error)}
    columns = columns_by_feature(expressions, contract, train)
    return {"method": method, "adverse": unfavourable, "columns": columns, **found}


def _of_trees(
    trees: EncodedBooster, tried: pl.DataFrame, predict: Predictor, task: str
) -> dict[str, Any]:
    off = _difference(trees.effects, tried, predict, task)
    if off > TOLERANCE:
        margin = "log-odds" if task in ("classification", MULTICLASS) else "predictions"
        raise UnexplainableError(f"the trees' scores are not its {margin} (difference: {off:.2g})")
    return {"max_difference": off}


def _of_additive(
    predict: Predictor,
    tried: pl.DataFrame,
    contract: dict[str, Any],
    expressions: list[pl.Expr],
    train: pl.DataFrame,
) -> dict[str, Any]:
    task = contract["task"]
    try:
        additive = AdditiveEffects(predict, task, reasons.typical(contract, expressions))
    except Refusal as refusal:
        raise UnexplainableError(
            f"the contract's example is not a row of it: {refusal}"
        ) from refusal
    off = _difference(additive, tried, predict, task)
    if off > TOLERANCE:
        raise UnexplainableError(
            "its model is neither LightGBM nor additive: the effects of single features differ by "
            f"{off:.2g} from its predictions"
        )
    background = sample_rows(train, BACKGROUND_ROWS, 0).select(expressions)
    means = {name: _mean(additive, background[name]) for name in background.columns}
    return {"max_difference": off, "background_rows": background.height, "means": means}


def columns_by_feature(
    expressions: list[pl.Expr], contract: dict[str, Any], rows: pl.DataFrame
) -> dict[str, list[str]]:
    """Name the columns that each feature is made of, in the contract's order."""
    names = [column["name"] for column in contract["columns"]]
    columns_of_features: dict[str, list[str]] = {}
    for expression in expressions:
        roots = set(expression.meta.root_names())
        for feature in rows.head(1).select(expression).columns:
            if not roots and feature in names:  # pl.col("a", "b") has no single root
                columns_of_features[feature] = [feature]
            else:
                columns_of_features[feature] = [name for name in names if name in roots] or names
    return columns_of_features


def _difference(effects_of: Effects, rows: pl.DataFrame, predict: Predictor, task: str) -> float:
    difference = difference_of_effects(effects_of(rows), predict(rows), task)
    return float(np.nan_to_num(difference, nan=np.inf).max())


def _mean(additive: AdditiveEffects, values: pl.Series) -> float | list[float]:
    counted = values.alias("value").value_counts().sort("value")
    terms = additive.terms(values.name, counted["value"])
    average = np.average(terms, axis=0, weights=counted["count"].to_numpy())
    return average.tolist()  # type: ignore[no-any-return]  # of several classes a number each
