"""A version that is one point worse than the champion passes the gate in at most 0.5 % of tries.

The gate of a new project judges tests that are drawn where the truth is known; see
tests/assets/gate_error_rate.py. A project's own tests hold the same at a small size.
"""

import json
import math
import os
from pathlib import Path

import pytest

from tests.product.conftest import Started, run

pytestmark = pytest.mark.slow

SIMULATION = Path(__file__).parents[1] / "assets/gate_error_rate.py"
SEED, ROWS = int(os.environ.get("SEED", "1")), 2_000
# With 8,000 tries, 20 passes (0.25 %) leave 0.41 % possible: docs/benchmarks.md has such a run.
TRIES = int(os.environ.get("TRIES", "2000"))
FIGURES = (
    *("accuracy", "accuracy_twins", "auc", "auc_rare", "log_loss", "mae"),
    *("brier", "pinball", "forecast"),
)
PROMISED = 0.005


@pytest.fixture(scope="module")
def project(start: Started) -> Path:
    """A project with a gate, and its environment."""
    folder = start(use_case="velocity", level=3)
    run("uv", "sync", "--quiet", cwd=folder)
    return folder


def passed(project: Path, tries: int, *cases: str) -> dict[str, int]:
    """Simulate cases; how many tries passed."""
    output = run(
        *("uv", "run", "--quiet", "python", SIMULATION),
        *(str(SEED), str(tries), str(ROWS), *cases),
        cwd=project,
        OMP_NUM_THREADS="1",
        POLARS_MAX_THREADS="1",
    ).stdout
    print(output)
    return dict(json.loads(output.splitlines()[-1])["passed"])


def tail(count: int, tries: int, rate: float) -> float:
    """How likely it is that so many pass, or more, where each passes at a rate."""
    fewer = (
        math.lgamma(tries + 1)
        - math.lgamma(each + 1)
        - math.lgamma(tries - each + 1)
        + each * math.log(rate)
        + (tries - each) * math.log1p(-rate)
        for each in range(count)
    )
    return 1 - sum(map(math.exp, fewer))


def most(count: int, tries: int) -> float:
    """Find the largest rate at which so few passes still happen once in a hundred times."""
    low, high = 0.0, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        low, high = (rate, high) if tail(count + 1, tries, rate) < 0.99 else (low, rate)
    return high


@pytest.fixture(scope="module")
def worse(project: Path) -> dict[str, int]:
    """How many tries passed of each figure, simulated by one process: to start takes 3 s."""
    return passed(project, TRIES, *(f"{figure}:-0.01" for figure in FIGURES))


@pytest.mark.parametrize("figure", FIGURES)
def test_one_that_is_a_point_worse_passes_in_half_a_percent_of_tries_at_most(
    worse: dict[str, int], figure: str
) -> None:
    result = worse[f"{figure}:-0.01"]

    bound = most(result, TRIES)
    print(f"{figure}: {result} of {TRIES:,} passed; at most {bound:.2%} with 99 % confidence")
    # Chance alone would fail this once in a thousand runs, were the rate just what is promised.
    assert tail(result, TRIES, PROMISED) > 0.001


def test_one_that_is_a_point_better_passes_far_more_often(project: Path) -> None:
    cases = [f"{figure}:{gain}" for figure in ("accuracy", "auc", "log_loss") for gain in (0, 0.01)]

    result = passed(project, 400, *cases)

    for figure in ("accuracy", "auc", "log_loss"):
        assert result[f"{figure}:0.01"] > 0.4 * 400
        assert result[f"{figure}:0.01"] > 2 * result[f"{figure}:0"] > 0


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    assert most(0, 1_000) == pytest.approx(1 - 0.01 ** (1 / 1_000))
    assert most(20, 8_000) == pytest.approx(0.0041, abs=0.0001)
    assert tail(0, 10, 0.5) == 1
    assert tail(10, 10, 0.5) == pytest.approx(2**-10)
