"""A model of three classes is checked, trained, evaluated and compared like any other."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

from machinery.tests.conftest import Patch, Trained
from machinery.tests.multiclass.conftest import CLASSES, parcels
from rung_ops import contract, stages
from rung_ops.checks import promises
from rung_ops.errors import StageError
from rung_ops.model.target import class_names
from rung_ops.training import baseline, estimator, plots, slice_scores


def test_every_promise_holds(checked: Path) -> None:
    reported = {promise.__name__: promises.broken(promise) for promise in promises.PROMISES}

    assert {name: message for name, message in reported.items() if message} == {}


class Loose:
    """Predicts three numbers that are not probabilities."""

    def fit(self, features: Any, truth: Any) -> "Loose":
        return self

    def predict_proba(self, features: pl.DataFrame) -> np.ndarray:
        return np.ones((features.height, 3))


def test_probabilities_that_do_not_add_up_are_found(checked: Path, monkeypatch: Patch) -> None:
    module = contract.model
    monkeypatch.setattr(module, "build", lambda params: Loose())
    monkeypatch.setattr(module, "save", lambda model, path: path.touch(), raising=False)
    monkeypatch.setattr(module, "load", lambda path: Loose(), raising=False)

    with pytest.raises(StageError, match="do not add up to 1"):
        promises.a_saved_model_answers_the_same()


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (pa.Column(str), "is a text without `isin`"),
        (pa.Column(pl.Date), "is of type Date"),
        (pa.Column(str, pa.Check.isin(["a"])), "two or more classes"),
        (pa.Column(str, pa.Check.isin(["a", "a"])), "two or more classes"),
        (pa.Column(str, pa.Check.isin(["a", "b"]), nullable=True), "may not be nullable"),
    ],
)
def test_other_targets_are_refused_in_a_sentence(field: pa.Column, message: str) -> None:
    with pytest.raises(StageError, match=message):
        class_names("kind", field)


def test_what_has_not_learned_every_class_is_refused(trained: Trained) -> None:
    regressor = LinearRegression().fit(parcels(20).select("distance"), np.arange(20))
    with pytest.raises(StageError, match="LinearRegression is not a classifier"):
        estimator.predict_features(regressor, parcels(20).select("distance"))

    rows = trained.train.filter(pl.col("outcome") != "late")
    model = contract.build({"C": 1.0, "seed": 1}).fit(
        estimator.features(rows), estimator.truth(rows)
    )

    assert (estimator.predict(model, rows)[:, 1] == 0).all()
    with pytest.raises(StageError, match="have none of the class late: bring rows"):
        stages.save_model(model)


def test_the_baseline_is_the_share_of_each_class(trained: Trained) -> None:
    simple = baseline.baseline(trained.train, trained.test)
    shares = [trained.train["outcome"].eq(name).mean() for name in CLASSES]
    predicted = estimator.predict(trained.estimator, trained.test)

    result = baseline.compare(estimator.truth(trained.test), predicted, simple)

    np.testing.assert_allclose(simple, np.tile(shares, (trained.test.height, 1)))
    assert result["better"]


@pytest.mark.usefixtures("reported")
def test_the_report_has_the_plots_of_classes(trained: Trained, reports: Path) -> None:
    assert {"confusion", "by_class", "calibration", "importances"} <= {
        path.stem for path in (reports / "plots").iterdir()
    }
    page = (reports / "report.html").read_text()
    for what in ("Confusion matrix", "Calibration by class"):
        assert f'aria-label="{what}"' in page
    confused = pl.read_csv(reports / "plots/confusion.csv")
    assert confused["rows"].sum() == trained.test.height
    sliced = json.loads((reports / "slices.json").read_text())
    assert all(row["brier"] < 1 for row in sliced if row["rows"] >= slice_scores.MIN_ROWS)
    assert not any("mean_truth" in row for row in sliced)
    card = (reports / "card.md").read_text()
    assert "### By class" in card
    assert "|lost & found|" in card


def test_precision_and_recall_are_of_the_most_probable_class() -> None:
    truth = np.array([0, 0, 1, 1, 1])
    predicted = np.array([[9, 1, 0], [4, 6, 0], [1, 9, 0], [2, 8, 0], [6, 4, 0]]) / 10

    table = plots.by_class(truth, predicted, CLASSES)

    assert table.rows() == [
        ("on time", 2, 2, 0.5, 0.5),
        ("late", 3, 3, 2 / 3, 2 / 3),
        ("lost & found", 0, 0, None, None),
    ]
