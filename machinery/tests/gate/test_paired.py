"""The paired test is rarely wrong, and does not decide where there is nothing to decide on."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from rung_ops.gate import judge_predictions, paired_test
from rung_ops.gate.paired_test import Comparison
from rung_ops.gate.rules import Rules
from rung_ops.statistics.jackknife import NotComparableError, dealt

ROWS = 2_000
TRIES = 250
PROMISED = 0.005  # share of tries
RULES = Rules()


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float((truth == predicted).mean())


def answers(gain: float, draws: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw who is right: 78 of 100 rows both, 8 one of the two alone, and ours more by the gain."""
    alone = np.array([0.08 + gain, 0.08 - gain]) / 2
    kind = draws.choice(4, ROWS, p=[0.78, *alone, 0.14])
    return (kind <= 1).astype(int), ((kind == 0) | (kind == 2)).astype(int)


def compared(ours: np.ndarray, theirs: np.ndarray, seed: int) -> Comparison:
    truth = np.ones(len(ours), dtype=int)
    group = dealt(len(ours), seed, min(paired_test.GROUPS, len(ours) // 2))
    return paired_test.compare(truth, ours, {"one": theirs}, accuracy, RULES.alpha, group)["one"]


def passed(gain: float, tries: int) -> int:
    """Count how often the gate lets versions pass that truly differ by the gain."""
    truth, count = np.ones(ROWS, dtype=int), 0
    for seed in range(tries):
        ours, theirs = answers(gain, np.random.default_rng([1, seed]))
        verdict = judge_predictions(truth, ours, theirs, figure=accuracy, rules=RULES, seed=seed)
        count += verdict.promote
    return count


def test_one_that_is_a_point_worse_passes_the_gate_in_half_a_percent_of_tries_at_most() -> None:
    # The rate that so many passes prove with 99.9 % confidence.
    assert binomtest(passed(-0.01, TRIES), TRIES).proportion_ci(0.999).low <= PROMISED


def test_a_challenger_that_is_clearly_better_passes() -> None:
    assert passed(0.03, 20) == 20


def test_the_error_is_that_of_the_difference_and_not_of_each_figure() -> None:
    ours, theirs = answers(0.0, np.random.default_rng(3))

    comparison = compared(ours, theirs, seed=3)

    alone = (ours != theirs).mean()
    expected = math.sqrt((alone - comparison.gain**2) / ROWS)
    assert comparison.error == pytest.approx(expected, rel=0.2)
    assert comparison.error < 0.6 * math.sqrt(2 * 0.82 * 0.18 / ROWS)
    assert comparison.low < comparison.gain < comparison.high


def area(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(roc_auc_score(truth, predicted))


def test_two_rows_of_a_class_are_too_few_to_compare_on() -> None:
    truth = np.zeros(ROWS, dtype=int)
    truth[:2] = 1
    ours = np.linspace(1, 0, ROWS)
    refused = 0

    for seed in range(20):
        try:
            paired_test.compare(truth, ours, {"one": ours}, area, RULES.alpha, dealt(ROWS, seed))
        except NotComparableError:
            refused += 1

    assert refused > 5  # whenever both fall into one half


def never_defined(truth: np.ndarray, predicted: np.ndarray) -> float:
    raise ValueError("only one class")


def needs_the_first_row(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Stand for a figure that needs a kind of row of which there is one: one part has it."""
    return accuracy(truth, predicted) if 7 in truth else math.nan


@pytest.mark.parametrize(
    ("figure", "reason"),
    [
        (never_defined, "the figure of the challenger on all 2,000 rows is nan"),
        (needs_the_first_row, "a part of the 2,000 rows has no figure"),
    ],
)
def test_what_has_no_figure_is_not_compared(figure: paired_test.Figure, reason: str) -> None:
    truth = np.ones(ROWS, dtype=int)
    truth[0] = 7

    with pytest.raises(NotComparableError, match=reason):
        paired_test.compare(truth, truth, {"one": truth}, figure, RULES.alpha, dealt(ROWS, 1))
