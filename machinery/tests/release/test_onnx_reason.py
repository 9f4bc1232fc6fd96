"""The release names the step that keeps a model from ONNX, and what becomes ONNX in its place."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    SplineTransformer,
    StandardScaler,
)

from machinery.tests.release.test_export import FEATURES, TRUTH, median, ordinal, trees
from machinery.tests.release.test_export import one_hot as sparse_one_hot
from rung_ops.model.predictors import OnnxOutput
from rung_ops.release.to_onnx import blame_step, to_onnx
from rung_ops.training import estimator

NUMBERS, TEXTS = ["number", "number_or_none", "count"], ["letter", "letter_or_none"]
ROWS = FEATURES.select(NUMBERS + TEXTS)
VALUES = FEATURES["number"].abs().to_numpy() / 10 + TRUTH


def one_hot() -> OneHotEncoder:
    return sparse_one_hot(sparse_output=False)


def model(numbers: Any, texts: Any, last: Any) -> Any:
    branches = [("numbers", numbers, NUMBERS), ("texts", texts, TEXTS)]
    return make_pipeline(ColumnTransformer(branches), last)


def boosting(**more: Any) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(max_iter=20, random_state=1, **more)


def fitted(chosen: Any, rows: pl.DataFrame = ROWS) -> Any:
    return chosen.fit(rows, TRUTH if is_classifier(chosen) else VALUES)


def differs(chosen: Any, rows: pl.DataFrame = ROWS) -> bool:
    """Tell whether ONNX gives other predictions, or none."""
    try:
        numbers = OnnxOutput(to_onnx(chosen, rows))(rows)
    except Exception:
        return True
    return not np.allclose(numbers[:, -1], estimator.predict_features(chosen, rows), atol=1e-4)


# What keeps it from ONNX: the model, the step that is named, and what has to be proposed.
KEPT: dict[str, tuple[Any, str, str]] = {
    "neighbours": (
        model(make_pipeline(StandardScaler(), KNNImputer()), one_hot(), Ridge()),
        "the step `numbers, knnimputer` (KNNImputer)",
        "SimpleImputer",
    ),
    "splines behind an imputer": (
        model(make_pipeline(median(), SplineTransformer()), one_hot(), Ridge()),
        "the step `numbers, splinetransformer` (SplineTransformer)",
        "KBinsDiscretizer",
    ),
    "categories of boosted trees": (
        model("passthrough", ordinal(), boosting(categorical_features=[3, 4])),
        "the model (HistGradientBoostingRegressor)",
        "no `categorical_features`",
    ),
    "trees behind a scaler": (
        model(make_pipeline(median(), StandardScaler()), one_hot(), boosting()),
        "StandardScaler before HistGradientBoostingRegressor",
        "leave it out",
    ),
    "a transformed target": (
        TransformedTargetRegressor(
            model(median(), one_hot(), Ridge()), func=np.arcsinh, inverse_func=np.sinh
        ),
        "the model (TransformedTargetRegressor)",
        "on a target that load() has transformed",
    ),
    "codes of numbers and texts together": (
        make_pipeline(
            ColumnTransformer(
                [
                    ("texts", SimpleImputer(missing_values=None, strategy="most_frequent"), TEXTS),
                    ("numbers", median(), NUMBERS),
                ]
            ),
            ordinal(),
            Ridge(),
        ),
        "the step `ordinalencoder` (OrdinalEncoder)",
        "it on text",
    ),
    "calibration of everything": (
        CalibratedClassifierCV(model(median(), ordinal(), trees())),
        "the model (CalibratedClassifierCV)",
        "around the last step alone",
    ),
}
# What is proposed in their place, which has to hold.
PROPOSED: dict[str, Any] = {
    "an imputer": model(median(), one_hot(), Ridge()),
    "bins": model(make_pipeline(median(), StandardScaler()), one_hot(), Ridge()),
    "one-hot before boosted trees": model("passthrough", one_hot(), boosting()),
    "trees without a scaler": model(median(), one_hot(), boosting()),
    "calibration of the last step": model(
        median(), one_hot(), CalibratedClassifierCV(LogisticRegression(max_iter=1000))
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_the_step_and_what_to_use_instead_are_named(name: str) -> None:
    chosen, step, instead = KEPT[name]
    made = fitted(chosen)

    assert differs(made)
    sentence = blame_step(made, ROWS)
    assert sentence.startswith(step)
    assert instead in sentence


@pytest.mark.parametrize("name", PROPOSED)
def test_what_is_proposed_becomes_onnx(name: str) -> None:
    assert not differs(fitted(PROPOSED[name]))


class Odd:
    """A model that is not scikit-learn's."""

    def predict(self, rows: pl.DataFrame) -> np.ndarray:
        return np.zeros(rows.height)


def test_a_model_of_another_kind_is_named() -> None:
    assert blame_step(Odd(), ROWS) == (
        "the model (Odd) keeps it from ONNX; use instead: a model that skl2onnx converts, or LightGBM"
    )


def test_numbers_with_gaps_as_categories_are_named() -> None:
    rows = FEATURES.select("number").with_columns(
        hour=pl.when(pl.int_range(pl.len()) % 5 > 0).then(pl.int_range(pl.len()) % 7)
    )
    branches = [("hours", one_hot(), ["hour"]), ("numbers", StandardScaler(), ["number"])]
    made = fitted(make_pipeline(ColumnTransformer(branches), Ridge()), rows)

    assert differs(made, rows)
    assert "`hours` (OneHotEncoder)" in blame_step(made, rows)
    assert "SimpleImputer before it" in blame_step(made, rows)
    filled = make_pipeline(median(), one_hot())
    branches = [("hours", filled, ["hour"]), ("numbers", StandardScaler(), ["number"])]
    assert not differs(fitted(make_pipeline(ColumnTransformer(branches), Ridge()), rows), rows)
