"""The gate under governance: champion, change control plan and validation (`poe gate`).

A version that lacks only the approval is refused, but may be released and tried in the shadow, where
it answers no requests. A candidate computes its own figures, in score() of its model.py: those with
standard names are computed again here; a custom figure only decides if the plan bounds it.
"""

import dataclasses
import math
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from mlflow.entities.model_registry import ModelVersion
from sklearn import metrics

from rung_governance.approval import bounds, fairness, plan, signed_approval, validation
from rung_governance.approval.bounds import Facts
from rung_ops import contract
from rung_ops.errors import SettingsError, VersionError
from rung_ops.gate.verdict import Verdict
from rung_ops.model import bundle, source_import
from rung_ops.model.target import ONE_NUMBER, Kind
from rung_ops.project import current
from rung_ops.project.parameters import FairnessSettings
from rung_ops.project.paths import params
from rung_ops.release import production_gate
from rung_ops.tracking import record_run, registry, store_address, versions
from rung_ops.training import estimator

TRIED_ROWS = 1_000
REFITTED = (
    "version {} was fitted again to all rows after it was judged, and what was validated has to be what "
    "serves: set `refit = false` under [split] in params.toml"
)


def of_version(version: ModelVersion) -> Facts:
    """Tell what the plan bounds of a version, from its run and its source as it was."""
    with tempfile.TemporaryDirectory() as folder:
        artifacts = Path(folder)
        try:
            source = versions.source_of(version, artifacts)
            judged = artifacts / f"version {version.version}"
            shutil.copytree(source, judged / bundle.SOURCE / contract.package())
            expressions = source_import.features_of(judged, contract.package())
            rows = pl.read_parquet(current().test).head(TRIED_ROWS)
            features = rows.select(expressions).columns
        except (VersionError, bundle.BundleError, pl.exceptions.PolarsError) as error:
            raise VersionError(
                f"the features of version {version.version} are not known: {error}"
            ) from error
        return Facts(
            parameters=parameters_of(str(version.run_id)),
            features=frozenset(features),
            columns=columns_of(expressions, rows),
        )


def parameters_of(run: str) -> dict[str, str]:
    """Read what params.toml held at a run."""
    try:
        return dict(registry.client().get_run(run).data.params)
    except registry.MlflowException as error:
        # In CI a registry is as new as its checkout, unless a server keeps the runs.
        raise VersionError(
            f"the parameters of run {run} are not known: {str(error).splitlines()[0]} (asked: "
            f"{store_address.tracking_uri()}). Set MLFLOW_TRACKING_URI to the registry that has it"
        ) from error


def columns_of(expressions: list[pl.Expr], rows: pl.DataFrame) -> frozenset[str]:
    """Name the columns that features read.

    The name of a column is not all: a pattern or a selector reads it too. So each column is also
    taken away, and what changes then has read it.
    """
    answered = rows.select(expressions)
    named = {name for each in expressions for name in each.meta.root_names()}
    return frozenset(
        column
        for column in rows.columns
        if column in named or not _same(answered, expressions, rows.drop(column))
    )


def _same(answered: pl.DataFrame, expressions: list[pl.Expr], rows: pl.DataFrame) -> bool:
    try:
        return rows.select(expressions).equals(answered)
    except Exception:  # the user's code may raise anything where a column is missing
        return False


REL, ABS = 1e-6, 1e-9  # by which the same figure may differ, computed in another way

Figure = Callable[[np.ndarray, np.ndarray], Any]


FIGURES: dict[str, Figure] = {
    "auc": metrics.roc_auc_score,
    "roc_auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
    "log_loss": lambda truth, predicted: metrics.log_loss(truth, predicted, labels=[0, 1]),
    "brier": lambda truth, predicted: np.mean((predicted - truth) ** 2),
    "mae": metrics.mean_absolute_error,
    "rmse": metrics.root_mean_squared_error,
    "r2": metrics.r2_score,
}


def _of_classes(figure: Figure) -> Figure:
    """Tell a figure of probabilities, shape (n_rows, n_classes), which classes there are."""

    def computed(truth: np.ndarray, predicted: np.ndarray) -> Any:
        return figure(truth, predicted, labels=list(range(predicted.shape[1])))  # type: ignore[call-arg]

    return computed


FIGURES_OF_CLASSES: dict[str, Figure] = {
    "accuracy": lambda truth, predicted: np.mean(truth == predicted.argmax(axis=1)),
    "brier": _of_classes(metrics.brier_score_loss),
    "log_loss": _of_classes(metrics.log_loss),
}


def _standard_figures(kind: Kind) -> dict[str, Figure]:
    """Return the figures of a kind of target; of quantiles none has one meaning."""
    if kind.quantiles:
        return {}
    return FIGURES_OF_CLASSES if kind.classes else FIGURES


def misnamed_figures(
    score: Callable[[np.ndarray, np.ndarray], Mapping[str, Any]],
    truth: np.ndarray,
    predicted: np.ndarray,
    kind: Kind = ONE_NUMBER,
) -> Iterator[str]:
    """Say which figures of score() are not what their names say.

    Args:
        score: of model.py; it is asked for all rows and for each half of them.
        truth: of the gate's rows, shape (n_rows,).
        predicted: by the version, shape (n_rows,), (n_rows, n_classes) or (n_rows, 3).
        kind: of the target.
    """
    standard = _standard_figures(kind)
    wrong: dict[str, str] = {}
    for part in (slice(None), slice(None, None, 2), slice(1, None, 2)):
        if len(np.unique(truth[part])) < 2:
            continue  # most figures mean nothing there, and score() may refuse
        figures = score(truth[part], predicted[part])
        for name in standard.keys() & figures.keys() - wrong.keys():
            is_ = float(standard[name](truth[part], predicted[part]))
            if not math.isclose(float(figures[name]), is_, rel_tol=REL, abs_tol=ABS):
                wrong[name] = (
                    f"score() in model.py says {name} {float(figures[name]):.6g}, and it is {is_:.6g}: "
                    "give a figure of your own another name, which the change control plan bounds"
                )
    yield from (wrong[name] for name in sorted(wrong))


def unbounded_figure(
    deciding: str, bounds: Collection[str], kind: Kind = ONE_NUMBER
) -> Iterator[str]:
    """Say that a custom figure decides without a bound of the plan."""
    standard = _standard_figures(kind)
    if deciding and deciding not in standard and deciding not in bounds:
        yield (
            f"{deciding}, which decides, is computed by score() in model.py alone, and "
            "`performance` of the change control plan does not name it"
        )


PLAN = "plan"  # of the figures: which plan it was, by its hash


def verdict(named: str = registry.CHALLENGER) -> Verdict:
    """Judge a version."""
    result = production_gate.verdict(named)
    if not result.challenger:
        return result
    version = registry.version(result.challenger["version"])
    if "scores" in result.figures:  # else it was refused before anything could be computed
        result = _compared_with_plan(result, version)
    if version.tags.get(versions.REFIT):
        result = result.with_reasons([REFITTED.format(version.version)])
    facts = signed_approval.verdict_facts(dataclasses.asdict(result))
    # What is champion already was approved against the one before it.
    now_answers = facts["champion_version"] == facts["version"]
    return result.awaiting(validation.objections(version, None if now_answers else facts))


def _compared_with_plan(result: Verdict, version: ModelVersion) -> Verdict:
    try:
        limits = plan.bounds()
    except SettingsError as error:
        return result.with_reasons([str(error)])
    settings = params()
    try:
        # Of the gate's rows, whichever run the reports here are of.
        rows = pl.read_parquet(current().test)
        predicted = versions.predictions(version, current().test)
        facts = of_version(version)
        answers = rows.with_columns(pl.Series("predicted", predicted))
        groups = fairness.assess(answers, bounds.at_threshold(limits, settings))
        scores = result.figures["scores"]
        before = scores.get("champion", {})
        figures = {name: (it, before.get(name)) for name, it in scores["challenger"].items()}
        outside = [
            *bounds.violations(limits, facts, _champion(result), figures, groups),
            *bounds.threshold_problems(limits, settings, groups),
        ]
    except (SettingsError, VersionError) as error:
        return result.with_reasons([str(error)])
    notes = bounds.unjudged(groups, limits)
    judged_by = result.figures | {PLAN: plan.digest()}
    if allowed := bounds.unmeasured(limits.fairness, groups)[0]:
        judged_by[signed_approval.UNMEASURED] = allowed
    judged = dataclasses.replace(result, figures=judged_by, notes=result.notes + notes)
    bounded, kind = [each["figure"] for each in limits.performance], estimator.kind()
    return judged.with_reasons(
        [
            *other_settings(settings, facts.parameters),
            *misnamed_figures(contract.score, estimator.truth(rows), predicted, kind),
            *unbounded_figure(result.figures.get("metric", ""), bounded, kind),
            *(f"outside of the change control plan: {each}" for each in outside),
        ]
    )


# What counts where params.toml has no line.
UNSET = {
    "fairness.smallest_group": str(FairnessSettings().smallest_group),
    "fairness.threshold": str(FairnessSettings().threshold),
    "report.slices": "[]",
}


def other_settings(settings: Mapping[str, Any], recorded: Mapping[str, str]) -> Iterator[str]:
    """Say which settings that judge a version are not those that it was made with.

    Its approval binds its params.toml, so that today's must not judge it by others.
    """
    judging = record_run.parameters(signed_approval.judging_settings(settings))
    tables = tuple(f"{name}." for name in ("score", "fairness"))
    known = {name for name in recorded if name.startswith(tables)} | judging.keys()
    for name in sorted(known):
        was, is_ = (side.get(name, UNSET.get(name, "not set")) for side in (recorded, judging))
        if was != is_:
            yield (
                f"{name} in params.toml was {was} when the version was made, and is {is_}: it is "
                "judged by what it was made with. `uv run poe pipeline` makes one with today's"
            )


def _champion(result: Verdict) -> bounds.Facts | None:
    """Return the champion's parameters; the plan bounds features, whatever the champion's are."""
    if result.champion is None:
        return None
    parameters = parameters_of(result.champion.get("run_id", ""))
    return bounds.Facts(parameters, frozenset(), frozenset())
