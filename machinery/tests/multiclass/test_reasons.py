"""Of several classes, reasons say what spoke for an unfavourable answer against the favourable ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from machinery.tests import small_project
from machinery.tests.conftest import Trained
from machinery.tests.multiclass.conftest import CLASSES
from machinery.tests.serving.calls import Caller
from machinery.tests.small_project import logged
from rung_ops.checks import promises
from rung_ops.errors import SettingsError
from rung_ops.model import bundle, predictors
from rung_ops.model import released as serving_release
from rung_ops.model.bundle import BundleError
from rung_ops.model.reasons import Reasons, adverse_in
from rung_ops.model.released import Release
from rung_ops.project.paths import params
from rung_ops.training import estimator

ReleaseOf = Callable[..., Release]

UNFAVOURABLE = ["late", "lost & found"]
NUMBERS = ["distance", "weight", "hour"]


@pytest.fixture(autouse=True)
def said(project: Path, request: pytest.FixtureRequest) -> Path:
    """Say in params.toml which classes are unfavourable."""
    path, adverse = project / "params.toml", getattr(request, "param", UNFAVOURABLE)
    path.write_text(path.read_text() + f"\n[reasons]\nadverse = {json.dumps(adverse)}\n")
    return path


def log_odds(trained: Trained, features: pl.DataFrame, against: int) -> np.ndarray:
    """Return the log-odds of a class against the only favourable one; shape (n_rows,)."""
    predicted = np.log(estimator.predict_features(trained.estimator, features))
    return predicted[:, against] - predicted[:, 0]


def effects_by_hand(trained: Trained, row: pl.DataFrame, against: int) -> dict[str, float]:
    """Take each feature from all training rows in turn: exact Shapley values of what adds up."""
    background = estimator.features(trained.train)
    whole = float(log_odds(trained, row, against)[0])
    without = {}
    for name in row.columns:
        others = row.drop(name).join(background.select(name), how="cross").select(row.columns)
        without[name] = float(log_odds(trained, others, against).mean())
    return {name: whole - mean for name, mean in without.items()}


def test_reasons_are_the_exact_effects_on_the_log_odds_against_the_favourable_classes(
    trained: Trained, served: Any
) -> None:
    release: Release = served.release
    assert isinstance(release.reasons, Reasons)
    features = estimator.features(trained.test)
    answered = estimator.predict_features(trained.estimator, features).argmax(axis=1)

    given = release.reasons.strongest(features, 9)

    for row in np.flatnonzero(answered == 1)[:5]:
        by_hand = effects_by_hand(trained, features[int(row)], 1)
        against = {name: effect for name, effect in by_hand.items() if effect > 1e-3}
        mine = {each.columns[0]: each.effect for each in given[row] if each.effect > 1e-3}
        names = {"hour": "handed_in"}
        assert list(mine) == [
            names.get(name, name) for name in sorted(against, key=lambda name: -against[name])
        ]
        assert sorted(mine.values()) == pytest.approx(sorted(against.values()), abs=2e-3)


def test_the_service_answers_and_logs_them(
    caller: Caller, trained: Trained, sent: list[dict[str, Any]], tmp_path: Path
) -> None:
    far = [row | {"distance": 1_490.0, "service": "standard"} for row in sent]
    near = sent[0] | {"distance": 5.0, "service": "express"}

    one = caller.post("/predict?explain=true", far[0]).json
    many = caller.post("/predict?explain=true", [*far, near]).json
    plain = caller.post("/predict", far[0]).json
    log = logged(tmp_path / "log", 6)

    assert one["prediction"] == "late"
    assert one["reasons"][0]["columns"] == ["distance"]
    assert "reasons" not in plain
    assert many["predictions"][-1] == "on time"
    assert many["reasons"][0] == one["reasons"]
    assert many["reasons"][-1] == []
    with_reasons = log.filter(pl.col("reasons").is_not_null())
    assert with_reasons.height == 5
    assert with_reasons["reasons"].list.len().max() > 0


def trees_of_lightgbm(trained: Trained) -> Any:
    trees = lightgbm.LGBMClassifier(n_estimators=30, num_leaves=7, verbose=-1)
    return small_project.fitted(
        trained, "service", NUMBERS, "passthrough", trees, small_project.CODES
    )


def test_a_model_that_does_not_add_up_gives_none(trained: Trained, release_of: ReleaseOf) -> None:
    trees = HistGradientBoostingClassifier(max_iter=20, random_state=1)
    model = small_project.fitted(trained, "service", NUMBERS, "passthrough", trees)

    described = release_of(model).files.json(bundle.REASONS)

    assert described["method"] == "none"
    assert described["why"].startswith("its model is neither LightGBM nor additive: the effects")


@pytest.mark.parametrize("said", [UNFAVOURABLE, ["late"]], indirect=True)
def test_trees_of_lightgbm_say_what_makes_the_unfavourable_class_that_is_answered(
    trained: Trained, release_of: ReleaseOf
) -> None:
    loaded = release_of(model := trees_of_lightgbm(trained))

    features, predicted = loaded.score(trained.test.select(list(loaded.schema)))
    assert isinstance(loaded.reasons, Reasons)
    assert (loaded.manifest["format"], loaded.reasons.method) == ("onnx", "trees")
    np.testing.assert_allclose(predicted, estimator.predict(model, trained.test), atol=1e-5)
    raw = model[1].booster_.predict(model[0].transform(features), raw_score=True, pred_contrib=True)
    parts = raw.reshape(len(raw), 3, -1)[:, :, :-1]  # the columns are those of the features
    adverse = adverse_in(params(), CLASSES) or ""
    favourable = [code for code, name in enumerate(CLASSES) if name not in adverse]
    answered = predicted.argmax(axis=1)
    assert {*answered} == {0, 1}
    for row, reasons in enumerate(loaded.reasons.strongest(features, 9)):
        against = parts[row, answered[row]] - parts[row, favourable].mean(axis=0)
        expected = against[against > 5e-5] if answered[row] == 1 else []
        given = [each.effect for each in reasons]
        assert given == pytest.approx(sorted(expected, reverse=True), abs=1e-4)


def test_where_lightgbm_is_missing_a_release_of_its_trees_answers_without_reasons(
    trained: Trained, release_of: ReleaseOf, release_key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = release_of(trees_of_lightgbm(trained))
    rows = trained.test.select(list(loaded.schema))

    def missing() -> None:
        raise BundleError("this release needs LightGBM")

    monkeypatch.setattr(predictors, "_library", missing)
    without = serving_release.load(loaded.files.folder, release_key)

    assert str(without.reasons).endswith("cannot be used: this release needs LightGBM")
    np.testing.assert_array_equal(without.score(rows)[1], loaded.score(rows)[1])


@pytest.mark.parametrize(
    "value", ['"high"', "[]", '["on tme"]', json.dumps(CLASSES), '["late", 1]']
)
def test_what_names_no_unfavourable_classes_is_refused_by_the_check(said: Path, value: str) -> None:
    text = said.read_text()
    said.write_text(f"{text[: text.index('adverse')]}adverse = {value}\n")

    with pytest.raises(
        SettingsError, match=r"\[reasons\]: adverse is .*; expected a list with some"
    ):
        adverse_in(params(), CLASSES)
    with pytest.raises(
        SettingsError, match="expected a list with some of on time, late, lost & found"
    ):
        promises.parameters_fit()
    assert adverse_in({"reasons": {"adverse": "low"}}) == "low"
    assert adverse_in({}) is None
    with pytest.raises(SettingsError, match='expected "high" or "low"'):
        adverse_in({"reasons": {"adverse": ["late"]}})  # of a number
