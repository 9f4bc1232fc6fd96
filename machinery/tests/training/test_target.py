"""A target of more than two classes is refused, in the same sentence wherever it is met."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from rung_ops import contract, custom_model
from rung_ops.target import UnsupportedTargetError
from rung_ops.training import estimator

NUMBERS = pl.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})


def fitted(classes: list[int]) -> Any:
    return LogisticRegression().fit(NUMBERS, classes)


def test_a_target_of_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pl.DataFrame({contract.TARGET: ["bus", "car"]})

    with pytest.raises(UnsupportedTargetError, match=r"is of type String\. Only targets of two"):
        estimator.truth(rows)


def test_a_classifier_of_three_classes_is_neither_saved_nor_used(tmp_path: Path) -> None:
    model = fitted([0, 1, 2, 2])

    for use in (
        lambda: estimator.save(model, tmp_path / "model.skops"),
        lambda: estimator.predict_features(model, NUMBERS),
        lambda: custom_model.predict(contract.model, model, NUMBERS),
    ):
        with pytest.raises(UnsupportedTargetError, match="tells 3 classes apart"):
            use()
    assert not (tmp_path / "model.skops").exists()


def test_two_classes_and_numbers_are_predicted() -> None:
    probabilities = estimator.predict_features(fitted([0, 0, 1, 1]), NUMBERS)
    line = LinearRegression().fit(NUMBERS, NUMBERS["x"])

    assert probabilities.shape == (4,)
    np.testing.assert_allclose(estimator.predict_features(line, NUMBERS), NUMBERS["x"], atol=1e-9)
