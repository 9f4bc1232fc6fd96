"""judge_predictions() judges arrays as the gate does, wherever it is called."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rung_ops.gate import judge_predictions
from rung_ops.gate.rules import NOT_WORSE, PROBABLY_BETTER, Rules
from rung_ops.gate.verdict import Verdict
from rung_ops.statistics import jackknife

ROWS = 2_000
TRUTH, NOISE, OWN = np.random.default_rng(1).normal(size=(3, ROWS))
CHAMPION = TRUTH + NOISE


def error(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.abs(truth - predicted).mean())


def challenger(scale: float, spread: float = 0.3) -> np.ndarray:
    """Predict with errors that are `scale` as large as the champion's on average."""
    share = math.sqrt(1 - spread**2)
    return TRUTH + scale * (share * NOISE + spread * OWN)


def judged(predicted: np.ndarray, rule: str = NOT_WORSE, **named: object) -> Verdict:
    return judge_predictions(
        *(TRUTH, predicted, CHAMPION),
        figure=error,
        higher_is_better=False,
        rules=Rules(rule=rule),  # type: ignore[arg-type]
        **named,  # type: ignore[arg-type]
    )


def test_it_needs_no_project(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from rung_ops.gate import judge_predictions as judge\n"
        "one = np.arange(300.0); figure = lambda truth, predicted: -abs(truth - predicted).mean()\n"
        "print(judge(one, one, one + 1, figure=figure).promote)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize(
    ("scale", "rule", "passes"),
    [
        (0.98, NOT_WORSE, False),
        (0.98, PROBABLY_BETTER, True),
        (1.0, PROBABLY_BETTER, False),
        (1.03, PROBABLY_BETTER, False),
        (0.9, NOT_WORSE, True),
    ],
)
def test_one_that_is_probably_better_passes_where_that_is_the_rule(
    scale: float, rule: str, passes: bool
) -> None:
    assert judged(challenger(scale), rule).promote is passes


def test_one_that_is_not_worse_passes_as_probably_better_too() -> None:
    alike = challenger(1.001, spread=0)

    assert judged(alike, NOT_WORSE).promote
    assert judged(alike, PROBABLY_BETTER).promote


def test_the_probability_that_was_seen_is_said() -> None:
    verdict = judged(challenger(1.0), PROBABLY_BETTER)

    seen = verdict.figures["champion"]["probability_better"]
    assert 0.05 < seen < 0.95
    assert f"better with a probability of 95%, but of {seen:.0%}" in verdict.reasons[0]


@pytest.mark.parametrize("scale", [0.9, 0.97, 1.0])
def test_the_rows_that_are_needed_are_always_said(scale: float) -> None:
    verdict = judged(challenger(scale))

    equal, as_seen = verdict.rows_needed["equal"], verdict.rows_needed["as_seen"]
    assert equal is not None and equal > ROWS
    if scale < 1:
        assert as_seen is not None and 200 <= as_seen < equal


def test_with_the_rows_that_are_needed_an_equal_version_passes_four_of_five_tests() -> None:
    def equals(rows: int, seed: int) -> Verdict:
        truth, noise, *own = np.random.default_rng([2, seed]).normal(size=(4, rows))
        ours, theirs = (truth + noise + 0.1 * each for each in own)
        return judge_predictions(
            *(truth, ours, theirs), figure=error, higher_is_better=False, seed=seed
        )

    needed = [equals(ROWS, seed).rows_needed["equal"] or 0 for seed in range(9)]
    passed = sum(equals(int(np.median(needed)), 100 + seed).promote for seed in range(100))

    assert 70 < passed < 90


def test_the_chance_to_pass_falls_with_what_a_version_truly_is() -> None:
    chances = judged(challenger(1.0)).figures["champion"]["passes"]

    assert list(chances) == ["+0.01", "+0", "-0.01", "-0.05"]
    assert list(chances.values()) == sorted(chances.values(), reverse=True)
    assert chances["-0.01"] < 0.005


def test_a_champion_without_an_error_needs_no_margin() -> None:
    """A margin that is a share of nothing is nothing."""
    verdict = judge_predictions(TRUTH, CHAMPION, TRUTH, figure=error, higher_is_better=False)

    assert verdict.reasons[0].startswith("worse than the champion")
    assert verdict.rows_needed == {"equal": None, "as_seen": None}


def test_the_champion_itself_needs_the_fewest_rows() -> None:
    assert judged(CHAMPION).rows_needed == {"equal": 200, "as_seen": None}


def test_rows_that_the_champion_learned_from_do_not_compare() -> None:
    known = np.arange(ROWS) < 1_000
    learned = np.where(known, TRUTH, CHAMPION)

    def against(unseen: np.ndarray | None) -> Verdict:
        return judge_predictions(
            *(TRUTH, challenger(0.9), learned), figure=error, higher_is_better=False, unseen=unseen
        )

    assert not against(None).promote
    verdict = against(~known)
    assert verdict.promote
    assert verdict.figures["champion"]["rows"] == 1_000
    assert verdict.notes == [
        "the champion learned from 1,000 of 2,000 test rows; the two are compared on the other 1,000"
    ]


def test_too_few_rows_that_the_champion_does_not_know_refuse_and_say_how_many_are_needed() -> None:
    verdict = judged(challenger(0.9), unseen=np.arange(ROWS) >= ROWS - 150)

    assert verdict.reasons == [
        "the champion did not learn from 150 test rows, too few to compare the two; 200 are needed, "
        "50 more"
    ]
    assert verdict.rows_needed["equal"]


def test_blocks_of_time_are_judged_together() -> None:
    """Errors of a block are alike, so twenty blocks say less than two thousand rows."""
    rows = np.arange(ROWS)
    blocks = jackknife.time_blocks(rows * 1_000_000, 100_000_000)
    alike = OWN[blocks * (ROWS // 20)]
    ours = CHAMPION + 0.3 * alike

    assert len(np.unique(blocks)) == 20
    errors = (
        judged(ours, group=group).figures["champion"]["standard_error"] for group in (blocks, None)
    )
    by_block, by_row = errors
    assert by_block > 2 * by_row
