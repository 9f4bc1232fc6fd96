"""Streams of rows with a known truth: what is predicted, and how the world changes.

Rows come evenly over time. Month 0 is the first that a release serves; months before it are its past. Each
stream has five numeric columns and a category, of which the outcome depends through one linear score:
"slow", "abrupt" and others say how its coefficients change.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from scipy.signal import lfilter
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression, Ridge

PAST, MONTHS, CHANGE = 12, 12, 3  # months before the first release, months served, month of change
MONTH = timedelta(days=365.25 / 12)
START = datetime(2025, 1, 1)
NUMBERS = [f"x{n}" for n in range(5)]
LEVELS = ["a", "b", "c", "d", "new"]
FEATURES = [*NUMBERS, *LEVELS]

BEFORE = np.array([0.9, -0.6, 0.4, 0.0, 0.5])
AFTER = np.array([-0.5, -0.6, 0.4, 0.8, 0.5])
OF_LEVELS = np.array([-0.8, 0.0, 0.4, 1.0, -2.0])
SEASON = 0.5  # of the change, at the height of a season
LATE_DAYS, NEVER = 30, 0.35  # when outcomes of `late labels` come, and the share that never does
SERIES_PER_DAY = 24  # rows of one series of forecasts
SAME_ERROR = 0.8  # correlation of the errors of one hour and the next


@dataclass(frozen=True)
class Kind:
    """What is predicted.

    Attributes:
        name: of it.
        metric: the deciding figure.
        higher_is_better: its direction.
        figure: computes it from target values and predictions; greater is better.
        model: makes a model that is not fitted.
        classes: number of classes; 0 for a number or a truth value.
        daily: whether the errors of rows that follow each other are alike, as those of forecasts.
    """

    name: str
    metric: str
    higher_is_better: bool
    figure: Callable[[np.ndarray, np.ndarray], float]
    model: Callable[[], Any]
    classes: int = 0
    daily: bool = False

    def predict(self, model: Any, rows: pl.DataFrame) -> np.ndarray:
        """Predict rows: a probability, a value, or the probabilities of the classes."""
        values = rows.select(FEATURES).to_numpy()
        if self.classes:
            return np.asarray(model.predict_proba(values))
        if self.name == "binary":
            return np.asarray(model.predict_proba(values)[:, 1])
        return np.asarray(model.predict(values))

    def fit(self, rows: pl.DataFrame, weights: np.ndarray | None = None) -> Any:
        """Fit a model to rows."""
        values = rows.select(FEATURES).to_numpy()
        return self.model().fit(values, rows["y"].to_numpy(), sample_weight=weights)


# As in sklearn.metrics, whose checks of the input cost ten times as much as the figures here.
def _auc(truth: np.ndarray, predicted: np.ndarray) -> float:
    ranks, positive = rankdata(predicted), truth == 1
    hits = int(positive.sum())
    if not 0 < hits < len(truth):
        return math.nan
    return float((ranks[positive].mean() - (hits + 1) / 2) / (len(truth) - hits))


def _error(truth: np.ndarray, predicted: np.ndarray) -> float:
    return -float(np.abs(truth - predicted).mean())


def _loss(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.log(np.maximum(predicted[np.arange(len(truth)), truth], 1e-15)).mean())


KINDS = {
    kind.name: kind
    for kind in (
        Kind("binary", "auc", True, _auc, LogisticRegression),
        Kind("number", "mae", False, _error, Ridge),
        Kind("three classes", "log_loss", False, _loss, LogisticRegression, classes=3),
        Kind("forecast", "mae", False, _error, Ridge, daily=True),
    )
}


def _never(months: np.ndarray) -> np.ndarray:
    return np.zeros(len(months))


def _at_once(months: np.ndarray) -> np.ndarray:
    return (months >= CHANGE).astype(float)


def _slowly(months: np.ndarray) -> np.ndarray:
    return np.clip((months - CHANGE) / 6, 0, 1)


def _for_a_month(months: np.ndarray) -> np.ndarray:
    return ((months >= CHANGE) & (months < CHANGE + 1)).astype(float)


def _each_year(months: np.ndarray) -> np.ndarray:
    return SEASON * (0.5 - 0.5 * np.cos(2 * np.pi * months / 12))


# How much of the change has happened, by time in months.
CONCEPTS = {
    "no change": _never,
    "unit": _never,
    "abrupt": _at_once,
    "slow": _slowly,
    "new category": _never,
    "season": _each_year,
    "shock": _for_a_month,
    "late labels": _at_once,
}
POUNDS = 2.2046  # in a kilogram


class World:
    """A stream, from which rows of any time can be drawn.

    Args:
        kind: what is predicted.
        stream: one of CONCEPTS.
        rate: rows in a day.
        seed: of all that is random.
    """

    def __init__(self, kind: Kind, stream: str, rate: float, seed: int) -> None:
        self.kind, self.stream, self.rate = kind, stream, rate
        self._draws = np.random.default_rng([seed, *stream.encode(), *kind.name.encode()])

    def all_rows(self) -> pl.DataFrame:
        """Draw the rows of all months, by time: `month`, `time`, FEATURES, `y`, and `known`, when."""
        count = round(self.rate * MONTH.days * (PAST + MONTHS))
        months = np.arange(count) * ((PAST + MONTHS) / count) - PAST
        return self.rows(months)

    def sample(self, month: float, count: int) -> pl.DataFrame:
        """Draw rows of one moment, to find what is true there."""
        return self.rows(np.full(count, month))

    def rows(self, months: np.ndarray) -> pl.DataFrame:
        """Draw rows of some times.

        Args:
            months: since the first release began to serve, shape (n_rows,), ascending.
        """
        draws, count = self._draws, len(months)
        numbers = draws.normal(size=(count, len(NUMBERS)))
        numbers[:, 4] = np.exp(numbers[:, 4] / 2)
        level = draws.integers(0, 4, count)
        if self.stream == "new category":
            level[(months >= CHANGE) & (draws.random(count) < 0.3)] = 4
        share = CONCEPTS[self.stream](months)[:, None]
        score = (numbers * (BEFORE * (1 - share) + AFTER * share)).sum(axis=1) + OF_LEVELS[level]
        seen = numbers.copy()
        if self.stream == "unit":
            seen[months >= CHANGE, 4] *= POUNDS
        late = self.stream == "late labels"
        known = months + LATE_DAYS / MONTH.days * late
        known[draws.random(count) < NEVER * late] = np.inf
        time = [START + MONTH * month for month in months.tolist()]
        return pl.DataFrame(
            {
                "month": months,
                "time": pl.Series(time, dtype=pl.Datetime("us")),
                **dict(zip(NUMBERS, seen.T, strict=True)),
                **{name: (level == place).astype(float) for place, name in enumerate(LEVELS)},
                "y": self._outcomes(score),
                "known": known,
            }
        )

    def _outcomes(self, score: np.ndarray) -> np.ndarray:
        draws, count = self._draws, len(score)
        if self.kind.name == "binary":
            return (draws.random(count) < 1 / (1 + np.exp(1.2 - score))).astype(np.int64)
        if self.kind.classes:
            logits = np.column_stack([np.zeros(count), score, -0.7 * score])
            return np.asarray((logits + draws.gumbel(size=logits.shape)).argmax(axis=1))
        errors = draws.normal(size=count)
        if self.kind.daily:
            series = max(1, round(self.rate / SERIES_PER_DAY))
            scale = np.sqrt(1 - SAME_ERROR**2)
            for number in range(series):
                alike = lfilter([scale], [1, -SAME_ERROR], errors[number::series])
                errors[number::series] = alike
        return np.asarray(20 + 3 * score + 2 * errors)
