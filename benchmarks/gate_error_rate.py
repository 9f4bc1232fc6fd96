"""How often the gate lets a version pass, where the truth is known; needs no project.

`python gate_error_rate.py SEED TRIES ROWS SLICES CASE...` draws TRIES tests of ROWS rows for each
case, gives them to the gate's own judge_predictions() with the rules of a new ops/gate.toml, and prints
JSON: for each case and each rule how many passed, the least rate with 99.9 % confidence and the largest
with 99 % (Clopper and Pearson), and how many were refused by slices. SLICES parts of the rows, as large as each other, are
judged as slices; 0 for none.

A case is METRIC:GAIN, as `auc:-0.01`: the challenger is truly one point worse. METRIC:GAIN:DROP lets
the first slice lose DROP on top. METRIC:GAIN:0:SPREAD is a procedure: what a fit of it gains is normal
around GAIN, and a version that passes is fitted again. METRIC:

- accuracy: 8 % of the rows are answered by one of the two alone;
- accuracy_twins: the challenger answers as the champion, but for the rows that it loses or gains;
- auc: normal scores of both classes, correlated to 0.9 between the two versions;
- auc_rare: the same where one row in twenty is positive;
- log_loss: probabilities with noise, on rows whose true probability is known;
- mae: normal errors, correlated to 0.9 between the two versions;
- brier: probabilities of three classes with noise, on rows whose true probabilities are known;
- pinball: quantiles 0.1, 0.5 and 0.9 of normal errors, correlated to 0.9 between the two versions;
- forecast: errors of hourly forecasts a day ahead, as those of mae, that are alike for a day;
- forecast_dealt: the same errors, judged as if they were of rows without order.

The gain of an error is in shares of the champion's figure, as in ops/gate.toml.
"""

import json
import math
import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.signal import lfilter
from scipy.stats import binomtest

from rung_ops.gate import judge_predictions
from rung_ops.gate.rules import Rules
from rung_ops.statistics import jackknife

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # truth, ours, theirs, a constant
NOT_AS_GOOD = ("worse than the champion", "not shown to be as good as the champion")
RULES = Rules(rule="probably-better")  # whether "not-worse" passes is seen from the figures
WHAT = (
    *("not-worse, main test", "not-worse", "probably-better, main test", "probably-better"),
    *("a slice refused", "a slice lower by more than max_drop"),
    *("not-worse, a worse fit", "not-worse, a worse one fitted again"),
    *("probably-better, a worse fit", "probably-better, a worse one fitted again"),
)
WORSE = -0.00999  # a gain that counts as one point worse
LEVELS = 1_000  # of scores, so that the area under the curve can be counted instead of sorted
SPREAD = 0.3  # of the noise in the champion's probabilities, in logits
POPULATION = 400_000  # rows that stand for all there are
OF_CLASSES = (1.0, 0.0, -1.0)  # mean logits of three classes: common, less common, rare
BOTH_RIGHT, ALONE = 0.78, 0.08
ACROSS = 0.9  # correlation of the two versions
DAY = 24  # hours: the horizon of forecasts, and how long their errors are alike
HOUR = 3_600_000_000  # microseconds
QUANTILES = np.array([0.1, 0.5, 0.9])
OF_NORMAL = np.array([NormalDist().inv_cdf(each) for each in QUANTILES])


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Count the right answers."""
    return float((truth == predicted).mean())


def area(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Compute the area under the curve of scores in [0, 1) that have LEVELS levels."""
    level = np.rint(predicted * LEVELS).astype(np.int64)
    positive = np.bincount(level[truth == 1], minlength=LEVELS)
    negative = np.bincount(level[truth == 0], minlength=LEVELS)
    return float(_area(positive / positive.sum(), negative / negative.sum()))


def _area(positive: np.ndarray, negative: np.ndarray) -> Any:
    return positive @ (np.cumsum(negative) - negative / 2)


def log_loss(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Take the mean logarithm of what was not expected."""
    return float(-np.log(np.where(truth == 1, predicted, 1 - predicted)).mean())


def absolute_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Take the mean distance."""
    return float(np.abs(truth - predicted).mean())


def draw_accuracy(alone: float, gain: float, rows: int, draws: np.random.Generator) -> Drawn:
    """Draw rows of which a share is answered rightly by one of the two versions alone."""
    better, worse = (alone + gain) / 2, (alone - gain) / 2
    shares = [BOTH_RIGHT, better, worse, 1 - BOTH_RIGHT - better - worse]
    kind = draws.choice(4, rows, p=shares)
    truth = (draws.random(rows) < 0.4).astype(np.int64)
    ours = np.where(kind <= 1, truth, 1 - truth)
    theirs = np.where((kind == 0) | (kind == 2), truth, 1 - truth)
    return truth, ours, theirs, np.zeros(rows)


def draw_area(positives: float, gain: float, rows: int, draws: np.random.Generator) -> Drawn:
    """Draw normal scores of two classes whose areas under the curve differ by the gain."""
    truth = (draws.random(rows) < positives).astype(np.int64)
    common = draws.normal(0, np.sqrt(ACROSS), rows)
    ours, theirs = (
        _leveled(common + draws.normal(0, np.sqrt(1 - ACROSS), rows) + shift * truth)
        for shift in (_shift_for(0.75 + gain), _shift_for(0.75))
    )
    return truth, ours, theirs, np.zeros(rows)


def _leveled(scores: np.ndarray) -> np.ndarray:
    edges = _edges()
    return np.searchsorted(edges, scores) / LEVELS


@cache
def _edges() -> np.ndarray:
    return np.linspace(-4, 5, LEVELS - 1)


@cache
def _shift_for(wanted: float) -> float:
    """Find how far apart two normal classes lie whose levels give this area."""
    low, high = 0.0, 3.0
    normal = NormalDist()
    negative = np.diff([0.0, *(normal.cdf(edge) for edge in _edges()), 1.0])
    for _ in range(50):
        shift = (low + high) / 2
        positive = np.diff([0.0, *(normal.cdf(edge - shift) for edge in _edges()), 1.0])
        low, high = (shift, high) if _area(positive, negative) < wanted else (low, shift)
    return shift


def draw_log_loss(gain: float, rows: int, draws: np.random.Generator) -> Drawn:
    """Draw rows with a known probability, and two versions that know it with some noise."""
    logit = draws.normal(-1, 1, rows)
    truth = (draws.random(rows) < _probability(logit)).astype(np.int64)
    theirs = _probability(logit + draws.normal(0, SPREAD, rows))
    ours = _probability(logit + draws.normal(0, _spread_for(gain), rows))
    return truth, ours, theirs, np.full(rows, 0.3)


def _probability(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


@cache
def _spread_for(gain: float) -> float:
    """Find the noise that makes the loss of all rows larger by a share of the champion's."""
    draws = np.random.default_rng(1)
    logit, noise = draws.normal(-1, 1, POPULATION), draws.normal(0, 1, POPULATION)
    truth = _probability(logit)

    def loss(spread: float) -> float:
        result = _probability(logit + spread * noise)
        return float(-(truth * np.log(result) + (1 - truth) * np.log(1 - result)).mean())

    wanted = loss(SPREAD) * (1 - gain)
    low, high = 0.0, 2.0
    for _ in range(50):
        spread = (low + high) / 2
        low, high = (spread, high) if loss(spread) < wanted else (low, spread)
    return spread


def brier(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Take the mean squared distance of the probabilities of classes from what happened."""
    happened = np.eye(predicted.shape[1])[truth]
    return float(((predicted - happened) ** 2).sum(axis=1).mean())


def draw_brier(gain: float, rows: int, draws: np.random.Generator) -> Drawn:
    """Draw rows with known probabilities of three classes, known with some noise to two versions."""
    logits = draws.normal(OF_CLASSES, 1, (rows, 3))
    truth = (draws.random((rows, 1)) > np.cumsum(_shares(logits), axis=1)).sum(axis=1).clip(0, 2)
    theirs = _shares(logits + draws.normal(0, SPREAD, (rows, 3)))
    ours = _shares(logits + draws.normal(0, _spread_of_classes_for(gain), (rows, 3)))
    return truth, ours, theirs, np.tile(_shares(np.array([OF_CLASSES])), (rows, 1))


def _shares(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


@cache
def _spread_of_classes_for(gain: float) -> float:
    """Find the noise that makes the Brier score of all rows larger by a share of the champion's."""
    draws = np.random.default_rng(1)
    logits = draws.normal(OF_CLASSES, 1, (POPULATION, 3))
    noise = draws.normal(0, 1, (POPULATION, 3))
    truth = _shares(logits)

    def expected(spread: float) -> float:
        result = _shares(logits + spread * noise)
        return float((result**2 - 2 * result * truth + truth).sum(axis=1).mean())

    wanted = expected(SPREAD) * (1 - gain)
    low, high = 0.0, 2.0
    for _ in range(30):
        spread = (low + high) / 2
        low, high = (spread, high) if expected(spread) < wanted else (low, spread)
    return spread


def draw_error(gain: float, rows: int, draws: np.random.Generator) -> Drawn:
    """Draw normal errors of two versions; their means differ by a share of the champion's."""
    truth = draws.normal(0, 3, rows)
    common = draws.normal(0, np.sqrt(ACROSS), rows)
    ours, theirs = (
        truth + scale * (common + draws.normal(0, np.sqrt(1 - ACROSS), rows))
        for scale in (1 - gain, 1.0)
    )
    return truth, ours, theirs, np.zeros(rows)


def pinball(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Compute the mean pinball loss of the quantiles."""
    above = truth[:, None] - predicted
    return float(np.maximum(QUANTILES * above, (QUANTILES - 1) * above).mean())


def draw_quantiles(gain: float, rows: int, draws: np.random.Generator) -> Drawn:
    """Draw quantiles of two versions, each honest of its errors; those differ as in draw_error()."""
    truth, *medians, _ = draw_error(gain, rows, draws)
    ours, theirs = (
        median[:, None] + scale * OF_NORMAL
        for median, scale in zip(medians, (1 - gain, 1.0), strict=True)
    )
    return truth, ours, theirs, np.tile(3 * OF_NORMAL, (rows, 1))


def draw_forecast(gain: float, rows: int, draws: np.random.Generator) -> Drawn:
    """Draw errors as draw_error() does, each an autoregression that keeps 1/e of itself after a day."""
    truth = draws.normal(0, 3, rows)
    keep = math.exp(-1 / DAY)
    noise = draws.normal(0, math.sqrt(1 - keep**2), (3, 10 * DAY + rows))
    common, *own = lfilter([1], [1, -keep], noise)[:, 10 * DAY :]
    ours, theirs = (
        truth + scale * (math.sqrt(ACROSS) * common + math.sqrt(1 - ACROSS) * each)
        for scale, each in zip((1 - gain, 1.0), own, strict=True)
    )
    return truth, ours, theirs, np.zeros(rows)


Draw = Callable[[float, int, np.random.Generator], Drawn]
Figure = Callable[[np.ndarray, np.ndarray], float]
CASES: dict[str, tuple[Draw, Figure, bool]] = {
    "accuracy": (partial(draw_accuracy, ALONE), accuracy, True),
    "accuracy_twins": (lambda gain, *rest: draw_accuracy(abs(gain), gain, *rest), accuracy, True),
    "auc": (partial(draw_area, 0.3), area, True),
    "auc_rare": (partial(draw_area, 0.05), area, True),
    "log_loss": (draw_log_loss, log_loss, False),
    "mae": (draw_error, absolute_error, False),
    "brier": (draw_brier, brier, False),
    "pinball": (draw_quantiles, pinball, False),
    "forecast": (draw_forecast, absolute_error, False),
    "forecast_dealt": (draw_forecast, absolute_error, False),
}


def judged(case: str, rows: int, slices: int, seed: int) -> list[str]:
    """Draw one test, ask the gate, and return what happened."""
    metric, mean, drop, spread = (*case.split(":"), "0", "0")[:4]
    draw, figure, higher = CASES[metric]
    draws = np.random.default_rng([seed, rows])
    gain, again = float(mean), float(mean)
    if float(spread):
        gain, again = draws.normal(float(mean), float(spread), 2)
    drawn = draw(gain, rows, draws)
    labels = np.arange(rows) % max(slices, 1)
    if float(drop):
        first = labels == 0
        lost = draw(gain - float(drop), int(first.sum()), draws)
        for each, other in zip(drawn, lost, strict=True):
            each[first] = other
    truth, ours, theirs, _ = drawn
    verdict = judge_predictions(
        *(truth, ours, theirs),
        figure=figure,
        higher_is_better=higher,
        rules=RULES,
        slices={"slice": labels} if slices else None,
        group=jackknife.time_blocks(np.arange(rows) * HOUR, DAY * HOUR)
        if metric == "forecast"
        else None,
        seed=seed,
    )
    champion = verdict.figures["champion"]
    refused = [reason for reason in verdict.reasons if reason.startswith("slice")]
    # Refused for anything else, it would say nothing of the test.
    if not all(reason.startswith(("slice", *NOT_AS_GOOD)) for reason in verdict.reasons):
        raise ValueError(f"{case}: {verdict.reasons}")
    not_worse = champion["gain_low"] > -champion["margin"]
    ways = {"not-worse": not_worse, "probably-better": len(verdict.reasons) == len(refused)}
    happened = [f"{rule}, main test" for rule, passes in ways.items() if passes]
    happened += [rule for rule, passes in ways.items() if passes and not refused]
    served = {"a worse fit": gain, "a worse one fitted again": again}
    happened += [
        f"{rule}, {what}"
        for rule in ways
        for what, true in served.items()
        if rule in happened and true < WORSE
    ]
    if refused:
        happened.append("a slice refused")
    share = 1.0 if higher else champion["figure"]
    if any(
        (each["champion"] - each["challenger"]) * (1 if higher else -1)
        > RULES.slices.max_drop * share
        for each in verdict.figures["slices"]
        if each["judged"]
    ):
        happened.append("a slice lower by more than max_drop")
    return happened


def main() -> None:
    """Simulate every case that was asked for."""
    seed, tries, rows, slices = (int(each) for each in sys.argv[1:5])
    result = {}
    with multiprocessing.Pool() as pool:
        for case in sys.argv[5:]:
            seen: Counter[str] = Counter()
            for happened in pool.imap_unordered(
                partial(judged, case, rows, slices), range(seed, seed + tries), chunksize=20
            ):
                seen.update(happened)
            result[case] = {
                what: {
                    "tries": seen[what],
                    "least": binomtest(seen[what], tries).proportion_ci(0.998).low,
                    "most": binomtest(seen[what], tries).proportion_ci(0.98).high,
                }
                for what in WHAT
            }
    print(json.dumps({"seed": seed, "tries": tries, "rows": rows, "slices": slices} | result))


if __name__ == "__main__":
    main()
