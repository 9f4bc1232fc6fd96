"""The gate compares probabilities of classes as it compares one number."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from machinery.tests.conftest import Trained
from rung_ops import contract
from rung_ops.gate import judge
from rung_ops.gate.verdict import Verdict
from rung_ops.project.paths import package_name
from rung_ops.tracking import versions
from rung_ops.tracking.model_bytes import VersionError
from rung_ops.training import estimator

Judged = Callable[..., Verdict]


def predictions(trained: Trained, strength: float = 1.0) -> np.ndarray:
    model = contract.build({"C": strength, "seed": 1})
    model.fit(estimator.features(trained.train), estimator.truth(trained.train))
    return estimator.predict(model, trained.test)


def test_a_version_that_is_as_good_passes(trained: Trained, judged: Judged) -> None:
    result = judged(predictions(trained), predictions(trained, 0.9))

    assert result.reasons == []
    assert result.promote
    scores = result.figures["scores"]["champion"]
    assert set(scores) == {"brier", "log_loss", "macro_auc", "accuracy"}
    assert {each["value"] for each in result.figures["slices"]} == {"standard", "express"}


@pytest.mark.parametrize("figure", ["macro_auc", "accuracy", "log_loss"])
def test_other_figures_decide_as_well(
    trained: Trained, judged: Judged, figure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = judge.params()
    settings["score"] = {"metric": figure, "higher_is_better": figure != "log_loss"}
    monkeypatch.setattr(judge, "params", lambda: settings)

    result = judged(predictions(trained), predictions(trained))

    assert result.promote
    assert result.figures["baseline"]["gain"] > 0


def test_a_champion_of_other_classes_is_not_compared(trained: Trained, judged: Judged) -> None:
    good = predictions(trained)

    reasons = judged(good, good[:, :2]).reasons

    rows = trained.test.height
    reported = f"predictions of the champion have shape ({rows}, 2); expected ({rows}, 3)"
    assert reasons == [reported]


def test_predictions_that_are_not_numbers_are_counted_by_row(
    trained: Trained, judged: Judged
) -> None:
    good, bad = predictions(trained), predictions(trained)
    bad[:5] = np.nan

    (reason,) = judged(bad, good).reasons

    assert reason.startswith("5 of ")


def test_a_version_whose_row_had_its_classes_in_another_order_is_not_compared(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "model.skops"
    estimator.save(trained.estimator, saved)
    trained.test.write_parquet(tmp_path / "test.parquet")
    older = tmp_path / "code" / package_name()
    shutil.copytree(Path(str(contract.dataset.__file__)).parent, older)
    dataset = older / "dataset.py"
    before = dataset.read_text(encoding="utf-8")
    dataset.write_text(before.replace('"on time", "late"', '"late", "on time"'), encoding="utf-8")
    monkeypatch.setattr(versions.model_bytes, "fetch", lambda version, folder: saved)
    monkeypatch.setattr(versions, "fetch", lambda folder, **artifact: tmp_path / "code")
    version: Any = SimpleNamespace(version="3", name="parcels", run_id="1")

    with pytest.raises(VersionError, match="version 3 predicts the classes late, on time"):
        versions.predictions(version, tmp_path / "test.parquet")

    dataset.write_text(before + "\n# the same rows\n", encoding="utf-8")
    again = versions.predictions(version, tmp_path / "test.parquet")
    np.testing.assert_array_equal(again, estimator.predict(trained.estimator, trained.test))
