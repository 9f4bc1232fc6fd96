"""Compare a version with the champion, the change control plan and its validation: `poe gate`.

It passes when its figures beat the champion's, it keeps to the plan, and a person other than its
author approved of it. A version that lacks only the approval is refused, but may be released and
tried in the shadow meanwhile, where it answers no requests.
"""

import dataclasses
from typing import Any

import polars as pl
from mlflow.entities.model_registry import ModelVersion

from rung_governance import (
    approval,
    bounds,
    group_bounds,
    group_check,
    plan,
    signed_approval,
    standard_figures,
    version_facts,
)
from rung_ops import contract
from rung_ops.gate.judge import Verdict
from rung_ops.project import current
from rung_ops.project.paths import params
from rung_ops.release import production_gate
from rung_ops.tracking import registry, versions
from rung_ops.tracking.model_bytes import VersionError
from rung_ops.training import estimator, fairness
from rung_ops.training.fairness import UnknownGroupError

PLAN = "plan"  # of the figures: which plan it was, by its hash


def verdict(asked: str = registry.CHALLENGER) -> Verdict:
    """Judge a version.

    Args:
        asked: its number or alias.

    Raises:
        SettingsError: ops/gate.toml cannot be applied.
    """
    result = production_gate.verdict(asked)
    if not result.challenger:
        return result
    version = registry.version(result.challenger["version"])
    if "scores" in result.figures:  # else it was refused before anything could be computed
        result = _compared_with_plan(result, version)
    facts = signed_approval.verdict_facts(dataclasses.asdict(result))
    # What is champion already was approved against the one before it.
    now_answers = facts["champion_version"] == facts["version"]
    return result.awaiting(approval.objections(version, None if now_answers else facts))


def _compared_with_plan(result: Verdict, version: ModelVersion) -> Verdict:
    try:
        limits, settings = plan.bounds(), params()
        # Of the gate's rows, whichever run the reports here are of.
        rows, predicted = (
            pl.read_parquet(current().test),
            versions.predictions(version, current().test),
        )
        answers = rows.with_columns(pl.Series("predicted", predicted))
        groups = fairness.assess(answers, group_check.at_threshold(limits, settings))
        outside = bounds.violations(
            limits,
            version_facts.of_version(version),
            _champion(result),
            _figures(result.figures["scores"]),
            groups,
        )
        outside += group_check.threshold_problems(limits, settings, groups)
    except (plan.BadPlan, version_facts.Unknown, UnknownGroupError, VersionError) as error:
        return result.with_reasons([str(error)])
    notes = group_check.unjudged(groups, limits)
    figures = result.figures | {PLAN: plan.digest()}
    if allowed := group_bounds.unmeasured(limits.fairness, groups)[0]:
        figures[signed_approval.UNMEASURED] = allowed
    judged = dataclasses.replace(result, figures=figures, notes=result.notes + notes)
    bounded, kind = [each["figure"] for each in limits.performance], estimator.kind()
    false = [
        *standard_figures.differences(contract.score, estimator.truth(rows), predicted, kind),
        *standard_figures.unbounded(result.figures.get("metric", ""), bounded, kind),
    ]
    return judged.with_reasons(
        [*false, *(f"outside of the change control plan: {each}" for each in outside)]
    )


def _champion(result: Verdict) -> bounds.Facts | None:
    """Return the champion's parameters; the plan bounds features, whatever the champion's are."""
    if result.champion is None:
        return None
    parameters = version_facts.parameters_of(result.champion.get("run_id", ""))
    return bounds.Facts(parameters, frozenset(), frozenset())


def _figures(scores: dict[str, dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    champion = scores.get("champion", {})
    return {name: (value, champion.get(name)) for name, value in scores["challenger"].items()}
