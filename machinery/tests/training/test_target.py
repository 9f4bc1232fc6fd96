"""A classifier of a target that is true or false tells two classes apart, or is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import skops.io
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LinearRegression, LogisticRegression

from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.model import bundle
from rung_ops.model.predictors import predict_custom, predictor_of
from rung_ops.training import estimator

PACKAGE = "sample_package"
NUMBERS = pl.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})


def fitted(classes: list[int]) -> Any:
    return LogisticRegression().fit(NUMBERS, classes)


def test_a_classifier_of_three_classes_is_neither_saved_nor_used(tmp_path: Path) -> None:
    model = fitted([0, 1, 2, 2])

    for use in (
        lambda: estimator.save(model, tmp_path / "model.skops"),
        lambda: estimator.predict_features(model, NUMBERS),
        lambda: predict_custom(contract.model, model, NUMBERS),
    ):
        with pytest.raises(StageError, match="tells 3 classes apart"):
            use()
    assert not (tmp_path / "model.skops").exists()


def test_two_classes_and_numbers_are_predicted() -> None:
    probabilities = estimator.predict_features(fitted([0, 0, 1, 1]), NUMBERS)
    line = LinearRegression().fit(NUMBERS, NUMBERS["x"])

    assert probabilities.shape == (4,)
    np.testing.assert_allclose(estimator.predict_features(line, NUMBERS), NUMBERS["x"], atol=1e-9)


@pytest.fixture
def three_classes(tmp_path: Path) -> Path:
    """Return a release whose classifier tells three classes apart, in both formats."""
    model = fitted([0, 1, 2, 2])
    (tmp_path / bundle.SKOPS).write_bytes(skops.io.dumps(model))
    options = {id(model): {"zipmap": False}}
    inputs = [("x", FloatTensorType([None, 1]))]
    written = convert_sklearn(model, initial_types=inputs, options=options)
    # As in a release: the first output is the prediction.
    del written.graph.output[0]
    (tmp_path / bundle.ONNX).write_bytes(written.SerializeToString())
    source = tmp_path / bundle.SOURCE / PACKAGE
    source.mkdir(parents=True)
    (source / "__init__.py").touch()
    (source / "model.py").write_text("TRUSTED: list[str] = []\n")
    return tmp_path


@pytest.mark.parametrize("kind", ["skops", "onnx"])
def test_the_service_refuses_a_release_of_three_classes(three_classes: Path, kind: str) -> None:
    predict = predictor_of(three_classes, {"format": kind, "package": PACKAGE})

    with pytest.raises(StageError, match="tells 3 classes apart"):
        predict(NUMBERS)
