"""A year of rung 4 without HTTP: the library's own rules decide, month by month, on a stream of known truth.

Real are the monitor's tests, the rules of the autopilot, the choice of the window, the gate, the verdicts and
the times of shadow and canary, and the check after a promotion; files, service and processes are left out.
A pass is made at the end of each month, as in `poe replay`.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recovery.streams import CHANGE, FEATURES, MONTH, MONTHS, START, Kind, World
from rung_ops import contract
from rung_ops import settings as files
from rung_ops.autopilot import decide as rules
from rung_ops.autopilot import facts
from rung_ops.autopilot.decide import Facts, Quality
from rung_ops.autopilot.decide import Policy as Autopilot
from rung_ops.autopilot.training_rows import judging_rows
from rung_ops.gate import judge_predictions, paired_test
from rung_ops.gate.rules import Rules, allowed_loss
from rung_ops.model import target
from rung_ops.monitoring.limits import Limits
from rung_ops.release import rollout
from rung_ops.release.make import since_change
from rung_ops.statistics import drift, jackknife
from rung_ops.training import estimator, rolling_origin
from rung_ops.training.window import Window

OPS = Path(__file__).resolve().parents[2] / "templates/project/ops"
SHARE = 0.25  # test_share of a new project
REFERENCE = 10_000  # rows that a release keeps for the monitor
TRUTH = 20_000  # rows by which the truth about two models is known
KEYS = 2_000  # rows of a trial that are compared, at most
SHOWN = 0.05


@dataclass(frozen=True)
class Settings:
    """What a project has in ops/."""

    autopilot: Autopilot
    gate: Rules
    rollout: rollout.Policy


def settings() -> Settings:
    """Read the settings of a new project."""
    autopilot = files.read(OPS / "autopilot.toml", Autopilot)
    gate = files.read(OPS / "gate.toml", Rules, "gate")
    trial = files.read(OPS / "rollout.toml", rollout.Policy)
    return Settings(autopilot, gate, trial)


@dataclass
class Release:
    """A model that can serve.

    Attributes:
        model: fitted.
        until: month that its newest row, or the newest it could have had, is of.
        learned: month of the newest row that it learned from.
        reference: features and predictions of rows that it learned from.
        figure: on the rows that judged it; greater is better.
    """

    model: Any
    until: float
    learned: float
    reference: pl.DataFrame
    figure: float


@dataclass
class Year:
    """What happened.

    Attributes:
        figures: by month: of the frozen release, of what served, of the oracle; greater is better.
        noticed: month at whose end the change was first seen.
        took_over: first month in which a version served that learned from rows after the change.
        trainings, promotions, alarms: counts.
        worse, misjudged: of promotions, counts by the truth of the moment that it took over, and of the newest
            rows that judged it.
        decisions: one sentence a month.
    """

    figures: list[tuple[float, float, float]] = field(default_factory=list)
    noticed: int | None = None
    took_over: int | None = None
    trainings: int = 0
    promotions: int = 0
    worse: int = 0
    misjudged: int = 0
    alarms: int = 0
    decisions: list[str] = field(default_factory=list)


def declare(kind: Kind) -> None:
    """Tell the library what src/ of a project would say."""
    contract.TIME, contract.TARGET = "time", "y"
    contract.HORIZON = timedelta(days=1) if kind.daily else None
    contract.ORIGIN = contract.SEASON = None
    estimator.truth = lambda rows: rows["y"].to_numpy()


class Simulation:
    """One year of one stream."""

    def __init__(self, world: World, settings: Settings, seed: int) -> None:
        self.world, self.kind, self.settings, self.seed = world, world.kind, settings, seed
        self.rows = world.all_rows()
        self.year = Year()
        self.limits = Limits()
        first = self._fitted(self._known(0), "all", 0)
        self.frozen = self.serving = first
        self.before: Release | None = None
        self.promoted_at = -1
        self.collected = 0.0
        self.trained: list[int] = []
        self.set_back: int | None = None
        self.waiting: tuple[Release, float] | None = None  # on trial, and the day it takes over

    def run(self) -> Year:
        """Serve and pass, month by month."""
        for month in range(MONTHS):
            self._serve(month)
            if month < MONTHS - 1:
                self._pass(month + 1)
        return self.year

    def _known(self, now: float) -> pl.DataFrame:
        return self.rows.filter(pl.col("known") < now)

    def _figure(self, rows: pl.DataFrame, predicted: np.ndarray) -> float:
        return self.kind.figure(rows["y"].to_numpy(), predicted)

    def _serve(self, month: int) -> None:
        rows = self.rows.filter((pl.col("month") >= month) & (pl.col("month") < month + 1))
        answered = self.kind.predict(self.serving.model, rows)
        if self.waiting:
            release, days = self.waiting
            after = (rows["month"].to_numpy() - month) * MONTH.days >= days
            passes = self._passes_trial(rows.filter(~after), release)
            if not passes or self._is_aborted(month, days, release):
                self.set_back = month
            else:
                answered[after] = self.kind.predict(release.model, rows)[after]
                self._promote(release, month)
            self.waiting = None
        recent = self._known(month).filter(pl.col("month") >= month - 3)
        oracle = self.kind.predict(self.kind.fit(recent), rows)
        frozen = self.kind.predict(self.frozen.model, rows)
        self.year.figures.append(
            (self._figure(rows, frozen), self._figure(rows, answered), self._figure(rows, oracle))
        )

    def _promote(self, release: Release, month: int) -> None:
        year = self.year
        year.promotions += 1
        truth = self.world.sample(month, TRUTH)
        then, now = (
            self._figure(truth, self.kind.predict(each.model, truth))
            for each in (self.serving, release)
        )
        year.worse += now < then - self._margin(then)
        judged = self.world.sample(release.learned, TRUTH)
        then, now = (
            self._figure(judged, self.kind.predict(each.model, judged))
            for each in (self.serving, release)
        )
        year.misjudged += now < then - self._margin(then)
        if year.took_over is None and release.learned > CHANGE:
            year.took_over = month
        self.before, self.serving, self.promoted_at = self.serving, release, month
        self.set_back = None

    def _passes_trial(self, rows: pl.DataFrame, release: Release) -> bool:
        """Give a release in shadow and canary the verdicts of the rollout."""
        rows = rows.head(KEYS)
        if not rows.height:
            return True
        policy = self.settings.rollout
        serving = self.kind.predict(self.serving.model, rows)
        challenger = self.kind.predict(release.model, rows)
        names = tuple("abc"[: self.kind.classes])
        shadow = rollout.Comparison(target.Kind(classes=names))
        shadow.observe(serving, challenger)
        trial = rollout.Trial(policy.slow)
        keys = [str(number) for number in range(rows.height)]
        half = rows.height // 2
        one = [each[:, 0] if self.kind.classes else each for each in (serving, challenger)]
        trial.observe("serving", [], keys[:half], one[0][:half])
        trial.observe("canary", [], keys[half:], one[1][half:])
        return "abort" not in (
            rollout.shadow_verdict(shadow, policy, 0).action,
            rollout.canary_verdict(trial.serving, trial.canary, policy, 0).action,
        )

    def _is_aborted(self, month: int, days: float, release: Release) -> bool:
        """Pass once a day while a release is on trial; tell whether a pass aborts it."""
        policy = self.settings.autopilot.rollback
        least = facts.least_on_trial(policy)
        for day in range(1, math.ceil(days)):
            known = self._known(month + day / MONTH.days).filter(pl.col("month") >= month)
            if known.height < least:
                continue
            if self._is_worse(release, self.serving, known, policy.level, jackknife.FEW_BLOCKS):
                return True
        return False

    def _pass(self, now: int) -> None:
        month = now - 1
        known = self._facts(now)
        seen = bool(known.drifted or known.prediction_drifted)
        decision = rules.decide(known, self.settings.autopilot)
        drop = self.settings.autopilot.retrain.quality_drop
        worse_quality = bool(known.quality and known.quality.is_worse(drop))
        if (seen or worse_quality) and month >= CHANGE and self.year.noticed is None:
            self.year.noticed = month
        self.year.alarms += seen or worse_quality
        says = decision.reasons[0]
        if decision.action == rules.ROLL_BACK and self.before:
            self.serving, self.before, self.set_back = self.before, None, now
        elif decision.action == rules.RETRAIN:
            says = f"{says}: {self._train(now, seen or worse_quality)}"
        self.year.decisions.append(f"month {month}: {decision.action}: {says}")

    def _facts(self, now: int) -> Facts:
        window = self.rows.filter((pl.col("month") >= now - 1) & (pl.col("month") < now))
        features, predicted = self._drift(window)
        moment = _moment(now)
        fresh = self._known(now).filter(pl.col("known") >= self.collected)
        return Facts(
            now=moment,
            serving="serving",
            knows_until=_moment(self.serving.until),
            drifted=features,
            prediction_drifted=predicted,
            quality=self._quality(window, now),
            new_rows=fresh.height,
            trainings=tuple(_moment(at) for at in self.trained),
            refused=None if self.set_back is None else _moment(self.set_back),
            verdict=self._after_promotion(now),
        )

    def _drift(self, window: pl.DataFrame) -> tuple[tuple[str, ...], bool]:
        compared = drift.compare(
            self.serving.reference, _with_predictions(self.kind, self.serving.model, window)
        )
        tests = compared["p_value"].count() + compared["missing_p_value"].count()
        error = self.limits.drift.false_alarms / max(1, tests)
        changed = compared.filter(drift.changed(error, self.limits.drift.least_change))["feature"]
        names = tuple(name for name in changed if not name.startswith(drift.PREDICTION))
        return names, len(names) < len(changed)

    def _quality(self, window: pl.DataFrame, now: int) -> Quality | None:
        # As the monitor does, from the newest days of which enough outcomes are known.
        recent = self.rows.filter((pl.col("month") >= now - 2) & (pl.col("month") < now))
        known = recent.filter(pl.col("known") < now)
        newest = known.filter(pl.col("month") >= min(now - 1, known["month"].max() or 0) - 1)
        span = recent.filter(
            (pl.col("month") >= (newest["month"].min() or 0))
            & (pl.col("month") <= (newest["month"].max() or 0))
        )
        if newest.height < self.limits.outcomes.min_coverage * span.height:
            return None
        if (
            known.filter(pl.col("month") >= now - 1).height
            >= self.limits.outcomes.min_coverage * window.height
        ):
            newest = known.filter(pl.col("month") >= now - 1)
        truth, predicted = newest["y"].to_numpy(), self.kind.predict(self.serving.model, newest)
        sign = 1 if self.kind.higher_is_better else -1

        def figure(chosen: np.ndarray) -> float:
            return sign * self.kind.figure(truth[chosen], predicted[chosen])

        error = jackknife.standard_error(figure, jackknife.dealt(len(truth), self.seed))
        half = jackknife.student_t_quantile(SHOWN) * error
        value = figure(np.arange(len(truth)))
        expected = sign * self.serving.figure
        higher = self.kind.higher_is_better
        return Quality(
            self.kind.metric, higher, value, value - half, value + half, expected, len(truth)
        )

    def _after_promotion(self, now: int) -> rules.OutcomeVerdict | None:
        if self.before is None:
            return None
        rows = self._known(now).filter(pl.col("month") >= self.promoted_at + 0.3)
        policy = self.settings.autopilot.rollback
        if (
            rows.height < policy.least_rows
            or (now - self.promoted_at) * MONTH.days > policy.watch_days
        ):
            return None
        return rules.OutcomeVerdict(
            self._is_worse(self.serving, self.before, rows, policy.level),
            "compared on the same rows",
        )

    def _is_worse(
        self,
        new: Release,
        old: Release,
        rows: pl.DataFrame,
        level: float,
        blocks: int = jackknife.LEAST_BLOCKS,
    ) -> bool:
        truth = rows["y"].to_numpy()
        ours, theirs = (self.kind.predict(each.model, rows) for each in (new, old))

        def gain(chosen: np.ndarray) -> float:
            return self.kind.figure(truth[chosen], ours[chosen]) - self.kind.figure(
                truth[chosen], theirs[chosen]
            )

        try:
            group = jackknife.groups_in_time(rows, self.seed, jackknife.GROUPS, blocks)
        except jackknife.NotComparableError:
            return False
        estimate, half = facts.interval(gain, group, level)
        return estimate + half < -self._margin(self.kind.figure(truth, theirs))

    def _margin(self, figure: float) -> float:
        """Return the loss that the gate allows against a figure, of which greater is better."""
        sign = 1 if self.kind.higher_is_better else -1
        share, higher = self.settings.gate.margin, self.kind.higher_is_better
        return allowed_loss(share, sign * figure, higher).amount

    def _fitted(self, rows: pl.DataFrame, window: str, now: float) -> Release:
        """Train as the pipeline does, on a quarter's split, without a choice."""
        cut = rows.height - round(rows.height * SHARE)
        learn, judge = rows[:cut], rows[cut:]
        return self._release(learn, judge, rows, Window.parse(window), now)

    def _release(
        self,
        learn: pl.DataFrame,
        judge: pl.DataFrame,
        rows: pl.DataFrame,
        window: Window,
        now: float,
    ) -> Release:
        judged = self.kind.fit(learn, window.weights(learn))
        figure = self._figure(judge, self.kind.predict(judged, judge))
        used = window.select(rows)
        model = self.kind.fit(used, window.weights(used))
        sampled = used if used.height <= REFERENCE else used.sample(REFERENCE, seed=self.seed)
        reference = _with_predictions(self.kind, model, sampled)
        if since := since_change(reference, sampled["time"]):
            newer = used.filter(pl.col("time") >= since)
            sampled = newer.sample(min(newer.height, REFERENCE), seed=self.seed)
            reference = _with_predictions(self.kind, model, sampled)
        newest = float(used["month"].max())  # type: ignore[arg-type]
        return Release(model, now, newest, reference, figure)

    def _train(self, now: int, changed: bool) -> str:
        self.year.trainings += 1
        self.trained.append(now)
        self.collected = now
        rows = self._known(now).sort("time")
        newer = rows.filter(pl.col("month") > self.serving.learned)
        recent = rows.filter(pl.col("month") >= now - 1).height if changed else None
        size = judging_rows(rows.height, newer.height, recent, self.settings.gate.min_rows, SHARE)
        learn, judge = rows[:-size], rows[-size:]
        window = rolling_origin.choose(
            learn,
            size,
            lambda known, weights, block: self.kind.predict(self.kind.fit(known, weights), block),
            self.kind.figure,
            seed=self.seed,
        ).window
        learn = window.select(learn, judge["time"].min())  # type: ignore[arg-type]
        release = self._release(learn, judge, rows, window, now)
        challenger = self.kind.predict(self.kind.fit(learn, window.weights(learn)), judge)
        if not self._passes_gate(judge, challenger):
            self.set_back = now
            return f"{window}, the gate refused it"
        days = self._trial_days()
        self.waiting = release, days
        return f"{window}, takes over after {days:.1f} days"

    def _passes_gate(self, judge: pl.DataFrame, challenger: np.ndarray) -> bool:
        kept = (judge["month"] > self.serving.learned).to_numpy()
        judge, challenger = judge.filter(kept), challenger[kept]
        sign = 1 if self.kind.higher_is_better else -1
        try:
            group = jackknife.groups_in_time(judge, self.seed, paired_test.GROUPS)
        except jackknife.NotComparableError:
            return False
        return judge_predictions(
            judge["y"].to_numpy(),
            challenger,
            self.kind.predict(self.serving.model, judge),
            figure=lambda truth, predicted: sign * self.kind.figure(truth, predicted),
            higher_is_better=self.kind.higher_is_better,
            rules=self.settings.gate,
            group=group if self.kind.daily else None,
            seed=self.seed,
        ).promote

    def _trial_days(self) -> float:
        rate = self.world.rate
        stages = rollout.planned_stages(self.settings.rollout, rollout.Traffic(rate, rate))
        return sum(stage.seconds for stage in stages) / rollout.DAY


def _moment(month: float) -> Any:
    return (START + MONTH * month).replace(tzinfo=UTC)


def _with_predictions(kind: Kind, model: Any, rows: pl.DataFrame) -> pl.DataFrame:
    predicted = kind.predict(model, rows)
    columns = predicted.T if kind.classes else predicted[None]
    names = [f"{drift.PREDICTION}{number or ''}" for number in range(len(columns))]
    return rows.select(FEATURES).with_columns(
        pl.Series(name, values) for name, values in zip(names, columns, strict=True)
    )


def simulate(kind: Kind, stream: str, rate: float, seed: int, settings: Settings) -> Year:
    """Simulate a year."""
    declare(kind)
    return Simulation(World(kind, stream, rate, seed), settings, seed).run()
