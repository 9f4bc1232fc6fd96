"""The facts that a decision is made on, gathered at the time of a pass.

Among them are the predictions whose outcome is known. They are rows that a training may learn from, and say
whether a promoted release is worse than the previous one, or one on trial than the serving one. Both are
scored on the same rows and outcomes: the release that answered them by its logged predictions, the other one
by predicting them now. So a harder month does not count against the new release.
"""

import json
import math
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from prometheus_client.parser import text_string_to_metric_families

from rung_ops import contract, prediction_log
from rung_ops.autopilot import journal
from rung_ops.autopilot.decide import Facts, OutcomeVerdict, Policy, Quality, Rollback, Trial
from rung_ops.autopilot.journal import Record
from rung_ops.contract import forecast
from rung_ops.contract.row_checks import inspect
from rung_ops.errors import StageError
from rung_ops.gate import rules
from rung_ops.model import bundle, source_import
from rung_ops.model import released as serving_release
from rung_ops.model.added_columns import PREDICTION_ID, PREDICTION_TIME
from rung_ops.model.target import kind_in, packed, unpacked
from rung_ops.monitoring import outcomes
from rung_ops.monitoring.outcomes import TRUTH
from rung_ops.prediction_log import log_sync
from rung_ops.project import current, paths
from rung_ops.project.paths import params, shown
from rung_ops.project.service_settings import ANY_SPEED
from rung_ops.release import rollout, state
from rung_ops.release.history import Canary, Shadow, State
from rung_ops.release.state import events
from rung_ops.serving import access
from rung_ops.statistics import jackknife
from rung_ops.statistics.intervals import wilson_interval
from rung_ops.statistics.jackknife import GROUPS, NotComparableError, half_width
from rung_ops.training import estimator

# Keys in the detail of steps after which the autopilot waits before it trains again, and what they say.
# A trial that ended is none of them: nothing is known to be wrong with the version, or it is aborted.
SET_BACKS = {
    ("gate", "refused"): "refused",
    ("release", "vetoed"): "vetoed",
    ("settle", "aborted"): "aborted",
    ("settle", "taken back"): "rolled back",
    ("roll back", "taken back"): "rolled back",
    ("end trial", "aborted"): "aborted",
}


def arms(state: State) -> Iterator[tuple[str, Canary | Shadow]]:
    """Yield the releases on trial, by their arm."""
    for arm, tried in (("canary", state.canary), ("shadow", state.shadow)):
        if tried:
            yield arm, tried


def gather(record: Record, state: State, passes: Sequence[Record], policy: Policy) -> Facts:
    """Gather the facts as of the time of the pass."""
    now = datetime.fromisoformat(record["at"])
    if state.serving is None:
        return Facts(now, None, None, None, None, None, 0)
    serving = paths.bundle(paths.environment(paths.PRODUCTION), state.serving)
    status = journal.detail(record, "look").get("status") or {}
    drift = status.get("drift") or {}
    judged = bool(drift.get("judged"))
    known = answers(paths.PRODUCTION, now)
    readings = [each["reading"] for _, each in journal.ended(passes, "look") if each.get("reading")]
    refused, set_back = _last_set_back(passes)
    return Facts(
        now=now,
        serving=state.serving,
        knows_until=bundle.known_until(bundle.read_manifest(serving))[1],
        drifted=tuple(drift["features"]) if judged else None,
        prediction_drifted=bool(drift["prediction"]) if judged else None,
        quality=_quality(status.get("quality")),
        new_rows=new_rows(known).height,
        trainings=tuple(at for at, _ in journal.ended(passes, "train")),
        refused=refused,
        set_back=set_back,
        trial=_judged(_trial(state, passes), state.serving, known, policy),
        verdict=verdict(state, known, readings, now, policy.rollback),
    )


def as_json(facts: Facts) -> dict[str, Any]:
    """Convert facts to JSON values."""
    return dict(json.loads(json.dumps(asdict(facts), default=str)))


def _quality(status: dict[str, Any] | None) -> Quality | None:
    if not status or status["figure"] is None or status["expected"] is None:
        return None
    higher = params()["score"]["higher_is_better"]
    figures = (status["figure"], status["low"], status["high"], status["expected"])
    return Quality(status["metric"], higher, *figures, rows=status["outcomes"])


def _last_set_back(passes: Sequence[Record]) -> tuple[datetime | None, str]:
    """Return when a version was last set back, if none was promoted since, and what happened to it."""
    last: datetime | None = None
    what = Facts.set_back
    for record in passes:
        if journal.detail(record, "settle").get("promoted"):
            last = None
        for (step, key), says in SET_BACKS.items():
            if journal.detail(record, step).get(key):
                last, what = datetime.fromisoformat(record["at"]), says
    return last, what


def _trial(state: State, passes: Sequence[Record]) -> Trial | None:
    for arm, tried in arms(state):
        deployed = journal.ended(passes, "deploy")
        since = [at for at, detail in deployed if detail["release"] == tried.release]
        return Trial(tried.release, arm, since[-1] if since else _started(tried.release))
    return None


def _started(release: str) -> datetime:
    """Return when the trial of a release that a person deployed began: its shadow's start, if any."""
    theirs = [event for event in production_events() if event["detail"].get("release") == release]
    ways = [event for event in theirs if event["event"] in ("shadow", "canary")]
    shadows = [event for event in ways if event["event"] == "shadow"]
    return datetime.fromisoformat((shadows or ways)[-1]["at"])


def _judged(trial: Trial | None, serving: str, known: pl.DataFrame, policy: Policy) -> Trial | None:
    if trial is None or rollout.read_policy() is None:
        return trial  # what waits for a person's approval is not ended
    found = on_trial(trial, serving, known, policy.rollback)
    return replace(trial, verdict=found)


def production_events() -> list[dict[str, Any]]:
    """Read the history of production."""
    return events(paths.environment(paths.PRODUCTION))


RELEASE, ARM, PREDICTION = "answered by", "answered as", "the answer"  # no names of columns in Row


def answers(environment: str, until: datetime, folder: Path | None = None) -> pl.DataFrame:
    """Read the predictions before a moment whose outcome is known.

    Returns:
        One row for each prediction that a caller received, earliest first: PREDICTION_ID,
        PREDICTION_TIME, RELEASE, ARM (serving, canary or batch), PREDICTION (as
        rung_ops.model.target.packed() has it; null where all are of a release that predicted another
        kind), and the columns of Row with the target.
    """
    log = prediction_log.read(log_sync.downloaded(environment, until=until), until=until)
    received = log.filter(pl.col("arm") != "shadow").collect()
    empty = pl.DataFrame(schema={PREDICTION_ID: pl.String, PREDICTION_TIME: prediction_log.TIME})
    if not received.height:
        return empty
    released = _contract(environment)
    known = outcomes.join(received, outcomes.read(released, folder))
    known = known.filter(pl.col(TRUTH).is_not_null())
    if not known.height:
        return empty
    kind, truth = kind_in(released), pl.col(TRUTH)
    if kind.classes:
        truth = truth.cast(pl.String)
    row: Any = known.schema["row"]
    answered = packed(kind)
    if not set(answered.meta.root_names()) <= set(known.columns):
        answered = pl.lit(None)
    return known.select(
        pl.col("id").alias(PREDICTION_ID),
        pl.col("time").alias(PREDICTION_TIME),
        pl.col("release").alias(RELEASE),
        pl.col("arm").alias(ARM),
        answered.alias(PREDICTION),
        *(pl.col("row").struct.field(field.name) for field in row.fields),
        truth.alias(contract.TARGET),
    ).sort(PREDICTION_TIME, PREDICTION_ID)


def _contract(environment: str) -> dict[str, Any]:
    """Read the contract of the serving release, which names the key of a row."""
    folder = paths.environment(environment)
    path = paths.bundle(folder, str(state.read(folder).serving)) / bundle.CONTRACT
    return bundle.parse_json(path, bundle.read_small(path))


def new_rows(labelled: pl.DataFrame) -> pl.DataFrame:
    """Return the answers that keep Row and that no training has used, once and ordered by time."""
    schema = contract.Row.to_schema()
    fresh = labelled.unique(PREDICTION_ID, keep="first", maintain_order=True).sort(
        PREDICTION_TIME, PREDICTION_ID
    )
    fresh = fresh.join(_collected_ids(), on=PREDICTION_ID, how="anti", maintain_order="left")
    if not fresh.height:
        return fresh
    typed, problems = inspect(fresh, schema, "the prediction log")
    if any(not problem.rows for problem in problems):
        raise StageError(f"{next(p for p in problems if not p.rows)}. Nothing was collected.")
    if schema.unique:
        # Of several predictions for a key, only the last becomes a row.
        problems = [problem for problem in problems if problem.column != ", ".join(schema.unique)]
    bad = {row - 1 for problem in problems for row in problem.rows}
    good = [number for number in range(fresh.height) if number not in bad]
    rows = pl.concat([fresh.select(PREDICTION_ID, PREDICTION_TIME), typed], how="horizontal")[good]
    if schema.unique:
        rows = rows.unique(schema.unique, keep="last", maintain_order=True)
        if current().rows.exists():
            known = pl.read_parquet(current().rows, columns=schema.unique)
            rows = rows.join(known, on=schema.unique, how="anti", maintain_order="left")
    return rows


def _collected_ids() -> pl.DataFrame:
    """Read the ids of all collected rows."""
    ids = [pl.DataFrame({PREDICTION_ID: []}, schema={PREDICTION_ID: pl.String})]
    for record in sorted(current().incoming.glob("served-*.parquet.dvc")):
        path = record.with_suffix("")
        if not path.exists():
            raise StageError(f"{shown(path)} is missing: `uv run poe pull` fetches it.")
        ids.append(pl.read_parquet(path, columns=[PREDICTION_ID]))
    return pl.concat(ids)


IN_GROUP = 5  # outcomes in each group of the jackknife


def verdict(
    state: State,
    answers: pl.DataFrame,
    readings: Sequence[dict[str, Any]],
    now: datetime,
    policy: Rollback,
) -> OutcomeVerdict | None:
    """Compare the serving release with the previous one; None if none was promoted of late."""
    before = predecessor(state)
    if state.serving is None or before is None:
        return None
    if failing := _of_errors(before, state.serving, readings, policy):
        return failing
    if answers.is_empty():
        return None
    own = answers.filter(pl.col(RELEASE) == state.serving)
    since = own.filter(pl.col(ARM) == "serving")[PREDICTION_TIME].min()
    if since is None or now - since > timedelta(days=policy.watch_days):  # type: ignore[operator]
        return None
    if own.height < policy.least_rows:
        says = f"{state.serving} has {own.height:,} known outcomes; "
        return OutcomeVerdict(False, f"{says}{policy.least_rows:,} are needed to judge it")
    return _of_quality(before, state.serving, own, policy)


def on_trial(
    trial: Trial, serving: str, answers: pl.DataFrame, policy: Rollback
) -> OutcomeVerdict | None:
    """Compare the release on trial with the serving one, by outcomes since its trial began.

    It may have learned from a world that has passed since: the gate has seen older rows. The outcomes of a
    forecast count from its TIME, as those of the first horizon were predicted before the trial.

    Returns:
        None where too few outcomes are known yet.
    """
    if answers.is_empty():
        return None
    rows = answers.filter(pl.col(RELEASE) == serving)
    times = forecast.known_at(rows) if forecast.declared() else rows[PREDICTION_TIME]
    rows = rows.filter(times.dt.convert_time_zone("UTC") >= trial.since)
    if rows.height < least_on_trial(policy):
        return None
    return _of_quality(serving, trial.release, rows, policy, jackknife.FEW_BLOCKS)


def least_on_trial(policy: Rollback) -> int:
    """Return how many outcomes judge a release on trial; with little traffic it has no more."""
    groups = jackknife.FEW_BLOCKS if forecast.declared() else GROUPS
    return max(1, min(policy.least_rows, IN_GROUP * groups))


def predecessor(state: State) -> str | None:
    """Return the release before the serving one, if that was promoted."""
    last, serving = None, None
    for event in events(paths.environment(paths.PRODUCTION)):
        if event["detail"].get("serving", serving) != serving:
            last, serving = event["event"], event["detail"]["serving"]
    return state.previous[0] if state.previous and last in ("serve", "promote") else None


def _of_errors(
    before: str, now: str, readings: Sequence[dict[str, Any]], policy: Rollback
) -> OutcomeVerdict | None:
    earlier, since = rate(readings, before), rate(readings, now)
    if not policy.error_rate or not earlier.requests or not since.requests:
        return None
    low, high = rise(earlier, since, policy.level)
    if low <= policy.error_rate:
        return None
    return OutcomeVerdict(
        True,
        f"{now} failed to answer {since.share:.2%} of {since.requests:,} requests, and {before} "
        f"{earlier.share:.2%} of {earlier.requests:,}: the rise of {low:.2%} to {high:.2%} is "
        f"above {policy.error_rate:.2%}",
    )


def _of_quality(
    before: str, now: str, own: pl.DataFrame, policy: Rollback, blocks: int = jackknife.LEAST_BLOCKS
) -> OutcomeVerdict:
    """Compare two releases on rows that one of them answered."""
    folder = paths.environment(paths.PRODUCTION)
    answered_by = own[RELEASE][0]
    other = before if answered_by == now else now
    try:
        key = paths.public_key().read_bytes()
        loaded = serving_release.load(paths.bundle(folder, other), key, ANY_SPEED)
        rows = own.select(pl.col(name).cast(kind) for name, kind in loaded.schema.items())
        predicted = loaded.score(rows)[1]
        actual = estimator.truth(own)
        answered = unpacked(own[PREDICTION], estimator.kind())
    except source_import.FAULTS as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return OutcomeVerdict(False, f"{other} cannot be compared on the same rows: {reason}")
    settings = params()
    metric = settings["score"]["metric"]
    sign = 1 if settings["score"]["higher_is_better"] else -1
    served, earlier = (answered, predicted) if other == before else (predicted, answered)

    def gain(chosen: np.ndarray) -> float:
        figure = contract.score(actual[chosen], served[chosen])[metric]
        return float(sign * (figure - contract.score(actual[chosen], earlier[chosen])[metric]))

    try:
        group = jackknife.groups_in_time(own, settings["seed"], GROUPS, blocks)
    except NotComparableError as error:
        return OutcomeVerdict(False, f"{now} is not compared: {error}")
    estimate, half = interval(gain, group, policy.level)
    if not np.isfinite(half):
        return OutcomeVerdict(
            False, f"{metric} of {now} is not defined on its {len(actual):,} outcomes"
        )
    # A loss that the gate lets pass is none here either: with many rows the smallest one is certain.
    figure = float(contract.score(actual, earlier)[metric])
    margin = rules.allowed_loss(rules.read().margin, figure, settings["score"]["higher_is_better"])
    worse = estimate + half < -margin.amount
    low, high = sorted((sign * (estimate - half), sign * (estimate + half)))
    return OutcomeVerdict(
        worse,
        f"{now} is {'worse' if worse else 'not certainly worse'} than {before} was by more than "
        f"{margin}: on the same {len(actual):,} rows {metric} differs by {sign * estimate:+.4f} "
        f"({low:+.4f} to {high:+.4f}, {policy.level:.0%} interval)",
    )


def interval(
    gain: Callable[[np.ndarray], float], group: np.ndarray, level: float
) -> tuple[float, float]:
    """Estimate a gain, and half the width of its confidence interval; NaN where it is not defined."""
    half = half_width(gain, group, level)
    return (gain(np.arange(len(group))), half) if math.isfinite(half) else (math.nan, math.nan)


TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class Rate:
    """Failed requests of all requests."""

    failed: int
    requests: int

    @property
    def share(self) -> float:
        """Share of failed requests, in [0, 1]; 0 without requests."""
        return self.failed / self.requests if self.requests else 0.0


def reading(url: str, serving: str) -> dict[str, Any] | None:
    """Read what a service has answered and failed since its `process` started; None without an answer."""
    # METRICS_TOKENS may guard them.
    request = access.authorized_request(f"{url.rstrip('/')}/metrics")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            families = list(text_string_to_metric_families(response.read().decode()))
    except (OSError, ValueError, urllib.error.URLError):
        return None
    counts: dict[str, float] = {"answered": 0.0, "failed": 0.0}
    process = None  # the sum, where several workers answer: it changes with any of them
    for sample in (sample for family in families for sample in family.samples):
        if sample.name == "process_start_time_seconds":
            process = (process or 0.0) + sample.value
        outcome = sample.labels.get("outcome")
        if sample.name == "service_requests_total" and outcome in counts:
            counts[str(outcome)] += sample.value
    return {"release": serving, "process": process} | {key: int(n) for key, n in counts.items()}


def rate(readings: Sequence[dict[str, Any]], release: str) -> Rate:
    """Sum the differences of consecutive readings of the same release and process."""
    failed = answered = 0
    for first, second in pairwise(readings):
        same = first["release"] == second["release"] == release
        if same and first["process"] == second["process"]:
            failed += second["failed"] - first["failed"]
            answered += second["answered"] - first["answered"]
    return Rate(failed, failed + answered)


def rise(before: Rate, after: Rate, level: float) -> tuple[float, float]:
    """Compute the confidence interval of the rise of a share, by Newcombe's method."""
    deviations = NormalDist().inv_cdf((1 + level) / 2)
    low_before, high_before = wilson_interval(before.failed, before.requests, deviations)
    low_after, high_after = wilson_interval(after.failed, after.requests, deviations)
    rise = after.share - before.share
    down = math.hypot(after.share - low_after, high_before - before.share)
    up = math.hypot(high_after - after.share, before.share - low_before)
    return rise - down, rise + up
