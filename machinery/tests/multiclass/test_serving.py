"""A release of three classes is served: the class by name, the probability of each, and logged."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.multiclass.conftest import CLASSES
from machinery.tests.serving.calls import Caller, calling, soon
from machinery.tests.small_project import Scored, logged
from rung_ops import prediction_log
from rung_ops.batch import predict
from rung_ops.contract import row_checks
from rung_ops.model.target import Kind, numbers
from rung_ops.project.service_settings import Limits
from rung_ops.release.history import State
from rung_ops.release.rollout import Comparison, Trial
from rung_ops.serving import answers
from rung_ops.serving.hooks import ServiceHooks
from rung_ops.serving.loaded_release import HeldReleases, LoadedRelease
from rung_ops.serving.log_writer import PredictionLog
from rung_ops.serving.shadow import Offer, Shadow
from rung_ops.serving.shadow_process import SeparateRelease


def test_rows_are_answered_with_their_class_and_the_probability_of_each_in_every_form(
    caller: Caller,
    sent: list[dict[str, Any]],
    expected: np.ndarray,
    served: LoadedRelease,
    tmp_path: Path,
) -> None:
    labels = [CLASSES[code] for code in expected.argmax(axis=1)]
    columns = {name: [row[name] for row in sent] for name in sent[0]}

    many = caller.post("/predict", sent).json
    log = logged(tmp_path / "log", len(sent))
    body = caller.post("/predict", sent[0]).body
    by_column = caller.post("/predict/batch", {"columns": columns}).json
    unexplained = caller.post("/predict?explain=true", sent[0])

    alone = json.loads(body)
    assert list(alone) == ["id", "prediction", "probabilities", "release", "defaults_used"]
    assert list(alone["probabilities"]) == CLASSES
    assert alone["prediction"] == labels[0]
    assert alone["probabilities"] == pytest.approx(many["probabilities"][0], abs=1e-5)
    assert many["predictions"] == by_column["predictions"] == labels
    by_row = [list(row.values()) for row in many["probabilities"]]
    np.testing.assert_allclose(by_row, expected, atol=1e-5)
    np.testing.assert_allclose(list(by_column["probabilities"].values()), expected.T, atol=1e-5)
    assert log["prediction"].to_list() == labels
    np.testing.assert_allclose(log["probabilities"].struct.unnest().to_numpy(), expected, atol=1e-5)
    assert unexplained.status == 400
    assert "does not say which classes are unfavourable" in unexplained.body.decode()

    schemas = caller.get("/openapi.json").json["components"]["schemas"]
    assert sorted(schemas["Answer"]["properties"]["prediction"]["enum"]) == sorted(CLASSES)
    assert schemas["Probabilities"]["required"] == CLASSES
    types = answers.types_of(served.release.kind)
    assert msgspec.json.decode(body, type=types.row).release == served.release.id


def test_a_hook_after_the_prediction_gets_and_gives_all_probabilities(
    served: LoadedRelease, sent: list[dict[str, Any]], tmp_path: Path
) -> None:
    hooks = ServiceHooks(after_prediction=lambda rows, predictions: predictions[:, [1, 0, 2]])
    with calling(tmp_path, Limits(), hooks=hooks) as caller:
        caller.service.install(HeldReleases(State(1, served.release.id), served))
        swapped = caller.post("/predict", sent[0]).json
    row = served.reader.one(json.dumps(sent[0]).encode())
    _, plain = served.release.score(served.reader.table([row]).frame)

    np.testing.assert_allclose(
        list(swapped["probabilities"].values()), plain[0, [1, 0, 2]], atol=1e-12
    )


def test_a_shadow_is_compared_by_the_probability_that_moved_and_a_canary_by_the_class() -> None:
    kind, trial = Kind(tuple(CLASSES)), Trial(1.0)
    result = Comparison(kind)
    serving = np.random.default_rng(1).dirichlet([1, 1, 1], 300)
    moved = serving.copy()
    moved[:100] = np.roll(moved[:100], 1, axis=1)

    result.observe(serving, moved)
    answered = np.array([[0.1, 0.2, 0.7], [0.9, 0.1, 0.0]])
    trial.observe("canary", [0.1], ["a", "b"], numbers(answered, kind))

    assert (result.compared, result.failed, *result.changed(0.0)) == (300, 0, 100, 300)
    assert result.difference == pytest.approx(np.abs(serving - moved).sum() / 2)
    assert list(trial.canary.predictions.values()) == [2.0, 0.0]


def test_a_shadow_of_other_classes_fails_and_never_answers(
    served: LoadedRelease, trained: Trained
) -> None:
    rows = trained.test.select(list(served.release.schema)).head(4)
    shadow = Shadow(served.release, 1.0)

    shadow.offer(Offer(["a", "b", "c", "d"], rows, np.zeros(4), [4]))
    soon(lambda: shadow.comparison.failed >= 4)
    shadow.close()

    assert shadow.comparison.compared == 0


def test_a_shadow_in_a_process_of_its_own_is_compared_and_logged_by_class(
    served: LoadedRelease,
    release_folder: Path,
    release_key: bytes,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    rows = trained.test.select(list(served.release.schema)).head(4)
    _, predictions = served.release.score(rows)
    log = PredictionLog(tmp_path / "shadow")
    release = SeparateRelease(release_folder)
    shadow = Shadow(release, 1.0, log, ended=release.close)

    shadow.offer(Offer(list("abcd"), rows, predictions, [4]))
    soon(lambda: shadow.comparison.compared >= 4 or shadow.comparison.failed >= 4)
    shadow.close()
    log.close()

    assert (shadow.comparison.failed, shadow.comparison.difference) == (0, pytest.approx(0))
    rows_logged = prediction_log.read(tmp_path / "shadow").collect()
    labels = rows_logged["prediction"].to_list()
    assert labels == [CLASSES[code] for code in predictions.argmax(axis=1)]


def test_a_release_that_cannot_be_read_has_no_classes(tmp_path: Path) -> None:
    assert not SeparateRelease(tmp_path).kind.width


def test_a_file_is_scored_with_a_column_for_each_class(scored: Scored) -> None:
    by_class = [f"probability_{name}" for name in CLASSES]

    labels = scored.rows["prediction"].to_list()

    assert labels == [CLASSES[code] for code in scored.expected.argmax(axis=1)]
    np.testing.assert_allclose(scored.rows.select(by_class).to_numpy(), scored.expected)
    assert scored.bad["problem"][0].startswith("distance")
    assert scored.bad.select("prediction", *by_class).null_count().row(0) == (1, 1, 1, 1)
    assert scored.log["prediction"].to_list() == labels
    assert scored.log.schema["probabilities"] == pl.Struct(dict.fromkeys(CLASSES, pl.Float64))


def test_a_file_without_a_good_row_has_the_same_columns(trained: Trained) -> None:
    rows = trained.test.drop("outcome").head(2).with_columns(distance=pl.lit(None, pl.Float64))
    typed, problems = row_checks.inspect(rows, predict.schema(), "new.parquet")

    scored = predict.score_rows(rows, typed, problems, trained.estimator)

    added = ["prediction", *(f"probability_{name}" for name in CLASSES), "defaults_used", "problem"]
    assert scored.columns == [*rows.columns, *added]
