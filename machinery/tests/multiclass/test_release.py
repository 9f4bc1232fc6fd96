"""A release of three classes: in ONNX where that is the same, else by the step that is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from machinery.tests import small_project
from machinery.tests.conftest import Trained
from machinery.tests.multiclass.conftest import CLASSES
from rung_ops.model import bundle
from rung_ops.model import released as serving_release
from rung_ops.training import estimator

ReleaseOf = Callable[..., serving_release.Release]


def test_a_release_carries_drawn_rows_and_labels_alone(release_folder: Path) -> None:
    parity = pl.read_parquet(release_folder / bundle.PARITY)
    reference = pl.read_parquet(release_folder / bundle.REFERENCE)

    assert parity["prediction"].to_numpy().shape == (parity.height, 3)
    assert set(reference["prediction"]) <= set(CLASSES)
    figures = json.loads((release_folder / bundle.METRICS).read_text())
    assert 0 < figures["brier"] < figures["log_loss"]


def fitted(trained: Trained, imputer: Any, last: Any) -> Pipeline:
    return small_project.fitted(trained, "service", ["distance", "weight", "hour"], imputer, last)


@pytest.mark.parametrize(
    "last",
    [
        HistGradientBoostingClassifier(max_iter=5),
        lightgbm.LGBMClassifier(n_estimators=5, verbose=-1),
    ],
)
def test_trees_of_several_classes_become_onnx(
    trained: Trained, last: Any, release_of: ReleaseOf
) -> None:
    model = fitted(trained, "passthrough", last)

    loaded = release_of(model)

    rows = trained.test.select(list(loaded.schema))
    expected = estimator.predict(model, trained.test)
    np.testing.assert_allclose(loaded.score(rows)[1], expected, atol=1e-5)
    usable = {each["format"] for each in loaded.manifest["parity"]["formats"] if each["ok"]}
    assert loaded.manifest["format"] == "onnx"
    assert usable == {"onnx"}  # LightGBM's own takes codes of texts, not a column for each
