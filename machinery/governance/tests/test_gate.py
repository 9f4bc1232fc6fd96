"""A version passes when figures, plan and a person let it; what speaks against it is all named."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from machinery.governance.tests.conftest import COMMIT, Capture, Patch, Releases
from machinery.tests.conftest import Trained
from machinery.tests.projects import moved
from rung_governance.approval import fairness, gate, plan, signed_approval
from rung_ops import contract
from rung_ops.errors import SettingsError
from rung_ops.gate import registry_gate
from rung_ops.gate.verdict import Verdict
from rung_ops.model.target import Kind
from rung_ops.release import production_gate as release_gate
from rung_ops.tracking import registry
from rung_ops.training import estimator

Judge = Callable[..., Verdict]
PASSED = Verdict(True, [], {})
VERSION: dict[str, str] = {"version": "1", "run_id": "to be filled in"}


@pytest.fixture
def limits(trained: Trained) -> plan.Bounds:
    """A plan that allows the version that the registry holds."""
    features = estimator.features(trained.test.head(1)).columns
    return plan.Bounds(
        **dict.fromkeys(("may_be_left_out", "may_be_added", "never_read"), frozenset()),
        **{"parameters": {}, "unrestricted": ("*",), "fairness": (), "decision_threshold": 0.5},
        approved=frozenset(features),
        performance=({"figure": "figure", "least": 0.7, "greatest_fall": 0.02},),
    )


@pytest.fixture
def judged(
    registry_store: str,
    releases: Releases,
    trained: Trained,
    limits: plan.Bounds,
    tmp_path: Path,
    monkeypatch: Patch,
) -> Judge:
    """Judges version 1 by a plan, after figures that rung_ops.release.production_gate has found."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_store)
    trained.test.write_parquet(tmp_path / "test.parquet")
    moved(monkeypatch, test=tmp_path / "test.parquet")
    run = str(registry.version("1").run_id)

    def judge(
        bounds: plan.Bounds = limits,
        champion: float | None = None,
        standard: Verdict = PASSED,
        before: str = run,
    ) -> Verdict:
        scores = {"challenger": {"figure": 0.75}}
        known = None
        if champion is not None:
            scores["champion"] = {"figure": champion}
            known = {"release": "v0", "run_id": before}
        figures, about = {"scores": scores} | standard.figures, VERSION | {"run_id": run}
        standard = replace(standard, figures=figures, challenger=about, champion=known)
        monkeypatch.setattr(release_gate, "verdict", lambda asked: standard)
        monkeypatch.setattr(plan, "bounds", lambda: bounds)
        return gate.verdict("1")

    return judge


def approve(releases: Releases) -> None:
    """Approve of the version that the registry holds."""
    releases.approve("1", git_commit=COMMIT, data_hash="cd" * 16, model=registry.model_name())


def compare_by(monkeypatch: Patch, **fairness: Any) -> None:
    """Let params.toml compare groups otherwise."""
    settings = gate.params()
    changed = settings | {"fairness": settings["fairness"] | fairness}
    monkeypatch.setattr(gate, "params", lambda: changed)


def test_a_version_within_the_plan_and_approved_passes(judged: Judge, releases: Releases) -> None:
    approve(releases)
    made = judged(champion=0.76)
    assert (made.promote, made.reasons, made.awaits) == (True, [], [])
    assert made.figures["plan"] == plan.digest()


def test_a_version_that_was_fitted_again_is_refused(judged: Judge, monkeypatch: Patch) -> None:
    version = registry.version("1")
    version.tags["refit_hash"] = "a" * 64
    monkeypatch.setattr(registry, "version", lambda _: version)

    made = judged(champion=0.76)

    assert not made.promote
    assert "set `refit = false` under [split] in params.toml" in made.reasons[-1]


@pytest.mark.parametrize(
    "changed", [{"smallest_group": 200}, {"groups": {"sex": [], "age": [74]}, "threshold": 0.5}]
)
def test_groups_are_those_that_the_version_was_made_with(
    judged: Judge, releases: Releases, changed: dict[str, Any], monkeypatch: Patch
) -> None:
    approve(releases)
    compare_by(monkeypatch, **changed)

    (reason,) = judged(champion=0.76).reasons

    assert reason.startswith(f"fairness.{next(iter(changed))}")
    assert "`uv run poe pipeline` makes one with today's" in reason


@pytest.mark.parametrize("when", ["always", "on all rows alone"])
@pytest.mark.tried(
    "Let a candidate's `score()` give better figures than its predictions have",
    "the gate computes standard figures itself",
)
def test_a_standard_figure_is_computed_by_the_library(
    judged: Judge, releases: Releases, trained: Trained, when: str, monkeypatch: Patch
) -> None:
    approve(releases)
    real = contract.score

    def score(truth: Any, predicted: Any) -> dict[str, float]:
        """Rank half of the rows as they are, where the gate is not meant to see it."""
        raised = when == "always" or len(truth) == trained.test.height
        given: dict[str, float] = real(truth, predicted)
        return given | {"auc": 0.99} if raised else given

    monkeypatch.setattr(contract, "score", score, raising=False)

    (reason,) = judged(champion=0.76).reasons

    assert reason.startswith("score() in model.py says auc 0.99, and it is 0.")
    monkeypatch.setattr(contract, "score", real, raising=False)
    assert judged(champion=0.76).promote


def test_a_custom_figure_decides_only_if_the_plan_bounds_it(
    judged: Judge, releases: Releases
) -> None:
    approve(releases)

    def decided_by(metric: str) -> Verdict:
        return judged(champion=0.76, standard=replace(PASSED, figures={"metric": metric}))

    (reason,) = decided_by("profit").reasons
    assert reason.startswith("profit, which decides, is computed by score() in model.py alone")
    assert decided_by("figure").promote  # which the plan bounds
    assert decided_by("auc").promote


def test_an_unvalidated_version_awaits_only_validation(judged: Judge, capsys: Capture) -> None:
    made = judged()

    assert (made.promote, made.reasons) == (False, [])
    assert "there is no validation of version 1" in made.awaits[0]

    assert registry_gate.publish(replace(made, figures={})) == 1
    assert "there is no validation of version 1" in capsys.readouterr().err


def test_everything_that_speaks_against_a_version_is_named_at_once(
    judged: Judge, limits: plan.Bounds
) -> None:
    bound = {"figure": "figure", "least": 0.9, "greatest_fall": 0.02}

    made = judged(
        replace(limits, performance=(bound,)), 0.8, Verdict(False, ["worse than the champion"], {})
    )

    assert not made.promote
    assert made.reasons[0] == "worse than the champion"
    assert "outside of the change control plan: figure is 0.7500" in made.reasons[1]
    assert "allows it to fall by 0.02" in made.reasons[2]
    assert "there is no validation of version 1" in made.awaits[0]


def test_a_column_that_no_feature_may_read_is_found_in_the_source_as_it_was(
    judged: Judge, limits: plan.Bounds, trained: Trained
) -> None:
    read = min(gate.of_version(registry.version("1")).columns)

    made = judged(replace(limits, never_read=frozenset({read})))

    assert made.reasons == [
        f"outside of the change control plan: a feature reads {read}, which the plan forbids"
    ]


@pytest.mark.parametrize(
    "feature",
    [
        pl.col("sex"),
        pl.col("^s.x$").str.len_chars(),
        pl.nth(1).alias("other"),
        pl.struct(pl.all()).struct.field("sex").alias("other"),
        pl.concat_str(pl.col(pl.String)).alias("other"),
    ],
)
def test_a_column_counts_as_read_however_a_feature_reaches_it(feature: pl.Expr) -> None:
    rows = pl.DataFrame({"age": [1, 2], "sex": ["f", "male"], "job": ["a", "b"]})
    assert "sex" in gate.columns_of([pl.col("age"), feature], rows)
    assert gate.columns_of([pl.col("age")], rows) == {"age"}


def test_a_difference_between_groups_is_taken_of_the_rows_of_the_gate(
    judged: Judge, limits: plan.Bounds, trained: Trained, monkeypatch: Patch
) -> None:
    calls: list[pl.DataFrame] = []

    def assess(rows: pl.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
        calls.append(rows)
        compared = {"age": {"differences": {"selection_rate": 0.3}}}
        return {"task": "classification", "threshold": 0.5, "groups": compared, "too_small": {}}

    monkeypatch.setattr(fairness, "assess", assess)
    bound = {"group": "age", "figure": "selection_rate", "greatest_difference": 0.2}

    made = judged(replace(limits, fairness=(bound,)))

    assert "selection_rate differs by 0.300 by age; 0.2 is allowed" in made.reasons[0]
    expected = estimator.predict(trained.estimator, trained.test)
    assert calls[0]["predicted"].to_list() == pytest.approx(expected)


def test_a_class_that_the_plan_lets_go_unmeasured_is_in_the_verdict_that_is_signed(
    judged: Judge, limits: plan.Bounds, monkeypatch: Patch
) -> None:
    rare = {"fine": {"selection_rate": 0.1}, "rare": {"selection_rate": None}}
    report = {
        **{"task": "multiclass", "classes": ["fine", "rare"], "smallest_group": 30},
        "groups": {"age": {"values": {"young": {}, "old": {}}, "differences": rare}},
        "too_small": {},
        "not_measured": {"age": {"selection_rate of rare": {"young": 2, "old": 9}}},
    }
    monkeypatch.setattr(fairness, "assess", lambda rows, settings: report)
    bound = {"group": "age", "figure": "selection_rate", "greatest_difference": 0.2}

    def judge(**more: Any) -> Verdict:
        return judged(replace(limits, fairness=(bound | more,), decision_threshold=None))

    refused, allowed = judge(), judge(may_be_unmeasured=["rare"])

    what = "selection_rate of rare by age is not measured"
    named = f"fairness: {what}: 2 rows of young, 9 rows of old"
    assert refused.reasons[0].startswith(f"outside of the change control plan: {named}. Two groups")
    assert allowed.reasons == []
    assert f"{named}, as the plan allows" in allowed.notes
    signed = signed_approval.verdict_facts(asdict(allowed))
    assert signed["not_measured"] == [f"{named}, as the plan allows"]
    assert "not_measured" not in signed_approval.verdict_facts(asdict(refused))


@pytest.mark.tried(
    "Compare groups at another threshold than the approved plan's",
    "refused; a plan with another threshold voids the approval",
)
def test_groups_are_compared_at_the_threshold_of_the_plan(
    judged: Judge, limits: plan.Bounds, monkeypatch: Patch
) -> None:
    calls: list[dict[str, Any]] = []

    def assess(rows: pl.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
        calls.append(settings)
        at = settings["fairness"]["threshold"]
        return {"task": "classification", "threshold": at, "groups": {}, "too_small": {}}

    monkeypatch.setattr(fairness, "assess", assess)

    made = judged(replace(limits, decision_threshold=0.3))

    assert calls[0]["fairness"]["threshold"] == 0.3
    assert made.reasons == [
        "outside of the change control plan: params.toml decides at 0.5 (threshold under "
        "[fairness]), and the plan at 0.3 (decision_threshold)"
    ]
    compare_by(monkeypatch, threshold=0.3)
    (reason,) = judged(replace(limits, decision_threshold=0.3)).reasons
    assert reason.startswith("fairness.threshold in params.toml was 0.5 when the version was made")


def test_a_plan_that_bounds_rates_names_the_threshold_that_decides(
    judged: Judge, limits: plan.Bounds
) -> None:
    bound = {"group": "age", "figure": "selection_rate", "greatest_difference": 1.0}

    made = judged(replace(limits, fairness=(bound,), decision_threshold=None))

    assert (
        "outside of the change control plan: it names no `decision_threshold` under `protocol`, "
        "the probability from which on the positive class counts as predicted, at which groups are "
        "compared"
    ) in made.reasons


def test_a_champion_with_unknown_parameters_is_refused(judged: Judge) -> None:
    (reason,) = judged(champion=0.75, before="none").reasons
    assert reason.startswith("the parameters of run none are not known")


def test_a_plan_that_cannot_be_read_refuses(judged: Judge, monkeypatch: Patch) -> None:
    def broken() -> plan.Bounds:
        raise SettingsError("the plan is out of date")

    judged()
    monkeypatch.setattr(plan, "bounds", broken)

    assert gate.verdict("1").reasons == ["the plan is out of date"]


def test_settings_that_cannot_be_read_are_no_verdict_on_the_version(
    judged: Judge, monkeypatch: Patch
) -> None:
    def broken() -> None:
        raise SettingsError("params.toml is not valid TOML")

    judged()
    monkeypatch.setattr(gate, "params", broken)

    with pytest.raises(SettingsError, match="^params.toml is not valid TOML"):
        gate.verdict("1")


def test_a_refusal_before_any_computation_says_only_that(judged: Judge, monkeypatch: Patch) -> None:
    judged()
    early = Verdict(False, ["made from other rows"], {}, challenger=VERSION)
    monkeypatch.setattr(release_gate, "verdict", lambda asked: early)

    made = gate.verdict("1")

    assert made.reasons == ["made from other rows"]


def _auc(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    if len(np.unique(truth)) < 2:
        raise ValueError("one class has no curve")
    return {"auc": float(metrics.roc_auc_score(truth, predicted))}


def test_a_half_of_the_rows_without_both_classes_is_left_out() -> None:
    truth = np.tile([0, 0], 20)
    truth[::8] = 1  # each in the first half
    predicted = np.linspace(0, 1, len(truth))
    assert list(gate.misnamed_figures(_auc, truth, predicted)) == []


def test_a_figure_that_is_false_on_a_half_alone_is_named() -> None:
    truth = np.tile([0, 1, 1, 0], 10)
    predicted = np.linspace(0, 1, len(truth))
    whole = len(truth)

    def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return _auc(truth, predicted) if len(truth) == whole else {"auc": 0.99}

    (difference,) = gate.misnamed_figures(score, truth, predicted)
    assert difference.startswith("score() in model.py says auc 0.99, and it is ")


KIND = Kind(("a", "b", "c"))
DRAWN = np.random.default_rng(3)
TRUTH, PROBABILITIES = DRAWN.integers(0, 3, 60), DRAWN.dirichlet([1, 1, 1], 60)


def _of_classes(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    one_hot = np.eye(3)[truth]
    own = np.take_along_axis(predicted, truth[:, None], axis=1)
    return {
        "brier": float(((predicted - one_hot) ** 2).sum(axis=1).mean()),
        "log_loss": float(-np.log(own).mean()),
        "accuracy": float((predicted.argmax(axis=1) == truth).mean()),
        "auc": 0.99,  # which may be averaged over classes in several ways: a custom figure
    }


def test_figures_of_several_classes_are_those_of_their_names() -> None:
    assert list(gate.misnamed_figures(_of_classes, TRUTH, PROBABILITIES, KIND)) == []


@pytest.mark.parametrize("name", ["brier", "log_loss", "accuracy"])
def test_a_figure_of_several_classes_that_is_false_is_named(name: str) -> None:
    def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return _of_classes(truth, predicted) | {name: 0.123}

    (difference,) = gate.misnamed_figures(score, TRUTH, PROBABILITIES, KIND)

    assert difference.startswith(f"score() in model.py says {name} 0.123, and it is ")


def test_of_several_classes_another_figure_decides_only_within_a_bound() -> None:
    assert list(gate.unbounded_figure("brier", [], KIND)) == []
    assert list(gate.unbounded_figure("auc", ["auc"], KIND)) == []
    assert len(list(gate.unbounded_figure("auc", [], KIND))) == 1


def test_no_figure_of_quantiles_has_one_meaning() -> None:
    kind = Kind((), (0.1, 0.5, 0.9))
    three = np.sort(DRAWN.random((60, 3)), axis=1)
    assert list(gate.misnamed_figures(lambda *_: {"mae": 0.1}, TRUTH, three, kind)) == []
    assert len(list(gate.unbounded_figure("mae", [], kind))) == 1
