"""What a release serves is the export of its version's model, byte for byte."""

import shutil
from pathlib import Path
from typing import Any

import lightgbm
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from machinery.governance.tests.conftest import Patch
from machinery.governance.tests.signing import swap_model
from machinery.tests.conftest import FACTS, Trained
from rung_governance.approval import served_model
from rung_ops.errors import VersionError
from rung_ops.model import bundle
from rung_ops.release import export, make, signing
from rung_ops.release.export import to_lightgbm
from rung_ops.tracking import versions
from rung_ops.training import estimator


@pytest.fixture
def release(release_folder: Path, tmp_path: Path) -> Path:
    """A copy of the release that may be changed."""
    return Path(shutil.copytree(release_folder, tmp_path / release_folder.name))


@pytest.fixture
def differences(trained: Trained, release_key: bytes, tmp_path: Path, monkeypatch: Patch) -> Any:
    """Compares a release with the trained model, which the registry holds as its version."""
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    for name, value in {
        "find": "the version",
        "estimator_of": trained.estimator,
        "rows_of": (trained.train, trained.test),
    }.items():
        monkeypatch.setattr(versions, name, lambda *_, value=value: value)
    return lambda release: served_model.differences(str(release))


def test_what_poe_release_wrote_is_the_export_of_its_version(
    release: Path, differences: Any
) -> None:
    assert differences(release) == []


@pytest.mark.tried(
    "Put another `model.onnx` into an approved release, and sign it again",
)
def test_another_file_that_predicts_the_same_is_found(
    release: Path, differences: Any, release_private_key: bytes
) -> None:
    swap_model(release, release_private_key)
    (difference,) = differences(release)
    assert "is not what the version's model is exported to here" in difference


def boosted(trained: Trained, rounds: int) -> Any:
    """Fit LightGBM to the features of the project."""
    features = estimator.features(trained.train)
    texts = [name for name, kind in features.schema.items() if kind == pl.String]
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", codes, texts)], remainder="passthrough")
    model = make_pipeline(columns, lightgbm.LGBMClassifier(n_estimators=rounds, verbose=-1))
    return model.fit(features, estimator.truth(trained.train))


@pytest.mark.tried(
    "Put other trees into a release for its reasons, and sign it again",
    "`poe deploy production` exports the version's trees again, and refuses",
)
def test_other_trees_that_only_give_reasons_are_found(
    trained: Trained, tmp_path: Path, release_private_key: bytes, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(export, "select_fastest", lambda measured: "onnx")
    model = boosted(trained, 5)
    folder = make.write(
        tmp_path, model, trained.train, trained.test, FACTS, release_private_key, {}
    )

    def found(of: Any = model) -> list[str]:
        key = signing.public_key_of(release_private_key)
        manifest, files = bundle.open_verified(folder, key)
        return list(served_model.compare(manifest, files, of, trained.test))

    assert found() == []
    other = to_lightgbm(boosted(trained, 6), estimator.features(trained.train))[0]
    (folder / bundle.LIGHTGBM).write_text(other, encoding="utf-8")
    manifest = bundle.read_manifest(folder) | {"files": bundle.files_of(folder)}
    make.write_json(folder / bundle.MANIFEST, manifest)
    signing.sign(folder, release_private_key)

    (difference,) = found()
    assert difference.startswith(
        f"{bundle.LIGHTGBM} is not what the version's model is exported to"
    )
    assert any("LogisticRegression, not a LightGBM" in each for each in found(trained.estimator))


def test_another_model_is_found_with_any_tolerance_in_the_manifest(
    release: Path, differences: Any, release_private_key: bytes, monkeypatch: Patch
) -> None:
    """A format whose bytes differ each time is compared by its predictions alone."""
    monkeypatch.setattr(served_model.export, "write_again", lambda *about: [])
    assert differences(release) == []
    manifest = bundle.read_manifest(release)
    parity = manifest["parity"] | {"tolerance": 1.0}
    make.write_json(release / bundle.MANIFEST, manifest | {"parity": parity})
    signing.sign(release, release_private_key)
    real = served_model.predictor_of

    def slanted(files: Any, manifest: Any) -> Any:
        predict = real(files, manifest)
        return lambda features: predict(features) * 0.999

    monkeypatch.setattr(served_model, "predictor_of", slanted)

    assert differences(release) == [
        f"its predictions are not those of the version's model: {served_model.AGAIN}"
    ]


def test_without_the_rows_of_the_version_nothing_is_compared(
    release: Path, differences: Any, monkeypatch: Patch
) -> None:
    def gone(version: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
        raise VersionError("the rows are missing")

    monkeypatch.setattr(versions, "rows_of", gone)

    assert differences(release) == ["the rows are missing"]


def test_a_release_of_another_key_is_not_read(
    release: Path, differences: Any, tmp_path: Path
) -> None:
    (release / bundle.CONTRACT).write_text("{}")
    with pytest.raises(bundle.BundleError, match="was changed after it was signed"):
        differences(release)
