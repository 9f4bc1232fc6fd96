"""Judgement of a version by the project's test rows, against a baseline and the champion."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract import forecast
from rung_ops.errors import StageError
from rung_ops.gate.paired_test import GROUPS
from rung_ops.gate.rules import Rules
from rung_ops.gate.verdict import Verdict, judge_predictions
from rung_ops.model.rules import missing
from rung_ops.model.target import inside, shape
from rung_ops.project.paths import params
from rung_ops.statistics import jackknife
from rung_ops.statistics.jackknife import NotComparableError
from rung_ops.system.printable import counted
from rung_ops.training import estimator
from rung_ops.training.baseline import Baseline, in_words
from rung_ops.training.judged_rows import MISSING, MONTH, slice_columns


@dataclass(frozen=True)
class Champion:
    """The model that the challenger would replace."""

    facts: dict[str, str]  # its origin, such as version, run_id and release
    predictions: np.ndarray  # of the test rows, as estimator.predict() returns them
    slices: list[dict[str, Any]]  # of its own evaluation, as in reports/slices.json
    # Time of the newest row that it learned from, in ISO 8601; None without TIME, or not known.
    trained_until: str | None = None
    notes: list[str] = field(default_factory=list)  # remarks on the comparison with it


def judge(
    rows: pl.DataFrame,
    challenger: np.ndarray,
    champion: Champion | None,
    baseline: Baseline,
    rules: Rules,
) -> Verdict:
    """Judge predictions of the test rows, shape (n_rows, n_columns) with their target."""
    try:
        reasons = list(_unfit(rows, challenger))
        verdict = (
            Verdict(False, reasons, {})
            if reasons
            else _judged(rows, challenger, champion, baseline, rules)
        )
    except KeyError as error:
        verdict = Verdict(False, [f"score() in model.py, or the test rows, have no {error}"], {})
    except (NotComparableError, pl.exceptions.PolarsError, StageError) as error:
        verdict = Verdict(False, [str(error)], {})
    score = params()["score"]
    figures = {name: score[name] for name in ("metric", "higher_is_better")}
    figures |= {"rows": rows.height, "alpha": rules.alpha} | verdict.figures
    return replace(verdict, figures=figures, champion=champion.facts if champion else None)


def _unfit(rows: pl.DataFrame, challenger: np.ndarray) -> Iterator[str]:
    """Yield what makes rows or predictions unfit for a judgement."""
    if contract.TARGET not in rows.columns:
        yield f"the test rows lack the target `{contract.TARGET}`"
    elif unknown := missing(rows[contract.TARGET]).sum():
        yield f"{unknown:,} of {rows.height:,} test rows have no `{contract.TARGET}`"
    expected = shape(rows.height, estimator.kind())
    if challenger.shape[1:] != expected[1:]:
        yield f"predictions of the challenger have shape {challenger.shape}; expected {expected}"


def _judged(
    rows: pl.DataFrame,
    challenger: np.ndarray,
    champion: Champion | None,
    baseline: Baseline,
    rules: Rules,
) -> Verdict:
    settings, truth = params(), estimator.truth(rows)
    metric, seed = settings["score"]["metric"], settings["seed"]
    columns = slice_columns(rows)
    unseen = unseen_rows(rows, champion.trained_until) if champion else None
    is_forecast = forecast.declared() is not None
    verdict = judge_predictions(
        truth,
        challenger,
        champion.predictions if champion else None,
        figure=lambda actual, predicted: contract.score(actual, predicted)[metric],
        higher_is_better=settings["score"]["higher_is_better"],
        rules=rules,
        metric=metric,
        baseline=baseline.predictions,
        baseline_name=in_words(baseline.name),
        slices=columns.drop(MONTH, strict=False),  # months differ between test sets
        group=jackknife.groups_in_time(rows, seed, GROUPS) if is_forecast else None,
        unseen=unseen,
        seed=seed,
    )
    figures = verdict.figures
    if "slices" not in figures:
        return verdict
    figures["baseline"]["name"] = baseline.name
    predictions = {"challenger": challenger, "baseline": baseline.predictions}
    if champion and "champion" in figures:
        predictions["champion"] = champion.predictions
        if unseen is not None:  # as they were compared
            truth = truth[unseen]
            predictions = {name: each[unseen] for name, each in predictions.items()}
    kind = estimator.kind()
    if kind.quantiles:
        held = {name: float(inside(truth, each).mean()) for name, each in predictions.items()}
        figures["interval"] = {"promised": kind.level} | held
    figures["scores"] = {name: _scores(truth, each) for name, each in predictions.items()}
    reasons, notes = _vanished(columns, champion, metric, rules)
    return replace(verdict, notes=verdict.notes + notes).with_reasons(reasons)


def unseen_rows(rows: pl.DataFrame, trained_until: str | None) -> np.ndarray | None:
    """Tell which rows a model did not learn from, shape (n_rows,); None if it is not known.

    A released model may have been fitted again on all rows after its own judgement.
    """
    if contract.TIME is None or trained_until is None:
        return None
    made, until = forecast.made_at(rows), datetime.fromisoformat(trained_until)
    if isinstance(made.dtype, pl.Datetime) and made.dtype.time_zone:
        made = made.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if until.tzinfo:
        until = until.astimezone(UTC).replace(tzinfo=None)
    return (made.cast(pl.Datetime("us")) > until).to_numpy()


def _vanished(
    columns: pl.DataFrame, champion: Champion | None, metric: str, rules: Rules
) -> tuple[list[str], list[str]]:
    """Find slices of the champion's evaluation that now have far fewer rows than their share.

    Where values that the champion was not evaluated on have at least half of the rows that are
    missing, a slice was renamed: its rows are judged by their new name. Returns reasons, and notes.
    """
    reasons: list[str] = []
    notes: list[str] = []
    evaluated: dict[str, dict[str, dict[str, Any]]] = {}
    for each in champion.slices if champion else []:
        evaluated.setdefault(str(each["column"]), {})[str(each["value"])] = each
    evaluated.pop(MONTH, None)
    for column, before in evaluated.items():
        now = dict(columns[column].value_counts().iter_rows()) if column in columns.columns else {}
        share = columns.height / sum(int(each["rows"]) for each in before.values())
        gone = {
            value: each["rows"] * share - now.get(value, 0)
            for value, each in before.items()
            if each.get(metric) is not None
            and each["rows"] * share >= 2 * rules.slices.min_rows
            and now.get(value, 0) < rules.slices.min_rows
            and rules.slices.judges(column, value)
        }
        new = {value: rows for value, rows in now.items() if value not in {*before, MISSING}}
        renamed = sum(new.values()) >= sum(gone.values()) / 2
        for value in gone:
            has = f"{column} {value}: has {counted(now.get(value, 0), 'row')}"
            if renamed:
                notes.append(
                    f"{has} now, and `{'`, `'.join(new)}`, which the champion was not evaluated on, "
                    f"{sum(new.values()):,}: taken for renamed"
                )
            else:
                reasons.append(
                    f"{has}, too few to judge; the champion was evaluated on {before[value]['rows']:,}: "
                    f'if it is gone for good, add "{column}={value}" to `ignore` in ops/gate.toml'
                )
    return reasons, notes


def _scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """Return every figure of score() in model.py, not only the deciding one."""
    values = {name: float(value) for name, value in contract.score(truth, predicted).items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
