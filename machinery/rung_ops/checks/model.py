"""The promises of build() and score() in model.py."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.checks.data import featured_sample, sample
from rung_ops.checks.user_code import calling
from rung_ops.contract import ContractError
from rung_ops.errors import StageError
from rung_ops.model.target import finite_rows, shape
from rung_ops.project.paths import params
from rung_ops.training import estimator

ROUNDING = 1e-4  # of probabilities that add up to 1: some models compute in 32 bits


def a_saved_model_answers_the_same() -> None:
    """A model that build() makes can be fitted, saved, loaded, and predicts finite numbers."""
    rows, settings = featured_sample(), params()
    with calling("build()"):
        model = contract.build(settings["model"] | {"seed": settings["seed"]})
    if not hasattr(model, "fit"):
        raise ContractError(
            f"model.py: build() returns {type(model).__name__}; it must return a model with fit() "
            "and predict()."
        )
    with calling("fit() of the model that build() makes"):
        fitted = model.fit(estimator.features(rows), estimator.truth(rows))
    if fitted is None:
        raise ContractError(
            "model.py: fit() returns nothing; it must return the fitted model, as `return self` does."
        )
    expected = _predicted(fitted, rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skops"
        try:
            with calling("saving and loading the model"):
                estimator.save(fitted, path)
                loaded = estimator.load(path)
        except StageError as error:
            if isinstance(error, ContractError):
                raise
            raise ContractError(f"model.py: {error}") from error
        again = _predicted(loaded, rows)
    if not np.array_equal(expected, again):
        raise ContractError("model.py: a saved and loaded model predicts other values than before.")


def _predicted(model: Any, rows: pl.DataFrame) -> np.ndarray:
    with calling("predicting with the model that build() makes"):
        predicted = estimator.predict(model, rows)
    kind = estimator.kind()
    if predicted.shape != shape(rows.height, kind):
        each = "one number"
        if kind.width:
            each = f"{kind.width} {'probabilities' if kind.classes else 'quantiles'}"
        raise ContractError(
            f"model.py: the model predicts an array of shape {predicted.shape} for {rows.height} "
            f"rows; it must give {each} for each."
        )
    if not finite_rows(predicted).all():
        raise ContractError("model.py: the model predicts values that are not finite numbers.")
    if kind.classes and (predicted.min() < 0 or np.abs(predicted.sum(axis=1) - 1).max() > ROUNDING):
        raise ContractError(
            "model.py: the model predicts probabilities of classes that do not add up to 1."
        )
    return predicted


def score_gives_the_metric() -> None:
    """score() returns figures by name, among them the one that `[score] metric` names."""
    actual = estimator.truth(sample())
    with calling("score()"):
        figures = contract.score(actual, _guesses(len(actual)))
    if not isinstance(figures, dict):
        kind = type(figures).__name__
        raise ContractError(
            f"model.py: score() returns {kind}; it must be a dict of figures by name."
        )
    metric = params()["score"]["metric"]
    if metric not in figures:
        raise ContractError(
            f"params.toml: [score] metric is `{metric}`, but score() returns {', '.join(figures)}."
        )
    for name, value in figures.items():
        with calling(f"reading `{name}` of score() as a number"):
            float(value)


def _guesses(n_rows: int) -> np.ndarray:
    """Make predictions for score() to try: probabilities, those of each class, or quantiles."""
    kind = estimator.kind()
    if kind.classes:
        return np.random.default_rng(1).dirichlet(np.ones(kind.width), n_rows)
    one = np.linspace(0.1, 0.9, n_rows)
    return one[:, None] + kind.quantiles if kind.quantiles else one
