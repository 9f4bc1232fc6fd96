"""A release of quantiles: all columns in ONNX where that is the same, else in skops or a file of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from machinery.tests import small_project
from machinery.tests.conftest import Trained
from machinery.tests.quantiles.conftest import QUANTILES
from rung_ops import contract
from rung_ops.model import bundle
from rung_ops.model import released as serving_release
from rung_ops.quantiles import PerQuantile
from rung_ops.training import estimator

ReleaseOf = Callable[..., serving_release.Release]


def test_a_release_carries_drawn_rows_and_medians_alone(release_folder: Path) -> None:
    parity = pl.read_parquet(release_folder / bundle.PARITY)
    reference = pl.read_parquet(release_folder / bundle.REFERENCE)

    assert parity["prediction"].to_numpy().shape == (parity.height, 3)
    assert reference["prediction"].dtype == pl.Float64


def fitted(trained: Trained, last: Any) -> Pipeline:
    numbers = ["distance", "stops", "hour"]
    return small_project.fitted(trained, "vehicle", numbers, SimpleImputer(), last)


@pytest.mark.parametrize(
    "last",
    [
        PerQuantile(HistGradientBoostingRegressor(loss="quantile", max_iter=3), QUANTILES),
        PerQuantile(
            lightgbm.LGBMRegressor(objective="quantile", n_estimators=3, verbose=-1),
            QUANTILES,
            parameter="alpha",
        ),
    ],
    ids=["scikit-learn", "lightgbm"],
)
def test_one_regressor_for_each_quantile_becomes_onnx(
    trained: Trained, last: Any, release_of: ReleaseOf
) -> None:
    model = fitted(trained, last)

    loaded = release_of(model)

    rows = trained.test.select(list(loaded.schema))
    expected = estimator.predict(model, trained.test)
    assert loaded.manifest["format"] == "onnx"
    np.testing.assert_allclose(loaded.score(rows)[1], expected, atol=1e-3)


class Spread(BaseEstimator):  # type: ignore[misc]
    """Adds a constant to either side of a median, and answers in the wrong order."""

    def fit(self, features: Any, truth: np.ndarray) -> "Spread":
        self.median_ = float(np.median(truth))
        return self

    def predict(self, features: Any) -> np.ndarray:
        return np.tile([self.median_ + 1, self.median_, self.median_ - 1], (len(features), 1))


def test_a_model_of_a_custom_class_is_released_with_skops(
    trained: Trained, tmp_path: Path, release_of: ReleaseOf
) -> None:
    model = Spread().fit(None, estimator.truth(trained.train))
    source = tmp_path / "source"
    package = Path(str(contract.model.__file__)).parent
    source.mkdir()
    for path in package.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        text += f'TRUSTED = ["{__name__}.Spread"]\n' if path.name == "model.py" else ""
        (source / path.name).write_text(text, encoding="utf-8")

    loaded = release_of(model, source)

    predicted = loaded.score(trained.test.select(list(loaded.schema)))[1]
    assert loaded.manifest["format"] == "skops"
    median = float(np.median(trained.train["minutes"].to_numpy()))
    assert (predicted == [median - 1, median, median + 1]).all()
