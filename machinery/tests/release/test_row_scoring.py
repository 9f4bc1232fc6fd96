"""A release says whether the service may compute features of few rows without polars."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.release.conftest import Write
from rung_ops import contract
from rung_ops.model import bundle, released, row_path
from rung_ops.model.row_path import UntranslatedError
from rung_ops.prediction_log import Batch, assemble
from rung_ops.release import make
from rung_ops.serving.loaded_release import LoadedRelease


def refuse(*arguments: Any) -> Any:
    raise UntranslatedError("`hour` differs from what polars computes")


def test_features_of_a_model_in_a_fast_format_are_computed_without_polars(
    release_folder: Path, release_key: bytes
) -> None:
    loaded = released.load(release_folder, release_key)

    is_fast = loaded.manifest["format"] in ("onnx", "lightgbm")
    assert loaded.manifest["row_features"]["used"] == is_fast
    assert (loaded.row_scorer is not None) == is_fast


def test_values_are_scored_and_logged_as_frames_are(
    release_folder: Path, release_key: bytes, row: bytes
) -> None:
    served = LoadedRelease(released.load(release_folder, release_key), "serving", strict=False)
    rows = [served.reader.one(row)] * 2
    frame = served.reader.table(rows).frame
    values, missing = served.reader.values(rows)

    features, predictions = served.release.score(frame)
    scored = served.release.score_values(values)

    assert scored is not None
    np.testing.assert_array_equal(scored[1], predictions)
    assert not missing
    of_frames = Batch(0, ["1", "2"], "v1", "serving", frame, features, predictions)
    of_values = Batch(0, ["1", "2"], "v1", "serving", values, *scored)
    log = assemble([of_values, of_frames, of_values])
    assert log.height == 6
    assert log.head(2).equals(assemble([of_frames])) and log.tail(2).equals(log.head(2))
    assert log.schema == assemble([of_frames]).schema


def test_if_they_differ_the_release_says_so_and_polars_computes_them(
    write: Write, release_key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_path, "row_features", refuse)
    made = write()

    reason = bundle.read_manifest(made)["row_features"]["reason"]
    assert reason == "`hour` differs from what polars computes"
    assert any(reason in line for line in make.summary(made))
    monkeypatch.undo()
    assert released.load(made, release_key).row_scorer is None


def test_where_they_differ_in_the_service_polars_computes_them(
    release_folder: Path,
    release_key: bytes,
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(row_path, "row_features", refuse)

    loaded = released.load(release_folder, release_key)

    assert loaded.row_scorer is None
    assert "`hour` differs" in caplog.text
    rows = trained.test.drop(contract.TARGET).head(1)
    typed = rows.select(pl.col(name).cast(kind) for name, kind in loaded.schema.items())
    assert loaded.score_values(typed) is None and len(loaded.score(typed)[1]) == 1  # type: ignore[arg-type]
