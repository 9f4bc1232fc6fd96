"""XGBoost makes the same trees of parts as of all rows in memory."""

import re
from pathlib import Path

import numpy as np
import polars.selectors as cs
import pytest
from sklearn.linear_model import LinearRegression

from machinery.tests.conftest import Trained
from machinery.tests.training.conftest import BLOCKS
from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.project.parameters import checked
from rung_ops.project.paths import params
from rung_ops.stages import features, fit_xgboost, read_parts, truth, weight_arguments
from rung_ops.training import estimator, window

pytest.importorskip("xgboost", reason="an ejected project does not install it")
from xgboost import XGBClassifier, XGBRegressor  # noqa: E402

from rung_ops.training import xgboost_parts  # noqa: E402


@pytest.mark.parametrize("split", [{}, {"window": "half-life 1 months"}])
@pytest.mark.parametrize("classes", [0, 2, 4])
def test_xgboost_makes_the_same_trees_of_parts_and_computes_one_block_at_a_time(
    trained: Trained,
    stored: Path,
    monkeypatch: pytest.MonkeyPatch,
    split: dict[str, str],
    classes: int,
) -> None:
    kind = XGBClassifier if classes else XGBRegressor
    settings = {"n_estimators": 5, "max_bin": 32, "subsample": 0.5, "random_state": 7, "n_jobs": 1}
    numbers = [(cs.numeric() | cs.boolean()) - cs.by_name(contract.TARGET)]
    monkeypatch.setattr(contract, "FEATURES", numbers)
    values = params() | {"split": {"test_share": 0.25} | split}
    monkeypatch.setattr(window, "parameters", lambda: checked(values))
    outcomes = truth(trained.train)
    if classes:
        outcomes = (np.arange(len(outcomes)) + outcomes.astype(int)) % classes
    monkeypatch.setattr(xgboost_parts, "truth", lambda _: outcomes)
    heights: list[int] = []
    monkeypatch.setattr(
        window, "features", lambda rows: heights.append(rows.height) or features(rows)
    )

    fitted = fit_xgboost(kind(**settings), read_parts(stored))

    weights = weight_arguments(kind(), trained.train)
    assert bool(weights) == bool(split)
    expected = kind(**settings).fit(features(trained.train), outcomes, **weights)
    assert fitted.get_booster().get_dump() == expected.get_booster().get_dump()
    assert max(heights) <= trained.train.height // BLOCKS + 1
    types = {"xgboost.core.Booster", f"xgboost.sklearn.{kind.__name__}"}
    monkeypatch.setattr(contract, "TRUSTED", types)
    monkeypatch.setattr(estimator, "classes", lambda: list("abcd") if classes > 2 else [])
    path = stored.with_name("model.skops")
    estimator.save_fitted(fitted, path)
    ask = "predict_proba" if classes else "predict"
    inputs = features(trained.test)
    assert np.array_equal(
        getattr(estimator.load(path), ask)(inputs), getattr(expected, ask)(inputs)
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LinearRegression(), "LinearRegression cannot be fitted to parts: build()"),
        (XGBRegressor(early_stopping_rounds=3), "with its `early_stopping_rounds`"),
        (XGBRegressor(tree_method="exact"), "with its `tree_method`"),
        (XGBRegressor(objective=lambda *_: None), "with its `objective`"),
    ],
)
def test_what_xgboost_cannot_fit_in_parts_is_refused(
    stored: Path, model: object, message: str
) -> None:
    with pytest.raises(StageError, match=re.escape(message)):
        fit_xgboost(model, read_parts(stored))
