"""What scikit-learn's own estimators hold is trusted; everything else is asked for in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder

from rung_ops import contract
from rung_ops.errors import UnreadableFileError
from rung_ops.training import estimator

ROWS = pl.DataFrame(
    {"text": ["a", "b", "c"] * 20, "x": [float(n % 7) for n in range(60)], "y": [1.0, 2.0] * 30}
)
TRUTH = np.array([0, 1, 1] * 20)
NUMBERS = ["x", "y"]


def columns(*steps: Any) -> ColumnTransformer:
    return ColumnTransformer([("text", steps[0], ["text"]), ("numbers", "passthrough", NUMBERS)])


MODELS = {
    "words": make_pipeline(
        ColumnTransformer([("text", TfidfVectorizer(token_pattern="."), "text")]),
        LogisticRegression(),
    ),
    "imputed and selected": make_pipeline(
        columns(make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())),
        SelectKBest(k=2),
        LogisticRegression(),
    ),
    "searched by time": make_pipeline(
        columns(OrdinalEncoder()),
        GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=TimeSeriesSplit(2)),
    ),
    "calibrated": make_pipeline(
        ColumnTransformer([("x", KBinsDiscretizer(3), NUMBERS)]),
        CalibratedClassifierCV(LogisticRegression(), cv=2),
    ),
    "a network": make_pipeline(
        columns(OneHotEncoder()), MLPClassifier((3,), max_iter=5, random_state=1)
    ),
    "a Gaussian process": make_pipeline(
        columns(OneHotEncoder()), GaussianProcessClassifier(RBF() + WhiteKernel())
    ),
    "stacked": make_pipeline(
        columns(OneHotEncoder()), StackingClassifier([("a", LogisticRegression())], cv=2)
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_scikit_learn_needs_nothing_in_trusted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract.model, "TRUSTED", [])
    model = MODELS[name].fit(ROWS, TRUTH)

    estimator.save(model, tmp_path / "model.skops")

    loaded = estimator.load(tmp_path / "model.skops")
    expected = estimator.predict_features(model, ROWS)
    np.testing.assert_array_equal(estimator.predict_features(loaded, ROWS), expected)


def test_saving_and_loading_name_untrusted_trees_in_the_same_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.skops"
    model = RandomForestClassifier(2).fit(ROWS.select(NUMBERS), TRUTH)
    monkeypatch.setattr(contract.model, "TRUSTED", ["sklearn.tree._tree.Tree"])
    estimator.save(model, path)
    monkeypatch.setattr(contract.model, "TRUSTED", [])

    for use in (lambda: estimator.save(model, path), lambda: estimator.load(path)):
        with pytest.raises(UnreadableFileError) as error:
            use()
        assert str(error.value) == (
            f'{path} holds types that are not trusted: "sklearn.tree._tree.Tree". If you trust '
            "them, add them to TRUSTED in model.py."
        )
