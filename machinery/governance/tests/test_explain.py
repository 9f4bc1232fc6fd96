"""Explanations add up to the prediction, and hold for words, numbers and what is missing."""

from typing import Any

import numba
import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from machinery.tests.conftest import Trained
from rung_governance.documents import explain
from rung_governance.documents.explain import reasons, report
from rung_ops.project.paths import params
from rung_ops.training import estimator

FEATURES = pl.DataFrame(
    {
        "where": ["sea", "hill", None, "sea"],
        "rooms": [1, 2, None, 4],
        "area": [10.5, 20.0, None, 40.0],
        "lift": [True, False, None, True],
    }
)


class Price(RegressorMixin, BaseEstimator):
    """A model that can be worked out by hand: 10 by the sea, and 2 for each room."""

    def fit(self, features: pl.DataFrame, truth: np.ndarray) -> "Price":
        return self

    def predict(self, features: pl.DataFrame) -> np.ndarray:
        sea = (features["where"] == "sea").fill_null(False).to_numpy()
        return 10.0 * sea + 2.0 * features["rooms"].fill_null(0).to_numpy()


def explained(rows: pl.DataFrame, **changes: Any) -> tuple[np.ndarray, float]:
    return explain.shap_values(Price(), rows, FEATURES, **({"seed": 7, "seconds": 3_600} | changes))


def test_shap_is_not_compiled_and_what_a_project_compiles_still_is() -> None:
    explained(FEATURES)
    import shap

    assert not hasattr(shap.links.identity, "py_func")
    assert hasattr(numba.njit(lambda number: number), "py_func")


def test_only_what_the_model_uses_has_a_share() -> None:
    shares, base = explained(FEATURES)

    assert base == pytest.approx(8.5)  # half are by the sea; 7 rooms in 4 rows
    assert shares[0].tolist() == pytest.approx([5, 2 * (1 - 7 / 4), 0, 0])


def test_one_feature_can_be_explained() -> None:
    class Rooms(Price):
        def predict(self, features: pl.DataFrame) -> np.ndarray:
            return features["rooms"].fill_null(0).to_numpy().astype(float)

    rooms = FEATURES.select("rooms")

    shares, base = explain.shap_values(Rooms(), rooms, rooms, seed=7, seconds=3_600)

    assert shares[:, 0] + base == pytest.approx([1, 2, 0, 4])


def test_no_row_is_begun_when_the_time_is_over() -> None:
    assert len(explained(FEATURES, seconds=0)[0]) == 1


@pytest.mark.parametrize(("adverse", "named"), [("high", ["where"]), ("low", ["rooms"])])
def test_a_favourable_effect_is_not_a_reason_against_a_person(
    adverse: str, named: list[str]
) -> None:
    shares, _ = explained(FEATURES)

    assert [each["feature"] for each in reasons(FEATURES, shares, 0, adverse)] == named
    assert len(reasons(FEATURES, shares, 0)) == 4
    assert reasons(FEATURES, shares, 0)[0] == {"feature": "where", "value": "sea", "effect": 5.0}


def test_the_report_has_one_base_and_examples_from_the_highest_prediction(trained: Trained) -> None:
    settings = params() | {"explain": {"rows": 6, "background": 5}, "reasons": {"adverse": "high"}}

    result = report(trained.estimator, trained.test, trained.train, settings)

    features = estimator.features(trained.test.head(1)).columns
    assert isinstance(result["base"], float)
    assert "importance_by_class" not in result
    assert sorted(result["importance"]) == sorted(features)
    assert result["reasons_are"] == "what makes a prediction higher"
    predicted = [each["predicted"] for each in result["examples"]]
    assert len(predicted) == 5
    assert predicted == sorted(predicted, reverse=True)
    for each in result["examples"]:
        row = trained.test[each["test_row"]]
        assert each["predicted"] == pytest.approx(
            estimator.predict(trained.estimator, row)[0], abs=1e-4
        )
        assert all(reason["effect"] > 0 for reason in each["reasons"])
