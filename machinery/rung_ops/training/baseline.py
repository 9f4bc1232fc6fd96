"""Stage: compare the model with the best baseline: a constant, or of forecasts a naive one."""

import json
import math
import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract import calling, forecast
from rung_ops.errors import StageError
from rung_ops.model import target
from rung_ops.model.entity_feature import ticks
from rung_ops.project import current
from rung_ops.project.paths import made, parameter_line, params
from rung_ops.statistics import jackknife
from rung_ops.statistics.jackknife import NotComparableError
from rung_ops.system.printable import in_column
from rung_ops.training import estimator, judged_rows

LAST_VALUE, SEASONAL = "last_value", "seasonal_naive"
AT, ROW, VALUE = "__at", "__row", "__value"


def forecasts(
    train: pl.DataFrame, rows: pl.DataFrame, history: pl.DataFrame
) -> dict[str, np.ndarray]:
    """Predict rows by the values of their series that were known, by name; NaN where there is none."""
    ways = {LAST_VALUE: last_value}
    if contract.SEASON is not None:
        ways[SEASONAL] = seasonal
    return {
        name: _with_interval(way(rows, history), way(train, history), estimator.truth(train))
        for name, way in ways.items()
    }


def last_value(rows: pl.DataFrame, history: pl.DataFrame) -> np.ndarray:
    """Take the newest value of the series of each row that was known; shape (n_rows,)."""
    return _values(rows, history, forecast.made_at(rows).to_physical() - 1, exact=False)


def seasonal(rows: pl.DataFrame, history: pl.DataFrame) -> np.ndarray:
    """Take the value k seasons before TIME, of the smallest k that was known; shape (n_rows,)."""
    season = ticks(contract.SEASON)  # type: ignore[arg-type]
    horizon = forecast.horizons(rows).dt.total_microseconds()
    time = forecast.known_at(rows).to_physical()
    return _values(rows, history, time - (horizon // season + 1) * season, exact=True)


def _values(
    rows: pl.DataFrame, history: pl.DataFrame, moments: pl.Series, *, exact: bool
) -> np.ndarray:
    """Look up the value of each row's series at a moment in microseconds, or the newest until then."""
    series = forecast.series()
    known = (
        history.select(
            *series,
            forecast.known_at(history).to_physical().alias(AT),
            pl.col(contract.TARGET).cast(pl.Float64).fill_nan(None).alias(VALUE),
        )
        .drop_nulls(VALUE)
        .unique([*series, AT], keep="last", maintain_order=True)  # once for each origin
        .sort(AT)
    )
    wanted = rows.select(*series, moments.alias(AT)).with_row_index(ROW)
    if exact:
        matched = wanted.join(known, on=[*series, AT], how="left")
    else:
        matched = wanted.sort(AT).join_asof(known, on=AT, by=series or None, check_sortedness=False)
    return matched.sort(ROW)[VALUE].fill_null(float("nan")).to_numpy()


def _with_interval(median: np.ndarray, before: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Put quantiles around a forecast, of its residuals in training, where QUANTILES asks for them."""
    quantiles = estimator.kind().quantiles
    if not quantiles:
        return median
    residuals = (truth - before)[np.isfinite(before)]
    low, _, high = np.quantile(residuals, quantiles) if len(residuals) else np.zeros(3)
    each = np.column_stack([median + low, median, median + high])
    return target.of_regressor(each, target.QUANTILE)


LEVEL = 0.95  # confidence level of the interval
CONSTANT = "constant"


class Baseline(NamedTuple):
    """A simple prediction; `figures` has the metric of every baseline of a forecast."""

    name: str
    predictions: np.ndarray
    figures: dict[str, float]


def in_words(name: str) -> str:
    """Name a baseline in a sentence."""
    if name == CONSTANT:
        return "a constant"
    return f"the {name.replace('_', ' ')}"


def best(train: pl.DataFrame, rows: pl.DataFrame) -> Baseline:
    """Predict rows with the baseline that scores best on them."""
    simple = baseline(train, rows)
    if forecast.declared() is None:
        return Baseline(CONSTANT, simple, {})
    each = {CONSTANT: simple}
    for name, naively in forecasts(
        train, rows, judged_rows.read(current().rows, slices=False)
    ).items():
        each[name] = np.where(np.isfinite(naively), naively, simple)
    actual = estimator.truth(rows)
    figures = {name: _figure(actual, predicted) for name, predicted in each.items()}
    sign = 1 if params()["score"]["higher_is_better"] else -1
    name = max(figures, key=lambda name: np.nan_to_num(sign * figures[name], nan=-math.inf))
    return Baseline(name, each[name], figures)


def _figure(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Compute the metric; NaN where score() has none, which the gate says."""
    try:
        return float(contract.score(actual, predicted)[params()["score"]["metric"]])
    except (KeyError, ValueError):
        return math.nan


def baseline(train: pl.DataFrame, rows: pl.DataFrame) -> np.ndarray:
    """Predict rows with a constant: a number, the quantiles, the share of positives or of classes.

    Tests of projects call it, so its name stays.

    Of constants it has the lowest log loss, Brier score, squared or absolute error and pinball loss;
    its most probable class is that of the majority, which has the highest accuracy.

    Returns:
        Shape (n_rows,), or (n_rows, n_classes), or (n_rows, 3).
    """
    if levels := estimator.kind().quantiles:
        return np.tile(np.quantile(estimator.truth(train), levels), (rows.height, 1))
    from sklearn.dummy import DummyClassifier  # the gate's report does without

    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    if not estimator.is_classification(model):
        return np.full(rows.height, constant(estimator.truth(train)))
    dummy = DummyClassifier(strategy="prior")
    dummy.fit(np.zeros((train.height, 1)), estimator.truth(train))
    inputs = np.zeros((rows.height, 1))
    if names := estimator.classes():
        return target.spread(dummy.predict_proba(inputs), dummy.classes_, len(names))
    return np.asarray(dummy.predict_proba(inputs))[:, 1]


def constant(actual: np.ndarray) -> float:
    """Return the mean or the median of numbers, whichever the metric prefers of them."""
    sign = 1 if params()["score"]["higher_is_better"] else -1

    def merit(value: float) -> float:
        figure = sign * _figure(actual, np.full(len(actual), value))
        return -math.inf if math.isnan(figure) else figure

    return max(float(np.mean(actual)), float(np.median(actual)), key=merit)


def compare(
    actual: np.ndarray, model: np.ndarray, simple: np.ndarray, group: np.ndarray | None = None
) -> dict[str, Any]:
    """Compare predictions of the same rows by the metric; the gain has an interval where it can.

    The ends are equal, and no interval, where no part of the rows changes the gain.
    """
    settings = params()
    metric = settings["score"]["metric"]
    sign = 1 if settings["score"]["higher_is_better"] else -1
    group = jackknife.dealt(len(actual), settings["seed"]) if group is None else group

    def gain(chosen: np.ndarray) -> float:
        ours = contract.score(actual[chosen], model[chosen])[metric]
        return float(sign * (ours - contract.score(actual[chosen], simple[chosen])[metric]))

    result: dict[str, Any] = {
        "model": float(contract.score(actual, model)[metric]),
        "baseline": float(contract.score(actual, simple)[metric]),
        "gain": gain(np.arange(len(actual))),
        "better": False,
    }
    half = jackknife.half_width(gain, group, LEVEL)
    if math.isnan(half):
        return result
    low, high = result["gain"] - half, result["gain"] + half
    return result | {"gain_low": low, "gain_high": high, "better": low > 0}


def _gain(value: float) -> str:
    return in_column(value, 4, "+")


def main() -> int:
    """Compare the model with the best baseline; return the exit code."""
    rows, train = (
        judged_rows.read(made(p), slices=False) for p in (current().predictions, current().train)
    )
    simple = best(train, rows)
    try:
        group = jackknife.groups_in_time(rows, params()["seed"], jackknife.GROUPS)
        unclear = f"{rows.height} rows are too few for an interval"
    except NotComparableError as error:
        group, unclear = np.zeros(rows.height, dtype=int), f"no interval: {error}"
    result = compare(estimator.truth(rows), rows["predicted"].to_numpy(), simple.predictions, group)
    if simple.figures:
        result |= {"best_baseline": simple.name, "baselines": simple.figures}
        result |= {"forecast": str(forecast.declared())}
    written = current().reports / "comparison.json"
    written.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    metric = params()["score"]["metric"]
    bounds = unclear
    if "gain_low" in result:
        low, high = result["gain_low"], result["gain_high"]
        bounds = f"{LEVEL:.0%} interval {_gain(low)} to {_gain(high)}"
        if low == high:
            bounds = "no interval: it is the same, whichever rows are left out"
    each = simple.figures or {simple.name: result["baseline"]}
    figures = ", ".join(f"{in_words(name)} {in_column(figure, 4)}" for name, figure in each.items())
    model = in_column(result["model"], 4)
    print(f"{metric}: {model}, {figures}; gain {_gain(result['gain'])}, {bounds}")
    if not result["better"]:
        print(f"The model is not clearly better than {in_words(simple.name)}: do not release it.")
    if late := known_too_late(train, rows):
        print(late)
    return 0


def known_too_late(train: pl.DataFrame, rows: pl.DataFrame) -> str | None:
    """Say how many training rows of a forecast a split has that it should have left out."""
    if forecast.declared() is None:
        return None
    late = int((~forecast.known_in_time(train, rows)).sum())
    if not late:
        return None
    return (
        f"{late:,} training rows have an outcome that was not known when the first test row was "
        "predicted, which favours the model: leave them out in split() of pipeline/split.py."
    )


FEW = 200  # of invented rows
ROWS = 10_000  # enough to tell perfect predictions from a constant


def refuse_wrong_score(rows: pl.DataFrame) -> None:
    """Refuse a `metric` that score() does not return, and a direction in which a constant is best."""
    rows = rows.sample(min(rows.height, ROWS), seed=1)
    actual, metric = estimator.truth(rows), params()["score"]["metric"]
    with calling("score()"):
        figures = contract.score(actual, _guesses(len(actual)))
    if not isinstance(figures, dict):
        kind = type(figures).__name__
        raise StageError(f"model.py: score() returns {kind}; it must be a dict of figures by name.")
    _refuse_missing(metric, figures)
    for name, value in figures.items():
        with calling(f"reading `{name}` of score() as a number"):
            float(value)
    try:
        with warnings.catch_warnings(action="ignore"):
            perfect = float(contract.score(actual, _perfect(actual))[metric])
            simple = float(contract.score(actual, baseline(rows, rows))[metric])
    except Exception:  # src/ is the user's; other promises say what is wrong with build()
        return
    if perfect == simple or math.isnan(perfect - simple):
        return
    if (higher := perfect > simple) != params()["score"]["higher_is_better"]:
        raise StageError(
            f"{parameter_line('score', 'higher_is_better')}: `{metric}` is {perfect:.4g} for perfect "
            f"predictions and {simple:.4g} for a constant: write `higher_is_better = "
            f"{str(higher).lower()}`."
        )


def refuse_unknown_metric() -> None:
    """Refuse a `metric` that score() does not return, before rows are read.

    To import model.py takes seconds, so it is asked only where no module names the metric. Of an
    error of score() the rows say more, as refuse_wrong_score().
    """
    metric = params()["score"]["metric"]
    name = re.compile(rf"""["']{re.escape(metric)}["']""".encode())
    modules = (current().root / "src" / contract.package()).rglob("*.py")
    if any(name.search(module.read_bytes()) for module in modules):
        return
    try:
        with warnings.catch_warnings(action="ignore"):
            figures = dict(contract.score(_invented(FEW), _guesses(FEW)))
    except Exception:  # src/ is the user's
        return
    _refuse_missing(metric, figures)


def _refuse_missing(metric: str, figures: dict[str, Any]) -> None:
    if metric not in figures:
        raise StageError(
            f"{parameter_line('score', 'metric')}: [score] metric is `{metric}`, but score() returns "
            f"{', '.join(figures)}."
        )


def _invented(n_rows: int) -> np.ndarray:
    """Invent what came true: each class in turn, or numbers."""
    if estimator.is_classification(None):
        return np.arange(n_rows) % max(2, estimator.kind().width)
    return np.linspace(1.0, 2.0, n_rows)


def _guesses(n_rows: int) -> np.ndarray:
    """Make predictions for score() to try: probabilities, those of each class, or quantiles."""
    kind = estimator.kind()
    if kind.classes:
        return np.random.default_rng(1).dirichlet(np.ones(kind.width), n_rows)
    one = np.linspace(0.1, 0.9, n_rows)
    return one[:, None] + kind.quantiles if kind.quantiles else one


def _perfect(actual: np.ndarray) -> np.ndarray:
    """Predict what came true."""
    kind = estimator.kind()
    if kind.classes:
        return np.eye(kind.width)[actual.astype(int)]
    one = actual.astype(float)
    return np.tile(one[:, None], (1, kind.width)) if kind.quantiles else one
