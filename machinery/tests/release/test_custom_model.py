"""A model that save() and load() of model.py write and read is released and served as others are."""

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.projects import moved
from machinery.tests.release.conftest import Write
from rung_ops import contract
from rung_ops.errors import StageError, VersionError
from rung_ops.model import bundle
from rung_ops.model import released as serving_release
from rung_ops.model.predictors import predict_custom
from rung_ops.release import export
from rung_ops.training import estimator

PACKAGE = contract.Row.__module__.split(".")[0]
# Weights of the numeric features, in a file of NumPy.
HAND_WRITTEN = '''

import numpy as _np
import polars as _pl


class Linear:
    """A hand-written regression: least squares on the numbers."""

    def fit(self, features, truth):
        self.weights = _np.linalg.lstsq(self._matrix(features), truth, rcond=None)[0]
        return self

    def share(self, features):
        return _np.clip(self._matrix(features) @ self.weights, 0, 1)

    @staticmethod
    def _matrix(features):
        numeric = features.select(_pl.selectors.numeric().cast(_pl.Float64).fill_null(0))
        return numeric.fill_nan(0).to_numpy()


def build(params):
    return Linear()


def save(model, path):
    with path.open("wb") as file:
        _np.save(file, model.weights)


def load(path):
    model = Linear()
    model.weights = _np.load(path, allow_pickle=False)
    return model


def predict(model, features):
    return model.share(features)
'''


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The project's package, with a hand-written model in model.py."""
    source = tmp_path / "source" / PACKAGE
    shutil.copytree(Path(contract.dataset.__file__).parent, source)
    with (source / "model.py").open("a", encoding="utf-8") as module:
        module.write(HAND_WRITTEN)
    return source


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The same model.py as the one that the project uses."""
    module = ModuleType(f"{PACKAGE}.model")
    exec(Path(contract.model.__file__).read_text("utf-8") + HAND_WRITTEN, module.__dict__)
    monkeypatch.setattr(contract, "model", module)
    return module


@pytest.fixture
def fitted(module: ModuleType, trained: Trained) -> Any:
    """A model that is not scikit-learn's, fitted."""
    return module.build({}).fit(estimator.features(trained.train), estimator.truth(trained.train))


def test_a_saved_model_predicts_the_same(fitted: Any, trained: Trained, tmp_path: Path) -> None:
    estimator.save(fitted, tmp_path / "model/model.skops")

    again = estimator.load(tmp_path / "model/model.skops")

    assert np.array_equal(
        estimator.predict(fitted, trained.test), estimator.predict(again, trained.test)
    )


def test_a_save_that_writes_elsewhere_is_named(
    fitted: Any, module: ModuleType, tmp_path: Path
) -> None:
    module.save = lambda model, path: np.savez(path, weights=model.weights)  # adds .npz

    with pytest.raises(
        Exception, match="did not write to .*one file or folder at exactly this path"
    ):
        estimator.save(fitted, tmp_path / "model.skops")


def test_it_is_released_and_predicts_the_same_in_the_service(
    write: Write,
    fitted: Any,
    source: Path,
    trained: Trained,
    release_key: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved(monkeypatch, export, repository=tmp_path)  # a project without a plan

    made = write(fitted, source=source)

    assert bundle.read_manifest(made)["format"] == "custom"
    loaded = serving_release.load(made, release_key)
    _, predicted = loaded.score(trained.test)
    assert np.allclose(predicted, estimator.predict(fitted, trained.test), atol=1e-12)


def test_an_add_on_may_refuse_the_release(
    write: Write, fitted: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(root: Path) -> None:
        raise StageError("not in this house")

    monkeypatch.setattr(export.active_addons, "targets", lambda name: [("house", refuse)])

    with pytest.raises(VersionError, match="not in this house"):
        write(fitted, source=source)

    assert list(tmp_path.glob("v*")) == []


def test_without_predict_the_model_predicts_itself() -> None:
    class Probabilities:
        def predict_proba(self, features: pl.DataFrame) -> np.ndarray:
            return np.tile([0.25, 0.75], (features.height, 1))

    class Values:
        def predict(self, features: pl.DataFrame) -> np.ndarray:
            return np.full(features.height, 7)

    rows, module = pl.DataFrame({"x": [1, 2]}), ModuleType("model")

    assert predict_custom(module, Probabilities(), rows).tolist() == [0.75, 0.75]
    assert predict_custom(module, Values(), rows).tolist() == [7.0, 7.0]
