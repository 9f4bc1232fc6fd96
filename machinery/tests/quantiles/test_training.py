"""Quantiles are checked, trained, evaluated and compared like any other prediction."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression

from machinery.tests.conftest import Trained
from machinery.tests.quantiles.conftest import QUANTILES, deliveries
from rung_ops import contract
from rung_ops.checks import promises
from rung_ops.errors import StageError
from rung_ops.model.predictors import predict_custom
from rung_ops.model.target import Kind, kind_of
from rung_ops.training import baseline, estimator


def test_every_promise_holds(checked: Path) -> None:
    by_promise = {promise.__name__: promises.broken(promise) for promise in promises.PROMISES}

    assert {name: broken for name, broken in by_promise.items() if broken} == {}


@pytest.mark.parametrize(
    "quantiles",
    [
        (0.1, 0.9),
        (0.1, 0.5),
        (0.9, 0.5, 0.1),
        (0, 0.5, 1),
        (0.1, 0.4, 0.9),
        "abc",
        0.5,
        ("a", 1, 2),
    ],
)
def test_other_quantiles_are_refused_in_a_sentence(quantiles: Any) -> None:
    with pytest.raises(StageError, match="three numbers between 0 and 1, the median"):
        kind_of("minutes", pa.Column(float), quantiles)


def test_the_kind_follows_from_the_target_and_its_quantiles() -> None:
    for column in (pa.Column(bool), pa.Column(str, pa.Check.isin(["a", "b"]))):
        with pytest.raises(StageError, match="the target `kind` is not a number"):
            kind_of("kind", column, QUANTILES)
    plain = kind_of("minutes", pa.Column(float), ())
    quantiles = kind_of("minutes", pa.Column(float), [0.05, 0.5, 0.95])

    assert (plain, plain.width, str(plain)) == (Kind(), 0, "one number")
    assert (quantiles.width, quantiles.level) == (3, 0.9)
    assert str(quantiles) == "the quantiles 0.05, 0.5, 0.95"


def test_a_model_of_one_number_is_refused(checked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(LinearRegression):  # type: ignore[misc]
        def fit(self, features: pl.DataFrame, truth: np.ndarray) -> Any:
            return super().fit(features.select("distance"), truth)

        def predict(self, features: pl.DataFrame) -> Any:
            return super().predict(features.select("distance"))

    monkeypatch.setattr(contract.model, "build", lambda params: Plain())
    monkeypatch.setattr(promises.estimator, "save", lambda fitted, path: None)

    with pytest.raises(StageError, match="it must give 3 quantiles for each"):
        promises.a_saved_model_answers_the_same()


@pytest.mark.parametrize("named", [True, False])
def test_quantiles_of_a_model_with_its_own_file_are_sorted(named: bool) -> None:
    crossing = SimpleNamespace(predict=lambda features: np.array([[3, 2, 1]] * features.height))
    module: Any = SimpleNamespace()
    if named:
        module.predict = lambda fitted, features: fitted.predict(features)

    predicted = predict_custom(module, crossing, deliveries(2), "quantile")

    assert predicted.tolist() == [[1.0, 2.0, 3.0]] * 2


def test_the_baseline_is_the_quantiles_of_the_training_rows(trained: Trained) -> None:
    simple = baseline.baseline(trained.train, trained.test)
    predicted = estimator.predict(trained.estimator, trained.test)

    result = baseline.compare(estimator.truth(trained.test), predicted, simple)

    expected = np.quantile(trained.train["minutes"].to_numpy(), QUANTILES)
    np.testing.assert_allclose(simple, np.tile(expected, (trained.test.height, 1)))
    assert result["better"]


def test_the_report_says_how_many_rows_the_interval_holds(
    trained: Trained, reported: np.ndarray, reports: Path
) -> None:
    truth = trained.test["minutes"].to_numpy()
    held = ((reported[:, 0] <= truth) & (truth <= reported[:, 2])).mean()
    metrics = json.loads((reports / "metrics.json").read_text())
    assert metrics["interval_coverage"] == pytest.approx(held)
    assert 0.6 < held < 0.9
    assert metrics["interval_width"] > 0
    assert 0 <= metrics["quantiles_crossed"] < 0.05
    tables = {path.stem: pl.read_csv(path) for path in (reports / "plots").iterdir()}
    named = {"quantiles", "coverage", "residuals_over_time", "residuals", "importances"}
    assert named <= set(tables)
    assert tables["coverage"]["slice"].to_list()[:3] == ["all rows", "vehicle bike", "vehicle van"]
    assert tables["coverage"]["coverage"][0] == pytest.approx(held)
    assert tables["residuals_over_time"]["rows"].sum() == trained.test.height
    sliced = {row["value"]: row for row in json.loads((reports / "slices.json").read_text())}
    assert sliced["bike"]["interval_coverage"] == pytest.approx(tables["coverage"]["coverage"][1])
    assert "|interval coverage|" in (reports / "card.md").read_text()


def test_crossings_are_counted_before_they_are_sorted(trained: Trained) -> None:
    class Crossing(BaseEstimator):  # type: ignore[misc]
        def predict(self, features: pl.DataFrame) -> np.ndarray:
            raw = np.tile([1.0, 2.0, 3.0], (features.height, 1))
            raw[::4] = [3.0, 2.0, 1.0]
            return raw

    rows = deliveries(100)

    assert estimator.crossed(Crossing(), rows) == 0.25
    assert (estimator.predict(Crossing(), rows) == [1.0, 2.0, 3.0]).all()
