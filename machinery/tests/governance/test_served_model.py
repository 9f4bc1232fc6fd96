"""What a release serves is the export of its version's model, byte for byte."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.governance.signing import swap_model
from rung_ops.governance import served_model
from rung_ops.release import bundle, content, registry_artifacts, signing, verify


@pytest.fixture
def release(release_folder: Path, tmp_path: Path) -> Path:
    """A copy of the release that may be changed."""
    return Path(shutil.copytree(release_folder, tmp_path / release_folder.name))


@pytest.fixture
def differences(
    trained: Trained, release_key: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Compares a release with the trained model, which the registry holds as its version."""
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    for name, value in {
        "version": "the version",
        "estimator_of": trained.estimator,
        "rows": (trained.train, trained.test),
    }.items():
        monkeypatch.setattr(registry_artifacts, name, lambda *_, value=value: value)
    return lambda release: served_model.differences(str(release))


def test_what_poe_release_wrote_is_the_export_of_its_version(
    release: Path, differences: Any
) -> None:
    assert differences(release) == []


@pytest.mark.tried(
    "Put another `model.onnx` into an approved release, fix its manifest, and sign it again",
)
def test_another_file_that_predicts_the_same_is_found(
    release: Path, differences: Any, release_private_key: bytes
) -> None:
    swap_model(release, release_private_key)

    (difference,) = differences(release)
    assert "is not what the version's model is exported to here" in difference


def test_another_model_is_found_with_any_tolerance_in_the_manifest(
    release: Path, differences: Any, release_private_key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A format whose bytes differ each time is compared by its predictions alone."""
    monkeypatch.setattr(served_model.export, "write_again", lambda *about: [])
    assert differences(release) == []
    manifest = bundle.read_manifest(release)
    parity = manifest["parity"] | {"tolerance": 1.0}
    content.write_json(release / bundle.MANIFEST, manifest | {"parity": parity})
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
    release: Path, differences: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(version: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
        raise registry_artifacts.NotReleasable("the rows are missing")

    monkeypatch.setattr(registry_artifacts, "rows", gone)

    assert differences(release) == ["the rows are missing"]


def test_a_release_of_another_key_is_not_looked_at(
    release: Path, differences: Any, tmp_path: Path
) -> None:
    (release / bundle.CONTRACT).write_text("{}")

    with pytest.raises(verify.BadBundle, match="was changed after it was signed"):
        differences(release)
